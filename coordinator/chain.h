/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log's hash chain: h_i = H(h_{i-1} || H(entry_i)), H = SHA-256, h_0 = 32 zero bytes; the
 * coordinator signs every h_i with its place in the log (Ed25519). */
#ifndef CONSILIUM_COORDINATOR_CHAIN_H
#define CONSILIUM_COORDINATOR_CHAIN_H

#include "proto/base/result.h"

#include <stddef.h>
#include <stdint.h>

enum {
    CHAIN_HASH_BYTES = 32,
    CHAIN_SIGNATURE_BYTES = 64,
    CHAIN_PUBLIC_BYTES = 32,
    CHAIN_SECRET_BYTES = 64,
    CHAIN_ENTRY_MAX = 512 * 1024, /* bytes of one entry */
};

/* The log so far. Zero-initialised: the empty log. */
struct chain_head {
    uint64_t count; /* entries */
    unsigned char hash[CHAIN_HASH_BYTES];
};

/* Extends head by one entry. */
void chain_extend(struct chain_head *head, const void *entry, size_t n);

/* Signs "consilium log 1" || count (8 bytes, little endian) || hash. */
void chain_sign(const struct chain_head *head, const unsigned char secret[CHAIN_SECRET_BYTES],
                unsigned char signature[CHAIN_SIGNATURE_BYTES]);

bool chain_signed_by(const struct chain_head *head,
                     const unsigned char signature[CHAIN_SIGNATURE_BYTES],
                     const unsigned char public_key[CHAIN_PUBLIC_BYTES]);

#endif
