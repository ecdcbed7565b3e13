/* SPDX-License-Identifier: Apache-2.0 */
/* A plan as privacy events, and the budget as a Renyi filter at one fixed order.
 *
 * A plan's parameters are fixed before its first step, so within it the accountant holds. Across
 * plans they are chosen after earlier models were seen, so the sum of Renyi divergences at one
 * order a is held below B_a = epsilon - ln(1 - 1/a) + ln(delta a)/(a - 1) (Feldman and Zrnic 2021,
 * Renyi filter; conversion of Canonne, Kamath and Steinke 2020). The order is fixed by the first
 * plan charged: the a that leaves most of B_a after it. */
#include "agent/vault/cost.h"

#include "privacy/clip.h"
#include "privacy/rdp.h"
#include "privacy/release_grid.h"
#include "proto/base/cleanup.h"
#include "proto/plan_model.h"
#include "proto/plan_privacy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ORDER_LEAST = 2, ORDER_MOST = 256 };

#define YEAR_MS (UINT64_C(365) * 24 * 3600 * 1000)

/* How far one patient moves the sum that is released, in clip norms: 1 + eta. */
static double sensitivity(const struct plan *plan, const struct model *model, double noise)
{
    struct release_grid grid;
    if (release_grid_init(&grid, plan->privacy.clip_norm, noise, model->parameters,
                          CLIP_SLOT_ROWS_MAX) != 0)
        return (double)INFINITY; /* no noise is enough: the accountant refuses it */
    return noise / grid.effective_noise;
}

struct result cost_of_plan(const struct plan *plan, uint64_t declared_patients,
                           struct ledger_charge *ret_charge, struct why *why)
{
    memset(ret_charge, 0, sizeof *ret_charge);
    if (plan->privacy.mode == PRIVACY_NONE)
        return DONE;
    if (declared_patients == 0)
        return failed(
            why, RESULT_REFUSED,
            "the site's mapping declares no number of patients (declared_patients), which "
            "a private study needs");
    CLEANUP(free_pointer) struct event_list *events = calloc(1, sizeof *events);
    if (!events)
        return failed(why, RESULT_SYSTEM, "no memory for the privacy events");
    struct model model;
    double noise;
    TRY(plan_build_model(plan, &model, why));
    TRY(plan_noise(plan, declared_patients, &noise, why));
    /* Rounding may let a patient move the sum a little further than the clip norm: a calibrated
     * noise grows by it, and what is accounted for shrinks by it. */
    if (plan->privacy.noise_multiplier <= 0.0)
        noise *= sensitivity(plan, &model, noise);
    TRY(plan_events(plan, declared_patients, noise / sensitivity(plan, &model, noise), events,
                    why));
    struct accountant_bound bound;
    enum accountant_result r = accountant_epsilon(events, plan->privacy.delta, NULL, &bound);
    if (r != ACCOUNTANT_OK)
        return failed(why, RESULT_INPUT, "the plan's privacy cannot be accounted for: %s",
                      accountant_text(r));
    ret_charge->epsilon = bound.upper;
    ret_charge->delta = plan->privacy.delta;
    ret_charge->noise_multiplier = noise;
    if (event_list_text(events, ret_charge->events, sizeof ret_charge->events) < 0)
        return failed(why, RESULT_INPUT, "the plan has more privacy events than fit the ledger");
    return DONE;
}

double cost_so_far(const struct plan *plan, const struct ledger_study *study,
                   uint64_t declared_patients)
{
    CLEANUP(free_pointer) struct event_list *events = calloc(1, sizeof *events);
    char error[EVENT_ERROR_MAX];
    if (study->charge.events[0] == '\0' || study->trained >= plan->training.rounds || !events ||
        event_list_parse(events, study->charge.events, error) != 0)
        return study->charge.epsilon;
    /* A coarse grid is quick and errs upwards only. */
    struct accountant_options options = {.adjacency = ADJACENCY_ADD_REMOVE, .grid = 1e-3};
    struct accountant_bound bound;
    events->count = 1;
    events->events[0].steps =
        (uint64_t)study->trained * plan_steps_per_round(plan, (size_t)declared_patients);
    if (accountant_epsilon(events, study->charge.delta, &options, &bound) != ACCOUNTANT_OK)
        return study->charge.epsilon;
    return fmin(bound.upper, study->charge.epsilon);
}

static double bound_at(double epsilon, double delta, int order)
{
    double a = order;
    return epsilon - log1p(-1.0 / a) + log(delta * a) / (a - 1.0);
}

/* The order that leaves most of the bound after the first plan. */
static int order_for(const struct event_list *first, double epsilon, double delta)
{
    int best = ORDER_LEAST;
    double best_ratio = -(double)INFINITY;
    for (int a = ORDER_LEAST; a <= ORDER_MOST; a++) {
        double ratio = bound_at(epsilon, delta, a) / rdp_list(first, ADJACENCY_ADD_REMOVE, a);
        if (ratio > best_ratio) {
            best_ratio = ratio;
            best = a;
        }
    }
    return best;
}

struct filter {
    int order; /* 0 = nothing charged yet */
    double rho;
};

static struct result filter_add(struct filter *filter, const char *text, double epsilon,
                                double delta, struct why *why)
{
    char error[EVENT_ERROR_MAX];
    CLEANUP(free_pointer) struct event_list *events = calloc(1, sizeof *events);
    if (!events)
        return failed(why, RESULT_SYSTEM, "no memory for the privacy events");
    if (event_list_parse(events, text, error) != 0)
        return failed(why, RESULT_REFUSED, "the ledger's privacy events are wrong: %s", error);
    if (filter->order == 0)
        filter->order = order_for(events, epsilon, delta);
    double rho = rdp_list(events, ADJACENCY_ADD_REMOVE, filter->order);
    filter->rho = nextafter(filter->rho + (rho >= 0.0 ? rho : (double)INFINITY), (double)INFINITY);
    return DONE;
}

static struct result filter_ledger(struct filter *filter, const struct ledger *ledger,
                                   double epsilon, double delta, uint64_t since_ms, struct why *why)
{
    *filter = (struct filter){0};
    for (size_t i = 0; i < ledger->studies_count; i++) {
        const struct ledger_study *study = &ledger->studies[i];
        if (study->standing < LEDGER_STUDY_ALLOWED || study->standing == LEDGER_STUDY_REFUSED ||
            study->charge.events[0] == '\0' || study->decided_ms < since_ms)
            continue;
        TRY(filter_add(filter, study->charge.events, epsilon, delta, why));
    }
    return DONE;
}

static double filter_epsilon(const struct filter *filter, double delta)
{
    return filter->order == 0 ? 0.0 : rdp_to_epsilon(filter->rho, filter->order, delta);
}

static struct result fits(const struct ledger *ledger, const struct policy *policy,
                          const struct ledger_charge *charge, double epsilon, uint64_t since_ms,
                          const char *span, struct why *why)
{
    struct filter filter;
    TRY(filter_ledger(&filter, ledger, epsilon, policy->delta, since_ms, why));
    double before = filter_epsilon(&filter, policy->delta);
    TRY(filter_add(&filter, charge->events, epsilon, policy->delta, why));
    if (filter.rho <= bound_at(epsilon, policy->delta, filter.order))
        return DONE;
    double after = filter_epsilon(&filter, policy->delta);
    return failed(why, RESULT_REFUSED,
                  "the study would bring the site's patients to epsilon %.3g of the %.3g that %s "
                  "(delta %.1g); %.3g is spent, so about %.3g would fit",
                  after, epsilon, span, policy->delta, before,
                  epsilon > before ? epsilon - before : 0.0);
}

struct result cost_fits(const struct ledger *ledger, const struct policy *policy,
                        const struct ledger_charge *charge, uint64_t now_ms, struct why *why)
{
    if (charge->events[0] == '\0')
        return DONE;
    TRY(fits(ledger, policy, charge, policy->epsilon_total, 0, "its ledger holds for ever", why));
    return fits(ledger, policy, charge, policy->epsilon_per_year,
                now_ms > YEAR_MS ? now_ms - YEAR_MS : 0, "its policy allows in a year", why);
}

struct result cost_spent(const struct ledger *ledger, const struct policy *policy,
                         double epsilon_budget, uint64_t since_ms, double *ret_epsilon,
                         struct why *why)
{
    struct filter filter;
    TRY(filter_ledger(&filter, ledger, epsilon_budget, policy->delta, since_ms, why));
    *ret_epsilon = filter_epsilon(&filter, policy->delta);
    return DONE;
}
