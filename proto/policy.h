/* SPDX-License-Identifier: Apache-2.0 */
/* A site's policy: the bounds that the hospital sets and that win over any plan. */
#ifndef CONSILIUM_POLICY_H
#define CONSILIUM_POLICY_H

#include "proto/plan.h"

enum { POLICY_BYTES_MAX = 65536, POLICY_NAMES_MAX = 256 };

enum policy_decision { DECISION_ASK, DECISION_ALLOW };
enum policy_metrics {
    METRICS_THRESHOLD,
    METRICS_HISTOGRAM,
    METRICS_NOISED_HISTOGRAM,
    METRICS_NONE
};

/* Whether a finished study's model may be evaluated again on this site's patients. */
enum policy_validation {
    VALIDATION_AS_STUDY, /* whoever allowed the study allowed that too */
    VALIDATION_ASK,      /* a human decides, once a study */
    VALIDATION_REFUSE
};

struct policy {
    unsigned version;               /* 1 */
    enum policy_decision decision;  /* within the bounds: ask a human, or allow */
    struct plan_level *researchers; /* who may launch; none = any researcher of the consortium */
    unsigned researchers_count;
    struct plan_level *features_refused; /* plan feature names that never take part */
    unsigned features_refused_count;
    bool privacy_required; /* refuse plans without differential privacy */
    bool noise_shares; /* accept plans whose noise is shared by the sites of a secure aggregation */
    double epsilon_per_study;
    double epsilon_per_year;
    double epsilon_total; /* the ledger's budget, for ever */
    double delta;         /* of the ledger */
    uint64_t min_patients;
    enum policy_metrics metrics; /* in which form evaluation results may leave */
    double metrics_noise;       /* of the site's own, with noised-histogram; 0 = the plan's alone */
    unsigned min_cell;          /* the larger of this and the plan's holds */
    unsigned queries_per_epoch; /* evaluations of one holdout epoch */
    enum policy_validation validation;
};

/* The safe default: ask, privacy required, all noise at the site, epsilon 1 a study, 2 a year, 10
 * for ever, delta 1e-6. */
void policy_default(struct policy *policy);

/* As plan_parse, for a policy; keys left out keep the default. */
struct result policy_parse(struct policy *policy, const char *name, const char *text, size_t n,
                           struct why *why) MUST_CHECK;

void policy_free(struct policy *policy);

/* The plan as this site carries it out: where figures leave as noised histograms only, a private
 * plan's metrics_noise is at least the policy's, and is accounted for as if the plan had said so.
 */
void policy_apply(const struct policy *policy, struct plan *plan);

/* Whether the plan is inside the policy's bounds: RESULT_OK, or RESULT_REFUSED with a sentence for
 * the researcher. patients: those that the site has for this plan; epsilon: what the plan costs. */
struct result policy_check(const struct policy *policy, const struct plan *plan,
                           const char *researcher, uint64_t patients, double epsilon,
                           struct why *why) MUST_CHECK;

#endif
