/* SPDX-License-Identifier: Apache-2.0 */
/* Tails of the normal and binomial distributions, accurate where they are tiny. */
#ifndef CONSILIUM_PRIVACY_NORMAL_H
#define CONSILIUM_PRIVACY_NORMAL_H

#include <stdint.h>

/* P[Z > z] for a standard normal Z. */
double normal_tail(double z);

/* P[a < Z < b], without cancellation in either tail; a <= b, both may be infinite. */
double normal_mass(double a, double b);

/* z with P[Z > z] = tail, for tail in (0, 0.5]; relative error about 1e-9. */
double normal_tail_inverse(double tail);

/* delta(epsilon) of one Gaussian mechanism with sensitivity / standard deviation = mu > 0:
 * Phi(mu/2 - eps/mu) - e^eps Phi(-mu/2 - eps/mu) (Balle and Wang 2018, theorem 5), relative error
 * about 1e-13 / min(mu, 1). */
double normal_delta(double mu, double epsilon);

/* Smallest epsilon >= 0 with normal_delta(mu, epsilon) <= delta, rounded up by 1e-12 relative. */
double normal_epsilon(double mu, double delta);

/* P[Binomial(n, p) >= k], summed from the smaller side; relative error about 1e-11. */
double binomial_tail(uint64_t n, double p, uint64_t k);

/* ln P[Binomial(n, p) = k] for 0 < p < 1. */
double binomial_log_mass(uint64_t n, double p, uint64_t k);

#endif
