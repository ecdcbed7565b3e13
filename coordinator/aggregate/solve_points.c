/* SPDX-License-Identifier: Apache-2.0 */
/* Geometric medians and centered clipping in Gram form: a point is z = sum c_k p_k with sum c = 1,
 *   |p_i - z|^2 = G_ii - 2 (G c)_i + c'G c,
 * so that an iteration costs m^2 and no pass over the data. */
#include "coordinator/aggregate/solve_points.h"

#include "coordinator/aggregate/order.h"
#include "coordinator/aggregate/solve.h"
#include "proto/base/cleanup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Stands for a nu of zero: a row at the very point then outweighs all others, as in the limit. */
static const double NU_LEAST = 1e-300;

struct weiszfeld weiszfeld_schedule(enum agg_kind kind, const struct agg_params *p)
{
    switch (kind) {
    case AGG_GEOMEDIAN_CONVERGED:
        return (struct weiszfeld){AGG_POINT_MEAN, 1e-12, 10000, 1e-13, 1.0};
    case AGG_GEOMEDIAN_SMOOTHED:
    case AGG_WEIGHTED_GEOMEDIAN_SMOOTHED:
        return (struct weiszfeld){AGG_POINT_ZERO, p->has_nu ? fmax(p->nu, NU_LEAST) : 0.1,
                                  p->has_iterations ? p->iterations : 3, -1.0, 0.0};
    default:
        /* A row itself is no start: its distance of zero would hold the iteration there. */
        return (struct weiszfeld){AGG_POINT_MAJORITY, p->has_nu ? fmax(p->nu, NU_LEAST) : 0.0,
                                  p->has_iterations ? p->iterations : 32,
                                  p->has_iterations ? -1.0 : 1e-5, 0.0};
    }
}

double weiszfeld_scale_free(size_t n, const double *radius, double *work)
{
    memcpy(work, radius, n * sizeof *work);
    return fmax(1e-6 * order_median(n, work), 1e-300);
}

/* Squared distances of the n rows, [n][n]; NULL when memory is short. */
static double *squared_distances(const struct solve_cloud *cloud)
{
    size_t n = cloud->n;
    size_t m = cloud->m;
    const double *g = cloud->gram;
    double *squared = calloc(n * n, sizeof *squared);
    for (size_t i = 0; squared && i < n; i++)
        for (size_t j = 0; j < i; j++)
            squared[i * n + j] = squared[j * n + i] =
                fmax(0.0, g[i * m + i] + g[j * m + j] - 2.0 * g[i * m + j]);
    return squared;
}

static struct result start_at(const struct agg_point *point, enum agg_point_kind by_default,
                              const struct solve_cloud *cloud, const double *share, double *c,
                              struct why *why)
{
    enum agg_point_kind kind = point->kind == AGG_POINT_DEFAULT ? by_default : point->kind;
    memset(c, 0, cloud->m * sizeof *c);
    switch (kind) {
    case AGG_POINT_DEFAULT:
    case AGG_POINT_ZERO:
        c[cloud->origin] = 1.0;
        return DONE;
    case AGG_POINT_MEAN:
        memcpy(c, share, cloud->n * sizeof *c);
        return DONE;
    case AGG_POINT_ROW:
        c[point->row] = 1.0;
        return DONE;
    case AGG_POINT_GIVEN:
        c[cloud->given] = 1.0;
        return DONE;
    case AGG_POINT_MEDOID:
    case AGG_POINT_MAJORITY:
        break;
    }
    CLEANUP(free_pointer) double *squared = squared_distances(cloud);
    if (!squared)
        return failed(why, RESULT_SYSTEM, "no memory for the distances of %zu rows", cloud->n);
    if (kind == AGG_POINT_MEDOID)
        c[solve_medoid(cloud->n, squared)] = 1.0;
    else
        solve_majority(cloud->n, squared, c);
    return DONE;
}

/* image = G c; returns c'G c. */
static double apply(const struct solve_cloud *cloud, const double *c, double *image)
{
    size_t m = cloud->m;
    double form = 0.0;
    for (size_t i = 0; i < m; i++) {
        double sum = 0.0;
        for (size_t j = 0; j < m; j++)
            sum += cloud->gram[i * m + j] * c[j];
        image[i] = sum;
        form += c[i] * sum;
    }
    return form;
}

/* Distances of the n rows from z; image = G c and form = c'G c. */
static void distances(const struct solve_cloud *cloud, const double *image, double form,
                      double *radius)
{
    for (size_t i = 0; i < cloud->n; i++)
        radius[i] = sqrt(fmax(0.0, cloud->gram[i * cloud->m + i] - 2.0 * image[i] + form));
}

struct result solve_geomedian(enum agg_kind kind, const struct agg_params *p,
                              const struct solve_cloud *cloud, double *c, struct why *why)
{
    size_t n = cloud->n;
    size_t m = cloud->m;
    CLEANUP(free_pointer) double *memory = calloc(6 * m, sizeof *memory);
    if (!memory)
        return failed(why, RESULT_SYSTEM, "no memory for %zu points", m);
    double *share = memory;
    double *radius = memory + m;
    double *image = memory + 2 * m;
    double *next = memory + 3 * m;
    double *step = memory + 4 * m;
    double total = 0.0;
    for (size_t i = 0; i < n; i++)
        total += cloud->weight ? cloud->weight[i] : 1.0;
    for (size_t i = 0; i < n; i++)
        share[i] = (cloud->weight ? cloud->weight[i] : 1.0) / total;
    struct weiszfeld s = weiszfeld_schedule(kind, p);
    TRY(start_at(&p->z0, s.start, cloud, share, c, why));
    double form = apply(cloud, c, image);
    for (size_t turn = 0; turn < s.turns; turn++) {
        distances(cloud, image, form, radius);
        if (!(s.nu > 0.0))
            s.nu = weiszfeld_scale_free(n, radius, step);
        double mass = 0.0;
        for (size_t i = 0; i < n; i++) {
            next[i] = share[i] / fmax(radius[i], s.nu);
            mass += next[i];
        }
        for (size_t i = 0; i < m; i++) {
            next[i] = i < n ? next[i] / mass : 0.0;
            step[i] = next[i] - c[i];
        }
        double size = 0.0;
        if (s.relative_stop >= 0.0) {
            size_t o = cloud->origin;
            size = s.absolute + sqrt(fmax(0.0, cloud->gram[o * m + o] - 2.0 * image[o] + form));
        }
        double move = sqrt(fmax(0.0, apply(cloud, step, memory + 5 * m)));
        memcpy(c, next, m * sizeof *c);
        form = apply(cloud, c, image);
        if (move <= s.relative_stop * size)
            break;
    }
    return DONE;
}

struct result solve_centered_clipping(const struct agg_params *p, const struct solve_cloud *cloud,
                                      double *c, double *clip_factor, struct why *why)
{
    size_t n = cloud->n;
    size_t m = cloud->m;
    CLEANUP(free_pointer) double *memory = calloc(4 * m, sizeof *memory);
    if (!memory)
        return failed(why, RESULT_SYSTEM, "no memory for %zu points", m);
    double *share = memory;
    double *factor = memory + m;
    double *image = memory + 2 * m;
    for (size_t i = 0; i < n; i++)
        share[i] = 1.0 / (double)n;
    TRY(start_at(&p->v0, AGG_POINT_ZERO, cloud, share, c, why));
    double tau = p->tau;
    size_t turns = p->has_iterations ? p->iterations : 1;
    for (size_t turn = 0; turn < turns; turn++) {
        double form = apply(cloud, c, image);
        distances(cloud, image, form, factor);
        if (!p->has_tau && turn == 0) {
            memcpy(memory + 3 * m, factor, n * sizeof *factor);
            tau = order_median(n, memory + 3 * m);
        }
        double mass = 0.0;
        for (size_t i = 0; i < n; i++) {
            factor[i] = fmin(1.0, tau / fmax(factor[i], 1e-300));
            mass += factor[i] / (double)n;
        }
        for (size_t k = 0; k < m; k++)
            c[k] *= 1.0 - mass;
        for (size_t i = 0; i < n; i++)
            c[i] += factor[i] / (double)n;
    }
    if (clip_factor)
        memcpy(clip_factor, factor, n * sizeof *factor);
    return DONE;
}
