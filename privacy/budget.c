/* SPDX-License-Identifier: Apache-2.0 */
/* The filter's decision: accept, or say what is left and what would fit. */
#include "privacy/budget.h"

#include "privacy/accountant.h"
#include "privacy/budget_inner.h"
#include "privacy/rdp.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double budget_limit(double epsilon, double delta, int order)
{
    double a = order;
    double limit = epsilon - log1p(-1 / a) + (log(delta) + log(a)) / (a - 1);
    return limit - 1e-14 * (1 + fabs(epsilon)); /* rounded down */
}

double budget_add(double a, double b)
{
    return nextafter(a + b, HUGE_VAL);
}

bool budget_good_name(const char *name)
{
    size_t n = strnlen(name, BUDGET_NAME_MAX);
    return n > 0 && n < BUDGET_NAME_MAX &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

bool budget_good_opening(double epsilon, double delta)
{
    return epsilon > 0 && epsilon <= 100 && delta > 0 && delta <= 0.1;
}

/* How far a list goes into the room that is left, at the order in force or, before the first
 * charge, at the order that suits it best. At most 1: it fits. *ret_order may be NULL. */
static double filling(const struct budget *b, const struct event_list *events, int *ret_order,
                      double *ret_rho)
{
    double best = HUGE_VAL;
    for (int i = 0; i < RDP_ORDERS; i++) {
        int order = b->order ? b->order : rdp_order(i);
        double limit = b->order ? b->limit : budget_limit(b->epsilon, b->delta, order);
        double rho = rdp_list(events, ADJACENCY_ADD_REMOVE, order);
        double room = limit - b->spent;
        double share = room > 0 ? rho / room : HUGE_VAL;
        if (room > 0 && budget_add(b->spent, rho) > limit)
            share = fmax(share, nextafter(1, 2));
        if (share < best || i == 0) {
            best = share;
            *ret_order = order;
            *ret_rho = rho;
        }
        if (b->order)
            break;
    }
    return best;
}

static void scale_noise(struct event_list *events, const struct event_list *from, double factor)
{
    memcpy(events, from, sizeof *events);
    for (size_t i = 0; i < events->count; i++)
        events->events[i].noise *= factor;
}

/* Least factor on all noise that makes the list fit; NAN when none up to a million does. */
static double fitting_factor(const struct budget *b, const struct event_list *events)
{
    struct event_list *trial = malloc(sizeof *trial);
    int order;
    double rho, low = 0, high = log(1e6);
    if (!trial)
        return (double)NAN;
    scale_noise(trial, events, exp(high));
    bool possible = filling(b, trial, &order, &rho) <= 1;
    for (int i = 0; i < 60 && possible && high - low > 1e-7; i++) {
        double mid = 0.5 * (low + high);
        scale_noise(trial, events, exp(mid));
        if (filling(b, trial, &order, &rho) <= 1)
            high = mid;
        else
            low = mid;
    }
    free(trial);
    return possible ? exp(high) : (double)NAN;
}

/* Three digits, rounded up. */
static double round_up(double v)
{
    double unit = pow(10, floor(log10(v)) - 2);
    return ceil(v / unit - 1e-9) * unit;
}

static void explain(const struct budget *b, const struct budget_charge *c, struct budget_answer *a)
{
    char fit[160];
    const struct privacy_event *first = &c->events->events[0];
    double steps = floor((double)first->steps * a->step_share);
    if (isnan(a->noise_factor))
        snprintf(fit, sizeof fit, "nothing of it would fit");
    else if (c->events->count == 1 && first->kind == EVENT_GAUSSIAN && steps >= 1)
        snprintf(fit, sizeof fit,
                 "at noise multiplier %.3g this plan would fit, or %.0f of its steps",
                 round_up(first->noise * a->noise_factor), steps);
    else if (c->events->count == 1 && first->kind == EVENT_GAUSSIAN)
        snprintf(fit, sizeof fit, "at noise multiplier %.3g this plan would fit",
                 round_up(first->noise * a->noise_factor));
    else
        snprintf(fit, sizeof fit, "with all its noise times %.3g it would fit",
                 round_up(a->noise_factor));
    snprintf(a->text, sizeof a->text,
             "refused: %s of %s needs more than is left: epsilon %.4g of %.4g at delta %.3g is "
             "spent, %.4g is left; %s",
             c->purpose, c->study, a->spent_before, b->epsilon, b->delta,
             fmax(b->epsilon - a->spent_before, 0), fit);
}

static enum budget_verdict invalid(struct budget_answer *a, const char *what)
{
    snprintf(a->text, sizeof a->text, "%s", what);
    return BUDGET_INVALID;
}

/* Whether the list of everything charged can take these events too. */
static bool has_place(const struct budget *b, const struct event_list *events)
{
    struct event_list *trial = malloc(sizeof *trial);
    if (!trial)
        return false;
    memcpy(trial, &b->charged, sizeof *trial);
    bool fits = event_list_append(trial, events) == 0;
    free(trial);
    return fits;
}

enum budget_verdict budget_decide(const struct budget *b, const struct budget_charge *c,
                                  struct budget_answer *a, char *record)
{
    char error[EVENT_ERROR_MAX];
    *a = (struct budget_answer){.noise_factor = (double)NAN, .step_share = (double)NAN};
    if (b->records == 0)
        return invalid(a, "the ledger has not been opened");
    if (!budget_good_name(c->study) || !budget_good_name(c->purpose))
        return invalid(a, "a study's or purpose's name is 1 to 71 of A-Z a-z 0-9 . _ -");
    if (event_list_check(c->events, error) != 0)
        return invalid(a, error);
    double share = filling(b, c->events, &a->order, &a->rho);
    if (isnan(a->rho))
        return invalid(a, "a truncated event, or a generic one with delta above 0, has no Renyi "
                          "divergence and cannot be added up across plans");
    a->spent_before = budget_epsilon(b, 1);
    a->spent_after = rdp_to_epsilon(budget_add(b->spent, a->rho), a->order, b->delta);
    if (share > 1) {
        a->noise_factor = fitting_factor(b, c->events);
        a->step_share = share < HUGE_VAL ? 1 / share : 0;
        explain(b, c, a);
        return BUDGET_REFUSED;
    }
    snprintf(a->text, sizeof a->text, "accepted: %s of %s brings epsilon from %.4g to %.4g of %.4g",
             c->purpose, c->study, a->spent_before, a->spent_after, b->epsilon);
    if (!has_place(b, c->events))
        return invalid(a, "the ledger holds more kinds of events than can be added up");
    if (!record)
        return BUDGET_ACCEPTED;
    if (budget_record_charge(record, b, c, a->order, a->rho) != 0)
        return invalid(a, "the list of events is too long for one record");
    return BUDGET_ACCEPTED;
}

double budget_epsilon(const struct budget *b, int sites)
{
    if (b->order == 0)
        return 0;
    return rdp_to_epsilon(sites * b->spent, b->order, b->delta);
}

double budget_epsilon_in_advance(const struct budget *b)
{
    struct accountant_bound bound;
    if (b->charged.count == 0)
        return 0;
    if (accountant_epsilon(&b->charged, b->delta, NULL, &bound) != ACCOUNTANT_OK)
        return (double)NAN;
    return bound.upper;
}
