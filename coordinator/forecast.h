/* SPDX-License-Identifier: Apache-2.0 */
/* What a plan will cost, before anybody launches it: privacy, bytes, memory, and what will not
 * hold. */
#ifndef CONSILIUM_FORECAST_H
#define CONSILIUM_FORECAST_H

#include "proto/plan_privacy.h"

enum { FORECAST_WARNINGS_MAX = 12 };

struct forecast {
    size_t inputs, outputs, parameters, shared_parameters; /* shared: what leaves the site */
    struct plan_cost cost;                                 /* per site over the whole study */
    uint64_t update_bytes;         /* one update on the wire, frame and seal */
    uint64_t model_bytes;          /* one model to one site */
    uint64_t round_bytes_per_site; /* both, up and down */
    uint64_t study_bytes_per_site;
    uint64_t site_memory_bytes; /* for the largest declared site: rows, model, gradients */
    uint64_t coordinator_memory_bytes;
    double
        noise_to_signal; /* of one update under privacy at clipped gradients of 0.3 C; 0 without */
    /* What the f of n can hide of in the honest noise, as a shift of the mean clipped gradient in
     * every round, (f/n) sigma C sqrt(d) / L: it stays when the gradients have gone. 0 without
     * privacy or f. */
    double hidden_shift;
    double patients_needed; /* a site needs for (f/n) NSR <= 0.25; 0 = any number */
    /* With secure aggregation: a site's own noise multiplier, and what rounding adds to delta. */
    double noise_share, noise_delta;
    double kappa;       /* proved bound on the rule's robustness coefficient; infinite = none */
    double kappa_floor; /* f/(n-2f): no rule can have a smaller one */
    double
        dissimilarity_most; /* largest B at which any rule can stand f of n; infinite for f = 0 */
    double momentum_noise;  /* what momentum per site multiplies the noise by in the long run; 1 */
    size_t warnings_count;
    struct why warnings[FORECAST_WARNINGS_MAX];
};

/* Whether the plan's rule gives an aggregate and is defined for n updates; RESULT_INPUT or
 * RESULT_REFUSED with a sentence. */
struct result forecast_rule_holds(const struct plan *plan, unsigned n, struct why *why) MUST_CHECK;

/* patients: of the smallest site that will take part (public). RESULT_REFUSED with a sentence when
 * the plan contradicts itself (rule and f, codec and rule), RESULT_INPUT when it cannot be
 * accounted for. */
struct result forecast_plan(const struct plan *plan, uint64_t patients, struct forecast *forecast,
                            struct why *why) MUST_CHECK;

#endif
