/* SPDX-License-Identifier: Apache-2.0 */
/* Self-reported sample sizes as weights, truncated so that no f sites can buy the round. */
#ifndef CONSILIUM_AGGREGATE_WEIGHTS_H
#define CONSILIUM_AGGREGATE_WEIGHTS_H

#include "coordinator/aggregate/aggregate.h"

/* Weight below this share of the total is rounding and counts as none: what a sum in another order
 * leaves of a row that was trimmed must not carry a hostile 1e30. */
#define WEIGHT_NONE 1e-12

/* The weights a rule works with: NULL when none were given, else a copy of w, truncated when alpha
 * is given. The caller frees it. */
struct result weights_in_force(const struct agg_params *p, size_t n, double **weight,
                               struct why *why) MUST_CHECK;

#endif
