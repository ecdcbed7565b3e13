/* SPDX-License-Identifier: Apache-2.0 */
/* Rules 6 to 8. Each pairs a threshold on the point estimate with a bound or p-value: at hospital
 * sample sizes a threshold alone is mostly false alarms. */
#include "coordinator/validate/gate_rules.h"

#include "linalg/special.h"
#include "linalg/stats/subgroup.h"

#include <math.h>

/* Weighted means over the used sites that reported calibration. */
struct pooled_calibration {
    size_t sites;
    double weight;
    double excess;   /* ECE above its null value */
    double stouffer; /* sum of Spiegelhalter z */
    double slope, slope_var;
};

static struct pooled_calibration pool_calibration(const struct gate_input *in,
                                                  const struct gate_site_verdict *verdicts)
{
    struct pooled_calibration c = {0};
    for (size_t i = 0; i < in->n_sites; i++) {
        const struct gate_site *s = &in->sites[i];
        double w = verdicts[i].weight;
        bool reported = isfinite(s->ece) && isfinite(s->ece_null) && isfinite(s->slope) &&
                        isfinite(s->slope_se) && isfinite(s->spiegelhalter_z);
        if (!verdicts[i].used || !reported)
            continue;
        c.sites++;
        c.weight += w;
        c.excess += w * (s->ece - s->ece_null);
        c.slope += w * s->slope;
        c.slope_var += w * w * s->slope_se * s->slope_se;
        c.stouffer += s->spiegelhalter_z;
    }
    if (c.sites == 0)
        return c;
    c.excess /= c.weight;
    c.slope /= c.weight;
    c.slope_var /= c.weight * c.weight;
    c.stouffer /= sqrt((double)c.sites);
    return c;
}

void gate_rule_calibration(const struct gate_input *in, const struct gate_site_verdict *verdicts,
                           struct gate_record *record)
{
    const struct gate_policy *p = &in->policy;
    if (!p->calibration_used) {
        gate_rule_says(record, 6, GATE_RULE_OFF, "", "calibration is not part of this policy");
        return;
    }
    struct pooled_calibration c = pool_calibration(in, verdicts);
    if (c.sites == 0) {
        gate_rule_says(record, 6, GATE_RULE_HOLD, "calibration_missing",
                       "no usable site reported its calibration");
        return;
    }
    double se = sqrt(c.slope_var);
    double p_value = 2.0 * normal_sf(fabs(c.stouffer));
    bool excess = c.excess > p->ece_excess_max && p_value < p->alpha;
    bool slope =
        (c.slope < p->slope_min || c.slope > p->slope_max) && fabs(c.slope - 1.0) > STAT_Z975 * se;
    gate_rule_says(record, 6, excess || slope ? GATE_RULE_HOLD : GATE_RULE_PASS,
                   excess ? "miscalibrated" : "calibration_slope",
                   "over %zu sites: ECE above its null value %+.4f (limit %.4f, Spiegelhalter p "
                   "%.3g), slope %.3f (se %.3f, range %.2f to %.2f)",
                   c.sites, c.excess, p->ece_excess_max, p_value, c.slope, se, p->slope_min,
                   p->slope_max);
}

void gate_rule_fairness(const struct gate_input *in, struct gate_record *record)
{
    const struct gate_policy *p = &in->policy;
    if (!p->fairness_used) {
        gate_rule_says(record, 7, GATE_RULE_OFF, "", "fairness is not part of this policy");
        return;
    }
    if (in->first) {
        gate_rule_says(record, 7, GATE_RULE_OFF, "",
                       "no model of this kind is in use: no group can fare worse than before");
        return;
    }
    if (in->n_groups == 0) {
        gate_rule_says(record, 7, GATE_RULE_HOLD, "fairness_missing",
                       "no subgroup was large enough to be released");
        return;
    }
    double p_values[GATE_GROUPS_MAX];
    double adjusted[GATE_GROUPS_MAX];
    double z = normal_isf(p->alpha / (double)in->n_groups);
    size_t worst = 0;
    size_t harmed = 0;
    size_t shown = 0;
    for (size_t g = 0; g < in->n_groups; g++) {
        const struct gate_group *group = &in->groups[g];
        double se = sqrt(group->var_d);
        double gap = group->d + p->group_margin;
        bool known = isfinite(group->d) && se >= 0.0 && isfinite(se);
        p_values[g] = !known ? 1.0 : se > 0.0 ? normal_sf(gap / se) : gap > 0.0 ? 0.0 : 1.0;
        harmed += known && group->d + z * se < -p->group_margin;
        if (group->d < in->groups[worst].d)
            worst = g;
    }
    adjust_holm(in->n_groups, p_values, adjusted);
    for (size_t g = 0; g < in->n_groups; g++)
        shown += adjusted[g] <= p->alpha;
    bool all = shown == in->n_groups || !p->group_shown;
    enum gate_outcome outcome = harmed ? GATE_RULE_REJECT : all ? GATE_RULE_PASS : GATE_RULE_HOLD;
    gate_rule_says(record, 7, outcome, harmed ? "group_harm" : "group_ni_not_shown",
                   "%zu of %zu groups shown not worse by %.3f (Holm), %zu shown worse; worst %.60s "
                   "at %+.4f (se %.4f)",
                   shown, in->n_groups, p->group_margin, harmed, in->groups[worst].key,
                   in->groups[worst].d, sqrt(fmax(0.0, in->groups[worst].var_d)));
}

void gate_rule_drift(const struct gate_input *in, const struct gate_site_verdict *verdicts,
                     struct gate_record *record)
{
    const struct gate_policy *p = &in->policy;
    if (!p->drift_used) {
        gate_rule_says(record, 8, GATE_RULE_OFF, "", "drift is not part of this policy");
        return;
    }
    size_t vetoes = 0, reported = 0;
    for (size_t i = 0; i < in->n_sites; i++) {
        vetoes += verdicts[i].used && in->sites[i].drift_veto;
        reported += verdicts[i].used && (in->sites[i].drift_reported || in->sites[i].drift_veto);
    }
    double share = (double)vetoes / (double)record->n_used;
    gate_rule_says(record, 8, share > p->drift_veto_max ? GATE_RULE_HOLD : GATE_RULE_PASS, "drift",
                   "%zu of %zu used sites find their patients drifted from the reference (limit "
                   "%.0f %%; a column's KL above %.2f beyond chance); %zu reported it",
                   vetoes, record->n_used, 100.0 * p->drift_veto_max, p->drift_kl_max, reported);
}
