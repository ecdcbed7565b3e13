/* SPDX-License-Identifier: Apache-2.0 */
/* One study: the sequence of tasks from the researcher's launch to the finished model.
 *
 *   NONE ─LAUNCH─▶ GATHERING ─▶ TRAINING ─complete─▶ AGGREGATING ─AGGREGATED─┬─▶ TRAINING (next
 * round) ▲  │ aborted                              └─▶ EVALUATING └──┤ │ complete PAUSED ◀─ too
 * many┘      TRAINING or FINISHED ◀─POOLED─ POOLING ◀┘
 *
 * A secure round is five tasks: TRAINING ─complete─▶ RELAYING ─RELAYED─▶ TRAINING ..., and the last
 * one leads to AGGREGATING; one that aborts begins anew with fresh keys (study_secure.c).
 *
 * STOP is possible in every active phase; RESUME leads from PAUSED to a fresh task of the round.
 * A finished study's model may be evaluated again: study_validate.c.
 *
 * Invariants:
 *  1. round grows by one per AGGREGATED and never shrinks; the model changes only there.
 *  2. A task number is used once; every answer names it.
 *  3. At most STUDY_ABORTS_MAX tasks in a row abort before the study pauses.
 *  4. FINISHED implies round == rounds. */
#include "coordinator/study.h"

#include "coordinator/study_conduct.h"
#include "coordinator/study_validate.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void open_task(struct study *study, enum task_kind kind, uint64_t now_ms,
                      struct effects *effects);

static uint32_t tally(const struct study *study, enum member_verdict verdict)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < study->members_count; i++)
        n += study->members[i].verdict == verdict;
    return n;
}

static void pause_study(struct study *study, const char *reason, struct effects *effects)
{
    study->phase = STUDY_PAUSED;
    reason_set(study->reason, reason);
    effect_note(effects, NOTE_PAUSED, EFFECT_EVERYBODY);
}

static void finish(struct study *study, uint64_t now_ms, struct effects *effects)
{
    study->phase = STUDY_FINISHED;
    study->ended_ms = now_ms;
    effect_note(effects, NOTE_FINISHED, EFFECT_EVERYBODY);
}

static void tell_closed(struct study *study, struct effects *effects)
{
    study->closed = study->task;
    for (uint32_t i = 0; i < study->members_count; i++)
        if (study->members[i].verdict == MEMBER_ALLOWED)
            effect_add(effects, EFFECT_CLOSED, i);
}

/* The next task after a round's model (and its evaluation) are settled. */
static void proceed(struct study *study, uint64_t now_ms, struct effects *effects)
{
    if (study->round >= study->rounds)
        finish(study, now_ms, effects);
    tell_closed(study, effects);
    if (study->phase != STUDY_FINISHED)
        open_task(study, study_first_task(study), now_ms, effects);
}

static void abort_or_retry(struct study *study, enum task_kind kind, const char *reason,
                           uint64_t now_ms, struct effects *effects)
{
    char last[MESSAGE_REASON_BYTES]; /* opening a task wipes the old task's reason */
    reason_set(last, reason);
    reason_set(study->reason, last);
    tell_closed(study, effects);
    /* What sites refuse or decline once they do again, and each try would cost the others budget.
     */
    bool again = task_stage(kind) > 1 && study->threshold > 0; /* with sites that are back */
    if (++study->aborts < STUDY_ABORTS_MAX && (again || !round_hopeless(&study->task))) {
        open_task(study, kind == TASK_EVALUATE ? kind : study_first_task(study), now_ms, effects);
        return;
    }
    char text[2 * MESSAGE_REASON_BYTES];
    snprintf(text, sizeof text,
             "%u task%s in a row came to nothing; bring sites back, then resume. Last: %s",
             study->aborts, study->aborts == 1 ? "" : "s", last);
    pause_study(study, text, effects);
}

/* A site that dies costs one deadline. One that comes back and misses the next one too, because it
 * is slow or its line is bad, sits out 1, 3, 7, ... tasks, so that n tasks cost log n deadlines. */
static void lose_patience(struct study *study, struct study_member *member)
{
    uint32_t power = member->misses < STUDY_SKIP_LOG2_MAX ? member->misses : STUDY_SKIP_LOG2_MAX;
    member->live = false;
    member->misses++;
    member->ask_from = study->tasks + (1u << power);
}

/* What follows from a task that is no longer open. */
static void follow_up(struct study *study, uint64_t now_ms, struct effects *effects)
{
    for (uint32_t i = 0; i < study->members_count; i++)
        if (study->task.sites[i].standing == STANDING_MISSED && study->members[i].live)
            lose_patience(study, &study->members[i]);
    if (!study_task_open(study) || study->task.phase == ROUND_OPEN)
        return;
    if (study->phase == STUDY_VALIDATING)
        validate_closed(study, effects);
    else if (study->phase == STUDY_EVALUATING &&
             (study->task.phase == ROUND_COMPLETE || study_all_withhold(&study->task))) {
        study->phase = STUDY_POOLING;
        effect_add(effects, EFFECT_POOL, EFFECT_EVERYBODY);
    } else if (study->task.phase == ROUND_ABORTED) {
        abort_or_retry(study, study->task.kind, study->task.reason, now_ms, effects);
    } else if (study->threshold == 0 || !study_stage_done(study, effects)) {
        study->phase = STUDY_AGGREGATING;
        effect_add(effects, EFFECT_AGGREGATE, EFFECT_EVERYBODY);
    }
}

/* Sites that think are asked too: their steward's answer may have been lost. */
static bool undecided(const struct study_member *member)
{
    return member->verdict == MEMBER_INVITED || member->verdict == MEMBER_ASKING;
}

static void offer_to_undecided(const struct study *study, struct effects *effects)
{
    for (uint32_t i = 0; i < study->members_count; i++)
        if (undecided(&study->members[i]))
            effect_add(effects, EFFECT_OFFER, i);
}

/* Alive, and not sitting out. */
static bool ready_for(const struct study_member *member, uint32_t task)
{
    return member->verdict == MEMBER_ALLOWED && member->live && member->ask_from <= task;
}

static void open_task(struct study *study, enum task_kind kind, uint64_t now_ms,
                      struct effects *effects)
{
    struct round *task = &study->task;
    memset(task, 0, sizeof *task);
    task->kind = kind;
    task->task = ++study->tasks;
    task->round = kind == TASK_EVALUATE ? study->round : study->round + 1;
    task->quorum = study_task_quorum(study, kind);
    task->allowance_ms = study->allowance_ms;
    task->sites_count = study->members_count;
    uint32_t ready = 0;
    for (uint32_t i = 0; i < study->members_count; i++) {
        if (kind == TASK_KEYS)
            study->members[i].stage = 0;
        ready += study_in_group(study, i, kind) && ready_for(&study->members[i], task->task);
    }
    for (uint32_t i = 0; i < study->members_count; i++) {
        const struct study_member *member = &study->members[i];
        bool asked = ready >= task->quorum ? ready_for(member, task->task) : member->live;
        if (member->verdict == MEMBER_ALLOWED && study_in_group(study, i, kind))
            task->sites[i].standing = asked ? STANDING_EXPECTED : STANDING_AWAY;
    }
    study->phase = kind == TASK_EVALUATE ? STUDY_EVALUATING : STUDY_TRAINING;
    effects->task = task->task;
    round_open(task, now_ms, effects);
    offer_to_undecided(study, effects); /* a lost offer, or a lost answer to it */
    /* Too few allowed sites are left to ever reach the quorum: no use in trying again. */
    if (task->phase == ROUND_ABORTED)
        pause_study(study, task->reason, effects);
}

/* Starts training once nobody still thinks, or once the wait is over and the quorum stands. */
static void start_if_ready(struct study *study, uint64_t now_ms, struct effects *effects)
{
    uint32_t open = tally(study, MEMBER_INVITED) + tally(study, MEMBER_ASKING);
    uint32_t allowed = tally(study, MEMBER_ALLOWED);
    if (allowed + open < study->quorum) {
        effect_store(effects);
        char text[MESSAGE_REASON_BYTES];
        snprintf(text, sizeof text,
                 "%u of %u sites allow the study but its quorum is %u; ask the sites that refused, "
                 "then resume",
                 allowed, study->members_count, study->quorum);
        pause_study(study, text, effects);
        return;
    }
    if (allowed < study->quorum || (open > 0 && now_ms < study->gather_ms))
        return;
    effect_store(effects);
    study->started_ms = now_ms;
    open_task(study, study_first_task(study), now_ms, effects);
}

static struct result launch(struct study *study, const struct study_event *event,
                            struct effects *effects, struct why *why)
{
    const struct plan *plan = event->plan;
    if (study->phase != STUDY_NONE)
        return failed(why, RESULT_REFUSED, "study '%s' is launched already", study->name);
    if (plan->sites_count < 1 || plan->sites_count > PLAN_SITES_MAX ||
        plan->aggregation.quorum < 1 || plan->aggregation.quorum > plan->sites_count ||
        plan->training.rounds < 1 || !(plan->aggregation.deadline_s > 0) ||
        plan->aggregation.deadline_s > ROUND_ALLOWANCE_S_MAX)
        return failed(why, RESULT_REFUSED,
                      "study '%s': sites, quorum, rounds or deadline are out of bounds",
                      plan->study);
    effect_store(effects);
    snprintf(study->name, sizeof study->name, "%s", plan->study);
    memcpy(study->plan_hash, plan->hash, PLAN_HASH_BYTES);
    memcpy(study->model, event->model, PLAN_HASH_BYTES);
    study->phase = STUDY_GATHERING;
    study->rounds = plan->training.rounds;
    study->every = plan->validation.every;
    study->quorum = plan->aggregation.quorum;
    study->threshold = plan->aggregation.secure ? plan->aggregation.secure_threshold : 0;
    study->quorum = study->quorum > study->threshold ? study->quorum : study->threshold;
    study->allowance_ms = (uint64_t)(plan->aggregation.deadline_s * 1000);
    if (study->allowance_ms < 1)
        study->allowance_ms = 1;
    study->launched_ms = event->now_ms;
    study->gather_ms = event->now_ms + study->allowance_ms;
    study->nudge_ms = event->now_ms + ROUND_NUDGE_MS_MIN;
    study->best_score = (double)-INFINITY;
    study->members_count = plan->sites_count;
    for (uint32_t i = 0; i < plan->sites_count; i++) {
        snprintf(study->members[i].name, PLAN_NAME_BYTES, "%s", plan->sites[i].name);
        study->members[i].verdict = MEMBER_INVITED;
    }
    conduct_launch(study, plan);
    effect_note(effects, NOTE_LAUNCHED, EFFECT_EVERYBODY);
    offer_to_undecided(study, effects);
    return DONE;
}

static struct result step_task(struct study *study, const struct study_event *event,
                               enum round_event_kind kind, struct effects *effects, struct why *why)
{
    struct round_event inner = {
        .kind = kind,
        .now_ms = event->now_ms,
        .aside = conduct_aside(study, kind, event->site),
        .site = event->site,
        .digest = event->digest,
        .reason = event->reason,
        .decline = event->decline,
    };
    TRY(round_step(&study->task, &inner, effects, why));
    follow_up(study, event->now_ms, effects);
    return DONE;
}

/* Sets live; the caller has not emitted anything yet. */
static void mark_live(struct study *study, uint32_t site, struct effects *effects)
{
    if (study->members[site].live)
        return;
    effect_store(effects);
    study->members[site].live = true;
    if (study->started_ms > 0)
        effect_note(effects, NOTE_RETURNED, site);
}

/* Lets a site that is alive into the open task, unless it sits out and the others are enough. */
static struct result join(struct study *study, const struct study_event *event,
                          struct effects *effects, struct why *why)
{
    const struct round *task = &study->task;
    if (!study_in_group(study, event->site, task->kind))
        return DONE; /* it has no keys for the round under way, and waits for the next */
    uint32_t others = round_tally(task, STANDING_COUNTED) + round_tally(task, STANDING_EXPECTED);
    if (study->phase == STUDY_VALIDATING && task->sites[event->site].standing == STANDING_OUT)
        return DONE; /* it is not asked */
    if (!ready_for(&study->members[event->site], task->task) && others >= task->quorum &&
        task->sites[event->site].standing != STANDING_EXPECTED)
        return DONE;
    return step_task(study, event, ROUND_EVENT_JOIN, effects, why);
}

static struct result hello(struct study *study, const struct study_event *event,
                           struct effects *effects, struct why *why)
{
    struct study_member *member = &study->members[event->site];
    if (member->verdict == MEMBER_REVOKED)
        return failed(why, RESULT_REFUSED, "site '%s' is revoked", member->name);
    if (study->phase == STUDY_FINISHED || study->phase == STUDY_STOPPED) {
        if (member->verdict == MEMBER_ALLOWED)
            effect_add(effects, EFFECT_CLOSED, event->site);
        return DONE;
    }
    mark_live(study, event->site, effects);
    if (undecided(member) && !study_over(study))
        effect_add(effects, EFFECT_OFFER, event->site);
    if (member->verdict == MEMBER_ALLOWED && study_task_open(study))
        return join(study, event, effects, why);
    return DONE;
}

static struct result take_verdict(struct study *study, const struct study_event *event,
                                  struct effects *effects, struct why *why)
{
    static const struct {
        enum member_verdict member;
        enum note note;
    } MEANING[] = {
        [STUDY_ALLOWED] = {MEMBER_ALLOWED, NOTE_ALLOWED},
        [STUDY_ASKING] = {MEMBER_ASKING, NOTE_ASKING},
        [STUDY_REFUSED] = {MEMBER_REFUSED, NOTE_STUDY_REFUSED},
    };
    struct study_member *member = &study->members[event->site];
    if (event->verdict < STUDY_ALLOWED || event->verdict > STUDY_REFUSED)
        return failed(why, RESULT_REFUSED, "the answer is neither allow, ask nor refuse");
    if (member->verdict == MEMBER_REVOKED)
        return failed(why, RESULT_REFUSED, "site '%s' is revoked", member->name);
    if (study_over(study))
        return failed(why, RESULT_REFUSED, "study '%s' is over", study->name);
    enum member_verdict verdict = MEANING[event->verdict].member;
    if (member->verdict == MEMBER_ALLOWED && verdict == MEMBER_ASKING)
        return failed(why, RESULT_REFUSED, "study '%s' is already allowed by this site",
                      study->name);
    if (study_same_answer(member, event, verdict))
        return DONE;
    bool changed = member->verdict != verdict;
    effect_store(effects);
    member->verdict = verdict;
    member->live = true;
    member->declared_patients = event->declared_patients;
    member->epsilon_budget = event->epsilon_budget;
    if (event->fingerprint)
        memcpy(member->fingerprint, event->fingerprint, PLAN_HASH_BYTES);
    reason_set(member->reason, event->reason);
    if (changed)
        effect_note(effects, MEANING[event->verdict].note, event->site);
    if (study->phase == STUDY_GATHERING)
        start_if_ready(study, event->now_ms, effects);
    else if (study_task_open(study) && verdict == MEMBER_ALLOWED)
        return join(study, event, effects, why);
    else if (study_task_open(study) && verdict == MEMBER_REFUSED)
        return step_task(study, event, ROUND_EVENT_LEAVE, effects, why);
    return DONE;
}

static struct result answer(struct study *study, const struct study_event *event,
                            enum round_event_kind kind, struct effects *effects, struct why *why)
{
    TRY(study_check_answer(study, event->site, event->task, why));
    const struct round_site *site = &study->task.sites[event->site];
    if (kind == ROUND_EVENT_COUNT && round_took(site, event->digest)) {
        effect_add(effects, EFFECT_ACCEPTED, event->site);
        return DONE;
    }
    if (!study_task_open(study) || study->task.phase != ROUND_OPEN)
        return failed(why, RESULT_REFUSED, "study '%s': task %u is closed", study->name,
                      event->task);
    struct study_member *member = &study->members[event->site];
    bool was_live = member->live;
    uint32_t misses = member->misses, ask_from = member->ask_from;
    member->live = true;
    if (kind == ROUND_EVENT_COUNT)
        member->misses = member->ask_from = 0;
    struct result r = step_task(study, event, kind, effects, why);
    if (!ok(r)) {
        member->live = was_live;
        member->misses = misses;
        member->ask_from = ask_from;
    }
    return r;
}

static struct result aggregated(struct study *study, const struct study_event *event,
                                struct effects *effects, struct why *why)
{
    if (study->phase != STUDY_AGGREGATING || event->task != study->task.task)
        return failed(why, RESULT_REFUSED, "study '%s' waits for no aggregate of task %u",
                      study->name, event->task);
    bool arrived[PLAN_SITES_MAX]; /* refused before the aggregation */
    TRY(conduct_check(study, event, arrived, why));
    effect_store(effects);
    conduct_refuse(study, event, effects);
    if (!event->model) {
        effect_note(effects, NOTE_TASK_ABORTED, EFFECT_EVERYBODY);
        study->task.phase = ROUND_ABORTED;
        reason_set(study->task.reason, event->reason);
        abort_or_retry(study, study->task.kind, event->reason, event->now_ms, effects);
        return DONE;
    }
    study->round++;
    study->aborts = 0;
    study->reason[0] = '\0';
    memcpy(study->model, event->model, PLAN_HASH_BYTES);
    memcpy(study->candidate, event->candidate, PLAN_HASH_BYTES);
    memcpy(study->evaluation, event->evaluation, PLAN_HASH_BYTES);
    effect_note(effects, NOTE_MODEL, EFFECT_EVERYBODY);
    conduct_keep(study, event, arrived, effects);
    if (study_evaluation_due(study)) {
        tell_closed(study, effects);
        open_task(study, TASK_EVALUATE, event->now_ms, effects);
    } else {
        proceed(study, event->now_ms, effects);
    }
    return DONE;
}

static struct result pooled(struct study *study, const struct study_event *event,
                            struct effects *effects, struct why *why)
{
    if (study->phase == STUDY_CONFIRMING && event->task == study->task.task)
        return validate_pooled(study, effects);
    if (study->phase != STUDY_POOLING || event->task != study->task.task)
        return failed(why, RESULT_REFUSED, "study '%s' waits for no pooling of task %u",
                      study->name, event->task);
    effect_store(effects);
    study->aborts = 0;
    if (study->best_round == 0 || event->score > study->best_score) {
        study->best_round = study->round;
        study->best_score = isnan(event->score) ? (double)-INFINITY : event->score;
        memcpy(study->best, study->candidate, PLAN_HASH_BYTES);
    }
    effect_note(effects, NOTE_POOLED, EFFECT_EVERYBODY);
    proceed(study, event->now_ms, effects);
    return DONE;
}

static struct result stop(struct study *study, const struct study_event *event,
                          struct effects *effects, struct why *why)
{
    if (study->phase == STUDY_VALIDATING)
        return validate_stop(study, event, effects);
    if ((!study_active(study) && study->phase != STUDY_PAUSED) || study_over(study))
        return failed(why, RESULT_REFUSED, "study '%s' is over (%s)", study->name,
                      study_phase_name(study->phase));
    effect_store(effects);
    study->phase = STUDY_STOPPED;
    study->ended_ms = event->now_ms;
    reason_set(study->reason, event->reason);
    if (study->task.phase == ROUND_OPEN) {
        study->task.phase = ROUND_ABORTED;
        study->task.closed_ms = event->now_ms;
        reason_set(study->task.reason, event->reason);
    }
    effect_note(effects, NOTE_STOPPED, EFFECT_EVERYBODY);
    tell_closed(study, effects);
    return DONE;
}

static struct result resume(struct study *study, const struct study_event *event,
                            struct effects *effects, struct why *why)
{
    if (study->phase != STUDY_PAUSED)
        return failed(why, RESULT_REFUSED, "study '%s' is not paused (%s)", study->name,
                      study_phase_name(study->phase));
    effect_store(effects);
    effect_note(effects, NOTE_RESUMED, EFFECT_EVERYBODY);
    study->aborts = 0;
    study->reason[0] = '\0';
    if (study->started_ms == 0) {
        study->phase = STUDY_GATHERING;
        study->gather_ms = event->now_ms + study->allowance_ms;
        study->nudge_ms = event->now_ms + ROUND_NUDGE_MS_MIN;
        for (uint32_t i = 0; i < study->members_count; i++)
            if (study->members[i].verdict == MEMBER_REFUSED)
                study->members[i].verdict = MEMBER_INVITED;
        offer_to_undecided(study, effects);
        return DONE;
    }
    bool evaluates = study->task.kind == TASK_EVALUATE;
    open_task(study, evaluates ? TASK_EVALUATE : study_first_task(study), event->now_ms, effects);
    return DONE;
}

static struct result relayed(struct study *study, const struct study_event *event,
                             struct effects *effects, struct why *why)
{
    if (study->phase != STUDY_RELAYING || event->task != study->task.task)
        return failed(why, RESULT_REFUSED, "study '%s' waits for no input after task %u",
                      study->name, event->task);
    effect_store(effects);
    memcpy(study->input, event->input, PLAN_HASH_BYTES);
    open_task(study, task_of_stage(task_stage(study->task.kind) + 1), event->now_ms, effects);
    return DONE;
}

static struct result revoke(struct study *study, const struct study_event *event,
                            struct effects *effects, struct why *why)
{
    struct study_member *member = &study->members[event->site];
    if (member->verdict == MEMBER_REVOKED)
        return DONE;
    effect_store(effects);
    member->verdict = MEMBER_REVOKED;
    member->live = false;
    reason_set(member->reason, "revoked by the consortium");
    effect_note(effects, NOTE_REVOKED, event->site);
    if (study->phase == STUDY_GATHERING)
        start_if_ready(study, event->now_ms, effects);
    else if (study_task_open(study))
        return step_task(study, event, ROUND_EVENT_LEAVE, effects, why);
    return DONE;
}

static struct result tick(struct study *study, const struct study_event *event,
                          struct effects *effects, struct why *why)
{
    if (study_task_open(study))
        return step_task(study, event, ROUND_EVENT_TIMER, effects, why);
    if (study->phase != STUDY_GATHERING || event->now_ms < study->nudge_ms)
        return DONE;
    effect_store(effects);
    uint64_t waited = event->now_ms - study->launched_ms;
    uint64_t interval = waited < ROUND_NUDGE_MS_MIN ? ROUND_NUDGE_MS_MIN : waited;
    study->nudge_ms =
        event->now_ms + (interval > ROUND_NUDGE_MS_MAX ? ROUND_NUDGE_MS_MAX : interval);
    if (event->now_ms < study->gather_ms && study->nudge_ms > study->gather_ms)
        study->nudge_ms = study->gather_ms;
    offer_to_undecided(study, effects);
    start_if_ready(study, event->now_ms, effects);
    return DONE;
}

static struct result restart(struct study *study, const struct study_event *event,
                             struct effects *effects, struct why *why)
{
    switch (study->phase) {
    case STUDY_GATHERING:
        offer_to_undecided(study, effects);
        break;
    case STUDY_TRAINING:
    case STUDY_EVALUATING:
    case STUDY_VALIDATING:
        return step_task(study, event, ROUND_EVENT_RESTART, effects, why);
    case STUDY_AGGREGATING:
        effect_add(effects, EFFECT_AGGREGATE, EFFECT_EVERYBODY);
        break;
    case STUDY_POOLING:
    case STUDY_CONFIRMING:
        effect_add(effects, EFFECT_POOL, EFFECT_EVERYBODY);
        break;
    case STUDY_RELAYING:
        effect_add(effects, EFFECT_RELAY, EFFECT_EVERYBODY);
        break;
    case STUDY_NONE:
    case STUDY_PAUSED:
    case STUDY_FINISHED:
    case STUDY_STOPPED:
        break;
    }
    return DONE;
}

struct result study_step(struct study *study, const struct study_event *event,
                         struct effects *effects, struct why *why)
{
    effects->count = 0;
    effects->task = study->task.task;
    if (event->kind == STUDY_EVENT_LAUNCH)
        return launch(study, event, effects, why);
    if (study->phase == STUDY_NONE)
        return failed(why, RESULT_REFUSED, "the study is not launched");
    if (event->site >= study->members_count)
        return failed(why, RESULT_REFUSED, "study '%s' has no such site", study->name);
    switch (event->kind) {
    case STUDY_EVENT_LAUNCH:
        break;
    case STUDY_EVENT_HELLO:
        return hello(study, event, effects, why);
    case STUDY_EVENT_VERDICT:
        return take_verdict(study, event, effects, why);
    case STUDY_EVENT_DELIVERED:
        return answer(study, event, ROUND_EVENT_COUNT, effects, why);
    case STUDY_EVENT_REFUSED:
        return answer(study, event, ROUND_EVENT_REFUSE, effects, why);
    case STUDY_EVENT_DECLINED:
        return answer(study, event, ROUND_EVENT_DECLINE, effects, why);
    case STUDY_EVENT_AGGREGATED:
        return aggregated(study, event, effects, why);
    case STUDY_EVENT_POOLED:
        return pooled(study, event, effects, why);
    case STUDY_EVENT_REVOKED:
        return revoke(study, event, effects, why);
    case STUDY_EVENT_RELEASED:
        return conduct_release(study, event, effects, why);
    case STUDY_EVENT_STOP:
        return stop(study, event, effects, why);
    case STUDY_EVENT_RESUME:
        return resume(study, event, effects, why);
    case STUDY_EVENT_TIMER:
        return tick(study, event, effects, why);
    case STUDY_EVENT_RESTART:
        return restart(study, event, effects, why);
    case STUDY_EVENT_VALIDATE:
        return validate_open(study, event, effects, why);
    case STUDY_EVENT_RELAYED:
        return relayed(study, event, effects, why);
    }
    return failed(why, RESULT_REFUSED, "unknown event");
}
