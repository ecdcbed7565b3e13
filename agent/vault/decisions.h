/* SPDX-License-Identifier: Apache-2.0 */
/* The file in which the site's humans approve or refuse studies: one line per decision,
 * "approve STUDY PLAN-HASH" or "refuse STUDY PLAN-HASH". The last line on a plan holds. */
#ifndef CONSILIUM_VAULT_DECISIONS_H
#define CONSILIUM_VAULT_DECISIONS_H

#include "agent/vault/consent.h"

enum { DECISIONS_BYTES_MAX = 1 << 20 };

/* What the file on the held descriptor says of a plan. Lines of another form are passed over, so
 * that a torn last line decides nothing. */
struct result decisions_find(int fd, const char *study,
                             const unsigned char plan_hash[PLAN_HASH_BYTES],
                             enum consent_human *ret_human, struct why *why) MUST_CHECK;

/* The same on the file's text; text[n] is changed. */
enum consent_human decisions_parse(char *text, size_t n, const char *study, const char *hash_hex);

/* Appends a decision and syncs it. */
struct result decisions_append(int fd, bool approve, const char *study,
                               const unsigned char plan_hash[PLAN_HASH_BYTES],
                               struct why *why) MUST_CHECK;

#endif
