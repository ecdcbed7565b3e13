/* SPDX-License-Identifier: Apache-2.0 */
/* The gate's alpha policies that need no batches: fixed and reset. Alpha in millionths; pure. */
#ifndef CONSILIUM_COORDINATOR_VALIDATE_ALPHA_LEDGER_H
#define CONSILIUM_COORDINATOR_VALIDATE_ALPHA_LEDGER_H

#include "coordinator/validate/gate.h"

#include <stdint.h>

enum alpha_policy {
    ALPHA_FIXED, /* one budget for the whole life: candidate k gets alpha/2^k */
    ALPHA_RESET, /* the same, begun anew after each promotion */
    ALPHA_BAC,   /* aacp.h */
    ALPHA_BABR,  /* aacp.h */
};

/* "fixed", "reset", "bac", "babr". */
const char *alpha_policy_name(enum alpha_policy policy);
bool alpha_policy_from_name(const char *name, enum alpha_policy *policy);

struct alpha_ledger {
    enum alpha_policy policy; /* ALPHA_FIXED or ALPHA_RESET */
    int64_t total;            /* micro */
    int64_t spent;            /* micro, since the start or the last reset; never above total */
    unsigned tries;           /* candidates judged since then */
};

/* INPUT unless 0 < total < 1 and the policy is one of the two. */
struct result alpha_ledger_init(struct alpha_ledger *ledger, enum alpha_policy policy,
                                int64_t total, struct why *why) MUST_CHECK;

/* What the next candidate gets; 0 when the budget is used up (below a millionth). */
int64_t alpha_ledger_next(const struct alpha_ledger *ledger);

/* Rule 9 for the next candidate: the gate tests the pooled difference at this alpha. */
struct gate_ledger alpha_ledger_rule(const struct alpha_ledger *ledger);

/* Charges the candidate just judged, promoted or not. */
void alpha_ledger_charge(struct alpha_ledger *ledger, bool promoted);

#endif
