/* SPDX-License-Identifier: Apache-2.0 */
/* Geometric medians and centered clipping in R^d, in double, by their definitions.
 *   geomedian  z <- sum b_i x_i / sum b_i, b_i = a_i / max(nu, |x_i - z|)   (smoothed Weiszfeld)
 *   clipping   v <- v + mean_i (x_i - v) min(1, tau/|x_i - v|)   (Karimireddy et al., ICML 2021) */
#include "coordinator/aggregate/order.h"
#include "coordinator/aggregate/plain.h"
#include "coordinator/aggregate/solve.h"
#include "coordinator/aggregate/solve_points.h"
#include "proto/base/cleanup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double plain_distance(size_t d, const double *x, const double *y)
{
    double square = 0.0;
    for (size_t c = 0; c < d; c++) {
        double difference = x[c] - (y ? y[c] : 0.0);
        square += difference * difference;
    }
    return sqrt(square);
}

void plain_squared_distances(const struct plain_rows *rows, double *squared)
{
    size_t n = rows->n;
    for (size_t i = 0; i < n; i++) {
        squared[i * n + i] = 0.0;
        for (size_t j = 0; j < i; j++) {
            double square = 0.0;
            for (size_t c = 0; c < rows->d; c++) {
                double difference = rows->x[i][c] - rows->x[j][c];
                square += difference * difference;
            }
            squared[i * n + j] = squared[j * n + i] = square;
        }
    }
}

void plain_combine(const struct plain_rows *rows, const double *coef, double *out)
{
    memset(out, 0, rows->d * sizeof *out);
    for (size_t i = 0; i < rows->n; i++) {
        if (coef[i] == 0.0)
            continue;
        for (size_t c = 0; c < rows->d; c++)
            out[c] += coef[i] * rows->x[i][c];
    }
}

static void start_at(const struct agg_point *point, enum agg_point_kind by_default,
                     const struct plain_rows *rows, const double *squared, const double *share,
                     double *work, double *z)
{
    enum agg_point_kind kind = point->kind == AGG_POINT_DEFAULT ? by_default : point->kind;
    switch (kind) {
    case AGG_POINT_DEFAULT:
    case AGG_POINT_ZERO:
        memset(z, 0, rows->d * sizeof *z);
        return;
    case AGG_POINT_MEAN:
        plain_combine(rows, share, z);
        return;
    case AGG_POINT_MEDOID:
        memcpy(z, rows->x[solve_medoid(rows->n, squared)], rows->d * sizeof *z);
        return;
    case AGG_POINT_MAJORITY:
        solve_majority(rows->n, squared, work);
        plain_combine(rows, work, z);
        return;
    case AGG_POINT_ROW:
        memcpy(z, rows->x[point->row], rows->d * sizeof *z);
        return;
    case AGG_POINT_GIVEN:
        memcpy(z, point->values, rows->d * sizeof *z);
        return;
    }
}

struct result plain_geomedian(enum agg_kind kind, const struct agg_params *p,
                              const struct plain_rows *rows, const double *squared, double *out,
                              double *weight, struct why *why)
{
    size_t n = rows->n;
    size_t d = rows->d;
    CLEANUP(free_pointer) double *memory = calloc(4 * n + d + 1, sizeof *memory);
    if (!memory)
        return failed(why, RESULT_SYSTEM, "no memory for a point of %zu coordinates", d);
    double *share = memory;
    double *radius = memory + n;
    double *b = memory + 2 * n;
    double *next = memory + 4 * n;
    double total = 0.0;
    for (size_t i = 0; i < n; i++)
        total += rows->weight ? rows->weight[i] : 1.0;
    for (size_t i = 0; i < n; i++)
        share[i] = (rows->weight ? rows->weight[i] : 1.0) / total;
    struct weiszfeld s = weiszfeld_schedule(kind, p);
    start_at(&p->z0, s.start, rows, squared, share, b, out);
    for (size_t turn = 0; turn < s.turns; turn++) {
        for (size_t i = 0; i < n; i++)
            radius[i] = plain_distance(d, rows->x[i], out);
        if (!(s.nu > 0.0))
            s.nu = weiszfeld_scale_free(n, radius, memory + 3 * n);
        double mass = 0.0;
        for (size_t i = 0; i < n; i++) {
            b[i] = share[i] / fmax(radius[i], s.nu);
            mass += b[i];
        }
        for (size_t i = 0; i < n; i++)
            b[i] /= mass;
        plain_combine(rows, b, next);
        double move = plain_distance(d, next, out);
        double size = s.absolute + plain_distance(d, out, NULL);
        memcpy(out, next, d * sizeof *out);
        if (move <= s.relative_stop * size)
            break;
    }
    if (weight)
        memcpy(weight, b, n * sizeof *b);
    return DONE;
}

struct result plain_centered_clipping(const struct agg_params *p, const struct plain_rows *rows,
                                      const double *squared, double *out, double *clip_factor,
                                      struct why *why)
{
    size_t n = rows->n;
    size_t d = rows->d;
    CLEANUP(free_pointer) double *memory = calloc(3 * n + d + 1, sizeof *memory);
    if (!memory)
        return failed(why, RESULT_SYSTEM, "no memory for a point of %zu coordinates", d);
    double *share = memory;
    double *factor = memory + n;
    double *next = memory + 3 * n;
    for (size_t i = 0; i < n; i++)
        share[i] = 1.0 / (double)n;
    start_at(&p->v0, AGG_POINT_ZERO, rows, squared, share, factor, out);
    double tau = p->tau;
    size_t turns = p->has_iterations ? p->iterations : 1;
    for (size_t turn = 0; turn < turns; turn++) {
        for (size_t i = 0; i < n; i++)
            factor[i] = plain_distance(d, rows->x[i], out);
        if (!p->has_tau && turn == 0) {
            memcpy(memory + 2 * n, factor, n * sizeof *factor);
            tau = order_median(n, memory + 2 * n);
        }
        memcpy(next, out, d * sizeof *next);
        for (size_t i = 0; i < n; i++) {
            factor[i] = fmin(1.0, tau / fmax(factor[i], 1e-300));
            for (size_t c = 0; c < d; c++)
                next[c] += factor[i] * (rows->x[i][c] - out[c]) / (double)n;
        }
        memcpy(out, next, d * sizeof *out);
    }
    if (clip_factor)
        memcpy(clip_factor, factor, n * sizeof *factor);
    return DONE;
}
