/* SPDX-License-Identifier: Apache-2.0 */
/* The promotion gate. The order of rules is fixed: 1 integrity, 2 usable sites and quorum, 3 pooled
 * non-inferiority, 4 harm at one site, 5 floor, 6 calibration, 7 fairness, 8 drift, 9 alpha ledger,
 * 10 human signatures. Rules 1 and 2 stop the gate; later ones are all evaluated, so that the
 * record names every obstacle. Pooling weighs by capped patient counts, never by the variances that
 * sites claim. */
#include "coordinator/validate/gate.h"

#include "coordinator/validate/gate_rules.h"
#include "linalg/special.h"
#include "linalg/stats/auroc.h"
#include "proto/base/cleanup.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const RULE_NAMES[GATE_RULES] = {
    "integrity",        "usable sites",   "pooled non-inferiority",
    "harm at one site", "absolute floor", "calibration",
    "fairness",         "drift",          "alpha ledger",
    "human signatures",
};

const char *gate_decision_name(enum gate_decision decision)
{
    switch (decision) {
    case GATE_PROMOTE:
        return "PROMOTE";
    case GATE_HOLD:
        return "HOLD";
    case GATE_REJECT:
        return "REJECT";
    }
    return "?";
}

struct gate_policy gate_policy_default(void)
{
    return (struct gate_policy){
        .min_cell = 11,
        .var_ratio_max = 4.0,
        .quorum_min = 3,
        .quorum_frac = 2.0 / 3.0,
        .weight_cap = 0.4,
        .alpha = 0.05,
        .ni_margin = 0.02,
        .site_margin = 0.05,
        .site_catastrophe = 0.10,
        .auc_floor = 0.75,
        .ece_excess_max = 0.05,
        .slope_min = 0.8,
        .slope_max = 1.25,
        .group_margin = 0.05,
        .drift_veto_max = 0.34,
        .drift_kl_max = 0.3,
    };
}

void gate_rule_says(struct gate_record *record, int number, enum gate_outcome outcome,
                    const char *reason, const char *format, ...)
{
    struct gate_rule *rule = &record->rule[number - 1];
    rule->outcome = outcome;
    bool failing = outcome == GATE_RULE_HOLD || outcome == GATE_RULE_REJECT;
    rule->reason = failing ? reason : "";
    va_list args;
    va_start(args, format);
    vsnprintf(rule->words, sizeof rule->words, format, args);
    va_end(args);
}

static void open_record(const struct gate_input *in, struct gate_record *record)
{
    *record = (struct gate_record){
        .n_sites = in->n_sites,
        .d_pooled = NAN,
        .se_pooled = NAN,
        .d_lower = NAN,
        .d_upper = NAN,
        .auc_pooled = NAN,
        .auc_lower = NAN,
        .cindex_pooled = NAN,
        .cindex_se = NAN,
        .power = NAN,
        .patients_more = NAN,
        .detectable = NAN,
    };
    for (int k = 0; k < GATE_RULES; k++) {
        record->rule[k].number = k + 1;
        record->rule[k].name = RULE_NAMES[k];
        record->rule[k].outcome = GATE_RULE_OFF;
        record->rule[k].reason = "";
        snprintf(record->rule[k].words, GATE_WORDS,
                 "not reached: an earlier rule stopped the gate");
    }
}

static struct result check_input(const struct gate_input *in, struct why *why)
{
    const struct gate_policy *p = &in->policy;
    if (in->n_sites > GATE_SITES_MAX || in->n_groups > GATE_GROUPS_MAX)
        return failed(why, RESULT_INPUT, "a gate takes at most %d sites and %d groups",
                      GATE_SITES_MAX, GATE_GROUPS_MAX);
    if (!(p->alpha > 0.0 && p->alpha < 0.5) || !(p->var_ratio_max >= 1.0) ||
        !(p->quorum_frac >= 0.0 && p->quorum_frac <= 1.0) ||
        !(p->weight_cap > 0.0 && p->weight_cap <= 1.0) || !(p->ni_margin >= 0.0) ||
        !(p->site_margin >= 0.0) || !(p->site_catastrophe >= 0.0) || !isfinite(p->auc_floor))
        return failed(why, RESULT_INPUT,
                      "the gate policy is impossible: alpha in (0,.5), quorum_frac in [0,1], "
                      "weight_cap in (0,1], margins not negative, var_ratio_max at least 1");
    return DONE;
}

const char *gate_unusable(const struct gate_policy *p, const struct gate_site *s, bool first)
{
    if (strcmp(s->status, "ok") != 0)
        return s->status;
    if (s->n_pos < p->min_cell || s->n_neg < p->min_cell || s->n_pos == 0 || s->n_neg == 0)
        return "below_min_cell";
    double expected = auroc_newcombe_var(s->auc, s->n_pos, s->n_neg);
    /* Rows of one patient tell between nothing and as much as other patients would. */
    double least = expected / p->var_ratio_max / fmax(s->rows_per_patient, 1.0);
    if (!(s->var_auc >= least && s->var_auc <= expected * p->var_ratio_max))
        return "implausible_variance";
    if (first)
        return NULL;
    if (!isfinite(s->d) || !isfinite(s->var_d) || s->var_d < 0.0)
        return "invalid_difference";
    return NULL;
}

static bool rule_integrity(const struct gate_input *in, struct gate_record *record)
{
    const struct gate_integrity *i = in->integrity;
    if (!i) {
        gate_rule_says(record, 1, GATE_RULE_OFF, "", "no integrity findings were handed over");
        return true;
    }
    const char *detail = i->detail ? i->detail : "no detail";
    if (!i->signatures_ok || !i->hashes_ok) {
        gate_rule_says(record, 1, GATE_RULE_REJECT, "integrity", "%s do not match: %s",
                       i->signatures_ok ? "hashes" : "signatures", detail);
        return false;
    }
    if (!i->in_scope) {
        gate_rule_says(record, 1, GATE_RULE_REJECT, "out_of_scope",
                       "the change is outside the predetermined change control plan: %s", detail);
        return false;
    }
    gate_rule_says(record, 1, GATE_RULE_PASS, "",
                   "every report is signed by its site and bound to this model and plan; %s",
                   i->detail ? i->detail : "the change is within the change control plan");
    return true;
}

size_t gate_quorum(const struct gate_policy *p, size_t n_sites)
{
    return (size_t)fmax((double)p->quorum_min, ceil(p->quorum_frac * (double)n_sites - 1e-12));
}

static bool rule_usable(const struct gate_input *in, struct gate_record *record,
                        struct gate_site_verdict *verdicts)
{
    const struct gate_policy *p = &in->policy;
    for (size_t i = 0; i < in->n_sites; i++) {
        verdicts[i] =
            (struct gate_site_verdict){.reason = gate_unusable(p, &in->sites[i], in->first)};
        verdicts[i].used = verdicts[i].reason == NULL;
        record->n_used += verdicts[i].used;
    }
    record->quorum_needed = gate_quorum(p, in->n_sites);
    record->quorum = record->n_used >= record->quorum_needed && record->n_used > 0;
    gate_rule_says(record, 2, record->quorum ? GATE_RULE_PASS : GATE_RULE_HOLD, "quorum",
                   "%zu of %zu sites usable (status ok, at least %zu patients of each class, "
                   "plausible variance); %zu needed",
                   record->n_used, in->n_sites, p->min_cell, record->quorum_needed);
    return record->quorum;
}

/* Columns of the used sites, in the order of the sites. */
struct columns {
    double *size, *d, *var_d, *auc, *var_auc, *weight;
};

static void fill_columns(const struct gate_input *in, const struct gate_site_verdict *verdicts,
                         size_t used, double *block, struct columns *c)
{
    *c = (struct columns){
        block,           block + used, block + 2 * used, block + 3 * used, block + 4 * used,
        block + 5 * used};
    size_t k = 0;
    for (size_t i = 0; i < in->n_sites; i++) {
        if (!verdicts[i].used)
            continue;
        const struct gate_site *s = &in->sites[i];
        c->size[k] = (double)s->n_pos + (double)s->n_neg;
        c->d[k] = s->d;
        c->var_d[k] = s->var_d;
        c->auc[k] = s->auc;
        c->var_auc[k] = s->var_auc;
        k++;
    }
}

/* What this many patients can tell, and what they cannot. */
static void say_detectable(const struct gate_record *r, char *text, size_t n)
{
    if (r->d_upper < 0.0)
        snprintf(text, n, "the candidate is worse beyond chance, by %.4f", -r->d_pooled);
    else if (r->d_lower > 0.0)
        snprintf(text, n, "the candidate is better beyond chance, by %.4f", r->d_pooled);
    else
        snprintf(text, n,
                 "the two cannot be told apart here: a true difference of %.4f would be seen with "
                 "a power of .8, a smaller harm than that may go unseen",
                 r->detectable);
}

static void rule_noninferiority(const struct gate_policy *p, const struct columns *c,
                                struct gate_record *r)
{
    double z = normal_isf(p->alpha);
    pool_weighted(r->n_used, c->weight, c->d, c->var_d, &r->d_pooled, &r->se_pooled);
    r->d_lower = r->d_pooled - z * r->se_pooled;
    r->d_upper = r->d_pooled + z * r->se_pooled;
    double reach = (z + normal_isf(0.2)) * r->se_pooled / p->ni_margin;
    r->power = noninferiority_power(0.0, r->se_pooled * r->se_pooled, p->ni_margin, p->alpha);
    r->patients_more = reach * reach;
    r->detectable = (z + normal_isf(0.2)) * r->se_pooled;
    enum gate_outcome outcome = GATE_RULE_PASS;
    const char *reason = "";
    if (r->d_upper < -p->ni_margin) {
        outcome = GATE_RULE_REJECT;
        reason = "pooled_inferior";
    } else if (!(r->d_lower > -p->ni_margin)) {
        outcome = GATE_RULE_HOLD;
        reason = "pooled_ni_not_shown";
    } else if (p->superiority && !(r->d_lower > 0.0)) {
        outcome = GATE_RULE_HOLD;
        reason = "superiority_not_shown";
    }
    char more[96] = "", power[64] = "", told[256];
    if (isfinite(r->power))
        snprintf(power, sizeof power, "; power if the models were equal %.2f", r->power);
    if (r->power < 0.8)
        snprintf(more, sizeof more, "; for a power of .8 about %.1f times the patients are needed",
                 r->patients_more);
    say_detectable(r, told, sizeof told);
    gate_rule_says(r, 3, outcome, reason,
                   "candidate less incumbent %+.4f (se %.4f), one-sided bounds %+.4f and %+.4f "
                   "against a margin of -%.4f%s%s%s; %s",
                   r->d_pooled, r->se_pooled, r->d_lower, r->d_upper, p->ni_margin,
                   p->superiority ? ", and a gain is asked for" : "", power, more, told);
}

static void rule_site_harm(const struct gate_input *in, struct gate_record *record,
                           struct gate_site_verdict *verdicts)
{
    const struct gate_policy *p = &in->policy;
    double z = normal_isf(p->alpha / (double)record->n_used);
    size_t harmed = 0;
    size_t dropped = 0;
    const char *first = NULL;
    for (size_t i = 0; i < in->n_sites; i++) {
        const struct gate_site *s = &in->sites[i];
        if (!verdicts[i].used)
            continue;
        verdicts[i].harm = s->d + z * sqrt(s->var_d) < -p->site_margin;
        verdicts[i].large_drop = s->d < -p->site_catastrophe;
        harmed += verdicts[i].harm;
        dropped += verdicts[i].large_drop;
        if (!first && (verdicts[i].harm || verdicts[i].large_drop))
            first = s->id;
    }
    enum gate_outcome outcome = harmed    ? GATE_RULE_REJECT
                                : dropped ? GATE_RULE_HOLD
                                          : GATE_RULE_PASS;
    gate_rule_says(record, 4, outcome, harmed ? "site_harm" : "site_large_drop",
                   "%zu sites worse by more than %.3f beyond chance (alpha %.3g over %zu sites), "
                   "%zu with a drop over %.3f%s%.100s",
                   harmed, p->site_margin, p->alpha, record->n_used, dropped, p->site_catastrophe,
                   first ? "; first: " : "", first ? first : "");
    if (harmed && dropped)
        record->rule[3].also_holds = "site_large_drop";
}

/* A first model cannot be worse than the one in use; the floor is all it is held to. */
static void rules_without_incumbent(struct gate_record *record)
{
    for (int number = 3; number <= 4; number++)
        gate_rule_says(record, number, GATE_RULE_OFF, "",
                       "no model of this kind is in use: there is nothing to compare with");
    record->random = (struct pool){
        .mu = NAN, .tau2 = NAN, .se_mhksj = NAN, .ci_mhksj = {NAN, NAN}, .pi_mhksj = {NAN, NAN}};
}

static void rule_floor(const struct gate_policy *p, const struct columns *c, struct gate_record *r)
{
    double se;
    pool_weighted(r->n_used, c->weight, c->auc, c->var_auc, &r->auc_pooled, &se);
    r->auc_lower = r->auc_pooled - normal_isf(p->alpha) * se;
    gate_rule_says(r, 5, r->auc_lower < p->auc_floor ? GATE_RULE_HOLD : GATE_RULE_PASS, "auc_floor",
                   "pooled AUROC %.4f, lower bound %.4f, floor %.4f", r->auc_pooled, r->auc_lower,
                   p->auc_floor);
}

/* Over the used sites that have one, with the gate's own weights: for the reader, no rule. */
static void pool_cindex(const struct gate_input *in, const struct gate_site_verdict *verdicts,
                        struct gate_record *r)
{
    double mass = 0.0, sum = 0.0, spread = 0.0;
    for (size_t i = 0; i < in->n_sites; i++) {
        const struct gate_site *s = &in->sites[i];
        double w = verdicts[i].weight;
        if (!verdicts[i].used || !isfinite(s->cindex) || !(s->cindex_var >= 0.0) || !(w > 0.0))
            continue;
        mass += w;
        sum += w * s->cindex;
        spread += w * w * s->cindex_var;
    }
    if (!(mass > 0.0))
        return;
    r->cindex_pooled = sum / mass;
    r->cindex_se = sqrt(spread) / mass;
}

static void rule_ledger(const struct gate_input *in, struct gate_record *record)
{
    const struct gate_ledger *l = in->ledger;
    if (in->first) {
        gate_rule_says(record, 9, GATE_RULE_OFF, "", "a first model spends no alpha");
        return;
    }
    if (!l || !l->used) {
        gate_rule_says(record, 9, GATE_RULE_OFF, "", "no alpha ledger in this policy");
        return;
    }
    double alpha = (double)l->alpha / 1e6;
    bool approved = l->approved;
    if (l->by_bound) {
        double lower = record->d_pooled - normal_isf(alpha) * record->se_pooled;
        approved = lower > -in->policy.ni_margin;
    }
    gate_rule_says(record, 9, approved ? GATE_RULE_PASS : GATE_RULE_HOLD, "alpha_ledger",
                   "policy %.20s gave this candidate alpha %.6f and %s it%s%.200s", l->policy,
                   alpha, approved ? "approves" : "does not approve", l->detail ? ": " : "",
                   l->detail ? l->detail : "");
}

static void rule_signatures(const struct gate_input *in, struct gate_record *record)
{
    unsigned needed = in->policy.signatures_needed;
    if (needed == 0) {
        gate_rule_says(record, 10, GATE_RULE_OFF, "", "no signatures asked for at this stage");
        return;
    }
    bool enough = in->signatures >= needed;
    gate_rule_says(record, 10, enough ? GATE_RULE_PASS : GATE_RULE_PENDING, "",
                   "%u of %u human signatures%s", in->signatures, needed,
                   enough ? "" : ": the model cannot become `promoted` before the rest arrive");
}

size_t gate_reasons(const struct gate_record *record, const char **reasons)
{
    size_t count = 0;
    for (int pass = 0; pass < 2; pass++) {
        enum gate_outcome wanted = pass == 0 ? GATE_RULE_REJECT : GATE_RULE_HOLD;
        for (int k = 0; k < GATE_RULES; k++) {
            const struct gate_rule *rule = &record->rule[k];
            if (rule->outcome == wanted)
                reasons[count++] = rule->reason;
            if (pass == 1 && rule->also_holds)
                reasons[count++] = rule->also_holds;
        }
    }
    return count;
}

static enum gate_decision conclude(const struct gate_record *record)
{
    enum gate_decision decision = GATE_PROMOTE;
    for (int k = 0; k < GATE_RULES; k++) {
        if (record->rule[k].outcome == GATE_RULE_REJECT)
            return GATE_REJECT;
        if (record->rule[k].outcome == GATE_RULE_HOLD)
            decision = GATE_HOLD;
    }
    return decision;
}

struct result gate_decide(const struct gate_input *in, struct gate_record *record,
                          struct gate_site_verdict *verdicts, struct why *why)
{
    TRY(check_input(in, why));
    open_record(in, record);
    for (size_t i = 0; i < in->n_sites; i++)
        verdicts[i] = (struct gate_site_verdict){.reason = "not_reached"};
    if (!rule_integrity(in, record) || !rule_usable(in, record, verdicts)) {
        record->decision = conclude(record);
        return DONE;
    }
    size_t used = record->n_used;
    CLEANUP(free_pointer) double *block = calloc(used, 6 * sizeof *block);
    if (!block)
        return failed(why, RESULT_SYSTEM, "no memory to pool %zu sites", used);
    struct columns c;
    fill_columns(in, verdicts, used, block, &c);
    pool_capped_weights(used, c.size, in->policy.weight_cap, c.weight);
    for (size_t i = 0, k = 0; i < in->n_sites; i++) {
        if (verdicts[i].used)
            verdicts[i].weight = c.weight[k++];
    }
    if (in->first) {
        rules_without_incumbent(record);
    } else {
        rule_noninferiority(&in->policy, &c, record);
        rule_site_harm(in, record, verdicts);
    }
    rule_floor(&in->policy, &c, record);
    pool_cindex(in, verdicts, record);
    gate_rule_calibration(in, verdicts, record);
    gate_rule_fairness(in, record);
    gate_rule_drift(in, verdicts, record);
    rule_ledger(in, record);
    rule_signatures(in, record);
    transport_pool(used, c.auc, c.var_auc, &record->transport);
    if (!in->first)
        pool_random(used, c.d, c.var_d, POOL_DL, 0.95, &record->random);
    record->decision = conclude(record);
    return DONE;
}
