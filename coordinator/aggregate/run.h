/* SPDX-License-Identifier: Apache-2.0 */
/* agg_run with the kernels named: for tests and timings. */
#ifndef CONSILIUM_AGGREGATE_RUN_H
#define CONSILIUM_AGGREGATE_RUN_H

#include "coordinator/aggregate/aggregate.h"
#include "coordinator/aggregate/passes.h"

/* As agg_run; means->threads is 1 to AGG_THREADS_MAX. */
struct result agg_run_with(const struct agg_means *means, const struct agg_rule *rule,
                           const struct agg_source *source, float *out, struct agg_explain *explain,
                           struct why *why) MUST_CHECK;

#endif
