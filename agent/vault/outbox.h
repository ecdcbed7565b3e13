/* SPDX-License-Identifier: Apache-2.0 */
/* Sealed results on disk until the coordinator has them: one held file, a place for each study's
 * last result. The ledger says what lies where; the outbox itself only keeps bytes. */
#ifndef CONSILIUM_VAULT_OUTBOX_H
#define CONSILIUM_VAULT_OUTBOX_H

#include "agent/vault/ledger.h"

/* Places n bytes where no result that the ledger still needs lies, syncs them, and tells where.
 * except: the study whose earlier result may be overwritten. */
struct result outbox_keep(int fd, const struct ledger *ledger, const char *except,
                          const unsigned char *bytes, size_t n, uint64_t *ret_offset,
                          struct why *why) MUST_CHECK;

/* Reads a study's sealed result and checks it against its offer. *ret_bytes is owned by the caller
 * (free). RESULT_REFUSED when the file does not hold it any more. */
struct result outbox_get(int fd, const struct ledger_release *release, unsigned char **ret_bytes,
                         size_t *ret_n, struct why *why) MUST_CHECK;

#endif
