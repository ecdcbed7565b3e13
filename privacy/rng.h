/* SPDX-License-Identifier: Apache-2.0 */
/* The only randomness: a ChaCha20 stream keyed once, and seeded sub-streams of it. */
#ifndef CONSILIUM_PRIVACY_RNG_H
#define CONSILIUM_PRIVACY_RNG_H

#include <stddef.h>
#include <stdint.h>

enum { RNG_KEY_BYTES = 32, RNG_BUFFER_BYTES = 4096 };

/* A ChaCha20 key stream. Copying it duplicates the stream; wipe it with rng_wipe. */
struct rng {
    unsigned char key[RNG_KEY_BYTES];
    uint64_t block;  /* next 64-byte block of the stream */
    uint64_t stream; /* nonce: independent streams under one key */
    size_t used;     /* bytes consumed of buffer */
    unsigned char buffer[RNG_BUFFER_BYTES];
};

/* Key from the operating system (randombytes_buf). */
void rng_init_system(struct rng *rng);

/* Deterministic stream: same key and stream number, same bytes. For the plan's seed, never for
 * privacy noise. */
void rng_init_seeded(struct rng *rng, const unsigned char key[RNG_KEY_BYTES], uint64_t stream);

/* Next n bytes of the stream. */
void rng_bytes(struct rng *rng, void *out, size_t n);

/* Next 64 bits, uniform. */
uint64_t rng_u64(struct rng *rng);

/* Uniform integer in [0, bound), without modulo bias; bound 0 returns 0. */
uint64_t rng_below(struct rng *rng, uint64_t bound);

/* Uniform double in [0, 1), a multiple of 2^-53. */
double rng_uniform(struct rng *rng);

void rng_wipe(struct rng *rng);

#endif
