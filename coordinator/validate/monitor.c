/* SPDX-License-Identifier: Apache-2.0 */
/* Monitoring rules. "AUROC fell by more than 5 %" alone fires in a quarter of all looks at 200
 * patients when nothing has changed; with the bound beside it, at the stated alpha over all looks
 * together.
 *
 * Each look compares a holdout of its own with one baseline. Such looks are no increments of one
 * sum, for which the group-sequential recursion is made: its bounds let 5 % of unchanged models be
 * found where 2.5 % were agreed. So the bound of look k is the quantile of what Lan and DeMets's
 * function spends at it, z with 1 - Phi(z) = alpha(t_k) - alpha(t_(k-1)): by Boole's inequality no
 * more than alpha in all, however the looks hang together, for any times t that do not look at the
 * outcome. t_k = min(k/K, sum_(i<=k) n_i / (K n_0)), t_K = 1, with n_i the labels judged at look i,
 * n_0 those of the baseline and K the looks planned: a look at few labels spends little. */
#include "coordinator/validate/monitor.h"

#include "linalg/special.h"
#include "linalg/stats/sequential.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

static const double BOUND_MAX = 40.0; /* of a look that spends next to nothing */
static const int64_t DAY_MS = INT64_C(24) * 3600 * 1000;

const char *monitor_severity_name(enum monitor_severity severity)
{
    static const char *const NAMES[] = {"fine", "investigate", "suspend"};
    return NAMES[severity];
}

struct monitor_policy monitor_policy_default(void)
{
    return (struct monitor_policy){
        .auroc_drop_investigate = 0.05,
        .auroc_drop_suspend = 0.10,
        .brier_rise_max = 0.25,
        .ece_max = 0.15,
        .accuracy_gap_max = 0.15,
        .kl_max = 0.3,
        .accuracy_margin = 0.05,
        .site_suspends = true,
        .alpha = 0.025,
        .looks = 12,
        .investigate_ms = 14 * DAY_MS,
        .suspend_ms = 2 * DAY_MS,
    };
}

struct result monitor_policy_check(const struct monitor_policy *p, struct why *why)
{
    const struct {
        const char *name;
        double value, high;
    } shares[] = {
        {"auroc_drop_investigate", p->auroc_drop_investigate, 1.0},
        {"auroc_drop_suspend", p->auroc_drop_suspend, 1.0},
        {"brier_rise_max", p->brier_rise_max, 10.0},
        {"ece_max", p->ece_max, 1.0},
        {"accuracy_gap_max", p->accuracy_gap_max, 1.0},
        {"kl_max", p->kl_max, 100.0},
        {"accuracy_margin", p->accuracy_margin, 0.5},
        {"alpha", p->alpha, 0.5},
    };
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++)
        if (!(shares[i].value > 0.0 && shares[i].value <= shares[i].high))
            return failed(why, RESULT_INPUT, "monitoring: '%s' lies above 0 and up to %g",
                          shares[i].name, shares[i].high);
    if (p->auroc_drop_suspend < p->auroc_drop_investigate)
        return failed(why, RESULT_INPUT,
                      "monitoring: a drop that suspends is no smaller than one to investigate");
    if (p->looks == 0 || p->looks > MONITOR_LOOKS_MAX)
        return failed(why, RESULT_INPUT, "monitoring plans 1 to %d looks", MONITOR_LOOKS_MAX);
    if (p->investigate_ms <= 0 || p->suspend_ms <= 0)
        return failed(why, RESULT_INPUT, "monitoring: deadlines lie in the future");
    return DONE;
}

double monitor_time(const struct monitor_policy *policy, unsigned k, double seen, double per_look,
                    double before)
{
    double planned = (double)policy->looks;
    if (k >= policy->looks)
        return 1.0;
    double time = (double)k / planned;
    if (per_look > 0.0 && isfinite(seen))
        time = fmin(time, seen / (planned * per_look));
    return fmin(fmax(time, before), 1.0);
}

double monitor_bound(double alpha, double before, double now)
{
    double spent = spending_at(now, alpha, SPEND_OBF, 1.0) -
                   (before > 0.0 ? spending_at(before, alpha, SPEND_OBF, 1.0) : 0.0);
    return now > before && spent > 0.0 ? fmin(normal_isf(spent), BOUND_MAX) : BOUND_MAX;
}

struct monitor_look monitor_look_none(int64_t now_ms)
{
    const double nan = (double)NAN;
    return (struct monitor_look){
        .now_ms = now_ms,
        .auroc_base = nan,
        .var_base = nan,
        .auroc_now = nan,
        .var_now = nan,
        .cindex_base = nan,
        .cindex_var_base = nan,
        .cindex_now = nan,
        .cindex_var_now = nan,
        .brier_base = nan,
        .brier_var_base = nan,
        .brier_now = nan,
        .brier_var_now = nan,
        .ece = nan,
        .ece_null = nan,
        .spiegelhalter_z = nan,
        .accuracy_gap = nan,
        .accuracy_gap_se = nan,
        .kl = nan,
        .kl_p = nan,
        .log_e = nan,
    };
}

static void say(struct monitor_finding *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(struct monitor_finding *f, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(f->words, sizeof f->words, format, args);
    va_end(args);
}

/* Opens a finding; known is whether every number it needs is there. */
static void begin(struct monitor_finding *f, const char *rule, double value, double threshold,
                  double z, double bound)
{
    *f = (struct monitor_finding){
        .rule = rule,
        .known = isfinite(value) && !isnan(z),
        .value = value,
        .threshold = threshold,
        .z = z,
        .bound = bound,
    };
    if (!f->known)
        say(f, "not reported");
}

/* A concordance, AUROC or C-index, against the baseline's. */
struct fall {
    const char *rule, *name;
    double base, var_base, now, var_now;
};

static void judge_fall(const struct monitor_policy *p, const struct fall *l, double bound,
                       struct monitor_finding *f)
{
    double drop = 1.0 - l->now / l->base;
    double z = (l->base - l->now) / sqrt(l->var_base + l->var_now);
    begin(f, l->rule, drop, p->auroc_drop_investigate, z, bound);
    if (!f->known)
        return;
    if (z > bound && drop > p->auroc_drop_suspend) {
        f->severity = MONITOR_SUSPEND;
        f->threshold = p->auroc_drop_suspend;
    } else if (z > bound && drop > p->auroc_drop_investigate) {
        f->severity = MONITOR_INVESTIGATE;
    }
    say(f,
        "%s %.3f against %.3f at the start: down %.1f %%, z %.2f against the bound %.2f of "
        "this look",
        l->name, l->now, l->base, 100.0 * drop, z, bound);
}

/* Mean squared error of the probabilities: falls with discrimination and with calibration. */
static void judge_brier(const struct monitor_policy *p, const struct monitor_look *l, double bound,
                        struct monitor_finding *f)
{
    double rise = l->brier_now / l->brier_base - 1.0;
    double z = (l->brier_now - l->brier_base) / sqrt(l->brier_var_base + l->brier_var_now);
    begin(f, "brier", rise, p->brier_rise_max, z, bound);
    if (!f->known)
        return;
    if (z > bound && rise > p->brier_rise_max)
        f->severity = MONITOR_INVESTIGATE;
    say(f,
        "Brier score %.4f against %.4f at the start: up %.1f %% (limit %.0f %%), z %.2f against "
        "%.2f",
        l->brier_now, l->brier_base, 100.0 * rise, 100.0 * p->brier_rise_max, z, bound);
}

static void judge_calibration(const struct monitor_policy *p, const struct monitor_look *l,
                              double bound, struct monitor_finding *f)
{
    begin(f, "calibration", l->ece, p->ece_max, fabs(l->spiegelhalter_z), bound);
    if (!f->known)
        return;
    if (l->ece > p->ece_max && f->z > bound)
        f->severity = MONITOR_INVESTIGATE;
    say(f,
        "ECE %.3f (%.3f expected if calibrated, limit %.3f), Spiegelhalter |z| %.2f against %.2f",
        l->ece, l->ece_null, p->ece_max, f->z, bound);
}

static void judge_fairness(const struct monitor_policy *p, const struct monitor_look *l,
                           double bound, struct monitor_finding *f)
{
    begin(f, "fairness", l->accuracy_gap, p->accuracy_gap_max, l->accuracy_gap / l->accuracy_gap_se,
          bound);
    if (!f->known)
        return;
    if (l->accuracy_gap > p->accuracy_gap_max && f->z > bound)
        f->severity = MONITOR_INVESTIGATE;
    say(f, "largest accuracy gap between groups %.3f (limit %.3f), z %.2f against %.2f",
        l->accuracy_gap, p->accuracy_gap_max, f->z, bound);
}

static void judge_drift(const struct monitor_policy *p, const struct monitor_look *l, double bound,
                        struct monitor_finding *f)
{
    begin(f, "drift", l->kl, p->kl_max, normal_isf(l->kl_p), bound);
    if (!f->known)
        return;
    if (l->kl > p->kl_max && f->z > bound)
        f->severity = MONITOR_INVESTIGATE;
    say(f, "largest divergence from the reference %.3f nats (limit %.3f), p %.2g", l->kl, p->kl_max,
        l->kl_p);
}

static void judge_eprocess(const struct monitor_policy *p, const struct monitor_look *l,
                           struct monitor_finding *f)
{
    double bound = -log(p->alpha);
    begin(f, "e-process", l->log_e, bound, l->log_e, bound);
    if (!f->known)
        return;
    if (l->log_e >= bound)
        f->severity = MONITOR_INVESTIGATE;
    say(f, "log e-value against the promised accuracy %.2f, alarm at %.2f, valid at any look",
        l->log_e, bound);
}

enum monitor_severity monitor_judge(const struct monitor_policy *policy, double bound,
                                    const struct monitor_look *look,
                                    struct monitor_finding *findings)
{
    const struct fall auroc = {"auroc",        "AUROC",         look->auroc_base,
                               look->var_base, look->auroc_now, look->var_now};
    const struct fall cindex = {"c-index",         "C-index",
                                look->cindex_base, look->cindex_var_base,
                                look->cindex_now,  look->cindex_var_now};
    judge_fall(policy, &auroc, bound, &findings[0]);
    judge_fall(policy, &cindex, bound, &findings[1]);
    judge_brier(policy, look, bound, &findings[2]);
    judge_calibration(policy, look, bound, &findings[3]);
    judge_fairness(policy, look, bound, &findings[4]);
    judge_drift(policy, look, bound, &findings[5]);
    judge_eprocess(policy, look, &findings[6]);
    enum monitor_severity worst = MONITOR_FINE;
    for (int k = 0; k < MONITOR_RULES; k++) {
        struct monitor_finding *f = &findings[k];
        if (f->severity == MONITOR_INVESTIGATE)
            f->deadline_ms = look->now_ms + policy->investigate_ms;
        if (f->severity == MONITOR_SUSPEND)
            f->deadline_ms = look->now_ms + policy->suspend_ms;
        worst = f->severity > worst ? f->severity : worst;
    }
    return worst;
}
