/* SPDX-License-Identifier: Apache-2.0 */
/* Order statistics: sorting with row numbers, midranks, medians. */
#ifndef CONSILIUM_LINALG_STATS_RANK_H
#define CONSILIUM_LINALG_STATS_RANK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Most rows one call accepts: row numbers are 32 bits. */
#define RANK_ROWS_MAX ((size_t)UINT32_MAX)

/* A value as an unsigned key in the same order, and the row it came from. Equal values, -0 and +0
 * among them, have equal keys. */
struct rank_item {
    uint64_t key;
    uint32_t row;
    uint32_t tag; /* the caller's own, carried along: saves a jump to the row */
};

/* Key of a value; NaN must have been refused before. */
uint64_t rank_key(double value);

/* The value a key stands for. */
double rank_value(uint64_t key);

/* Allocates and fills the ascending order of x[n]: free() it. NULL for n = 0, no memory, or n past
 * RANK_ROWS_MAX. O(n): radix sort. */
struct rank_item *rank_order(size_t n, const double *x);

/* Sorts items[n] by key with scratch[n]. */
void rank_sort(size_t n, struct rank_item *items, struct rank_item *scratch);

/* Sorts x[n] in place; false without memory. */
bool rank_sort_values(size_t n, double *x);

/* Twice the midrank (average rank of ties, from 1) of each x, an integer, into twice[n]; false
 * without memory. */
bool rank_twice_midranks(size_t n, const double *x, uint64_t *twice);

/* Median of x[n], mean of the two middle values for even n; reorders x. NaN for n = 0. */
double rank_median(size_t n, double *x);

/* Whether all of x[n] is finite. */
bool rank_all_finite(size_t n, const double *x);

#endif
