/* SPDX-License-Identifier: Apache-2.0 */
/* A private gradient (gather, clip, sum on the grid; noise timed apart) against its plain twin on
 * the same patients. Prints the first decile of interleaved repetitions and the median of
 * their ratios, in processor time, which spares them the machine's other work. With an argument:
 * only models whose name holds it. */
#include "agent/vault/train_gradient.h"
#include "linalg/blas.h"
#include "privacy/noise_pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PATIENTS = 4096, BATCH = 1024, INPUTS = 100, REPEATS = 200 };

struct bench {
    struct model model;
    struct dataset_part part;
    struct clip clip;
    struct plain_gradient plain;
    struct release_grid grid;
    double *w, *gradient;
    size_t chosen[BATCH];
};

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Of this thread on a processor: what else the machine does is left out. */
static double seconds(void)
{
    return seconds_of(CLOCK_THREAD_CPUTIME_ID);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The tenth part's bound from below: what the step takes when it is left alone. */
static double quiet(double *x, size_t n)
{
    qsort(x, n, sizeof *x, ascending);
    return x[n / 10];
}

/* Zeroed memory; a bench without memory ends. */
static void *room(size_t count, size_t each)
{
    void *p = calloc(count, each);
    if (!p)
        exit(1);
    return p;
}

static void make_patients(struct bench *b, size_t rows_each)
{
    size_t rows = (size_t)PATIENTS * rows_each;
    struct rng rng;
    unsigned char key[RNG_KEY_BYTES] = {1};
    rng_init_seeded(&rng, key, 0);
    b->part = (struct dataset_part){.patients = PATIENTS, .rows = rows};
    b->part.x = room(rows * INPUTS, sizeof(double));
    b->part.y = room(rows, sizeof(double));
    b->part.square = room(rows, sizeof(double));
    b->part.first = room(PATIENTS + 1, sizeof(uint32_t));
    for (size_t i = 0; i < rows * INPUTS; i++)
        b->part.x[i] = 2.0 * rng_uniform(&rng) - 1.0;
    for (size_t r = 0; r < rows; r++) {
        b->part.y[r] = (double)(r % 2);
        b->part.square[r] = blas_dot(INPUTS, b->part.x + r * INPUTS, b->part.x + r * INPUTS);
    }
    for (size_t p = 0; p <= PATIENTS; p++)
        b->part.first[p] = (uint32_t)(p * rows_each);
    for (size_t i = 0; i < BATCH / rows_each; i++)
        b->chosen[i] = i * (PATIENTS * rows_each / BATCH) + (size_t)rng_below(&rng, 4);
}

static double private_step(struct bench *b, size_t count)
{
    struct clip_rows rows = dataset_rows(&b->part);
    double start = seconds();
    clip_begin(&b->clip);
    if (clip_add(&b->clip, b->w, &rows, b->chosen, count) != CLIP_OK)
        exit(1);
    release_values(&b->grid, b->clip.sum, BATCH, b->gradient, b->model.parameters);
    return seconds() - start;
}

static double plain_step(struct bench *b, size_t count)
{
    double start = seconds();
    plain_gradient_mean(&b->plain, &b->part, b->w, b->chosen, count, b->gradient);
    return seconds() - start;
}

/* Processor time of both threads for one sample, of those drawn again for what was taken. */
static double pooled_noise(size_t n, int64_t *noise)
{
    size_t capacity = 1 << 16, takes = (1 << 20) / n + 1;
    struct noise_pool *pool = noise_pool_start(capacity);
    const struct timespec pause = {.tv_nsec = 1000000};
    if (!pool)
        exit(1);
    while (noise_pool_ready(pool) < capacity)
        nanosleep(&pause, NULL);
    double start = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    for (size_t i = 0; i < takes; i++)
        noise_pool_take(pool, noise, n);
    while (noise_pool_ready(pool) + 4096 < capacity)
        nanosleep(&pause, NULL);
    double drawn = (double)(takes * n) - (double)(capacity - noise_pool_ready(pool));
    double each = (seconds_of(CLOCK_PROCESS_CPUTIME_ID) - start) / drawn;
    noise_pool_stop(pool);
    return each;
}

static void run(const char *name, const struct model_spec *spec, size_t rows_each)
{
    struct bench *b = room(1, sizeof *b);
    static double private_s[REPEATS], plain_s[REPEATS], ratio[REPEATS];
    size_t count = BATCH / rows_each;
    if (model_build(&b->model, spec) != MODEL_OK)
        exit(1);
    make_patients(b, rows_each);
    b->w = room(b->model.parameters, sizeof(double));
    b->gradient = room(b->model.parameters, sizeof(double));
    int64_t *noise = room(b->model.parameters, sizeof *noise);
    model_initial(&b->model, 1, b->w);
    struct clip_settings settings = {.batch_rows = TRAIN_BATCH_ROWS, .patient_rows = rows_each};
    if (release_grid_init(&b->grid, 1.0, 1.0, b->model.parameters, CLIP_SLOT_ROWS_MAX) != 0)
        exit(1);
    settings.grid = b->grid;
    if (clip_create(&b->clip, &b->model, &settings) != CLIP_OK ||
        plain_gradient_create(&b->plain, &b->model) != MODEL_OK)
        exit(1);
    for (size_t k = 0; k < REPEATS; k++) {
        plain_s[k] = plain_step(b, count);
        private_s[k] = private_step(b, count);
        ratio[k] = private_s[k] / plain_s[k];
    }
    double plain = quiet(plain_s, REPEATS), private = quiet(private_s, REPEATS);
    qsort(ratio, REPEATS, sizeof *ratio, ascending);
    printf(
        "%-28s %zu rows each  plain %8.1f us  private %8.1f us  ratio %.3f  noise %5.1f ns each\n",
        name, rows_each, 1e6 * plain, 1e6 * private, ratio[REPEATS / 2],
        1e9 * pooled_noise(b->model.parameters, noise));
    clip_free(&b->clip);
    plain_gradient_free(&b->plain);
    free(b->part.x);
    free(b->part.y);
    free(b->part.square);
    free(b->part.first);
    free(b->w);
    free(b->gradient);
    free(noise);
    free(b);
}

int main(int argc, char **argv)
{
    const struct {
        const char *name;
        struct model_spec spec;
    } cases[] = {
        {"logistic 100", {.output = OUTPUT_LOGISTIC, .inputs = INPUTS, .outputs = 1}},
        {"softmax 100 of 3", {.output = OUTPUT_SOFTMAX, .inputs = INPUTS, .outputs = 3}},
        {"MLP 100-64-32-1 ReLU",
         {.output = OUTPUT_LOGISTIC,
          .inputs = INPUTS,
          .outputs = 1,
          .hidden_count = 2,
          .hidden = {64, 32}}},
        {"MLP 100-64-32-1 tanh",
         {.output = OUTPUT_LOGISTIC,
          .activation = MODEL_TANH,
          .inputs = INPUTS,
          .outputs = 1,
          .hidden_count = 2,
          .hidden = {64, 32}}},
        {"MLP 100-256-128-1 ReLU",
         {.output = OUTPUT_LOGISTIC,
          .inputs = INPUTS,
          .outputs = 1,
          .hidden_count = 2,
          .hidden = {256, 128}}},
    };
    blas_use_one_thread();
    printf("batch of %d rows, first decile of %d\n", BATCH, REPEATS);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (argc > 1 && !strstr(cases[i].name, argv[1]))
            continue;
        run(cases[i].name, &cases[i].spec, 1);
        run(cases[i].name, &cases[i].spec, 4);
    }
    return 0;
}
