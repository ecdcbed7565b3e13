/* SPDX-License-Identifier: Apache-2.0 */
/* Secure rounds on disk, from the masked update to the reveal, so that a vault that is started anew
 * still helps to open the sum that it is in. One held file with a place for each round; a place has
 * two halves, written in turn, so that a crash tears at most the newer one.
 *
 * Each half is of one size and sealed (XChaCha20-Poly1305, bound to its place) with a key derived
 * from the site's seal key. It holds shares of other sites' secrets and the keys of this site's
 * tags (privacy/mask.h): nothing that opens this site's own update. */
#ifndef CONSILIUM_VAULT_SECURE_KEPT_H
#define CONSILIUM_VAULT_SECURE_KEPT_H

#include "agent/vault/vault.h"

struct secure_round;

/* Writes the round that lies at vault->secure[place] and syncs it; after TRAIN only. */
struct result secure_kept_write(const struct vault *vault, size_t place,
                                struct why *why) MUST_CHECK;

/* Overwrites a place with zeros and syncs it. */
struct result secure_kept_erase(const struct vault *vault, size_t place,
                                struct why *why) MUST_CHECK;

/* At the vault's start, the ledger is open: fills vault->secure with the rounds that may still be
 * revealed, and erases all others. What does not open with this site's key, or is torn, is erased
 * and told in the log. */
struct result secure_kept_read(struct vault *vault, struct why *why) MUST_CHECK;

#endif
