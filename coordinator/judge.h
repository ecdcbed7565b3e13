/* SPDX-License-Identifier: Apache-2.0 */
/* From the sites' evaluations of a candidate to the gate's decision and its texts (pure). */
#ifndef CONSILIUM_COORDINATOR_JUDGE_H
#define CONSILIUM_COORDINATOR_JUDGE_H

#include "coordinator/pooling.h"
#include "coordinator/validate/gate.h"

/* Name of the model in use within the set that a last evaluation judges; it is the set's last. */
#define JUDGE_INCUMBENT "incumbent"

/* Kind of the store record that holds a judgement's audit entry. */
#define GATE_RECORD "gate"

struct judge_case {
    const struct study *study;
    const struct plan *plan;
    const struct pooling_input *inputs; /* [n] in ascending order of sites */
    size_t n;
    const struct gate_policy *policy; /* margin, minimum cell and subgroups come from the plan */
    const unsigned char *candidate;   /* [PLAN_HASH_BYTES] of the model's payload */
    const unsigned char *incumbent;   /* the same of the model in use, NULL = none */
    uint64_t now_ms;
};

/* Texts are owned: judgement_free. input and record are what gate_replay takes. */
struct judgement {
    enum gate_decision decision;
    char *input, *record;
    char *entry; /* for the audit log: JSON with the two texts as strings, byte for byte */
};

/* Every site that allowed the study counts in the quorum: who did not answer is there with its
 * reason. RESULT_SYSTEM without memory, RESULT_INPUT on an impossible policy. */
struct result judge(const struct judge_case *in, struct judgement *out, struct why *why) MUST_CHECK;
void judgement_free(struct judgement *judgement);

/* What two plans must share for one's model to stand in for the other's: label, features with their
 * coding, and the model's shape. SHA-256. */
void judge_family(const struct plan *plan, unsigned char out[PLAN_HASH_BYTES]);

#endif
