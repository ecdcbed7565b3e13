/* SPDX-License-Identifier: Apache-2.0 */
/* The stages of a secure round, for the engine of a study (pure).
 *
 *   KEYS ─▶ SHARES ─▶ TRAIN ─▶ AGREE ─▶ REVEAL ─▶ aggregate
 *
 * Each stage is a task of its own, with its deadline and its restarts, and asks only those that the
 * stage before counted: whoever drops out stays out until the next round's KEYS. Between two stages
 * the drive makes the next one's input from the words counted.
 *
 * A stage before REVEAL that aborts takes the round back to KEYS, with fresh secrets; what was
 * masked before stays closed for ever. A REVEAL that aborts is asked again, of the same sites, with
 * the same input and so for the same sum: sites that have revealed say the same again, and would
 * refuse to begin another sum of the round. Only when none has revealed, and too few of those that
 * agreed still take part, the round goes back to KEYS.
 *
 * Invariant: once REVEAL is open, its input and its round stay until the sum is open or no site is
 * counted and fewer than threshold could answer. */
#include "coordinator/study.h"

enum task_kind study_first_task(const struct study *study)
{
    return study->threshold > 0 ? TASK_KEYS : TASK_TRAIN;
}

/* Sites whose shares may still come; one that declined for good has lost them. */
static uint32_t holders(const struct study *study)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < study->members_count; i++) {
        const struct round_site *site = &study->task.sites[i];
        bool lost = site->standing == STANDING_DECLINED && site->decline == DECLINE_REFUSED;
        n += study->members[i].verdict == MEMBER_ALLOWED && !lost &&
             study_in_group(study, i, TASK_REVEAL);
    }
    return n;
}

enum task_kind study_next_try(const struct study *study)
{
    const struct round *task = &study->task;
    if (task->kind == TASK_EVALUATE)
        return task->kind;
    if (task->kind == TASK_REVEAL &&
        (round_tally(task, STANDING_COUNTED) > 0 || holders(study) >= study->threshold))
        return task->kind;
    return study_first_task(study);
}

bool study_in_group(const struct study *study, uint32_t site, enum task_kind kind)
{
    uint32_t stage = task_stage(kind);
    if (study->threshold == 0 || stage == 0)
        return true;
    return study->members[site].stage + 1 >= stage;
}

uint32_t study_task_quorum(const struct study *study, enum task_kind kind)
{
    switch (kind) {
    case TASK_EVALUATE:
        return 1;
    case TASK_AGREE:
    case TASK_REVEAL:
        return study->threshold;
    case TASK_TRAIN:
    case TASK_KEYS:
    case TASK_SHARES:
        break;
    }
    return study->quorum;
}

bool study_stage_done(struct study *study, struct effects *effects)
{
    const struct round *task = &study->task;
    uint32_t stage = task_stage(task->kind);
    for (uint32_t i = 0; i < task->sites_count; i++)
        if (task->sites[i].standing == STANDING_COUNTED)
            study->members[i].stage = stage;
    if (stage == TASK_STAGES)
        return false;
    study->phase = STUDY_RELAYING;
    effect_add(effects, EFFECT_RELAY, EFFECT_EVERYBODY);
    return true;
}
