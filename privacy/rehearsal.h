/* SPDX-License-Identifier: Apache-2.0 */
/* A rehearsal of a plan's release mechanism with canaries, as an auditor who sees every release
 * would attack it: the same sampling, clipping, grid and noise as in training, on made-up patients
 * only. */
#ifndef CONSILIUM_PRIVACY_REHEARSAL_H
#define CONSILIUM_PRIVACY_REHEARSAL_H

#include "privacy/audit_bound.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    REHEARSAL_CANARIES_MAX = 100000,
    REHEARSAL_STEPS_MAX = 1000000,
    REHEARSAL_SILENT = 4096, /* coordinates that no canary touches: pure noise */
};

/* What may be broken on purpose, to see that the audit notices. */
enum rehearsal_fault {
    FAULT_NONE,
    FAULT_NO_NOISE,
    FAULT_QUARTER_NOISE,
    FAULT_HALF_NOISE,
    FAULT_UNSCALED_NOISE, /* noise of sigma instead of sigma C */
    FAULT_NO_CLIPPING,    /* gradients of ten times the clip norm go in as they are */
};

struct rehearsal_options {
    double rate, noise, clip; /* q, sigma, C of the plan */
    uint64_t steps;           /* T */
    size_t canaries, guesses; /* guesses = 0: a tenth of the canaries */
    double delta, beta;       /* of the claim; of a false alarm */
    enum rehearsal_fault fault;
};

struct rehearsal_result {
    struct audit_result audit;
    double epsilon_bound;          /* refuted with confidence 1 - beta (one run) */
    double epsilon_bound_gaussian; /* the same if the mechanism is Gaussian */
    double noise_ratio;            /* measured standard deviation over the planned one */
    double noise_z;                /* its deviation from 1 in standard errors */
    double sampling_z;             /* deviation of the sampling frequency in standard errors */
    double clip_ratio;             /* largest contribution over C */
};

/* Names of faults for the command line; -1 for another name. */
int rehearsal_fault_by_name(const char *name);

/* Returns 0, -1 when a constant is out of range, -2 without memory. */
int rehearsal_run(const struct rehearsal_options *options, struct rehearsal_result *result);

#endif
