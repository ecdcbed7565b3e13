/* SPDX-License-Identifier: Apache-2.0 */
/* From sums of clipped gradients to integers with noise: the grid, its sensitivity, the release. */
#ifndef CONSILIUM_PRIVACY_RELEASE_GRID_H
#define CONSILIUM_PRIVACY_RELEASE_GRID_H

#include <stddef.h>
#include <stdint.h>

/* The public constants of a release and what follows from them. */
struct release_grid {
    double clip;            /* C: bound on one patient's L2 norm */
    double noise;           /* sigma: noise multiplier as planned */
    double step;            /* width of the grid, sigma C / 2^24 */
    double slack;           /* eta: the integer sum has sensitivity C (1 + eta) */
    double effective_noise; /* sigma / (1 + eta): what the accountant is told */
};

/* d coordinates; a slot sums at most slot_rows rows in double precision before it is rounded, each
 * row's |(a, 1)| |d| w at most 4 C. Returns 0, or -1 when a constant is out of range. */
int release_grid_init(struct release_grid *grid, double clip, double noise, uint64_t d,
                      uint64_t slot_rows);

/* Rounds one slot's sum[n] to the grid and adds it to total[n]; exact, so the order of slots does
 * not matter. -1 on a value that is not finite or overflows: total is then unchanged. */
int release_add(const struct release_grid *grid, const double *sum, int64_t *total, size_t n);

/* total += noise, modulo 2^64 (the noise is bounded by 2^28, sums by 2^62). */
void release_noise(int64_t *total, const int64_t *noise, size_t n);

/* Integers back to numbers: out = step total / lot, lot the plan's public constant. */
void release_values(const struct release_grid *grid, const int64_t *total, double lot, double *out,
                    size_t n);

#endif
