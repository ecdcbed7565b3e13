/* SPDX-License-Identifier: Apache-2.0 */
/* Composition by FFT of the tilted masses.
 *
 * delta(e) = inf + sum_{l > e} p_l (1 - e^{e - l}). With A = inf + sum_{l >= x} p_l and
 * B = sum_{l >= x} p_l e^{x - l}: delta = A - e^{e - x} B for e just under x, so
 * epsilon(delta) = x + ln((A - delta) / B) on the segment that contains it.
 *
 * Lower bound: the split total is Y^ = Y + sum E_t with E_t in an interval of length h and
 * 0 <= E[E_t] <= h^2 e^h / 7, so by Hoeffding P[sum E_t > err] <= eta for
 * err = T h^2 e^h / 7 + h sqrt(T ln(1/eta) / 2); hence delta^(e) <= delta(e - err) + eta. */
#include "privacy/pld_sum.h"

#include "privacy/fft.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* |z|^T below e^{-40} is nothing beside that. */
static const double LOG_NOTHING = -80;

void pld_sum_free(struct pld_sum *sum)
{
    free(sum->mass);
    *sum = (struct pld_sum){0};
}

/* Folds the normalised tilted masses into x[n], index = grid index modulo n. */
static void fold(double *x, size_t n, const struct pld *pld, double theta)
{
    double block[PLD_BLOCK], shift = pld_log_moment(pld, theta);
    long wrap = pld->low % (long)n;
    size_t at = (size_t)(wrap < 0 ? wrap + (long)n : wrap);
    memset(x, 0, (n + 2) * sizeof *x);
    for (size_t i = 0; i < pld->count; i += PLD_BLOCK) {
        size_t m = pld->count - i < PLD_BLOCK ? pld->count - i : PLD_BLOCK;
        pld_tilted(pld, theta, shift, i, m, block);
        for (size_t k = 0; k < m; k++) {
            x[at] += block[k];
            at = at + 1 == n ? 0 : at + 1;
        }
    }
}

/* Each of the complex z[count] to the given power, by squaring. */
static void raise_to(double *z, size_t count, double runs)
{
    uint64_t power = (uint64_t)runs;
    double nothing = exp(LOG_NOTHING / runs);
    if (power == 1)
        return;
    for (size_t k = 0; k < count; k++) {
        double re = z[2 * k], im = z[2 * k + 1], a = 1, b = 0;
        if (re * re + im * im < nothing) {
            z[2 * k] = z[2 * k + 1] = 0;
            continue;
        }
        for (uint64_t p = power; p > 0; p >>= 1) {
            if (p & 1) {
                double t = a * re - b * im;
                b = a * im + b * re;
                a = t;
            }
            double t = re * re - im * im;
            im = 2 * re * im;
            re = t;
        }
        z[2 * k] = a;
        z[2 * k + 1] = b;
    }
}

static void multiply(double *z, const double *by, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        double re = z[2 * k] * by[2 * k] - z[2 * k + 1] * by[2 * k + 1];
        z[2 * k + 1] = z[2 * k] * by[2 * k + 1] + z[2 * k + 1] * by[2 * k];
        z[2 * k] = re;
    }
}

/* x[n + 2] becomes the n tilted masses of the sum, index modulo n; y[n + 2] is scratch, needed for
 * more than one part. */
static void transform(const struct fft_plan *plan, const struct pld_part *parts, size_t count,
                      double theta, double *x, double *y)
{
    size_t n = plan->n;
    for (size_t i = 0; i < count; i++) {
        double *z = i == 0 ? x : y;
        fold(z, n, parts[i].pld, theta);
        fft_forward(plan, z);
        raise_to(z, n / 2 + 1, parts[i].runs);
        if (i > 0)
            multiply(x, y, n / 2 + 1);
    }
    fft_inverse(plan, x);
}

/* Where grid point `low` stands, and no mass below zero. */
static void settle(struct pld_sum *sum)
{
    long wrap = sum->low % (long)sum->count;
    sum->first = (size_t)(wrap < 0 ? wrap + (long)sum->count : wrap);
    for (size_t i = 0; i < sum->count; i++)
        sum->mass[i] = sum->mass[i] > 0 ? sum->mass[i] : 0;
}

/* Keeps a plan that is long enough and not much longer. */
static int take_plan(struct fft_plan *plan, size_t least)
{
    if (plan->n >= least && plan->n <= least + least / 8)
        return 0;
    fft_plan_free(plan);
    return fft_plan_init(plan, fft_good_length(least));
}

/* What rounding may add to sum_{l > e} mass e^{-theta (l - e)}. Independent roundings make a
 * transform err by about u sqrt(log2 n) of the vector's 2-norm (Higham 2002, section 24.1), and T
 * runs multiply the relative error of each coefficient by T. Against exact binomials, n to 243,000
 * and T to 100,000, the error is a fifth to a half of u sqrt(log2 n) (T + 2) of the 2-norm; twice
 * the whole is allowed. The weights' 2-norm is at most (1 - e^{-2 theta h})^{-1/2}, and at most
 * sqrt(n). */
static double rounding(const struct pld_sum *sum)
{
    double square = 0, n = (double)sum->count;
    for (size_t i = 0; i < sum->count; i++)
        square += sum->mass[i] * sum->mass[i];
    double weights = fmin(1 / sqrt(-expm1(-2 * sum->theta * sum->grid)), sqrt(n));
    return 0x1p-52 * sqrt(log2(n)) * (sum->runs + 2) * sqrt(square) * weights + 1e-17 * weights;
}

enum pld_result pld_sum_init(struct pld_sum *sum, const struct pld_part *parts, size_t count,
                             const struct pld_tilt *tilt, struct fft_plan *plan)
{
    *sum = (struct pld_sum){.grid = parts[0].pld->grid,
                            .theta = tilt->theta,
                            .log_total = tilt->log_total};
    double low = floor(tilt->low / sum->grid), high = ceil(tilt->high / sum->grid);
    if (!(high >= low) || !(high - low + 2 < PLD_POINTS_MAX) || !(fabs(low) < 1e15) ||
        !(fabs(high) < 1e15))
        return PLD_TOO_FINE;
    sum->low = (long)low;
    if (take_plan(plan, (size_t)(high - low) + 2) != 0)
        return PLD_NO_MEMORY;
    sum->count = plan->n;
    double log_finite = 0;
    for (size_t i = 0; i < count; i++) {
        log_finite += parts[i].runs * log1p(-fmin(parts[i].pld->infinite, 1));
        sum->runs += parts[i].runs;
        sum->moved += parts[i].runs * parts[i].pld->moved;
    }
    sum->infinite = -expm1(log_finite);
    size_t bytes = (sum->count + 2) * sizeof(double);
    double *scratch = count > 1 ? malloc(bytes) : NULL;
    sum->mass = malloc(bytes);
    if (!sum->mass || (count > 1 && !scratch)) {
        free(scratch);
        pld_sum_free(sum);
        return PLD_NO_MEMORY;
    }
    transform(plan, parts, count, tilt->theta, sum->mass, scratch);
    free(scratch);
    settle(sum);
    sum->slack = 2.1 * tilt->cut + rounding(sum); /* what wrapped around, and rounding */
    return PLD_OK;
}

/* Walks losses from the top, one grid point at a time. */
struct walk {
    const struct pld_sum *sum;
    size_t left;          /* points not yet visited */
    double loss;          /* of the last visited point */
    double weight;        /* e^{log_total - theta loss} */
    double above, scaled; /* A without inf, and B */
    double rise, decay;   /* e^{theta h}, e^{-h} */
};

static void walk_start(struct walk *w, const struct pld_sum *sum)
{
    *w = (struct walk){.sum = sum,
                       .left = sum->count,
                       .rise = exp(sum->theta * sum->grid),
                       .decay = exp(-sum->grid)};
}

static void walk_step(struct walk *w)
{
    const struct pld_sum *s = w->sum;
    size_t i = --w->left;
    w->loss = (double)(s->low + (long)i) * s->grid;
    if (i % 64 == 0 || i + 1 == s->count || !isnormal(w->weight) || !isfinite(w->rise))
        w->weight = exp(s->log_total - s->theta * w->loss);
    else
        w->weight *= w->rise;
    size_t at = s->first + i < s->count ? s->first + i : s->first + i - s->count;
    double p = s->mass[at] > 0 ? s->mass[at] * w->weight : 0;
    w->above += p;
    w->scaled = w->scaled * w->decay + p;
}

double pld_sum_doubt(const struct pld_sum *sum, double epsilon)
{
    return sum->slack * exp(fmin(sum->log_total - sum->theta * epsilon, 700));
}

static double delta_at(const struct pld_sum *sum, double epsilon, bool upper)
{
    struct walk w;
    walk_start(&w, sum);
    double x = 0, above = 0, scaled = 0;
    while (w.left > 0) {
        walk_step(&w);
        if (w.loss <= epsilon)
            break;
        x = w.loss;
        above = w.above;
        scaled = w.scaled;
    }
    double delta = above > 0 ? fmax(0, above - exp(epsilon - x) * scaled) : 0;
    if (!upper)
        return delta;
    return fmin(1, delta + pld_sum_doubt(sum, epsilon) + sum->infinite);
}

/* Error of the discretised total except with probability eta. */
static double bracket(const struct pld_sum *s, double log_one_over_eta)
{
    double h = s->grid;
    return s->runs * h * h * exp(h) / 7 + h * sqrt(s->runs * log_one_over_eta / 2);
}

double pld_sum_delta(const struct pld_sum *sum, double epsilon, double *ret_lower)
{
    double upper = delta_at(sum, epsilon, true);
    *ret_lower = 0;
    if (upper > 0) {
        double err = bracket(sum, log(1000 / upper));
        double at = delta_at(sum, epsilon + err, false);
        double off = pld_sum_doubt(sum, epsilon + err);
        at += fmax(0, sum->infinite - sum->moved);
        *ret_lower = fmax(0, at - upper / 1000 - sum->moved - off);
    }
    return upper;
}

static double epsilon_at(const struct pld_sum *sum, double delta, double infinite, double slack)
{
    struct walk w;
    walk_start(&w, sum);
    if (!(delta > infinite))
        return HUGE_VAL;
    while (w.left > 0) {
        walk_step(&w);
        double extra = slack > 0 ? slack * w.weight : 0;
        double excess = w.above + infinite + extra - delta;
        if (excess > 0 && w.scaled > 0) {
            double epsilon = w.loss + log(excess / w.scaled);
            /* Where the mass of one point alone passes delta, the answer lies above the point only
             * by rounding. */
            if (epsilon > w.loss - sum->grid)
                return fmax(0, fmin(epsilon, w.loss));
        }
        if (w.loss <= 0)
            return 0;
    }
    return 0;
}

double pld_sum_epsilon(const struct pld_sum *sum, double delta, double *ret_lower)
{
    double upper = epsilon_at(sum, delta, sum->infinite, sum->slack);
    double off = isfinite(upper) ? pld_sum_doubt(sum, upper) : 0;
    double eta = delta / 1000;
    double sure = fmax(0, sum->infinite - sum->moved);
    double lower = epsilon_at(sum, delta + eta + sum->moved + off, sure, 0);
    *ret_lower = fmax(0, lower - bracket(sum, log(1 / eta)));
    return upper;
}
