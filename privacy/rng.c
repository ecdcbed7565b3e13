/* SPDX-License-Identifier: Apache-2.0 */
/* ChaCha20 key stream from libsodium, buffered. */
#include "privacy/rng.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* The next n bytes of the stream, n a multiple of 64. */
static void generate(struct rng *rng, unsigned char *out, size_t n)
{
    unsigned char nonce[crypto_stream_chacha20_NONCEBYTES];
    memcpy(nonce, &rng->stream, sizeof nonce);
    memset(out, 0, n);
    crypto_stream_chacha20_xor_ic(out, out, n, nonce, rng->block, rng->key);
    rng->block += n / 64;
}

void rng_init_seeded(struct rng *rng, const unsigned char key[RNG_KEY_BYTES], uint64_t stream)
{
    /* Picks libsodium's vector code and opens the system's source; nothing may run without it. */
    if (sodium_init() < 0)
        abort();
    memcpy(rng->key, key, RNG_KEY_BYTES);
    rng->block = 0;
    rng->stream = stream;
    rng->used = sizeof rng->buffer;
}

void rng_init_system(struct rng *rng)
{
    unsigned char key[RNG_KEY_BYTES];
    if (sodium_init() < 0)
        abort();
    randombytes_buf(key, sizeof key);
    rng_init_seeded(rng, key, 0);
    sodium_memzero(key, sizeof key);
}

void rng_bytes(struct rng *rng, void *out, size_t n)
{
    unsigned char *dst = out;
    while (n > 0) {
        if (rng->used == sizeof rng->buffer && n >= sizeof rng->buffer) {
            size_t whole = n - n % 64; /* long requests go past the buffer */
            generate(rng, dst, whole);
            dst += whole;
            n -= whole;
            continue;
        }
        if (rng->used == sizeof rng->buffer) {
            generate(rng, rng->buffer, sizeof rng->buffer);
            rng->used = 0;
        }
        size_t take = sizeof rng->buffer - rng->used;
        if (take > n)
            take = n;
        memcpy(dst, rng->buffer + rng->used, take);
        sodium_memzero(rng->buffer + rng->used, take);
        rng->used += take;
        dst += take;
        n -= take;
    }
}

uint64_t rng_u64(struct rng *rng)
{
    uint64_t v;
    rng_bytes(rng, &v, sizeof v);
    return v;
}

uint64_t rng_below(struct rng *rng, uint64_t bound)
{
    if (bound == 0)
        return 0;
    uint64_t limit = -bound % bound; /* 2^64 mod bound: reject below it */
    uint64_t v;
    do {
        v = rng_u64(rng);
    } while (v < limit);
    return v % bound;
}

double rng_uniform(struct rng *rng)
{
    return (double)(rng_u64(rng) >> 11) * 0x1p-53;
}

void rng_wipe(struct rng *rng)
{
    sodium_memzero(rng, sizeof *rng);
}
