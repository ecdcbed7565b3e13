/* SPDX-License-Identifier: Apache-2.0 */
/* Monitoring rules. "AUROC fell by more than 5 %" alone fires in a quarter of all looks at 200
 * patients when nothing has changed; with the bound beside it, at the stated alpha over all looks
 * together.
 *
 * Each look compares a holdout of its own with one baseline. Such looks are no increments of one
 * sum, for which the group-sequential recursion is made: its bounds let 5 % of unchanged models be
 * found where 2.5 % were agreed. So the bound of look k is the quantile of what Lan and DeMets's
 * function spends at it, z with 1 - Phi(z) = alpha(t_k) - alpha(t_(k-1)): by Boole's inequality no
 * more than alpha in all, however the looks hang together. */
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

struct result monitor_bounds(const struct monitor_policy *policy, double *bounds, struct why *why)
{
    if (policy->looks == 0 || policy->looks > MONITOR_LOOKS_MAX)
        return failed(why, RESULT_INPUT, "monitoring plans 1 to %d looks", MONITOR_LOOKS_MAX);
    if (!(policy->alpha > 0.0 && policy->alpha < 1.0))
        return failed(why, RESULT_INPUT, "monitoring alpha must lie between 0 and 1");
    double spent = 0.0;
    for (unsigned k = 0; k < policy->looks; k++) {
        double t = (double)(k + 1) / (double)policy->looks;
        double by_now = spending_at(t, policy->alpha, SPEND_OBF, 1.0);
        bounds[k] = fmin(normal_isf(by_now - spent), BOUND_MAX);
        spent = by_now;
    }
    return DONE;
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

static void judge_auroc(const struct monitor_policy *p, const struct monitor_look *l, double bound,
                        struct monitor_finding *f)
{
    double drop = 1.0 - l->auroc_now / l->auroc_base;
    double z = (l->auroc_base - l->auroc_now) / sqrt(l->var_base + l->var_now);
    begin(f, "auroc", drop, p->auroc_drop_investigate, z, bound);
    if (!f->known)
        return;
    if (z > bound && drop > p->auroc_drop_suspend) {
        f->severity = MONITOR_SUSPEND;
        f->threshold = p->auroc_drop_suspend;
    } else if (z > bound && drop > p->auroc_drop_investigate) {
        f->severity = MONITOR_INVESTIGATE;
    }
    say(f,
        "AUROC %.3f against %.3f at the start: down %.1f %%, z %.2f against the bound %.2f of "
        "this look",
        l->auroc_now, l->auroc_base, 100.0 * drop, z, bound);
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

enum monitor_severity monitor_judge(const struct monitor_policy *policy, const double *bounds,
                                    const struct monitor_look *look,
                                    struct monitor_finding *findings)
{
    unsigned at = look->look < 1 ? 1 : look->look;
    double bound = bounds[(at < policy->looks ? at : policy->looks) - 1];
    judge_auroc(policy, look, bound, &findings[0]);
    judge_calibration(policy, look, bound, &findings[1]);
    judge_fairness(policy, look, bound, &findings[2]);
    judge_drift(policy, look, bound, &findings[3]);
    judge_eprocess(policy, look, &findings[4]);
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
