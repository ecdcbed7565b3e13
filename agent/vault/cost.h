/* SPDX-License-Identifier: Apache-2.0 */
/* What a study costs a patient at this site, and whether the site's budget holds it. */
#ifndef CONSILIUM_VAULT_COST_H
#define CONSILIUM_VAULT_COST_H

#include "agent/vault/ledger.h"
#include "proto/policy.h"

/* The cost of the whole plan: all training steps of all rounds, and the noised evaluations.
 * declared_patients is the site's public constant. Zero everywhere for a plan without privacy.
 * The noise multiplier is the plan's, or calibrated to its epsilon (takes about a second).
 * Errors: RESULT_INPUT when the plan cannot be accounted for, RESULT_SYSTEM. */
struct result cost_of_plan(const struct plan *plan, uint64_t declared_patients,
                           struct ledger_charge *ret_charge, struct why *why) MUST_CHECK;

/* What so many rounds cost of the whole charge, for those who watch: at most the charge, which
 * stands whatever happens. */
double cost_so_far(const struct plan *plan, const struct ledger_study *study, uint32_t rounds,
                   uint64_t declared_patients);

/* Least noise multiplier, to three digits, with which the charged plan would cost epsilon at its
 * delta; NAN when none does. */
double cost_noise_that_fits(const struct ledger_charge *charge, double epsilon);

/* What the noised figures of so many models cost by themselves, of the whole charge; 0 when they
 * are not noised. */
double cost_of_figures(const struct plan *plan, size_t models);

/* Whether the charge fits beside everything the ledger has charged: within the policy's budget for
 * ever and, counting only the last 365 days, within that of a year. RESULT_REFUSED with a sentence
 * that says what the study costs, what is spent and what is left. A charge of zero always fits. */
struct result cost_fits(const struct ledger *ledger, const struct policy *policy, const char *study,
                        const struct ledger_charge *charge, uint64_t now_ms,
                        struct why *why) MUST_CHECK;

/* What was charged since since_ms, against a budget of epsilon at the policy's delta. */
struct cost_spent {
    double share;      /* of the budget, as the filter counts: 1 = all of it */
    double added;      /* the studies' epsilons added up */
    double in_advance; /* epsilon of all of it had the plans been fixed in advance; NaN = unknown */
};

/* RESULT_REFUSED when more is charged than such a budget holds. */
struct result cost_spent(const struct ledger *ledger, const struct policy *policy, double epsilon,
                         uint64_t since_ms, struct cost_spent *ret_spent,
                         struct why *why) MUST_CHECK;

/* Whether noised figures of so many more models, after a study of this plan, are inside the site's
 * budgets. RESULT_REFUSED with the sentence. */
struct result cost_after_fits(const struct ledger *ledger, const struct policy *policy,
                              const struct ledger_study *study, uint32_t models, double noise,
                              uint64_t now_ms, struct why *why) MUST_CHECK;

#endif
