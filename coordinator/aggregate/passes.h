/* SPDX-License-Identifier: Apache-2.0 */
/* The two passes over the data: products of all rows, and the application of a decision. A shard
 * runs them on its own range of coordinates; only the sums of the first travel. */
#ifndef CONSILIUM_AGGREGATE_PASSES_H
#define CONSILIUM_AGGREGATE_PASSES_H

#include "coordinator/aggregate/decide.h"
#include "coordinator/aggregate/gram.h"
#include "coordinator/aggregate/kernels.h"

/* How a pass runs. kernels NULL means kernels_best(). */
struct agg_means {
    const struct kernels *kernels;
    unsigned threads;
};

/* Products of the points over the source's blocks, into gram (made here; gram_free). wide: wholly
 * in double, uncentred, for rows that agg_gram_is_sound refused. */
struct result agg_pass_gram(const struct agg_means *means, const struct agg_source *source,
                            const struct agg_points *points, bool wide, struct gram *gram,
                            struct why *why) MUST_CHECK;

/* Applies the decision: out [1 or decision->rows][source->d]. */
struct result agg_pass_apply(const struct agg_means *means, const struct agg_rule *rule,
                             const struct agg_source *source, const struct agg_points *points,
                             const struct agg_decision *decision, float *out,
                             struct why *why) MUST_CHECK;

/* Norm of each row, cosine and distance to out[d], into explain. */
struct result agg_pass_explain(const struct agg_means *means, const struct agg_source *source,
                               const struct agg_points *points, const float *out,
                               struct agg_explain *explain, struct why *why) MUST_CHECK;

#endif
