/* SPDX-License-Identifier: Apache-2.0 */
/* What to do with the rows: pre-aggregations in Gram form, then the last stage's weights over the
 * current rows, brought back to the rows as they arrived. */
#include "coordinator/aggregate/decide.h"

#include "coordinator/aggregate/explain.h"
#include "coordinator/aggregate/order.h"
#include "coordinator/aggregate/pipeline.h"
#include "coordinator/aggregate/solve.h"
#include "coordinator/aggregate/solve_points.h"
#include "coordinator/aggregate/weights.h"
#include "proto/base/cleanup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool needs_origin(enum agg_kind kind, const struct agg_params *p)
{
    switch (kind) {
    case AGG_ARC:
    case AGG_CLIP:
    case AGG_FLTRUST:
    case AGG_GEOMEDIAN:
    case AGG_GEOMEDIAN_CONVERGED:
        return true;
    case AGG_GEOMEDIAN_SMOOTHED:
    case AGG_WEIGHTED_GEOMEDIAN_SMOOTHED:
        return p->z0.kind == AGG_POINT_DEFAULT || p->z0.kind == AGG_POINT_ZERO;
    case AGG_CENTERED_CLIPPING:
        return p->v0.kind == AGG_POINT_DEFAULT || p->v0.kind == AGG_POINT_ZERO;
    default:
        return false;
    }
}

/* The point parameter that a rule starts from or trusts. */
static const struct agg_point *point_of(enum agg_kind kind, const struct agg_params *p)
{
    switch (kind) {
    case AGG_FLTRUST:
        return &p->g0;
    case AGG_CENTERED_CLIPPING:
        return &p->v0;
    case AGG_GEOMEDIAN:
    case AGG_GEOMEDIAN_SMOOTHED:
    case AGG_GEOMEDIAN_CONVERGED:
    case AGG_WEIGHTED_GEOMEDIAN_SMOOTHED:
        return &p->z0;
    default:
        return NULL;
    }
}

struct agg_points agg_points_needed(const struct agg_rule *rule, size_t n)
{
    const struct agg_params *p = &rule->params;
    struct agg_points points = {.n = n};
    for (int i = 0; i < rule->stages; i++) {
        enum agg_kind kind = rule->stage[i];
        points.gram |= (AGG_RULES[kind].needs & AGG_NEEDS_GRAM) != 0;
        points.origin |= needs_origin(kind, p);
        const struct agg_point *point = point_of(kind, p);
        if (point && point->kind == AGG_POINT_GIVEN) {
            points.extra = 1;
            points.given = point->values;
            points.given_length = point->length;
        }
    }
    return points;
}

/* Centred Gram matrix of the current rows around their mean weighted by c. */
static void centred_gram(void *context, const double *c, double *out)
{
    const struct pipeline *s = context;
    size_t n = s->rows;
    size_t m = pipeline_current(s);
    double total = 0.0;
    for (size_t i = 0; i < n; i++)
        total += c[i];
    double form = 0.0;
    for (size_t i = 0; i < n; i++) {
        double sum = 0.0;
        for (size_t j = 0; j < n; j++)
            sum += s->gram[i * m + j] * (c[j] / total);
        out[i * n + i] = sum; /* (G w)_i until the loop below */
        form += c[i] / total * sum;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            out[i * n + j] = out[j * n + i] =
                s->gram[i * m + j] - out[i * n + i] - out[j * n + j] + form;
    for (size_t i = 0; i < n; i++)
        out[i * n + i] = s->gram[i * m + i] - 2.0 * out[i * n + i] + form;
}

static struct result decide_spectral(enum agg_kind kind, struct pipeline *s, const double *weight,
                                     double *c, struct agg_explain *explain, struct why *why)
{
    size_t n = s->rows;
    if (kind == AGG_CAF)
        return solve_caf(n, s->p->f, centred_gram, s, weight, c, explain, why);
    CLEANUP(free_pointer) double *gram = calloc(n * n, sizeof *gram);
    if (!gram)
        return failed(why, RESULT_SYSTEM, "no memory for the products of %zu rows", n);
    for (size_t i = 0; i < n; i++)
        c[i] = 1.0;
    centred_gram(s, c, gram);
    double part = s->p->has_filter_frac ? s->p->filter_frac : 1.0;
    return solve_dnc(n, s->p->f, part, gram, weight, c, why);
}

static struct result decide_fltrust(const struct pipeline *s, double *c, struct why *why)
{
    size_t n = s->rows;
    size_t m = pipeline_current(s);
    CLEANUP(free_pointer) double *norm = calloc(3 * m, sizeof *norm);
    if (!norm)
        return failed(why, RESULT_SYSTEM, "no memory for %zu norms", n);
    double *product = norm + m;
    double *trusted = norm + 2 * m;
    if (s->p->g0.kind == AGG_POINT_GIVEN)
        trusted[s->given] = 1.0;
    else if (s->p->g0.kind == AGG_POINT_ROW)
        trusted[s->trusted] = 1.0;
    else if (s->p->g0.kind == AGG_POINT_MEAN)
        for (size_t i = 0; i < n; i++)
            trusted[i] = 1.0 / (double)n;
    double square = 0.0;
    for (size_t i = 0; i < m; i++) {
        double sum = 0.0;
        for (size_t j = 0; j < m; j++)
            sum += pipeline_inner(s, i, j) * trusted[j];
        product[i] = sum;
        square += trusted[i] * sum;
        norm[i] = sqrt(fmax(0.0, pipeline_inner(s, i, i)));
    }
    solve_fltrust(n, norm, product, sqrt(fmax(0.0, square)), c);
    return DONE;
}

/* Weights c over the current points for the rules that end in one combination. */
static struct result decide_linear(enum agg_kind kind, struct pipeline *s, const double *weight,
                                   double *c, struct agg_explain *explain, struct why *why)
{
    size_t n = s->rows;
    struct solve_cloud cloud = {n, pipeline_current(s), s->gram, s->origin, s->given, weight};
    CLEANUP(free_pointer) bool *kept = calloc(n, sizeof *kept);
    if (!kept)
        return failed(why, RESULT_SYSTEM, "no memory for %zu rows", n);
    switch (kind) {
    case AGG_CAF:
    case AGG_DNC_FULL:
        return decide_spectral(kind, s, weight, c, explain, why);
    case AGG_FLTRUST:
        return decide_fltrust(s, c, why);
    case AGG_GEOMEDIAN:
    case AGG_GEOMEDIAN_SMOOTHED:
    case AGG_GEOMEDIAN_CONVERGED:
    case AGG_WEIGHTED_GEOMEDIAN_SMOOTHED:
        return solve_geomedian(kind, s->p, &cloud, c, why);
    case AGG_CENTERED_CLIPPING:
        return solve_centered_clipping(s->p, &cloud, c, explain ? explain->clip_factor : NULL, why);
    case AGG_MEAN:
    case AGG_WEIGHTED_MEAN:
    case AGG_TRIMMED_MEAN:
        memset(kept, 1, n * sizeof *kept);
        return solve_average(n, kept, kind == AGG_WEIGHTED_MEAN ? weight : NULL, c, why);
    default:
        break;
    }
    CLEANUP(free_pointer) double *squared = pipeline_squared_distances(s);
    if (!squared)
        return failed(why, RESULT_SYSTEM, "no memory for the distances of %zu rows", n);
    return solve_selection(kind, s->p, n, squared, weight, c, explain, why);
}

/* Rows of A that the last stage reads, without the origin: mix [rows][inputs]. */
static double *mix_of(const struct pipeline *s, size_t inputs)
{
    double *mix = calloc(s->rows * inputs, sizeof *mix);
    for (size_t i = 0; mix && i < s->rows; i++)
        memcpy(mix + i * inputs, s->a + i * s->points, inputs * sizeof *mix);
    return mix;
}

/* coef = A' c over the points as they arrived, without the origin. */
static struct result bring_back(const struct pipeline *s, const double *c,
                                struct agg_decision *decision, struct why *why)
{
    decision->shape = AGG_SHAPE_LINEAR;
    decision->coef = calloc(decision->inputs, sizeof *decision->coef);
    if (!decision->coef)
        return failed(why, RESULT_SYSTEM, "no memory for %zu weights", decision->inputs);
    for (size_t k = 0; k < pipeline_current(s); k++)
        for (size_t j = 0; c[k] != 0.0 && j < decision->inputs; j++)
            decision->coef[j] += c[k] * s->a[k * s->points + j];
    return DONE;
}

static bool is_column_rule(enum agg_kind kind)
{
    return (AGG_RULES[kind].needs & AGG_NEEDS_COLUMNS) != 0;
}

static struct result decide_columns(enum agg_kind kind, struct pipeline *s, bool mixed,
                                    struct agg_decision *decision, struct agg_explain *explain,
                                    struct why *why)
{
    decision->shape = AGG_SHAPE_COLUMNS;
    decision->kind = kind;
    decision->mix = mixed ? mix_of(s, decision->inputs) : NULL;
    if (mixed && !decision->mix)
        return failed(why, RESULT_SYSTEM, "no memory to mix %zu rows", s->rows);
    if (kind != AGG_BULYAN)
        return DONE;
    CLEANUP(free_pointer) double *squared = pipeline_squared_distances(s);
    decision->taken_count = s->rows - 2 * s->p->f;
    decision->taken = calloc(decision->taken_count, sizeof *decision->taken);
    if (!squared || !decision->taken)
        return failed(why, RESULT_SYSTEM, "no memory for the distances of %zu rows", s->rows);
    TRY(solve_bulyan(s->rows, squared, s->p->f, decision->taken, why));
    explain_taken(explain, s->rows, decision->taken_count, decision->taken);
    return DONE;
}

static struct result decide_last(enum agg_kind kind, struct pipeline *s, bool mixed,
                                 struct agg_decision *decision, struct agg_explain *explain,
                                 struct why *why)
{
    bool plain_mean = kind == AGG_TRIMMED_MEAN && s->p->f == 0;
    if (is_column_rule(kind) && !plain_mean)
        return decide_columns(kind, s, mixed, decision, explain, why);
    CLEANUP(free_pointer) double *c = calloc(pipeline_current(s), sizeof *c);
    if (!c)
        return failed(why, RESULT_SYSTEM, "no memory for %zu weights", s->rows);
    struct agg_explain *seen = explain && explain->n == s->rows ? explain : NULL;
    TRY(decide_linear(kind, s, decision->weight, c, seen, why));
    TRY(bring_back(s, c, decision, why));
    for (size_t i = 0; explain && i < explain->n; i++)
        explain->weight[i] = decision->coef[i];
    return DONE;
}

/* Buckets are means of several sites; weights of sites do not follow them. */
static void drop_weights(struct agg_decision *decision)
{
    free(decision->weight);
    decision->weight = NULL;
}

struct result agg_decide(const struct agg_rule *rule, const struct agg_points *points,
                         const double *gram, struct agg_decision *decision,
                         struct agg_explain *explain, struct why *why)
{
    memset(decision, 0, sizeof *decision);
    decision->n = points->n;
    decision->inputs = points->n + points->extra;
    TRY(weights_in_force(&rule->params, points->n, &decision->weight, why));
    CLEANUP(pipeline_free) struct pipeline s = {0};
    TRY(pipeline_init(&s, rule, points, gram, why));
    bool mixed = false;
    for (int i = 0; i < rule->stages; i++) {
        enum agg_kind kind = rule->stage[i];
        if (AGG_RULES[kind].role == AGG_ROLE_PRE) {
            bool all = explain && explain->n == s.rows;
            TRY(pipeline_pre(kind, &s, decision->weight, all ? explain : NULL, why));
            mixed = true;
            if (kind == AGG_BUCKETING)
                drop_weights(decision);
            continue;
        }
        decision->rows = s.rows;
        return decide_last(kind, &s, mixed, decision, explain, why);
    }
    decision->rows = s.rows;
    decision->shape = AGG_SHAPE_ROWS;
    decision->mix = mix_of(&s, decision->inputs);
    return decision->mix ? DONE : failed(why, RESULT_SYSTEM, "no memory to mix %zu rows", s.rows);
}

void agg_decision_free(struct agg_decision *decision)
{
    free(decision->coef);
    free(decision->mix);
    free(decision->weight);
    free(decision->taken);
    memset(decision, 0, sizeof *decision);
}

bool agg_gram_is_small(const struct agg_points *points, size_t d)
{
    const double most = 4e6;
    double m = (double)agg_points_count(points);
    return m * m * (double)d <= most;
}

bool agg_gram_is_sound(const struct agg_points *points, const double *gram)
{
    /* float32 sums are good to about 1e-6 of a row's squared distance from the reference. */
    const double most = 64.0;
    const double least = 1e-24; /* squares of smaller rows sink below float32's normal numbers */
    size_t n = points->n;
    size_t m = agg_points_count(points);
    /* A row whose square overflows float32, such as 1e30 everywhere, spoils its products. */
    for (size_t i = 0; i < m * m; i++)
        if (!isfinite(gram[i]))
            return false;
    double *work = calloc(3 * n, sizeof *work);
    if (!work || n < 2) {
        free(work);
        return true;
    }
    double *own = work + n;
    double *apart = work + 2 * n;
    for (size_t i = 0; i < n; i++) {
        size_t count = 0;
        for (size_t j = 0; j < n; j++)
            if (j != i)
                work[count++] =
                    fmax(0.0, gram[i * m + i] + gram[j * m + j] - 2.0 * gram[i * m + j]);
        apart[i] = order_median(count, work);
        own[i] = gram[i * m + i];
    }
    double reference = order_median(n, own);
    double typical = order_median(n, apart);
    free(work);
    return reference <= most * typical && typical >= least;
}
