/* SPDX-License-Identifier: Apache-2.0 */
/* AUROC with DeLong's variance, its intervals, and the paired and unpaired tests of a difference.
 */
#ifndef CONSILIUM_LINALG_STATS_AUROC_H
#define CONSILIUM_LINALG_STATS_AUROC_H

#include "linalg/stats/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* auc is defined for every status but INVALID_INPUT, EMPTY, SINGLE_CLASS and NO_MEMORY, var (of
 * auc, not of one row) for OK and DEGENERATE; otherwise they are NaN. */
struct auroc {
    enum stat_status status;
    size_t n_pos;
    size_t n_neg;
    double auc;
    double var;
};

/* AUROC of score[n] (higher = more positive) for labels y[n] in {0,1}. Ties count one half.
 * Statuses: INVALID_INPUT (a non-finite score, another label), SINGLE_CLASS (also n = 0),
 * VAR_UNDEFINED (one row of a class), DEGENERATE (variance 0, or AUROC 0 or 1), NO_MEMORY, else OK;
 * returned and kept in out->status. placement, if not NULL, receives [n] DeLong components in row
 * order: for a positive the share of negatives it beats (V10), for a negative the share of
 * positives that beat it (V01). O(n log n). Sun and Xu, IEEE Signal Process. Lett. 21 (2014) 1389.
 */
enum stat_status auroc_delong(size_t n, const double *y, const double *score, double *placement,
                              struct auroc *out);

/* Newcombe's (2006) method 4, and Hanley and McNeil's (1982) variance, from an AUROC and counts. */
double auroc_newcombe_var(double auc, size_t n_pos, size_t n_neg);
double auroc_hanley_mcneil_var(double auc, size_t n_pos, size_t n_neg);

/* What to pool: DeLong's numbers for OK; for VAR_UNDEFINED and DEGENERATE the continuity-corrected
 * AUROC (mn A + 1/2)/(mn + 1) with Newcombe's variance; false (NaN) for the rest. */
struct auroc_pool_input {
    double auc;
    double var;
    bool corrected;
};
bool auroc_pool_input(const struct auroc *a, struct auroc_pool_input *out);

/* Two-sided intervals with normal quantile z: Wald clipped to [0,1], and on the logit scale. */
struct auroc_interval {
    double wald[2];
    double logit[2];
    double logit_auc;
    double logit_se;
};
void auroc_interval(double auc, double var, double z, struct auroc_interval *out);

/* Candidate against incumbent on the same rows. d = cand - inc. DEGENERATE: var_d is 0 (identical
 * ranking: z 0, p 1; else z +-inf, p 0). VAR_UNDEFINED: only the two AUROCs and d are set. */
struct auroc_paired {
    enum stat_status status;
    size_t n_pos;
    size_t n_neg;
    double auc_cand, auc_inc;
    double var_cand, var_inc, cov;
    double d, var_d;
    double z, p_two_sided;
};
enum stat_status auroc_paired(size_t n, const double *y, const double *cand, const double *inc,
                              struct auroc_paired *out);

/* The parts of it: every number NaN; and z, p and status from d and var_d, which is 0 when it is
 * no more than rounding. */
void auroc_paired_clear(struct auroc_paired *out);
void auroc_paired_test(struct auroc_paired *out);

/* Non-inferiority of d with variance v > 0: lower = d - z_(1-alpha) sqrt(v); pass if > -margin.
 * Returns false, leaving out untouched, when v is not positive. */
struct noninferiority {
    double margin, alpha;
    double z, p, lower, upper;
    bool pass;
};
bool noninferiority(double d, double v, double margin, double alpha, struct noninferiority *out);

/* Power to show non-inferiority when the true difference is true_d: P(lower > -margin). */
double noninferiority_power(double true_d, double v, double margin, double alpha);

/* Two independent samples (production, baseline): normal z and Welch's t. INVALID_INPUT unless both
 * have a variance; DEGENERATE when both variances are 0. */
struct auroc_unpaired {
    enum stat_status status;
    double diff, var;
    double z, df;
    double p_t_two_sided, p_z_two_sided;
};
enum stat_status auroc_unpaired(const struct auroc *prod, const struct auroc *base,
                                struct auroc_unpaired *out);

/* Variance of the AUROC when rows repeat within patients (Obuchowski 1997): placement[n] from
 * auroc_delong, patient[n] a dense index below n_patients. NaN if fewer than two patients of either
 * class, or on an index out of range or no memory. */
double auroc_cluster_var(size_t n, const double *y, const double *placement, double auc,
                         const uint32_t *patient, size_t n_patients);

#endif
