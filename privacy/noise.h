/* SPDX-License-Identifier: Apache-2.0 */
/* Exactly rounded Gaussian noise on an integer grid: K = round(2^24 Z), Z ~ N(0, 1). */
#ifndef CONSILIUM_PRIVACY_NOISE_H
#define CONSILIUM_PRIVACY_NOISE_H

#include "privacy/rng.h"

#include <stddef.h>
#include <stdint.h>

/* One standard deviation is 2^NOISE_BITS grid steps. */
enum { NOISE_BITS = 24 };

/* Fills out[n] with independent samples; |K| <= 2^28. Their joint distribution is within
 * n 2^-100 in total variation of the exact one, so an integer x + K is round(x + 2^24 Z): a
 * post-processing of the continuous Gaussian mechanism. Time varies with the values drawn: draw
 * ahead of the moment at which time can be observed (noise_pool.h). */
void noise_fill(struct rng *rng, int64_t *out, size_t n);

#endif
