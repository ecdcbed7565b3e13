/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of `consilium stats` that judge one model on one site's patients. */
#include "coordinator/cli/stats_input.h"
#include "linalg/special.h"
#include "linalg/stats/auroc.h"
#include "linalg/stats/calibration.h"
#include "linalg/stats/cindex.h"
#include "linalg/stats/conformal.h"
#include "linalg/stats/hist.h"
#include "linalg/stats/threshold.h"
#include "proto/base/cleanup.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Labels and up to two columns of scores. */
struct scored {
    size_t n;
    double *y, *a, *b;
};

static void scored_free(struct scored *s)
{
    free(s->y);
    free(s->a);
    free(s->b);
}

/* Reads y and the named columns; the second may be absent or NULL. */
static struct result scored_read(const struct stats_job *job, const char *key, const char *first,
                                 const char *second, struct scored *out, struct why *why)
{
    CLEANUP(stats_table_free) struct stats_table table = {0};
    TRY(stats_table_read(job, key, &table, why));
    out->n = table.rows;
    TRY(stats_table_column(&table, "y", &out->y, why));
    TRY(stats_table_column(&table, first, &out->a, why));
    if (second && stats_table_find(&table, second) >= 0)
        TRY(stats_table_column(&table, second, &out->b, why));
    return DONE;
}

static json_t *auroc_json(const struct auroc *a)
{
    json_t *o = json_pack("{s:s}", "status", stat_status_name(a->status));
    if (a->status == STAT_INVALID_INPUT || a->status == STAT_TOO_LARGE ||
        a->status == STAT_NO_MEMORY)
        return o;
    json_object_set_new(o, "n_pos", json_integer((json_int_t)a->n_pos));
    json_object_set_new(o, "n_neg", json_integer((json_int_t)a->n_neg));
    if (a->status == STAT_SINGLE_CLASS)
        return o;
    json_object_set_new(o, "auc", stats_json(a->auc));
    json_object_set_new(o, "var", stats_json_or_null(a->var));
    return o;
}

static void add_noninferiority(json_t *o, const struct auroc_paired *p, double margin, double alpha)
{
    if (isnan(margin) || isnan(p->var_d))
        return;
    json_object_set_new(o, "ni_margin", stats_json(margin));
    json_object_set_new(o, "ni_alpha", stats_json(alpha));
    struct noninferiority ni;
    if (!noninferiority(p->d, p->var_d, margin, alpha, &ni))
        return;
    json_object_set_new(o, "ni_z", stats_json(ni.z));
    json_object_set_new(o, "ni_p", stats_json(ni.p));
    json_object_set_new(o, "ni_lower", stats_json(ni.lower));
    json_object_set_new(o, "ni_pass", json_boolean(ni.pass));
}

static json_t *paired_json(const struct scored *s, double margin, double alpha)
{
    struct auroc_paired p;
    auroc_paired(s->n, s->y, s->a, s->b, &p);
    json_t *o = json_pack("{s:s}", "status", stat_status_name(p.status));
    if (isnan(p.d))
        return o;
    json_object_set_new(o, "d", stats_json(p.d));
    if (p.status == STAT_VAR_UNDEFINED)
        return o;
    const struct {
        const char *key;
        double value;
    } fields[] = {
        {"auc_cand", p.auc_cand},
        {"auc_inc", p.auc_inc},
        {"var_cand", p.var_cand},
        {"var_inc", p.var_inc},
        {"cov", p.cov},
        {"var_d", p.var_d},
        {"z", p.z},
        {"p_two_sided", p.p_two_sided},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        json_object_set_new(o, fields[i].key, stats_json(fields[i].value));
    add_noninferiority(o, &p, margin, alpha);
    return o;
}

static struct result margins(const struct stats_job *job, double *margin, double *alpha,
                             struct why *why)
{
    TRY(stats_real(job->inputs, "margin", NAN, margin, why));
    TRY(stats_real(job->inputs, "ni_alpha", 0.05, alpha, why));
    if (!(*alpha > 0.0 && *alpha < 1.0))
        return failed(why, RESULT_INPUT, "ni_alpha must lie between 0 and 1");
    return DONE;
}

static void add_intervals(json_t *o, const struct auroc *a)
{
    struct auroc_pool_input input;
    if (!auroc_pool_input(a, &input))
        return;
    struct auroc_interval ci;
    auroc_interval(input.auc, input.var, STAT_Z975, &ci);
    json_object_set_new(o, "pool_input",
                        json_pack("{s:o, s:o, s:s}", "auc", stats_json(input.auc), "var",
                                  stats_json(input.var), "how",
                                  input.corrected ? "newcombe_cc" : "delong"));
    json_object_set_new(o, "ci_wald_clipped", stats_json_pair(ci.wald));
    json_object_set_new(o, "ci_logit", stats_json_pair(ci.logit));
    json_object_set_new(o, "logit_auc", stats_json(ci.logit_auc));
    json_object_set_new(o, "logit_se", stats_json(ci.logit_se));
    json_object_set_new(o, "newcombe_var",
                        stats_json(auroc_newcombe_var(input.auc, a->n_pos, a->n_neg)));
    json_object_set_new(o, "hanley_mcneil_var",
                        stats_json(auroc_hanley_mcneil_var(input.auc, a->n_pos, a->n_neg)));
}

struct result stats_auroc(const struct stats_job *job, json_t **got, struct why *why)
{
    CLEANUP(scored_free) struct scored s = {0};
    double margin;
    double alpha;
    TRY(margins(job, &margin, &alpha, why));
    TRY(scored_read(job, "file", "s1", "s2", &s, why));
    struct auroc a;
    auroc_delong(s.n, s.y, s.a, NULL, &a);
    *got = json_pack("{s:o}", "single", auroc_json(&a));
    add_intervals(*got, &a);
    if (s.b)
        json_object_set_new(*got, "paired", paired_json(&s, margin, alpha));
    return DONE;
}

struct result stats_auroc_paired(const struct stats_job *job, json_t **got, struct why *why)
{
    CLEANUP(scored_free) struct scored s = {0};
    double margin;
    double alpha;
    TRY(margins(job, &margin, &alpha, why));
    TRY(scored_read(job, "file", "s1", "s2", &s, why));
    if (!s.b)
        return failed(why, RESULT_INPUT, "%s line 1 has no column 's2' (the incumbent's scores)",
                      stats_text(job->inputs, "file", ""));
    *got = paired_json(&s, margin, alpha);
    return DONE;
}

struct result stats_auroc_unpaired(const struct stats_job *job, json_t **got, struct why *why)
{
    CLEANUP(scored_free) struct scored prod = {0};
    CLEANUP(scored_free) struct scored base = {0};
    TRY(scored_read(job, "file_prod", "s1", NULL, &prod, why));
    TRY(scored_read(job, "file_base", "s1", NULL, &base, why));
    struct auroc a;
    struct auroc b;
    struct auroc_unpaired u;
    auroc_delong(prod.n, prod.y, prod.a, NULL, &a);
    auroc_delong(base.n, base.y, base.a, NULL, &b);
    auroc_unpaired(&a, &b, &u);
    *got = json_pack("{s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "prod", auroc_json(&a),
                     "base", auroc_json(&b), "status", stat_status_name(u.status), "diff",
                     stats_json_or_null(u.diff), "var", stats_json_or_null(u.var), "z",
                     stats_json_or_null(u.z), "df", stats_json_or_null(u.df), "p_t_two_sided",
                     stats_json_or_null(u.p_t_two_sided), "p_z_two_sided",
                     stats_json_or_null(u.p_z_two_sided));
    return DONE;
}

static json_t *calibration_json(const struct calibration *c)
{
    json_t *o = json_pack("{s:s, s:I, s:o, s:o, s:o, s:o}", "status", stat_status_name(c->status),
                          "n", (json_int_t)c->n, "observed", stats_json(c->observed), "expected",
                          stats_json(c->expected), "brier", stats_json_or_null(c->brier),
                          "brier_var", stats_json_or_null(c->brier_var));
    const struct {
        bool defined;
        const char *key;
        double value;
    } fields[] = {
        {!isnan(c->ipa), "ipa", c->ipa},
        {!isnan(c->log_oe_se), "log_oe", c->log_oe},
        {!isnan(c->log_oe_se), "log_oe_se", c->log_oe_se},
        {c->fitted, "cal_intercept", c->intercept},
        {c->fitted, "cal_slope", c->slope},
        {c->fitted, "cal_intercept_se", c->intercept_se},
        {c->fitted, "cal_slope_se", c->slope_se},
        {c->fitted, "cal_cov", c->cov},
        {c->citl_fitted, "citl", c->citl},
        {c->citl_fitted, "citl_se", c->citl_se},
        {c->spiegelhalter_defined, "spiegelhalter_z", c->spiegelhalter_z},
        {c->spiegelhalter_defined, "spiegelhalter_p", c->spiegelhalter_p},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (fields[i].defined)
            json_object_set_new(o, fields[i].key, stats_json(fields[i].value));
    }
    return o;
}

static json_t *error_json(const struct calibration_error *e)
{
    json_t *bins = json_array();
    for (size_t k = 0; k < e->bins; k++)
        json_array_append_new(bins, json_pack("[I, I, f]", (json_int_t)e->bin[k].n,
                                              (json_int_t)e->bin[k].n_pos, e->bin[k].sum_p));
    return json_pack("{s:o, s:o, s:o, s:o, s:I, s:o}", "ece", stats_json(e->ece), "mce",
                     stats_json(e->mce), "ece_null_expected", stats_json(e->ece_null),
                     "ece2_debiased", stats_json(e->ece2_debiased), "bins_used",
                     (json_int_t)e->bins_used, "bins", bins);
}

static json_t *wilson_json(size_t k, size_t n)
{
    double interval[2];
    return wilson_interval(k, n, STAT_Z975, interval) ? stats_json_pair(interval) : json_null();
}

static json_t *threshold_json(const struct scored *s, double threshold)
{
    struct confusion c;
    enum stat_status status = threshold_confusion(s->n, s->y, s->a, threshold, &c);
    if (status == STAT_INVALID_INPUT)
        return json_pack("{s:s}", "status", stat_status_name(status));
    struct confusion_rates r = threshold_rates(&c);
    json_t *o = json_pack("{s:I, s:I, s:I, s:I}", "tp", (json_int_t)c.tp, "fp", (json_int_t)c.fp,
                          "fn", (json_int_t)c.fn, "tn", (json_int_t)c.tn);
    json_object_set_new(o, "sens", stats_json_or_null(r.sens));
    json_object_set_new(o, "spec", stats_json_or_null(r.spec));
    json_object_set_new(o, "ppv", stats_json_or_null(r.ppv));
    json_object_set_new(o, "npv", stats_json_or_null(r.npv));
    json_object_set_new(o, "acc", stats_json_or_null(r.acc));
    json_object_set_new(o, "alert_rate", stats_json_or_null(r.alert));
    json_object_set_new(o, "sens_wilson", wilson_json(c.tp, c.tp + c.fn));
    json_object_set_new(o, "spec_wilson", wilson_json(c.tn, c.tn + c.fp));
    json_object_set_new(o, "acc_wilson", wilson_json(c.tp + c.tn, s->n));
    return o;
}

struct result stats_calibration(const struct stats_job *job, json_t **got, struct why *why)
{
    CLEANUP(scored_free) struct scored s = {0};
    uint64_t bins;
    double threshold;
    double clip;
    TRY(stats_whole(job->inputs, "bins", 10, &bins, why));
    TRY(stats_real(job->inputs, "threshold", 0.5, &threshold, why));
    TRY(stats_real(job->inputs, "clip", CALIBRATION_CLIP, &clip, why));
    if (bins == 0 || bins > CALIBRATION_BINS_MAX)
        return failed(why, RESULT_INPUT, "bins must be 1..%d", CALIBRATION_BINS_MAX);
    if (fabs(clip - CALIBRATION_CLIP) > 0.0)
        return failed(why, RESULT_INPUT, "probabilities are clipped at %g for logits, not %g",
                      CALIBRATION_CLIP, clip);
    TRY(scored_read(job, "file", "p", NULL, &s, why));
    struct calibration c;
    CLEANUP(free_pointer) struct calibration_error *e = calloc(2, sizeof *e);
    if (!e)
        return failed(why, RESULT_SYSTEM, "no memory for the bins");
    calibration(s.n, s.y, s.a, &c);
    *got = json_pack("{s:o}", "cal", calibration_json(&c));
    if (calibration_error(s.n, s.y, s.a, bins, BINS_EQUAL_MASS, &e[0]) == STAT_OK &&
        calibration_error(s.n, s.y, s.a, bins, BINS_EQUAL_WIDTH, &e[1]) == STAT_OK) {
        json_object_set_new(*got, "ece_mass", error_json(&e[0]));
        json_object_set_new(*got, "ece_width", error_json(&e[1]));
    }
    json_object_set_new(*got, "thr", threshold_json(&s, threshold));
    json_object_set_new(*got, "cbpe_auc", stats_json(calibration_expected_auroc(s.n, s.a)));
    return DONE;
}

static json_t *counts_json(size_t n, const double *counts)
{
    json_t *array = json_array();
    for (size_t k = 0; k < n; k++)
        json_array_append_new(array, json_integer((json_int_t)counts[k]));
    return array;
}

struct result stats_hist_auc(const struct stats_job *job, json_t **got, struct why *why)
{
    CLEANUP(scored_free) struct scored s = {0};
    uint64_t bins;
    TRY(stats_whole(job->inputs, "bins", 64, &bins, why));
    TRY(scored_read(job, "file", "p", NULL, &s, why));
    if (bins == 0 || bins > HIST_BINS_MAX)
        return failed(why, RESULT_INPUT, "bins must be 1..%d", HIST_BINS_MAX);
    CLEANUP(free_pointer) double *pos = calloc(bins, 2 * sizeof *pos);
    if (!pos)
        return failed(why, RESULT_SYSTEM, "no memory for %llu bins", (unsigned long long)bins);
    double *neg = pos + bins;
    enum stat_status status = hist_fill(s.n, s.y, s.a, bins, pos, neg);
    if (status != STAT_OK) {
        *got = json_pack("{s:s}", "status", stat_status_name(status));
        return DONE;
    }
    struct auroc exact;
    auroc_delong(s.n, s.y, s.a, NULL, &exact);
    if (exact.status == STAT_SINGLE_CLASS) {
        *got = json_pack("{s:s}", "status", stat_status_name(exact.status));
        return DONE;
    }
    *got = json_pack("{s:o, s:o, s:o, s:o, s:o}", "auc_hist",
                     stats_json(hist_auroc(bins, pos, neg)), "auc_exact", stats_json(exact.auc),
                     "error_bound", stats_json(hist_auroc_bound(bins, pos, neg)), "c_pos",
                     counts_json(bins, pos), "c_neg", counts_json(bins, neg));
    return DONE;
}

static void add_conformal(json_t *o, const struct scored *s, const char *key, double alpha)
{
    struct conformal c;
    enum stat_status status = conformal_binary(s->n, s->y, s->a, alpha, &c);
    if (status == STAT_OK)
        json_object_set_new(o, key,
                            json_pack("{s:o, s:o, s:o}", "marginal", stats_json(c.marginal), "pos",
                                      stats_json(c.pos), "neg", stats_json(c.neg)));
    else
        json_object_set_new(o, key, json_pack("{s:s}", "status", stat_status_name(status)));
}

struct result stats_conformal(const struct stats_job *job, json_t **got, struct why *why)
{
    static const char PREFIX[] = "alpha_";
    CLEANUP(scored_free) struct scored s = {0};
    TRY(scored_read(job, "file", "p", NULL, &s, why));
    *got = json_object();
    const char *key;
    json_t *unused;
    json_t *asked = (json_t *)(uintptr_t)job->asked; /* json_object_foreach takes no const */
    if (!json_object_get(job->inputs, "alphas") && asked) {
        /* A case names its levels in the keys of what it asks for. */
        json_object_foreach(asked, key, unused)
        {
            if (strncmp(key, PREFIX, sizeof PREFIX - 1) == 0)
                add_conformal(*got, &s, key, strtod(key + sizeof PREFIX - 1, NULL));
        }
        return DONE;
    }
    static const double USUAL[] = {0.2, 0.1, 0.05};
    CLEANUP(free_pointer) double *alphas = NULL;
    size_t n = sizeof USUAL / sizeof *USUAL;
    if (json_object_get(job->inputs, "alphas")) {
        struct result r = stats_reals(job->inputs, "alphas", &alphas, &n, why);
        if (!ok(r)) {
            json_decref(*got);
            return r;
        }
    }
    for (size_t i = 0; i < n; i++) {
        char name[40];
        double alpha = alphas ? alphas[i] : USUAL[i];
        snprintf(name, sizeof name, "%s%.15g", PREFIX, alpha);
        add_conformal(*got, &s, name, alpha);
    }
    return DONE;
}

struct result stats_cindex(const struct stats_job *job, json_t **got, struct why *why)
{
    CLEANUP(stats_table_free) struct stats_table table = {0};
    CLEANUP(free_pointer) double *time = NULL;
    CLEANUP(free_pointer) double *event = NULL;
    CLEANUP(free_pointer) double *risk = NULL;
    TRY(stats_table_read(job, "file", &table, why));
    TRY(stats_table_column(&table, "time", &time, why));
    TRY(stats_table_column(&table, "event", &event, why));
    TRY(stats_table_column(&table, "risk", &risk, why));
    struct cindex c;
    cindex_harrell(table.rows, time, event, risk, NULL, 0, &c);
    *got = json_pack("{s:s, s:o, s:o, s:o}", "status", stat_status_name(c.status), "c",
                     stats_json_or_null(c.c), "comparable_pairs", stats_json(c.pairs),
                     "var_R_survival_concordance", stats_json_or_null(c.var));
    return DONE;
}
