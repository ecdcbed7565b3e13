/* SPDX-License-Identifier: Apache-2.0 */
/* One task: who is waited for, what counts once, when it closes; every refusal changes nothing. */
#include "coordinator/round.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct round task;
static struct round before;
static struct effects effects;
static char trace[4096];

/* The effects as one readable line: "store note:counted@1 task@0". */
static const char *trace_effects(void)
{
    static const char *const NAMES[] = {
        [EFFECT_STORE] = "store", [EFFECT_NOTE] = "note:",     [EFFECT_OFFER] = "offer",
        [EFFECT_TASK] = "task",   [EFFECT_ACCEPTED] = "taken", [EFFECT_AGGREGATE] = "aggregate",
        [EFFECT_POOL] = "pool",   [EFFECT_CLOSED] = "closed",
    };
    size_t n = 0;
    trace[0] = '\0';
    for (size_t i = 0; i < effects.count; i++) {
        const struct effect *e = &effects.list[i];
        n += (size_t)snprintf(trace + n, sizeof trace - n, "%s%s%s", i ? " " : "", NAMES[e->kind],
                              e->kind == EFFECT_NOTE ? note_name(e->note) : "");
        if (e->site != EFFECT_EVERYBODY)
            n += (size_t)snprintf(trace + n, sizeof trace - n, "@%u", e->site);
    }
    return trace;
}

static void open_with(uint32_t sites, uint32_t quorum)
{
    memset(&task, 0, sizeof task);
    task.kind = TASK_TRAIN;
    task.task = 7;
    task.round = 3;
    task.quorum = quorum;
    task.allowance_ms = 8000;
    task.sites_count = sites;
    for (uint32_t i = 0; i < sites; i++)
        task.sites[i].standing = STANDING_EXPECTED;
    effects.count = 0;
    round_open(&task, 1000, &effects);
}

static struct result step(enum round_event_kind kind, uint32_t site, uint64_t now_ms)
{
    static const unsigned char digest[PLAN_HASH_BYTES] = {1, 2, 3};
    struct round_event event = {.kind = kind, .site = site, .now_ms = now_ms, .digest = digest};
    if (kind == ROUND_EVENT_DECLINE || kind == ROUND_EVENT_REFUSE)
        event.reason = "because";
    effects.count = 0;
    before = task;
    return round_step(&task, &event, &effects, NULL);
}

static void assert_unchanged(void)
{
    assert_memory_equal(&before, &task, sizeof task);
}

static void closes_when_all_answered(void **state)
{
    (void)state;
    open_with(3, 2);
    assert_string_equal(trace_effects(), "store note:task-opened task@0 task@1 task@2");
    assert_true(ok(step(ROUND_EVENT_COUNT, 0, 1100)));
    assert_string_equal(trace_effects(), "store note:counted@0 taken@0");
    assert_true(ok(step(ROUND_EVENT_DECLINE, 1, 1200)));
    assert_string_equal(trace_effects(), "store note:declined@1");
    assert_true(ok(step(ROUND_EVENT_COUNT, 2, 1300)));
    assert_string_equal(trace_effects(), "store note:counted@2 taken@2 note:task-completed");
    assert_int_equal(task.phase, ROUND_COMPLETE);
    assert_int_equal(round_wake(&task), UINT64_MAX);
}

static void counts_once(void **state)
{
    (void)state;
    open_with(3, 2);
    assert_true(ok(step(ROUND_EVENT_COUNT, 0, 1100)));
    assert_true(ok(step(ROUND_EVENT_COUNT, 0, 1150)));
    assert_string_equal(trace_effects(), "taken@0");
    assert_unchanged();
    unsigned char other[PLAN_HASH_BYTES] = {9};
    struct round_event event = {.kind = ROUND_EVENT_COUNT,
                                .site = 0,
                                .now_ms = 1200,
                                .digest = other};
    before = task;
    assert_int_equal(round_step(&task, &event, &effects, NULL).code, RESULT_REFUSED);
    assert_unchanged();
    assert_int_equal(step(ROUND_EVENT_DECLINE, 0, 1300).code, RESULT_REFUSED);
    assert_unchanged();
    assert_int_equal(step(ROUND_EVENT_COUNT, 3, 1300).code, RESULT_REFUSED);
    assert_unchanged();
    assert_int_equal(round_tally(&task, STANDING_COUNTED), 1);
}

static void deadline_with_quorum(void **state)
{
    (void)state;
    open_with(3, 2);
    assert_true(ok(step(ROUND_EVENT_COUNT, 0, 1100)));
    assert_true(ok(step(ROUND_EVENT_COUNT, 1, 1200)));
    assert_true(ok(step(ROUND_EVENT_TIMER, 0, 1300))); /* spurious */
    assert_unchanged();
    assert_int_equal(round_wake(&task), 3000);
    assert_true(ok(step(ROUND_EVENT_TIMER, 0, 3001)));
    assert_string_equal(trace_effects(), "store task@2");
    assert_true(ok(step(ROUND_EVENT_TIMER, 0, 9000)));
    assert_string_equal(trace_effects(), "store note:missed@2 note:task-completed");
    assert_int_equal(step(ROUND_EVENT_COUNT, 2, 9001).code, RESULT_REFUSED);
    assert_unchanged();
}

static void deadline_without_quorum(void **state)
{
    (void)state;
    open_with(3, 2);
    assert_true(ok(step(ROUND_EVENT_COUNT, 0, 1100)));
    assert_true(ok(step(ROUND_EVENT_TIMER, 0, 9500)));
    assert_string_equal(trace_effects(), "store note:missed@1 note:missed@2 note:extended");
    assert_int_equal(task.deadline_ms, 17500);
    assert_true(ok(step(ROUND_EVENT_JOIN, 1, 10000)));
    assert_string_equal(trace_effects(), "store task@1");
    /* One that missed the deadline may still answer; nobody waits for the other one. */
    assert_true(ok(step(ROUND_EVENT_COUNT, 1, 11000)));
    assert_string_equal(trace_effects(), "store note:counted@1 taken@1 note:task-completed");

    open_with(3, 2);
    assert_true(ok(step(ROUND_EVENT_TIMER, 0, 9000)));
    assert_true(ok(step(ROUND_EVENT_TIMER, 0, 17000)));
    assert_string_equal(trace_effects(), "store note:task-aborted");
    assert_non_null(strstr(task.reason, "quorum"));
}

static void aborts_at_once_when_hopeless(void **state)
{
    (void)state;
    open_with(3, 2);
    assert_true(ok(step(ROUND_EVENT_DECLINE, 0, 1100)));
    assert_true(ok(step(ROUND_EVENT_REFUSE, 1, 1200)));
    assert_string_equal(trace_effects(), "store note:refused@1 note:task-aborted");
    assert_int_equal(task.phase, ROUND_ABORTED);
    assert_string_equal(task.sites[0].reason, "because");
}

static void the_dead_are_not_waited_for(void **state)
{
    (void)state;
    memset(&task, 0, sizeof task);
    task.task = 1;
    task.quorum = 1;
    task.allowance_ms = 8000;
    task.sites_count = 3;
    task.sites[0].standing = STANDING_EXPECTED;
    task.sites[1].standing = STANDING_AWAY;
    effects.count = 0;
    round_open(&task, 1000, &effects);
    assert_string_equal(trace_effects(), "store note:task-opened task@0");
    assert_true(ok(step(ROUND_EVENT_LEAVE, 1, 1050)));
    assert_true(ok(step(ROUND_EVENT_COUNT, 0, 1100)));
    assert_int_equal(task.phase, ROUND_COMPLETE);
}

static void restart_sends_again(void **state)
{
    (void)state;
    open_with(2, 2);
    assert_true(ok(step(ROUND_EVENT_COUNT, 0, 1100)));
    assert_true(ok(step(ROUND_EVENT_RESTART, 0, 90000)));
    assert_string_equal(trace_effects(), "store task@1");
    assert_int_equal(task.deadline_ms, 98000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closes_when_all_answered),
        cmocka_unit_test(counts_once),
        cmocka_unit_test(deadline_with_quorum),
        cmocka_unit_test(deadline_without_quorum),
        cmocka_unit_test(aborts_at_once_when_hopeless),
        cmocka_unit_test(the_dead_are_not_waited_for),
        cmocka_unit_test(restart_sends_again),
    };
    return cmocka_run_group_tests_name("round", tests, NULL, NULL);
}
