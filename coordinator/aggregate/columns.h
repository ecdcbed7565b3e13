/* SPDX-License-Identifier: Apache-2.0 */
/* Coordinate-wise rules over tiles of float32 columns. */
#ifndef CONSILIUM_AGGREGATE_COLUMNS_H
#define CONSILIUM_AGGREGATE_COLUMNS_H

#include "coordinator/aggregate/aggregate.h"
#include "coordinator/aggregate/kernels.h"

/* One rule made ready for n rows; shared read-only by the threads. */
struct columns {
    const struct kernels *kernels;
    const struct agg_params *params;
    const double *weight; /* [n] or NULL */
    enum agg_kind kind;
    size_t n;
    const uint32_t *taken; /* bulyan's rows, in the order taken; else NULL */
    size_t taken_count;
    size_t drop;             /* values dropped at each end: median, trimmed mean */
    kernel_trimmed *trimmed; /* unrolled network, or NULL and then: */
    struct network network;  /* table-driven, when it has steps */
};

/* Makes the rule ready; columns_free. weight and taken are borrowed. */
struct result columns_init(struct columns *columns, const struct kernels *kernels,
                           enum agg_kind kind, const struct agg_params *params, size_t n,
                           const double *weight, const uint32_t *taken, size_t taken_count,
                           struct why *why) MUST_CHECK;
void columns_free(struct columns *columns);

/* Floats of scratch that columns_run needs for n rows. */
size_t columns_scratch(size_t n);

/* The rule over rows [n][KERNEL_SORT_COLUMNS]; out gets width of its columns. */
void columns_run_tile(const struct columns *columns, const float *rows, size_t width,
                      float *scratch, float *out);

/* out[0..count-1] from rows x[0..n-1]; scratch is aligned for double. */
void columns_run(const struct columns *columns, const float *const *x, size_t count, float *scratch,
                 float *out);

#endif
