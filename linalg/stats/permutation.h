/* SPDX-License-Identifier: Apache-2.0 */
/* Permutation tests for small groups: difference of means, and paired difference of AUROCs. */
#ifndef CONSILIUM_LINALG_STATS_PERMUTATION_H
#define CONSILIUM_LINALG_STATS_PERMUTATION_H

#include "linalg/stats/status.h"

#include <stddef.h>
#include <stdint.h>

enum {
    PERMUTATION_EXACT_MAX = 20000000, /* relabellings that the exact test enumerates */
    PERMUTATION_DRAWS_MAX = 10000000,
};

/* n_ge counts relabellings whose |statistic| >= |observed| - 1e-12. Exact: n_total relabellings and
 * p = n_ge/n_total; drawn: p = (1 + n_ge)/(1 + n_total). */
struct permutation {
    enum stat_status status;
    double statistic; /* observed, with its sign */
    size_t n_total, n_ge;
    double p;
};

/* mean(x) - mean(y) over every split. TOO_LARGE past PERMUTATION_EXACT_MAX; EMPTY; INVALID_INPUT.
 */
enum stat_status permutation_mean_exact(size_t n, const double *x, size_t m, const double *y,
                                        struct permutation *out);

/* The same by draws shuffles from seed (each shuffles the last one further). */
enum stat_status permutation_mean_drawn(size_t n, const double *x, size_t m, const double *y,
                                        size_t draws, uint64_t seed, struct permutation *out);

/* AUROC(s1) - AUROC(s2) on y[n]: each draw exchanges a patient's two midranks, in all of the
 * patient's rows, with probability 1/2 (top bit of the next number). patient[n]: equal numbers side
 * by side are one patient; NULL: each row is one. INVALID_INPUT, SINGLE_CLASS, TOO_LARGE,
 * NO_MEMORY. */
enum stat_status permutation_paired_auroc(size_t n, const double *y, const double *s1,
                                          const double *s2, const uint32_t *patient, size_t draws,
                                          uint64_t seed, struct permutation *out);

#endif
