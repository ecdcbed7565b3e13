/* SPDX-License-Identifier: Apache-2.0 */
/* Monitoring of a model in use: each rule pairs a threshold on the point estimate with a bound, so
 * that chance alone neither alarms nor suspends; alpha is spent over the planned looks. Pure. */
#ifndef CONSILIUM_COORDINATOR_VALIDATE_MONITOR_H
#define CONSILIUM_COORDINATOR_VALIDATE_MONITOR_H

#include "proto/base/result.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MONITOR_LOOKS_MAX = 200, MONITOR_RULES = 7, MONITOR_WORDS = 256 };

enum monitor_severity { MONITOR_FINE, MONITOR_INVESTIGATE, MONITOR_SUSPEND };

/* "fine", "investigate", "suspend". */
const char *monitor_severity_name(enum monitor_severity severity);

struct monitor_policy {
    double auroc_drop_investigate; /* share of the baseline AUROC: .05 */
    double auroc_drop_suspend;     /* .10 */
    double brier_rise_max;         /* share of the baseline Brier score: .25 */
    double ece_max;                /* .15 */
    double accuracy_gap_max;       /* largest gap between subgroups: .15 */
    double kl_max;                 /* nats: .3 */
    double accuracy_margin;        /* the e-process holds accuracy to the baseline less this: .05 */
    double alpha;                  /* one-sided, over all looks: .025 */
    unsigned looks;                /* the most in the period: 12 */
    bool site_suspends;            /* one site's collapse is enough to suspend: true */
    int64_t investigate_ms;        /* deadline to look into it: 14 days */
    int64_t suspend_ms;            /* deadline to answer a suspension: 2 days */
};

struct monitor_policy monitor_policy_default(void);

/* RESULT_INPUT with the reason when a threshold, alpha or the number of looks is out of bounds. */
struct result monitor_policy_check(const struct monitor_policy *policy, struct why *why) MUST_CHECK;

/* The information time of look k: labels judged so far over those of policy->looks holdouts as
 * large as the baseline's, never ahead of k over policy->looks, and 1 from the last look on, whose
 * alpha is all that is left. seen counts this look's labels too; before: the time of the look
 * before. The result is no smaller than before. */
double monitor_time(const struct monitor_policy *policy, unsigned k, double seen, double per_look,
                    double before);

/* The bound on z of a look that takes the information time from before to now, at this alpha: Lan
 * and DeMets's function of O'Brien and Fleming's type, valid whatever the looks share. */
double monitor_bound(double alpha, double before, double now);

/* One look at one site or pooled; NaN where something was not reported. */
struct monitor_look {
    int64_t now_ms;
    double auroc_base, var_base, auroc_now, var_now;
    double cindex_base, cindex_var_base, cindex_now, cindex_var_now;
    double brier_base, brier_var_base, brier_now, brier_var_now;
    double ece, ece_null, spiegelhalter_z;
    double accuracy_gap, accuracy_gap_se;
    double kl, kl_p;
    double log_e; /* e-process against the accuracy promised; alarm at log(1/alpha) */
};

struct monitor_finding {
    const char *rule;
    enum monitor_severity severity;
    bool known; /* false: not reported, so neither fine nor alarming */
    double value, threshold;
    double z, bound;
    int64_t deadline_ms; /* 0 when fine */
    char words[MONITOR_WORDS];
};

/* Every number NaN. */
struct monitor_look monitor_look_none(int64_t now_ms);

/* Judges one look with its bound; the worst severity is returned. findings has MONITOR_RULES
 * entries: auroc, c-index, brier, calibration, fairness, drift, e-process. */
enum monitor_severity monitor_judge(const struct monitor_policy *policy, double bound,
                                    const struct monitor_look *look,
                                    struct monitor_finding *findings);

#endif
