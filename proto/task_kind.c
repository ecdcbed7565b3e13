/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of tasks: their names, and their order in a secure round. */
#include "proto/message.h"

static const enum task_kind STAGES[TASK_STAGES] = {TASK_KEYS, TASK_SHARES, TASK_TRAIN, TASK_AGREE,
                                                   TASK_REVEAL};

const char *task_kind_name(enum task_kind kind)
{
    switch (kind) {
    case TASK_TRAIN:
        return "train";
    case TASK_EVALUATE:
        return "evaluate";
    case TASK_KEYS:
        return "keys";
    case TASK_SHARES:
        return "shares";
    case TASK_AGREE:
        return "agree";
    case TASK_REVEAL:
        return "reveal";
    }
    return "unknown";
}

bool task_kind_known(uint32_t kind)
{
    return kind == TASK_EVALUATE || task_stage((enum task_kind)kind) > 0;
}

uint32_t task_stage(enum task_kind kind)
{
    for (uint32_t i = 0; i < TASK_STAGES; i++)
        if (STAGES[i] == kind)
            return i + 1;
    return 0;
}

enum task_kind task_of_stage(uint32_t stage)
{
    return STAGES[stage - 1];
}
