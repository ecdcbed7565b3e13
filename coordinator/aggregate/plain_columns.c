/* SPDX-License-Identifier: Apache-2.0 */
/* Coordinate-wise rules in double: each column sorted by (value, row), then read off. */
#include "coordinator/aggregate/order.h"
#include "coordinator/aggregate/plain.h"
#include "coordinator/aggregate/weights.h"
#include "proto/base/cleanup.h"

#include <math.h>
#include <stdlib.h>

static double mean_of(size_t first, size_t past, const struct keyed *sorted)
{
    double sum = 0.0;
    for (size_t i = first; i < past; i++)
        sum += sorted[i].value;
    return sum / (double)(past - first);
}

static double middle(size_t n, const struct keyed *sorted)
{
    return n % 2 ? sorted[n / 2].value : (sorted[n / 2 - 1].value + sorted[n / 2].value) / 2.0;
}

/* Mean of the keep values nearest to the median. They are neighbours in the sorted column: start
 * with the lowest window and shift up while the value entered is strictly nearer than the one left
 * behind, so that a tie keeps the lower value. */
static double around_median(size_t n, size_t keep, const struct keyed *sorted)
{
    double centre = middle(n, sorted);
    size_t first = 0;
    while (first + keep < n &&
           fabs(sorted[first + keep].value - centre) < fabs(sorted[first].value - centre))
        first++;
    return mean_of(first, first + keep, sorted);
}

/* Value at half of the weight; the mean of two neighbours when half falls exactly between them. */
static double weighted_middle(size_t n, const struct keyed *sorted, const double *w)
{
    double total = 0.0;
    for (size_t i = 0; i < n; i++)
        total += w[sorted[i].index];
    double below = 0.0;
    size_t k = 0;
    for (; k < n; k++) {
        below += w[sorted[k].index];
        if (below >= total / 2.0 - WEIGHT_NONE * total)
            break;
    }
    if (k >= n)
        k = n - 1;
    if (fabs(below - total / 2.0) <= WEIGHT_NONE * total && k + 1 < n)
        return (sorted[k].value + sorted[k + 1].value) / 2.0;
    return sorted[k].value;
}

/* Mean after mass t is taken from each end, a row at the edge losing only part of its weight. */
static double weighted_trimmed(size_t n, const struct keyed *sorted, const double *w, double t)
{
    double left[AGG_ROWS_MAX];
    double total = 0.0;
    for (size_t i = 0; i < n; i++)
        total += left[i] = w[sorted[i].index];
    double low = t;
    for (size_t i = 0; i < n && low > 0.0; i++) {
        double cut = fmin(left[i], low);
        left[i] -= cut;
        low -= cut;
    }
    double high = t;
    for (size_t i = n; i-- > 0 && high > 0.0;) {
        double cut = fmin(left[i], high);
        left[i] -= cut;
        high -= cut;
    }
    double sum = 0.0;
    double mass = 0.0;
    for (size_t i = 0; i < n; i++) {
        if (left[i] <= WEIGHT_NONE * total)
            continue;
        sum += left[i] * sorted[i].value;
        mass += left[i];
    }
    return sum / mass;
}

/* mean + sign tau std, the standard deviation with n-1. */
static double shifted_mean(size_t n, const double *column, double mean_factor, double std_factor)
{
    double mean = 0.0;
    for (size_t i = 0; i < n; i++)
        mean += column[i];
    mean /= (double)n;
    double square = 0.0;
    for (size_t i = 0; i < n; i++)
        square += (column[i] - mean) * (column[i] - mean);
    double deviation = n > 1 ? sqrt(square / (double)(n - 1)) : 0.0;
    return mean_factor * mean + std_factor * deviation;
}

double plain_column(enum agg_kind kind, const struct agg_params *p, size_t n, const double *column,
                    const double *weight, struct keyed *work)
{
    for (size_t i = 0; i < n; i++)
        work[i] = (struct keyed){column[i], (uint32_t)i};
    bool sorted = kind != AGG_ATTACK_ALIE && kind != AGG_ATTACK_IPM && kind != AGG_ATTACK_SIGNFLIP;
    if (sorted)
        order_keyed(n, work);
    switch (kind) {
    case AGG_MEDIAN:
        return middle(n, work);
    case AGG_TRIMMED_MEAN:
        return mean_of(p->f, n - p->f, work);
    case AGG_MEAMED:
        return around_median(n, n - p->f, work);
    case AGG_WEIGHTED_MEDIAN:
        return weighted_middle(n, work, weight);
    case AGG_WEIGHTED_TRIMMED_MEAN:
        return weighted_trimmed(n, work, weight, p->trim_mass);
    case AGG_ATTACK_ALIE:
        return shifted_mean(n, column, 1.0, p->tau);
    case AGG_ATTACK_IPM:
        return shifted_mean(n, column, -p->tau, 0.0);
    case AGG_ATTACK_SIGNFLIP:
        return shifted_mean(n, column, -1.0, 0.0);
    default:
        return mean_of(0, n, work);
    }
}

double plain_bulyan_column(size_t theta, size_t keep, const double *column, struct keyed *work)
{
    for (size_t i = 0; i < theta; i++)
        work[i] = (struct keyed){column[i], (uint32_t)i};
    order_keyed(theta, work);
    double centre = middle(theta, work);
    for (size_t i = 0; i < theta; i++)
        work[i] = (struct keyed){fabs(column[i] - centre), (uint32_t)i};
    order_keyed(theta, work);
    double sum = 0.0;
    for (size_t k = 0; k < keep; k++)
        sum += column[work[k].index];
    return sum / (double)keep;
}

struct result plain_columns(enum agg_kind kind, const struct agg_params *p,
                            const struct plain_rows *rows, double *out, struct why *why)
{
    size_t n = rows->n;
    CLEANUP(free_pointer) double *column = malloc(n * sizeof *column);
    CLEANUP(free_pointer) struct keyed *work = malloc(n * sizeof *work);
    if (!column || !work)
        return failed(why, RESULT_SYSTEM, "no memory for a column of %zu rows", n);
    for (size_t c = 0; c < rows->d; c++) {
        for (size_t i = 0; i < n; i++)
            column[i] = rows->x[i][c];
        out[c] = plain_column(kind, p, n, column, rows->weight, work);
    }
    return DONE;
}

struct result plain_bulyan(const struct plain_rows *rows, size_t f, const uint32_t *taken,
                           double *out, struct why *why)
{
    size_t theta = rows->n - 2 * f;
    CLEANUP(free_pointer) double *column = malloc(theta * sizeof *column);
    CLEANUP(free_pointer) struct keyed *work = malloc(theta * sizeof *work);
    if (!column || !work)
        return failed(why, RESULT_SYSTEM, "no memory for a column of %zu rows", theta);
    for (size_t c = 0; c < rows->d; c++) {
        for (size_t i = 0; i < theta; i++)
            column[i] = rows->x[taken[i]][c];
        out[c] = plain_bulyan_column(theta, theta - 2 * f, column, work);
    }
    return DONE;
}
