/* SPDX-License-Identifier: Apache-2.0 */
/* The one way out: everything that was computed from patients, or says something about them,
 * becomes bytes for the network process here and nowhere else. Each release is checked against the
 * policy, written into the record that the site's humans read, and only then handed over. */
#ifndef CONSILIUM_VAULT_RELEASE_H
#define CONSILIUM_VAULT_RELEASE_H

#include "agent/vault/consent.h"
#include "agent/vault/vault.h"
#include "proto/payload.h"
#include "proto/payload_secure.h"

/* What stays at the site and is written to the ledger with the result. */
struct release_local {
    const unsigned char *bytes;
    size_t n;
};

/* What leaves on its way: an OBJECT_OFFER in the vault's first scratch message (unsigned), its
 * ciphertext, and the ledger knows it as the task's result. *ret_cipher is owned by the caller. */
struct result release_update(struct vault *vault, const struct ledger_study *study, uint32_t task,
                             const struct message_task *order, const struct payload_update *update,
                             const struct release_local *local, unsigned char **ret_cipher,
                             size_t *ret_n, struct why *why) MUST_CHECK;

/* The same for an evaluation, after the policy's form was put upon it: small cells suppressed,
 * figures rounded, histograms dropped or coarsened. noised: the figures are the noised ones. */
struct result release_evaluation(struct vault *vault, const struct ledger_study *study,
                                 uint32_t task, const struct message_task *order,
                                 struct payload_evaluation *evaluation, unsigned char **ret_cipher,
                                 size_t *ret_n, struct why *why) MUST_CHECK;

/* A word of a secure round: nothing of it comes from patients, and each leaves once. note: a
 * sentence for the record, such as whose inputs it opens. */
struct result release_word(struct vault *vault, const struct ledger_study *study, uint32_t task,
                           const struct message_task *order, const struct secure_word *word,
                           const char *note, unsigned char **ret_cipher, size_t *ret_n,
                           struct why *why) MUST_CHECK;

/* A result that was released before, from the outbox; the offer is in the first scratch message. */
struct result release_again(struct vault *vault, const struct ledger_study *study,
                            unsigned char **ret_cipher, size_t *ret_n, struct why *why) MUST_CHECK;

/* The site's answer to a study, into the first scratch message. fingerprint may be NULL; news: the
 * answer was not given before, so it is recorded. */
struct result release_answer(struct vault *vault, const char *study,
                             const unsigned char plan_hash[PLAN_HASH_BYTES],
                             const struct consent *consent, double epsilon_budget,
                             const unsigned char *fingerprint, bool news,
                             struct why *why) MUST_CHECK;

/* That the site takes no part in a task, into the first scratch message. The reason must not come
 * from patients. */
struct result release_declined(struct vault *vault, const char *study, uint32_t task,
                               enum decline kind, const char *reason, struct why *why) MUST_CHECK;

/* The policy's form upon an evaluation; pure. min_cell: the larger of policy and plan. */
void release_shape(struct payload_evaluation *evaluation, enum policy_metrics metrics,
                   unsigned min_cell, bool noised);

#endif
