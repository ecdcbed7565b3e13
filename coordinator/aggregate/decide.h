/* SPDX-License-Identifier: Apache-2.0 */
/* What to do with the rows, worked out from their Gram matrix alone.
 *
 * Points of the Gram matrix: the n rows, then the extra row given as a parameter (v0, z0, g0), if
 * any, then the origin, if a stage needs it. All weights below are affine (they sum to 1) over
 * these points, so the reference that the rows were centred by drops out. */
#ifndef CONSILIUM_AGGREGATE_DECIDE_H
#define CONSILIUM_AGGREGATE_DECIDE_H

#include "coordinator/aggregate/aggregate.h"

/* Which points a rule needs beside the rows. */
struct agg_points {
    size_t n;
    size_t extra;        /* 1 when a point is given in numbers, else 0 */
    size_t origin;       /* 1 when norms are needed, else 0 */
    const double *given; /* the extra point, or NULL */
    size_t given_length;
    bool gram; /* whether the rule needs the Gram matrix at all */
};

struct agg_points agg_points_needed(const struct agg_rule *rule, size_t n);

static inline size_t agg_points_count(const struct agg_points *p)
{
    return p->n + p->extra + p->origin;
}

enum agg_shape {
    AGG_SHAPE_LINEAR, /* out = sum coef_k row_k */
    AGG_SHAPE_ROWS,   /* out[o] = sum mix[o][k] row_k */
    AGG_SHAPE_COLUMNS /* a column rule over the mixed rows */
};

struct agg_decision {
    enum agg_shape shape;
    size_t n;           /* rows given */
    size_t inputs;      /* n + extra: width of coef and mix; the origin adds nothing */
    size_t rows;        /* rows that reach the last stage */
    double *coef;       /* [inputs], LINEAR */
    double *mix;        /* [rows][inputs]; NULL when the rows go in as they are */
    double *weight;     /* [n] truncated weights, or NULL */
    enum agg_kind kind; /* the column rule */
    uint32_t *taken;    /* bulyan's rows */
    size_t taken_count;
};

/* Decides. gram is [count][count] over the points (NULL when points->gram is false). explain: NULL,
 * or arrays for n rows. agg_decision_free releases, also after failure.
 */
struct result agg_decide(const struct agg_rule *rule, const struct agg_points *points,
                         const double *gram, struct agg_decision *decision,
                         struct agg_explain *explain, struct why *why) MUST_CHECK;
void agg_decision_free(struct agg_decision *decision);

/* Whether so few products are needed that they are worth doing in double from the start; d is the
 * length of the whole vector, also for a shard. */
bool agg_gram_is_small(const struct agg_points *points, size_t d);

/* Whether float32 sums around the reference can be trusted for these distances: false when the rows
 * lie much closer together than to the reference. */
bool agg_gram_is_sound(const struct agg_points *points, const double *gram);

#endif
