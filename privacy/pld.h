/* SPDX-License-Identifier: Apache-2.0 */
/* Privacy loss distribution of one mechanism on a grid, discretised so that it dominates the true
 * one (connect-the-dots, Doroshenko et al. 2022, arXiv 2207.04380, in mass form). */
#ifndef CONSILIUM_PRIVACY_PLD_H
#define CONSILIUM_PRIVACY_PLD_H

#include "privacy/event.h"

#include <stddef.h>

enum {
    PLD_POINTS_MAX = 1 << 22, /* grid points of one composition: about 250 MB at the worst */
    PLD_COARSE = 1024         /* points of the summary kept for choosing the tilt */
};

/* Which of the two neighbours is the true data set. */
enum pld_direction { PLD_REMOVE, PLD_ADD };

enum pld_result {
    PLD_OK,
    PLD_TOO_FINE, /* the grid would need more than PLD_POINTS_MAX points; take a coarser one */
    PLD_NO_MEMORY,
    PLD_IMPOSSIBLE /* the event itself has no such distribution */
};

/* Outcomes of a mechanism grouped by privacy loss ln(dP/dQ): bin i holds what falls between
 * (low + i) grid and (low + i + 1) grid, with its mass under P and under Q. P is the data set with
 * the patient ("remove"). */
struct pld_bins {
    double grid;
    long low;
    size_t count;
    double *p, *q;           /* [count] each, owned */
    double below_q;          /* loss under the lowest point, mass under Q; under P in below_p */
    double below_p;          /* .. */
    double above_p, above_q; /* loss over the highest point */
    double infinite;         /* mass that only one side can produce (the delta of an event) */
};

/* Probability masses of the loss at grid points: loss (low + i) grid has probability mass[i], and
 * +infinity the rest. */
struct pld {
    double grid;
    long low;
    size_t count;
    double *mass; /* [count], owned */
    double infinite;
    double moved; /* mass put to the lowest point or to infinity because it lay off the grid */
    /* The same in at most PLD_COARSE groups of `each` points: mass, mean and standard deviation of
     * the loss, and the sum of b (p - b) / p, which times grid^2 is the variance that splitting
     * added. Estimates only. */
    size_t groups, each;
    double group_mass[PLD_COARSE], group_loss[PLD_COARSE], group_spread[PLD_COARSE];
    double group_split[PLD_COARSE];
};

/* Bins of one run of an event (of all its runs when it is a full-batch Gaussian, which composes to
 * one: *ret_runs tells how often the bins still have to be composed). `tail` is the mass that may
 * be cut off at each end, in (0, 1e-3]. */
enum pld_result pld_bins_init(struct pld_bins *bins, const struct privacy_event *event,
                              enum privacy_adjacency adjacency, double grid, double tail,
                              double *ret_runs);

void pld_bins_free(struct pld_bins *bins);

/* Connects the dots: the mass p, q of a bin goes to its two ends so that both masses are kept. The
 * summary has at most coarse groups, 1 to PLD_COARSE. */
enum pld_result pld_connect(struct pld *pld, const struct pld_bins *bins,
                            enum pld_direction direction, size_t coarse);

void pld_free(struct pld *pld);

#endif
