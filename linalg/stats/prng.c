/* SPDX-License-Identifier: Apache-2.0 */
/* xoshiro256** (Blackman and Vigna 2018), seeded by SplitMix64, so that a verdict can be replayed.
 */
#include "linalg/stats/prng.h"

#include <math.h>
#include <stdbool.h>

static uint64_t rotate(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

void prng_seed(struct prng *prng, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        seed += 0x9E3779B97F4A7C15u;
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        prng->s[i] = z ^ (z >> 31);
    }
}

uint64_t prng_next(struct prng *prng)
{
    uint64_t *s = prng->s;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t prng_bounded(struct prng *prng, uint64_t n)
{
    while (true) {
        uint64_t r = prng_next(prng);
        /* Refuse r below 2^64 mod n, which is itself below n: most draws skip that division. */
        if (r >= n || r >= -n % n)
            return r % n;
    }
}

double prng_u01(struct prng *prng)
{
    return ((double)(prng_next(prng) >> 11) + 0.5) * 0x1p-53;
}

void prng_normals(struct prng *prng, size_t k, double *out)
{
    for (size_t i = 0; i < k; i += 2) {
        double u1 = prng_u01(prng);
        double u2 = prng_u01(prng);
        double r = sqrt(-2.0 * log(u1));
        out[i] = r * cos(2.0 * M_PI * u2);
        if (i + 1 < k)
            out[i + 1] = r * sin(2.0 * M_PI * u2);
    }
}

void prng_shuffle(struct prng *prng, size_t n, uint32_t *a)
{
    for (size_t i = n; i-- > 1;) {
        size_t j = (size_t)prng_bounded(prng, (uint64_t)i + 1);
        uint32_t swap = a[i];
        a[i] = a[j];
        a[j] = swap;
    }
}
