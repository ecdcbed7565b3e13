/* SPDX-License-Identifier: Apache-2.0 */
/* Split conformal quantiles of nonconformity scores. */
#ifndef CONSILIUM_LINALG_STATS_CONFORMAL_H
#define CONSILIUM_LINALG_STATS_CONFORMAL_H

#include "linalg/stats/status.h"

#include <stddef.h>

/* The ceil((n+1)(1-alpha))-th smallest of score[n], +inf when that is beyond n; alpha in (0,1). OK,
 * INVALID_INPUT (NaN score, alpha), NO_MEMORY. */
enum stat_status conformal_quantile(size_t n, const double *score, double alpha, double *quantile);

/* Quantiles of 1 - p(true class) over all rows and within each class (Mondrian). */
struct conformal {
    double marginal, pos, neg;
};
enum stat_status conformal_binary(size_t n, const double *y, const double *p, double alpha,
                                  struct conformal *out);

#endif
