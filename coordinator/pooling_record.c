/* SPDX-License-Identifier: Apache-2.0 */
/* The record of a pooled evaluation as JSON. A figure that is not available is null. */
#include "coordinator/insight.h"
#include "coordinator/pooling.h"

#include "coordinator/pooling_groups.h"
#include "proto/base/json.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const double QUANTILE_975 = 1.959963984540054;

static const char *band(uint64_t rows)
{
    static const struct {
        uint64_t below;
        const char *text;
    } BANDS[] = {{1, "suppressed"}, {50, "<50"},         {100, "50-99"},      {500, "100-499"},
                 {1000, "500-999"}, {5000, "1000-4999"}, {10000, "5000-9999"}};
    for (size_t i = 0; i < sizeof BANDS / sizeof BANDS[0]; i++)
        if (rows < BANDS[i].below)
            return BANDS[i].text;
    return ">=10000";
}

static json_t *pooled_object(const struct pooling *p)
{
    json_t *o = json_object();
    json_object_set_new(o, "auroc", number_or_null(p->auroc));
    json_object_set_new(o, "auroc_low", number_or_null(p->auroc_low));
    json_object_set_new(o, "auroc_high", number_or_null(p->auroc_high));
    if (isfinite(p->cindex)) {
        json_object_set_new(o, "cindex", json_real(p->cindex));
        json_object_set_new(o, "cindex_low", number_or_null(p->cindex_low));
        json_object_set_new(o, "cindex_high", number_or_null(p->cindex_high));
    }
    json_object_set_new(o, "brier", number_or_null(p->brier));
    json_object_set_new(o, "calibration_slope", number_or_null(p->calibration_slope));
    json_object_set_new(o, "calibration_intercept", number_or_null(p->calibration_intercept));
    json_object_set_new(o, "accuracy", number_or_null(p->accuracy));
    json_object_set_new(o, "loss", number_or_null(p->loss));
    json_object_set_new(o, "rows", number_or_null(p->rows));
    return o;
}

static json_t *date(uint64_t ms)
{
    char text[16];
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    if (ms == 0 || !gmtime_r(&seconds, &tm) || strftime(text, sizeof text, "%Y-%m-%d", &tm) == 0)
        return json_null();
    return json_string(text);
}

static json_t *band_of(uint64_t low, uint64_t high)
{
    char text[48];
    if (high == 0)
        snprintf(text, sizeof text, ">=%" PRIu64, low);
    else
        snprintf(text, sizeof text, "%" PRIu64 "-%" PRIu64, low, high);
    return high == 0 && low == 0 ? json_string("0") : json_string(text);
}

static json_t *epoch_object(const struct evaluation_epoch *e)
{
    if (e->number == 0)
        return json_null();
    return json_pack("{s:i, s:o, s:b, s:o}", "number", (int)e->number, "date", date(e->date_ms),
                     "static", e->reused, "patients_band", band_of(e->low, e->high));
}

static json_t *drift_column(const struct evaluation_drift_column *c)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name", c->name, "status",
                     evaluation_statistic_name(c->status), "kl", number_or_null(c->kl), "kl_p",
                     number_or_null(c->kl_p), "psi", number_or_null(c->psi), "psi_p",
                     number_or_null(c->psi_p), "ks", number_or_null(c->ks), "ks_p",
                     number_or_null(c->ks_p), "missing_z", number_or_null(c->missing_z));
}

static json_t *drift_object(const struct evaluation_drift *d)
{
    if (d->status == EVALUATION_STATISTIC_UNTOLD)
        return json_null();
    json_t *columns = json_array();
    for (uint32_t i = 0; i < d->columns_count; i++)
        json_array_append_new(columns, drift_column(&d->columns[i]));
    json_t *o =
        json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "status",
                  evaluation_statistic_name(d->status), "reference",
                  d->of_training ? "training" : "holdout", "reference_date",
                  date(d->reference_date_ms), "score", drift_column(&d->score), "mmd2",
                  number_or_null(d->mmd2), "mmd_p", number_or_null(d->mmd_p), "expected_auroc",
                  number_or_null(d->expected_auroc), "features", columns, "worst", d->worst);
    json_object_set_new(o, "reference_band", band_of(d->reference_low, d->reference_high));
    json_object_set_new(o, "current_band", band_of(d->current_low, d->current_high));
    return o;
}

static json_t *strata_object(const struct evaluation_strata *s)
{
    if (s->status == EVALUATION_STATISTIC_UNTOLD)
        return json_null();
    const char *status = evaluation_statistic_name(s->status);
    if (s->status != EVALUATION_STATISTIC_OK)
        return json_pack("{s:s}", "status", status);
    return json_pack("{s:s, s:i, s:i, s:i, s:s, s:o, s:o, s:o, s:o, s:o}", "status", status,
                     "clusters_negative", (int)s->clusters[0], "clusters_positive",
                     (int)s->clusters[1], "tested", (int)s->tested, "of",
                     s->of_positives ? "sensitivity" : "specificity", "gap", number_or_null(s->gap),
                     "gap_low", number_or_null(s->gap_low), "gap_high", number_or_null(s->gap_high),
                     "p_holm", number_or_null(s->p), "n_band", band_of(s->low, s->high));
}

/* Where the plan names a follow-up time. */
static void put_cindex(json_t *o, const struct evaluation_figures *f)
{
    if (!isfinite(f->cindex))
        return;
    double half = QUANTILE_975 * sqrt(f->cindex_variance);
    json_object_set_new(o, "cindex", json_real(f->cindex));
    json_object_set_new(o, "cindex_low", number_or_null(fmax(f->cindex - half, 0)));
    json_object_set_new(o, "cindex_high", number_or_null(fmin(f->cindex + half, 1)));
}

static json_t *site_object(const struct study *study, const struct pooling_input *input)
{
    const struct evaluation_figures *f = &input->evaluation.models[0].groups[0];
    json_t *o = json_object();
    json_object_set_new(o, "name", json_string_nocheck(study->members[input->site].name));
    json_object_set_new(o, "status", json_string(evaluation_status_name(f->status)));
    json_object_set_new(o, "n_band", json_string(band(f->positives + f->negatives)));
    json_object_set_new(o, "auroc", number_or_null(f->auroc));
    json_object_set_new(o, "auroc_low", number_or_null(f->auroc_low));
    json_object_set_new(o, "auroc_high", number_or_null(f->auroc_high));
    json_object_set_new(o, "brier", number_or_null(f->brier));
    json_object_set_new(o, "calibration_slope", number_or_null(f->calibration_slope));
    double half = QUANTILE_975 * f->calibration_slope_se;
    json_object_set_new(o, "calibration_slope_low", number_or_null(f->calibration_slope - half));
    json_object_set_new(o, "calibration_slope_high", number_or_null(f->calibration_slope + half));
    json_object_set_new(o, "calibration_intercept", number_or_null(f->calibration_intercept));
    json_object_set_new(o, "observed_expected", number_or_null(f->observed_expected));
    json_object_set_new(o, "accuracy", number_or_null(f->accuracy));
    json_object_set_new(o, "sensitivity", number_or_null(f->sensitivity));
    json_object_set_new(o, "specificity", number_or_null(f->specificity));
    json_object_set_new(o, "ppv", number_or_null(f->ppv));
    json_object_set_new(o, "alert_rate", number_or_null(f->alert_rate));
    json_object_set_new(o, "sensitivity_at_specificity_0.9", number_or_null(f->sensitivity_fixed));
    json_object_set_new(o, "ipa", number_or_null(f->ipa));
    json_object_set_new(o, "ece", number_or_null(f->ece));
    json_object_set_new(o, "ece_null", number_or_null(f->ece_null));
    json_object_set_new(o, "spiegelhalter_z", number_or_null(f->spiegelhalter_z));
    json_object_set_new(o, "macro_auroc", number_or_null(f->macro_auroc));
    put_cindex(o, f);
    if (f->rows_per_patient > 1.0)
        json_object_set_new(o, "rows_per_patient", number_or_null(f->rows_per_patient));
    json_object_set_new(o, "loss", number_or_null(f->loss));
    json_object_set_new(o, "metrics_epsilon", number_or_null(input->evaluation.metrics_epsilon));
    json_object_set_new(o, "release",
                        json_string(evaluation_release_name(input->evaluation.release)));
    json_object_set_new(o, "epoch", epoch_object(&input->evaluation.epoch));
    json_object_set_new(o, "drift", drift_object(&input->evaluation.drift));
    json_object_set_new(o, "strata", strata_object(&input->evaluation.strata));
    return o;
}

static void add_subgroups(json_t *list, const struct study *study,
                          const struct pooling_input *input)
{
    const struct evaluation_model *model = &input->evaluation.models[0];
    for (uint32_t g = 1; g < model->groups_count; g++) {
        const struct evaluation_figures *f = &model->groups[g];
        json_t *o = json_object();
        json_object_set_new(o, "site", json_string_nocheck(study->members[input->site].name));
        json_object_set_new(o, "group", json_string_nocheck(f->group));
        json_object_set_new(o, "status", json_string(evaluation_status_name(f->status)));
        json_object_set_new(o, "auroc", number_or_null(f->auroc));
        json_object_set_new(o, "low", number_or_null(f->auroc_low));
        json_object_set_new(o, "high", number_or_null(f->auroc_high));
        put_cindex(o, f);
        json_object_set_new(o, "n_band", json_string(band(f->positives + f->negatives)));
        json_array_append_new(list, o);
    }
}

/* Rows are models, columns the sites whose holdout judged them. */
static json_t *matrix_object(const struct study *study, const struct pooling_input *inputs,
                             size_t n)
{
    const struct payload_evaluation *first = &inputs[0].evaluation;
    json_t *models = json_array(), *sites = json_array(), *auroc = json_array();
    for (size_t k = 0; k < n; k++)
        json_array_append_new(sites, json_string_nocheck(study->members[inputs[k].site].name));
    for (uint32_t m = 0; m < first->models_count; m++) {
        json_t *row = json_array();
        for (size_t k = 0; k < n; k++) {
            const struct payload_evaluation *e = &inputs[k].evaluation;
            bool has = m < e->models_count && e->models[m].groups_count > 0;
            json_array_append_new(row,
                                  has ? number_or_null(e->models[m].groups[0].auroc) : json_null());
        }
        json_array_append_new(models, json_string_nocheck(first->models[m].name));
        json_array_append_new(auroc, row);
    }
    json_t *o = json_object();
    json_object_set_new(o, "models", models);
    json_object_set_new(o, "sites", sites);
    json_object_set_new(o, "auroc", auroc);
    return o;
}

/* Into one object or two; value is taken over and may be NULL. */
static void put(json_t *to, json_t *also, const char *key, json_t *value)
{
    if (!value)
        return;
    if (also)
        json_object_set(also, key, value);
    json_object_set_new(to, key, value);
}

/* Later models of the set against the first, at each site. */
static json_t *paired_list(const struct study *study, const struct pooling_input *inputs, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        const struct payload_evaluation *e = &inputs[i].evaluation;
        for (uint32_t m = 1; m < e->models_count; m++) {
            const struct evaluation_model *model = &e->models[m];
            if (isfinite(model->difference))
                json_array_append_new(
                    list, json_pack("{s:s, s:s, s:o, s:o, s:o}", "site",
                                    study->members[inputs[i].site].name, "model", model->name,
                                    "difference", number_or_null(model->difference), "variance",
                                    number_or_null(model->difference_variance), "permutation_p",
                                    number_or_null(model->groups[0].difference_p)));
        }
    }
    return list;
}

/* The same words for those that did report, and nothing else: computed again by a replay. */
static json_t *without_figures(const struct study *study, const struct pooling_input *inputs,
                               size_t n)
{
    json_t *out = json_object();
    for (size_t i = 0; i < n; i++) {
        enum evaluation_status status = inputs[i].evaluation.models[0].groups[0].status;
        if (status != EVALUATION_OK)
            json_object_set_new(out, study->members[inputs[i].site].name,
                                json_string(evaluation_status_name(status)));
    }
    return out;
}

struct result pooling_record(const struct study *study, const struct pooling_input *inputs,
                             size_t n, const struct pooling *pooling, char **ret_text,
                             char **ret_detail, struct why *why)
{
    json_t *record = json_object(), *sites = json_array(), *subgroups = json_array();
    json_t *detail = json_object();
    json_object_set_new(record, "round", json_integer(study->round));
    json_object_set_new(record, "pooled", pooled_object(pooling));
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(sites, site_object(study, &inputs[i]));
        add_subgroups(subgroups, study, &inputs[i]);
    }
    json_object_set_new(record, "sites", sites);
    json_object_set_new(record, "subgroups", subgroups);
    put(record, NULL, "groups", insight_groups(inputs, n));
    put(record, NULL, "calibration", insight_calibration(inputs, n));
    put(record, detail, "transport", insight_transport(inputs, n));
    put(record, detail, "cindex_transport", insight_cindex(inputs, n));
    json_object_set_new(record, "disparity", pooling_disparity(study, inputs, n));
    json_object_set_new(record, "paired", paired_list(study, inputs, n));
    json_object_set_new(record, "no_figures", pooling_absent(study, inputs, n));
    json_t *histogram = pooling_histogram(inputs, n);
    json_object_set(record, "histogram", histogram);
    json_object_set_new(detail, "histogram", histogram);
    json_object_set_new(detail, "no_figures", without_figures(study, inputs, n));
    if (n > 0 && inputs[0].evaluation.models_count > 1) {
        json_t *matrix = matrix_object(study, inputs, n);
        put(matrix, detail, "fit", insight_matrix(study, inputs, n));
        json_object_set_new(record, "matrix", matrix);
    }
    json_object_set_new(detail, "pooled", pooled_object(pooling));
    *ret_text = json_dumps(record, JSON_COMPACT | JSON_REAL_PRECISION(17));
    *ret_detail = json_dumps(detail, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(record);
    json_decref(detail);
    return *ret_text && *ret_detail ? DONE : failed(why, RESULT_SYSTEM, "out of memory");
}
