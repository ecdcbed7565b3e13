/* SPDX-License-Identifier: Apache-2.0 */
/* Cross-site matrix: AUROC of each site's contribution at each site, who contributes, who rides
 * free. */
#ifndef CONSILIUM_COORDINATOR_VALIDATE_MATRIX_H
#define CONSILIUM_COORDINATOR_VALIDATE_MATRIX_H

#include "proto/base/result.h"

#include <stdbool.h>
#include <stddef.h>

enum { MATRIX_SITES_MAX = 256 };

/* M = mu + row_i (contribution of model i) + col_j (ease of site j) + residual. Arrays belong to
 * the caller; row_z and spread may be undefined (row_z_defined false) when more than half the rows
 * agree. */
struct matrix_fit {
    double mu;
    double row[MATRIX_SITES_MAX];
    double col[MATRIX_SITES_MAX];
    double row_z[MATRIX_SITES_MAX]; /* (row - median)/(1.4826 MAD) */
    bool row_z_defined;
    double diag_excess[MATRIX_SITES_MAX]; /* residual of model i at its own site */
    double residual_spread; /* 1.4826 MAD of the off-diagonal residuals; NaN if none */
};

/* Fits m[rows][cols]; cells may be NaN (a site that did not report), but each row and column needs
 * one number. residual, if not NULL, receives [rows][cols]. Row i and column i are the same site.
 */
struct result matrix_fit(size_t rows, size_t cols, const double *m, struct matrix_fit *fit,
                         double *residual, struct why *why) MUST_CHECK;

struct matrix_flags {
    bool free_rider; /* its update changes no ranking anywhere, or its contribution is far below */
    bool self_inflated; /* far better at its own site than the fit: overfitted or a false report */
};

/* Flags of each site from a fit. d[rows][cols] and var_d[rows][cols], which may both be NULL, are
 * paired differences of (global with update i) against global at site j, NaN where unknown. */
void matrix_judge(size_t rows, size_t cols, const struct matrix_fit *fit, const double *d,
                  const double *var_d, struct matrix_flags *flags);

/* Leave-one-out: contribution of site i is mean over the other sites of full[j] - without[i][j];
 * NaN where no other site reported. full[cols], without[rows][cols], out[rows]. */
void matrix_leave_one_out(size_t rows, size_t cols, const double *full, const double *without,
                          double *out);

#endif
