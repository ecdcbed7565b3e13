/* SPDX-License-Identifier: Apache-2.0 */
/* Halving: alpha/2 + alpha/4 + ... never exceeds alpha, however many candidates come. */
#include "coordinator/validate/alpha_ledger.h"

#include <string.h>

static const int64_t MICRO = 1000000;
enum { TRIES_MAX = 40 };

static const char *const NAMES[] = {"fixed", "reset", "bac", "babr"};

const char *alpha_policy_name(enum alpha_policy policy)
{
    return NAMES[policy];
}

bool alpha_policy_from_name(const char *name, enum alpha_policy *policy)
{
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        if (strcmp(name, NAMES[i]) == 0) {
            *policy = (enum alpha_policy)i;
            return true;
        }
    }
    return false;
}

struct result alpha_ledger_init(struct alpha_ledger *ledger, enum alpha_policy policy,
                                int64_t total, struct why *why)
{
    if (policy != ALPHA_FIXED && policy != ALPHA_RESET)
        return failed(why, RESULT_INPUT, "this ledger keeps the policies fixed and reset");
    if (total <= 0 || total >= MICRO)
        return failed(why, RESULT_INPUT, "the total alpha must lie between 0 and 1");
    *ledger = (struct alpha_ledger){.policy = policy, .total = total};
    return DONE;
}

int64_t alpha_ledger_next(const struct alpha_ledger *ledger)
{
    return ledger->tries < TRIES_MAX ? ledger->total >> (ledger->tries + 1) : 0;
}

struct gate_ledger alpha_ledger_rule(const struct alpha_ledger *ledger)
{
    return (struct gate_ledger){
        .used = true,
        .by_bound = true,
        .alpha = alpha_ledger_next(ledger),
        .policy = alpha_policy_name(ledger->policy),
    };
}

void alpha_ledger_charge(struct alpha_ledger *ledger, bool promoted)
{
    ledger->spent += alpha_ledger_next(ledger);
    if (ledger->tries < TRIES_MAX)
        ledger->tries++;
    if (promoted && ledger->policy == ALPHA_RESET) {
        ledger->spent = 0;
        ledger->tries = 0;
    }
}
