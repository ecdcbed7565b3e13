/* SPDX-License-Identifier: Apache-2.0 */
/* What a plan costs a patient at one site, computed the same way before launch and in the vault. */
#ifndef CONSILIUM_PLAN_PRIVACY_H
#define CONSILIUM_PLAN_PRIVACY_H

#include "privacy/accountant.h"
#include "proto/plan.h"

struct plan_cost {
    double noise_multiplier; /* sigma: the plan's, or the least that keeps its epsilon */
    uint64_t steps;          /* noised gradient steps over the whole study */
    uint64_t evaluations;    /* noised histogram releases; 0 without metrics_noise */
    struct accountant_bound
        bound; /* epsilon at the plan's delta, training and evaluations together */
};

/* Noised steps of the whole study at a site that declares so many patients. */
uint64_t plan_noised_steps(const struct plan *plan, uint64_t declared_patients);

/* Evaluations of the whole study, counting every model of a matrix. */
uint64_t plan_evaluations(const struct plan *plan);

/* Fills the events of the plan: the training with the given noise multiplier (0 = open), then the
 * noised evaluations if there are any. RESULT_INPUT when they are more than can be accounted for.
 */
struct result plan_events(const struct plan *plan, uint64_t declared_patients, double noise,
                          struct event_list *events, struct why *why) MUST_CHECK;

/* The least noise multiplier at which the training alone costs the plan's epsilon; the plan's own
 * if it states one. Takes up to a second. */
struct result plan_noise(const struct plan *plan, uint64_t declared_patients, double *ret_noise,
                         struct why *why) MUST_CHECK;

/* Noise multiplier of a site's own share: with secure aggregation noise / sqrt(t - c), since any
 * sum that opens holds the shares of t - c sites that do not collude; without it the noise itself.
 */
double plan_noise_share(const struct plan *plan, double noise);

/* Patients of one step at a site that declares so many: those held out less, times the rate. */
double plan_lot(const struct plan *plan, uint64_t declared_patients);

/* What accounting a sum of rounded Gaussians as one Gaussian adds to delta over the study; 0
 * without secure aggregation. */
double plan_noise_delta(const struct plan *plan, uint64_t parameters);

/* The whole cost; all zero for a plan without privacy. */
struct result plan_cost(const struct plan *plan, uint64_t declared_patients,
                        struct plan_cost *ret_cost, struct why *why) MUST_CHECK;

#endif
