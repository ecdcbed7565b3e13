/* SPDX-License-Identifier: Apache-2.0 */
/* Truncated weights: w_i = min(w_i, U), U the largest value for which the f largest of them hold at
 * most alpha of the total. Portnoy, Tirosh and Hendler, arXiv 2012.05795. */
#include "coordinator/aggregate/weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Whether, cut at u, the f largest hold at most alpha of the total. descending is sorted. */
static bool bounded(size_t n, const double *descending, size_t f, double alpha, double u)
{
    double top = 0.0;
    double total = 0.0;
    for (size_t i = 0; i < n; i++) {
        double w = fmin(descending[i], u);
        total += w;
        if (i < f)
            top += w;
    }
    return top <= alpha * total * (1.0 + 1e-12);
}

static int descending_order(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a < b) - (a > b);
}

void agg_truncate_weights(size_t n, const double *w, size_t f, double alpha, double *out)
{
    enum { BISECTIONS = 200 };
    if (n == 0 || n > AGG_ROWS_MAX)
        return;
    double sorted[AGG_ROWS_MAX];
    memcpy(sorted, w, n * sizeof *w);
    qsort(sorted, n, sizeof *sorted, descending_order);
    double low = 0.0;
    double high = sorted[0];
    if (bounded(n, sorted, f, alpha, high)) {
        low = high;
    } else {
        for (int step = 0; step < BISECTIONS; step++) {
            double middle = (low + high) / 2.0;
            if (bounded(n, sorted, f, alpha, middle))
                low = middle;
            else
                high = middle;
        }
    }
    for (size_t i = 0; i < n; i++)
        out[i] = fmin(w[i], low);
}

struct result weights_in_force(const struct agg_params *p, size_t n, double **weight,
                               struct why *why)
{
    *weight = NULL;
    if (!p->w)
        return DONE;
    double *copy = malloc(n * sizeof *copy);
    if (!copy)
        return failed(why, RESULT_SYSTEM, "no memory for %zu weights", n);
    memcpy(copy, p->w, n * sizeof *copy);
    if (p->alpha > 0.0)
        agg_truncate_weights(n, p->w, p->f, p->alpha, copy);
    double total = 0.0;
    for (size_t i = 0; i < n; i++)
        total += copy[i];
    bool trimmable = !p->has_trim_mass || 2.0 * p->trim_mass < total;
    if (!(total > 0.0) || !trimmable) {
        free(copy);
        return failed(why, RESULT_REFUSED,
                      trimmable ? "truncated to a share of %g, the weights sum to nothing"
                                : "trim_mass leaves nothing of the total weight %g",
                      trimmable ? p->alpha : total);
    }
    *weight = copy;
    return DONE;
}
