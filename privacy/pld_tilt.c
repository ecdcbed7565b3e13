/* SPDX-License-Identifier: Apache-2.0 */
/* Tilting: with K_i(t) = ln E e^{t L_i}, t minimises (sum T_i K_i(t) - ln delta) / t (t + 1 is the
 * best Renyi order), or sum T_i K_i(t) - t epsilon when delta is asked. The tilted sum lies below U
 * except for mass e^{-c} when (sum T_i (K_i(t + l) - K_i(t)) + c) / l = U for any l > 0 (Chernoff),
 * and likewise from below; c = -ln cut. Splitting a bin of width h at fraction f adds variance
 * h^2 f (1-f), hence about t (t+1)/2 h^2 f (1-f) to K. */
#include "privacy/pld_tilt.h"

#include <math.h>

static const double LOG_THETA_MIN = -9.2;
/* Most that a tilt changes from one grid point to the next, in nats: more resolves nothing. */
static const double STEP_MAX = 1;

struct search {
    const struct pld_part *parts;
    size_t count;
    const struct pld_goal *goal;
    double theta, total; /* for the range: the tilt and its sum T K */
    double sign;         /* +1 upper end, -1 lower end */
    double log_max;      /* largest ln theta */
    double full;         /* sum T K at theta on the full grids */
};

/* ln E e^{theta L} in a group, from two points at mean +- spread. */
static double group_exponent(const struct pld *pld, size_t g, double theta)
{
    double x = fabs(theta) * pld->group_spread[g];
    double log_cosh = x < 0.1 ? x * x * (0.5 - x * x / 12) : x + log1p(exp(-2 * x)) - M_LN2;
    return theta * pld->group_loss[g] + log_cosh;
}

/* ln sum over the summary of weight e^{theta loss}. */
static double group_moment(const struct pld *pld, const double *weight, double theta)
{
    double exponent[PLD_COARSE], top = -HUGE_VAL, sum = 0;
    for (size_t g = 0; g < pld->groups; g++) {
        if (!(weight[g] > 0))
            continue;
        exponent[g] = group_exponent(pld, g, theta);
        top = fmax(top, exponent[g]);
    }
    for (size_t g = 0; g < pld->groups; g++) {
        if (weight[g] > 0)
            sum += weight[g] * exp(exponent[g] - top);
    }
    return sum > 0 ? top + log(sum) : -HUGE_VAL;
}

static double sum_moment(const struct search *s, double theta)
{
    double total = 0;
    for (size_t i = 0; i < s->count; i++) {
        const struct pld *pld = s->parts[i].pld;
        total += s->parts[i].runs * group_moment(pld, pld->group_mass, theta);
    }
    return total;
}

static double tilt_cost(const struct search *s, double log_theta)
{
    double theta = exp(log_theta), total = sum_moment(s, theta);
    if (s->goal->at_delta)
        return (total - s->goal->value) / theta;
    return total - theta * s->goal->value;
}

static double range_cost(const struct search *s, double log_step)
{
    double step = exp(log_step);
    return (sum_moment(s, s->theta + s->sign * step) - s->total - log(s->goal->cut)) / step;
}

/* Minimiser of a quasi-convex function. */
static double golden(double (*cost)(const struct search *, double), const struct search *s,
                     double a, double b)
{
    const double r = 0.61803398874989484820;
    double c = b - r * (b - a), d = a + r * (b - a);
    double fc = cost(s, c), fd = cost(s, d);
    while (b - a > 1e-3) {
        if (fc <= fd) {
            b = d;
            d = c;
            fd = fc;
            c = b - r * (b - a);
            fc = cost(s, c);
        } else {
            a = c;
            c = d;
            fc = fd;
            d = a + r * (b - a);
            fd = cost(s, d);
        }
    }
    return 0.5 * (a + b);
}

void pld_tilted(const struct pld *pld, double theta, double shift, size_t from, size_t n,
                double *out)
{
    double h = pld->grid, start = (double)(pld->low + (long)from) * h;
    double step = theta * h;
    for (size_t i = 0; i < n; i++)
        out[i] = 0;
    if (fabs(step) * (double)n > 300) {
        for (size_t i = 0; i < n; i++) {
            double m = pld->mass[from + i];
            if (m > 0)
                out[i] = exp(log(m) + theta * (start + (double)i * h) - shift);
        }
        return;
    }
    /* e^{theta loss} by one exp a block and a product of exact powers of two steps. */
    double power[PLD_BLOCK];
    double e1 = exp(step);
    power[0] = 1;
    for (size_t i = 1; i < n; i++)
        power[i] = i % 2 == 0 ? power[i / 2] * power[i / 2] : power[i - 1] * e1;
    double base = exp(fmin(theta * start - shift, 700));
    for (size_t i = 0; i < n; i++)
        out[i] = pld->mass[from + i] * power[i] * base;
}

/* About the answer of pld_log_moment, near enough that nothing overflows. */
static double moment_scale(const struct pld *pld, double theta)
{
    double width = (double)pld->count * pld->grid / PLD_COARSE, top = -HUGE_VAL;
    if (fabs(theta) * width < 200)
        return group_moment(pld, pld->group_mass, theta);
    for (size_t i = 0; i < pld->count; i++) {
        if (pld->mass[i] > 0)
            top = fmax(top, log(pld->mass[i]) + theta * (double)(pld->low + (long)i) * pld->grid);
    }
    return top;
}

double pld_log_moment(const struct pld *pld, double theta)
{
    double shift = moment_scale(pld, theta), sum = 0, block[PLD_BLOCK];
    if (!isfinite(shift))
        return -HUGE_VAL;
    for (size_t i = 0; i < pld->count; i += PLD_BLOCK) {
        size_t n = pld->count - i < PLD_BLOCK ? pld->count - i : PLD_BLOCK;
        double part = 0;
        pld_tilted(pld, theta, shift, i, n, block);
        for (size_t k = 0; k < n; k++)
            part += block[k];
        sum += part;
    }
    return shift + log(sum);
}

static double full_moment(const struct search *s, double theta)
{
    double total = 0;
    for (size_t i = 0; i < s->count; i++)
        total += s->parts[i].runs * pld_log_moment(s->parts[i].pld, theta);
    return total;
}

/* One end of the range: the step comes from the summaries, the bound from the full grids. */
static double range_end(struct search *s, double sign)
{
    double extreme = 0;
    for (size_t i = 0; i < s->count; i++) {
        const struct pld *pld = s->parts[i].pld;
        long at = sign > 0 ? pld->low + (long)pld->count - 1 : pld->low;
        extreme += s->parts[i].runs * (double)at * pld->grid;
    }
    s->sign = sign;
    s->total = sum_moment(s, s->theta);
    double step = exp(golden(range_cost, s, LOG_THETA_MIN, s->log_max));
    double bound = (full_moment(s, s->theta + sign * step) - s->full - log(s->goal->cut)) / step;
    return sign > 0 ? fmin(bound, extreme) : fmax(-bound, extreme);
}

static double grid_error(const struct search *s)
{
    double error = 0;
    for (size_t i = 0; i < s->count; i++) {
        const struct pld *pld = s->parts[i].pld;
        double share = exp(group_moment(pld, pld->group_split, s->theta) -
                           group_moment(pld, pld->group_mass, s->theta));
        double each = (s->theta + 1) / 2 * pld->grid * pld->grid * share;
        error += s->parts[i].runs * fmin(each, pld->grid);
    }
    return error;
}

void pld_tilt_find(struct pld_tilt *tilt, const struct pld_part *parts, size_t count,
                   const struct pld_goal *goal)
{
    struct search s = {.parts = parts, .count = count, .goal = goal};
    s.log_max = log(STEP_MAX / parts[0].pld->grid);
    s.theta = exp(golden(tilt_cost, &s, LOG_THETA_MIN, s.log_max));
    tilt->theta = s.theta;
    tilt->cut = goal->cut;
    tilt->log_total = s.full = full_moment(&s, s.theta);
    tilt->chernoff = goal->at_delta ? (tilt->log_total - goal->value) / s.theta
                                    : tilt->log_total - s.theta * goal->value;
    tilt->high = range_end(&s, 1);
    tilt->low = range_end(&s, -1);
    tilt->error = grid_error(&s);
}
