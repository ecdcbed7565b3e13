/* SPDX-License-Identifier: Apache-2.0 */
/* One study: the sequence of tasks from the researcher's launch to the finished model.
 *
 *   NONE -LAUNCH-> GATHERING -> TRAINING -complete-> AGGREGATING -AGGREGATED-> next
 *   next:     TRAINING of the next round, or
 *             EVALUATING -complete-> POOLING -POOLED-> TRAINING or FINISHED
 *   aborted:  the same kind of task again; too many in a row: PAUSED -RESUME-> again
 *
 * A secure round is five tasks: TRAINING -complete-> RELAYING -RELAYED-> TRAINING ..., and the last
 * one leads to AGGREGATING; what happens when one aborts: study_secure.c.
 *
 * STOP is possible in every active phase. Here are launch, results and what operators do; how tasks
 * open and end is in study_task.c, what sites say in study_site.c. A finished study's model may be
 * evaluated again: study_validate.c.
 *
 * Invariants:
 *  1. round grows by one per AGGREGATED and never shrinks; the model changes only there.
 *  2. A task number is used once; every answer names it.
 *  3. At most STUDY_ABORTS_MAX tasks in a row abort before the study pauses.
 *  4. FINISHED implies round == rounds. */
#include "coordinator/study.h"

#include "coordinator/study_conduct.h"
#include "coordinator/study_inner.h"
#include "coordinator/study_validate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

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
    study_offer_to_undecided(study, effects);
    return DONE;
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
        study_abort_or_retry(study, event->reason, event->now_ms, effects);
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
        study_tell_closed(study, effects);
        study_open_task(study, TASK_EVALUATE, event->now_ms, effects);
    } else {
        study_proceed(study, event->now_ms, effects);
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
    study_proceed(study, event->now_ms, effects);
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
    study_tell_closed(study, effects);
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
        study_offer_to_undecided(study, effects);
        return DONE;
    }
    study_open_task(study, study_next_try(study), event->now_ms, effects);
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
    study_open_task(study, task_of_stage(task_stage(study->task.kind) + 1), event->now_ms, effects);
    return DONE;
}

static struct result tick(struct study *study, const struct study_event *event,
                          struct effects *effects, struct why *why)
{
    if (study_task_open(study))
        return study_step_task(study, event, ROUND_EVENT_TIMER, effects, why);
    if (study->phase != STUDY_GATHERING || event->now_ms < study->nudge_ms)
        return DONE;
    effect_store(effects);
    uint64_t waited = event->now_ms - study->launched_ms;
    uint64_t interval = waited < ROUND_NUDGE_MS_MIN ? ROUND_NUDGE_MS_MIN : waited;
    study->nudge_ms =
        event->now_ms + (interval > ROUND_NUDGE_MS_MAX ? ROUND_NUDGE_MS_MAX : interval);
    if (event->now_ms < study->gather_ms && study->nudge_ms > study->gather_ms)
        study->nudge_ms = study->gather_ms;
    study_offer_to_undecided(study, effects);
    study_start_if_ready(study, event->now_ms, effects);
    return DONE;
}

static struct result restart(struct study *study, const struct study_event *event,
                             struct effects *effects, struct why *why)
{
    switch (study->phase) {
    case STUDY_GATHERING:
        study_offer_to_undecided(study, effects);
        break;
    case STUDY_TRAINING:
    case STUDY_EVALUATING:
    case STUDY_VALIDATING:
        return study_step_task(study, event, ROUND_EVENT_RESTART, effects, why);
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
        return study_hello(study, event, effects, why);
    case STUDY_EVENT_VERDICT:
        return study_take_verdict(study, event, effects, why);
    case STUDY_EVENT_DELIVERED:
        return study_answer(study, event, ROUND_EVENT_COUNT, effects, why);
    case STUDY_EVENT_REFUSED:
        return study_answer(study, event, ROUND_EVENT_REFUSE, effects, why);
    case STUDY_EVENT_DECLINED:
        return study_answer(study, event, ROUND_EVENT_DECLINE, effects, why);
    case STUDY_EVENT_AGGREGATED:
        return aggregated(study, event, effects, why);
    case STUDY_EVENT_POOLED:
        return pooled(study, event, effects, why);
    case STUDY_EVENT_REVOKED:
        return study_revoke(study, event, effects, why);
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
