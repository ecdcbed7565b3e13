/* SPDX-License-Identifier: Apache-2.0 */
/* The computing of a task on the loaded study: a model set in, a sealed result out. */
#ifndef CONSILIUM_VAULT_WORK_H
#define CONSILIUM_VAULT_WORK_H

#include "agent/vault/vault.h"
#include "proto/payload.h"

/* Trains from the set's first model and releases the update. The ledger has the task as begun. */
struct result work_train(struct vault *vault, const struct ledger_study *study, uint32_t task,
                         const struct message_task *order, const struct payload_model_set *models,
                         unsigned char **ret_cipher, size_t *ret_n, struct why *why) MUST_CHECK;

/* Called on each update before it is encoded. The vault's own does nothing; the hostile site of
 * tests and demonstrations is the same program linked with another. */
void vault_tamper(float *update, size_t n);

/* Evaluates each model of the set on the holdout and releases the figures. */
struct result work_evaluate(struct vault *vault, const struct ledger_study *study, uint32_t task,
                            const struct message_task *order,
                            const struct payload_model_set *models, unsigned char **ret_cipher,
                            size_t *ret_n, struct why *why) MUST_CHECK;

#endif
