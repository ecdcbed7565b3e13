/* SPDX-License-Identifier: Apache-2.0 */
/* The plain pipeline in double: each stage takes rows to rows, the last one to the output. */
#include "coordinator/aggregate/explain.h"
#include "coordinator/aggregate/plain.h"
#include "coordinator/aggregate/solve.h"
#include "coordinator/aggregate/weights.h"
#include "proto/base/cleanup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows owned by one stage: pointers, then the numbers. */
struct stage_rows {
    double *values;
    const double **x;
    double *squared; /* lazily computed, [n][n] */
    struct plain_rows view;
};

static void free_stage(struct stage_rows *s)
{
    free(s->values);
    free(s->x);
    free(s->squared);
}

static struct result new_stage(struct stage_rows *s, size_t n, size_t d, const double *weight,
                               struct why *why)
{
    s->values = calloc(n * d + 1, sizeof *s->values);
    s->x = calloc(n, sizeof *s->x);
    if (!s->values || !s->x)
        return failed(why, RESULT_SYSTEM, "no memory for %zu rows of %zu coordinates", n, d);
    for (size_t i = 0; i < n; i++)
        s->x[i] = s->values + i * d;
    s->view = (struct plain_rows){n, d, s->x, weight};
    return DONE;
}

static struct result need_distances(struct stage_rows *s, struct why *why)
{
    if (s->squared)
        return DONE;
    size_t n = s->view.n;
    s->squared = calloc(n * n, sizeof *s->squared);
    if (!s->squared)
        return failed(why, RESULT_SYSTEM, "no memory for the distances of %zu rows", n);
    plain_squared_distances(&s->view, s->squared);
    return DONE;
}

static struct result scale_rows(enum agg_kind kind, const struct agg_params *p,
                                const struct stage_rows *in, struct stage_rows *out,
                                struct agg_explain *explain, struct why *why)
{
    size_t n = in->view.n;
    CLEANUP(free_pointer) double *norm = calloc(2 * n, sizeof *norm);
    if (!norm)
        return failed(why, RESULT_SYSTEM, "no memory for %zu norms", n);
    double *factor = norm + n;
    for (size_t i = 0; i < n; i++) {
        norm[i] = plain_distance(in->view.d, in->view.x[i], NULL);
        factor[i] = norm[i] > p->c ? p->c / norm[i] : 1.0;
    }
    if (kind == AGG_ARC && !solve_arc(n, norm, p->f, factor))
        return failed(why, RESULT_SYSTEM, "no memory for %zu norms", n);
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; c < in->view.d; c++)
            out->values[i * in->view.d + c] = in->view.x[i][c] * factor[i];
        if (explain)
            explain->clip_factor[i] = factor[i];
    }
    return DONE;
}

static void bucket_rows(const struct agg_params *p, const struct stage_rows *in,
                        struct stage_rows *out)
{
    for (size_t b = 0; b < out->view.n; b++) {
        size_t past = (b + 1) * p->s < in->view.n ? (b + 1) * p->s : in->view.n;
        double *mean = out->values + b * in->view.d;
        for (size_t k = b * p->s; k < past; k++)
            for (size_t c = 0; c < in->view.d; c++)
                mean[c] += in->view.x[p->perm[k]][c];
        for (size_t c = 0; c < in->view.d; c++)
            mean[c] /= (double)(past - b * p->s);
    }
}

/* One pre-aggregation: in to out, which is allocated here. */
static struct result run_pre(enum agg_kind kind, const struct agg_params *p, struct stage_rows *in,
                             struct stage_rows *out, struct agg_explain *explain, struct why *why)
{
    size_t n = in->view.n;
    bool buckets = kind == AGG_BUCKETING;
    size_t rows = buckets ? (n + p->s - 1) / p->s : n;
    TRY(new_stage(out, rows, in->view.d, buckets ? NULL : in->view.weight, why));
    if (kind == AGG_ARC || kind == AGG_CLIP)
        return scale_rows(kind, p, in, out, explain, why);
    if (buckets) {
        bucket_rows(p, in, out);
        return DONE;
    }
    CLEANUP(free_pointer) double *mix = calloc(n * n, sizeof *mix);
    if (!mix)
        return failed(why, RESULT_SYSTEM, "no memory to mix %zu rows", n);
    TRY(need_distances(in, why));
    TRY(solve_nnm(n, in->squared, p->f, in->view.weight, mix, explain, why));
    for (size_t i = 0; i < n; i++)
        plain_combine(&in->view, mix + i * n, out->values + i * in->view.d);
    return DONE;
}

struct centred_context {
    const struct plain_rows *rows;
    double *mean;
    double *centred; /* [n][d] */
};

/* Rows minus their mean weighted by c, then all inner products; rows of weight 0 as well. */
static void centred_gram(void *context, const double *c, double *gram)
{
    struct centred_context *s = context;
    size_t n = s->rows->n;
    size_t d = s->rows->d;
    double total = 0.0;
    for (size_t i = 0; i < n; i++)
        total += c[i];
    memset(s->mean, 0, d * sizeof *s->mean);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; c[i] > 0.0 && k < d; k++)
            s->mean[k] += c[i] * s->rows->x[i][k];
    for (size_t k = 0; k < d; k++)
        s->mean[k] /= total;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < d; k++)
            s->centred[i * d + k] = s->rows->x[i][k] - s->mean[k];
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            double sum = 0.0;
            for (size_t k = 0; k < d; k++)
                sum += s->centred[i * d + k] * s->centred[j * d + k];
            gram[i * n + j] = gram[j * n + i] = sum;
        }
    }
}

static struct result run_spectral(enum agg_kind kind, const struct agg_params *p,
                                  const struct plain_rows *rows, double *coef,
                                  struct agg_explain *explain, struct why *why)
{
    size_t n = rows->n;
    CLEANUP(free_pointer) double *mean = calloc(rows->d + 1, sizeof *mean);
    CLEANUP(free_pointer) double *centred = calloc(n * rows->d + 1, sizeof *centred);
    if (!mean || !centred)
        return failed(why, RESULT_SYSTEM, "no memory to centre %zu rows", n);
    struct centred_context context = {rows, mean, centred};
    if (kind == AGG_CAF)
        return solve_caf(n, p->f, centred_gram, &context, rows->weight, coef, explain, why);
    CLEANUP(free_pointer) double *gram = calloc(n * n, sizeof *gram);
    if (!gram)
        return failed(why, RESULT_SYSTEM, "no memory for the products of %zu rows", n);
    for (size_t i = 0; i < n; i++)
        coef[i] = 1.0;
    centred_gram(&context, coef, gram);
    double part = p->has_filter_frac ? p->filter_frac : 1.0;
    return solve_dnc(n, p->f, part, gram, rows->weight, coef, why);
}

static struct result run_fltrust(const struct agg_params *p, const struct plain_rows *rows,
                                 const double *const *original, double *coef, struct why *why)
{
    size_t n = rows->n;
    size_t d = rows->d;
    CLEANUP(free_pointer) double *norm = calloc(2 * n + d + 1, sizeof *norm);
    if (!norm)
        return failed(why, RESULT_SYSTEM, "no memory for %zu norms", n);
    double *inner = norm + n;
    double *g0 = norm + 2 * n;
    if (p->g0.kind == AGG_POINT_GIVEN)
        memcpy(g0, p->g0.values, d * sizeof *g0);
    else if (p->g0.kind == AGG_POINT_ROW)
        memcpy(g0, original[p->g0.row], d * sizeof *g0);
    else if (p->g0.kind == AGG_POINT_MEAN)
        for (size_t i = 0; i < n; i++)
            for (size_t c = 0; c < d; c++)
                g0[c] += rows->x[i][c] / (double)n;
    for (size_t i = 0; i < n; i++) {
        norm[i] = plain_distance(d, rows->x[i], NULL);
        for (size_t c = 0; c < d; c++)
            inner[i] += rows->x[i][c] * g0[c];
    }
    solve_fltrust(n, norm, inner, plain_distance(d, g0, NULL), coef);
    return DONE;
}

/* Rules that end in one linear combination: their coefficients, then the combination. */
static struct result run_linear(enum agg_kind kind, const struct agg_params *p,
                                struct stage_rows *s, const double *const *original, double *out,
                                struct agg_explain *explain, struct why *why)
{
    size_t n = s->view.n;
    CLEANUP(free_pointer) double *coef = calloc(n, sizeof *coef);
    CLEANUP(free_pointer) bool *kept = calloc(n, sizeof *kept);
    if (!coef || !kept)
        return failed(why, RESULT_SYSTEM, "no memory for %zu coefficients", n);
    if (kind == AGG_MEAN || kind == AGG_WEIGHTED_MEAN) {
        memset(kept, 1, n * sizeof *kept);
        TRY(solve_average(n, kept, kind == AGG_MEAN ? NULL : s->view.weight, coef, why));
    } else if (kind == AGG_CAF || kind == AGG_DNC_FULL) {
        TRY(run_spectral(kind, p, &s->view, coef, explain, why));
    } else if (kind == AGG_FLTRUST) {
        TRY(run_fltrust(p, &s->view, original, coef, why));
    } else {
        TRY(need_distances(s, why));
        TRY(solve_selection(kind, p, n, s->squared, s->view.weight, coef, explain, why));
    }
    plain_combine(&s->view, coef, out);
    if (explain && n == explain->n)
        memcpy(explain->weight, coef, n * sizeof *coef);
    return DONE;
}

static struct result run_bulyan(const struct agg_params *p, struct stage_rows *s, double *out,
                                struct agg_explain *explain, struct why *why)
{
    size_t n = s->view.n;
    CLEANUP(free_pointer) uint32_t *taken = calloc(n, sizeof *taken);
    if (!taken)
        return failed(why, RESULT_SYSTEM, "no memory to choose among %zu rows", n);
    TRY(need_distances(s, why));
    TRY(solve_bulyan(n, s->squared, p->f, taken, why));
    explain_taken(explain, n, n - 2 * p->f, taken);
    return plain_bulyan(&s->view, p->f, taken, out, why);
}

static struct result run_last(enum agg_kind kind, const struct agg_params *p, struct stage_rows *s,
                              const double *const *original, double *out,
                              struct agg_explain *explain, struct why *why)
{
    bool same = explain && explain->n == s->view.n;
    switch (kind) {
    case AGG_MEDIAN:
    case AGG_TRIMMED_MEAN:
    case AGG_MEAMED:
    case AGG_WEIGHTED_MEDIAN:
    case AGG_WEIGHTED_TRIMMED_MEAN:
    case AGG_ATTACK_ALIE:
    case AGG_ATTACK_IPM:
    case AGG_ATTACK_SIGNFLIP:
        return plain_columns(kind, p, &s->view, out, why);
    case AGG_BULYAN:
        return run_bulyan(p, s, out, explain, why);
    case AGG_GEOMEDIAN:
    case AGG_GEOMEDIAN_SMOOTHED:
    case AGG_GEOMEDIAN_CONVERGED:
    case AGG_WEIGHTED_GEOMEDIAN_SMOOTHED:
        TRY(need_distances(s, why));
        return plain_geomedian(kind, p, &s->view, s->squared, out, same ? explain->weight : NULL,
                               why);
    case AGG_CENTERED_CLIPPING:
        TRY(need_distances(s, why));
        return plain_centered_clipping(p, &s->view, s->squared, out,
                                       same ? explain->clip_factor : NULL, why);
    default:
        return run_linear(kind, p, s, original, out, explain, why);
    }
}

static void finish_explain(struct agg_explain *explain, const struct stage_rows *first,
                           const double *out)
{
    size_t d = first->view.d;
    double out_norm = plain_distance(d, out, NULL);
    for (size_t i = 0; i < explain->n; i++) {
        const double *x = first->view.x[i];
        double inner = 0.0;
        for (size_t c = 0; c < d; c++)
            inner += x[c] * out[c];
        explain->norm[i] = plain_distance(d, x, NULL);
        explain->distance[i] = plain_distance(d, x, out);
        explain->cosine[i] = inner / (explain->norm[i] * out_norm);
    }
    plain_squared_distances(&first->view, explain->squared_distance);
}

struct result agg_run_f64(const struct agg_rule *rule, size_t n, size_t d,
                          const double *const *rows, double *out, struct agg_explain *explain,
                          struct why *why)
{
    TRY(agg_rule_check(rule, n, d, why));
    const struct agg_params *p = &rule->params;
    CLEANUP(free_pointer) double *weight = NULL;
    TRY(weights_in_force(p, n, &weight, why));
    if (explain)
        TRY(explain_new(explain, n, why));
    struct stage_rows stage[AGG_STAGES_MAX + 1];
    memset(stage, 0, sizeof stage);
    stage[0].view = (struct plain_rows){n, d, rows, weight};
    struct result r = DONE;
    struct stage_rows *s = &stage[0];
    for (int i = 0; ok(r) && i < rule->stages; i++) {
        if (AGG_RULES[rule->stage[i]].role != AGG_ROLE_PRE) {
            r = run_last(rule->stage[i], p, s, rows, out, explain, why);
            break;
        }
        r = run_pre(rule->stage[i], p, s, s + 1, explain && s->view.n == n ? explain : NULL, why);
        s++;
        if (ok(r) && i + 1 == rule->stages)
            memcpy(out, s->values, s->view.n * d * sizeof *out);
    }
    if (ok(r) && explain)
        finish_explain(explain, &stage[0], out);
    for (size_t i = 0; i <= AGG_STAGES_MAX; i++)
        free_stage(&stage[i]);
    if (!ok(r) && explain)
        agg_explain_free(explain);
    return r;
}
