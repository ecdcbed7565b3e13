/* SPDX-License-Identifier: Apache-2.0 */
/* A small federation with hostile sites, in one thread. Sources of the setting: NNM (Allouah et
 * al., AISTATS 2023), bucketing (Karimireddy et al., ICLR 2022). */
#include "tests/attack_world.h"

#include "coordinator/aggregate/aggregate.h"
#include "coordinator/aggregate/attack.h"
#include "proto/base/cleanup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const WORLD_RULE[WORLD_RULES] = {"mean", "median", "trimmed-mean", "nnm+trimmed-mean",
                                             "caf"};
const char *const WORLD_ATTACK[WORLD_ATTACKS] = {"none",      "alie",       "ipm",
                                                 "sign-flip", "label-flip", "mimic"};
const struct attack_setting WORLD_SETTING[WORLD_SETTINGS] = {{"iid", 0.0, 0.0},
                                                             {"Dir(1)", 1.0, 0.0},
                                                             {"Dir(1) R=3", 1.0, 3.0},
                                                             {"Dir(1) R=10", 1.0, 10.0}};

static const unsigned char KEY[RNG_KEY_BYTES] = "rules against attacks";

static double gaussian(struct rng *rng)
{
    double u = 1.0 - rng_uniform(rng);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * rng_uniform(rng));
}

/* Gamma(shape, 1): Marsaglia and Tsang, ACM TOMS 2000. */
static double gamma_variate(struct rng *rng, double shape)
{
    if (shape < 1.0)
        return gamma_variate(rng, shape + 1.0) * pow(1.0 - rng_uniform(rng), 1.0 / shape);
    double d = shape - 1.0 / 3.0;
    double c = 1.0 / sqrt(9.0 * d);
    for (;;) {
        double z = gaussian(rng);
        double v = 1.0 + c * z;
        if (v <= 0.0)
            continue;
        v = v * v * v;
        if (log(1.0 - rng_uniform(rng)) < 0.5 * z * z + d - d * v + d * log(v))
            return d * v;
    }
}

void attack_world_open(struct attack_world *w)
{
    w->d = w->hidden * (w->inputs + 1) + w->classes * (w->hidden + 1);
    w->x = calloc(w->samples * w->inputs, sizeof *w->x);
    w->label = calloc(w->samples, sizeof *w->label);
    for (size_t i = 0; i < w->n; i++)
        w->owned[i] = calloc(w->samples, sizeof *w->owned[i]);
}

void attack_world_close(struct attack_world *w)
{
    free(w->x);
    free(w->label);
    for (size_t i = 0; i < w->n; i++)
        free(w->owned[i]);
}

void attack_world_make(struct attack_world *w, struct rng *rng)
{
    double centre[2 * WORLD_CLASSES_MAX][WORLD_INPUTS_MAX];
    for (size_t k = 0; k < 2 * w->classes; k++)
        for (size_t c = 0; c < w->inputs; c++)
            centre[k][c] = gaussian(rng);
    for (size_t i = 0; i < w->samples; i++) {
        w->label[i] = i % w->classes;
        size_t bump = w->label[i] + (rng_u64(rng) & 1 ? w->classes : 0);
        for (size_t c = 0; c < w->inputs; c++)
            w->x[i * w->inputs + c] = (float)(0.5 * (centre[bump][c] + 0.8 * gaussian(rng)));
    }
}

void attack_world_shuffle(struct attack_world *w, struct rng *rng)
{
    float row[WORLD_INPUTS_MAX];
    for (size_t i = w->samples; i > 1; i--) {
        size_t j = (size_t)rng_below(rng, i);
        memcpy(row, w->x + (i - 1) * w->inputs, w->inputs * sizeof *row);
        memmove(w->x + (i - 1) * w->inputs, w->x + j * w->inputs, w->inputs * sizeof *row);
        memcpy(w->x + j * w->inputs, row, w->inputs * sizeof *row);
        size_t label = w->label[i - 1];
        w->label[i - 1] = w->label[j];
        w->label[j] = label;
    }
}

void attack_world_deal(struct attack_world *w, double alpha, struct rng *rng)
{
    double share[WORLD_CLASSES_MAX][WORLD_SITES_MAX];
    size_t honest = w->n - w->f;
    for (size_t k = 0; k < w->classes; k++)
        for (size_t i = 0; i < honest; i++)
            share[k][i] = alpha > 0.0 ? gamma_variate(rng, alpha) : 1.0;
    memset(w->owned_count, 0, sizeof w->owned_count);
    for (size_t r = 0; r < w->train; r++) {
        const double *s = share[w->label[r]];
        double total = 0.0;
        for (size_t i = 0; i < honest; i++)
            total += s[i];
        double at = rng_uniform(rng) * total;
        size_t site = 0;
        while (site + 1 < honest && at >= s[site])
            at -= s[site++];
        w->owned[site][w->owned_count[site]++] = r;
    }
    for (size_t i = 0; i < honest; i++)
        if (w->owned_count[i] == 0)
            w->owned[i][w->owned_count[i]++] = (size_t)rng_below(rng, w->train);
}

/* Parameters: weights of the first layer [inputs][hidden], its biases, those of the second
 * [hidden][classes], its biases. */
struct parts {
    double *w1, *b1, *w2, *b2;
};

static struct parts parts_of(const struct attack_world *w, double *theta)
{
    struct parts p = {.w1 = theta};
    p.b1 = p.w1 + w->inputs * w->hidden;
    p.w2 = p.b1 + w->hidden;
    p.b2 = p.w2 + w->hidden * w->classes;
    return p;
}

static void forward(const struct attack_world *w, const struct parts *t, const float *x,
                    double *hidden, double *p)
{
    memcpy(hidden, t->b1, w->hidden * sizeof *hidden);
    for (size_t c = 0; c < w->inputs; c++)
        for (size_t h = 0; h < w->hidden; h++)
            hidden[h] += (double)x[c] * t->w1[c * w->hidden + h];
    memcpy(p, t->b2, w->classes * sizeof *p);
    for (size_t h = 0; h < w->hidden; h++) {
        hidden[h] = hidden[h] > 0.0 ? hidden[h] : 0.0;
        for (size_t k = 0; k < w->classes; k++)
            p[k] += hidden[h] * t->w2[h * w->classes + k];
    }
    double most = -(double)INFINITY;
    double total = 0.0;
    for (size_t k = 0; k < w->classes; k++)
        most = fmax(most, p[k]);
    for (size_t k = 0; k < w->classes; k++)
        total += p[k] = exp(p[k] - most);
    for (size_t k = 0; k < w->classes; k++)
        p[k] /= total;
}

/* Adds the gradient of the cross entropy of one sample, divided by the batch. */
static void backward(const struct attack_world *w, const struct parts *t, const float *x,
                     size_t label, const struct parts *g)
{
    double hidden[WORLD_HIDDEN_MAX];
    double back[WORLD_HIDDEN_MAX] = {0};
    double off[WORLD_CLASSES_MAX];
    forward(w, t, x, hidden, off);
    off[label] -= 1.0;
    for (size_t k = 0; k < w->classes; k++) {
        off[k] /= (double)w->batch;
        g->b2[k] += off[k];
    }
    for (size_t h = 0; h < w->hidden; h++) {
        if (!(hidden[h] > 0.0))
            continue;
        for (size_t k = 0; k < w->classes; k++) {
            g->w2[h * w->classes + k] += off[k] * hidden[h];
            back[h] += off[k] * t->w2[h * w->classes + k];
        }
        g->b1[h] += back[h];
    }
    for (size_t c = 0; c < w->inputs; c++)
        for (size_t h = 0; h < w->hidden; h++)
            g->w1[c * w->hidden + h] += (double)x[c] * back[h];
}

/* One site's row: gradient of a batch, clipped, noised, then momentum. */
static void site_step(const struct attack_world *w, size_t site, double *theta, bool flipped,
                      double ratio, struct rng *rng, double *gradient, float *momentum)
{
    size_t home = site % (w->n - w->f);
    struct parts t = parts_of(w, theta);
    struct parts g = parts_of(w, gradient);
    memset(gradient, 0, w->d * sizeof *gradient);
    for (size_t b = 0; b < w->batch; b++) {
        size_t row = w->owned[home][rng_below(rng, w->owned_count[home])];
        size_t label = w->label[row];
        backward(w, &t, w->x + row * w->inputs, flipped ? w->classes - 1 - label : label, &g);
    }
    double square = 0.0;
    for (size_t c = 0; c < w->d; c++)
        square += gradient[c] * gradient[c];
    double factor = w->clip || ratio > 0.0 ? fmin(1.0, 1.0 / sqrt(square)) : 1.0;
    double sigma = ratio / sqrt((double)w->d);
    for (size_t c = 0; c < w->d; c++) {
        double step = gradient[c] * factor + (ratio > 0.0 ? sigma * gaussian(rng) : 0.0);
        momentum[c] = (float)(w->beta * (double)momentum[c] + (1.0 - w->beta) * step);
    }
}

static double accuracy(const struct attack_world *w, double *theta)
{
    struct parts t = parts_of(w, theta);
    size_t right = 0;
    for (size_t i = w->train; i < w->samples; i++) {
        double hidden[WORLD_HIDDEN_MAX];
        double p[WORLD_CLASSES_MAX];
        size_t best = 0;
        forward(w, &t, w->x + i * w->inputs, hidden, p);
        for (size_t k = 1; k < w->classes; k++)
            best = p[k] > p[best] ? k : best;
        right += best == w->label[i];
    }
    return (double)right / (double)(w->samples - w->train);
}

/* Weights and biases uniform within 1 / sqrt(inputs of the layer). */
static void start(const struct attack_world *w, struct rng *rng, double *theta)
{
    struct parts t = parts_of(w, theta);
    double first = 1.0 / sqrt((double)w->inputs);
    double second = 1.0 / sqrt((double)w->hidden);
    for (double *at = t.w1; at < t.w2; at++)
        *at = first * (2.0 * rng_uniform(rng) - 1.0);
    for (double *at = t.w2; at < theta + w->d; at++)
        *at = second * (2.0 * rng_uniform(rng) - 1.0);
}

/* One run under way. */
struct run {
    const struct attack_world *w;
    struct agg_rule rule;
    struct attack_choice attack;
    double ratio;
    struct rng rng;
    double *theta;
    double *gradient;
    double *wide; /* [n + 1][d], for the plain twins */
    float *row;   /* [n + 1][d], momenta and what hostile sites send; then the result */
};

static struct result aggregate(struct run *r, struct why *why)
{
    const struct attack_world *w = r->w;
    const float *rows[WORLD_SITES_MAX];
    const double *wide[WORLD_SITES_MAX];
    float *out = r->row + w->n * w->d;
    double *wide_out = r->wide + w->n * w->d;
    for (size_t i = 0; i < w->n; i++) {
        rows[i] = r->row + i * w->d;
        wide[i] = r->wide + i * w->d;
    }
    struct agg_source source = {.n = w->n, .d = w->d, .rows = rows};
    if (!w->plain)
        return agg_run(&r->rule, &source, 1, out, NULL, why);
    for (size_t c = 0; c < w->n * w->d; c++)
        r->wide[c] = (double)r->row[c];
    TRY(agg_run_f64(&r->rule, w->n, w->d, wide, wide_out, NULL, why));
    for (size_t c = 0; c < w->d; c++)
        out[c] = (float)wide_out[c];
    return DONE;
}

static struct result one_step(struct run *r, struct why *why)
{
    const struct attack_world *w = r->w;
    const float *honest[WORLD_SITES_MAX];
    size_t good = w->n - w->f;
    bool flips = r->attack.method == ATTACK_LABEL_FLIP;
    size_t training = flips || r->attack.method == ATTACK_NONE ? w->n : good;
    for (size_t i = 0; i < training; i++)
        site_step(w, i, r->theta, flips && i >= good, r->ratio, &r->rng, r->gradient,
                  r->row + i * w->d);
    for (size_t i = 0; i < good; i++)
        honest[i] = r->row + i * w->d;
    struct attack_view view = {
        .n = w->n, .f = w->f, .d = w->d, .honest_count = good, .honest = honest, .own = honest[0]};
    for (size_t i = training; i < w->n; i++)
        if (!attack_forge(&r->attack, &view, &r->rng, r->row + i * w->d))
            return failed(why, RESULT_SYSTEM, "no memory for an attack");
    TRY(aggregate(r, why));
    for (size_t c = 0; c < w->d; c++)
        r->theta[c] -= w->rate * (double)r->row[w->n * w->d + c];
    return DONE;
}

struct result attack_world_train(const struct attack_world *w, const char *rule, const char *attack,
                                 double ratio, uint64_t seed, double *ret_accuracy, struct why *why)
{
    struct run r = {.w = w, .ratio = ratio};
    TRY(attack_parse(attack, &r.attack, why));
    TRY(agg_rule_parse(rule, &r.rule, why));
    agg_rule_set_f(&r.rule, w->f);
    rng_init_seeded(&r.rng, KEY, seed);
    CLEANUP(free_pointer) double *doubles = calloc((w->n + 3) * w->d, sizeof *doubles);
    CLEANUP(free_pointer) float *floats = calloc((w->n + 1) * w->d, sizeof *floats);
    struct result result =
        doubles && floats ? DONE : failed(why, RESULT_SYSTEM, "no memory for a training");
    r.theta = doubles;
    r.gradient = doubles + w->d;
    r.wide = doubles + 2 * w->d;
    r.row = floats;
    if (ok(result))
        start(w, &r.rng, r.theta);
    for (size_t t = 0; ok(result) && t < w->steps; t++)
        result = one_step(&r, why);
    if (ok(result))
        *ret_accuracy = accuracy(w, r.theta);
    agg_rule_free(&r.rule);
    return result;
}
