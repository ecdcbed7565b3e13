/* SPDX-License-Identifier: Apache-2.0 */
/* Validation of a finished study's model.
 *
 *   FINISHED ─VALIDATE─▶ VALIDATING ─task closed─▶ CONFIRMING ─POOLED─▶ FINISHED
 *                             └─STOP──────────────────▲
 *
 * Invariants:
 *  1. Rounds, models, the best candidate and the study's end stay as they were.
 *  2. Each VALIDATE leads to exactly one pooling, of whatever was counted, even of nothing: who did
 *     not answer is part of the result. There is no second try; whoever asks may ask again.
 *  3. Who is asked is fixed at the opening. The study's end says nothing about who is alive now, so
 *     all of them are waited for until the deadline. */
#include "coordinator/study_validate.h"

#include <string.h>

static bool takes_part(const struct study *study, const struct study_event *event, uint32_t site)
{
    return study->members[site].verdict == MEMBER_ALLOWED && (!event->asked || event->asked[site]);
}

struct result validate_open(struct study *study, const struct study_event *event,
                            struct effects *effects, struct why *why)
{
    struct round *task = &study->task;
    uint32_t asked = 0;
    if (study->phase != STUDY_FINISHED)
        return failed(why, RESULT_REFUSED,
                      "study '%s' is %s: only a finished study's model can be validated",
                      study->name, study_phase_name(study->phase));
    for (uint32_t i = 0; i < study->members_count; i++)
        asked += takes_part(study, event, i);
    if (asked == 0)
        return failed(why, RESULT_REFUSED, "none of the sites asked takes part in study '%s'",
                      study->name);
    memset(task, 0, sizeof *task);
    task->kind = TASK_EVALUATE;
    task->task = ++study->tasks;
    task->round = study->round;
    task->quorum = 1;
    task->allowance_ms = study->allowance_ms;
    task->sites_count = study->members_count;
    for (uint32_t i = 0; i < study->members_count; i++) {
        task->sites[i].standing = takes_part(study, event, i) ? STANDING_EXPECTED : STANDING_OUT;
        task->sites[i].epochs_after = event->epochs_after ? event->epochs_after[i] : 0;
    }
    memcpy(study->evaluation, event->evaluation, PLAN_HASH_BYTES);
    study->phase = STUDY_VALIDATING;
    effects->task = task->task;
    round_open(task, event->now_ms, effects);
    return DONE;
}

void validate_closed(struct study *study, struct effects *effects)
{
    study->phase = STUDY_CONFIRMING;
    effect_add(effects, EFFECT_POOL, EFFECT_EVERYBODY);
}

struct result validate_pooled(struct study *study, struct effects *effects)
{
    effect_store(effects);
    study->phase = STUDY_FINISHED;
    study->closed = study->task;
    for (uint32_t i = 0; i < study->members_count; i++)
        if (study->members[i].verdict == MEMBER_ALLOWED &&
            study->task.sites[i].standing != STANDING_OUT)
            effect_add(effects, EFFECT_CLOSED, i);
    return DONE;
}

struct result validate_stop(struct study *study, const struct study_event *event,
                            struct effects *effects)
{
    effect_store(effects);
    study->task.phase = ROUND_ABORTED;
    study->task.closed_ms = event->now_ms;
    reason_set(study->task.reason, event->reason);
    effect_note(effects, NOTE_TASK_ABORTED, EFFECT_EVERYBODY);
    validate_closed(study, effects);
    return DONE;
}
