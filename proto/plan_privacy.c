/* SPDX-License-Identifier: Apache-2.0 */
/* A plan as privacy events: T Poisson-sampled Gaussian steps, and one Gaussian per noised
 * evaluation. */
#include "proto/plan_privacy.h"

#include "privacy/laplace.h"
#include "privacy/mask.h"
#include "proto/base/cleanup.h"
#include "proto/plan_model.h"

#include <stdlib.h>
#include <string.h>

uint64_t plan_noised_steps(const struct plan *plan, uint64_t declared_patients)
{
    return (uint64_t)plan->training.rounds * plan_steps_per_round(plan, (size_t)declared_patients);
}

uint64_t plan_evaluations(const struct plan *plan)
{
    uint64_t rounds = plan->training.rounds;
    uint64_t every = plan->validation.every ? plan->validation.every : rounds;
    uint64_t models = (rounds + every - 1) / every;
    if (plan->validation.matrix) /* once more at the end: the candidate and every site's model */
        models += plan->sites_count + 1;
    return models;
}

struct result plan_events(const struct plan *plan, uint64_t declared_patients, double noise,
                          struct event_list *events, struct why *why)
{
    struct privacy_event training = {.kind = EVENT_GAUSSIAN,
                                     .steps = plan_noised_steps(plan, declared_patients),
                                     .q = plan->privacy.sampling_rate,
                                     .noise = noise};
    events->count = 0;
    if (event_list_add(events, &training) != 0)
        return failed(why, RESULT_INPUT, "the plan takes more steps than can be accounted for");
    if (plan->privacy.metrics_noise <= 0.0)
        return DONE;
    struct privacy_event metrics =
        laplace_event(laplace_scale(plan->privacy.metrics_noise), plan_evaluations(plan));
    if (event_list_add(events, &metrics) != 0)
        return failed(why, RESULT_INPUT, "the plan evaluates more than can be accounted for");
    return DONE;
}

static struct result check(enum accountant_result r, struct why *why)
{
    if (r == ACCOUNTANT_OK)
        return DONE;
    return failed(why, RESULT_INPUT, "the plan's privacy cannot be accounted for: %s",
                  accountant_text(r));
}

struct result plan_noise(const struct plan *plan, uint64_t declared_patients, double *ret_noise,
                         struct why *why)
{
    if (plan->privacy.noise_multiplier > 0.0) {
        *ret_noise = plan->privacy.noise_multiplier;
        return DONE;
    }
    CLEANUP(free_pointer) struct event_list *events = calloc(1, sizeof *events);
    if (!events)
        return failed(why, RESULT_SYSTEM, "no memory for the privacy events");
    TRY(plan_events(plan, declared_patients, 0.0, events, why));
    events->count = 1; /* the training alone */
    return check(accountant_calibrate(events, plan->privacy.epsilon, plan->privacy.delta, NULL,
                                      ret_noise),
                 why);
}

double plan_noise_share(const struct plan *plan, double noise)
{
    const struct plan_aggregation *a = &plan->aggregation;
    if (!a->secure)
        return noise;
    return mask_noise_share(noise, a->secure_threshold, a->secure_colluders);
}

double plan_lot(const struct plan *plan, uint64_t declared_patients)
{
    double held_out = plan->validation.holdout;
    held_out = held_out > 0.0 && held_out < 1.0 ? held_out : 0.0;
    return (double)declared_patients * (1.0 - held_out) * plan->privacy.sampling_rate;
}

double plan_noise_delta(const struct plan *plan, uint64_t parameters)
{
    if (!plan->aggregation.secure || plan->privacy.mode == PRIVACY_NONE)
        return 0.0;
    return mask_noise_delta(parameters, plan->training.rounds, plan->sites_count);
}

struct result plan_cost(const struct plan *plan, uint64_t declared_patients,
                        struct plan_cost *ret_cost, struct why *why)
{
    memset(ret_cost, 0, sizeof *ret_cost);
    if (plan->privacy.mode == PRIVACY_NONE)
        return DONE;
    CLEANUP(free_pointer) struct event_list *events = calloc(1, sizeof *events);
    if (!events)
        return failed(why, RESULT_SYSTEM, "no memory for the privacy events");
    TRY(plan_noise(plan, declared_patients, &ret_cost->noise_multiplier, why));
    TRY(plan_events(plan, declared_patients, ret_cost->noise_multiplier, events, why));
    struct model model;
    TRY(plan_build_model(plan, &model, why));
    double delta = plan->privacy.delta - plan_noise_delta(plan, model.parameters);
    ret_cost->steps = events->events[0].steps;
    ret_cost->evaluations = events->count > 1 ? events->events[1].steps : 0;
    return check(accountant_epsilon(events, delta, NULL, &ret_cost->bound), why);
}
