/* SPDX-License-Identifier: Apache-2.0 */
/* Rules from norms and covariance: adaptive robust clipping, FLTrust, CAF, DnC. */
#include "coordinator/aggregate/eigen.h"
#include "coordinator/aggregate/order.h"
#include "coordinator/aggregate/solve.h"
#include "proto/base/cleanup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool solve_arc(size_t n, const double *norm, size_t f, double *factor)
{
    CLEANUP(free_pointer) struct keyed *work = malloc(n * sizeof *work);
    if (!work)
        return false;
    for (size_t i = 0; i < n; i++)
        work[i] = (struct keyed){norm[i], (uint32_t)i};
    order_keyed(n, work);
    size_t clipped = 2 * f * (n - f) / n;
    double threshold = work[n - clipped - 1].value;
    for (size_t i = 0; i < n; i++)
        factor[i] = norm[i] > threshold ? threshold / norm[i] : 1.0;
    return true;
}

void solve_fltrust(size_t n, const double *norm, const double *inner, double g0_norm, double *coef)
{
    double total = 0.0;
    for (size_t i = 0; i < n; i++) {
        double product = norm[i] * g0_norm;
        double trust = product > 0.0 ? fmax(0.0, inner[i] / product) : 0.0;
        coef[i] = trust > 0.0 ? trust / norm[i] * g0_norm : 0.0;
        total += trust;
    }
    for (size_t i = 0; i < n; i++)
        coef[i] = total > 0.0 ? coef[i] / total : 0.0;
}

/* The state of one CAF run: gram and scaled are [n][n], the rest [n]. */
struct caf {
    size_t n;
    double *gram;
    double *scaled;
    double *c;
    double *best_c;
    double *direction;
    double *tau;
};

static double sum_of(size_t n, const double *x)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

/* Largest eigenvalue of sum c z z'/sum c, and tau_i = <z_i, u>^2 with u its eigenvector. */
static bool spread(struct caf *s, double total, double *lambda)
{
    size_t n = s->n;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            s->scaled[i * n + j] =
                sqrt(s->c[i] / total) * sqrt(s->c[j] / total) * s->gram[i * n + j];
    if (!eigen_top(n, s->scaled, lambda, s->direction))
        return false;
    for (size_t i = 0; i < n; i++)
        s->direction[i] *= sqrt(s->c[i] / total);
    double square = 0.0;
    for (size_t i = 0; i < n; i++) {
        double inner = 0.0;
        for (size_t j = 0; j < n; j++)
            inner += s->gram[i * n + j] * s->direction[j];
        s->tau[i] = inner;
        square += s->direction[i] * inner;
    }
    double length = sqrt(fmax(square, 0.0));
    for (size_t i = 0; i < n; i++) {
        double projection = length > 0.0 ? s->tau[i] / length : 0.0;
        s->tau[i] = projection * projection;
    }
    return true;
}

/* c_i <- c_i (1 - tau_i/max tau), the maximum over rows that still count. */
static bool down_weight(struct caf *s)
{
    double most = 0.0;
    for (size_t i = 0; i < s->n; i++)
        if (s->c[i] > 0.0)
            most = fmax(most, s->tau[i]);
    if (!(most > 0.0))
        return false;
    for (size_t i = 0; i < s->n; i++)
        s->c[i] = s->c[i] > 0.0 ? s->c[i] * fmax(0.0, 1.0 - s->tau[i] / most) : 0.0;
    return true;
}

struct result solve_caf(size_t n, size_t f, solve_centred_gram *centred, void *context,
                        const double *weight, double *coef, struct agg_explain *explain,
                        struct why *why)
{
    CLEANUP(free_pointer) double *memory = calloc(2 * n * n + 4 * n, sizeof *memory);
    if (!memory)
        return failed(why, RESULT_SYSTEM, "no memory for caf on %zu rows", n);
    double *rest = memory + 2 * n * n;
    struct caf s = {n, memory, memory + n * n, rest, rest + n, rest + 2 * n, rest + 3 * n};
    for (size_t i = 0; i < n; i++)
        s.c[i] = s.best_c[i] = 1.0;
    double best = INFINITY;
    /* Each turn sets at least one weight to 0, so there are at most n. */
    for (size_t turn = 0; turn <= n; turn++) {
        double total = sum_of(n, s.c);
        if (turn > 0 && total <= (double)(n - 2 * f))
            break;
        if (!(total > 0.0))
            break;
        double lambda = 0.0;
        centred(context, s.c, s.gram);
        if (!spread(&s, total, &lambda))
            return failed(why, RESULT_SYSTEM, "no memory for an eigenvector");
        if (lambda < best) {
            best = lambda;
            memcpy(s.best_c, s.c, n * sizeof *s.c);
        }
        if (lambda <= 1e-300 || !down_weight(&s))
            break;
    }
    double total = 0.0;
    for (size_t i = 0; i < n; i++) {
        coef[i] = s.best_c[i] * (weight ? weight[i] : 1.0);
        total += coef[i];
        if (explain)
            explain->caf_weight[i] = s.best_c[i];
    }
    if (!(total > 0.0))
        return failed(why, RESULT_REFUSED, "the rows that caf kept weigh nothing");
    for (size_t i = 0; i < n; i++)
        coef[i] /= total;
    return DONE;
}

struct result solve_dnc(size_t n, size_t f, double filter_frac, double *gram, const double *weight,
                        double *coef, struct why *why)
{
    CLEANUP(free_pointer) double *vector = calloc(n, sizeof *vector);
    CLEANUP(free_pointer) bool *kept = calloc(n, sizeof *kept);
    CLEANUP(free_pointer) struct keyed *work = calloc(n, sizeof *work);
    double lambda = 0.0;
    if (!vector || !kept || !work || !eigen_top(n, gram, &lambda, vector))
        return failed(why, RESULT_SYSTEM, "no memory for dnc on %zu rows", n);
    double wanted = filter_frac * (double)f;
    size_t dropped = wanted < (double)n ? (size_t)wanted : n - 1;
    for (size_t i = 0; i < n; i++)
        work[i] = (struct keyed){vector[i] * vector[i], (uint32_t)i};
    order_keyed(n, work);
    for (size_t k = 0; k + dropped < n; k++)
        kept[work[k].index] = true;
    return solve_average(n, kept, weight, coef, why);
}
