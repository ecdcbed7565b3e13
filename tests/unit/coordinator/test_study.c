/* SPDX-License-Identifier: Apache-2.0 */
/* A study from launch to finish, through deaths, aborts, pauses and restarts. */
#include "coordinator/study.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct study study;
static struct study before;
static struct effects effects;
static struct why why;
static struct plan plan;
static struct plan_site sites[3] = {{"austria"}, {"belgium"}, {"italy"}};
static unsigned char hash_a[PLAN_HASH_BYTES] = {0xa};
static unsigned char hash_b[PLAN_HASH_BYTES] = {0xb};

static bool has(enum effect_kind kind, uint32_t site)
{
    for (size_t i = 0; i < effects.count; i++)
        if (effects.list[i].kind == kind && effects.list[i].site == site)
            return true;
    return false;
}

static bool noted(enum note note)
{
    for (size_t i = 0; i < effects.count; i++)
        if (effects.list[i].kind == EFFECT_NOTE && effects.list[i].note == note)
            return true;
    return false;
}

static struct result step(struct study_event event)
{
    before = study;
    struct result r = study_step(&study, &event, &effects, &why);
    bool changed = memcmp(&before, &study, sizeof study) != 0;
    /* Whatever changed is stored, before anything else is done. */
    if (changed)
        assert_int_equal(effects.list[0].kind, EFFECT_STORE);
    if (!ok(r)) {
        assert_false(changed);
        assert_int_equal(effects.count, 0);
    }
    return r;
}

static void launch(unsigned rounds, unsigned every, unsigned quorum)
{
    memset(&study, 0, sizeof study);
    memset(&plan, 0, sizeof plan);
    strcpy(plan.study, "stroke");
    plan.sites = sites;
    plan.sites_count = 3;
    plan.training.rounds = rounds;
    plan.validation.every = every;
    plan.aggregation.quorum = quorum;
    plan.aggregation.deadline_s = 10;
    assert_true(ok(step((struct study_event){
        .kind = STUDY_EVENT_LAUNCH, .plan = &plan, .model = hash_a, .now_ms = 1000})));
    assert_true(has(EFFECT_OFFER, 0) && has(EFFECT_OFFER, 2));
}

static struct result verdict(uint32_t site, enum study_verdict v, uint64_t now_ms)
{
    return step((struct study_event){.kind = STUDY_EVENT_VERDICT,
                                     .site = site,
                                     .verdict = v,
                                     .declared_patients = 100,
                                     .reason = v == STUDY_REFUSED ? "too few patients" : "",
                                     .now_ms = now_ms});
}

static struct result deliver(uint32_t site, uint64_t now_ms)
{
    return step((struct study_event){.kind = STUDY_EVENT_DELIVERED,
                                     .site = site,
                                     .task = study.task.task,
                                     .digest = hash_b,
                                     .now_ms = now_ms});
}

static struct result tick(uint64_t now_ms)
{
    return step((struct study_event){.kind = STUDY_EVENT_TIMER, .now_ms = now_ms});
}

static struct result aggregate(uint64_t now_ms)
{
    return step((struct study_event){.kind = STUDY_EVENT_AGGREGATED,
                                     .task = study.task.task,
                                     .model = hash_b,
                                     .candidate = hash_b,
                                     .evaluation = hash_b,
                                     .now_ms = now_ms});
}

static void all_allow(void)
{
    for (uint32_t i = 0; i < 3; i++)
        assert_true(ok(verdict(i, STUDY_ALLOWED, 1100 + i)));
    assert_int_equal(study.phase, STUDY_TRAINING);
}

static void runs_to_the_end(void **state)
{
    (void)state;
    launch(3, 2, 2);
    all_allow();
    uint64_t now = 2000;
    for (int i = 0; i < 5; i++) { /* train 1, 2, evaluate 2, train 3, evaluate 3 */
        for (uint32_t s = 0; s < 3; s++)
            assert_true(ok(deliver(s, ++now)));
        if (study.phase == STUDY_AGGREGATING) {
            assert_true(has(EFFECT_AGGREGATE, EFFECT_EVERYBODY));
            assert_true(ok(aggregate(++now)));
        } else {
            assert_int_equal(study.phase, STUDY_POOLING);
            assert_true(ok(step((struct study_event){.kind = STUDY_EVENT_POOLED,
                                                     .task = study.task.task,
                                                     .score = i == 2 ? 0.8 : 0.7,
                                                     .now_ms = ++now})));
        }
    }
    assert_int_equal(study.phase, STUDY_FINISHED);
    assert_true(has(EFFECT_CLOSED, 0));
    assert_int_equal(study.tasks, 5);
    assert_int_equal(study.round, 3);
    assert_int_equal(study.best_round, 2);
    assert_int_equal(study_wake(&study), UINT64_MAX);
    assert_int_equal(deliver(0, ++now).code, RESULT_OK); /* exactly that one is counted */
    assert_true(ok(step((struct study_event){.kind = STUDY_EVENT_HELLO, .site = 1})));
    assert_true(has(EFFECT_CLOSED, 1));
}

static void waits_for_humans_until_the_deadline(void **state)
{
    (void)state;
    launch(1, 1, 2);
    assert_true(ok(verdict(0, STUDY_ALLOWED, 1100)));
    assert_true(ok(verdict(1, STUDY_ASKING, 1100)));
    assert_true(ok(verdict(2, STUDY_REFUSED, 1200)));
    assert_int_equal(study.phase, STUDY_GATHERING);
    for (uint64_t now = study_wake(&study); now < 30000; now = study_wake(&study))
        assert_true(ok(tick(now)));
    assert_int_equal(study.phase, STUDY_GATHERING); /* the quorum still hopes for the second */
    assert_true(ok(verdict(1, STUDY_ALLOWED, 40000)));
    assert_int_equal(study.phase, STUDY_TRAINING);
    assert_true(has(EFFECT_TASK, 0) && has(EFFECT_TASK, 1) && !has(EFFECT_TASK, 2));
    assert_int_equal(verdict(1, STUDY_ASKING, 40001).code, RESULT_REFUSED);
}

static void refusals_pause_with_a_reason(void **state)
{
    (void)state;
    launch(1, 1, 2);
    assert_true(ok(verdict(0, STUDY_REFUSED, 1100)));
    assert_true(ok(verdict(1, STUDY_REFUSED, 1100)));
    assert_int_equal(study.phase, STUDY_PAUSED);
    assert_non_null(strstr(study.reason, "quorum is 2"));
    assert_true(ok(step((struct study_event){.kind = STUDY_EVENT_RESUME, .now_ms = 5000})));
    assert_true(has(EFFECT_OFFER, 0) && has(EFFECT_OFFER, 1) && has(EFFECT_OFFER, 2));
    all_allow();
}

static void a_dead_site_costs_one_deadline(void **state)
{
    (void)state;
    launch(3, 3, 2);
    all_allow();
    assert_true(ok(deliver(0, 2000)));
    assert_true(ok(deliver(1, 2000)));
    assert_true(ok(tick(study.task.deadline_ms)));
    assert_true(noted(NOTE_MISSED));
    assert_int_equal(study.phase, STUDY_AGGREGATING);
    assert_true(ok(aggregate(20000)));
    assert_false(has(EFFECT_TASK, 2));
    assert_true(ok(deliver(0, 21000)));
    assert_true(ok(deliver(1, 21000)));
    assert_int_equal(study.phase, STUDY_AGGREGATING); /* without waiting */
    assert_true(ok(aggregate(22000)));
    assert_true(ok(step((struct study_event){.kind = STUDY_EVENT_HELLO, .site = 2})));
    assert_true(has(EFFECT_TASK, 2) && noted(NOTE_RETURNED));
}

static void a_slow_site_sits_out_ever_longer(void **state)
{
    (void)state;
    launch(PLAN_ROUNDS_MAX, PLAN_ROUNDS_MAX, 2);
    all_allow();
    uint64_t now = 2000;
    unsigned deadlines = 0;
    for (unsigned round_number = 1; round_number <= 200; round_number++) {
        bool waited = study.task.sites[2].standing == STANDING_EXPECTED;
        deadlines += waited;
        assert_true(ok(deliver(0, ++now)));
        assert_true(ok(deliver(1, ++now)));
        if (waited)
            assert_true(ok(tick(now = study.task.deadline_ms)));
        assert_int_equal(study.phase, STUDY_AGGREGATING);
        assert_true(ok(aggregate(++now)));
        /* Its answer comes too late: it is alive all the same. */
        assert_true(
            ok(step((struct study_event){.kind = STUDY_EVENT_HELLO, .site = 2, .now_ms = now})));
    }
    assert_in_range(deadlines, 5, 12);
    while (study.task.sites[2].standing != STANDING_EXPECTED) {
        assert_true(ok(deliver(0, ++now)));
        assert_true(ok(deliver(1, ++now)));
        assert_true(ok(aggregate(++now)));
    }
    assert_true(ok(deliver(2, ++now))); /* in time at last: as good as any other */
    assert_int_equal(study.members[2].misses, 0);
    assert_true(ok(deliver(0, ++now)));
    assert_true(ok(deliver(1, ++now)));
    assert_true(ok(aggregate(++now)));
    assert_int_equal(study.task.sites[2].standing, STANDING_EXPECTED);
}

static void aborts_pause_and_resume(void **state)
{
    (void)state;
    launch(2, 1, 3);
    all_allow();
    unsigned char model[PLAN_HASH_BYTES];
    memcpy(model, study.model, sizeof model);
    for (int i = 0; i < 12 && study.phase == STUDY_TRAINING; i++) {
        assert_true(ok(step((struct study_event){.kind = STUDY_EVENT_HELLO, .site = 0})));
        assert_true(ok(tick(study.task.deadline_ms)));
    }
    assert_int_equal(study.phase, STUDY_PAUSED);
    assert_int_equal(study.tasks, STUDY_ABORTS_MAX);
    assert_memory_equal(model, study.model, sizeof model);
    assert_int_equal(deliver(0, 300000).code, RESULT_REFUSED);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(ok(step((struct study_event){.kind = STUDY_EVENT_HELLO, .site = i})));
    assert_true(ok(step((struct study_event){.kind = STUDY_EVENT_RESUME, .now_ms = 400000})));
    assert_true(has(EFFECT_TASK, 0) && has(EFFECT_TASK, 1) && has(EFFECT_TASK, 2));
}

static void hopeless_tasks_pause_at_once(void **state)
{
    (void)state;
    launch(2, 1, 3);
    all_allow();
    assert_true(ok(step((struct study_event){.kind = STUDY_EVENT_DECLINED,
                                             .site = 1,
                                             .task = 1,
                                             .reason = "the budget is spent",
                                             .now_ms = 2000})));
    assert_int_equal(study.phase, STUDY_PAUSED);
    assert_int_equal(study.tasks, 1);
    assert_string_equal(study.closed.sites[1].reason, "the budget is spent");
}

static void withheld_figures_do_not_stop_a_study(void **state)
{
    (void)state;
    launch(1, 1, 2);
    all_allow();
    for (uint32_t s = 0; s < 3; s++)
        assert_true(ok(deliver(s, 2000)));
    assert_true(ok(aggregate(2100)));
    assert_int_equal(study.phase, STUDY_EVALUATING);
    for (uint32_t s = 0; s < 3; s++)
        assert_true(ok(step((struct study_event){.kind = STUDY_EVENT_DECLINED,
                                                 .site = s,
                                                 .task = study.task.task,
                                                 .reason = "policy",
                                                 .now_ms = 2200})));
    assert_int_equal(study.phase, STUDY_POOLING);
    assert_true(ok(step((struct study_event){
        .kind = STUDY_EVENT_POOLED, .task = study.task.task, .score = NAN, .now_ms = 2300})));
    assert_int_equal(study.phase, STUDY_FINISHED);
    assert_memory_equal(study.best, hash_b, PLAN_HASH_BYTES);
}

static void restart_repeats_what_may_be_lost(void **state)
{
    (void)state;
    launch(1, 1, 2);
    assert_true(ok(verdict(0, STUDY_ALLOWED, 1100)));
    assert_true(ok(step((struct study_event){.kind = STUDY_EVENT_RESTART, .now_ms = 1500})));
    assert_true(!has(EFFECT_OFFER, 0) && has(EFFECT_OFFER, 1));
    all_allow();
    assert_true(ok(step((struct study_event){.kind = STUDY_EVENT_RESTART, .now_ms = 99000})));
    assert_true(has(EFFECT_TASK, 0));
    for (uint32_t s = 0; s < 3; s++)
        assert_true(ok(deliver(s, 99500)));
    assert_true(ok(step((struct study_event){.kind = STUDY_EVENT_RESTART, .now_ms = 99900})));
    assert_true(has(EFFECT_AGGREGATE, EFFECT_EVERYBODY));
}

static void wrong_answers_are_refused(void **state)
{
    (void)state;
    launch(2, 1, 2);
    assert_int_equal(step((struct study_event){.kind = STUDY_EVENT_DELIVERED,
                                               .site = 0,
                                               .task = 1,
                                               .digest = hash_b})
                         .code,
                     RESULT_REFUSED);
    all_allow();
    assert_int_equal(step((struct study_event){.kind = STUDY_EVENT_DELIVERED,
                                               .site = 0,
                                               .task = 2,
                                               .digest = hash_b})
                         .code,
                     RESULT_REFUSED);
    assert_int_equal(step((struct study_event){.kind = STUDY_EVENT_HELLO, .site = 3}).code,
                     RESULT_REFUSED);
    assert_int_equal(aggregate(3000).code, RESULT_REFUSED);
    assert_true(ok(step((struct study_event){.kind = STUDY_EVENT_REVOKED, .site = 1})));
    assert_int_equal(deliver(1, 3000).code, RESULT_REFUSED);
    assert_int_equal(study_wants(&study, 1, 1, hash_b, &why).code, RESULT_REFUSED);
    assert_int_equal(study_wants(&study, 0, 1, hash_b, &why).code, RESULT_OK);
    assert_true(ok(deliver(0, 3100)));
    assert_int_equal(study_wants(&study, 0, 1, hash_b, &why).code, RESULT_AGAIN);
    assert_int_equal(study_wants(&study, 0, 1, hash_a, &why).code, RESULT_REFUSED);
}

static void late_refusals_of_the_aggregation(void **state)
{
    (void)state;
    launch(2, 2, 2);
    all_allow();
    for (uint32_t s = 0; s < 3; s++)
        assert_true(ok(deliver(s, 2000)));
    struct study_refusal refusal = {.site = 2, .reason = "its norm is 40 times the median"};
    assert_true(ok(step((struct study_event){.kind = STUDY_EVENT_AGGREGATED,
                                             .task = 1,
                                             .model = hash_b,
                                             .candidate = hash_b,
                                             .evaluation = hash_b,
                                             .refusals = &refusal,
                                             .refusals_count = 1,
                                             .now_ms = 2100})));
    assert_int_equal(study.closed.sites[2].standing, STANDING_REFUSED);
    assert_int_equal(study.task.sites[2].standing, STANDING_EXPECTED);
    for (uint32_t s = 0; s < 3; s++)
        assert_true(ok(deliver(s, 2200)));
    assert_true(ok(step((struct study_event){.kind = STUDY_EVENT_AGGREGATED,
                                             .task = 2,
                                             .reason = "the rule needs five updates",
                                             .now_ms = 2300})));
    assert_int_equal(study.round, 1);
    assert_int_equal(study.phase, STUDY_TRAINING);
    assert_true(ok(step((struct study_event){
        .kind = STUDY_EVENT_STOP, .reason = "by the researcher", .now_ms = 2400})));
    assert_int_equal(study.phase, STUDY_STOPPED);
    assert_int_equal(study.task.phase, ROUND_ABORTED);
}

static void round_with(unsigned flags, uint64_t now_ms)
{
    struct study_mark marks[3] = {{0, 0, ""},
                                  {1, ANOMALY_COSINE, "cosine -0.9"},
                                  {2, flags, "norm"}};
    for (uint32_t s = 0; s < 3; s++)
        assert_true(ok(deliver(s, now_ms)));
    assert_int_equal(study.phase, STUDY_AGGREGATING);
    assert_true(ok(step((struct study_event){.kind = STUDY_EVENT_AGGREGATED,
                                             .task = study.task.task,
                                             .model = hash_b,
                                             .candidate = hash_b,
                                             .evaluation = hash_b,
                                             .marks = marks,
                                             .marks_count = 3,
                                             .now_ms = now_ms})));
}

static void quarantine_and_release(void **state)
{
    (void)state;
    launch(9, 9, 2);
    study.quarantine = 2; /* as the plan would have it */
    all_allow();
    struct study_mark nobody = {.site = 7};
    for (uint32_t s = 0; s < 3; s++)
        assert_true(ok(deliver(s, 2000)));
    assert_int_equal(step((struct study_event){.kind = STUDY_EVENT_AGGREGATED,
                                               .task = 1,
                                               .model = hash_b,
                                               .marks = &nobody,
                                               .marks_count = 1,
                                               .now_ms = 2001})
                         .code,
                     RESULT_REFUSED);
    assert_true(ok(aggregate(2002)));
    round_with(ANOMALY_NORM, 2100);
    round_with(0, 2200); /* forgiven */
    round_with(ANOMALY_NORM, 2300);
    assert_false(study.members[2].conduct.quarantined);
    round_with(ANOMALY_NOISE, 2400);
    assert_true(study.members[2].conduct.quarantined && noted(NOTE_QUARANTINED));
    assert_false(study.members[1].conduct.quarantined);
    assert_non_null(strstr(study.members[2].quarantine, "until an operator releases it"));
    /* Its update is taken, told of, and no part of the quorum. */
    assert_true(has(EFFECT_TASK, 2));
    assert_true(ok(deliver(2, 2500)) && noted(NOTE_ASIDE) && has(EFFECT_ACCEPTED, 2));
    assert_int_equal(study.task.sites[2].standing, STANDING_ASIDE);
    assert_int_equal(study_wants(&study, 2, study.task.task, hash_b, &why).code, RESULT_AGAIN);
    assert_true(ok(deliver(0, 2501)));
    assert_int_equal(study.phase, STUDY_TRAINING);
    assert_true(ok(tick(2500 + 20000)));
    assert_int_equal(study.phase, STUDY_TRAINING); /* one of two is no quorum: extended */
    assert_true(ok(deliver(1, 2500 + 20001)));
    assert_int_equal(study.phase, STUDY_AGGREGATING);
    assert_true(ok(aggregate(2500 + 20002)));
    /* Only a quarantine can be ended, and only once. */
    struct study_event release = {.kind = STUDY_EVENT_RELEASED,
                                  .site = 0,
                                  .reason = "released by op: x",
                                  .now_ms = 30000};
    assert_int_equal(step(release).code, RESULT_REFUSED);
    release.site = 2;
    assert_true(ok(step(release)) && noted(NOTE_RELEASED));
    assert_int_equal(step(release).code, RESULT_REFUSED);
    assert_true(ok(deliver(2, 30001)) && noted(NOTE_COUNTED));
    assert_string_equal(study.members[2].quarantine, "released by op: x");
}

static struct result relay(unsigned char input, uint64_t now_ms)
{
    unsigned char hash[PLAN_HASH_BYTES] = {input};
    return step((struct study_event){
        .kind = STUDY_EVENT_RELAYED, .task = study.task.task, .input = hash, .now_ms = now_ms});
}

/* A secure study of three sites, all needed, up to the open REVEAL of its first round. */
static void until_reveal(uint64_t *now)
{
    launch(2, 0, 2);
    study.threshold = study.quorum = 3;
    all_allow();
    for (uint32_t stage = 1; stage < TASK_STAGES; stage++) {
        assert_int_equal(study.task.kind, task_of_stage(stage));
        for (uint32_t s = 0; s < 3; s++)
            assert_true(ok(deliver(s, ++*now)));
        assert_int_equal(study.phase, STUDY_RELAYING);
        assert_true(ok(relay((unsigned char)(0x10 + stage), ++*now)));
    }
    assert_int_equal(study.task.kind, TASK_REVEAL);
}

/* Past both deadlines of the open task. */
static void let_it_abort(uint64_t *now)
{
    uint32_t task = study.task.task;
    for (int i = 0; i < 3 && study.phase == STUDY_TRAINING && study.task.task == task; i++) {
        *now = study.task.deadline_ms;
        assert_true(ok(tick(*now)));
    }
}

/* Too few reveal: the same sum is asked for again, of everybody, after a pause too. */
static void a_failed_reveal_is_asked_again(void **state)
{
    uint64_t now = 2000;
    (void)state;
    until_reveal(&now);
    uint32_t keys = study.keys, first = study.task.task;
    unsigned char input[PLAN_HASH_BYTES];
    memcpy(input, study.input, sizeof input);
    assert_int_equal(first, keys + TASK_STAGES - 1);
    for (uint32_t try = 1; try <= STUDY_ABORTS_MAX; try++) {
        assert_true(ok(deliver(0, ++now)));
        let_it_abort(&now);
        if (try == STUDY_ABORTS_MAX)
            break;
        assert_int_equal(study.phase, STUDY_TRAINING);
        assert_int_equal(study.task.kind, TASK_REVEAL);
        assert_int_equal(study.task.task, first + try);
        assert_memory_equal(study.input, input, sizeof input);
        assert_int_equal(study.task.sites[0].standing, STANDING_EXPECTED); /* once more */
    }
    assert_int_equal(study.phase, STUDY_PAUSED);
    assert_true(ok(step((struct study_event){.kind = STUDY_EVENT_RESUME, .now_ms = ++now})));
    assert_int_equal(study.task.kind, TASK_REVEAL);
    assert_memory_equal(study_input(&study), input, sizeof input);
    assert_int_equal(study.keys, keys);
    assert_int_equal(study.task.round, 1);
    /* The silent ones are back. */
    for (uint32_t s = 0; s < 3; s++) {
        assert_true(
            ok(step((struct study_event){.kind = STUDY_EVENT_HELLO, .site = s, .now_ms = ++now})));
        assert_true(ok(deliver(s, ++now)));
    }
    assert_int_equal(study.phase, STUDY_AGGREGATING);
    assert_true(ok(aggregate(++now)));
    assert_int_equal(study.round, 1);
    assert_int_equal(study.task.kind, TASK_KEYS);
    assert_true(study.keys > keys);
}

static struct result lose(uint32_t site, uint64_t now_ms)
{
    return step((struct study_event){.kind = STUDY_EVENT_DECLINED,
                                     .site = site,
                                     .task = study.task.task,
                                     .reason = "its disk is lost",
                                     .decline = DECLINE_REFUSED,
                                     .now_ms = now_ms});
}

/* A sum that nobody revealed, and that can never open, is given up; one that somebody revealed is
 * not, since that site would begin no other. */
static void a_reveal_that_nobody_began_may_be_given_up(void **state)
{
    uint64_t now = 2000;
    (void)state;
    until_reveal(&now);
    assert_true(ok(lose(2, ++now)));
    assert_int_equal(study.task.kind, TASK_KEYS);
    assert_int_equal(study.task.round, 1);
    now = 2000;
    until_reveal(&now);
    assert_true(ok(deliver(0, ++now)));
    assert_true(ok(lose(2, ++now)));
    assert_int_equal(study.phase, STUDY_PAUSED);
    assert_true(ok(step((struct study_event){.kind = STUDY_EVENT_RESUME, .now_ms = ++now})));
    assert_int_equal(study.task.kind, TASK_REVEAL);
    /* It is restored from a copy, and says yes now. */
    for (uint32_t s = 0; s < 3; s++)
        assert_true(ok(deliver(s, ++now)));
    assert_int_equal(study.phase, STUDY_AGGREGATING);
}

/* A site that missed a deadline, said hello, and is not needed, does not lose patience twice. */
static void a_miss_counts_once(void **state)
{
    uint64_t now = 2000;
    (void)state;
    launch(3, 0, 2);
    all_allow();
    assert_true(ok(deliver(0, ++now)));
    now = study.task.deadline_ms;
    assert_true(ok(tick(now))); /* one of two: extended */
    assert_int_equal(study.task.sites[2].standing, STANDING_MISSED);
    uint32_t misses = study.members[2].misses;
    study.task.quorum = 3;
    study.members[2].live = true;
    assert_true(ok(tick(study.task.nudge_ms)));
    assert_int_equal(study.members[2].misses, misses);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quarantine_and_release),
        cmocka_unit_test(runs_to_the_end),
        cmocka_unit_test(waits_for_humans_until_the_deadline),
        cmocka_unit_test(refusals_pause_with_a_reason),
        cmocka_unit_test(a_dead_site_costs_one_deadline),
        cmocka_unit_test(a_slow_site_sits_out_ever_longer),
        cmocka_unit_test(aborts_pause_and_resume),
        cmocka_unit_test(hopeless_tasks_pause_at_once),
        cmocka_unit_test(withheld_figures_do_not_stop_a_study),
        cmocka_unit_test(restart_repeats_what_may_be_lost),
        cmocka_unit_test(wrong_answers_are_refused),
        cmocka_unit_test(late_refusals_of_the_aggregation),
        cmocka_unit_test(a_failed_reveal_is_asked_again),
        cmocka_unit_test(a_reveal_that_nobody_began_may_be_given_up),
        cmocka_unit_test(a_miss_counts_once),
    };
    return cmocka_run_group_tests_name("study", tests, NULL, NULL);
}
