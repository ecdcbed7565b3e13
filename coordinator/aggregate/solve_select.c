/* SPDX-License-Identifier: Apache-2.0 */
/* Rules that choose rows by their mutual distances: the Krum family, Bulyan's choice, MDA, SMEA,
 * MoNNA, nearest-neighbour mixing, the medoid. */
#include "coordinator/aggregate/order.h"
#include "coordinator/aggregate/solve.h"
#include "coordinator/aggregate/subset.h"
#include "proto/base/cleanup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct result solve_average(size_t n, const bool *kept, const double *weight, double *coef,
                            struct why *why)
{
    double total = 0.0;
    for (size_t i = 0; i < n; i++) {
        coef[i] = kept[i] ? (weight ? weight[i] : 1.0) : 0.0;
        total += coef[i];
    }
    if (!(total > 0.0))
        return failed(why, RESULT_REFUSED, "the rows that were kept weigh nothing");
    for (size_t i = 0; i < n; i++)
        coef[i] /= total;
    return DONE;
}

/* Sum of the nb smallest of value[0..count-1], added in ascending order. */
static double sum_smallest(size_t count, struct keyed *value, size_t nb)
{
    order_keyed(count, value);
    double sum = 0.0;
    for (size_t k = 0; k < nb && k < count; k++)
        sum += value[k].value;
    return sum;
}

bool solve_krum_scores(size_t n, const double *squared, size_t nb, double *score)
{
    CLEANUP(free_pointer) struct keyed *others = malloc(n * sizeof *others);
    if (!others)
        return false;
    for (size_t i = 0; i < n; i++) {
        size_t count = 0;
        for (size_t j = 0; j < n; j++)
            if (j != i)
                others[count++] = (struct keyed){squared[i * n + j], (uint32_t)j};
        score[i] = sum_smallest(count, others, nb);
    }
    return true;
}

/* Marks the m lowest scores. */
static bool mark_lowest(size_t n, const double *score, size_t m, bool *kept)
{
    CLEANUP(free_pointer) struct keyed *work = malloc(n * sizeof *work);
    if (!work)
        return false;
    for (size_t i = 0; i < n; i++)
        work[i] = (struct keyed){score[i], (uint32_t)i};
    order_keyed(n, work);
    memset(kept, 0, n * sizeof *kept);
    for (size_t k = 0; k < m && k < n; k++)
        kept[work[k].index] = true;
    return true;
}

static bool krum(enum agg_kind kind, const struct agg_params *p, size_t n, const double *squared,
                 double *score, bool *kept)
{
    bool nf1 = kind == AGG_KRUM_NF1 || kind == AGG_MULTIKRUM_NF1;
    bool multi = kind == AGG_MULTIKRUM || kind == AGG_MULTIKRUM_NF1;
    size_t nb = p->neighbours ? p->neighbours : n - p->f - (nf1 ? 1 : 2);
    size_t m = !multi ? 1 : p->m ? p->m : n - p->f;
    return solve_krum_scores(n, squared, nb, score) && mark_lowest(n, score, m, kept);
}

struct result solve_selection(enum agg_kind kind, const struct agg_params *p, size_t n,
                              const double *squared, const double *weight, double *coef,
                              struct agg_explain *explain, struct why *why)
{
    CLEANUP(free_pointer) double *score = calloc(n, sizeof *score);
    CLEANUP(free_pointer) bool *kept = calloc(n, sizeof *kept);
    bool enough = score && kept;
    if (enough && kind == AGG_MDA)
        TRY(subset_smallest_diameter(n, squared, p->f, kept, why));
    else if (enough && kind == AGG_SMEA)
        TRY(subset_smallest_spread(n, squared, p->f, kept, why));
    else if (enough && kind == AGG_MONNA)
        enough = mark_lowest(n, squared + p->idx * n, n - p->f, kept);
    else if (enough)
        enough = krum(kind, p, n, squared, score, kept);
    if (!enough)
        return failed(why, RESULT_SYSTEM, "no memory to choose among %zu rows", n);
    bool scored = kind != AGG_MDA && kind != AGG_SMEA && kind != AGG_MONNA;
    for (size_t i = 0; explain && i < n; i++) {
        explain->inclusions[i] = kept[i];
        if (scored)
            explain->score[i] = score[i];
    }
    return solve_average(n, kept, weight, coef, why);
}

/* Row of the remaining ones with the lowest Krum score among them; remaining holds count rows. */
static size_t best_remaining(size_t n, const double *squared, size_t count,
                             const uint32_t *remaining, size_t nb, struct keyed *others)
{
    size_t best = 0;
    double best_score = INFINITY;
    for (size_t a = 0; a < count; a++) {
        size_t found = 0;
        for (size_t b = 0; b < count; b++)
            if (b != a)
                others[found++] =
                    (struct keyed){squared[remaining[a] * n + remaining[b]], (uint32_t)b};
        double score = sum_smallest(found, others, nb);
        if (score < best_score) {
            best_score = score;
            best = a;
        }
    }
    return best;
}

struct result solve_bulyan(size_t n, const double *squared, size_t f, uint32_t *taken,
                           struct why *why)
{
    CLEANUP(free_pointer) uint32_t *remaining = malloc(n * sizeof *remaining);
    CLEANUP(free_pointer) struct keyed *others = malloc(n * sizeof *others);
    if (!remaining || !others)
        return failed(why, RESULT_SYSTEM, "no memory to choose among %zu rows", n);
    for (size_t i = 0; i < n; i++)
        remaining[i] = (uint32_t)i;
    size_t count = n;
    for (size_t k = 0; k < n - 2 * f; k++) {
        size_t nb = count > f + 3 ? count - f - 2 : 1;
        size_t best = best_remaining(n, squared, count, remaining, nb, others);
        taken[k] = remaining[best];
        memmove(remaining + best, remaining + best + 1, (count - best - 1) * sizeof *remaining);
        count--;
    }
    return DONE;
}

struct result solve_nnm(size_t n, const double *squared, size_t f, const double *weight,
                        double *mix, struct agg_explain *explain, struct why *why)
{
    CLEANUP(free_pointer) bool *kept = calloc(n, sizeof *kept);
    CLEANUP(free_pointer) size_t *taken = calloc(n, sizeof *taken);
    if (!kept || !taken)
        return failed(why, RESULT_SYSTEM, "no memory to mix %zu rows", n);
    for (size_t i = 0; i < n; i++) {
        if (!mark_lowest(n, squared + i * n, n - f, kept))
            return failed(why, RESULT_SYSTEM, "no memory to mix %zu rows", n);
        TRY(solve_average(n, kept, weight, mix + i * n, why));
        for (size_t j = 0; j < n; j++)
            taken[j] += kept[j];
    }
    for (size_t j = 0; explain && j < n; j++)
        explain->inclusions[j] = taken[j];
    return DONE;
}

size_t solve_medoid(size_t n, const double *squared)
{
    size_t best = 0;
    double best_sum = INFINITY;
    for (size_t i = 0; i < n; i++) {
        double sum = 0.0;
        for (size_t j = 0; j < n; j++)
            sum += sqrt(squared[i * n + j]);
        if (sum < best_sum) {
            best_sum = sum;
            best = i;
        }
    }
    return best;
}

void solve_majority(size_t n, const double *squared, double *coef)
{
    struct keyed nearest[AGG_ROWS_MAX];
    const double *apart = squared + solve_medoid(n, squared) * n;
    size_t most = n / 2 + 1 < n ? n / 2 + 1 : n;
    for (size_t i = 0; i < n; i++) {
        nearest[i] = (struct keyed){apart[i], (uint32_t)i};
        coef[i] = 0.0;
    }
    order_keyed(n, nearest);
    for (size_t k = 0; k < most; k++)
        coef[nearest[k].index] = 1.0 / (double)most;
}
