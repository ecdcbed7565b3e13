/* SPDX-License-Identifier: Apache-2.0 */
/* Bin and reject, in integers (after Karney 2016, arXiv 1303.6257, with wide tables instead of
 * digits). |Z| = (j + u)/32: bin j has weight e^{-(j/32)^2/2}, u is uniform, and the pair is kept
 * with probability e^{-t}, t = u (j + u/2) / 1024. Bins end at |z| = 16, beyond which lies 2^-186.
 *
 * One word picks the bin: 9 bits the column, 55 bits against its threshold, 64 more on a tie.
 * One word decides: 31 bits of u, 32 bits of the uniform v to compare with e^{-t}, and the sign;
 * more bits of both are drawn only when these cannot tell. |K| = floor(2^24 |Z| + 1/2) needs the
 * leading 20 bits of u. */
#include "privacy/noise.h"

#include "privacy/noise_table.h"
#include "privacy/wide.h"

#include <math.h>
#include <sodium.h>
#include <stdbool.h>

enum { WORDS = 1024 };

struct words {
    struct rng *rng;
    size_t used;
    uint64_t word[WORDS];
};

static inline uint64_t next(struct words *w)
{
    if (__builtin_expect(w->used == WORDS, 0)) {
        rng_bytes(w->rng, w->word, sizeof w->word);
        w->used = 0;
    }
    return w->word[w->used++];
}

/* u and v to 128 bits; a tie within the error of the series (probability 2^-119) rejects. */
static bool accept_wide(struct words *w, uint64_t j, wide u, wide v)
{
    u |= next(w) >> 31; /* bits 96 to 128 */
    v |= (uint32_t)next(w);
    /* t = (j u + u^2/2) / 1024; j u < 2^137 is formed already shifted. */
    wide t = (u >> 10) * j + (wide_mul(u, u) >> 11);
    const wide margin = 1 << 10;
    return v < wide_exp_minus(t) - margin;
}

/* The leading 31 bits of u and 32 of v could not tell: 64 more of each, first in double. */
static bool accept_slow(struct words *w, uint64_t j, uint64_t u31, uint64_t v32)
{
    uint64_t u_more = next(w), v_more = next(w);
    double u = ((double)u31 + (double)u_more * 0x1p-64) * 0x1p-31;
    double v = ((double)v32 + (double)v_more * 0x1p-64) * 0x1p-32;
    double keep = exp(-u * ((double)j + 0.5 * u) * 0x1p-10);
    if (fabs(v - keep) > 1e-12)
        return v < keep;
    return accept_wide(w, j, ((wide)u31 << 97) | ((wide)u_more << 33),
                       ((wide)v32 << 96) | ((wide)v_more << 32));
}

static inline int64_t sample(struct words *w, const struct noise_table *t)
{
    for (;;) {
        uint64_t a = next(w), b = next(w);
        uint64_t j = a % NOISE_BINS, part = a >> NOISE_BIN_BITS;
        if (__builtin_expect(part == t->high[j], 0))
            j = next(w) < t->low[j] ? j : t->alias[j];
        else
            j = part < t->high[j] ? j : t->alias[j];
        uint64_t u31 = b >> 33, v32 = (uint32_t)b;
        int64_t k = (int64_t)((j << 19) + ((u31 >> 11) + 1) / 2);
        int64_t sign = -(int64_t)((b >> 32) & 1);
        if (__builtin_expect(v32 < t->sure[j], 1) || accept_slow(w, j, u31, v32))
            return (k ^ sign) - sign;
    }
}

void noise_fill(struct rng *rng, int64_t *out, size_t n)
{
    const struct noise_table *table = noise_table_get();
    struct words w = {.rng = rng, .used = WORDS};
    for (size_t i = 0; i < n; i++)
        out[i] = sample(&w, table);
    sodium_memzero(&w, sizeof w);
}
