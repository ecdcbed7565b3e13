/* SPDX-License-Identifier: Apache-2.0 */
/* What a coordinator can tell from an update's norm about its noise, and whether noise leaves a
 * robust rule anything to hold on to. */
#ifndef CONSILIUM_PRIVACY_NOISE_FLOOR_H
#define CONSILIUM_PRIVACY_NOISE_FLOOR_H

#include <stddef.h>
#include <stdint.h>

/* Range of the L2 norm of an honest update of d coordinates: noise of standard deviation s in each,
 * plus a signal of norm at most S. Outside either end with probability below 3e-7. */
struct noise_window {
    double low;  /* the part orthogonal to the signal is s chi_{d-1} */
    double high; /* the whole is s times noncentral chi_d (S^2/s^2) */
};

enum noise_floor_verdict {
    NOISE_FLOOR_OK,
    NOISE_FLOOR_TOO_LITTLE, /* noise is missing or too small */
    NOISE_FLOOR_TOO_MUCH,   /* amplified, or far more noise than planned */
    NOISE_FLOOR_INVALID     /* not a number, or no noise is known */
};

/* d >= 1, noise_std > 0, signal_max >= 0; returns -1 otherwise. */
int noise_window_init(struct noise_window *window, uint64_t d, double noise_std, double signal_max);

/* Judges an update's norm. */
enum noise_floor_verdict noise_floor_test(const struct noise_window *window, double norm);

/* Norm of x[n]. */
double noise_floor_norm(const double *x, size_t n);

/* Standard deviation of each coordinate of sum_t weight[t] (released sum of step t) / lot: known
 * only when the update is linear in the noised gradients with public weights (plain steps,
 * momentum). */
double noise_floor_std(double noise, double clip, double lot, const double *weight, size_t steps);

/* Noise against f of n sites that lie: whatever the rule, they shift the aggregate by about
 * (f/n) NSR times the honest signal, NSR = sigma C sqrt(d) / (L |g|). */
struct robustness {
    double nsr;        /* noise norm over signal norm of one site's release */
    double shift;      /* (f/n) NSR */
    int claimed;       /* shift <= ROBUSTNESS_SHIFT_MAX */
    double lot_needed; /* least lot L with which it would be claimed */
    uint64_t liars;    /* most liars with which it would be claimed as planned */
    double noise_most; /* largest noise multiplier with which it would be claimed */
};

#define ROBUSTNESS_SHIFT_MAX 0.25

/* signal is |g|, the norm of the honest mean gradient, as planned (a share of C). -1 on senseless
 * numbers. */
int robustness_check(struct robustness *r, double noise, double clip, uint64_t d, double lot,
                     double signal, uint64_t liars, uint64_t sites);

#endif
