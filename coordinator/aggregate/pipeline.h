/* SPDX-License-Identifier: Apache-2.0 */
/* The current rows of a rule under way, as affine combinations of the points of the Gram matrix. */
#ifndef CONSILIUM_AGGREGATE_PIPELINE_H
#define CONSILIUM_AGGREGATE_PIPELINE_H

#include "coordinator/aggregate/decide.h"

/* The state between stages: m current points, the first `rows` of them the current rows, then the
 * points that stay: given, origin, and the row g0 as it arrived. */
struct pipeline {
    const struct agg_params *p;
    size_t points; /* as they arrived: width of a */
    size_t rows;
    size_t stay;
    double *a;    /* [m][points] */
    double *gram; /* [m][m] */
    size_t given;
    size_t origin;
    size_t trusted;
};

/* Starts from the points as they arrived; gram [count][count] is copied (NULL: not needed).
 * pipeline_free, also after failure. */
struct result pipeline_init(struct pipeline *s, const struct agg_rule *rule,
                            const struct agg_points *points, const double *gram,
                            struct why *why) MUST_CHECK;
void pipeline_free(struct pipeline *s);

static inline size_t pipeline_current(const struct pipeline *s)
{
    return s->rows + s->stay;
}

/* Applies one pre-aggregation. */
struct result pipeline_pre(enum agg_kind kind, struct pipeline *s, const double *weight,
                           struct agg_explain *explain, struct why *why) MUST_CHECK;

/* Squared distances between the current rows [rows][rows], exactly symmetric; the caller frees
 * them. NULL when memory is short. */
double *pipeline_squared_distances(const struct pipeline *s);

/* <p_i, p_j> around the origin. */
double pipeline_inner(const struct pipeline *s, size_t i, size_t j);

#endif
