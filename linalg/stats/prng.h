/* SPDX-License-Identifier: Apache-2.0 */
/* Replayable pseudo-random numbers for permutation tests: not for privacy, not for keys. */
#ifndef CONSILIUM_LINALG_STATS_PRNG_H
#define CONSILIUM_LINALG_STATS_PRNG_H

#include <stddef.h>
#include <stdint.h>

/* xoshiro256**; copy it to fork the stream. */
struct prng {
    uint64_t s[4];
};

/* State from SplitMix64(seed). */
void prng_seed(struct prng *prng, uint64_t seed);

uint64_t prng_next(struct prng *prng);

/* Uniform in [0, n) by modulo with rejection, n > 0. */
uint64_t prng_bounded(struct prng *prng, uint64_t n);

/* Uniform in (0,1): (top 53 bits + 1/2) 2^-53. */
double prng_u01(struct prng *prng);

/* k standard normals by Box and Muller in pairs (cosine first); an odd k drops the last sine. */
void prng_normals(struct prng *prng, size_t k, double *out);

/* Fisher-Yates from the end: swaps a[i] with a[bounded(i+1)], i = n-1 .. 1. */
void prng_shuffle(struct prng *prng, size_t n, uint32_t *a);

#endif
