/* SPDX-License-Identifier: Apache-2.0 */
/* Pooling estimates of several sites: capped patient counts for the gate, fixed and random effects
 * for the claim about a new hospital. */
#ifndef CONSILIUM_LINALG_STATS_POOL_H
#define CONSILIUM_LINALG_STATS_POOL_H

#include "linalg/stats/status.h"

#include <stdbool.h>
#include <stddef.h>

enum { POOL_SITES_MAX = 4096 };

enum pool_method { POOL_DL, POOL_REML };

/* Random-effects summary of k estimates. Everything but status, k, mu, se_wald and ci_wald is NaN
 * for k = 1 (SINGLE_SITE); the prediction intervals are NaN for k < 3. */
struct pool {
    enum stat_status status;
    size_t k;
    double mu_fixed, se_fixed;
    double q, q_p; /* Cochran's Q on k-1 degrees of freedom, its p */
    double tau2;   /* variance between sites */
    double i2_percent;
    double mu, se_wald, ci_wald[2];
    double hksj_q, se_hksj, ci_hksj[2]; /* Hartung-Knapp-Sidik-Jonkman, t on k-1 */
    double se_mhksj, ci_mhksj[2];       /* modified: never narrower than q = 1 */
    double pi_mhksj[2], pi_wald[2];     /* prediction interval of a new site, t on k-2 */
};

/* Pools y[k] with variances v[k] > 0 at two-sided level (.95). Statuses OK, SINGLE_SITE, EMPTY,
 * INVALID_INPUT (non-finite y, v not positive and finite), TOO_LARGE. DerSimonian and Laird 1986;
 * REML by Fisher scoring; Roever et al. 2015 for the modification; Higgins and Thompson 2002 for
 * I2. */
enum stat_status pool_random(size_t k, const double *y, const double *v, enum pool_method method,
                             double level, struct pool *out);

/* DerSimonian-Laird variance between sites; y, v as above, k >= 2. */
double pool_tau2_dl(size_t k, const double *y, const double *v);

/* Weights w[k] proportional to size[k] > 0, none above max(cap, 1/k), the excess shared in
 * proportion by the others (water-filling). False on a size that is not positive and finite. */
bool pool_capped_weights(size_t k, const double *size, double cap, double *w);

/* Fixed-weight mean sum w y, and its standard error sqrt(sum w^2 v). */
void pool_weighted(size_t k, const double *w, const double *y, const double *v, double *mean,
                   double *se);

#endif
