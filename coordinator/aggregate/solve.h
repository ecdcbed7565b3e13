/* SPDX-License-Identifier: Apache-2.0 */
/* The small solves: from n x n matrices in double to the weights of one linear combination.
 *
 * Both engines share them; they differ in how they get the matrices. squared is [n][n], the squared
 * distances between rows, exactly symmetric with a zero diagonal. weight is NULL or the (truncated)
 * weights with which kept rows are averaged; selection itself never looks at it. explain is NULL or
 * has arrays for n rows. */
#ifndef CONSILIUM_AGGREGATE_SOLVE_H
#define CONSILIUM_AGGREGATE_SOLVE_H

#include "coordinator/aggregate/aggregate.h"

/* Sum of the nb smallest squared distances from each row to the others, into score[n].
 * False when memory is short. */
bool solve_krum_scores(size_t n, const double *squared, size_t nb, double *score);

/* Coefficients of the krum family, mda, smea and monna, into coef[n], summing to 1. */
struct result solve_selection(enum agg_kind kind, const struct agg_params *p, size_t n,
                              const double *squared, const double *weight, double *coef,
                              struct agg_explain *explain, struct why *why) MUST_CHECK;

/* Rows taken by bulyan's repeated Krum, in the order taken, into taken[n-2f]. */
struct result solve_bulyan(size_t n, const double *squared, size_t f, uint32_t *taken,
                           struct why *why) MUST_CHECK;

/* Nearest-neighbour mixing: row i of mix [n][n] averages the n-f rows nearest to row i, itself
 * among them, ties to the lowest row. Allouah et al., AISTATS 2023. */
struct result solve_nnm(size_t n, const double *squared, size_t f, const double *weight,
                        double *mix, struct agg_explain *explain, struct why *why) MUST_CHECK;

/* Row with the smallest sum of distances (not squared) to the others. */
size_t solve_medoid(size_t n, const double *squared);

/* coef[n]: the mean of the floor(n/2)+1 rows nearest to the medoid, ties to the lowest row. */
void solve_majority(size_t n, const double *squared, double *coef);

/* Adaptive robust clipping: factor[i] brings the floor(2f(n-f)/n) largest norms down to the next
 * largest. False when memory is short. */
bool solve_arc(size_t n, const double *norm, size_t f, double *factor);

/* FLTrust coefficients from the norms, the inner products with g0 and the norm of g0; all zero when
 * no row points its way. Cao et al., NDSS 2021. */
void solve_fltrust(size_t n, const double *norm, const double *inner, double g0_norm, double *coef);

/* Writes z z' into gram [n][n], z_i = x_i - mean of the rows weighted by c. */
typedef void solve_centred_gram(void *context, const double *c, double *gram);

/* CAF: rows are down-weighted by their squared projection on the top eigenvector of the weighted
 * covariance until the weights sum to n-2f; the mean with the smallest top eigenvalue wins. Rows of
 * weight 0 take no part in the largest projection, which is what makes it end. arXiv 2505.01874. */
struct result solve_caf(size_t n, size_t f, solve_centred_gram *centred, void *context,
                        const double *weight, double *coef, struct agg_explain *explain,
                        struct why *why) MUST_CHECK;

/* DnC on all coordinates: drops the floor(filter_frac f) largest squared projections on the top
 * right singular vector of the centred rows. gram is their centred Gram matrix, overwritten. */
struct result solve_dnc(size_t n, size_t f, double filter_frac, double *gram, const double *weight,
                        double *coef, struct why *why) MUST_CHECK;

/* coef = weight (or 1) over kept rows, scaled to sum 1; refused when they weigh nothing. */
struct result solve_average(size_t n, const bool *kept, const double *weight, double *coef,
                            struct why *why) MUST_CHECK;

#endif
