/* SPDX-License-Identifier: Apache-2.0 */
/* Exact searches over subsets of n-f rows: smallest diameter, smallest top eigenvalue. */
#ifndef CONSILIUM_AGGREGATE_SUBSET_H
#define CONSILIUM_AGGREGATE_SUBSET_H

#include "proto/base/result.h"

#include <stdbool.h>
#include <stddef.h>

/* Branches of the search that mda may take before it is refused. */
enum { SUBSET_NODES_MAX = 20000000 };

/* Marks in kept[n] the subset of n-f rows whose largest squared distance is smallest; among equals
 * the lexicographically first. squared is [n][n], symmetric. Rows farther apart than t cannot both
 * stay, so the removed rows are a vertex cover of at most f vertices of the graph of distances
 * above t; t is found by bisection over the sorted distances. RESULT_REFUSED when the search would
 * take more than SUBSET_NODES_MAX branches. */
struct result subset_smallest_diameter(size_t n, const double *squared, size_t f, bool *kept,
                                       struct why *why) MUST_CHECK;

/* Marks in kept[n] the subset of n-f rows whose centred scatter matrix has the smallest top
 * eigenvalue; a later subset in lexicographic order must be smaller by more than one part in 1e12.
 * n <= AGG_SMEA_ROWS_MAX. */
struct result subset_smallest_spread(size_t n, const double *squared, size_t f, bool *kept,
                                     struct why *why) MUST_CHECK;

#endif
