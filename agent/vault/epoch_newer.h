/* SPDX-License-Identifier: Apache-2.0 */
/* Who of a holdout came after a given epoch: the patients that a later look at a model is about. */
#ifndef CONSILIUM_VAULT_EPOCH_NEWER_H
#define CONSILIUM_VAULT_EPOCH_NEWER_H

#include "agent/vault/epoch.h"

enum newer_fate {
    NEWER_SOME,
    NEWER_NONE,      /* every patient was in that epoch or in one before it */
    NEWER_FEW,       /* fewer than a cell */
    NEWER_TOO_CLOSE, /* fewer than a cell apart from something that may have been told before */
};

/* The patients of the chosen holdout who are in none of the line's epochs 1..after, ascending:
 * *ret_patients [*ret_n], owned by the caller (free).
 *
 * Whatever was or may be asked about this line is a set S(m, b): epoch m without the patients of
 * epochs 1..b. The answer is NEWER_SOME only if it is equal to each of them or differs from it by
 * at least cell patients, so that no two releases differ by a few. RESULT_SYSTEM without memory. */
struct result epoch_newer(const struct epoch_book *book, const char *line,
                          const struct epoch_choice *choice, uint32_t after, unsigned cell,
                          uint64_t **ret_patients, size_t *ret_n, enum newer_fate *ret_fate,
                          struct why *why) MUST_CHECK;

#endif
