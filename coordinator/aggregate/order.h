/* SPDX-License-Identifier: Apache-2.0 */
/* Stable orders: every tie goes to the lowest index. */
#ifndef CONSILIUM_AGGREGATE_ORDER_H
#define CONSILIUM_AGGREGATE_ORDER_H

#include <stddef.h>
#include <stdint.h>

/* A value and where it came from. */
struct keyed {
    double value;
    uint32_t index;
};

/* Sorts n entries ascending by (value, index); a NaN counts as larger than every number. */
void order_keyed(size_t n, struct keyed *entries);

/* Indices of value[0..n-1] in that order; work has n entries. */
void order_indices(size_t n, const double *value, uint32_t *index, struct keyed *work);

/* Median of n >= 1 values, the two middle ones averaged when n is even. values is reordered. */
double order_median(size_t n, double *values);

#endif
