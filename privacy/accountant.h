/* SPDX-License-Identifier: Apache-2.0 */
/* The accountant: what a list of events costs a patient, as a proven bracket. */
#ifndef CONSILIUM_PRIVACY_ACCOUNTANT_H
#define CONSILIUM_PRIVACY_ACCOUNTANT_H

#include "privacy/event.h"

enum accountant_result {
    ACCOUNTANT_OK,
    ACCOUNTANT_BAD_INPUT,   /* an event, delta or epsilon outside its range */
    ACCOUNTANT_NO_MEMORY,   /* the system refused memory */
    ACCOUNTANT_TOO_LARGE,   /* no grid within the memory bound and no Renyi bound either */
    ACCOUNTANT_UNREACHABLE, /* calibration: no noise up to ACCOUNTANT_NOISE_MAX meets the target */
};

/* Loosest grid taken before giving up on the distribution, and the range of calibrated noise. */
#define ACCOUNTANT_GRID_MAX 0.5
#define ACCOUNTANT_NOISE_MIN 0.02
#define ACCOUNTANT_NOISE_MAX 1e6
#define ACCOUNTANT_DELTA_MIN 1e-250

struct accountant_options {
    enum privacy_adjacency adjacency;
    double grid;     /* width of the grid; 0 chooses it */
    double accuracy; /* for the choice: relative error of the upper bound that the grid may add,
                        estimated; 0 stands for 1e-5, in calibration for 1e-3 */
};

/* lower <= truth <= upper, and upper <= renyi. */
struct accountant_bound {
    double upper; /* the claim; infinite when delta is below what the events concede outright */
    double lower;
    double renyi; /* cross-check; NAN when an event has no Renyi curve */
    double grid;  /* grid of the answer; 0 for the closed form of full-batch Gaussians, or when the
                     answer is the Renyi bound alone */
};

const char *accountant_text(enum accountant_result result);

/* epsilon at delta in [ACCOUNTANT_DELTA_MIN, 1). options may be NULL (add/remove, automatic grid).
 */
enum accountant_result accountant_epsilon(const struct event_list *events, double delta,
                                          const struct accountant_options *options,
                                          struct accountant_bound *ret);

/* delta at epsilon in [0, 1e9]. */
enum accountant_result accountant_delta(const struct event_list *events, double epsilon,
                                        const struct accountant_options *options,
                                        struct accountant_bound *ret);

/* Least noise (relative tolerance 1e-6, kept on the safe side) which put in place of every noise 0
 * in `events` makes epsilon at delta at most `epsilon`. */
enum accountant_result accountant_calibrate(const struct event_list *events, double epsilon,
                                            double delta, const struct accountant_options *options,
                                            double *ret_noise);

#endif
