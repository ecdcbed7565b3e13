/* SPDX-License-Identifier: Apache-2.0 */
/* The plain twins in double: every rule by its definition, row by row, for the tests, for double
 * input and as what the fast engine is compared with. */
#ifndef CONSILIUM_AGGREGATE_PLAIN_H
#define CONSILIUM_AGGREGATE_PLAIN_H

#include "coordinator/aggregate/aggregate.h"

/* The rows as they reach a stage. x[i] has d coordinates. */
struct plain_rows {
    size_t n;
    size_t d;
    const double *const *x;
    const double *weight; /* [n] truncated weights, or NULL */
};

/* One coordinate at a time (plain_columns.c). taken: bulyan's rows, in the order taken. */
struct result plain_columns(enum agg_kind kind, const struct agg_params *p,
                            const struct plain_rows *rows, double *out, struct why *why) MUST_CHECK;
struct result plain_bulyan(const struct plain_rows *rows, size_t f, const uint32_t *taken,
                           double *out, struct why *why) MUST_CHECK;

/* The value of one column of n numbers for a column rule; work has n entries. Shared with the fast
 * engine for the rules that have no network. */
struct keyed;
double plain_column(enum agg_kind kind, const struct agg_params *p, size_t n, const double *column,
                    const double *weight, struct keyed *work);
/* Mean of the n-4f values of column[n-2f] nearest to their median, ties in the order given. */
double plain_bulyan_column(size_t theta, size_t keep, const double *column, struct keyed *work);

/* Points moved by distances (plain_points.c): the geometric medians and centered clipping. squared
 * may be NULL unless a medoid is asked for. clip_factor: NULL or [n]. */
struct result plain_geomedian(enum agg_kind kind, const struct agg_params *p,
                              const struct plain_rows *rows, const double *squared, double *out,
                              double *weight, struct why *why) MUST_CHECK;
struct result plain_centered_clipping(const struct agg_params *p, const struct plain_rows *rows,
                                      const double *squared, double *out, double *clip_factor,
                                      struct why *why) MUST_CHECK;

/* Squared distances between all rows, by differences, into squared [n][n]. */
void plain_squared_distances(const struct plain_rows *rows, double *squared);

/* out = sum coef_i x_i over rows with a coefficient other than 0. */
void plain_combine(const struct plain_rows *rows, const double *coef, double *out);

/* sqrt(sum (x - y)^2); y NULL is the origin. */
double plain_distance(size_t d, const double *x, const double *y);

#endif
