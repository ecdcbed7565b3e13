/* SPDX-License-Identifier: Apache-2.0 */
/* From the sites' evaluations of a candidate to the gate's decision and its texts (pure). */
#ifndef CONSILIUM_COORDINATOR_JUDGE_H
#define CONSILIUM_COORDINATOR_JUDGE_H

#include "coordinator/pooling.h"
#include "coordinator/validate/family_ledger.h"
#include "coordinator/validate/gate.h"
#include "coordinator/validate/pccp.h"

/* Name of the model in use within the set that a last evaluation judges; it is the set's last. */
#define JUDGE_INCUMBENT "incumbent"

/* Kind of the store record that holds a judgement's audit entry. */
#define GATE_RECORD "gate"

/* Rule 1: the change as the plan for changes agreed beforehand sees it. */
struct judge_change {
    const struct pccp *pccp; /* NULL: none is in force */
    const char *sha256;      /* of its text */
    const struct plan
        *before; /* of the model in use that the candidate would replace; NULL: none */
    const unsigned char *model; /* [PLAN_HASH_BYTES] that model */
};

/* An earlier model of the family in the judged set besides the one in use. */
struct judge_compared {
    char name[PLAN_NAME_BYTES];
    unsigned char model[PLAN_HASH_BYTES];
};

/* Rule 9: the family's ledger, which the judgement moves when it comes that far. */
struct judge_ledger {
    struct family_ledger *ledger;
    const struct ledger_policy *policy;
    const struct judge_compared *compared; /* [n_compared] */
    size_t n_compared;
};

struct judge_case {
    const struct study *study;
    const struct plan *plan;
    const struct pooling_input *inputs; /* [n] in ascending order of sites */
    size_t n;
    const struct gate_policy *policy;  /* margin, minimum cell and subgroups come from the plan */
    const unsigned char *candidate;    /* [PLAN_HASH_BYTES] of the model's payload */
    const unsigned char *incumbent;    /* the same of the model in use, NULL = none */
    const struct judge_change *change; /* NULL: no change control plan */
    const struct judge_ledger *ledger; /* NULL: no alpha ledger */
    uint64_t now_ms;
};

/* Texts are owned: judgement_free. input and record are what gate_replay takes. */
struct judgement {
    enum gate_decision decision;
    bool ledger_moved;
    char *input, *record;
    char *ledger; /* the family's ledger after it; NULL without one */
    char *entry;  /* for the audit log: JSON with the texts of input and record as strings, byte for
                   * byte, and the ledger's hash */
};

/* Every site that allowed the study counts in the quorum: who did not answer is there with its
 * reason. RESULT_SYSTEM without memory, RESULT_INPUT on an impossible policy or a full ledger. */
struct result judge(const struct judge_case *in, struct judgement *out, struct why *why) MUST_CHECK;
void judgement_free(struct judgement *judgement);

/* What two plans must share for one's model to stand in for the other's: label, features with their
 * coding, and the model's shape. SHA-256. */
void judge_family(const struct plan *plan, unsigned char out[PLAN_HASH_BYTES]);

#endif
