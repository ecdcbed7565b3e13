/* SPDX-License-Identifier: Apache-2.0 */
/* Bin masses of each kind of event.
 *
 * Subsampled Gaussian, multiplier s, rate q, x one coordinate of the release:
 *   add/remove: P = (1-q) N(0,s^2) + q N(1,s^2), Q = N(0,s^2),
 *     loss e at x(e) = s^2 ln((e^e - 1 + q) / q) + 1/2, e > ln(1-q)
 *   replace:    P = (1-q) N(0,s^2) + q N(1,s^2), Q = (1-q) N(0,s^2) + q N(-1,s^2),
 *     loss e at x(e) = s^2 (e/2 + asinh(sinh(e/2) (1-q) e^{1/(2s^2)} / q))
 * Truncated Poisson (batch cap B of N patients): with probability t = P[Bin(N-1,q) >= B] a
 * "replace" at s/2 and rate P[Bin(N,q) > B] B / (t N), otherwise the plain one: an upper bound.
 * Laplace of scale b: loss (1 - 2x)/b for x in [0, 1], atoms at +-1/b.
 * Generic (eps, delta): atoms at +-eps, and delta at infinity (Kairouz, Oh, Viswanath 2015). */
#include "privacy/normal.h"
#include "privacy/pld.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* A Gaussian pair of outcomes, as above. */
struct pair {
    double s, q;
    bool replace;
};

/* Where the loss equals e; -infinity when no outcome has so small a loss. */
static double outcome_at(const struct pair *g, double e)
{
    double s2 = g->s * g->s;
    if (!g->replace) {
        if (g->q >= 1)
            return s2 * e + 0.5;
        if (e > 700)
            return s2 * (e - log(g->q)) + 0.5;
        double t = (e < -0.5 ? exp(e) - (1 - g->q) : expm1(e) + g->q) / g->q;
        return t > 0 ? s2 * log(t) + 0.5 : -HUGE_VAL;
    }
    if (g->q >= 1)
        return s2 * e / 2;
    double log_ratio = log1p(-g->q) - log(g->q) + 0.5 / s2;
    double half = e / 2;
    /* asinh(y) for y = sinh(half) e^{log_ratio}, without overflow. */
    double size = fabs(half);
    double log_y = (size > 20 ? size - M_LN2 : log(sinh(size))) + log_ratio;
    double u = log_y > 300 ? log_y + M_LN2 : asinh(exp(log_y));
    return s2 * (half + (half < 0 ? -u : u));
}

/* The loss at outcome x. */
static double loss_at(const struct pair *g, double x)
{
    double s2 = g->s * g->s;
    double up = (x - 0.5) / s2, down = (-x - 0.5) / s2;
    if (g->q >= 1)
        return g->replace ? up - down : up;
    double a = up > 600 ? log(g->q) + up : log1p(g->q * expm1(up));
    if (!g->replace)
        return a;
    double b = down > 600 ? log(g->q) + down : log1p(g->q * expm1(down));
    return a - b;
}

static enum pld_result allocate(struct pld_bins *bins, double grid, double low, double high)
{
    *bins = (struct pld_bins){.grid = grid};
    low = floor(low / grid);
    high = ceil(high / grid);
    if (!(high - low < PLD_POINTS_MAX) || !(fabs(low) < 1e15) || !(fabs(high) < 1e15))
        return PLD_TOO_FINE;
    bins->low = (long)low;
    bins->count = (size_t)(high - low);
    if (bins->count == 0)
        bins->count = 1;
    bins->p = calloc(bins->count, sizeof *bins->p);
    bins->q = calloc(bins->count, sizeof *bins->q);
    if (!bins->p || !bins->q) {
        pld_bins_free(bins);
        return PLD_NO_MEMORY;
    }
    return PLD_OK;
}

/* Mass of N(center, s^2) below, between and above a moving pair of boundaries; the tail at the last
 * boundary is kept so that each costs one erfc. */
struct sweep {
    double center, s;
    double z, tail; /* tail beyond |z| on z's side */
};

static void sweep_start(struct sweep *w, double center, double s, double x)
{
    *w = (struct sweep){.center = center, .s = s, .z = (x - center) / s};
    w->tail = normal_tail(fabs(w->z));
}

static double sweep_to(struct sweep *w, double x)
{
    double z = (x - w->center) / w->s;
    double tail = normal_tail(fabs(z));
    double mass = w->z >= 0 ? w->tail - tail : z <= 0 ? tail - w->tail : normal_mass(w->z, z);
    w->z = z;
    w->tail = tail;
    return mass;
}

static double mass_below(const struct sweep *w)
{
    return w->z <= 0 ? w->tail : 1 - w->tail;
}

static double mass_above(const struct sweep *w)
{
    return w->z >= 0 ? w->tail : 1 - w->tail;
}

/* Adds weight times the pair's masses to bins whose range is set. */
static void add_pair(struct pld_bins *bins, const struct pair *g, double weight)
{
    double other = g->replace ? -1 : 0; /* centre of Q's second part */
    double x = outcome_at(g, (double)bins->low * bins->grid);
    double q = weight * g->q, rest = weight * (1 - g->q);
    struct sweep zero, one, minus;
    sweep_start(&zero, 0, g->s, x);
    sweep_start(&one, 1, g->s, x);
    sweep_start(&minus, other, g->s, x);
    bins->below_p += rest * mass_below(&zero) + q * mass_below(&one);
    bins->below_q += rest * mass_below(&zero) + q * mass_below(&minus);
    for (size_t i = 0; i < bins->count; i++) {
        x = outcome_at(g, (double)(bins->low + (long)i + 1) * bins->grid);
        double m0 = sweep_to(&zero, x), m1 = sweep_to(&one, x);
        double m2 = g->replace ? sweep_to(&minus, x) : m0;
        bins->p[i] += rest * m0 + q * m1;
        bins->q[i] += g->replace ? rest * m0 + q * m2 : weight * m0;
    }
    if (!g->replace)
        minus = zero;
    bins->above_p += rest * mass_above(&zero) + q * mass_above(&one);
    bins->above_q += rest * mass_above(&zero) + q * mass_above(&minus);
}

/* Losses beyond which less than `tail` of P and of Q lies. */
static void pair_range(const struct pair *g, double tail, double *low, double *high)
{
    double z = normal_tail_inverse(tail);
    *low = fmin(*low, loss_at(g, (g->replace ? -1 : 0) - g->s * z));
    *high = fmax(*high, loss_at(g, 1 + g->s * z));
}

static enum pld_result gaussian_bins(struct pld_bins *bins, const struct pair *g, size_t pairs,
                                     const double *weight, double grid, double tail)
{
    double low = HUGE_VAL, high = -HUGE_VAL;
    for (size_t i = 0; i < pairs; i++)
        pair_range(&g[i], tail, &low, &high);
    enum pld_result rc = allocate(bins, grid, low, high);
    if (rc != PLD_OK)
        return rc;
    for (size_t i = 0; i < pairs; i++)
        add_pair(bins, &g[i], weight[i]);
    return PLD_OK;
}

static enum pld_result truncated_bins(struct pld_bins *bins, const struct privacy_event *e,
                                      bool replace, double grid, double tail)
{
    struct pair g[2] = {{.s = e->noise, .q = e->q, .replace = replace}};
    double n = (double)e->population, cap = (double)e->cap;
    double hit = binomial_tail(e->population - 1, e->q, e->cap);
    hit = fmin(1, hit * (1 + 1e-9));
    double weight[2] = {1 - hit, hit};
    if (hit == 0)
        return gaussian_bins(bins, g, 1, weight, grid, tail);
    double q = binomial_tail(e->population, e->q, e->cap + 1) * cap / (hit * n) * (1 + 1e-9);
    g[1] = (struct pair){.s = e->noise / 2, .q = fmin(q, 1), .replace = true};
    if (!(q > 0))
        return gaussian_bins(bins, g, 1, weight, grid, tail);
    return gaussian_bins(bins, g, 2, weight, grid, tail);
}

/* Outcomes of one loss: p under P, p e^{-loss} under Q. */
static void add_atom(struct pld_bins *bins, double loss, double p)
{
    double at = floor(loss / bins->grid) - (double)bins->low;
    size_t i = at < 0 ? 0 : (size_t)at;
    if (i >= bins->count)
        i = bins->count - 1;
    bins->p[i] += p;
    bins->q[i] += p * exp(-loss);
}

static enum pld_result laplace_bins(struct pld_bins *bins, double b, double grid)
{
    double top = 1 / b;
    enum pld_result rc = allocate(bins, grid, -top, top);
    if (rc != PLD_OK)
        return rc;
    for (size_t i = 0; i < bins->count; i++) {
        double from = fmax(-top, (double)(bins->low + (long)i) * grid);
        double to = fmin(top, (double)(bins->low + (long)i + 1) * grid);
        if (!(to > from))
            continue;
        /* loss from..to is x in [(1 - b to)/2, (1 - b from)/2]; density e^{-x/b}/(2b) under P. */
        double width = (to - from) / 2;
        bins->p[i] += 0.5 * exp(-(top - to) / 2) * -expm1(-width);
        bins->q[i] += 0.5 * exp(-(top + from) / 2) * -expm1(-width);
    }
    add_atom(bins, top, 0.5);
    add_atom(bins, -top, 0.5 * exp(-top));
    return PLD_OK;
}

static enum pld_result generic_bins(struct pld_bins *bins, double epsilon, double delta,
                                    double grid)
{
    enum pld_result rc = allocate(bins, grid, -epsilon, epsilon);
    if (rc != PLD_OK)
        return rc;
    add_atom(bins, epsilon, (1 - delta) / (1 + exp(-epsilon)));
    add_atom(bins, -epsilon, (1 - delta) / (1 + exp(epsilon)));
    bins->infinite = delta;
    return PLD_OK;
}

enum pld_result pld_bins_init(struct pld_bins *bins, const struct privacy_event *e,
                              enum privacy_adjacency adjacency, double grid, double tail,
                              double *ret_runs)
{
    bool replace = adjacency == ADJACENCY_REPLACE;
    *bins = (struct pld_bins){0};
    *ret_runs = (double)e->steps;
    switch (e->kind) {
    case EVENT_GAUSSIAN: {
        struct pair g = {.s = e->noise, .q = e->q, .replace = replace};
        const double all = 1;
        if (e->q >= 1) {
            g.s = e->noise / sqrt((double)e->steps);
            *ret_runs = 1;
        }
        return gaussian_bins(bins, &g, 1, &all, grid, tail);
    }
    case EVENT_LAPLACE: /* one patient exchanged moves the sum by up to 2 */
        return laplace_bins(bins, replace ? e->noise / 2 : e->noise, grid);
    case EVENT_EPSILON_DELTA:
        return generic_bins(bins, e->epsilon, e->delta, grid);
    case EVENT_TRUNCATED:
        return truncated_bins(bins, e, replace, grid, tail);
    }
    return PLD_IMPOSSIBLE;
}
