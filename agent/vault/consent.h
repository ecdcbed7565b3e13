/* SPDX-License-Identifier: Apache-2.0 */
/* Whether this site takes part in a study (pure): the facts in, a verdict with its sentence out.
 *
 *   facts, in this order                       verdict
 *   the study was allowed before               allowed
 *   a human refused this plan                  refused
 *   the policy says no                         refused, naming the bound
 *   the budget does not hold it                refused, naming what is left
 *   the data do not fit the plan               refused
 *   a human approved this plan                 allowed
 *   the policy allows within its bounds        allowed
 *   otherwise                                  asking
 *
 * A human cannot lift a bound of the policy or the budget: those are changed in their files. */
#ifndef CONSILIUM_VAULT_CONSENT_H
#define CONSILIUM_VAULT_CONSENT_H

#include "proto/message.h"
#include "proto/policy.h"

enum consent_human { HUMAN_SILENT, HUMAN_APPROVED, HUMAN_REFUSED };

struct consent_facts {
    bool decided_before; /* allowed: nothing is asked again */
    const char *reason_before;
    enum consent_human human;
    struct result policy; /* of policy_check */
    const char *policy_reason;
    struct result budget;
    const char *budget_reason;
    struct result data;
    const char *data_reason;
    enum policy_decision decision;
};

struct consent {
    enum study_verdict verdict;
    char reason[MESSAGE_REASON_BYTES]; /* for the researcher */
};

void consent_decide(const struct consent_facts *facts, struct consent *consent);

#endif
