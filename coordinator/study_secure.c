/* SPDX-License-Identifier: Apache-2.0 */
/* The stages of a secure round, for the engine of a study (pure).
 *
 *   KEYS ─▶ SHARES ─▶ TRAIN ─▶ AGREE ─▶ REVEAL ─▶ aggregate
 *
 * Each stage is a task of its own, with its deadline and its restarts, and asks only those that the
 * stage before counted: whoever drops out stays out until the next round's KEYS. Between two stages
 * the drive makes the next one's input from the words counted. A stage that aborts takes the round
 * back to KEYS, with fresh secrets; what was masked before stays closed for ever. */
#include "coordinator/study.h"

enum task_kind study_first_task(const struct study *study)
{
    return study->threshold > 0 ? TASK_KEYS : TASK_TRAIN;
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
