/* SPDX-License-Identifier: Apache-2.0 */
/* The two one-run bounds, each the root of a monotone test in epsilon. */
#include "privacy/audit_bound.h"

#include "privacy/normal.h"

#include <math.h>
#include <stdbool.h>

static const double EPSILON_MAX = 700;

/* Probability of so many right guesses if (epsilon, delta) held. */
static double one_run_p(const struct audit_result *a, double epsilon)
{
    double q = 1 / (1 + exp(-epsilon)), odds = -epsilon; /* ln((1-q)/q) */
    uint64_t r = a->guesses, v = a->right;
    double p = binomial_tail(r, q, v);
    if (a->delta == 0 || v == 0)
        return p;
    double sum = 0, best = 0, log_mass = binomial_log_mass(r, q, v - 1);
    for (uint64_t i = 1; i <= v; i++) { /* sum = P[v > B >= v - i] */
        uint64_t k = v - i;
        sum += exp(log_mass);
        best = fmax(best, sum / (double)i);
        if (best > 0 && 1 / (double)(i + 1) < best)
            break; /* no longer sum can beat it */
        if (k > 0)
            log_mass += log((double)k / (double)(r - k + 1)) + odds;
    }
    return fmin(1, p + 2 * (double)a->canaries * a->delta * best);
}

static bool one_run_refutes(const struct audit_result *a, double epsilon)
{
    return one_run_p(a, epsilon) < a->beta;
}

/* z with Phi(z) = p. */
static double normal_quantile(double p)
{
    if (p <= 0)
        return -HUGE_VAL;
    if (p >= 1)
        return HUGE_VAL;
    return p <= 0.5 ? -normal_tail_inverse(p) : normal_tail_inverse(1 - p);
}

/* mu of the Gaussian mechanism that is exactly (epsilon, delta). */
static double gaussian_mu(double epsilon, double delta)
{
    double low = log(1e-9), high = log(1e3);
    for (int i = 0; i < 60; i++) {
        double mid = 0.5 * (low + high);
        if (normal_delta(exp(mid), epsilon) < delta)
            low = mid;
        else
            high = mid;
    }
    return exp(low);
}

static bool gaussian_refutes(const struct audit_result *a, double epsilon)
{
    double mu = gaussian_mu(epsilon, a->delta), m = (double)a->canaries;
    double right = a->beta * (double)a->right / m;
    double wrong = a->beta * (double)(a->guesses - a->right) / m;
    for (uint64_t i = a->right; i-- > 0;) {
        double next = normal_tail(mu - normal_quantile(right));
        if (!(next > wrong))
            break; /* nothing changes from here on */
        right = fmin(1, right + (double)i / (double)(a->guesses - i) * (next - wrong));
        wrong = next;
    }
    return right + wrong > (double)a->guesses / m;
}

static double largest_refuted(const struct audit_result *a,
                              bool (*refutes)(const struct audit_result *, double))
{
    double low = 0, high = 1;
    if (!refutes(a, 0))
        return 0;
    while (high < EPSILON_MAX && refutes(a, high)) {
        low = high;
        high *= 2;
    }
    for (int i = 0; i < 60 && high - low > 1e-7; i++) {
        double mid = 0.5 * (low + high);
        if (refutes(a, mid))
            low = mid;
        else
            high = mid;
    }
    return low;
}

static bool sensible(const struct audit_result *a)
{
    return a->canaries > 0 && a->canaries <= AUDIT_CANARIES_MAX && a->guesses <= a->canaries &&
           a->right <= a->guesses && a->delta >= 0 && a->delta < 1 && a->beta > 0 && a->beta < 1;
}

int audit_bound_one_run(const struct audit_result *result, double *ret_epsilon)
{
    *ret_epsilon = 0;
    if (!sensible(result))
        return -1;
    if (result->right > 0)
        *ret_epsilon = largest_refuted(result, one_run_refutes);
    return 0;
}

int audit_bound_gaussian(const struct audit_result *result, double *ret_epsilon)
{
    *ret_epsilon = 0;
    if (!sensible(result) || !(result->delta > 0))
        return -1;
    if (result->right > 0)
        *ret_epsilon = largest_refuted(result, gaussian_refutes);
    return 0;
}
