/* SPDX-License-Identifier: Apache-2.0 */
/* The network of tests/attack_world: one hidden layer, softmax, in float, a batch at a time.
 * Parameters are one vector: weights of the first layer [inputs][hidden], its biases, those of the
 * second [hidden][classes], its biases. */
#ifndef CONSILIUM_TESTS_ATTACK_NET_H
#define CONSILIUM_TESTS_ATTACK_NET_H

#include "tests/attack_world.h"

/* Initial parameters theta[d] by w->choice.start. */
void attack_net_start(const struct attack_world *w, struct rng *rng, float *theta);

/* gradient[d] = mean over count samples (rows of w->x) of the cross entropy's gradient; flipped:
 * label k is taken for classes - 1 - k. Each sample's own is clipped to norm 1 with per_sample. */
void attack_net_gradient(const struct attack_world *w, float *theta, size_t count,
                         const size_t *row, bool flipped, bool per_sample, float *gradient);

/* Share of the test samples that are classified rightly. */
double attack_net_accuracy(const struct attack_world *w, float *theta);

/* Two standard normal variates. */
void attack_net_gaussians(struct rng *rng, float out[2]);

#endif
