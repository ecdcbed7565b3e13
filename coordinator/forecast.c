/* SPDX-License-Identifier: Apache-2.0 */
/* A plan's cost ahead of launch. Robustness under noise: f of n hostile sites that carry
 * honest-looking noise shift the aggregate by about (f/n) NSR |g| whatever the rule, with NSR =
 * sigma C sqrt(d) / (L |g|); beyond (f/n) NSR = 0.25 robustness is not claimed. */
#include "coordinator/forecast.h"

#include "coordinator/aggregate/aggregate.h"
#include "coordinator/aggregate/momentum.h"
#include "coordinator/server.h"
#include "privacy/noise_floor.h"
#include "proto/compress/codec.h"
#include "proto/payload_secure.h"
#include "proto/plan_model.h"
#include "proto/transfer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* |g| / C of a typical clipped mean gradient. */
#define SIGNAL_SHARE 0.3
/* Hidden shift from which attacks in the noise cost more than 0.01 of AUROC where it was measured
 * (docs/evidence.md: 0.019 cost 0.004, 0.051 up to 0.015, 0.088 up to 0.025). */
#define HIDDEN_SHIFT_MAX 0.04
/* Share of the weight from which hostile sites are the majority. */
#define SHARE_UNSAFE 0.5

__attribute__((format(printf, 2, 3))) static void warn(struct forecast *f, const char *format, ...)
{
    if (f->warnings_count == FORECAST_WARNINGS_MAX)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(f->warnings[f->warnings_count++].text, WHY_BYTES, format, args);
    va_end(args);
}

/* The weights' values do not matter for that. */
struct result forecast_rule_holds(const struct plan *plan, unsigned n, struct why *why)
{
    double weights[PLAN_SITES_MAX], order[PLAN_SITES_MAX];
    double bucket = plan->aggregation.bucket_size;
    struct agg_rule rule;
    for (unsigned i = 0; i < n; i++) {
        weights[i] = 1.0;
        order[i] = i;
    }
    TRY(agg_rule_parse_study(plan->aggregation.rule, &rule, why));
    agg_rule_set_f(&rule, plan->aggregation.byzantine);
    struct result r = agg_rule_set_numbers(&rule, "w", n, weights, why);
    double mass = plan->aggregation.byzantine;
    if (ok(r) && rule.stage[rule.stages - 1] == AGG_WEIGHTED_TRIMMED_MEAN)
        r = agg_rule_set_numbers(&rule, "trim_mass", 1, &mass, why);
    if (ok(r) && bucket > 0)
        r = agg_rule_set_numbers(&rule, "s", 1, &bucket, why);
    if (ok(r) && bucket > 0)
        r = agg_rule_set_numbers(&rule, "perm", n, order, why);
    if (ok(r))
        r = agg_rule_check(&rule, n, 0, why);
    agg_rule_free(&rule);
    return r;
}

/* What is proved for the rule at f of n, and where that says nothing. Under (G, B)-dissimilarity,
 * mean |g_i - g|^2 <= G^2 + B^2 |g|^2, no rule stands f/n >= 1/(2 + B^2) (Allouah et al., NeurIPS
 * 2023). */
static void check_guarantee(const struct plan *plan, const struct agg_rule *rule,
                            struct forecast *f)
{
    unsigned n = plan->sites_count, hostile = plan->aggregation.byzantine;
    double b = plan->aggregation.dissimilarity_b;
    enum agg_kind last = rule->stage[rule->stages - 1];
    bool nnm = rule->stages > 1 && rule->stage[rule->stages - 2] == AGG_NNM;
    size_t rows = n; /* that reach the rule: of buckets, hostile ones fill as many */
    for (int i = 0; i < rule->stages && plan->aggregation.bucket_size > 0; i++)
        if (rule->stage[i] == AGG_BUCKETING)
            rows = (n + plan->aggregation.bucket_size - 1) / plan->aggregation.bucket_size;
    f->kappa = agg_kappa_bound(last, nnm, rows, hostile);
    f->kappa_floor = agg_kappa_floor(rows, hostile);
    f->dissimilarity_most = hostile > 0 ? sqrt(fmax(0, (double)n / hostile - 2)) : (double)INFINITY;
    if (hostile == 0)
        warn(f, "aggregation.byzantine is 0: no hostile site is withstood, whatever the rule");
    else if (last == AGG_MEAN || last == AGG_WEIGHTED_MEAN)
        warn(f,
             "'%s' withstands none of the %u hostile sites of aggregation.byzantine: one update "
             "within the norm limit moves the mean anywhere",
             plan->aggregation.rule, hostile);
    else if (isfinite(f->kappa) && f->kappa >= 1)
        warn(
            f,
            "with f = %u of %u sites the proof for '%s' allows an error of %.2g times the honest "
            "sites' spread (kappa %.2g, no rule has less than %.2g): it says little; more sites or "
            "a smaller f",
            hostile, n, plan->aggregation.rule, sqrt(f->kappa), f->kappa, f->kappa_floor);
    if (hostile > 0 && b > 0 && b >= f->dissimilarity_most)
        warn(f,
             "the sites differ too much for any rule: f/n = %.3g is not below 1/(2 + B^2) = %.3g "
             "at aggregation.dissimilarity_b %.3g; at most B = %.3g",
             (double)hostile / n, 1 / (2 + b * b), b, f->dissimilarity_most);
}

static struct result check_rule(const struct plan *plan, struct forecast *f, struct why *why)
{
    TRY(forecast_rule_holds(plan, plan->sites_count, why));
    struct why at_quorum;
    const struct plan_aggregation *a = &plan->aggregation;
    if (!ok(forecast_rule_holds(plan, a->quorum, &at_quorum)))
        warn(f,
             "with only the quorum of %u sites the rule does not hold (%.300s): such rounds are "
             "aborted; raise aggregation.quorum",
             a->quorum, at_quorum.text);
    else if (2 * a->byzantine >= a->quorum)
        warn(f,
             "with only the quorum of %u sites, %u of them hostile, no rule can be trusted: such "
             "rounds are aborted; raise aggregation.quorum to %u",
             a->quorum, a->byzantine, 2 * a->byzantine + 1);
    struct agg_rule rule;
    TRY(agg_rule_parse_study(plan->aggregation.rule, &rule, why));
    check_guarantee(plan, &rule, f);
    agg_rule_free(&rule);
    return DONE;
}

/* Weights by patients: the f heaviest sites may hold up to max_share. A site that holds half of the
 * weight cannot be outvoted by any rule. */
static void check_share(const struct plan *plan, struct forecast *f)
{
    const struct plan_aggregation *a = &plan->aggregation;
    double equal = (double)a->byzantine / (double)plan->sites_count;
    if (a->byzantine == 0 || a->weights == WEIGHTS_EQUAL || a->max_share < SHARE_UNSAFE)
        return;
    warn(f,
         "max_share %.2g lets the %u heaviest of %u sites hold %.0f %% of the weight: if they are "
         "the "
         "hostile ones, no rule can outvote them; set aggregation.max_share below %.2g, best %.2g, "
         "where all sites count the same",
         a->max_share, a->byzantine, plan->sites_count, 100.0 * a->max_share, SHARE_UNSAFE, equal);
}

/* Masked words instead of a frame; and the four other stages, each word up once and all of them
 * down to everybody. */
static void count_secure(const struct plan *plan, struct forecast *f)
{
    static const enum task_kind WORDS[] = {TASK_KEYS, TASK_SHARES, TASK_AGREE, TASK_REVEAL};
    unsigned n = plan->sites_count;
    f->update_bytes = transfer_cipher_bytes(f->parameters * sizeof(uint64_t) + 64);
    f->round_bytes_per_site = f->update_bytes + f->model_bytes;
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        uint64_t word = transfer_cipher_bytes(secure_parts_bytes(WORDS[i], n) + 64);
        f->round_bytes_per_site += word + (WORDS[i] == TASK_REVEAL ? 0 : n * word);
    }
}

static void check_secure(const struct plan *plan, struct forecast *f)
{
    const struct plan_aggregation *a = &plan->aggregation;
    if (!a->secure)
        return;
    f->noise_share = plan_noise_share(plan, f->cost.noise_multiplier);
    f->noise_delta = plan_noise_delta(plan, f->parameters);
    warn(f, "robustness is not claimed: secure aggregation hides single updates, so one hostile or "
            "faulty site can move the model at will");
    if (plan->privacy.mode != PRIVACY_NONE && f->cost.bound.upper > plan->privacy.epsilon)
        warn(f,
             "noise_multiplier %g costs epsilon %.4g, above the plan's %g: the sites will charge "
             "what it costs",
             plan->privacy.noise_multiplier, f->cost.bound.upper, plan->privacy.epsilon);
    if (a->secure_threshold == plan->sites_count)
        warn(f, "every site is needed to open a sum: one that drops out ends the round without a "
                "model");
    if (plan->privacy.mode == PRIVACY_NONE)
        warn(f,
             "without privacy the sums themselves are exact: successive rounds, or few sites, may "
             "tell about patients");
}

static struct result check_codec(const struct plan *plan, struct forecast *f, struct why *why)
{
    struct codec codec;
    TRY(codec_parse(plan->compression, &codec, why));
    bool mean = strcmp(plan->aggregation.rule, "weighted-mean") == 0 ||
                strcmp(plan->aggregation.rule, "mean") == 0;
    TRY(codec_allowed(&codec, plan->privacy.mode == PRIVACY_PATIENT, mean, why));
    struct codec sent = codec_for(&codec, f->shared_parameters);
    f->update_bytes = transfer_cipher_bytes(codec_frame_bytes(&sent, f->shared_parameters) + 64);
    f->model_bytes = transfer_cipher_bytes(f->shared_parameters * sizeof(float) + 64);
    f->round_bytes_per_site = f->update_bytes + f->model_bytes;
    if (plan->aggregation.secure)
        count_secure(plan, f);
    f->study_bytes_per_site = f->round_bytes_per_site * plan->training.rounds;
    return DONE;
}

/* Near the optimum the signal is gone and the noise is not: what hides in it no longer shows in a
 * ratio of the two. */
static void check_hidden(const struct plan *plan, uint64_t patients, double noise,
                         struct forecast *f)
{
    const struct plan_aggregation *a = &plan->aggregation;
    f->hidden_shift = (double)a->byzantine / (double)plan->sites_count * noise;
    if (f->hidden_shift < HIDDEN_SHIFT_MAX)
        return;
    warn(f,
         "%u hostile of %u sites that hide in the noise of a site of %llu patients shift the mean "
         "gradient by %.2g in every round, also where the honest ones are nearly 0; above %.2g "
         "attacks cost more than 0.01 of AUROC: take fewer and larger rounds, a shorter clip norm "
         "or a larger epsilon, or leave the smallest sites out of training%s",
         a->byzantine, plan->sites_count, (unsigned long long)patients, f->hidden_shift,
         HIDDEN_SHIFT_MAX, a->site_momentum > 0 ? "" : ", or aggregation.site_momentum 0.9");
}

static void check_noise(const struct plan *plan, uint64_t patients, struct forecast *f)
{
    const struct plan_privacy *p = &plan->privacy;
    if (p->mode == PRIVACY_NONE) {
        warn(f, "no privacy: updates are exact functions of patients; most sites' policies refuse "
                "this");
        return;
    }
    double lot = p->sampling_rate * (double)patients;
    struct robustness r;
    /* What hostile sites can hide in is the noise that the rule sees. */
    double seen = f->cost.noise_multiplier * f->momentum_noise;
    if (robustness_check(&r, seen, p->clip_norm, f->shared_parameters, lot,
                         SIGNAL_SHARE * p->clip_norm, plan->aggregation.byzantine,
                         plan->sites_count) == 0) {
        f->noise_to_signal = r.nsr;
        check_hidden(plan, patients, r.nsr * SIGNAL_SHARE * p->clip_norm, f);
        f->patients_needed = r.lot_needed / p->sampling_rate;
        if (!r.claimed)
            warn(f,
                 "robustness is not claimed for a site of %llu patients: (f/n) NSR = %.2g is above "
                 "%.2g; it needs %.0f patients at every site, fewer rounds, a larger epsilon%s",
                 (unsigned long long)patients, r.shift, ROBUSTNESS_SHIFT_MAX,
                 ceil(f->patients_needed),
                 plan->aggregation.site_momentum > 0 ? "" : ", or aggregation.site_momentum 0.9");
    }
    if (p->delta * 10.0 * (double)patients > 1.0)
        warn(f, "delta %.1g is above 1/(10 N) for %llu patients: choose %.1g or less", p->delta,
             (unsigned long long)patients, 0.1 / (double)patients);
    if (f->cost.bound.upper > 8.0)
        warn(f, "epsilon %.3g over the study protects little; 1 to 4 is usual for patients",
             f->cost.bound.upper);
    if (p->metrics_noise <= 0.0)
        warn(f,
             "evaluations carry no noise: sites release rounded figures under their own policies "
             "instead (set privacy.metrics_noise to charge them to the budget)");
}

struct result forecast_plan(const struct plan *plan, uint64_t patients, struct forecast *forecast,
                            struct why *why)
{
    memset(forecast, 0, sizeof *forecast);
    struct model model;
    TRY(plan_build_model(plan, &model, why));
    forecast->inputs = plan_inputs(plan);
    forecast->outputs = plan_outputs(plan);
    forecast->parameters = model.parameters;
    forecast->shared_parameters =
        model.parameters - (plan->model.site_intercept ? model.intercepts : 0);
    forecast->momentum_noise = momentum_noise_factor(plan->aggregation.site_momentum);
    uint64_t momentum = server_momentum_bytes(plan, forecast->parameters);
    if (momentum > SERVER_MOMENTUM_BYTES_MAX)
        return failed(why, RESULT_REFUSED,
                      "aggregation.site_momentum needs %llu MB at the coordinator, the limit is %d",
                      (unsigned long long)(momentum >> 20), SERVER_MOMENTUM_BYTES_MAX >> 20);
    TRY(check_rule(plan, forecast, why));
    check_share(plan, forecast);
    TRY(check_codec(plan, forecast, why));
    TRY(plan_cost(plan, patients, &forecast->cost, why));
    check_noise(plan, patients, forecast);
    check_secure(plan, forecast);
    uint64_t row = (forecast->inputs + 4) * sizeof(double);
    forecast->site_memory_bytes =
        patients * row + 8 * forecast->parameters * sizeof(double) + (16u << 20);
    forecast->coordinator_memory_bytes = plan->sites_count * forecast->update_bytes +
                                         6 * forecast->shared_parameters * sizeof(float) +
                                         3 * momentum + (32u << 20);
    return DONE;
}
