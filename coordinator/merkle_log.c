/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 6962, sections 2.1 to 2.1.2, over ranges of leaves that begin at multiples of their size's
 * next power of two: their left parts are complete and were hashed when they filled up. */
#include "coordinator/merkle_log.h"

#include <stdlib.h>
#include <string.h>

static bool put(struct merkle_log *log, int level, size_t at, const struct merkle_hash *hash)
{
    if (at >= log->capacity[level]) {
        size_t capacity = log->capacity[level] ? 2 * log->capacity[level] : 64;
        struct merkle_hash *grown = realloc(log->level[level], capacity * sizeof *grown);
        if (!grown)
            return false;
        log->level[level] = grown;
        log->capacity[level] = capacity;
    }
    log->level[level][at] = *hash;
    return true;
}

bool merkle_log_add(struct merkle_log *log, const struct merkle_hash *leaf)
{
    struct merkle_hash carry = *leaf;
    if (log->size == MERKLE_LOG_MAX)
        return false;
    size_t at = log->size;
    if (!put(log, 0, at, &carry))
        return false;
    for (int level = 0; at & 1; level++, at >>= 1) {
        carry = merkle_node(&log->level[level][at - 1], &carry);
        if (!put(log, level + 1, at >> 1, &carry))
            return false;
    }
    log->size++;
    return true;
}

void merkle_log_free(struct merkle_log *log)
{
    for (int k = 0; k < MERKLE_DEPTH_MAX; k++)
        free(log->level[k]);
    memset(log, 0, sizeof *log);
}

static size_t split_point(size_t n)
{
    size_t k = 1;
    while (k << 1 < n)
        k <<= 1;
    return k;
}

/* Root of [first, first + n), n > 0. */
static struct merkle_hash range(const struct merkle_log *log, size_t first, size_t n)
{
    struct merkle_hash part[MERKLE_DEPTH_MAX];
    int parts = 0;
    while (n > 0) {
        size_t k = n == 1 ? 1 : split_point(n);
        k = k << 1 == n ? n : k; /* a complete tree */
        part[parts++] = log->level[__builtin_ctzll(k)][first / k];
        first += k;
        n -= k;
    }
    struct merkle_hash root = part[--parts];
    while (parts > 0)
        root = merkle_node(&part[--parts], &root);
    return root;
}

struct merkle_hash merkle_log_root(const struct merkle_log *log, size_t size)
{
    return size ? range(log, 0, size) : merkle_root(0, NULL);
}

static void reverse(struct merkle_proof *proof)
{
    for (size_t i = 0, j = proof->count; i + 1 < j; i++) {
        struct merkle_hash swap = proof->hash[i];
        proof->hash[i] = proof->hash[--j];
        proof->hash[j] = swap;
    }
}

bool merkle_log_inclusion(const struct merkle_log *log, size_t size, size_t index,
                          struct merkle_proof *proof)
{
    size_t first = 0, n = size;
    proof->count = 0;
    if (size > log->size || index >= size)
        return false;
    while (n > 1) {
        size_t k = split_point(n);
        if (index < first + k) {
            proof->hash[proof->count++] = range(log, first + k, n - k);
            n = k;
        } else {
            proof->hash[proof->count++] = range(log, first, k);
            first += k;
            n -= k;
        }
    }
    reverse(proof);
    return true;
}

bool merkle_log_consistency(const struct merkle_log *log, size_t size, size_t old,
                            struct merkle_proof *proof)
{
    size_t first = 0, n = size;
    bool whole = true;
    proof->count = 0;
    if (size > log->size || old == 0 || old > size)
        return false;
    while (first + n > old) {
        size_t k = split_point(n);
        if (old <= first + k) {
            proof->hash[proof->count++] = range(log, first + k, n - k);
            n = k;
        } else {
            proof->hash[proof->count++] = range(log, first, k);
            first += k;
            n -= k;
            whole = false;
        }
    }
    if (!whole)
        proof->hash[proof->count++] = range(log, first, n);
    reverse(proof);
    return true;
}
