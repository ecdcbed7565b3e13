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

typedef void add_kernel(size_t n, double factor, double *restrict sum, const double *restrict row);

/* sum += factor row. */
static void add_plain(size_t n, double factor, double *restrict sum, const double *restrict row)
{
    for (size_t k = 0; k < n; k++)
        sum[k] += factor * row[k];
}

/* The same for wider registers: each sum stands alone, so no bit changes. */
__attribute__((target("avx2"))) static void add_avx2(size_t n, double factor, double *restrict sum,
                                                     const double *restrict row)
{
    for (size_t k = 0; k < n; k++)
        sum[k] += factor * row[k];
}

int mmd_features(size_t n, size_t d, const double *x, size_t features, double sigma, uint64_t seed,
                 double *z)
{
    double *w = calloc(features * (2 * d + 1), sizeof *w);
    if (!w)
        return 0;
    double *b = w + features * d, *across = b + features; /* [d][features] */
    add_kernel *add = __builtin_cpu_supports("avx2") ? add_avx2 : add_plain;
    struct prng prng;
    prng_seed(&prng, seed);
    prng_normals(&prng, features * d, w);
    for (size_t f = 0; f < features; f++)
        b[f] = prng_u01(&prng) * 2.0 * M_PI;
    for (size_t f = 0; f < features; f++)
        for (size_t c = 0; c < d; c++)
            across[c * features + f] = w[f * d + c] / sigma;
    double scale = sqrt(2.0 / (double)features);
    for (size_t i = 0; i < n; i++) {
        double *dot = z + i * features;
        for (size_t f = 0; f < features; f++)
            dot[f] = 0.0;
        for (size_t c = 0; c < d; c++)
            add(features, x[i * d + c], dot, across + c * features);
        for (size_t f = 0; f < features; f++)
            dot[f] = scale * cos(dot[f] + b[f]);
    }
    free(w);
    return 1;
}

/* Permutations that share one pass over TILE features of all rows: their sums fit the first cache,
 * the rows' part the second. */
enum { BLOCK = 32, TILE = 64 };

/* All random features, the labels of a block of permutations, and the sums. */
struct pooled {
    size_t n, m, features;
    double *z;         /* [n+m][features] */
    double *tile;      /* [n+m][TILE] */
    double *part;      /* [BLOCK][TILE] sums of the smaller group */
    uint32_t *label;   /* [n+m] shuffled row numbers: below n counts as reference */
    uint32_t *members; /* [blocks][n+m] bit b: in the smaller group of the block's permutation b */
};

/* Notes the current labels as permutation b of the block. */
static void note_labels(const struct pooled *s, uint32_t *members, size_t b)
{
    bool reference = s->n <= s->m;
    for (size_t i = 0; i < s->n + s->m; i++) {
        uint32_t bit = (s->label[i] < s->n) == reference;
        members[i] |= bit << b;
    }
}

static void sum_rows_body(const struct pooled *s, const uint32_t *members, double *restrict part)
{
    for (size_t i = 0; i < s->n + s->m; i++) {
        const double *restrict row = s->tile + i * TILE;
        for (uint32_t bits = members[i]; bits; bits &= bits - 1) {
            double *restrict sum = part + (size_t)__builtin_ctz(bits) * TILE;
            for (size_t k = 0; k < TILE; k++)
                sum[k] += row[k];
        }
    }
}

typedef void sum_kernel(const struct pooled *s, const uint32_t *members, double *restrict part);

static void sum_rows_plain(const struct pooled *s, const uint32_t *members, double *restrict part)
{
    sum_rows_body(s, members, part);
}

__attribute__((target("avx2"), flatten)) static void
sum_rows_avx2(const struct pooled *s, const uint32_t *members, double *restrict part)
{
    sum_rows_body(s, members, part);
}

/* Adds the squared gaps of the tile's features to the statistics of a block: the smaller group is
 * summed, the other is the total less it. */
static void tile_statistics(const struct pooled *s, const uint32_t *members, size_t count,
                            const double total[TILE], size_t width, double *statistic)
{
    sum_kernel *sum_rows = __builtin_cpu_supports("avx2") ? sum_rows_avx2 : sum_rows_plain;
    for (size_t k = 0; k < BLOCK * TILE; k++)
        s->part[k] = 0.0;
    sum_rows(s, members, s->part);
    double size = (double)(s->n <= s->m ? s->n : s->m);
    double rest = (double)(s->n + s->m) - size;
    for (size_t b = 0; b < count; b++) {
        const double *part = s->part + b * TILE;
        for (size_t f = 0; f < width; f++) {
            double gap = part[f] / size - (total[f] - part[f]) / rest;
            statistic[b] += gap * gap;
        }
    }
}

/* Statistics of count permutations, the first of which is none. */
static void all_statistics(const struct pooled *s, size_t count, double *statistic)
{
    size_t all = s->n + s->m;
    for (size_t from = 0; from < s->features; from += TILE) {
        size_t width = s->features - from < TILE ? s->features - from : TILE;
        double total[TILE] = {0.0};
        for (size_t i = 0; i < all; i++) {
            const double *row = s->z + i * s->features + from;
            for (size_t k = 0; k < width; k++) {
                s->tile[i * TILE + k] = row[k];
                total[k] += row[k];
            }
        }
        for (size_t done = 0; done < count; done += BLOCK) {
            size_t here = count - done < BLOCK ? count - done : BLOCK;
            tile_statistics(s, s->members + done / BLOCK * all, here, total, width,
                            statistic + done);
        }
    }
}

static void permute(const struct pooled *s, const struct mmd_plan *plan, double *statistic,
                    struct mmd *out)
{
    size_t all = s->n + s->m, count = plan->permutations + 1;
    struct prng prng;
    prng_seed(&prng, plan->seed_permutation);
    for (size_t i = 0; i < all; i++)
        s->label[i] = (uint32_t)i;
    for (size_t b = 0; b < count; b++) {
        if (b > 0)
            prng_shuffle(&prng, all, s->label);
        note_labels(s, s->members + b / BLOCK * all, b % BLOCK);
    }
    all_statistics(s, count, statistic);
    out->mmd2 = statistic[0];
    for (size_t b = 1; b < count; b++)
        out->n_ge += statistic[b] >= out->mmd2 - TIE;
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
        plan->permutations > MMD_PERMUTATIONS_MAX ||
        (n + m) > MMD_CELLS_MAX / (plan->permutations / BLOCK + 1) || n > MMD_CELLS_MAX ||
        m > MMD_CELLS_MAX || (n + m) * plan->features > MMD_CELLS_MAX)
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
    size_t features = plan->features, all = n + m;
    struct pooled s = {
        .n = n,
        .m = m,
        .features = features,
        .z = calloc(all * features, sizeof(double)),
        .tile = calloc(all * TILE + BLOCK * TILE, sizeof(double)),
        .label = calloc(all, sizeof(uint32_t)),
        .members = calloc(all, (plan->permutations / BLOCK + 1) * sizeof(uint32_t)),
    };
    double *statistic = calloc(plan->permutations + 1, sizeof *statistic);
    out->status = STAT_NO_MEMORY;
    if (s.z && s.tile && s.label && s.members && statistic &&
        mmd_features(n, d, ref, features, out->sigma, plan->seed_features, s.z) &&
        mmd_features(m, d, cur, features, out->sigma, plan->seed_features, s.z + n * features)) {
        s.part = s.tile + all * TILE;
        permute(&s, plan, statistic, out);
        out->status = STAT_OK;
    }
    free(s.z);
    free(s.tile);
    free(statistic);
    free(s.label);
    free(s.members);
    return out->status;
}
