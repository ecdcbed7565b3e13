/* SPDX-License-Identifier: Apache-2.0 */
/* Pre-aggregations in Gram form: a map S takes the combinations A to S A and the Gram matrix G of
 * the current points to S G S'. Clipping a row is a map too: t x = t x + (1-t) origin. */
#include "coordinator/aggregate/pipeline.h"

#include "coordinator/aggregate/solve.h"
#include "proto/base/cleanup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void pipeline_free(struct pipeline *s)
{
    free(s->a);
    free(s->gram);
    s->a = s->gram = NULL;
}

struct result pipeline_init(struct pipeline *s, const struct agg_rule *rule,
                            const struct agg_points *points, const double *gram, struct why *why)
{
    const struct agg_params *p = &rule->params;
    size_t arrived = agg_points_count(points);
    bool trusts_row = rule->stage[rule->stages - 1] == AGG_FLTRUST && p->g0.kind == AGG_POINT_ROW;
    memset(s, 0, sizeof *s);
    s->p = p;
    s->points = arrived;
    s->rows = points->n;
    s->stay = points->extra + points->origin + trusts_row;
    s->given = points->extra ? points->n : SIZE_MAX;
    s->origin = points->origin ? points->n + points->extra : SIZE_MAX;
    s->trusted = trusts_row ? arrived : SIZE_MAX;
    size_t m = pipeline_current(s);
    s->a = calloc(m * arrived, sizeof *s->a);
    s->gram = gram ? calloc(m * m, sizeof *s->gram) : NULL;
    if (!s->a || (gram && !s->gram))
        return failed(why, RESULT_SYSTEM, "no memory for %zu points", m);
    for (size_t i = 0; i < m; i++) {
        size_t from = i < arrived ? i : p->g0.row;
        s->a[i * arrived + from] = 1.0;
        for (size_t j = 0; gram && j < m; j++)
            s->gram[i * m + j] = gram[from * arrived + (j < arrived ? j : p->g0.row)];
    }
    return DONE;
}

/* out = s x in s' for s [m][k], in [k][k]. */
static bool congruence(size_t m, size_t k, const double *s, const double *in, double *out)
{
    double *half = calloc(m * k, sizeof *half);
    if (!half)
        return false;
    for (size_t i = 0; i < m; i++)
        for (size_t l = 0; l < k; l++) {
            double factor = s[i * k + l];
            for (size_t j = 0; factor != 0.0 && j < k; j++)
                half[i * k + j] += factor * in[l * k + j];
        }
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = 0.0;
            for (size_t l = 0; l < k; l++)
                sum += half[i * k + l] * s[j * k + l];
            out[i * m + j] = out[j * m + i] = sum;
        }
    free(half);
    return true;
}

/* Applies a pre-aggregation s over the current points, [rows + stay][current]. */
static struct result apply_stage(struct pipeline *s, size_t rows, const double *map,
                                 struct why *why)
{
    size_t k = pipeline_current(s);
    size_t m = rows + s->stay;
    double *a = calloc(m * s->points, sizeof *a);
    double *gram = calloc(m * m, sizeof *gram);
    bool enough = a && gram && (!s->gram || congruence(m, k, map, s->gram, gram));
    for (size_t i = 0; enough && i < m; i++)
        for (size_t l = 0; l < k; l++) {
            double factor = map[i * k + l];
            for (size_t j = 0; factor != 0.0 && j < s->points; j++)
                a[i * s->points + j] += factor * s->a[l * s->points + j];
        }
    if (!enough) {
        free(a);
        free(gram);
        return failed(why, RESULT_SYSTEM, "no memory to mix %zu rows", rows);
    }
    free(s->a);
    s->a = a;
    if (s->gram) {
        free(s->gram);
        s->gram = gram;
    } else {
        free(gram);
    }
    /* The points that stay keep their places behind the rows. */
    size_t lost = s->rows - rows;
    s->given -= s->given == SIZE_MAX ? 0 : lost;
    s->origin -= s->origin == SIZE_MAX ? 0 : lost;
    s->trusted -= s->trusted == SIZE_MAX ? 0 : lost;
    s->rows = rows;
    return DONE;
}

double *pipeline_squared_distances(const struct pipeline *s)
{
    size_t n = s->rows;
    size_t m = pipeline_current(s);
    double *squared = calloc(n * n, sizeof *squared);
    for (size_t i = 0; squared && i < n; i++)
        for (size_t j = 0; j < i; j++)
            squared[i * n + j] = squared[j * n + i] =
                fmax(0.0, s->gram[i * m + i] + s->gram[j * m + j] - 2.0 * s->gram[i * m + j]);
    return squared;
}

double pipeline_inner(const struct pipeline *s, size_t i, size_t j)
{
    size_t m = pipeline_current(s);
    size_t o = s->origin;
    const double *g = s->gram;
    return g[i * m + j] - g[i * m + o] - g[j * m + o] + g[o * m + o];
}

static bool scale_factors(enum agg_kind kind, const struct pipeline *s, double *norm,
                          double *factor)
{
    for (size_t i = 0; i < s->rows; i++) {
        norm[i] = sqrt(fmax(0.0, pipeline_inner(s, i, i)));
        factor[i] = norm[i] > s->p->c ? s->p->c / norm[i] : 1.0;
    }
    return kind != AGG_ARC || solve_arc(s->rows, norm, s->p->f, factor);
}

/* The map of one pre-aggregation over the current points; the points that stay map to themselves.
 */
static struct result stage_map(enum agg_kind kind, const struct pipeline *s, size_t rows,
                               const double *weight, double *map, struct agg_explain *explain,
                               struct why *why)
{
    size_t n = s->rows;
    size_t k = pipeline_current(s);
    for (size_t i = 0; i < s->stay; i++)
        map[(rows + i) * k + n + i] = 1.0;
    if (kind == AGG_BUCKETING) {
        for (size_t i = 0; i < n; i++) {
            size_t bucket = i / s->p->s;
            size_t past = (bucket + 1) * s->p->s < n ? (bucket + 1) * s->p->s : n;
            map[bucket * k + s->p->perm[i]] = 1.0 / (double)(past - bucket * s->p->s);
        }
        return DONE;
    }
    CLEANUP(free_pointer) double *work = calloc(n * n + 2 * n, sizeof *work);
    CLEANUP(free_pointer) double *squared = pipeline_squared_distances(s);
    if (!work || !squared)
        return failed(why, RESULT_SYSTEM, "no memory to mix %zu rows", n);
    if (kind == AGG_NNM) {
        TRY(solve_nnm(n, squared, s->p->f, weight, work, explain, why));
        for (size_t i = 0; i < n; i++)
            memcpy(map + i * k, work + i * n, n * sizeof *map);
        return DONE;
    }
    if (!scale_factors(kind, s, work, work + n))
        return failed(why, RESULT_SYSTEM, "no memory for %zu norms", n);
    for (size_t i = 0; i < n; i++) {
        map[i * k + i] = work[n + i];
        map[i * k + s->origin] += 1.0 - work[n + i];
        if (explain)
            explain->clip_factor[i] = work[n + i];
    }
    return DONE;
}

struct result pipeline_pre(enum agg_kind kind, struct pipeline *s, const double *weight,
                           struct agg_explain *explain, struct why *why)
{
    size_t rows = kind == AGG_BUCKETING ? (s->rows + s->p->s - 1) / s->p->s : s->rows;
    CLEANUP(free_pointer) double *map = calloc((rows + s->stay) * pipeline_current(s), sizeof *map);
    if (!map)
        return failed(why, RESULT_SYSTEM, "no memory to mix %zu rows", rows);
    TRY(stage_map(kind, s, rows, weight, map, explain, why));
    return apply_stage(s, rows, map, why);
}
