/* SPDX-License-Identifier: Apache-2.0 */
/* The log's Merkle tree with all its complete subtrees in memory (64 bytes an entry), so that roots
 * and proofs of any size take O(log^2 n) hashes. */
#ifndef CONSILIUM_COORDINATOR_MERKLE_LOG_H
#define CONSILIUM_COORDINATOR_MERKLE_LOG_H

#include "proto/merkle.h"

enum { MERKLE_LOG_MAX = 1 << 26 /* entries */ };

/* Start zeroed; end with merkle_log_free. */
struct merkle_log {
    size_t size;
    struct merkle_hash *level[MERKLE_DEPTH_MAX]; /* [size >> k] roots of 2^k leaves; owned */
    size_t capacity[MERKLE_DEPTH_MAX];
};

/* False, changing nothing that counts, without memory or past MERKLE_LOG_MAX. */
bool merkle_log_add(struct merkle_log *log, const struct merkle_hash *leaf);
void merkle_log_free(struct merkle_log *log);

/* Root of the first size entries; size at most the log's. */
struct merkle_hash merkle_log_root(const struct merkle_log *log, size_t size);

/* As merkle_inclusion and merkle_consistency, within the first size entries. */
bool merkle_log_inclusion(const struct merkle_log *log, size_t size, size_t index,
                          struct merkle_proof *proof);
bool merkle_log_consistency(const struct merkle_log *log, size_t size, size_t old,
                            struct merkle_proof *proof);

#endif
