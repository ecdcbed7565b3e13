/* SPDX-License-Identifier: Apache-2.0 */
/* Momentum per site, kept at the coordinator: m <- beta m + (1 - beta) g for each update g.
 *
 * It only processes what sites already released, so it costs no privacy; sites stay stateless and
 * cannot lie about it; and it averages the privacy noise of past rounds, which divides the noise of
 * what the rule sees by sqrt((1 + beta)/(1 - beta)), 4.4 at beta = 0.9.
 * Karimireddy et al., ICML 2021; El Mhamdi et al., ICLR 2021. */
#ifndef CONSILIUM_AGGREGATE_MOMENTUM_H
#define CONSILIUM_AGGREGATE_MOMENTUM_H

#include <stddef.h>
#include <stdint.h>

/* One site's state; state is owned by the caller, [d], zero before the first round. */
struct momentum {
    size_t d;
    uint64_t rounds; /* updates taken so far */
    float *state;
};

/* Takes the update g[d] and writes the row for the rule to out[d], which may be g: the state
 * divided by 1 - beta^rounds, so that early rounds are not too small. 0 <= beta < 1. A site that
 * misses a round keeps its state. */
void momentum_step(struct momentum *momentum, double beta, const float *g, float *out);

/* The update out[d], which may be row, of which momentum_step would make this row: what a hostile
 * site sends that knows the plan. The state stays as it is. */
void momentum_reach(const struct momentum *momentum, double beta, const float *row, float *out);

/* What the standard deviation of noise in the rows is multiplied by, in the long run. */
double momentum_noise_factor(double beta);

#endif
