/* SPDX-License-Identifier: Apache-2.0 */
/* Group-sequential bounds (Lan and DeMets 1983): the density of S = Z sqrt(t) on the continuation
 * region is carried from look to look by Simpson's rule. E-process: E = prod(1 + lambda (m0 - x)),
 * with lambda chosen before x is seen (Waudby-Smith and Ramdas 2024). */
#include "linalg/stats/sequential.h"

#include "linalg/special.h"

#include <math.h>
#include <stdlib.h>

static const double LOWEST_Z = -12.0;
static const double HIGHEST_Z = 40.0;
enum { ROOT_STEPS = 200, GRID_MAX = 20000 };

double spending_at(double t, double alpha, enum spending kind, double phi)
{
    t = fmin(1.0, t);
    switch (kind) {
    case SPEND_OBF:
        return 2.0 * normal_sf(normal_isf(alpha / 2.0) / sqrt(t));
    case SPEND_POCOCK:
        return alpha * log(1.0 + (M_E - 1.0) * t);
    case SPEND_POWER:
        return alpha * pow(t, phi);
    }
    return NAN;
}

/* Density of S on a grid of n points (odd), times its Simpson weights. */
struct density {
    size_t n;
    double t;
    double *s;      /* [n] */
    double *weight; /* [n] density times weight */
};

static void density_free(struct density *d)
{
    free(d->s);
    *d = (struct density){0};
}

/* P(Z at time t exceeds b, not stopped before). */
static double crossing(const struct density *d, double t, double b)
{
    double spread = sqrt(t - d->t);
    double sum = 0.0;
    for (size_t i = 0; i < d->n; i++)
        sum += d->weight[i] * normal_sf((b * sqrt(t) - d->s[i]) / spread);
    return sum;
}

/* b with crossing(b) = increment: bisection, then the secant inside the bracket (Illinois). */
static double bound_for(const struct density *d, double t, double increment)
{
    double lo = -8.0;
    double hi = HIGHEST_Z;
    double f_lo = crossing(d, t, lo) - increment;
    double f_hi = crossing(d, t, hi) - increment;
    if (f_lo <= 0.0)
        return lo;
    if (f_hi >= 0.0)
        return hi;
    /* The tail is far from linear: halve until the bracket is short. */
    while (hi - lo > 0.05) {
        double middle = 0.5 * (lo + hi);
        double f = crossing(d, t, middle) - increment;
        *(f > 0.0 ? &lo : &hi) = middle;
        *(f > 0.0 ? &f_lo : &f_hi) = f;
    }
    for (int i = 0; i < ROOT_STEPS && hi - lo > 1e-12; i++) {
        double x = (lo * f_hi - hi * f_lo) / (f_hi - f_lo);
        if (!(x > lo && x < hi))
            x = 0.5 * (lo + hi);
        double f = crossing(d, t, x) - increment;
        if (f == 0.0)
            return x;
        if (f > 0.0) {
            lo = x;
            f_lo = f;
            f_hi *= 0.5;
        } else {
            hi = x;
            f_hi = f;
            f_lo *= 0.5;
        }
    }
    return 0.5 * (lo + hi);
}

/* Grid of the continuation region at time t below bound b; false without memory. */
static int make_grid(double t, double b, double step, struct density *out)
{
    double root = sqrt(t);
    double span = (b - LOWEST_Z) / step;
    size_t n = span > 2.0 ? (size_t)fmin(span, GRID_MAX) / 2 * 2 + 1 : 3;
    out->n = n;
    out->t = t;
    out->s = calloc(n, 2 * sizeof *out->s);
    if (!out->s)
        return 0;
    out->weight = out->s + n;
    double lowest = LOWEST_Z * root;
    double width = (b * root - lowest) / (double)(n - 1);
    for (size_t i = 0; i < n; i++) {
        out->s[i] = lowest + width * (double)i;
        double simpson = i == 0 || i == n - 1 ? 1.0 : i % 2 == 1 ? 4.0 : 2.0;
        out->weight[i] = simpson * width / 3.0;
    }
    return 1;
}

/* Multiplies the weights of next by the density of S there. */
static void carry(const struct density *before, struct density *next)
{
    double spread = before->n ? sqrt(next->t - before->t) : sqrt(next->t);
    for (size_t i = 0; i < next->n; i++) {
        double f = 0.0;
        if (before->n == 0)
            f = normal_pdf(next->s[i] / spread) / spread;
        for (size_t j = 0; j < before->n; j++) {
            double z = (next->s[i] - before->s[j]) / spread;
            if (fabs(z) < 9.0) /* beyond it the density is below 1e-18 */
                f += before->weight[j] * normal_pdf(z) / spread;
        }
        next->weight[i] *= f;
    }
}

static int times_ok(size_t k, const double *times)
{
    for (size_t i = 0; i < k; i++) {
        if (!(times[i] > (i ? times[i - 1] : 0.0)) || !isfinite(times[i]))
            return 0;
    }
    return k > 0;
}

enum stat_status sequential_bounds(size_t k, const double *times, double alpha, enum spending kind,
                                   double phi, double step, double *bounds)
{
    if (k > SEQUENTIAL_LOOKS_MAX)
        return STAT_TOO_LARGE;
    if (step == 0.0)
        step = SEQUENTIAL_STEP;
    if (!times_ok(k, times) || !(alpha > 0.0 && alpha < 1.0) || !(step > 0.0) || !(phi > 0.0))
        return STAT_INVALID_INPUT;
    struct density density = {0};
    double spent = 0.0;
    enum stat_status status = STAT_OK;
    for (size_t i = 0; i < k && status == STAT_OK; i++) {
        double target = spending_at(times[i], alpha, kind, phi);
        double increment = fmax(target - spent, 1e-300);
        spent = target;
        bounds[i] = i == 0 ? normal_isf(increment) : bound_for(&density, times[i], increment);
        if (i + 1 == k)
            break;
        struct density next = {0};
        if (make_grid(times[i], bounds[i], step, &next)) {
            carry(&density, &next);
            density_free(&density);
            density = next;
        } else {
            status = STAT_NO_MEMORY;
        }
    }
    density_free(&density);
    return status;
}

int eprocess_init(struct eprocess *e, double m0, double lambda_max)
{
    if (!(m0 > 0.0 && m0 < 1.0) || !(lambda_max > 0.0 && lambda_max < 1.0))
        return 0;
    *e = (struct eprocess){
        .m0 = m0,
        .lambda_max = lambda_max,
        .max_log_e = -INFINITY,
        .sum = 0.5,
        .sum_squares = 0.25,
        .count = 1,
    };
    return 1;
}

int eprocess_push(struct eprocess *e, double x)
{
    if (!(x >= 0.0 && x <= 1.0))
        return 0;
    double mean = e->sum / (double)e->count;
    double var = e->sum_squares / (double)e->count;
    double gap = e->m0 - mean;
    double lambda = fmax(gap / fmax(var + gap * gap, 1e-9), 0.0);
    lambda = fmin(lambda, e->lambda_max / (1.0 - e->m0));
    e->log_e += log1p(lambda * (e->m0 - x));
    e->max_log_e = fmax(e->max_log_e, e->log_e);
    e->sum += x;
    e->count++;
    double off = x - e->sum / (double)e->count;
    e->sum_squares += off * off;
    return 1;
}
