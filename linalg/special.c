/* SPDX-License-Identifier: Apache-2.0 */
/* Distribution functions: erfc from libm; incomplete gamma and beta by power series and continued
 * fractions (modified Lentz, Abramowitz and Stegun 6.5.29, 6.5.31, 26.5.8); the normal quantile by
 * Wichura's rational approximation (algorithm AS 241, PPND16) with one Halley step. */
#include "linalg/special.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>

enum { MAX_TERMS = 20000, MAX_ROOT_STEPS = 400 };

double log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

double expit(double x)
{
    if (x >= 0.0)
        return 1.0 / (1.0 + exp(-x));
    double e = exp(x);
    return e / (1.0 + e);
}

double logit(double p)
{
    return log(p / (1.0 - p));
}

double normal_pdf(double x)
{
    return exp(-0.5 * x * x) * 0.398942280401432677939946;
}

double normal_cdf(double x)
{
    return 0.5 * erfc(-x * M_SQRT1_2);
}

double normal_sf(double x)
{
    return 0.5 * erfc(x * M_SQRT1_2);
}

static double horner(const double *c, int degree, double x)
{
    double sum = c[degree];
    for (int i = degree - 1; i >= 0; i--)
        sum = sum * x + c[i];
    return sum;
}

/* AS 241: |p - 1/2| <= .425, then two regions of r = sqrt(-log(min(p, 1-p))). */
static double normal_ppf_start(double p)
{
    static const double A[] = {3.3871328727963666080e0,  1.3314166789178437745e+2,
                               1.9715909503065514427e+3, 1.3731693765509461125e+4,
                               4.5921953931549871457e+4, 6.7265770927008700853e+4,
                               3.3430575583588128105e+4, 2.5090809287301226727e+3};
    static const double B[] = {1.0,
                               4.2313330701600911252e+1,
                               6.8718700749205790830e+2,
                               5.3941960214247511077e+3,
                               2.1213794301586595867e+4,
                               3.9307895800092710610e+4,
                               2.8729085735721942674e+4,
                               5.2264952788528545610e+3};
    static const double C[] = {1.42343711074968357734e0,  4.63033784615654529590e0,
                               5.76949722146069140550e0,  3.64784832476320460504e0,
                               1.27045825245236838258e0,  2.41780725177450611770e-1,
                               2.27238449892691845833e-2, 7.74545014278341407640e-4};
    static const double D[] = {1.0,
                               2.05319162663775882187e0,
                               1.67638483018380384940e0,
                               6.89767334985100004550e-1,
                               1.48103976427480074590e-1,
                               1.51986665636164571966e-2,
                               5.47593808499534494600e-4,
                               1.05075007164441684324e-9};
    static const double E[] = {6.65790464350110377720e0,  5.46378491116411436990e0,
                               1.78482653991729133580e0,  2.96560571828504891230e-1,
                               2.65321895265761230930e-2, 1.24266094738807843860e-3,
                               2.71155556874348757815e-5, 2.01033439929228813265e-7};
    static const double F[] = {1.0,
                               5.99832206555887937690e-1,
                               1.36929880922735805310e-1,
                               1.48753612908506148525e-2,
                               7.86869131145613259100e-4,
                               1.84631831751005468180e-5,
                               1.42151175831644588870e-7,
                               2.04426310338993978564e-15};
    double q = p - 0.5;
    if (fabs(q) <= 0.425) {
        double r = 0.180625 - q * q;
        return q * horner(A, 7, r) / horner(B, 7, r);
    }
    double r = sqrt(-log(q < 0.0 ? p : 1.0 - p));
    double x = r <= 5.0 ? horner(C, 7, r - 1.6) / horner(D, 7, r - 1.6)
                        : horner(E, 7, r - 5.0) / horner(F, 7, r - 5.0);
    return q < 0.0 ? -x : x;
}

double normal_ppf(double p)
{
    if (!(p >= 0.0 && p <= 1.0))
        return NAN;
    if (p == 0.0)
        return -INFINITY;
    if (p == 1.0)
        return INFINITY;
    double x = normal_ppf_start(p);
    double density = normal_pdf(x);
    if (density < DBL_MIN)
        return x;
    double u = (normal_cdf(x) - p) / density;
    return x - u / (1.0 + 0.5 * x * u);
}

double normal_isf(double p)
{
    return -normal_ppf(p);
}

/* P(a,x) by its power series, for x < a + 1. */
static double gamma_series(double a, double x)
{
    double term = 1.0 / a;
    double sum = term;
    for (int k = 1; k < MAX_TERMS; k++) {
        term *= x / (a + k);
        sum += term;
        if (term < sum * DBL_EPSILON * 0.25)
            break;
    }
    return sum * exp(a * log(x) - x - log_gamma(a));
}

/* Q(a,x) by its continued fraction, for x >= a + 1. */
static double gamma_fraction(double a, double x)
{
    const double tiny = 1e-300;
    double b = x + 1.0 - a;
    double c = 1.0 / tiny;
    double d = 1.0 / b;
    double h = d;
    for (int k = 1; k < MAX_TERMS; k++) {
        double an = -k * (k - a);
        b += 2.0;
        d = an * d + b;
        d = fabs(d) < tiny ? tiny : d;
        c = b + an / c;
        c = fabs(c) < tiny ? tiny : c;
        d = 1.0 / d;
        h *= d * c;
        if (fabs(d * c - 1.0) < DBL_EPSILON)
            break;
    }
    return h * exp(a * log(x) - x - log_gamma(a));
}

double gamma_p(double a, double x)
{
    if (!(a > 0.0) || !(x >= 0.0) || isinf(a))
        return NAN;
    if (x == 0.0)
        return 0.0;
    if (isinf(x))
        return 1.0;
    return x < a + 1.0 ? gamma_series(a, x) : 1.0 - gamma_fraction(a, x);
}

double gamma_q(double a, double x)
{
    if (!(a > 0.0) || !(x >= 0.0) || isinf(a))
        return NAN;
    if (x == 0.0)
        return 1.0;
    if (isinf(x))
        return 0.0;
    return x < a + 1.0 ? 1.0 - gamma_series(a, x) : gamma_fraction(a, x);
}

static double beta_fraction(double a, double b, double x)
{
    const double tiny = 1e-300;
    double c = 1.0;
    double d = 1.0 - (a + b) * x / (a + 1.0);
    d = fabs(d) < tiny ? tiny : d;
    d = 1.0 / d;
    double h = d;
    for (int m = 1; m < MAX_TERMS; m++) {
        double even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        for (int half = 0; half < 2; half++) {
            double an = half == 0 ? even : odd;
            d = 1.0 + an * d;
            d = fabs(d) < tiny ? tiny : d;
            c = 1.0 + an / c;
            c = fabs(c) < tiny ? tiny : c;
            d = 1.0 / d;
            h *= d * c;
        }
        if (fabs(d * c - 1.0) < DBL_EPSILON)
            break;
    }
    return h;
}

double beta_inc(double a, double b, double x, double y)
{
    if (!(a > 0.0) || !(b > 0.0) || !(x >= 0.0) || !(y >= 0.0) || isinf(a) || isinf(b))
        return NAN;
    if (x == 0.0)
        return 0.0;
    if (y == 0.0)
        return 1.0;
    double front = exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log(y));
    if (x < (a + 1.0) / (a + b + 2.0))
        return front * beta_fraction(a, b, x) / a;
    return 1.0 - front * beta_fraction(b, a, y) / b;
}

double chi2_sf(double x, double df)
{
    if (!(df > 0.0) || isnan(x))
        return NAN;
    return x <= 0.0 ? 1.0 : gamma_q(0.5 * df, 0.5 * x);
}

double t_sf(double t, double df)
{
    if (!(df > 0.0) || isnan(t))
        return NAN;
    if (isinf(df))
        return normal_sf(t);
    if (isinf(t))
        return t > 0.0 ? 0.0 : 1.0;
    double tail = 0.5 * beta_inc(0.5 * df, 0.5, df / (df + t * t), t * t / (df + t * t));
    return t >= 0.0 ? tail : 1.0 - tail;
}

static double chi2_pdf(double x, double df)
{
    double a = 0.5 * df;
    return 0.5 * exp((a - 1.0) * log(0.5 * x) - 0.5 * x - log_gamma(a));
}

static double t_pdf(double t, double df)
{
    return exp(log_gamma(0.5 * (df + 1.0)) - log_gamma(0.5 * df) - 0.5 * log(df * M_PI) -
               0.5 * (df + 1.0) * log1p(t * t / df));
}

/* x >= 0 with sf(x) = p for a decreasing sf: doubling, then Newton kept inside the bracket. */
static double inverse_sf(double p, double df, double start, double (*sf)(double, double),
                         double (*pdf)(double, double))
{
    double lo = 0.0;
    double hi = start > 1.0 ? start : 1.0;
    while (sf(hi, df) > p && hi < DBL_MAX / 4.0) {
        lo = hi;
        hi *= 2.0;
    }
    double x = start > lo && start < hi ? start : 0.5 * (lo + hi);
    for (int i = 0; i < MAX_ROOT_STEPS; i++) {
        double excess = sf(x, df) - p;
        if (excess > 0.0)
            lo = x;
        else
            hi = x;
        double next = x + excess / pdf(x, df);
        if (!(next > lo && next < hi))
            next = 0.5 * (lo + hi);
        if (fabs(next - x) <= 4.0 * DBL_EPSILON * fabs(next) || hi - lo <= DBL_EPSILON * hi)
            return next;
        x = next;
    }
    return x;
}

double chi2_isf(double p, double df)
{
    if (!(df > 0.0) || !(p >= 0.0 && p <= 1.0))
        return NAN;
    if (p == 0.0)
        return INFINITY;
    if (p == 1.0)
        return 0.0;
    /* Wilson and Hilferty's cube as the start. */
    double c = 2.0 / (9.0 * df);
    double cube = 1.0 - c + normal_isf(p) * sqrt(c);
    double start = cube > 0.0 ? df * cube * cube * cube : 0.5 * df;
    return inverse_sf(p, df, start, chi2_sf, chi2_pdf);
}

double t_isf(double p, double df)
{
    if (!(df > 0.0) || !(p >= 0.0 && p <= 1.0))
        return NAN;
    if (isinf(df))
        return normal_isf(p);
    if (p == 0.5)
        return 0.0;
    if (p > 0.5)
        return -t_isf(1.0 - p, df);
    if (p == 0.0)
        return INFINITY;
    return inverse_sf(p, df, normal_isf(p), t_sf, t_pdf);
}

double beta_ppf(double p, double a, double b)
{
    if (!(a > 0.0) || !(b > 0.0) || !(p >= 0.0 && p <= 1.0))
        return NAN;
    double lo = 0.0;
    double hi = 1.0;
    for (int i = 0; i < MAX_ROOT_STEPS && hi - lo > DBL_EPSILON * hi; i++) {
        double x = 0.5 * (lo + hi);
        if (beta_inc(a, b, x, 1.0 - x) < p)
            lo = x;
        else
            hi = x;
    }
    return p == 0.0 ? 0.0 : hi;
}

double kolmogorov_sf(double x)
{
    if (isnan(x))
        return NAN;
    if (x <= 0.0)
        return 1.0;
    if (x < 0.82) {
        /* Jacobi's form converges where the alternating series does not. */
        double sum = 0.0;
        for (int k = 1; k <= 9; k += 2)
            sum += exp(-k * k * M_PI * M_PI / (8.0 * x * x));
        return 1.0 - sqrt(2.0 * M_PI) / x * sum;
    }
    double sum = 0.0;
    double sign = 1.0;
    for (int k = 1; k <= 20; k++) {
        double term = exp(-2.0 * k * k * x * x);
        sum += sign * term;
        sign = -sign;
        if (term < 1e-20 * sum)
            break;
    }
    return 2.0 * sum;
}
