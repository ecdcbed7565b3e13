/* SPDX-License-Identifier: Apache-2.0 */
/* A later look of the gate at a submitted candidate: on whom, and against which models. */
#ifndef CONSILIUM_COORDINATOR_WORK_LOOK_H
#define CONSILIUM_COORDINATOR_WORK_LOOK_H

#include "coordinator/work_gate.h"

/* What the sites are asked: by place in the study, each about the epochs after the one that it had
 * when the candidate was submitted. Freed by gate_look_free. */
struct gate_look {
    unsigned char candidate[PLAN_HASH_BYTES];
    bool asked[PLAN_SITES_MAX];
    uint32_t epochs_after[PLAN_SITES_MAX];
    struct model_bytes set; /* candidate, earlier models, the one in use; owned */
    unsigned char set_hash[PLAN_HASH_BYTES];
    char *record; /* GATE_INCUMBENT_RECORD; owned */
};
void gate_look_free(struct gate_look *look);

/* Zeroed before. RESULT_REFUSED with the reason when there is nothing to look at, or too few sites
 * date their holdout epochs; RESULT_INPUT when no gate has judged the study's model. */
struct result gate_look_prepare(struct drive *drive, const struct running *running,
                                struct gate_look *look, struct why *why) MUST_CHECK;

#endif
