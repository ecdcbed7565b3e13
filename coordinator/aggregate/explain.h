/* SPDX-License-Identifier: Apache-2.0 */
/* Filling in what the aggregation saw. */
#ifndef CONSILIUM_AGGREGATE_EXPLAIN_H
#define CONSILIUM_AGGREGATE_EXPLAIN_H

#include "coordinator/aggregate/aggregate.h"

/* Allocates the arrays for n rows, everything undefined (NaN, SIZE_MAX) but the distances (0).
 * On failure nothing is left allocated. */
struct result explain_new(struct agg_explain *explain, size_t n, struct why *why) MUST_CHECK;

/* inclusions = 1 for the count rows in taken, 0 for the others; explain may be NULL. */
void explain_taken(struct agg_explain *explain, size_t n, size_t count, const uint32_t *taken);

#endif
