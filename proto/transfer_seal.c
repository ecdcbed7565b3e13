/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing of objects: a key per object, XChaCha20-Poly1305 per chunk (see transfer.h for the
 * layout). */
#include "proto/transfer.h"

#include "proto/base/cleanup.h"
#include "proto/base/endian.h"
#include "proto/transfer_pack.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(TRANSFER_TAG_BYTES == crypto_aead_xchacha20poly1305_ietf_ABYTES, "tag");
_Static_assert(OBJECT_KEY_SEALED_BYTES == crypto_box_SEALBYTES + 32, "sealed key");
_Static_assert(OBJECT_ID_BYTES + 8 == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "nonce");

enum { ASSOCIATED_BYTES = PLAN_HASH_BYTES + 8 };

static void chunk_context(const struct message_object_offer *offer, uint32_t index, uint32_t chunks,
                          unsigned char nonce[OBJECT_ID_BYTES + 8],
                          unsigned char associated[ASSOCIATED_BYTES])
{
    memcpy(nonce, offer->object, OBJECT_ID_BYTES);
    little_put(nonce + OBJECT_ID_BYTES, index, 8);
    memcpy(associated, offer->plain_hash, PLAN_HASH_BYTES);
    little_put(associated + PLAN_HASH_BYTES, index, 4);
    little_put(associated + PLAN_HASH_BYTES + 4, chunks, 4);
}

/* Encrypts what the offer, whose plaintext's size and hash are set, carries. */
static struct result encrypt(const unsigned char *carried, struct message_object_offer *offer,
                             unsigned char key[32], unsigned char **ret_cipher,
                             size_t *ret_cipher_n, struct why *why)
{
    size_t n = (size_t)transfer_carried(offer);
    uint32_t chunks = transfer_chunks(n);
    size_t cipher_n = (size_t)transfer_cipher_bytes(n);
    unsigned char *cipher = malloc(cipher_n);
    if (!cipher)
        return failed(why, RESULT_SYSTEM, "out of memory for an object of %zu bytes", n);

    randombytes_buf(key, 32);
    randombytes_buf(offer->object, sizeof offer->object);
    unsigned char *to = cipher;
    for (uint32_t i = 0; i < chunks; i++) {
        unsigned char nonce[OBJECT_ID_BYTES + 8], associated[ASSOCIATED_BYTES];
        size_t start = (size_t)i * OBJECT_CHUNK_BYTES;
        size_t take = n - start < OBJECT_CHUNK_BYTES ? n - start : OBJECT_CHUNK_BYTES;
        chunk_context(offer, i, chunks, nonce, associated);
        crypto_aead_xchacha20poly1305_ietf_encrypt(to, NULL, carried + start, take, associated,
                                                   sizeof associated, NULL, nonce, key);
        to += take + TRANSFER_TAG_BYTES;
    }
    crypto_generichash(offer->cipher_hash, sizeof offer->cipher_hash, cipher, cipher_n, NULL, 0);
    *ret_cipher = cipher;
    *ret_cipher_n = cipher_n;
    return DONE;
}

static struct result describe(const unsigned char *plain, size_t n,
                              struct message_object_offer *offer, struct why *why)
{
    if (n > OBJECT_BYTES_MAX)
        return failed(why, RESULT_INPUT, "an object of %zu bytes is larger than %d", n,
                      OBJECT_BYTES_MAX);
    offer->plain_bytes = n;
    offer->packed_bytes = 0;
    crypto_generichash(offer->plain_hash, sizeof offer->plain_hash, plain, n, NULL, 0);
    return DONE;
}

struct result transfer_seal(const unsigned char *plain, size_t n,
                            struct message_object_offer *offer, unsigned char key[32],
                            unsigned char **ret_cipher, size_t *ret_cipher_n, struct why *why)
{
    TRY(describe(plain, n, offer, why));
    return encrypt(plain, offer, key, ret_cipher, ret_cipher_n, why);
}

struct result transfer_seal_packed(const unsigned char *plain, size_t n,
                                   struct message_object_offer *offer, unsigned char key[32],
                                   unsigned char **ret_cipher, size_t *ret_cipher_n,
                                   struct why *why)
{
    CLEANUP(free_pointer) unsigned char *packed = NULL;
    size_t packed_n = 0;
    TRY(describe(plain, n, offer, why));
    TRY(transfer_pack(plain, n, &packed, &packed_n, why));
    offer->packed_bytes = packed_n;
    return encrypt(packed ? packed : plain, offer, key, ret_cipher, ret_cipher_n, why);
}

struct result transfer_seal_key(struct message_object_offer *offer, const unsigned char key[32],
                                const unsigned char receiver[SEAL_PUBLIC_BYTES], struct why *why)
{
    if (crypto_box_seal(offer->sealed_key, key, 32, receiver) != 0)
        return failed(why, RESULT_INPUT, "the receiver's sealing key is not a valid X25519 key");
    return DONE;
}

static struct result open_chunks(const struct message_object_offer *offer,
                                 const unsigned char key[32], const unsigned char *cipher,
                                 unsigned char *carried, struct why *why)
{
    size_t n = (size_t)transfer_carried(offer);
    uint32_t chunks = transfer_chunks(n);
    for (uint32_t i = 0; i < chunks; i++) {
        unsigned char nonce[OBJECT_ID_BYTES + 8], associated[ASSOCIATED_BYTES];
        size_t start = (size_t)i * OBJECT_CHUNK_BYTES;
        size_t take = n - start < OBJECT_CHUNK_BYTES ? n - start : OBJECT_CHUNK_BYTES;
        chunk_context(offer, i, chunks, nonce, associated);
        if (crypto_aead_xchacha20poly1305_ietf_decrypt(carried + start, NULL, NULL, cipher,
                                                       take + TRANSFER_TAG_BYTES, associated,
                                                       sizeof associated, nonce, key) != 0)
            return failed(why, RESULT_REFUSED, "chunk %u of the object was altered", i);
        cipher += take + TRANSFER_TAG_BYTES;
    }
    return DONE;
}

/* Decrypts, unpacks where packed, and holds the plaintext against the signed hash. */
static struct result open_plain(const struct message_object_offer *offer,
                                const unsigned char key[32], const unsigned char *cipher,
                                unsigned char **ret_plain, struct why *why)
{
    size_t n = (size_t)offer->plain_bytes;
    CLEANUP(free_pointer) unsigned char *plain = malloc((size_t)transfer_carried(offer) + 1);
    if (!plain)
        return failed(why, RESULT_SYSTEM, "out of memory for an object");
    TRY(open_chunks(offer, key, cipher, plain, why));
    if (offer->packed_bytes) {
        unsigned char *packed = plain;
        plain = NULL;
        struct result r = transfer_unpack(packed, (size_t)offer->packed_bytes, n, &plain, why);
        free(packed);
        TRY(r);
    }
    unsigned char hash[PLAN_HASH_BYTES];
    crypto_generichash(hash, sizeof hash, plain, n, NULL, 0);
    if (sodium_memcmp(hash, offer->plain_hash, sizeof hash) != 0)
        return failed(why, RESULT_REFUSED, "the object's hash is not the one that was signed");
    plain[n] = '\0'; /* a text object may be used as a string */
    *ret_plain = TAKE(plain);
    return DONE;
}

struct result transfer_open(const struct message_object_offer *offer,
                            const unsigned char receiver_public[SEAL_PUBLIC_BYTES],
                            const unsigned char receiver_secret[SEAL_SECRET_BYTES],
                            const unsigned char *cipher, size_t cipher_n, unsigned char **ret_plain,
                            size_t *ret_n, struct why *why)
{
    if (offer->plain_bytes > OBJECT_BYTES_MAX || offer->packed_bytes > offer->plain_bytes ||
        cipher_n != transfer_cipher_bytes(transfer_carried(offer)))
        return failed(why, RESULT_REFUSED, "the object has %zu bytes, not those of its offer",
                      cipher_n);
    unsigned char hash[PLAN_HASH_BYTES], key[32];
    crypto_generichash(hash, sizeof hash, cipher, cipher_n, NULL, 0);
    if (sodium_memcmp(hash, offer->cipher_hash, sizeof hash) != 0)
        return failed(why, RESULT_REFUSED, "the object's bytes are not those that were signed");
    if (crypto_box_seal_open(key, offer->sealed_key, sizeof offer->sealed_key, receiver_public,
                             receiver_secret) != 0)
        return failed(why, RESULT_REFUSED, "the object was not sealed to this receiver");
    struct result r = open_plain(offer, key, cipher, ret_plain, why);
    sodium_memzero(key, sizeof key);
    *ret_n = ok(r) ? (size_t)offer->plain_bytes : 0;
    return r;
}
