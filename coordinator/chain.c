/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log's hash chain and its signatures. */
#include "coordinator/chain.h"

#include <sodium.h>
#include <string.h>

static const char DOMAIN[] = "consilium log 1";

enum { SIGNED_BYTES = sizeof DOMAIN - 1 + 8 + CHAIN_HASH_BYTES };

void chain_extend(struct chain_head *head, const void *entry, size_t n)
{
    unsigned char both[2 * CHAIN_HASH_BYTES];
    memcpy(both, head->hash, CHAIN_HASH_BYTES);
    crypto_hash_sha256(both + CHAIN_HASH_BYTES, entry, n);
    crypto_hash_sha256(head->hash, both, sizeof both);
    head->count++;
}

static void signed_bytes(const struct chain_head *head, unsigned char out[SIGNED_BYTES])
{
    memcpy(out, DOMAIN, sizeof DOMAIN - 1);
    unsigned char *p = out + sizeof DOMAIN - 1;
    for (int i = 0; i < 8; i++)
        *p++ = (unsigned char)(head->count >> (8 * i));
    memcpy(p, head->hash, CHAIN_HASH_BYTES);
}

void chain_sign(const struct chain_head *head, const unsigned char secret[CHAIN_SECRET_BYTES],
                unsigned char signature[CHAIN_SIGNATURE_BYTES])
{
    unsigned char bytes[SIGNED_BYTES];
    signed_bytes(head, bytes);
    crypto_sign_detached(signature, NULL, bytes, sizeof bytes, secret);
}

bool chain_signed_by(const struct chain_head *head,
                     const unsigned char signature[CHAIN_SIGNATURE_BYTES],
                     const unsigned char public_key[CHAIN_PUBLIC_BYTES])
{
    unsigned char bytes[SIGNED_BYTES];
    signed_bytes(head, bytes);
    return crypto_sign_verify_detached(signature, bytes, sizeof bytes, public_key) == 0;
}
