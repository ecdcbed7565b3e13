/* SPDX-License-Identifier: Apache-2.0 */
/* Transport, groups, calibration bins and the fit of the cross-site matrix from one evaluation.
 *
 * Wilson: centre (k + z^2/2)/(n + z^2), half width z sqrt(k(n-k)/n + z^2/4)/(n + z^2). */
#include "coordinator/insight.h"

#include "coordinator/validate/matrix.h"
#include "coordinator/validate/transport.h"
#include "proto/base/cleanup.h"
#include "proto/base/json.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double Z975 = 1.959963984540054;

/* Of a figure inside (0, 1) and its variance at these offsets. */
static json_t *random_effects(const struct pooling_input *inputs, size_t n, size_t at,
                              size_t at_var)
{
    double y[PLAN_SITES_MAX], var[PLAN_SITES_MAX];
    struct transport transport;
    size_t k = 0;
    for (size_t i = 0; i < n && k < PLAN_SITES_MAX; i++) {
        const struct evaluation_figures *f = &inputs[i].evaluation.models[0].groups[0];
        if (f->status != EVALUATION_OK)
            continue;
        memcpy(&y[k], (const char *)f + at, sizeof *y);
        memcpy(&var[k++], (const char *)f + at_var, sizeof *var);
    }
    transport_pool(k, y, var, &transport);
    return transport_json(&transport);
}

json_t *insight_transport(const struct pooling_input *inputs, size_t n)
{
    return random_effects(inputs, n, offsetof(struct evaluation_figures, auroc),
                          offsetof(struct evaluation_figures, auroc_variance));
}

json_t *insight_cindex(const struct pooling_input *inputs, size_t n)
{
    return random_effects(inputs, n, offsetof(struct evaluation_figures, cindex),
                          offsetof(struct evaluation_figures, cindex_variance));
}

static const struct evaluation_figures *group_of(const struct pooling_input *input, const char *key)
{
    const struct evaluation_model *model = &input->evaluation.models[0];
    for (uint32_t g = 1; g < model->groups_count; g++)
        if (strcmp(model->groups[g].group, key) == 0)
            return &model->groups[g];
    return NULL;
}

/* Mean weighted by patients, interval by the delta method on the logit scale. */
static json_t *pooled_group(const struct pooling_input *inputs, size_t n, const char *key)
{
    double mass = 0, sum = 0, spread = 0;
    json_int_t sites = 0;
    for (size_t i = 0; i < n; i++) {
        const struct evaluation_figures *f = group_of(&inputs[i], key);
        double w = f ? (double)f->positives + (double)f->negatives : 0;
        if (!f || f->status != EVALUATION_OK || !isfinite(f->auroc) || !(f->auroc_variance >= 0) ||
            !(w > 0))
            continue;
        mass += w;
        sum += w * f->auroc;
        spread += w * w * f->auroc_variance;
        sites++;
    }
    double auroc = sum / mass, slope = auroc * (1 - auroc);
    if (sites == 0 || !(slope > 0))
        return NULL;
    double logit = log(auroc / (1 - auroc)), half = Z975 * sqrt(spread) / mass / slope;
    return json_pack("{s:s, s:I, s:f, s:f, s:f}", "group", key, "sites", sites, "auroc", auroc,
                     "low", 1 / (1 + exp(half - logit)), "high", 1 / (1 + exp(-half - logit)));
}

json_t *insight_groups(const struct pooling_input *inputs, size_t n)
{
    json_t *list = json_array();
    const struct evaluation_model *first = n > 0 ? &inputs[0].evaluation.models[0] : NULL;
    for (uint32_t g = 1; first && g < first->groups_count; g++) {
        json_t *o = pooled_group(inputs, n, first->groups[g].group);
        if (o)
            json_array_append_new(list, o);
    }
    if (json_array_size(list) > 0)
        return list;
    json_decref(list);
    return NULL;
}

struct bins {
    uint32_t count;
    double positives[EVALUATION_BINS_MAX], negatives[EVALUATION_BINS_MAX];
    bool noised;
};

/* Histograms of another number of bins than the first one's are passed over. */
static void add_histograms(const struct pooling_input *inputs, size_t n, struct bins *bins)
{
    for (size_t i = 0; i < n; i++) {
        const struct evaluation_model *m = &inputs[i].evaluation.models[0];
        if (bins->count == 0)
            bins->count = m->bins_count;
        if (m->bins_count == 0 || m->bins_count != bins->count)
            continue;
        bins->noised = bins->noised || inputs[i].evaluation.metrics_epsilon > 0;
        for (uint32_t b = 0; b < bins->count; b++) {
            bins->positives[b] += m->positives[b];
            bins->negatives[b] += m->negatives[b];
        }
    }
}

static json_t *wilson(double predicted, double positives, double rows, bool noised)
{
    double k = fmin(fmax(positives, 0), rows); /* noise may lead out of the range */
    double z2 = Z975 * Z975;
    double half = Z975 * sqrt(k * (rows - k) / rows + z2 / 4) / (rows + z2);
    double centre = (k + z2 / 2) / (rows + z2);
    json_t *o = json_pack("{s:f, s:f, s:f, s:f}", "predicted", predicted, "observed", k / rows,
                          "low", fmax(0, centre - half), "high", fmin(1, centre + half));
    if (noised)
        json_object_set_new(o, "noised", json_true());
    return o;
}

json_t *insight_calibration(const struct pooling_input *inputs, size_t n)
{
    struct bins bins = {0};
    json_t *list = json_array();
    double positives = 0, rows = 0, scores = 0;
    add_histograms(inputs, n, &bins);
    for (uint32_t b = 0; b < bins.count; b++) {
        double more = bins.positives[b] + bins.negatives[b];
        positives += bins.positives[b];
        rows += more;
        scores += fmax(more, 0) * (b + 0.5) / bins.count;
        if (rows < INSIGHT_CELL || !(scores > 0))
            continue;
        json_array_append_new(list, wilson(fmin(scores / rows, 1), positives, rows, bins.noised));
        positives = rows = scores = 0;
    }
    if (json_array_size(list) > 0)
        return list;
    json_decref(list);
    return NULL;
}

/* The matrix with rows and columns of the same sites. */
struct cross {
    size_t n;
    double local[MATRIX_SITES_MAX * MATRIX_SITES_MAX];
    double without[MATRIX_SITES_MAX * MATRIX_SITES_MAX];
    double d[MATRIX_SITES_MAX * MATRIX_SITES_MAX], var_d[MATRIX_SITES_MAX * MATRIX_SITES_MAX];
    double full[MATRIX_SITES_MAX], gain[MATRIX_SITES_MAX];
    struct matrix_fit fit;
    struct matrix_flags flags[MATRIX_SITES_MAX];
};

static const struct evaluation_model *model_named(const struct pooling_input *input,
                                                  const char *prefix, const char *name)
{
    char wanted[PLAN_NAME_BYTES]; /* cut as combine_matrix cuts it */
    int n = snprintf(wanted, sizeof wanted, "%s", prefix);
    snprintf(wanted + n, sizeof wanted - (size_t)n, "%s", name);
    for (uint32_t m = 1; m < input->evaluation.models_count; m++)
        if (strcmp(input->evaluation.models[m].name, wanted) == 0)
            return &input->evaluation.models[m];
    return NULL;
}

static double auroc_of(const struct evaluation_model *model)
{
    return model && model->groups_count > 0 && model->groups[0].status == EVALUATION_OK
               ? model->groups[0].auroc
               : (double)NAN;
}

/* Sites whose local model was judged, at those sites. */
static void fill_cross(const struct study *study, const struct pooling_input *inputs, size_t n,
                       struct cross *x)
{
    size_t at[MATRIX_SITES_MAX];
    for (size_t i = 0; i < n && x->n < MATRIX_SITES_MAX; i++)
        if (model_named(&inputs[0], "", study->members[inputs[i].site].name))
            at[x->n++] = i;
    for (size_t i = 0; i < x->n; i++) {
        const char *name = study->members[inputs[at[i]].site].name;
        x->full[i] = auroc_of(&inputs[at[i]].evaluation.models[0]);
        for (size_t j = 0; j < x->n; j++) {
            const struct evaluation_model *less = model_named(&inputs[at[j]], "without-", name);
            size_t cell = i * x->n + j;
            x->local[cell] = auroc_of(model_named(&inputs[at[j]], "", name));
            x->without[cell] = auroc_of(less);
            x->d[cell] = less ? 0.0 - less->difference : (double)NAN;
            x->var_d[cell] = less ? less->difference_variance : (double)NAN;
        }
    }
}

static json_t *cross_json(const struct study *study, const struct pooling_input *inputs, size_t n,
                          const struct cross *x)
{
    json_t *sites = json_array();
    size_t at = 0;
    for (size_t i = 0; i < n && at < x->n; i++) {
        const char *name = study->members[inputs[i].site].name;
        if (!model_named(&inputs[0], "", name))
            continue;
        json_t *o =
            json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:b, s:b}", "site", name, "contribution",
                      number_or_null(x->fit.row[at]), "z", number_or_null(x->fit.row_z[at]), "ease",
                      number_or_null(x->fit.col[at]), "own_excess",
                      number_or_null(x->fit.diag_excess[at]), "leave_one_out",
                      number_or_null(x->gain[at]), "free_rider", x->flags[at].free_rider,
                      "self_inflated", x->flags[at].self_inflated);
        json_array_append_new(sites, o);
        at++;
    }
    return json_pack("{s:o, s:o, s:o}", "mu", number_or_null(x->fit.mu), "spread",
                     number_or_null(x->fit.residual_spread), "sites", sites);
}

json_t *insight_matrix(const struct study *study, const struct pooling_input *inputs, size_t n)
{
    struct why why;
    CLEANUP(free_pointer) struct cross *x = calloc(1, sizeof *x);
    if (!x || n < 2)
        return NULL;
    fill_cross(study, inputs, n, x);
    if (x->n < 2 || !ok(matrix_fit(x->n, x->n, x->local, &x->fit, NULL, &why)))
        return NULL;
    matrix_judge(x->n, x->n, &x->fit, x->d, x->var_d, x->flags);
    matrix_leave_one_out(x->n, x->n, x->full, x->without, x->gain);
    return cross_json(study, inputs, n, x);
}
