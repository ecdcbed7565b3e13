/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 6962 Merkle trees over audit entries: roots, inclusion and consistency proofs, and the hash
 * chain. */
#ifndef CONSILIUM_MERKLE_H
#define CONSILIUM_MERKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MERKLE_HASH_BYTES = 32, MERKLE_DEPTH_MAX = 64, MERKLE_PROOF_MAX = 65 };

struct merkle_hash {
    unsigned char bytes[MERKLE_HASH_BYTES];
};

/* Hashes of a proof, in the order of RFC 6962 sections 2.1.1 and 2.1.2. */
struct merkle_proof {
    size_t count;
    struct merkle_hash hash[MERKLE_PROOF_MAX];
};

/* SHA-256(0x00 || entry) and SHA-256(0x01 || left || right). */
struct merkle_hash merkle_leaf(const void *entry, size_t length);
struct merkle_hash merkle_node(const struct merkle_hash *left, const struct merkle_hash *right);

/* Root of the first n leaf hashes; for n = 0 the hash of the empty string. O(n). */
struct merkle_hash merkle_root(size_t n, const struct merkle_hash *leaves);

/* Proof that leaf index is in the tree of n leaves; false unless index < n. */
bool merkle_inclusion(size_t n, const struct merkle_hash *leaves, size_t index,
                      struct merkle_proof *proof);

/* Proof that the tree of n leaves extends that of the first old; false unless 0 < old <= n. */
bool merkle_consistency(size_t n, const struct merkle_hash *leaves, size_t old,
                        struct merkle_proof *proof);

/* Verification needs no leaves: RFC 9162 sections 2.1.3.2 and 2.1.4.2. */
bool merkle_verify_inclusion(const struct merkle_hash *leaf, uint64_t index, uint64_t size,
                             const struct merkle_proof *proof, const struct merkle_hash *root);
bool merkle_verify_consistency(uint64_t old_size, uint64_t new_size,
                               const struct merkle_hash *old_root,
                               const struct merkle_hash *new_root,
                               const struct merkle_proof *proof);

/* A growing tree that keeps only its peaks: O(log n) memory and time per entry. Start zeroed. */
struct merkle_frontier {
    uint64_t size;
    struct merkle_hash
        peak[MERKLE_DEPTH_MAX]; /* peak[k] holds 2^k leaves when bit k of size is set */
};
void merkle_frontier_add(struct merkle_frontier *f, const struct merkle_hash *leaf);
struct merkle_hash merkle_frontier_root(const struct merkle_frontier *f);

#endif
