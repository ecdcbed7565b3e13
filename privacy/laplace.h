/* SPDX-License-Identifier: Apache-2.0 */
/* Exact discrete Laplace noise for counts, and what it costs.
 *
 *   P(x) = (1 - a) / (1 + a) a^|x|,   a = e^(-1/b),   x an integer
 *
 * A count that one patient moves by 1 is epsilon-private with epsilon = 1/b, whatever the delta
 * (Ghosh, Roughgarden and Sundararajan, STOC 2009). The scale b is a multiple of 1 / LAPLACE_UNIT,
 * so that the sampler works on integers alone and the law is the stated one to the last bit
 * (Canonne, Kamath and Steinke, NeurIPS 2020, algorithm 2). */
#ifndef CONSILIUM_PRIVACY_LAPLACE_H
#define CONSILIUM_PRIVACY_LAPLACE_H

#include "privacy/event.h"
#include "privacy/rng.h"

#include <stdint.h>

enum { LAPLACE_UNIT = 1024 };

/* The smallest scale, in units of 1 / LAPLACE_UNIT and at least 1, whose standard deviation is not
 * below the given one; deviation in (0, 1e6]. */
uint64_t laplace_scale(double deviation);

/* Standard deviation at a scale: sqrt(2a) / (1 - a). */
double laplace_deviation(uint64_t scale);

/* One draw. */
int64_t laplace_draw(struct rng *rng, uint64_t scale);

/* As many releases of counts, each cell with noise of that scale, where a patient stands in one
 * cell. */
struct privacy_event laplace_event(uint64_t scale, uint64_t releases);

#endif
