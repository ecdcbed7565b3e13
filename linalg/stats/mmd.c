/* SPDX-License-Identifier: Apache-2.0 */
/* MMD (Gretton et al. 2012), its random-feature form (Rahimi and Recht 2007), and a permutation
 * test that moves labels, not rows: O((n+m) D) per permutation. */
#include "linalg/stats/mmd.h"

#include "linalg/stats/prng.h"
#include "linalg/stats/rank.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

static const double TIE = 1e-12;

static double squared_distance(size_t d, const double *a, const double *b)
{
    double sum = 0.0;
    for (size_t c = 0; c < d; c++)
        sum += (a[c] - b[c]) * (a[c] - b[c]);
    return sum;
}

double mmd_sigma(size_t n, size_t d, const double *x)
{
    size_t rows = n < MMD_SIGMA_ROWS ? n : MMD_SIGMA_ROWS;
    if (rows < 2)
        return NAN;
    size_t pairs = rows * (rows - 1) / 2;
    double *distance = calloc(pairs, sizeof *distance);
    if (!distance)
        return NAN;
    size_t k = 0;
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = i + 1; j < rows; j++)
            distance[k++] = sqrt(squared_distance(d, x + i * d, x + j * d));
    }
    double median = rank_median(pairs, distance);
    free(distance);
    return median;
}

/* Sum of the kernel over all pairs of a[n] and b[m]. */
static double kernel_sum(size_t n, const double *a, size_t m, const double *b, size_t d,
                         double sigma)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < m; j++)
            sum += exp(-squared_distance(d, a + i * d, b + j * d) / (2.0 * sigma * sigma));
    }
    return sum;
}

void mmd_exact(size_t n, const double *x, size_t m, const double *y, size_t d, double sigma,
               double *biased, double *unbiased)
{
    double rows = (double)n;
    double others = (double)m;
    double xx = kernel_sum(n, x, n, x, d, sigma);
    double yy = kernel_sum(m, y, m, y, d, sigma);
    double cross = 2.0 * kernel_sum(n, x, m, y, d, sigma) / (rows * others);
    *biased = xx / (rows * rows) + yy / (others * others) - cross;
    *unbiased = NAN;
    if (n > 1 && m > 1)
        *unbiased =
            (xx - rows) / (rows * (rows - 1.0)) + (yy - others) / (others * (others - 1.0)) - cross;
}

int mmd_features(size_t n, size_t d, const double *x, size_t features, double sigma, uint64_t seed,
                 double *z)
{
    double *w = calloc(features * (d + 1), sizeof *w);
    if (!w)
        return 0;
    double *b = w + features * d;
    struct prng prng;
    prng_seed(&prng, seed);
    prng_normals(&prng, features * d, w);
    for (size_t f = 0; f < features; f++)
        b[f] = prng_u01(&prng) * 2.0 * M_PI;
    for (size_t k = 0; k < features * d; k++)
        w[k] /= sigma;
    double scale = sqrt(2.0 / (double)features);
    for (size_t i = 0; i < n; i++) {
        for (size_t f = 0; f < features; f++) {
            double dot = 0.0;
            for (size_t c = 0; c < d; c++)
                dot += x[i * d + c] * w[f * d + c];
            z[i * features + f] = scale * cos(dot + b[f]);
        }
    }
    free(w);
    return 1;
}

enum { BLOCK = 8 }; /* permutations that share one pass over the features */

/* All random features, the labels of a block of permutations, and the sums. */
struct pooled {
    size_t n, m, features;
    double *z;              /* [n+m][features] */
    double *total;          /* [features] */
    double *part;           /* [BLOCK][features] sums of the smaller group */
    uint32_t *label;        /* [n+m] shuffled row numbers: below n counts as reference */
    unsigned char *members; /* [n+m] bit b: in the smaller group of the block's permutation b */
};

typedef void add_row_kernel(size_t n, double *restrict sum, const double *restrict row);

static void add_row_plain(size_t n, double *restrict sum, const double *restrict row)
{
    for (size_t k = 0; k < n; k++)
        sum[k] += row[k];
}

/* The same for wider registers: each sum stands alone, so no bit changes. */
__attribute__((target("avx2"))) static void add_row_avx2(size_t n, double *restrict sum,
                                                         const double *restrict row)
{
    for (size_t k = 0; k < n; k++)
        sum[k] += row[k];
}

/* Notes the current labels as permutation b of the block. */
static void note_labels(struct pooled *s, int b)
{
    bool reference = s->n <= s->m;
    for (size_t i = 0; i < s->n + s->m; i++) {
        unsigned bit = (s->label[i] < s->n) == reference;
        s->members[i] = (unsigned char)((b ? s->members[i] : 0u) | bit << b);
    }
}

/* Statistics of the first count permutations of the block: the smaller group is summed, the other
 * is the total less it. */
static void block_statistics(struct pooled *s, int count, double *statistic)
{
    size_t features = s->features;
    add_row_kernel *add_row = __builtin_cpu_supports("avx2") ? add_row_avx2 : add_row_plain;
    for (size_t k = 0; k < (size_t)count * features; k++)
        s->part[k] = 0.0;
    for (size_t i = 0; i < s->n + s->m; i++) {
        const double *row = s->z + i * features;
        for (int b = 0; b < count; b++) {
            if (s->members[i] >> b & 1)
                add_row(features, s->part + (size_t)b * features, row);
        }
    }
    double size = (double)(s->n <= s->m ? s->n : s->m);
    double rest = (double)(s->n + s->m) - size;
    for (int b = 0; b < count; b++) {
        const double *part = s->part + (size_t)b * features;
        statistic[b] = 0.0;
        for (size_t f = 0; f < features; f++) {
            double gap = part[f] / size - (s->total[f] - part[f]) / rest;
            statistic[b] += gap * gap;
        }
    }
}

static void permute(struct pooled *s, const struct mmd_plan *plan, struct mmd *out)
{
    size_t all = s->n + s->m;
    double statistic[BLOCK];
    for (size_t i = 0; i < all; i++) {
        s->label[i] = (uint32_t)i;
        for (size_t f = 0; f < s->features; f++)
            s->total[f] += s->z[i * s->features + f];
    }
    note_labels(s, 0);
    block_statistics(s, 1, statistic);
    out->mmd2 = statistic[0];
    struct prng prng;
    prng_seed(&prng, plan->seed_permutation);
    for (size_t done = 0; done < plan->permutations;) {
        int count = 0;
        for (; count < BLOCK && done < plan->permutations; count++, done++) {
            prng_shuffle(&prng, all, s->label);
            note_labels(s, count);
        }
        block_statistics(s, count, statistic);
        for (int b = 0; b < count; b++)
            out->n_ge += statistic[b] >= out->mmd2 - TIE;
    }
    out->permutations = plan->permutations;
    out->p = (1.0 + (double)out->n_ge) / (1.0 + (double)plan->permutations);
}

static enum stat_status check_plan(size_t n, size_t m, size_t d, const struct mmd_plan *plan)
{
    if (n == 0 || m == 0)
        return STAT_EMPTY;
    if (d == 0 || plan->features == 0)
        return STAT_INVALID_INPUT;
    if (d > MMD_DIMENSIONS_MAX || plan->features > MMD_FEATURES_MAX ||
        plan->permutations > MMD_PERMUTATIONS_MAX || n > MMD_CELLS_MAX || m > MMD_CELLS_MAX ||
        (n + m) * plan->features > MMD_CELLS_MAX)
        return STAT_TOO_LARGE;
    return STAT_OK;
}

enum stat_status mmd_test(size_t n, const double *ref, size_t m, const double *cur, size_t d,
                          const struct mmd_plan *plan, struct mmd *out)
{
    *out = (struct mmd){.sigma = NAN, .mmd2 = NAN, .p = NAN};
    out->status = check_plan(n, m, d, plan);
    if (out->status != STAT_OK)
        return out->status;
    if (!rank_all_finite(n * d, ref) || !rank_all_finite(m * d, cur))
        return out->status = STAT_INVALID_INPUT;
    out->sigma = plan->sigma > 0.0 ? plan->sigma : mmd_sigma(n, d, ref);
    if (!(out->sigma > 0.0) || !isfinite(out->sigma))
        return out->status = STAT_DEGENERATE;
    size_t features = plan->features;
    struct pooled s = {
        .n = n,
        .m = m,
        .features = features,
        .z = calloc((n + m) * features, sizeof(double)),
        .total = calloc(features, (1 + BLOCK) * sizeof(double)),
        .label = calloc(n + m, sizeof(uint32_t)),
        .members = calloc(n + m, 1),
    };
    out->status = STAT_NO_MEMORY;
    if (s.z && s.total && s.label && s.members &&
        mmd_features(n, d, ref, features, out->sigma, plan->seed_features, s.z) &&
        mmd_features(m, d, cur, features, out->sigma, plan->seed_features, s.z + n * features)) {
        s.part = s.total + features;
        permute(&s, plan, out);
        out->status = STAT_OK;
    }
    free(s.z);
    free(s.total);
    free(s.label);
    free(s.members);
    return out->status;
}
