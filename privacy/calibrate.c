/* SPDX-License-Identifier: Apache-2.0 */
/* Calibration: the least noise multiplier that meets a target, by regula falsi on ln noise against
 * ln epsilon, which falls monotonically; the safe end of the bracket is returned. */
#include "privacy/accountant.h"
#include "privacy/rdp.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_MAX = 80 };
static const double TOLERANCE = 5e-7;
static const double ACCURACY = 1e-3;

struct search {
    const struct event_list *events; /* noise 0 marks what is sought */
    struct event_list *trial;
    double epsilon, delta;
    struct accountant_options options;
};

static void set_noise(const struct search *s, double noise)
{
    memcpy(s->trial, s->events, sizeof *s->trial);
    for (size_t i = 0; i < s->trial->count; i++) {
        if (s->trial->events[i].kind != EVENT_EPSILON_DELTA && s->trial->events[i].noise == 0)
            s->trial->events[i].noise = noise;
    }
}

/* ln(epsilon at this noise / target): positive is too little noise. */
static enum accountant_result excess(struct search *s, double log_noise, double *ret)
{
    struct accountant_bound bound;
    set_noise(s, exp(log_noise));
    enum accountant_result rc = accountant_epsilon(s->trial, s->delta, &s->options, &bound);
    if (rc == ACCOUNTANT_TOO_LARGE) { /* absurdly little noise */
        *ret = 50;
        return ACCOUNTANT_OK;
    }
    *ret = log(fmax(bound.upper, 1e-12 * s->epsilon) / s->epsilon);
    *ret = fmin(fmax(*ret, -50), 50);
    return rc;
}

/* Noise at which the Renyi bound meets the target: cheap, and a little too much. */
static double renyi_start(struct search *s)
{
    double low = log(ACCOUNTANT_NOISE_MIN), high = log(ACCOUNTANT_NOISE_MAX);
    for (int i = 0; i < 24; i++) {
        double mid = 0.5 * (low + high);
        set_noise(s, exp(mid));
        double epsilon = rdp_epsilon(s->trial, s->options.adjacency, s->delta, NULL);
        if (isnan(epsilon))
            return 0;
        if (epsilon > s->epsilon)
            low = mid;
        else
            high = mid;
    }
    return high;
}

/* Widens from a start until low is too little noise and high enough. */
static enum accountant_result enclose(struct search *s, double *low, double *f_low, double *high,
                                      double *f_high)
{
    double at = fmin(renyi_start(s), log(ACCOUNTANT_NOISE_MAX)), step = 0.1;
    enum accountant_result rc = excess(s, at, f_high);
    *high = *low = at;
    *f_low = *f_high;
    while (rc == ACCOUNTANT_OK && *f_high > 0) {
        if (*high >= log(ACCOUNTANT_NOISE_MAX))
            return ACCOUNTANT_UNREACHABLE;
        *low = *high;
        *f_low = *f_high;
        *high = fmin(*high + step, log(ACCOUNTANT_NOISE_MAX));
        step *= 2;
        rc = excess(s, *high, f_high);
    }
    while (rc == ACCOUNTANT_OK && *f_low <= 0) {
        if (*low <= log(ACCOUNTANT_NOISE_MIN))
            return ACCOUNTANT_OK; /* the least noise allowed is already enough */
        *high = *low;
        *f_high = *f_low;
        *low = fmax(*low - step, log(ACCOUNTANT_NOISE_MIN));
        step *= 2;
        rc = excess(s, *low, f_low);
    }
    return rc;
}

static enum accountant_result solve(struct search *s, double *ret_noise)
{
    double low, high, f_low, f_high;
    enum accountant_result rc = enclose(s, &low, &f_low, &high, &f_high);
    if (rc != ACCOUNTANT_OK)
        return rc;
    if (f_low <= 0) {
        *ret_noise = exp(low);
        return ACCOUNTANT_OK;
    }
    double w_low = f_low, w_high = f_high; /* Illinois weights */
    for (int i = 0; i < STEPS_MAX && high - low > TOLERANCE; i++) {
        double at = high - w_high * (high - low) / (w_high - w_low), f;
        /* Aim a little to the safe side, so that both ends close in. */
        at = fmin(at + 0.4 * TOLERANCE, high - 0.1 * TOLERANCE);
        at = fmax(at, low + 0.1 * TOLERANCE);
        rc = excess(s, at, &f);
        if (rc != ACCOUNTANT_OK)
            return rc;
        if (f > 0) {
            low = at;
            w_low = f;
            w_high /= 2;
        } else {
            high = at;
            w_high = f;
            w_low /= 2;
        }
    }
    *ret_noise = exp(high);
    return ACCOUNTANT_OK;
}

enum accountant_result accountant_calibrate(const struct event_list *events, double epsilon,
                                            double delta, const struct accountant_options *options,
                                            double *ret_noise)
{
    struct search s = {.events = events, .epsilon = epsilon, .delta = delta};
    if (options)
        s.options = *options;
    if (s.options.accuracy == 0)
        s.options.accuracy = ACCURACY;
    if (events->count == 0 || events->count > EVENT_LIST_MAX || !(epsilon > 0 && epsilon <= 1e6))
        return ACCOUNTANT_BAD_INPUT;
    s.trial = malloc(sizeof *s.trial);
    if (!s.trial)
        return ACCOUNTANT_NO_MEMORY;
    enum accountant_result rc = solve(&s, ret_noise);
    free(s.trial);
    return rc;
}
