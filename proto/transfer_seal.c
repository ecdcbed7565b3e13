/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing of objects: a key per object, XChaCha20-Poly1305 per chunk (see transfer.h for the
 * layout). */
#include "proto/transfer.h"

#include "proto/base/cleanup.h"
#include "proto/base/endian.h"

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

struct result transfer_seal(const unsigned char *plain, size_t n,
                            struct message_object_offer *offer, unsigned char key[32],
                            unsigned char **ret_cipher, size_t *ret_cipher_n, struct why *why)
{
    if (n > OBJECT_BYTES_MAX)
        return failed(why, RESULT_INPUT, "an object of %zu bytes is larger than %d", n,
                      OBJECT_BYTES_MAX);
    uint32_t chunks = transfer_chunks(n);
    size_t cipher_n = (size_t)transfer_cipher_bytes(n);
    unsigned char *cipher = malloc(cipher_n);
    if (!cipher)
        return failed(why, RESULT_SYSTEM, "out of memory for an object of %zu bytes", n);

    randombytes_buf(key, 32);
    randombytes_buf(offer->object, sizeof offer->object);
    offer->plain_bytes = n;
    crypto_generichash(offer->plain_hash, sizeof offer->plain_hash, plain, n, NULL, 0);
    unsigned char *to = cipher;
    for (uint32_t i = 0; i < chunks; i++) {
        unsigned char nonce[OBJECT_ID_BYTES + 8], associated[ASSOCIATED_BYTES];
        size_t start = (size_t)i * OBJECT_CHUNK_BYTES;
        size_t take = n - start < OBJECT_CHUNK_BYTES ? n - start : OBJECT_CHUNK_BYTES;
        chunk_context(offer, i, chunks, nonce, associated);
        crypto_aead_xchacha20poly1305_ietf_encrypt(to, NULL, plain + start, take, associated,
                                                   sizeof associated, NULL, nonce, key);
        to += take + TRANSFER_TAG_BYTES;
    }
    crypto_generichash(offer->cipher_hash, sizeof offer->cipher_hash, cipher, cipher_n, NULL, 0);
    *ret_cipher = cipher;
    *ret_cipher_n = cipher_n;
    return DONE;
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
                                 unsigned char *plain, struct why *why)
{
    uint32_t chunks = transfer_chunks(offer->plain_bytes);
    size_t n = (size_t)offer->plain_bytes;
    for (uint32_t i = 0; i < chunks; i++) {
        unsigned char nonce[OBJECT_ID_BYTES + 8], associated[ASSOCIATED_BYTES];
        size_t start = (size_t)i * OBJECT_CHUNK_BYTES;
        size_t take = n - start < OBJECT_CHUNK_BYTES ? n - start : OBJECT_CHUNK_BYTES;
        chunk_context(offer, i, chunks, nonce, associated);
        if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain + start, NULL, NULL, cipher,
                                                       take + TRANSFER_TAG_BYTES, associated,
                                                       sizeof associated, nonce, key) != 0)
            return failed(why, RESULT_REFUSED, "chunk %u of the object was altered", i);
        cipher += take + TRANSFER_TAG_BYTES;
    }
    unsigned char hash[PLAN_HASH_BYTES];
    crypto_generichash(hash, sizeof hash, plain, n, NULL, 0);
    if (sodium_memcmp(hash, offer->plain_hash, sizeof hash) != 0)
        return failed(why, RESULT_REFUSED, "the object's hash is not the one that was signed");
    return DONE;
}

struct result transfer_open(const struct message_object_offer *offer,
                            const unsigned char receiver_public[SEAL_PUBLIC_BYTES],
                            const unsigned char receiver_secret[SEAL_SECRET_BYTES],
                            const unsigned char *cipher, size_t cipher_n, unsigned char **ret_plain,
                            size_t *ret_n, struct why *why)
{
    if (offer->plain_bytes > OBJECT_BYTES_MAX ||
        cipher_n != transfer_cipher_bytes(offer->plain_bytes))
        return failed(why, RESULT_REFUSED, "the object has %zu bytes, not those of its offer",
                      cipher_n);
    unsigned char hash[PLAN_HASH_BYTES], key[32];
    crypto_generichash(hash, sizeof hash, cipher, cipher_n, NULL, 0);
    if (sodium_memcmp(hash, offer->cipher_hash, sizeof hash) != 0)
        return failed(why, RESULT_REFUSED, "the object's bytes are not those that were signed");
    if (crypto_box_seal_open(key, offer->sealed_key, sizeof offer->sealed_key, receiver_public,
                             receiver_secret) != 0)
        return failed(why, RESULT_REFUSED, "the object was not sealed to this receiver");
    CLEANUP(free_pointer) unsigned char *plain = malloc((size_t)offer->plain_bytes + 1);
    struct result r = plain ? open_chunks(offer, key, cipher, plain, why)
                            : failed(why, RESULT_SYSTEM, "out of memory for an object");
    sodium_memzero(key, sizeof key);
    TRY(r);
    plain[offer->plain_bytes] = '\0'; /* a text object may be used as a string */
    *ret_n = (size_t)offer->plain_bytes;
    *ret_plain = TAKE(plain);
    return DONE;
}
