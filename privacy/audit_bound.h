/* SPDX-License-Identifier: Apache-2.0 */
/* Lower bounds on epsilon from one training run with canaries. */
#ifndef CONSILIUM_PRIVACY_AUDIT_BOUND_H
#define CONSILIUM_PRIVACY_AUDIT_BOUND_H

#include <stdint.h>

/* Most canaries of one audit. */
#define AUDIT_CANARIES_MAX UINT64_C(10000000)

/* What one run showed: m canaries, each in the data with probability 1/2, r guesses of which v were
 * right. */
struct audit_result {
    uint64_t canaries, guesses, right; /* right <= guesses <= canaries */
    double delta;                      /* of the claim, in [0, 1) */
    double beta;                       /* probability of a false alarm, in (0, 1) */
};

/* Largest epsilon refuted with confidence 1 - beta, 0 when none is. Steinke, Nasr, Jagielski 2023
 * (arXiv 2305.08846), theorem 5.2: epsilon is refuted when
 * P[B >= v] + 2 m delta max_i P[v > B >= v - i] / i <= beta, B ~ Bin(r, 1 / (1 + e^{-epsilon})).
 * Returns 0, or -1 when the numbers make no sense. */
int audit_bound_one_run(const struct audit_result *result, double *ret_epsilon);

/* The same for the whole Gaussian trade-off curve through (epsilon, delta): higher, but it assumes
 * that shape. Mahloujifar, Melis, Chaudhuri 2024 (arXiv 2410.22235), algorithm 3. Needs delta > 0.
 */
int audit_bound_gaussian(const struct audit_result *result, double *ret_epsilon);

#endif
