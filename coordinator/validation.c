/* SPDX-License-Identifier: Apache-2.0 */
/* The record of a validation.
 *
 * Pooled AUROC: sum w_k A_k with w_k proportional to n_k, none above .4 (water-filling); variance
 * sum w_k^2 v_k; never by the variances that sites claim. A site whose variance lies outside a
 * quarter to four times Newcombe's is not used. New hospital: random effects on the logit, REML,
 * modified Hartung-Knapp, prediction interval (Roever et al. 2015). Gap: accuracy of a group
 * against the plan's reference group, both pooled over sites by rows, variances p(1-p)/n. */
#include "coordinator/validation.h"

#include "coordinator/entry.h"
#include "linalg/stats/auroc.h"
#include "linalg/stats/pool.h"
#include "proto/base/json.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double LEVEL = 0.95;

static void put(json_t *o, const char *key, double value)
{
    json_object_set_new(o, key, number_or_null(value));
}

/* A claimed variance can only be held against Newcombe's where the counts are told. */
static bool plausible(const struct evaluation_figures *f)
{
    if (f->positives == 0 || f->negatives == 0)
        return true;
    double expected = auroc_newcombe_var(f->auroc, (size_t)f->positives, (size_t)f->negatives);
    double least = expected / VALIDATION_VARIANCE_FACTOR / pooling_rows_per_patient(f);
    return !(expected > 0.0) || (f->auroc_variance >= least &&
                                 f->auroc_variance <= expected * VALIDATION_VARIANCE_FACTOR);
}

static const char *site_status(const struct evaluation_figures *f)
{
    if (f->status == EVALUATION_OK && isfinite(f->auroc) && !plausible(f))
        return "implausible_variance";
    return pooling_status_word(f->status);
}

static bool used(const struct evaluation_figures *f)
{
    return f->status == EVALUATION_OK && isfinite(f->auroc) && f->auroc_variance > 0.0 &&
           isfinite(f->auroc_variance) && plausible(f);
}

/* The largest divergence of score and columns; its p counts all of them (Bonferroni). */
static void put_drift(json_t *o, const struct evaluation_drift *drift)
{
    const struct evaluation_drift_column *worst = &drift->score;
    bool told = drift->status == EVALUATION_STATISTIC_OK;
    for (uint32_t i = 0; told && i < drift->columns_count; i++)
        if (drift->columns[i].status == EVALUATION_STATISTIC_OK &&
            !(drift->columns[i].kl <= worst->kl))
            worst = &drift->columns[i];
    double p = worst->kl_p * ((double)drift->columns_count + 1.0);
    json_object_set_new(o, "drift", json_string(evaluation_statistic_name(drift->status)));
    put(o, "kl", told ? worst->kl : (double)NAN);
    put(o, "kl_p", told ? fmin(p, 1.0) : (double)NAN);
    json_object_set_new(o, "kl_of", json_string_nocheck(told ? worst->name : ""));
    put(o, "score_kl", told ? drift->score.kl : (double)NAN);
    put(o, "score_psi", told ? drift->score.psi : (double)NAN);
    put(o, "score_ks_p", told ? drift->score.ks_p : (double)NAN);
    put(o, "mmd_p", told ? drift->mmd_p : (double)NAN);
    put(o, "expected_auroc", told ? drift->expected_auroc : (double)NAN);
}

/* Labels as a ranking's precision counts them: 4 m n / (m + n) of m positives and n negatives,
 * which is m + n where they are as many; the rows where the counts are not told. */
static double labels_of(const struct study *study, const struct pooling_input *input)
{
    const struct evaluation_figures *f = pooling_everybody(input);
    double m = (double)f->positives, n = (double)f->negatives;
    return m > 0.0 && n > 0.0 ? 4.0 * m * n / (m + n) : pooling_rows(study, input);
}

static json_t *site_json(const struct study *study, const struct pooling_input *input)
{
    const struct evaluation_figures *f = pooling_everybody(input);
    json_t *o = json_object();
    json_object_set_new(o, "name", json_string_nocheck(study->members[input->site].name));
    json_object_set_new(o, "status", json_string(site_status(f)));
    json_object_set_new(o, "used", json_boolean(used(f)));
    put(o, "rows", pooling_rows(study, input));
    put(o, "auroc", f->auroc);
    put(o, "variance", f->auroc_variance);
    put(o, "accuracy", f->accuracy);
    put(o, "labels", labels_of(study, input));
    put(o, "brier", f->brier);
    put(o, "brier_variance", f->brier_variance);
    if (isfinite(f->cindex)) {
        put(o, "cindex", f->cindex);
        put(o, "cindex_variance", f->cindex_variance);
    }
    put(o, "slope", f->calibration_slope);
    put(o, "ece", f->ece);
    put(o, "ece_null", f->ece_null);
    put(o, "spiegelhalter_z", f->spiegelhalter_z);
    json_object_set_new(o, "epoch", json_integer(input->evaluation.epoch.number));
    json_object_set_new(o, "reused", json_boolean(input->evaluation.epoch.reused));
    put_drift(o, &input->evaluation.drift);
    return o;
}

/* Everything that pooling needs of the used sites. */
struct pot {
    size_t k;
    double rows[PLAN_SITES_MAX], auroc[PLAN_SITES_MAX], variance[PLAN_SITES_MAX];
    double labels[PLAN_SITES_MAX];
    const struct evaluation_figures *figures[PLAN_SITES_MAX];
    double weight[PLAN_SITES_MAX];
};

static void fill_pot(const struct study *study, const struct pooling_input *inputs, size_t n,
                     struct pot *pot)
{
    pot->k = 0;
    for (size_t i = 0; i < n && pot->k < PLAN_SITES_MAX; i++) {
        const struct evaluation_figures *f = pooling_everybody(&inputs[i]);
        if (!used(f))
            continue;
        pot->rows[pot->k] = pooling_rows(study, &inputs[i]);
        pot->auroc[pot->k] = f->auroc;
        pot->variance[pot->k] = f->auroc_variance;
        pot->labels[pot->k] = labels_of(study, &inputs[i]);
        pot->figures[pot->k++] = f;
    }
}

/* Another figure over the used sites that have it, with the same capped weights. */
static void put_also(json_t *o, const struct pot *pot, const char *key, size_t offset,
                     size_t variance_offset, bool always)
{
    double rows[PLAN_SITES_MAX], y[PLAN_SITES_MAX], v[PLAN_SITES_MAX], w[PLAN_SITES_MAX];
    double mean = (double)NAN, se = (double)NAN;
    char name[32];
    size_t k = 0;
    for (size_t i = 0; i < pot->k; i++) {
        memcpy(&y[k], (const char *)pot->figures[i] + offset, sizeof y[k]);
        memcpy(&v[k], (const char *)pot->figures[i] + variance_offset, sizeof v[k]);
        rows[k] = pot->rows[i];
        k += isfinite(y[k]) && v[k] >= 0.0 && isfinite(v[k]);
    }
    if (k > 0 && pool_capped_weights(k, rows, VALIDATION_SHARE_MAX, w))
        pool_weighted(k, w, y, v, &mean, &se);
    else if (!always)
        return;
    put(o, key, mean);
    snprintf(name, sizeof name, "%s_variance", key);
    put(o, name, se * se);
}

/* Labels that a pooled mean of these weights is worth: 1 / sum (w_k^2 / n_k). */
static double labels_worth(const struct pot *pot)
{
    double sum = 0.0;
    for (size_t i = 0; i < pot->k; i++)
        sum += pot->weight[i] * pot->weight[i] / pot->labels[i];
    return pot->k > 0 ? 1.0 / sum : (double)NAN;
}

static void put_pooled(json_t *o, struct pot *pot)
{
    double mean = (double)NAN, se = (double)NAN;
    struct auroc_interval ci = {.logit = {(double)NAN, (double)NAN}};
    if (pot->k > 0 && pool_capped_weights(pot->k, pot->rows, VALIDATION_SHARE_MAX, pot->weight)) {
        pool_weighted(pot->k, pot->weight, pot->auroc, pot->variance, &mean, &se);
        auroc_interval(mean, se * se, 1.959963984540054, &ci);
    }
    json_object_set_new(o, "used", json_integer((json_int_t)pot->k));
    put(o, "auroc", mean);
    put(o, "variance", se * se);
    put(o, "low", ci.logit[0]);
    put(o, "high", ci.logit[1]);
    put(o, "labels", isfinite(mean) ? labels_worth(pot) : (double)NAN);
    put_also(o, pot, "brier", offsetof(struct evaluation_figures, brier),
             offsetof(struct evaluation_figures, brier_variance), true);
    put_also(o, pot, "cindex", offsetof(struct evaluation_figures, cindex),
             offsetof(struct evaluation_figures, cindex_variance), false);
}

static void put_accuracy(json_t *o, const struct study *study, const struct pooling_input *inputs,
                         size_t n)
{
    double mass = 0.0, sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        const struct evaluation_figures *f = pooling_everybody(&inputs[i]);
        if (f->status != EVALUATION_OK || !isfinite(f->accuracy))
            continue;
        mass += pooling_rows(study, &inputs[i]);
        sum += pooling_rows(study, &inputs[i]) * f->accuracy;
    }
    put(o, "accuracy", mass > 0.0 ? sum / mass : (double)NAN);
}

struct share {
    double rows, right;
};

/* Rows and right answers of one group over all sites that tell both. */
static struct share group_share(const struct pooling_input *inputs, size_t n, const char *key)
{
    struct share share = {0};
    for (size_t i = 0; i < n; i++) {
        const struct evaluation_model *m = &inputs[i].evaluation.models[0];
        for (uint32_t g = 1; g < m->groups_count; g++) {
            const struct evaluation_figures *f = &m->groups[g];
            double rows = (double)f->positives + (double)f->negatives;
            if (strcmp(f->group, key) != 0 || f->status != EVALUATION_OK ||
                !isfinite(f->accuracy) || !(rows > 0.0))
                continue;
            share.rows += rows;
            share.right += rows * f->accuracy;
        }
    }
    return share;
}

static double share_variance(const struct share *share)
{
    double p = share->right / share->rows;
    return p * (1.0 - p) / share->rows;
}

static void put_gap(json_t *o, const struct plan *plan, const struct pooling_input *inputs,
                    size_t n)
{
    double gap = (double)NAN, se = (double)NAN;
    char key[2 * PLAN_NAME_BYTES], worst[2 * PLAN_NAME_BYTES] = "";
    for (unsigned s = 0; s < plan->subgroups_count; s++) {
        const struct plan_subgroup *group = &plan->subgroups[s];
        snprintf(key, sizeof key, "%s=%s", group->column, group->levels[0].name);
        struct share reference = group_share(inputs, n, key);
        for (unsigned l = 1; l < group->levels_count && reference.rows > 0.0; l++) {
            snprintf(key, sizeof key, "%s=%s", group->column, group->levels[l].name);
            struct share share = group_share(inputs, n, key);
            double d = fabs(reference.right / reference.rows - share.right / share.rows);
            if (!(share.rows > 0.0) || d <= gap)
                continue;
            gap = d;
            se = sqrt(share_variance(&reference) + share_variance(&share));
            memcpy(worst, key, sizeof worst);
        }
    }
    put(o, "gap", gap);
    put(o, "gap_se", se);
    json_object_set_new(o, "gap_group", json_string_nocheck(worst));
}

json_t *validation_summary(const struct plan *plan, const struct study *study,
                           const struct pooling_input *inputs, size_t n)
{
    struct pot *pot = malloc(sizeof *pot);
    json_t *o = json_object(), *sites = json_array();
    if (!pot || !o || !sites) {
        free(pot);
        json_decref(o);
        json_decref(sites);
        return NULL;
    }
    fill_pot(study, inputs, n, pot);
    put_pooled(o, pot);
    free(pot);
    put_accuracy(o, study, inputs, n);
    put_gap(o, plan, inputs, n);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(sites, site_json(study, &inputs[i]));
    json_object_set_new(o, "sites", sites);
    return o;
}

/* Random effects on the logit, back on the AUROC's own scale. */
static json_t *new_hospital(const struct validation_case *in)
{
    struct pot *pot = malloc(sizeof *pot);
    struct pool pool;
    if (!pot)
        return NULL;
    fill_pot(in->study, in->inputs, in->n, pot);
    size_t k = 0;
    for (size_t i = 0; i < pot->k; i++) {
        double a = pot->auroc[i];
        if (!(a > 0.0 && a < 1.0))
            continue;
        pot->variance[k] = pot->variance[i] / (a * (1.0 - a) * a * (1.0 - a));
        pot->auroc[k++] = log(a / (1.0 - a));
    }
    enum stat_status status =
        k > 1 ? pool_random(k, pot->auroc, pot->variance, POOL_REML, LEVEL, &pool) : STAT_EMPTY;
    free(pot);
    if (status != STAT_OK)
        return json_null();
    const double logits[] = {pool.mu, pool.ci_mhksj[0], pool.ci_mhksj[1], pool.pi_mhksj[0],
                             pool.pi_mhksj[1]};
    static const char *const KEYS[] = {"auroc", "low", "high", "prediction_low", "prediction_high"};
    json_t *o = json_object();
    for (size_t i = 0; i < sizeof KEYS / sizeof KEYS[0]; i++)
        put(o, KEYS[i], 1.0 / (1.0 + exp(-logits[i])));
    put(o, "tau2", pool.tau2);
    put(o, "i2_percent", pool.i2_percent);
    return o;
}

static const struct pooling_input *report_of(const struct validation_case *in, uint32_t site)
{
    for (size_t i = 0; i < in->n; i++)
        if (in->inputs[i].site == site)
            return &in->inputs[i];
    return NULL;
}

static void add_non_result(json_t *list, const struct study *study, uint32_t site,
                           const char *status)
{
    const struct round_site *part = &study->task.sites[site];
    bool said = part->standing == STANDING_DECLINED || part->standing == STANDING_REFUSED;
    json_t *o = json_object();
    json_object_set_new(o, "name", json_string_nocheck(study->members[site].name));
    json_object_set_new(o, "status", json_string(status));
    if (said && part->reason[0]) {
        json_t *reason = json_string(part->reason);
        json_object_set_new(o, "reason", reason ? reason : json_string("(no UTF-8 text)"));
    }
    json_array_append_new(list, o);
}

static json_t *non_results(const struct validation_case *in)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < in->study->members_count; i++) {
        const struct pooling_input *report = report_of(in, i);
        if (!report)
            add_non_result(list, in->study, i, study_absence(in->study, i));
        else if (!used(pooling_everybody(report)))
            add_non_result(list, in->study, i, site_status(pooling_everybody(report)));
    }
    return list;
}

static struct result dump(json_t *o, char **ret_text, struct why *why)
{
    *ret_text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(o);
    return *ret_text ? DONE : failed(why, RESULT_SYSTEM, "out of memory for a validation's record");
}

struct result validation_text(const struct validation_case *in, char **ret_text, struct why *why)
{
    char hash[HEX_HASH_BYTES];
    hex_hash(hash, in->model);
    json_t *o = json_object();
    json_object_set_new(o, "model", json_string(hash));
    json_object_set_new(o, "task", json_integer(in->study->task.task));
    json_object_set_new(o, "round", json_integer(in->study->round));
    json_object_set_new(o, "summary", validation_summary(in->plan, in->study, in->inputs, in->n));
    json_object_set_new(o, "new_hospital", new_hospital(in));
    json_object_set_new(o, "non_results", non_results(in));
    return dump(o, ret_text, why);
}

struct result validation_full(const struct validation_case *in, const char *text, char **ret_text,
                              struct why *why)
{
    struct pooling pooling;
    char *record = NULL, *detail = NULL;
    json_t *o = json_loads(text, 0, NULL);
    pooling_compute(in->study, in->inputs, in->n, &pooling);
    struct result r = pooling_record(in->study, in->inputs, in->n, &pooling, &record, &detail, why);
    if (ok(r)) {
        json_t *figures = json_loads(record, 0, NULL);
        json_object_update_missing(o, figures);
        json_decref(figures);
    }
    free(record);
    free(detail);
    if (ok(r))
        return dump(o, ret_text, why);
    json_decref(o);
    return r;
}
