/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of rows that repeat within patients: the estimates are those of the rows, the
 * variances those of the patients.
 *
 * In each function patient[n] is the row's patient as a dense number below patients. With one row a
 * patient the results are those of auroc.h and calibration.h. */
#ifndef CONSILIUM_LINALG_STATS_CLUSTER_H
#define CONSILIUM_LINALG_STATS_CLUSTER_H

#include "linalg/stats/auroc.h"
#include "linalg/stats/calibration.h"

#include <stddef.h>
#include <stdint.h>

/* Patients with a positive row and with a negative one; a patient may be among both. False without
 * memory or on a number out of range. */
bool cluster_count(size_t n, const double *y, const uint32_t *patient, size_t patients,
                   size_t *ret_pos, size_t *ret_neg);

/* As auroc_delong, with Obuchowski's variance (auroc_cluster_var) and n_pos, n_neg in patients:
 * VAR_UNDEFINED when fewer than two patients have rows of a class. */
enum stat_status cluster_auroc(size_t n, const double *y, const double *score,
                               const uint32_t *patient, size_t patients, struct auroc *out);

/* As auroc_paired, with n_pos, n_neg in patients and the variance of the difference from its
 * components summed within patients. */
enum stat_status cluster_auroc_paired(size_t n, const double *y, const double *cand,
                                      const double *inc, const uint32_t *patient, size_t patients,
                                      struct auroc_paired *out);

/* Variance of the mean of x[n]: P/(P-1) sum over P patients of (sum (x - mean))^2 / n^2; NaN for
 * fewer than two patients or without memory. */
double cluster_mean_var(size_t n, const double *x, const uint32_t *patient, size_t patients);

/* As calibration, with the sandwich variances of the two fits, of Brier score and O:E, and
 * Spiegelhalter's z over patients. */
enum stat_status cluster_calibration(size_t n, const double *y, const double *p,
                                     const uint32_t *patient, size_t patients,
                                     struct calibration *out);

/* As calibration_error, with ece_null from the residuals' variance over patients in each bin. */
enum stat_status cluster_calibration_error(size_t n, const double *y, const double *p, size_t bins,
                                           enum calibration_binning binning,
                                           const uint32_t *patient, size_t patients,
                                           struct calibration_error *out);

#endif
