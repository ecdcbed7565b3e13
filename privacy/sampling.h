/* SPDX-License-Identifier: Apache-2.0 */
/* Poisson sampling of patients: each one independently, at a rate that is an exact multiple of
 * 2^-64, so that the accountant's rate is the true one. */
#ifndef CONSILIUM_PRIVACY_SAMPLING_H
#define CONSILIUM_PRIVACY_SAMPLING_H

#include "privacy/rng.h"

#include <stddef.h>
#include <stdint.h>

/* The key of one run: never logged, wiped after it. Who was sampled never leaves the site. */
struct sampling {
    unsigned char key[RNG_KEY_BYTES];
    uint64_t threshold; /* rate 2^64; 0 stands for 2^64, everybody */
};

/* rate in (0, 1], rounded down to a multiple of 2^-64 (at least 2^-64). Key from the system.
 * Returns 0, or -1 for another rate. */
int sampling_init(struct sampling *sampling, double rate);

/* The same with a given key: for the rehearsal of a plan and for tests. */
int sampling_init_seeded(struct sampling *sampling, double rate,
                         const unsigned char key[RNG_KEY_BYTES]);

/* The exact rate in use, for the accountant. */
double sampling_rate(const struct sampling *sampling);

/* Patients 0 .. patients - 1 sampled in a step, ascending, into chosen[patients]; returns how many,
 * which may be none. The same step gives the same answer. */
size_t sampling_draw(const struct sampling *sampling, uint64_t step, size_t patients,
                     size_t *chosen);

void sampling_wipe(struct sampling *sampling);

#endif
