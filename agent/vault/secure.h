/* SPDX-License-Identifier: Apache-2.0 */
/* The site's part in the rounds of a secure study (privacy/mask.h): keys, shares, the masked
 * update, the agreement on who delivered, the shares that open the sum.
 *
 * Until the update is masked, keys and seeds live in this process's memory alone: a vault that was
 * started anew before has lost them, declines the rest of the round, as a site that dropped out,
 * and takes part again in the next. From then on what agreeing and revealing need is on disk
 * (secure_kept.h), written before the stage's answer leaves, and erased with the reveal, the next
 * round's keys or the study's end: a vault that is started anew goes on.
 *
 * What must hold through restarts is in the ledger: a task is begun there, with the hash of its
 * input and so with the one list of survivors, before anything leaves; and a round for which this
 * site began to reveal shares is answered again for exactly that list, in the very same words, and
 * never for another. */
#ifndef CONSILIUM_VAULT_SECURE_H
#define CONSILIUM_VAULT_SECURE_H

#include "agent/vault/after.h"
#include "agent/vault/vault.h"
#include "proto/payload.h"
#include "proto/payload_secure.h"

enum { SECURE_ROUNDS_MAX = 8 /* secure studies under way at a time */ };

/* Whether the order may be begun: it fits the plan's mode, the round was not revealed before, and
 * the round's earlier stages happened in this process. Changes nothing. RESULT_REFUSED with
 * type and sentence for the coordinator. */
struct result secure_fits(const struct vault *vault, const struct ledger_study *study,
                          uint32_t task, const struct message_task *order,
                          struct refusal *refusal) MUST_CHECK;

/* Carries out any stage but TRAIN, given its input's plaintext; the ledger has the task as begun.
 * Sentences of errors hold nothing of patients. */
struct result secure_word(struct vault *vault, const struct ledger_study *study, uint32_t task,
                          const struct message_task *order, const unsigned char *input, size_t n,
                          unsigned char **ret_cipher, size_t *ret_n, struct why *why) MUST_CHECK;

/* TRAIN: takes the shares of its input in. The round's model is then secure_models. */
struct result secure_shares(struct vault *vault, const struct ledger_study *study,
                            const struct message_task *order, const unsigned char *input, size_t n,
                            struct why *why) MUST_CHECK;
const struct payload_model_set *secure_models(const struct vault *vault,
                                              const struct ledger_study *study);

/* Masks values[d], once a round, and keeps on disk what the later stages need. */
struct result secure_mask(struct vault *vault, const struct ledger_study *study, uint64_t *values,
                          size_t d, struct why *why) MUST_CHECK;

/* The study is over: what it kept is wiped and erased. */
void secure_over(struct vault *vault, const char *study);

/* Wipes memory; what is on disk waits for the next start. */
void secure_end(struct vault *vault);

#endif
