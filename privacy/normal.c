/* SPDX-License-Identifier: Apache-2.0 */
/* Normal and binomial tails by erfc, a scaled erfc, and direct sums. */
#include "privacy/normal.h"

#include <math.h>

double normal_tail(double z)
{
    return 0.5 * erfc(z * M_SQRT1_2);
}

double normal_mass(double a, double b)
{
    if (a >= 0)
        return normal_tail(a) - normal_tail(b);
    if (b <= 0)
        return normal_tail(-b) - normal_tail(-a);
    return 0.5 * (erf(b * M_SQRT1_2) - erf(a * M_SQRT1_2));
}

/* e^{x^2} erfc(x) for x >= 0: direct while erfc has full precision, then the asymptotic series
 * 1/(x sqrt(pi)) sum (-1)^k (2k-1)!!/(2x^2)^k (Abramowitz and Stegun 7.1.23). */
static double scaled_erfc(double x)
{
    if (x < 20)
        return exp(x * x) * erfc(x);
    double term = 1, sum = 1, y = 0.5 / (x * x);
    for (int k = 1; k < 12; k++) {
        term *= -(2 * k - 1) * y;
        sum += term;
    }
    return sum / (x * sqrt(M_PI));
}

/* ln P[Z > z]. */
static double log_tail(double z)
{
    if (z < 20)
        return log(normal_tail(z));
    return log(0.5 * scaled_erfc(z * M_SQRT1_2)) - 0.5 * z * z;
}

double normal_tail_inverse(double tail)
{
    if (tail >= 0.5)
        return 0;
    /* ln P[Z > z] is concave and P[Z > z] <= e^{-z^2/2} / 2: Newton from there never overshoots. */
    double target = log(tail), z = sqrt(-2 * (target + M_LN2));
    for (int i = 0; i < 50; i++) {
        double at = log_tail(z);
        double hazard = exp(-0.5 * z * z - at) / sqrt(2 * M_PI);
        double next = z + (at - target) / hazard;
        if (!(next < z) || z - next < 1e-11 * z)
            break;
        z = next;
    }
    return z;
}

double normal_delta(double mu, double epsilon)
{
    double a = epsilon / mu - 0.5 * mu, b = epsilon / mu + 0.5 * mu;
    /* e^eps phi(b) = phi(a), so the two tails share the factor e^{-a^2/2}. */
    double second = 0.5 * scaled_erfc(b * M_SQRT1_2);
    if (a < 0)
        return normal_tail(a) - exp(-0.5 * a * a) * second;
    double difference = 0.5 * scaled_erfc(a * M_SQRT1_2) - second;
    return difference > 0 ? exp(-0.5 * a * a) * difference : 0;
}

double normal_epsilon(double mu, double delta)
{
    if (normal_delta(mu, 0) <= delta)
        return 0;
    double low = 0, high = mu * (0.5 * mu + normal_tail_inverse(fmin(delta, 0.5)));
    while (normal_delta(mu, high) > delta)
        high = 2 * high + mu;
    for (int i = 0; i < 200 && high - low > 1e-13 * high; i++) {
        double mid = 0.5 * (low + high);
        if (normal_delta(mu, mid) > delta)
            low = mid;
        else
            high = mid;
    }
    return high * (1 + 1e-12);
}

/* ln n! - ln(sqrt(2 pi n) (n/e)^n). */
static double stirling_error(double n)
{
    if (n < 20) {
        int sign;
        return lgamma_r(n + 1, &sign) - (n + 0.5) * log(n) + n - 0.5 * log(2 * M_PI);
    }
    double r = 1 / (n * n);
    return (1.0 / 12 - r * (1.0 / 360 - r * (1.0 / 1260 - r * (1.0 / 1680)))) / n;
}

/* x ln(x/m) + m - x, by its series in v = (x-m)/(x+m) when x is near m. */
static double deviance(double x, double m)
{
    if (fabs(x - m) >= 0.1 * (x + m))
        return x * log(x / m) + m - x;
    double v = (x - m) / (x + m), term = 2 * x * v, sum = (x - m) * v;
    for (int j = 1; j < 60; j++) {
        term *= v * v;
        double next = sum + term / (2 * j + 1);
        if (next == sum)
            break;
        sum = next;
    }
    return sum;
}

/* Loader 2000, Fast and Accurate Computation of Binomial Probabilities. */
double binomial_log_mass(uint64_t n, double p, uint64_t k)
{
    double a = (double)n, b = (double)k, c = a - b;
    if (k == 0)
        return a * log1p(-p);
    if (k == n)
        return a * log(p);
    return stirling_error(a) - stirling_error(b) - stirling_error(c) - deviance(b, a * p) -
           deviance(c, a * (1 - p)) + 0.5 * log(a / (2 * M_PI * b * c));
}

/* sum_{i=k}^{n} of the mass, valid when k is above the mean: terms fall. */
static double upper_sum(uint64_t n, double p, uint64_t k)
{
    double term = exp(binomial_log_mass(n, p, k)), sum = 0, odds = p / (1 - p);
    for (uint64_t i = k; i <= n; i++) {
        sum += term;
        if (term < 1e-18 * sum)
            break;
        term *= (double)(n - i) / (double)(i + 1) * odds;
    }
    return sum;
}

/* sum_{i=0}^{k} of the mass, valid when k is below the mean. */
static double lower_sum(uint64_t n, double p, uint64_t k)
{
    double term = exp(binomial_log_mass(n, p, k)), sum = 0, odds = (1 - p) / p;
    for (uint64_t i = k;; i--) {
        sum += term;
        if (i == 0 || term < 1e-18 * sum)
            break;
        term *= (double)i / (double)(n - i + 1) * odds;
    }
    return sum;
}

double binomial_tail(uint64_t n, double p, uint64_t k)
{
    if (k == 0 || p >= 1)
        return k <= n ? 1 : 0;
    if (k > n || p <= 0)
        return 0;
    if ((double)k > (double)n * p)
        return fmin(1, upper_sum(n, p, k));
    return fmax(0, 1 - lower_sum(n, p, k - 1));
}
