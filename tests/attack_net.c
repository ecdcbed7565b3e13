/* SPDX-License-Identifier: Apache-2.0 */
/* The network of tests/attack_world. Sums run in one order, so that runs repeat bit for bit. */
#include "tests/attack_net.h"

#include <math.h>
#include <string.h>

struct parts {
    float *w1, *b1, *w2, *b2;
};

static struct parts parts_of(const struct attack_world *w, float *theta)
{
    struct parts p = {.w1 = theta};
    p.b1 = p.w1 + w->inputs * WORLD_HIDDEN;
    p.w2 = p.b1 + WORLD_HIDDEN;
    p.b2 = p.w2 + WORLD_HIDDEN * w->classes;
    return p;
}

void attack_net_gaussians(struct rng *rng, float out[2])
{
    uint64_t bits = rng_u64(rng);
    float u = ((float)(bits >> 40) + 0.5f) * 0x1p-24f;
    float v = (float)(bits & 0xffffff) * (6.2831853f * 0x1p-24f);
    float radius = sqrtf(-2.0f * logf(u));
    out[0] = radius * cosf(v);
    out[1] = radius * sinf(v);
}

static void fill(struct rng *rng, bool normal, double reach, size_t count, float *out)
{
    float pair[2];
    for (size_t i = 0; i < count; i++) {
        if (normal)
            attack_net_gaussians(rng, pair);
        out[i] = (float)(reach * (normal ? (double)pair[0] : 2.0 * rng_uniform(rng) - 1.0));
    }
}

static void start_layer(enum world_start start, size_t inputs, size_t outputs, struct rng *rng,
                        float *weights, float *biases)
{
    double in = (double)inputs;
    bool uniform = start == START_UNIFORM || start == START_UNIFORM_NOBIAS || start == START_GLOROT;
    double reach = start == START_HE       ? sqrt(2.0 / in)
                   : start == START_GLOROT ? sqrt(6.0 / (in + (double)outputs))
                   : start == START_SMALL  ? 0.1
                                           : 1.0 / sqrt(in);
    fill(rng, !uniform, reach, inputs * outputs, weights);
    memset(biases, 0, outputs * sizeof *biases);
    if (start == START_UNIFORM)
        fill(rng, false, reach, outputs, biases);
}

void attack_net_start(const struct attack_world *w, struct rng *rng, float *theta)
{
    struct parts t = parts_of(w, theta);
    start_layer(w->choice.start, w->inputs, WORLD_HIDDEN, rng, t.w1, t.b1);
    start_layer(w->choice.start, WORLD_HIDDEN, w->classes, rng, t.w2, t.b2);
}

/* Rows of the hidden layer and of the classes in vectors that every processor has registers for. */
typedef float lanes __attribute__((vector_size(16)));
enum { LANES = sizeof(lanes) / sizeof(float), VECTORS = WORLD_HIDDEN / LANES };
enum { CLASS_VECTORS = (WORLD_CLASSES_MAX + LANES - 1) / LANES, CLASS_ROW = CLASS_VECTORS * LANES };

/* The second layer with rows padded by zeros; the biases are the last row. */
struct second {
    float row[WORLD_HIDDEN + 1][CLASS_ROW];
};

static void pad(const struct attack_world *w, const struct parts *t, struct second *to)
{
    memset(to, 0, sizeof *to);
    for (size_t j = 0; j <= WORLD_HIDDEN; j++) /* b2 follows w2 */
        memcpy(to->row[j], t->w2 + j * w->classes, w->classes * sizeof(float));
}

/* sum += x times the row. */
static inline void hidden_add(lanes sum[VECTORS], float x, const float *row)
{
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) {
        lanes part;
        memcpy(&part, row + v * LANES, sizeof part);
        sum[v] += x * part;
    }
}

static inline void class_add(lanes sum[CLASS_VECTORS], float x, const float *row)
{
#pragma GCC unroll 3
    for (int v = 0; v < CLASS_VECTORS; v++) {
        lanes part;
        memcpy(&part, row + v * LANES, sizeof part);
        sum[v] += x * part;
    }
}

/* Probabilities of the classes, padded by zeros; h holds the hidden layer. */
static void forward(const struct attack_world *w, const struct parts *t, const struct second *s,
                    const float *x, float *h, float *p)
{
    lanes sum[VECTORS] = {0};
    lanes out[CLASS_VECTORS] = {0};
    hidden_add(sum, 1.0f, t->b1);
    for (size_t c = 0; c < w->inputs; c++)
        hidden_add(sum, x[c], t->w1 + c * WORLD_HIDDEN);
    memcpy(h, sum, sizeof sum);
    class_add(out, 1.0f, s->row[WORLD_HIDDEN]);
    for (size_t j = 0; j < WORLD_HIDDEN; j++) {
        h[j] = w->choice.tanh ? tanhf(h[j]) : h[j] > 0.0f ? h[j] : 0.0f;
        class_add(out, h[j], s->row[j]);
    }
    memcpy(p, out, sizeof out);
    float most = p[0];
    float total = 0.0f;
    for (size_t k = 1; k < w->classes; k++)
        most = p[k] > most ? p[k] : most;
    for (size_t k = 0; k < w->classes; k++)
        total += p[k] = expf(p[k] - most);
    for (size_t k = 0; k < w->classes; k++)
        p[k] /= total;
}

static float square_sum(size_t count, const float *x)
{
    float sum = 0.0f;
    for (size_t i = 0; i < count; i++)
        sum += x[i] * x[i];
    return sum;
}

/* Squared norm of one sample's gradient: an outer product in each layer, and the biases. */
static float sample_norm(const struct attack_world *w, const float *x, const float *h,
                         const float *off, const float *back)
{
    return square_sum(w->classes, off) * (square_sum(WORLD_HIDDEN, h) + 1.0f) +
           square_sum(WORLD_HIDDEN, back) * (square_sum(w->inputs, x) + 1.0f);
}

/* A batch: hidden layer, error of the output, error of the hidden layer of each sample. */
struct batch {
    float h[WORLD_BATCH_MAX][WORLD_HIDDEN];
    float off[WORLD_BATCH_MAX][CLASS_ROW];
    float back[WORLD_BATCH_MAX][WORLD_HIDDEN];
};

static void backward(const struct attack_world *w, const struct parts *t, const struct second *s,
                     const float *x, size_t label, float share, bool clip, float *h, float *off,
                     float *back)
{
    forward(w, t, s, x, h, off);
    off[label] -= 1.0f;
    for (size_t j = 0; j < WORLD_HIDDEN; j++) {
        lanes sum = {0};
        for (int v = 0; v < CLASS_VECTORS; v++) {
            lanes a;
            lanes b;
            memcpy(&a, off + v * LANES, sizeof a);
            memcpy(&b, s->row[j] + v * LANES, sizeof b);
            sum += a * b;
        }
        float total = sum[0] + sum[1] + sum[2] + sum[3];
        back[j] = w->choice.tanh ? total * (1.0f - h[j] * h[j]) : h[j] > 0.0f ? total : 0.0f;
    }
    if (clip)
        share *= fminf(1.0f, 1.0f / sqrtf(sample_norm(w, x, h, off, back)));
    for (size_t k = 0; k < CLASS_ROW; k++)
        off[k] *= share;
    for (size_t j = 0; j < WORLD_HIDDEN; j++)
        back[j] *= share;
}

/* First layer: sums over the batch of x back' and of back; second layer: of h off' and of off. */
static void sums(const struct attack_world *w, size_t count, const size_t *row,
                 const struct batch *batch, const struct parts *g)
{
    for (size_t c = 0; c <= w->inputs; c++) {
        lanes sum[VECTORS] = {0};
        for (size_t b = 0; b < count; b++)
            hidden_add(sum, c < w->inputs ? w->x[row[b] * w->inputs + c] : 1.0f, batch->back[b]);
        memcpy(g->w1 + c * WORLD_HIDDEN, sum, sizeof sum); /* b1 follows w1 */
    }
    for (size_t j = 0; j <= WORLD_HIDDEN; j++) {
        lanes sum[CLASS_VECTORS] = {0};
        for (size_t b = 0; b < count; b++)
            class_add(sum, j < WORLD_HIDDEN ? batch->h[b][j] : 1.0f, batch->off[b]);
        memcpy(g->w2 + j * w->classes, sum, w->classes * sizeof(float)); /* b2 follows w2 */
    }
}

void attack_net_gradient(const struct attack_world *w, float *theta, size_t count,
                         const size_t *row, bool flipped, bool per_sample, float *gradient)
{
    struct batch batch;
    struct second second;
    struct parts t = parts_of(w, theta);
    struct parts g = parts_of(w, gradient);
    pad(w, &t, &second);
    memset(batch.off, 0, sizeof batch.off);
    for (size_t b = 0; b < count; b++) {
        size_t label = w->label[row[b]];
        backward(w, &t, &second, w->x + row[b] * w->inputs,
                 flipped ? w->classes - 1 - label : label, 1.0f / (float)count, per_sample,
                 batch.h[b], batch.off[b], batch.back[b]);
    }
    sums(w, count, row, &batch, &g);
}

double attack_net_accuracy(const struct attack_world *w, float *theta)
{
    struct parts t = parts_of(w, theta);
    size_t right = 0;
    struct second second;
    pad(w, &t, &second);
    for (size_t i = w->train; i < w->samples; i++) {
        float h[WORLD_HIDDEN];
        float p[CLASS_ROW];
        size_t best = 0;
        forward(w, &t, &second, w->x + i * w->inputs, h, p);
        for (size_t k = 1; k < w->classes; k++)
            best = p[k] > p[best] ? k : best;
        right += best == w->label[i];
    }
    return (double)right / (double)(w->samples - w->train);
}
