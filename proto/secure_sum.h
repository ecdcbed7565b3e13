/* SPDX-License-Identifier: Apache-2.0 */
/* Integers that add up under masks: what a site puts in, and what the sum is worth. Both sides use
 * the same constants, all of them public.
 *
 * With privacy a site puts in its clipped and noised sum over patients, integers on the release
 * grid of its share of the noise; the sum over sites times the grid's step, divided by the sum of
 * the sites' lots, is the mean gradient. Without privacy it puts in its update times its weight as
 * multiples of 2^-SECURE_FRACTION_BITS. */
#ifndef CONSILIUM_SECURE_SUM_H
#define CONSILIUM_SECURE_SUM_H

#include "proto/plan.h"

enum {
    SECURE_FRACTION_BITS = 24,
    SECURE_VALUE_BITS = 54, /* of one site's input without privacy: 255 of them stay below 2^62 */
};

/* A site's weight in the sum: patients or 1, or its lot with privacy. */
double secure_weight(const struct plan *plan, uint64_t declared_patients);

/* values[d] = round(update weight 2^SECURE_FRACTION_BITS), as two's complement. False, and values
 * are void, when one does not fit. */
bool secure_quantise(const float *update, size_t d, double weight, uint64_t *values);

/* mean[d] of an opened sum total[d], given the survivors' weights added up. RESULT_REFUSED when the
 * plan's noise has no grid. */
struct result secure_mean(const struct plan *plan, const uint64_t *total, size_t d, double weights,
                          double *mean, struct why *why) MUST_CHECK;

#endif
