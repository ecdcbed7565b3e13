/* SPDX-License-Identifier: Apache-2.0 */
/* Times of the aggregation rules as ratios to reading the same rows once, measured in the same run,
 * and to the best time of other systems on this class of machine (milliseconds, two threads,
 * float32: ByzFL, Flower, velocity-fl; f = n/5). Arguments: [kernels name] limits the run to one
 * table. */
#include "coordinator/aggregate/run.h"
#include "proto/compress/codec.h"

#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

enum { HUGE_PAGE = 2 << 20, REPEATS = 7, THREADS_MOST = 2 };

static const struct timing {
    const char *rule;
    size_t n, d;
    double most;    /* goal: times the read of the rows, two threads; 0 none */
    double peer_ms; /* 0: none fits or none measured */
} TIMINGS[] = {
    {"mean", 20, 1000000, 0, 4.2},
    {"median", 20, 1000000, 1.5, 193},
    {"trimmed-mean", 20, 1000000, 1.5, 107},
    {"multikrum", 20, 1000000, 3.7, 110},
    {"geomedian", 20, 1000000, 3.7, 232},
    {"geomedian-converged", 20, 1000000, 3.7, 232},
    {"centered-clipping", 20, 1000000, 3.7, 168},
    {"caf", 20, 1000000, 3.7, 383},
    {"nnm+trimmed-mean", 20, 1000000, 6, 732},
    {"nnm+geomedian", 20, 1000000, 0, 732},
    {"meamed", 20, 1000000, 0, 957},
    {"median", 50, 1000000, 1.8, 873},
    {"trimmed-mean", 50, 1000000, 1.8, 345},
    {"nnm+trimmed-mean", 50, 1000000, 7.8, 0},
    {"median", 100, 100000, 6.2, 57},
    {"trimmed-mean", 100, 100000, 6.2, 37},
    {"multikrum", 100, 100000, 11.2, 55},
    {"nnm+trimmed-mean", 100, 100000, 34, 1735},
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *huge(size_t floats)
{
    size_t bytes = (floats * sizeof(float) + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void *memory = NULL;
    if (posix_memalign(&memory, HUGE_PAGE, bytes) != 0)
        exit(1);
    madvise(memory, bytes, MADV_HUGEPAGE);
    return memory;
}

static void fill(size_t count, float *x)
{
    uint64_t seed = 88172645463325252u;
    for (size_t i = 0; i < count; i++) {
        float sum = 0.0f;
        for (int k = 0; k < 2; k++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            sum += (float)(seed >> 40) / 16777216.0f - 0.5f;
        }
        x[i] = sum;
    }
}

struct slice {
    const float *x;
    size_t count;
    float sum;
};

static void *read_slice(void *argument)
{
    typedef float lanes __attribute__((vector_size(64)));
    struct slice *s = argument;
    lanes sum[8] = {{0}};
    for (size_t i = 0; i + 128 <= s->count; i += 128) {
        for (int k = 0; k < 8; k++) {
            lanes in;
            memcpy(&in, s->x + i + k * 16, sizeof in);
            sum[k] += in;
        }
    }
    for (int k = 0; k < 8; k++)
        s->sum += sum[k][0];
    return NULL;
}

/* Best time of reading count floats once. */
static double read_time(const float *x, size_t count, unsigned threads)
{
    double best = INFINITY;
    for (int turn = 0; turn < REPEATS; turn++) {
        struct slice slice[THREADS_MOST];
        pthread_t thread[THREADS_MOST];
        double start = now();
        for (unsigned w = 0; w < threads; w++) {
            slice[w] = (struct slice){x + count / threads * w, count / threads, 0.0f};
            pthread_create(&thread[w], NULL, read_slice, &slice[w]);
        }
        for (unsigned w = 0; w < threads; w++)
            pthread_join(thread[w], NULL);
        best = fmin(best, now() - start);
    }
    return best;
}

static double rule_time(const struct agg_means *means, const struct timing *t, const float *x,
                        float *out)
{
    struct agg_rule rule;
    struct why why = {""};
    const float *rows[AGG_ROWS_MAX];
    for (size_t i = 0; i < t->n; i++)
        rows[i] = x + i * t->d;
    struct agg_source source = {.n = t->n, .d = t->d, .rows = rows};
    if (agg_rule_parse(t->rule, &rule, &why).code != RESULT_OK)
        exit(1);
    agg_rule_set_f(&rule, t->n / 5);
    double best = INFINITY;
    for (int turn = 0; turn < REPEATS; turn++) {
        double start = now();
        if (agg_run_with(means, &rule, &source, out, NULL, &why).code != RESULT_OK)
            exit(1);
        best = fmin(best, now() - start);
    }
    agg_rule_free(&rule);
    return best;
}

struct frames {
    struct codec_view *view;
};

static bool decode(void *context, size_t row, size_t first, size_t count, float *out)
{
    const struct frames *frames = context;
    codec_decode_blocks(&frames->view[row], first / CODEC_BLOCK,
                        (count + CODEC_BLOCK - 1) / CODEC_BLOCK, out);
    return true;
}

static void encode_rows(const struct codec *codec, size_t n, size_t d, struct frames *frames)
{
    size_t bytes = (size_t)codec_frame_bytes(codec, d);
    float *x = malloc(d * sizeof *x);
    struct why why = {""};
    frames->view = calloc(n, sizeof *frames->view);
    for (size_t i = 0; i < n; i++) {
        unsigned char seed[CODEC_SEED_BYTES] = {(unsigned char)i, (unsigned char)(i >> 8)};
        unsigned char *frame = malloc(bytes);
        size_t length = 0;
        for (size_t c = 0; c < d; c++)
            x[c] = (float)((c * 2654435761u + i * 40503u) % 1999u) / 1000.0f - 1.0f;
        if (!frame || codec_encode(codec, seed, d, x, frame, bytes, &length, &why).code ||
            codec_open(frame, length, d, &frames->view[i], &why).code) {
            fprintf(stderr, "%s\n", why.text);
            exit(1);
        }
    }
    free(x);
}

static int compressed(size_t n, size_t d)
{
    static const char *const RULES[] = {"trimmed-mean", "multikrum", "nnm+trimmed-mean"};
    struct codec codec;
    struct why why = {""};
    struct frames frames;
    if (codec_parse("eden-4", &codec, &why).code)
        return 1;
    encode_rows(&codec, n, d, &frames);
    float *out = malloc(d * sizeof *out);
    struct agg_source source = {.n = n, .d = d, .decode = decode, .context = &frames};
    for (size_t k = 0; k < sizeof RULES / sizeof RULES[0]; k++) {
        struct agg_rule rule;
        struct rusage use;
        if (agg_rule_parse(RULES[k], &rule, &why).code)
            return 1;
        agg_rule_set_f(&rule, n / 5);
        double start = now();
        if (agg_run(&rule, &source, 2, out, NULL, &why).code) {
            fprintf(stderr, "%s\n", why.text);
            return 1;
        }
        double took = now() - start;
        getrusage(RUSAGE_SELF, &use);
        printf("%-20s n %zu d %zu eden-4: %.2f s, peak memory %ld MB of which frames %.0f MB\n",
               RULES[k], n, d, took, use.ru_maxrss / 1024,
               (double)n * (double)codec_frame_bytes(&codec, d) / 1048576.0);
        fflush(stdout);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "compressed") == 0)
        return compressed(strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10));
    size_t most = 0;
    for (size_t k = 0; k < sizeof TIMINGS / sizeof TIMINGS[0]; k++)
        most = TIMINGS[k].n * TIMINGS[k].d > most ? TIMINGS[k].n * TIMINGS[k].d : most;
    float *x = huge(most);
    float *out = huge(1000000);
    fill(most, x);
    const struct kernels *kernels = kernels_best();
    for (const struct kernels *const *k = kernels_here(); argc > 1 && *k; k++)
        if (strcmp((*k)->name, argv[1]) == 0)
            kernels = *k;
    struct rusage before;
    getrusage(RUSAGE_SELF, &before);
    printf("kernels %s; ms = best of %d\n", kernels->name, REPEATS);
    printf("%-20s %4s %8s | %9s %9s %6s | %9s %9s %6s %6s | %8s %6s\n", "rule", "n", "d", "read T1",
           "T1 ms", "ratio", "read T2", "T2 ms", "ratio", "goal", "peer ms", "x");
    for (size_t k = 0; k < sizeof TIMINGS / sizeof TIMINGS[0]; k++) {
        const struct timing *t = &TIMINGS[k];
        double read[2];
        double ran[2];
        for (unsigned threads = 1; threads <= THREADS_MOST; threads++) {
            struct agg_means means = {kernels, threads};
            read[threads - 1] = 1e3 * read_time(x, t->n * t->d, threads);
            ran[threads - 1] = 1e3 * rule_time(&means, t, x, out);
        }
        printf("%-20s %4zu %8zu | %9.2f %9.2f %6.2f | %9.2f %9.2f %6.2f %6.2f | %8.1f %6.1f\n",
               t->rule, t->n, t->d, read[0], ran[0], ran[0] / read[0], read[1], ran[1],
               ran[1] / read[1], t->most, t->peer_ms, t->peer_ms / ran[1]);
    }
    struct rusage after;
    getrusage(RUSAGE_SELF, &after);
    printf("memory beyond rows and result: %ld kB\n", after.ru_maxrss - before.ru_maxrss);
    free(x);
    free(out);
    return 0;
}
