/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluations of a finished study's model: whether the site takes part, and what they cost. */
#ifndef CONSILIUM_VAULT_AFTER_H
#define CONSILIUM_VAULT_AFTER_H

#include "agent/vault/vault.h"
#include "proto/payload.h"

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

/* A look at newer epochs judges several models at once: whether the first is of this study, and
 * signed rounds of any study named each of the others to this site. Any other order passes. */
struct result after_models(const struct vault *vault, const struct ledger_study *study,
                           const struct message_task *order, const struct payload_model_set *models,
                           struct refusal *refusal) MUST_CHECK;

/* Notes the models of earlier studies that a task of a running study compares with: a later look
 * may name them again. */
struct result after_note(struct vault *vault, const char *study, const struct message_task *order,
                         const struct payload_model_set *models, struct why *why) MUST_CHECK;

/* Charges the figures of so many models when they are noised; once a task. */
struct result after_charge(struct vault *vault, const char *study, uint32_t task, size_t models,
                           struct refusal *refusal) MUST_CHECK;

#endif
