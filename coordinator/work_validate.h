/* SPDX-License-Identifier: Apache-2.0 */
/* Validations as work of the drive: opened on request or by a monitor's schedule, pooled once their
 * task is closed, stored and logged in the step that ends them. */
#ifndef CONSILIUM_COORDINATOR_WORK_VALIDATE_H
#define CONSILIUM_COORDINATOR_WORK_VALIDATE_H

#include "coordinator/drive_inner.h"
#include "coordinator/monitors.h"
#include "coordinator/validation.h"
#include "coordinator/work_look.h"

/* What is asked for. */
struct validate_order {
    const unsigned char *model;   /* [PLAN_HASH_BYTES] */
    const bool *asked;            /* by place in the study; NULL = every site that takes part */
    const char *asker;            /* who asks, or a monitor's owner */
    const unsigned char *command; /* [SESSION_ID_BYTES]; NULL = the schedule */
    bool look;
    const struct gate_look *gate; /* the gate judges: model is its candidate; else NULL */
    const json_t *evidence;       /* merged into the log entry: the signed command; may be NULL */
    uint64_t next_ms;             /* look of a schedule: when the next one is due */
};

/* Opens the task. RESULT_REFUSED with the reason. */
struct result validate_begin(struct drive *drive, struct running *running,
                             const struct validate_order *order, uint64_t now_ms,
                             struct why *why) MUST_CHECK;

/* EFFECT_POOL of a study in STUDY_CONFIRMING. */
struct result validate_pool(struct drive *drive, struct running *running, uint64_t now_ms,
                            struct why *why) MUST_CHECK;

/* The counted evaluations of a closed task as the store has them. Freed by the caller with
 * validate_inputs_free, also after an error. */
struct validate_inputs {
    size_t n;
    struct pooling_input list[PLAN_SITES_MAX];
};
struct result validate_read(struct drive *drive, const struct study *study, uint32_t task,
                            struct validate_inputs *inputs, struct why *why) MUST_CHECK;
void validate_inputs_free(struct validate_inputs *inputs);

#endif
