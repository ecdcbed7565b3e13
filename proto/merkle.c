/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 6962: a tree of n > 1 leaves splits at the largest power of two below n. */
#include "proto/merkle.h"

#include <sodium.h>
#include <string.h>

struct merkle_hash merkle_leaf(const void *entry, size_t length)
{
    static const unsigned char PREFIX = 0x00;
    struct merkle_hash out;
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, &PREFIX, 1);
    if (length > 0)
        crypto_hash_sha256_update(&state, entry, length);
    crypto_hash_sha256_final(&state, out.bytes);
    return out;
}

struct merkle_hash merkle_node(const struct merkle_hash *left, const struct merkle_hash *right)
{
    unsigned char text[1 + 2 * MERKLE_HASH_BYTES] = {0x01};
    memcpy(text + 1, left->bytes, MERKLE_HASH_BYTES);
    memcpy(text + 1 + MERKLE_HASH_BYTES, right->bytes, MERKLE_HASH_BYTES);
    struct merkle_hash out;
    crypto_hash_sha256(out.bytes, text, sizeof text);
    return out;
}

static size_t split_point(size_t n)
{
    size_t k = 1;
    while (k << 1 < n)
        k <<= 1;
    return k;
}

void merkle_frontier_add(struct merkle_frontier *f, const struct merkle_hash *leaf)
{
    struct merkle_hash carry = *leaf;
    int level = 0;
    for (; f->size >> level & 1; level++)
        carry = merkle_node(&f->peak[level], &carry);
    f->peak[level] = carry;
    f->size++;
}

struct merkle_hash merkle_frontier_root(const struct merkle_frontier *f)
{
    struct merkle_hash root;
    bool started = false;
    if (f->size == 0)
        crypto_hash_sha256(root.bytes, (const unsigned char *)"", 0);
    for (int level = 0; level < MERKLE_DEPTH_MAX; level++) {
        if (!(f->size >> level & 1))
            continue;
        root = started ? merkle_node(&f->peak[level], &root) : f->peak[level];
        started = true;
    }
    return root;
}

struct merkle_hash merkle_root(size_t n, const struct merkle_hash *leaves)
{
    struct merkle_frontier f = {0};
    for (size_t i = 0; i < n; i++)
        merkle_frontier_add(&f, &leaves[i]);
    return merkle_frontier_root(&f);
}

static void reverse(struct merkle_proof *proof)
{
    for (size_t i = 0, j = proof->count; i + 1 < j; i++) {
        struct merkle_hash swap = proof->hash[i];
        proof->hash[i] = proof->hash[--j];
        proof->hash[j] = swap;
    }
}

bool merkle_inclusion(size_t n, const struct merkle_hash *leaves, size_t index,
                      struct merkle_proof *proof)
{
    proof->count = 0;
    if (index >= n)
        return false;
    /* Downwards, so the hashes come last first. */
    while (n > 1) {
        size_t k = split_point(n);
        if (index < k) {
            proof->hash[proof->count++] = merkle_root(n - k, leaves + k);
            n = k;
        } else {
            proof->hash[proof->count++] = merkle_root(k, leaves);
            leaves += k;
            index -= k;
            n -= k;
        }
    }
    reverse(proof);
    return true;
}

bool merkle_consistency(size_t n, const struct merkle_hash *leaves, size_t old,
                        struct merkle_proof *proof)
{
    proof->count = 0;
    if (old == 0 || old > n)
        return false;
    bool whole = true; /* the old tree is still the complete left part: its root is known */
    while (old < n) {
        size_t k = split_point(n);
        if (old <= k) {
            proof->hash[proof->count++] = merkle_root(n - k, leaves + k);
            n = k;
        } else {
            proof->hash[proof->count++] = merkle_root(k, leaves);
            leaves += k;
            old -= k;
            n -= k;
            whole = false;
        }
    }
    if (!whole)
        proof->hash[proof->count++] = merkle_root(n, leaves);
    reverse(proof);
    return true;
}

static bool same(const struct merkle_hash *a, const struct merkle_hash *b)
{
    return memcmp(a->bytes, b->bytes, MERKLE_HASH_BYTES) == 0;
}

bool merkle_verify_inclusion(const struct merkle_hash *leaf, uint64_t index, uint64_t size,
                             const struct merkle_proof *proof, const struct merkle_hash *root)
{
    if (index >= size || proof->count > MERKLE_PROOF_MAX)
        return false;
    uint64_t fn = index;
    uint64_t sn = size - 1;
    struct merkle_hash r = *leaf;
    for (size_t i = 0; i < proof->count; i++) {
        if (sn == 0)
            return false;
        if (fn & 1 || fn == sn) {
            r = merkle_node(&proof->hash[i], &r);
            while (!(fn & 1) && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            r = merkle_node(&r, &proof->hash[i]);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && same(&r, root);
}

bool merkle_verify_consistency(uint64_t old_size, uint64_t new_size,
                               const struct merkle_hash *old_root,
                               const struct merkle_hash *new_root, const struct merkle_proof *proof)
{
    if (old_size == 0 || old_size > new_size || proof->count > MERKLE_PROOF_MAX)
        return false;
    if (old_size == new_size)
        return proof->count == 0 && same(old_root, new_root);
    bool power = (old_size & (old_size - 1)) == 0;
    if (!power && proof->count == 0)
        return false;
    /* A complete old tree starts the path itself; otherwise the proof's first hash does. */
    size_t next = power ? 0 : 1;
    struct merkle_hash fr = power ? *old_root : proof->hash[0];
    struct merkle_hash sr = fr;
    uint64_t fn = old_size - 1;
    uint64_t sn = new_size - 1;
    for (; fn & 1; fn >>= 1)
        sn >>= 1;
    for (; next < proof->count; next++) {
        const struct merkle_hash *c = &proof->hash[next];
        if (sn == 0)
            return false;
        if (fn & 1 || fn == sn) {
            fr = merkle_node(c, &fr);
            sr = merkle_node(c, &sr);
            while (!(fn & 1) && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            sr = merkle_node(&sr, c);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && same(&fr, old_root) && same(&sr, new_root);
}
