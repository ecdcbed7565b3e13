/* SPDX-License-Identifier: Apache-2.0 */
/* Discrete Laplace noise from integers alone, and its event. */
#include "privacy/laplace.h"

#include <math.h>
#include <stdbool.h>

double laplace_deviation(uint64_t scale)
{
    double e = (double)LAPLACE_UNIT / (double)scale;
    return sqrt(2.0 * exp(-e)) / -expm1(-e);
}

uint64_t laplace_scale(double deviation)
{
    uint64_t low = 0, high = 1;
    while (laplace_deviation(high) < deviation)
        high *= 2;
    while (high - low > 1) { /* the deviation grows with the scale */
        uint64_t middle = low + (high - low) / 2;
        if (laplace_deviation(middle) < deviation)
            low = middle;
        else
            high = middle;
    }
    return high;
}

/* True with probability e^(-u/t), 0 <= u <= t: the first k at which a chance of u / (t k) fails is
 * odd. */
static bool bernoulli_exp(struct rng *rng, uint64_t u, uint64_t t)
{
    uint64_t k = 1;
    while (rng_below(rng, t * k) < u)
        k++;
    return k % 2 == 1;
}

int64_t laplace_draw(struct rng *rng, uint64_t scale)
{
    for (;;) {
        uint64_t u = rng_below(rng, scale);
        if (!bernoulli_exp(rng, u, scale))
            continue;
        uint64_t v = 0;
        while (bernoulli_exp(rng, 1, 1))
            v++;
        int64_t size = (int64_t)((u + scale * v) / LAPLACE_UNIT);
        bool negative = rng_below(rng, 2) == 1;
        if (negative && size == 0) /* zero has one sign */
            continue;
        return negative ? -size : size;
    }
}

struct privacy_event laplace_event(uint64_t scale, uint64_t releases)
{
    double epsilon = (double)LAPLACE_UNIT / (double)scale;
    return (struct privacy_event){.kind = EVENT_EPSILON_DELTA,
                                  .steps = releases,
                                  .epsilon = nextafter(epsilon, INFINITY)};
}
