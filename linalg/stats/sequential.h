/* SPDX-License-Identifier: Apache-2.0 */
/* Repeated looks at accumulating data: alpha spending with group-sequential bounds, and an
 * e-process that is valid at any stopping time. */
#ifndef CONSILIUM_LINALG_STATS_SEQUENTIAL_H
#define CONSILIUM_LINALG_STATS_SEQUENTIAL_H

#include "linalg/stats/status.h"

#include <stddef.h>

enum { SEQUENTIAL_LOOKS_MAX = 200 };

enum spending {
    SPEND_OBF,    /* O'Brien-Fleming type: 2 (1 - Phi(z_(alpha/2)/sqrt t)) */
    SPEND_POCOCK, /* Pocock type: alpha log(1 + (e-1) t) */
    SPEND_POWER,  /* alpha t^phi */
};

/* One-sided alpha spent by information time t (1 is the plan's end; beyond it nothing more). */
double spending_at(double t, double alpha, enum spending kind, double phi);

/* Grid step in units of z; the default is good to about 1e-7. */
#define SEQUENTIAL_STEP 0.02

/* Upper bounds[k] on Z at information times[k] (ascending, positive) with P(first crossing at look
 * k) = spending increment, by the recursion of Armitage, McPherson and Rowe (1969). step 0 takes
 * the default. INVALID_INPUT (times, alpha outside (0,1), k = 0), TOO_LARGE, NO_MEMORY. A look that
 * spends nothing gets a bound beyond reach. */
enum stat_status sequential_bounds(size_t k, const double *times, double alpha, enum spending kind,
                                   double phi, double step, double *bounds);

/* Betting e-process against H0: mean >= m0 for observations in [0,1]; exp(log_e) >= 1/alpha is an
 * alarm at level alpha, whenever one looks. Values of independent sites multiply. */
struct eprocess {
    double m0, lambda_max;
    double log_e, max_log_e;
    double sum, sum_squares; /* shrunk past mean and variance */
    size_t count;            /* observations + 1 */
};

/* m0 in (0,1), lambda_max in (0,1), .9 by default: false otherwise. */
int eprocess_init(struct eprocess *e, double m0, double lambda_max);

/* Takes one observation in [0,1]: false, changing nothing, if it is not. */
int eprocess_push(struct eprocess *e, double x);

#endif
