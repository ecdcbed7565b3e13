/* SPDX-License-Identifier: Apache-2.0 */
/* A plan's cost by the accountant, and the site's budget by the Renyi filter of privacy/budget.h,
 * made anew from the ledger's charges at each decision. */
#include "agent/vault/cost.h"

#include "privacy/budget.h"
#include "privacy/clip.h"
#include "privacy/laplace.h"
#include "privacy/release_grid.h"
#include "proto/base/cleanup.h"
#include "proto/plan_model.h"
#include "proto/plan_privacy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define YEAR_MS (UINT64_C(365) * 24 * 3600 * 1000)

/* How far one patient moves the sum that is released, in clip norms: 1 + eta. The grid is that of
 * the site's own noise. */
static double sensitivity(const struct plan *plan, const struct model *model, double noise)
{
    struct release_grid grid;
    double share = plan_noise_share(plan, noise);
    if (release_grid_init(&grid, plan->privacy.clip_norm, share, model->parameters,
                          CLIP_SLOT_ROWS_MAX) != 0)
        return (double)INFINITY; /* no noise is enough: the accountant refuses it */
    return share / grid.effective_noise;
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
    double slack = plan_noise_delta(plan, model.parameters);
    enum accountant_result r =
        accountant_epsilon(events, plan->privacy.delta - slack, NULL, &bound);
    if (r != ACCOUNTANT_OK)
        return failed(why, RESULT_INPUT, "the plan's privacy cannot be accounted for: %s",
                      accountant_text(r));
    ret_charge->epsilon = bound.upper;
    ret_charge->delta = plan->privacy.delta;
    ret_charge->noise_multiplier = noise;
    const struct privacy_event rounding = {.kind = EVENT_EPSILON_DELTA, .steps = 1, .delta = slack};
    if (slack > 0.0 && event_list_add(events, &rounding) != 0)
        return failed(why, RESULT_INPUT, "the plan has more privacy events than fit the ledger");
    if (event_list_text(events, ret_charge->events, sizeof ret_charge->events) < 0)
        return failed(why, RESULT_INPUT, "the plan has more privacy events than fit the ledger");
    return DONE;
}

double cost_so_far(const struct plan *plan, const struct ledger_study *study, uint32_t rounds,
                   uint64_t declared_patients)
{
    CLEANUP(free_pointer) struct event_list *events = calloc(1, sizeof *events);
    char error[EVENT_ERROR_MAX];
    if (study->charge.events[0] == '\0' || rounds >= plan->training.rounds || !events ||
        event_list_parse(events, study->charge.events, error) != 0)
        return study->charge.epsilon;
    /* A coarse grid is quick and errs upwards only. */
    struct accountant_options options = {.adjacency = ADJACENCY_ADD_REMOVE, .grid = 1e-3};
    struct accountant_bound bound;
    events->count = 1;
    events->events[0].steps =
        (uint64_t)rounds * plan_steps_per_round(plan, (size_t)declared_patients);
    if (accountant_epsilon(events, study->charge.delta, &options, &bound) != ACCOUNTANT_OK)
        return study->charge.epsilon;
    return fmin(bound.upper, study->charge.epsilon);
}

double cost_noise_that_fits(const struct ledger_charge *charge, double epsilon)
{
    CLEANUP(free_pointer) struct event_list *events = calloc(1, sizeof *events);
    char error[EVENT_ERROR_MAX];
    double noise;
    if (!events || charge->events[0] == '\0' ||
        event_list_parse(events, charge->events, error) != 0 || !(events->events[0].noise > 0.0))
        return (double)NAN;
    /* The plan's multiplier is a little more than the event's: see sensitivity(). */
    double share = charge->noise_multiplier / events->events[0].noise;
    events->events[0].noise = 0.0;
    if (accountant_calibrate(events, epsilon, charge->delta, NULL, &noise) != ACCOUNTANT_OK)
        return (double)NAN;
    double unit = pow(10.0, floor(log10(noise * share)) - 2.0);
    return ceil(noise * share / unit) * unit;
}

/* Noised figures of a number of models. */
static void figures_event(struct event_list *events, uint64_t models, double noise)
{
    events->count = 1;
    events->events[0] = laplace_event(laplace_scale(noise), models);
}

double cost_of_figures(const struct plan *plan, size_t models)
{
    if (plan->privacy.mode == PRIVACY_NONE || plan->privacy.metrics_noise <= 0.0 || models == 0)
        return 0.0;
    CLEANUP(free_pointer) struct event_list *events = calloc(1, sizeof *events);
    struct accountant_bound bound;
    if (!events)
        return (double)NAN;
    figures_event(events, models, plan->privacy.metrics_noise);
    if (accountant_epsilon(events, plan->privacy.delta, NULL, &bound) != ACCOUNTANT_OK)
        return (double)NAN;
    return bound.upper;
}

static bool charged(const struct ledger_study *study, uint64_t since_ms)
{
    bool allowed =
        study->standing == LEDGER_STUDY_ALLOWED || study->standing == LEDGER_STUDY_FINISHED;
    return allowed && study->charge.events[0] != '\0' && study->decided_ms >= since_ms;
}

static struct result pay(struct budget *budget, const struct budget_charge *paid, char *record,
                         double epsilon, struct why *why)
{
    struct budget_answer answer;
    char error[BUDGET_TEXT_MAX];
    if (budget_decide(budget, paid, &answer, record) != BUDGET_ACCEPTED)
        return failed(why, RESULT_REFUSED,
                      "more is charged already than the policy's epsilon of %g holds", epsilon);
    if (budget_apply(budget, record, error) != 0)
        return failed(why, RESULT_REFUSED, "the privacy account does not add up: %s", error);
    return DONE;
}

/* What was charged for figures after the study; all of it when the last of it is so recent. */
static struct result pay_after(struct budget *budget, const struct ledger_study *study,
                               struct event_list *events, uint64_t since_ms, char *record,
                               double epsilon, struct why *why)
{
    if (study->after.models == 0 || study->after.ms < since_ms)
        return DONE;
    figures_event(events, study->after.models, study->after.noise);
    const struct budget_charge paid = {.study = study->name,
                                       .purpose = "validation",
                                       .time_ms = study->after.ms,
                                       .events = events};
    return pay(budget, &paid, record, epsilon, why);
}

/* Takes events that are nothing but an addition to delta out of the list: the Renyi filter knows no
 * such events, its delta is lowered by them instead. */
static double take_additions(struct event_list *events)
{
    double sum = 0.0;
    size_t kept = 0;
    for (size_t i = 0; i < events->count; i++) {
        const struct privacy_event *e = &events->events[i];
        if (e->kind == EVENT_EPSILON_DELTA && e->epsilon == 0.0)
            sum += e->delta * (double)e->steps;
        else
            events->events[kept++] = *e;
    }
    events->count = kept;
    return sum;
}

/* What all studies that were ever charged add to delta. */
static struct result additions(const struct ledger *ledger, struct event_list *events,
                               double *ret_sum, struct why *why)
{
    char error[EVENT_ERROR_MAX];
    *ret_sum = 0.0;
    for (size_t i = 0; i < ledger->studies_count; i++) {
        const struct ledger_study *study = &ledger->studies[i];
        if (!charged(study, 0))
            continue;
        if (event_list_parse(events, study->charge.events, error) != 0)
            return failed(why, RESULT_REFUSED, "the ledger's privacy events are wrong: %s", error);
        *ret_sum += take_additions(events);
    }
    return DONE;
}

/* The account of everything charged since since_ms against a budget of epsilon, made anew from the
 * ledger. What was charged stays charged when the policy is lowered afterwards. */
static struct result account(struct budget *budget, const struct ledger *ledger,
                             const struct policy *policy, double epsilon, uint64_t since_ms,
                             double more, struct why *why)
{
    double delta = 0.0;
    char error[BUDGET_TEXT_MAX];
    CLEANUP(free_pointer) char *record = malloc(BUDGET_RECORD_MAX);
    CLEANUP(free_pointer) struct event_list *events = calloc(1, sizeof *events);
    memset(budget, 0, sizeof *budget);
    if (!record || !events)
        return failed(why, RESULT_SYSTEM, "no memory for the privacy account");
    TRY(additions(ledger, events, &delta, why));
    delta = policy->delta - delta - more;
    if (budget_open(epsilon, delta, 0, record) != 0 || budget_apply(budget, record, error) != 0)
        return failed(why, RESULT_INPUT,
                      "the policy's budget of epsilon %g at delta %g cannot be kept", epsilon,
                      delta);
    for (size_t i = 0; i < ledger->studies_count; i++) {
        const struct ledger_study *study = &ledger->studies[i];
        TRY(pay_after(budget, study, events, since_ms, record, epsilon, why));
        if (!charged(study, since_ms))
            continue;
        if (event_list_parse(events, study->charge.events, error) != 0)
            return failed(why, RESULT_REFUSED, "the ledger's privacy events are wrong: %s", error);
        take_additions(events);
        const struct budget_charge paid = {.study = study->name,
                                           .purpose = "study",
                                           .time_ms = study->decided_ms,
                                           .events = events};
        TRY(pay(budget, &paid, record, epsilon, why));
    }
    return DONE;
}

static struct result fits(const struct ledger *ledger, const struct policy *policy,
                          const char *study, const struct event_list *events, double more,
                          double epsilon, uint64_t since_ms, const char *span, struct why *why)
{
    CLEANUP(free_pointer) struct budget *budget = malloc(sizeof *budget);
    if (!budget)
        return failed(why, RESULT_SYSTEM, "no memory for the privacy account");
    TRY(account(budget, ledger, policy, epsilon, since_ms, more, why));
    struct budget_answer answer;
    const struct budget_charge charge = {.study = study, .purpose = "study", .events = events};
    if (budget_decide(budget, &charge, &answer, NULL) == BUDGET_ACCEPTED)
        return DONE;
    return failed(why, RESULT_REFUSED, "%s: %s", span, answer.text);
}

struct result cost_after_fits(const struct ledger *ledger, const struct policy *policy,
                              const struct ledger_study *study, uint32_t models, double noise,
                              uint64_t now_ms, struct why *why)
{
    CLEANUP(free_pointer) struct event_list *events = calloc(1, sizeof *events);
    if (!events)
        return failed(why, RESULT_SYSTEM, "no memory for the privacy events");
    figures_event(events, models, noise);
    TRY(fits(ledger, policy, study->name, events, 0.0, policy->epsilon_total, 0,
             "the site's whole budget", why));
    return fits(ledger, policy, study->name, events, 0.0, policy->epsilon_per_year,
                now_ms > YEAR_MS ? now_ms - YEAR_MS : 0, "the site's budget of a year", why);
}

struct result cost_fits(const struct ledger *ledger, const struct policy *policy, const char *study,
                        const struct ledger_charge *charge, uint64_t now_ms, struct why *why)
{
    char error[EVENT_ERROR_MAX];
    if (charge->events[0] == '\0')
        return DONE;
    CLEANUP(free_pointer) struct event_list *events = calloc(1, sizeof *events);
    if (!events || event_list_parse(events, charge->events, error) != 0)
        return failed(why, RESULT_SYSTEM, "cannot read the study's privacy events");
    double more = take_additions(events);
    TRY(fits(ledger, policy, study, events, more, policy->epsilon_total, 0,
             "the site's whole budget", why));
    return fits(ledger, policy, study, events, more, policy->epsilon_per_year,
                now_ms > YEAR_MS ? now_ms - YEAR_MS : 0, "the site's budget of a year", why);
}

struct result cost_spent(const struct ledger *ledger, const struct policy *policy, double epsilon,
                         uint64_t since_ms, struct cost_spent *ret_spent, struct why *why)
{
    CLEANUP(free_pointer) struct budget *budget = malloc(sizeof *budget);
    *ret_spent = (struct cost_spent){0};
    if (!budget)
        return failed(why, RESULT_SYSTEM, "no memory for the privacy account");
    TRY(account(budget, ledger, policy, epsilon, since_ms, 0.0, why));
    for (size_t i = 0; i < ledger->studies_count; i++) {
        if (charged(&ledger->studies[i], since_ms))
            ret_spent->added += ledger->studies[i].charge.epsilon;
    }
    if (budget->order == 0)
        return DONE;
    ret_spent->share = budget->spent / budget->limit;
    ret_spent->in_advance = budget_epsilon_in_advance(budget);
    return DONE;
}
