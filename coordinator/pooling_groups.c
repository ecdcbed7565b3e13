/* SPDX-License-Identifier: Apache-2.0 */
/* Gap d = ref - group with variance v_ref + v_group, ratio by the delta method
 * (linalg/stats/subgroup.h); over sites y = sum w_k y_k, v = sum w_k^2 v_k with w_k by rows. */
#include "coordinator/pooling_groups.h"

#include "linalg/special.h"
#include "linalg/stats/auroc.h"
#include "linalg/stats/hist_figures.h"
#include "linalg/stats/subgroup.h"
#include "proto/base/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One group's AUROC somewhere. */
struct part {
    const char *key;
    double auroc, variance;
    bool told;
};

static size_t column_of(const char *key)
{
    const char *end = strchr(key, '=');
    return end ? (size_t)(end - key) : strlen(key);
}

static bool same_column(const char *a, const char *b)
{
    size_t n = column_of(a);
    return n == column_of(b) && strncmp(a, b, n) == 0;
}

/* One class against the rest is told of all patients: those are no groups of patients. Of classes
 * the first groups are the label's. */
static bool is_contrast(const struct evaluation_model *model, const struct evaluation_figures *f)
{
    const struct evaluation_figures *all = &model->groups[0];
    if (all->macro_auroc > 0.0 && same_column(model->groups[1].group, f->group))
        return true;
    return f->status == EVALUATION_OK &&
           f->positives + f->negatives == all->positives + all->negatives;
}

static double p_of(const struct part *reference, const struct part *group)
{
    double se = sqrt(reference->variance + group->variance);
    return 2.0 * normal_sf(fabs(reference->auroc - group->auroc) / se);
}

static json_t *interval(double middle, double half)
{
    return json_pack("[o, o]", number_or_null(middle - half), number_or_null(middle + half));
}

static json_t *compare(const struct part *reference, const struct part *group, size_t comparisons,
                       double holm)
{
    struct disparity d;
    subgroup_disparity(reference->auroc, reference->variance, group->auroc, group->variance, &d);
    double z = normal_isf(0.025 / (double)comparisons);
    double log_half = z * log(d.ci_ratio[1] / d.ratio) / STAT_Z975;
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:[o, o], s:o, s:o}", "group", group->key,
                     "reference", reference->key, "auroc", number_or_null(group->auroc), "gap",
                     number_or_null(d.delta_signed), "gap_interval",
                     interval(d.delta_signed, z * d.se_delta), "ratio", number_or_null(d.ratio),
                     "ratio_interval", number_or_null(d.ratio * exp(-log_half)),
                     number_or_null(d.ratio * exp(log_half)), "p",
                     number_or_null(p_of(reference, group)), "p_holm", number_or_null(holm));
}

/* The reference of a group: the first of its column, if that is told. */
static const struct part *reference_of(const struct part *parts, size_t n, size_t at)
{
    for (size_t i = 0; i < n; i++)
        if (same_column(parts[i].key, parts[at].key))
            return i != at && parts[i].told ? &parts[i] : NULL;
    return NULL;
}

static json_t *disparity_of(const struct part *parts, size_t n)
{
    double p[EVALUATION_GROUPS_MAX], holm[EVALUATION_GROUPS_MAX];
    size_t at[EVALUATION_GROUPS_MAX], count = 0;
    const struct part *worst = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!parts[i].told)
            continue;
        worst = !worst || parts[i].auroc < worst->auroc ? &parts[i] : worst;
        const struct part *reference = reference_of(parts, n, i);
        if (!reference)
            continue;
        p[count] = p_of(reference, &parts[i]);
        at[count++] = i;
    }
    json_t *list = json_array();
    if (count > 0 && adjust_holm(count, p, holm))
        for (size_t k = 0; k < count; k++)
            json_array_append_new(list, compare(reference_of(parts, n, at[k]), &parts[at[k]], count,
                                                holm[k]));
    return json_pack("{s:o, s:o}", "groups", list, "worst",
                     worst ? json_pack("{s:s, s:o}", "group", worst->key, "auroc",
                                       number_or_null(worst->auroc))
                           : json_null());
}

static size_t parts_of(const struct evaluation_model *model, struct part *parts)
{
    size_t n = 0;
    for (uint32_t g = 1; g < model->groups_count && n < EVALUATION_GROUPS_MAX; g++) {
        const struct evaluation_figures *f = &model->groups[g];
        if (is_contrast(model, f))
            continue;
        parts[n++] = (struct part){f->group, f->auroc, f->auroc_variance,
                                   f->status == EVALUATION_OK && isfinite(f->auroc) &&
                                       f->auroc_variance > 0.0};
    }
    return n;
}

/* A group over all sites that tell it, by rows. */
static struct part pooled_part(const char *key, const struct pooling_input *inputs, size_t n)
{
    struct part out = {.key = key};
    double mass = 0.0;
    for (size_t i = 0; i < n; i++) {
        const struct evaluation_model *m = &inputs[i].evaluation.models[0];
        for (uint32_t g = 1; g < m->groups_count; g++) {
            const struct evaluation_figures *f = &m->groups[g];
            double w = (double)f->positives + (double)f->negatives;
            if (strcmp(f->group, key) != 0 || f->status != EVALUATION_OK || !isfinite(f->auroc) ||
                !(f->auroc_variance > 0.0))
                continue;
            mass += w;
            out.auroc += w * f->auroc;
            out.variance += w * w * f->auroc_variance;
        }
    }
    out.told = mass > 0.0;
    if (out.told) {
        out.auroc /= mass;
        out.variance /= mass * mass;
    }
    return out;
}

json_t *pooling_disparity(const struct study *study, const struct pooling_input *inputs, size_t n)
{
    struct part parts[EVALUATION_GROUPS_MAX], widest[EVALUATION_GROUPS_MAX];
    size_t widest_n = 0;
    json_t *sites = json_array();
    for (size_t i = 0; i < n; i++) {
        size_t count = parts_of(&inputs[i].evaluation.models[0], parts);
        if (count > widest_n) {
            widest_n = count;
            memcpy(widest, parts, count * sizeof *parts);
        }
        json_t *one = disparity_of(parts, count);
        json_object_set_new(one, "name", json_string_nocheck(study->members[inputs[i].site].name));
        json_array_append_new(sites, one);
    }
    for (size_t k = 0; k < widest_n; k++)
        widest[k] = pooled_part(widest[k].key, inputs, n);
    return json_pack("{s:o, s:o}", "pooled", disparity_of(widest, widest_n), "sites", sites);
}

/* ---- histograms ---- */

static void add_figures(json_t *o, size_t bins, const double *pos, const double *neg, double noise)
{
    struct hist_figures f;
    hist_figures(bins, pos, neg, noise, &f);
    json_object_set_new(o, "auroc", number_or_null(f.auroc));
    json_object_set_new(o, "auroc_bound", number_or_null(f.auroc_bound));
    json_object_set_new(o, "auroc_variance", number_or_null(f.auroc_variance));
    struct auroc_interval i;
    if (f.auroc > 0.0 && f.auroc < 1.0 && f.auroc_variance > 0.0) {
        auroc_interval(f.auroc, f.auroc_variance, STAT_Z975, &i);
        json_object_set_new(o, "auroc_low", number_or_null(i.logit[0]));
        json_object_set_new(o, "auroc_high", number_or_null(i.logit[1]));
    }
    json_object_set_new(o, "brier", number_or_null(f.brier));
    json_object_set_new(o, "observed_expected", number_or_null(f.observed_expected));
    json_object_set_new(o, "ece", number_or_null(f.ece));
    json_object_set_new(o, "ece_null", number_or_null(f.ece_null));
    json_object_set_new(o, "calibration_slope", number_or_null(f.slope));
    json_object_set_new(o, "calibration_slope_se", number_or_null(f.slope_se));
    json_object_set_new(o, "spiegelhalter_z", number_or_null(f.spiegelhalter_z));
}

json_t *pooling_histogram(const struct pooling_input *inputs, size_t n)
{
    double pos[EVALUATION_BINS_MAX] = {0}, neg[EVALUATION_BINS_MAX] = {0}, noise = 0.0;
    uint32_t bins = 0;
    json_int_t sites = 0, noised = 0;
    for (size_t i = 0; i < n; i++) {
        const struct evaluation_model *m = &inputs[i].evaluation.models[0];
        if (m->bins_count == 0 || (bins > 0 && m->bins_count != bins))
            continue;
        bins = m->bins_count;
        sites++;
        noised += inputs[i].evaluation.release == EVALUATION_RELEASE_NOISED_HISTOGRAM;
        noise += inputs[i].evaluation.metrics_noise * inputs[i].evaluation.metrics_noise;
        for (uint32_t b = 0; b < bins; b++) {
            pos[b] += m->positives[b];
            neg[b] += m->negatives[b];
        }
    }
    if (bins == 0)
        return json_null();
    json_t *o = json_pack("{s:i, s:I, s:I}", "bins", (int)bins, "sites", sites, "noised", noised);
    add_figures(o, bins, pos, neg, sqrt(noise));
    return o;
}

/* ---- who has no figures ---- */

json_t *pooling_absent(const struct study *study, const struct pooling_input *inputs, size_t n)
{
    json_t *out = json_object();
    for (uint32_t s = 0; s < study->members_count; s++) {
        bool asked = s < study->task.sites_count && study->task.sites[s].standing != STANDING_OUT &&
                     study->task.sites[s].standing != STANDING_COUNTED;
        const char *word = asked ? study_absence(study, s) : NULL;
        for (size_t i = 0; i < n; i++) {
            enum evaluation_status status = inputs[i].evaluation.models[0].groups[0].status;
            if (inputs[i].site == s)
                word = status == EVALUATION_OK ? NULL : evaluation_status_name(status);
        }
        if (word)
            json_object_set_new(out, study->members[s].name, json_string(word));
    }
    return out;
}
