/* SPDX-License-Identifier: Apache-2.0 */
/* Iterated points in Gram form: geometric medians and centered clipping as weights over m points.
 */
#ifndef CONSILIUM_AGGREGATE_SOLVE_POINTS_H
#define CONSILIUM_AGGREGATE_SOLVE_POINTS_H

#include "coordinator/aggregate/aggregate.h"

/* The points: the first n of m are the rows; gram is [m][m], of the points around any reference.
 * origin is the index of the zero vector, given of the point given in numbers (SIZE_MAX: none). */
struct solve_cloud {
    size_t n;
    size_t m;
    const double *gram;
    size_t origin;
    size_t given;
    const double *weight; /* [n] or NULL */
};

/* Affine weights c[m] of the result; share: NULL or [n], what the last turn gave each row. */
struct result solve_geomedian(enum agg_kind kind, const struct agg_params *p,
                              const struct solve_cloud *cloud, double *c,
                              struct why *why) MUST_CHECK;
struct result solve_centered_clipping(const struct agg_params *p, const struct solve_cloud *cloud,
                                      double *c, double *clip_factor, struct why *why) MUST_CHECK;

/* The schedule that both engines share. */
struct weiszfeld {
    enum agg_point_kind start;
    double nu; /* 0: a millionth of the median distance from the start */
    size_t turns;
    double relative_stop; /* stop when a move is at most this part of absolute + |z| */
    double absolute;
};
struct weiszfeld weiszfeld_schedule(enum agg_kind kind, const struct agg_params *p);

/* nu when none is given: 1e-6 of the median of radius[n]; work has n entries. */
double weiszfeld_scale_free(size_t n, const double *radius, double *work);

#endif
