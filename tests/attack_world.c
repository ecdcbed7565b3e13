/* SPDX-License-Identifier: Apache-2.0 */
/* A small federation with hostile sites, in one thread. Sources of the setting: NNM (Allouah et
 * al., AISTATS 2023), bucketing (Karimireddy et al., ICLR 2022). */
#include "tests/attack_world.h"

#include "coordinator/aggregate/aggregate.h"
#include "coordinator/aggregate/attack.h"
#include "proto/base/cleanup.h"
#include "tests/attack_net.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const WORLD_ATTACK[WORLD_ATTACKS] = {"none",      "alie",       "ipm",
                                                 "sign-flip", "label-flip", "mimic"};

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
    w->d = WORLD_HIDDEN * (w->inputs + 1) + w->classes * (WORLD_HIDDEN + 1);
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

/* Rows of data, honest sites first. */
static size_t owners(const struct attack_world *w)
{
    return w->choice.owners_all ? w->n : w->n - w->f;
}

/* Odds of each site for a sample of each class; equal for alpha 0. */
static void draw_shares(const struct attack_world *w, double alpha, struct rng *rng,
                        double share[WORLD_CLASSES_MAX][WORLD_SITES_MAX])
{
    for (size_t k = 0; k < w->classes; k++)
        for (size_t i = 0; i < owners(w); i++)
            share[k][i] = alpha > 0.0 ? gamma_variate(rng, alpha) : 1.0;
    if (!w->choice.by_site)
        return;
    for (size_t i = 0; i < owners(w); i++) {
        double total = 0.0;
        for (size_t k = 0; k < w->classes; k++)
            total += share[k][i];
        for (size_t k = 0; k < w->classes; k++)
            share[k][i] /= total;
    }
}

void attack_world_deal(struct attack_world *w, double alpha, struct rng *rng)
{
    double share[WORLD_CLASSES_MAX][WORLD_SITES_MAX];
    draw_shares(w, alpha, rng, share);
    memset(w->owned_count, 0, sizeof w->owned_count);
    for (size_t r = 0; r < w->train; r++) {
        const double *s = share[w->label[r]];
        double total = 0.0;
        for (size_t i = 0; i < owners(w); i++)
            total += s[i];
        double at = rng_uniform(rng) * total;
        size_t site = 0;
        while (site + 1 < owners(w) && at >= s[site])
            at -= s[site++];
        w->owned[site][w->owned_count[site]++] = r;
    }
    for (size_t i = 0; i < owners(w); i++)
        if (w->owned_count[i] == 0)
            w->owned[i][w->owned_count[i]++] = (size_t)rng_below(rng, w->train);
}

/* One run under way. */
struct run {
    const struct attack_world *w;
    const struct world_rule *given;
    struct agg_rule rule;
    struct attack_choice attack;
    double ratio;
    struct rng rng;
    size_t *order; /* [n][samples], each site's rows, as they are drawn */
    size_t done[WORLD_SITES_MAX];
    float *theta;    /* [d] */
    float *gradient; /* [d] */
    float *flipped;  /* [d], mean of flipped gradients */
    float *momentum; /* [n][d] */
    float *row;      /* [n + 1][d], what is sent; then the result */
    double *wide;    /* [n + 1][d], for the plain twins */
};

/* Rows of a site's next batch; their number. */
static size_t draw_batch(struct run *r, size_t home, size_t *row)
{
    const struct attack_world *w = r->w;
    size_t *order = r->order + home * w->samples;
    size_t owned = w->owned_count[home];
    size_t count = w->batch;
    size_t done = 0;
    if (w->choice.batches == BATCH_EPOCH) {
        done = r->done[home] % owned;
        r->done[home] = done + w->batch;
        if (r->done[home] > owned)
            r->done[home] = owned;
    }
    if (w->choice.batches != BATCH_REPLACE && count > owned - done)
        count = owned - done;
    for (size_t b = 0; b < count; b++) {
        size_t first = w->choice.batches == BATCH_REPLACE ? 0 : done + b;
        size_t at = first + (size_t)rng_below(&r->rng, owned - first);
        row[b] = order[at];
        if (w->choice.batches != BATCH_REPLACE) {
            order[at] = order[first];
            order[first] = row[b];
        }
    }
    return count;
}

static void clip_to_one(size_t d, float *x)
{
    double square = 0.0;
    for (size_t c = 0; c < d; c++)
        square += (double)(x[c] * x[c]);
    float factor = (float)fmin(1.0, 1.0 / sqrt(square));
    for (size_t c = 0; c < d; c++)
        x[c] *= factor;
}

static void add_noise(struct run *r, float *x)
{
    float sigma = (float)(r->ratio / sqrt((double)r->w->d));
    float pair[2] = {0};
    for (size_t c = 0; sigma > 0.0f && c < r->w->d; c++) {
        if (c % 2 == 0)
            attack_net_gaussians(&r->rng, pair);
        x[c] += sigma * pair[c % 2];
    }
}

/* What a site sends: gradient of a batch, clipped, noised, in its momentum. Adds the gradient of
 * the same batch with flipped labels to r->flipped where that is asked for. */
static void site_step(struct run *r, size_t site, bool flipped, bool both)
{
    const struct attack_world *w = r->w;
    const struct world_choice *o = &w->choice;
    size_t batch[WORLD_BATCH_MAX];
    size_t home = site % owners(w);
    if (flipped && o->flip == FLIP_BORROWED)
        home = site % (w->n - w->f);
    bool clip = o->clip || r->ratio > 0.0;
    size_t count = draw_batch(r, home, batch);
    if (both) {
        attack_net_gradient(w, r->theta, count, batch, true, clip && o->per_sample, r->gradient);
        if (clip && !o->per_sample)
            clip_to_one(w->d, r->gradient);
        for (size_t c = 0; c < w->d; c++)
            r->flipped[c] += r->gradient[c] / (float)(w->n - w->f);
    }
    attack_net_gradient(w, r->theta, count, batch, flipped, clip && o->per_sample, r->gradient);
    if (clip && !o->per_sample && !o->late_clip)
        clip_to_one(w->d, r->gradient);
    if (!o->late_noise)
        add_noise(r, r->gradient);
    float *momentum = r->momentum + site * w->d;
    float keep = (float)w->beta;
    float take = o->heavy ? 1.0f : 1.0f - keep;
    for (size_t c = 0; c < w->d; c++)
        momentum[c] = keep * momentum[c] + take * r->gradient[c];
    float *sent = r->row + site * w->d;
    memcpy(sent, momentum, w->d * sizeof *sent);
    if (clip && o->late_clip)
        clip_to_one(w->d, sent);
    if (o->late_noise)
        add_noise(r, sent);
}

static struct result prepare(struct run *r, struct why *why)
{
    const struct attack_world *w = r->w;
    if (r->given->buckets) {
        double perm[WORLD_SITES_MAX];
        for (size_t i = 0; i < w->n; i++)
            perm[i] = (double)i;
        for (size_t i = w->n; i > 1; i--) {
            size_t j = (size_t)rng_below(&r->rng, i);
            double kept = perm[i - 1];
            perm[i - 1] = perm[j];
            perm[j] = kept;
        }
        TRY(agg_rule_set_numbers(&r->rule, "perm", w->n, perm, why));
    }
    if (!r->given->follows)
        return DONE;
    for (size_t c = 0; c < w->d; c++)
        r->wide[c] = (double)r->row[w->n * w->d + c];
    return agg_rule_set_numbers(&r->rule, "v0", w->d, r->wide, why);
}

static struct result aggregate(struct run *r, struct why *why)
{
    const struct attack_world *w = r->w;
    const float *rows[WORLD_SITES_MAX];
    const double *wide[WORLD_SITES_MAX];
    float *out = r->row + w->n * w->d;
    double *wide_out = r->wide + w->n * w->d;
    TRY(prepare(r, why));
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

/* What hostile sites that do not train send. */
static struct result forge(struct run *r, struct why *why)
{
    const struct attack_world *w = r->w;
    const float *honest[WORLD_SITES_MAX];
    size_t good = w->n - w->f;
    for (size_t i = 0; i < good; i++)
        honest[i] = r->row + i * w->d;
    struct attack_view view = {
        .n = w->n, .f = w->f, .d = w->d, .honest_count = good, .honest = honest, .own = honest[0]};
    float *first = r->row + good * w->d;
    if (r->attack.method == ATTACK_LABEL_FLIP) {
        float keep = (float)w->beta;
        float *momentum = r->momentum + good * w->d;
        for (size_t c = 0; c < w->d; c++)
            first[c] = momentum[c] =
                keep * momentum[c] + (w->choice.heavy ? 1.0f : 1.0f - keep) * r->flipped[c];
        add_noise(r, first);
    } else if (r->attack.method == ATTACK_MIMIC && w->choice.mimic_first)
        memcpy(first, honest[0], w->d * sizeof *first);
    else if (!attack_forge(&r->attack, &view, &r->rng, first))
        return failed(why, RESULT_SYSTEM, "no memory for an attack");
    for (size_t i = good + 1; i < w->n; i++)
        memcpy(r->row + i * w->d, first, w->d * sizeof *first);
    return DONE;
}

static struct result one_step(struct run *r, struct why *why)
{
    const struct attack_world *w = r->w;
    size_t good = w->n - w->f;
    bool flips = r->attack.method == ATTACK_LABEL_FLIP;
    bool both = flips && w->choice.flip == FLIP_MEAN;
    bool turns = r->attack.method == ATTACK_SIGN_FLIP && w->choice.own_sign;
    bool all = r->attack.method == ATTACK_NONE || turns || (flips && !both);
    memset(r->flipped, 0, w->d * sizeof *r->flipped);
    for (size_t i = 0; i < (all ? w->n : good); i++)
        site_step(r, i, flips && i >= good, both);
    for (size_t c = good * w->d; turns && c < w->n * w->d; c++)
        r->row[c] = -r->row[c];
    if (!all && w->f > 0)
        TRY(forge(r, why));
    TRY(aggregate(r, why));
    for (size_t c = 0; c < w->d; c++)
        r->theta[c] -= (float)w->rate * r->row[w->n * w->d + c];
    return DONE;
}

static struct result train(struct run *r, double *ret_accuracy, struct why *why)
{
    const struct attack_world *w = r->w;
    struct result result = DONE;
    attack_net_start(w, &r->rng, r->theta);
    for (size_t t = 0; ok(result) && t < w->steps; t++)
        result = one_step(r, why);
    if (ok(result))
        *ret_accuracy = attack_net_accuracy(w, r->theta);
    return result;
}

static struct result set_rule(struct run *r, struct why *why)
{
    const struct world_rule *g = r->given;
    double two = 2.0;
    double one = 1.0;
    TRY(agg_rule_parse(g->expression, &r->rule, why));
    agg_rule_set_f(&r->rule, g->f ? g->f : r->w->f);
    if (g->nu > 0.0)
        TRY(agg_rule_set_numbers(&r->rule, "nu", 1, &g->nu, why));
    if (g->T > 0.0) {
        TRY(agg_rule_set_numbers(&r->rule, "T", 1, &g->T, why));
        TRY(agg_rule_set(&r->rule, "z0", "zero", why));
    }
    if (g->buckets)
        TRY(agg_rule_set_numbers(&r->rule, "s", 1, &two, why));
    if (g->follows)
        TRY(agg_rule_set_numbers(&r->rule, "L", 1, &one, why));
    return DONE;
}

struct result attack_world_train(const struct attack_world *w, const struct world_rule *rule,
                                 const char *attack, double ratio, uint64_t seed,
                                 double *ret_accuracy, struct why *why)
{
    struct run r = {.w = w, .given = rule, .ratio = ratio};
    TRY(attack_parse(attack, &r.attack, why));
    rng_init_seeded(&r.rng, KEY, seed);
    CLEANUP(free_pointer) double *doubles = calloc((w->n + 1) * w->d, sizeof *doubles);
    CLEANUP(free_pointer) float *floats = calloc((2 * w->n + 4) * w->d, sizeof *floats);
    CLEANUP(free_pointer) size_t *order = calloc(w->n * w->samples, sizeof *order);
    if (!doubles || !floats || !order)
        return failed(why, RESULT_SYSTEM, "no memory for a training");
    for (size_t i = 0; i < owners(w); i++)
        memcpy(order + i * w->samples, w->owned[i], w->owned_count[i] * sizeof *order);
    r.order = order;
    r.wide = doubles;
    r.theta = floats;
    r.gradient = r.theta + w->d;
    r.flipped = r.gradient + w->d;
    r.row = r.flipped + w->d;
    r.momentum = r.row + (w->n + 1) * w->d;
    struct result result = set_rule(&r, why);
    if (ok(result))
        result = train(&r, ret_accuracy, why);
    agg_rule_free(&r.rule);
    return result;
}
