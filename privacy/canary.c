/* SPDX-License-Identifier: Apache-2.0 */
/* Scores by the exact likelihood ratio; the plain sum of x is far weaker at small rates. */
#include "privacy/canary.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

void canary_coins(struct rng *rng, bool *in, size_t count)
{
    for (size_t i = 0; i < count; i++)
        in[i] = rng_u64(rng) >> 63;
}

double canary_evidence(double x, double q, double noise)
{
    double e = (2 * x - 1) / (2 * noise * noise);
    if (q >= 1)
        return e;
    return e > 500 ? log(q) + e : log1p(q * expm1(e));
}

void canary_score(double *score, const double *released, size_t count, double clip, double q,
                  double noise)
{
    for (size_t i = 0; i < count; i++)
        score[i] += canary_evidence(released[i] / clip, q, noise);
}

struct ranked {
    double score;
    size_t index;
};

static int by_score(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

size_t canary_guess(const double *score, const bool *in, size_t count, size_t guesses)
{
    struct ranked *all = malloc((count + 1) * sizeof *all);
    size_t right = 0;
    if (!all)
        return SIZE_MAX;
    for (size_t i = 0; i < count; i++) /* a score that is no number ranks last */
        all[i] = (struct ranked){isnan(score[i]) ? -HUGE_VAL : score[i], i};
    qsort(all, count, sizeof *all, by_score);
    for (size_t i = 0; i < guesses && i < count; i++)
        right += in[all[i].index];
    free(all);
    return right;
}

double canary_guesses_needed(double epsilon)
{
    return ceil(3 * exp(epsilon));
}
