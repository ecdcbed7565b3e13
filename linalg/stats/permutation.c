/* SPDX-License-Identifier: Apache-2.0 */
/* Permutation tests. The paired AUROC test exchanges midranks within a patient; twice a midrank is
 * an integer up to 2n, so each draw ranks by counting in O(n). */
#include "linalg/stats/permutation.h"

#include "linalg/stats/prng.h"
#include "linalg/stats/rank.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const double TIE = 1e-12;

static double sum_of(size_t n, const double *x)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

static enum stat_status check_two_samples(size_t n, const double *x, size_t m, const double *y,
                                          struct permutation *out)
{
    *out = (struct permutation){.statistic = NAN, .p = NAN};
    if (n == 0 || m == 0)
        return STAT_EMPTY;
    if (!rank_all_finite(n, x) || !rank_all_finite(m, y))
        return STAT_INVALID_INPUT;
    if (n > RANK_ROWS_MAX / 2 || m > RANK_ROWS_MAX / 2)
        return STAT_TOO_LARGE;
    out->statistic = sum_of(n, x) / (double)n - sum_of(m, y) / (double)m;
    return STAT_OK;
}

/* Number of ways to choose k of n, or SIZE_MAX once past the limit. */
static size_t choose(size_t n, size_t k)
{
    if (k > n - k)
        k = n - k;
    size_t ways = 1;
    for (size_t i = 1; i <= k; i++) {
        ways = ways * (n - k + i) / i;
        if (ways > PERMUTATION_EXACT_MAX)
            return SIZE_MAX;
    }
    return ways;
}

/* Next ascending choice of k of n in lexicographic order; false after the last. */
static bool next_choice(size_t n, size_t k, uint32_t *chosen)
{
    size_t i = k;
    while (i > 0 && chosen[i - 1] == n - k + i - 1)
        i--;
    if (i == 0)
        return false;
    chosen[i - 1]++;
    for (size_t j = i; j < k; j++)
        chosen[j] = chosen[j - 1] + 1;
    return true;
}

/* The pooled values [n+m] and room for row numbers. */
struct pooled_values {
    double *z;
    uint32_t *rows;
    double total;
};

static bool pool_values(size_t n, const double *x, size_t m, const double *y,
                        struct pooled_values *out)
{
    out->z = calloc(n + m, sizeof *out->z);
    out->rows = calloc(n + m, sizeof *out->rows);
    if (!out->z || !out->rows)
        return false;
    memcpy(out->z, x, n * sizeof *x);
    memcpy(out->z + n, y, m * sizeof *y);
    for (size_t i = 0; i < n + m; i++)
        out->rows[i] = (uint32_t)i;
    out->total = sum_of(n + m, out->z);
    return true;
}

/* |mean of the first n rows - mean of the rest|. */
static double split_gap(const struct pooled_values *v, size_t n, size_t m)
{
    double part = 0.0;
    for (size_t i = 0; i < n; i++)
        part += v->z[v->rows[i]];
    return fabs(part / (double)n - (v->total - part) / (double)m);
}

enum stat_status permutation_mean_exact(size_t n, const double *x, size_t m, const double *y,
                                        struct permutation *out)
{
    out->status = check_two_samples(n, x, m, y, out);
    if (out->status != STAT_OK)
        return out->status;
    if (choose(n + m, n) > PERMUTATION_EXACT_MAX)
        return out->status = STAT_TOO_LARGE;
    struct pooled_values v = {0};
    if (!pool_values(n, x, m, y, &v)) {
        out->status = STAT_NO_MEMORY;
    } else {
        double observed = fabs(out->statistic);
        do {
            out->n_total++;
            out->n_ge += split_gap(&v, n, m) >= observed - TIE;
        } while (next_choice(n + m, n, v.rows));
        out->p = (double)out->n_ge / (double)out->n_total;
    }
    free(v.z);
    free(v.rows);
    return out->status;
}

enum stat_status permutation_mean_drawn(size_t n, const double *x, size_t m, const double *y,
                                        size_t draws, uint64_t seed, struct permutation *out)
{
    out->status = check_two_samples(n, x, m, y, out);
    if (out->status != STAT_OK)
        return out->status;
    if (draws > PERMUTATION_DRAWS_MAX)
        return out->status = STAT_TOO_LARGE;
    struct pooled_values v = {0};
    if (!pool_values(n, x, m, y, &v)) {
        out->status = STAT_NO_MEMORY;
    } else {
        double observed = fabs(out->statistic);
        struct prng prng;
        prng_seed(&prng, seed);
        for (size_t b = 0; b < draws; b++) {
            prng_shuffle(&prng, n + m, v.rows);
            out->n_ge += split_gap(&v, n, m) >= observed - TIE;
        }
        out->n_total = draws;
        out->p = (1.0 + (double)out->n_ge) / (1.0 + (double)draws);
    }
    free(v.z);
    free(v.rows);
    return out->status;
}

/* Patients with their two integer ranks, the exchange mask, and counts per rank and class. */
struct exchange {
    size_t n;
    const double *y;
    const uint32_t *patient; /* [n] ascending; NULL: each row its own */
    uint64_t *rank[2];       /* [n] twice the midrank under each model */
    unsigned char *swap;     /* [n] */
    uint32_t *count;         /* [2n+1][2] positives and negatives at each rank */
    double n_pos, n_neg;
};

/* AUROC of model which after the exchange. */
static double exchanged_auroc(const struct exchange *e, int which)
{
    memset(e->count, 0, (2 * e->n + 1) * 2 * sizeof *e->count);
    for (size_t i = 0; i < e->n; i++) {
        uint64_t rank = e->rank[which ^ e->swap[i]][i];
        e->count[2 * rank + (e->y[i] == 1.0)]++;
    }
    double won = 0.0;
    double negatives_below = 0.0;
    for (size_t r = 0; r <= 2 * e->n; r++) {
        double neg = (double)e->count[2 * r];
        won += (double)e->count[2 * r + 1] * (negatives_below + 0.5 * neg);
        negatives_below += neg;
    }
    return won / (e->n_pos * e->n_neg);
}

static void exchange_draws(struct exchange *e, size_t draws, uint64_t seed, struct permutation *out)
{
    out->statistic = exchanged_auroc(e, 0) - exchanged_auroc(e, 1);
    struct prng prng;
    prng_seed(&prng, seed);
    for (size_t b = 0; b < draws; b++) {
        for (size_t i = 0; i < e->n; i++) {
            bool same = e->patient && i > 0 && e->patient[i] == e->patient[i - 1];
            e->swap[i] = same ? e->swap[i - 1] : (unsigned char)(prng_next(&prng) >> 63);
        }
        double d = exchanged_auroc(e, 0) - exchanged_auroc(e, 1);
        out->n_ge += fabs(d) >= fabs(out->statistic) - TIE;
    }
    out->n_total = draws;
    out->p = (1.0 + (double)out->n_ge) / (1.0 + (double)draws);
}

enum stat_status permutation_paired_auroc(size_t n, const double *y, const double *s1,
                                          const double *s2, const uint32_t *patient, size_t draws,
                                          uint64_t seed, struct permutation *out)
{
    *out = (struct permutation){.statistic = NAN, .p = NAN};
    if (n > RANK_ROWS_MAX / 2 || draws > PERMUTATION_DRAWS_MAX)
        return out->status = STAT_TOO_LARGE;
    struct exchange e = {.n = n, .y = y, .patient = patient};
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(s1[i]) || !isfinite(s2[i]) || !(y[i] == 0.0 || y[i] == 1.0))
            return out->status = STAT_INVALID_INPUT;
        e.n_pos += y[i];
    }
    e.n_neg = (double)n - e.n_pos;
    if (e.n_pos == 0.0 || e.n_neg == 0.0)
        return out->status = STAT_SINGLE_CLASS;
    e.rank[0] = calloc(n, 2 * sizeof *e.rank[0]);
    e.swap = calloc(n, 1);
    e.count = calloc(2 * n + 1, 2 * sizeof *e.count);
    out->status = STAT_NO_MEMORY;
    if (e.rank[0] && e.swap && e.count) {
        e.rank[1] = e.rank[0] + n;
        if (rank_twice_midranks(n, s1, e.rank[0]) && rank_twice_midranks(n, s2, e.rank[1])) {
            exchange_draws(&e, draws, seed, out);
            out->status = STAT_OK;
        }
    }
    free(e.rank[0]);
    free(e.swap);
    free(e.count);
    return out->status;
}
