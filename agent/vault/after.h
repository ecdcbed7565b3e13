/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluations of a finished study's model: whether the site takes part, and what they cost. */
#ifndef CONSILIUM_VAULT_AFTER_H
#define CONSILIUM_VAULT_AFTER_H

#include "agent/vault/vault.h"

/* What humans approve: the study's name with this behind it. */
#define AFTER_DECISION "/validation"

/* A refusal on its way to the coordinator. */
struct refusal {
    enum decline kind;
    struct why why;
};

/* Whether policy and humans allow it, and a signed round of the study named exactly this model. */
struct result after_check(const struct vault *vault, const struct ledger_study *study,
                          const struct message_task *order, struct refusal *refusal) MUST_CHECK;

/* Charges the figures of so many models when they are noised; once a task. */
struct result after_charge(struct vault *vault, const char *study, uint32_t task, size_t models,
                           struct refusal *refusal) MUST_CHECK;

#endif
