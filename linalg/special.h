/* SPDX-License-Identifier: Apache-2.0 */
/* Distribution functions and their inverses in double; NaN in or an impossible parameter, NaN out.
 */
#ifndef CONSILIUM_LINALG_SPECIAL_H
#define CONSILIUM_LINALG_SPECIAL_H

/* Natural log of the gamma function, x > 0; thread-safe unlike lgamma. */
double log_gamma(double x);

/* 1/(1+exp(-x)), no overflow for any x. */
double expit(double x);

/* log(p/(1-p)); -inf at 0, +inf at 1. */
double logit(double p);

/* Standard normal: density, P(Z <= x), P(Z > x). Relative accuracy holds in the far tails. */
double normal_pdf(double x);
double normal_cdf(double x);
double normal_sf(double x);

/* x with P(Z <= x) = p, and x with P(Z > x) = p; +-inf at the ends of [0,1]. */
double normal_ppf(double p);
double normal_isf(double p);

/* Regularised incomplete gamma: P(a,x) and Q(a,x) = 1 - P(a,x), a > 0, x >= 0. */
double gamma_p(double a, double x);
double gamma_q(double a, double x);

/* Regularised incomplete beta I_x(a,b), a, b > 0, x in [0,1]; y must be 1 - x, given apart so that
 * neither end loses digits. */
double beta_inc(double a, double b, double x, double y);

/* x with I_x(a,b) = p. */
double beta_ppf(double p, double a, double b);

/* Chi-square with df > 0: P(X > x), and its inverse. */
double chi2_sf(double x, double df);
double chi2_isf(double p, double df);

/* Student t with real df > 0: P(T > t), and its inverse for p in [0,1]. */
double t_sf(double t, double df);
double t_isf(double p, double df);

/* P(sup |Brownian bridge| > x): the asymptotic two-sample Kolmogorov-Smirnov tail. */
double kolmogorov_sf(double x);

#endif
