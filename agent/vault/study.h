/* SPDX-License-Identifier: Apache-2.0 */
/* Studies at the site: offered, decided, answered. */
#ifndef CONSILIUM_VAULT_STUDY_H
#define CONSILIUM_VAULT_STUDY_H

#include "agent/vault/vault.h"

/* A coordinator's STUDY_OFFER envelope; leaves the answer in the first scratch message. */
struct result study_offer(struct vault *vault, const unsigned char *envelope, size_t n,
                          struct why *why) MUST_CHECK;

/* Decides a study of the ledger anew from the facts as they are now, and composes the answer.
 * *ret_news: the verdict differs from the one before. */
struct result study_decide(struct vault *vault, const char *study, bool *ret_news,
                           struct why *why) MUST_CHECK;

/* A message of the coordinator to this site of the wanted kind, into the scratch message. */
struct result study_from_coordinator(struct vault *vault, const unsigned char *envelope, size_t n,
                                     enum message_kind kind, struct message *message,
                                     struct why *why) MUST_CHECK;

#endif
