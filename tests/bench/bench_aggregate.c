/* SPDX-License-Identifier: Apache-2.0 */
/* Times of the aggregation rules as ratios to reading the same rows once, measured in the same run,
 * turn by turn, so that neighbours on a shared machine disturb both alike; beside them the best
 * time of other systems on this class of machine (milliseconds, two threads, float32: ByzFL,
 * Flower, velocity-fl; f = n/5) and the goal.
 *
 *   bench_aggregate [kernels=NAME] [n=N] [rule=NAME] [turns=K] [clock=cpu]
 *
 * On a machine whose processors others keep busy, clock=cpu takes the processor time of all threads
 * divided by their number instead of the time that passes.
 *
 *   bench_aggregate compressed N D    rules over N eden-4 frames of D coordinates, and peak memory
 */
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

enum { HUGE_PAGE = 2 << 20, TURNS = 15, THREADS_MOST = 2 };

#define MEMORY_BEYOND_MB 64.0

static const struct timing {
    const char *rule;
    size_t n, d;
    double most;    /* goal: times the read of the rows, two threads; 0 none */
    double peer_ms; /* 0: none fits or none measured */
} TIMINGS[] = {
    {"mean", 20, 1000000, 0, 4.2},
    {"median", 20, 1000000, 1.5, 193},
    {"trimmed-mean", 20, 1000000, 1.5, 107},
    {"krum", 20, 1000000, 3.7, 110},
    {"multikrum", 20, 1000000, 3.7, 110},
    {"geomedian", 20, 1000000, 3.7, 232},
    {"geomedian-converged", 20, 1000000, 3.7, 232},
    {"centered-clipping", 20, 1000000, 3.7, 168},
    {"caf", 20, 1000000, 3.7, 383},
    {"nnm+trimmed-mean", 20, 1000000, 6, 986},
    {"nnm+geomedian", 20, 1000000, 0, 0},
    {"bulyan", 20, 1000000, 0, 366},
    {"meamed", 20, 1000000, 0, 957},
    {"weighted-median", 20, 1000000, 0, 0},
    {"weighted-trimmed-mean", 20, 1000000, 0, 0},
    {"median", 50, 1000000, 1.8, 873},
    {"trimmed-mean", 50, 1000000, 1.8, 345},
    {"nnm+trimmed-mean", 50, 1000000, 7.8, 0},
    {"median", 100, 100000, 6.2, 57},
    {"trimmed-mean", 100, 100000, 6.2, 37},
    {"krum", 100, 100000, 11.2, 55},
    {"multikrum", 100, 100000, 11.2, 55},
    {"nnm+trimmed-mean", 100, 100000, 34, 1735},
    {"weighted-median", 100, 100000, 0, 0},
};
enum { TIMING_COUNT = sizeof TIMINGS / sizeof TIMINGS[0] };

static clockid_t stopwatch = CLOCK_MONOTONIC;

static double now(void)
{
    struct timespec t;
    clock_gettime(stopwatch, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Milliseconds since start of so many threads. */
static double since(double start, unsigned threads)
{
    return 1e3 * (now() - start) / (stopwatch == CLOCK_MONOTONIC ? 1.0 : (double)threads);
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

/* Time of reading count floats once. */
static double read_time(const float *x, size_t count, unsigned threads)
{
    struct slice slice[THREADS_MOST];
    pthread_t thread[THREADS_MOST];
    double start = now();
    for (unsigned w = 0; w < threads; w++) {
        slice[w] = (struct slice){x + count / threads * w, count / threads, 0.0f};
        pthread_create(&thread[w], NULL, read_slice, &slice[w]);
    }
    for (unsigned w = 0; w < threads; w++)
        pthread_join(thread[w], NULL);
    return since(start, threads);
}

static void make_rule(const struct timing *t, struct agg_rule *rule)
{
    struct why why = {""};
    double weight[AGG_ROWS_MAX];
    double mass = (double)(t->n / 5);
    for (size_t i = 0; i < t->n; i++)
        weight[i] = 1.0 + 0.1 * (double)(i % 7);
    if (agg_rule_parse(t->rule, rule, &why).code != RESULT_OK)
        exit(1);
    agg_rule_set_f(rule, t->n / 5);
    if (strncmp(t->rule, "weighted", 8) == 0 &&
        agg_rule_set_numbers(rule, "w", t->n, weight, &why).code != RESULT_OK)
        exit(1);
    if (strcmp(t->rule, "weighted-trimmed-mean") == 0 &&
        agg_rule_set_numbers(rule, "trim_mass", 1, &mass, &why).code != RESULT_OK)
        exit(1);
}

/* Best times of reading the rows and of the rule, one after the other in each turn. */
static void time_rule(const struct agg_means *means, const struct timing *t, int turns,
                      const float *x, float *out, double best[2])
{
    struct agg_rule rule;
    struct why why = {""};
    const float *rows[AGG_ROWS_MAX];
    for (size_t i = 0; i < t->n; i++)
        rows[i] = x + i * t->d;
    struct agg_source source = {.n = t->n, .d = t->d, .rows = rows};
    make_rule(t, &rule);
    best[0] = best[1] = (double)INFINITY;
    for (int turn = 0; turn < turns; turn++) {
        best[0] = fmin(best[0], read_time(x, t->n * t->d, means->threads));
        double start = now();
        if (agg_run_with(means, &rule, &source, out, NULL, &why).code != RESULT_OK) {
            fprintf(stderr, "%s: %s\n", t->rule, why.text);
            exit(1);
        }
        best[1] = fmin(best[1], since(start, means->threads));
    }
    agg_rule_free(&rule);
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

struct choice {
    const struct kernels *kernels;
    const char *rule;
    size_t n;
    int turns;
};

static bool choose(int argc, char **argv, struct choice *choice)
{
    *choice = (struct choice){.kernels = kernels_best(), .turns = TURNS};
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (!value)
            return false;
        value++;
        if (strncmp(argv[i], "kernels=", 8) == 0) {
            choice->kernels = NULL;
            for (const struct kernels *const *k = kernels_here(); *k; k++)
                if (strcmp((*k)->name, value) == 0)
                    choice->kernels = *k;
            if (!choice->kernels)
                return false;
        } else if (strncmp(argv[i], "n=", 2) == 0) {
            choice->n = strtoul(value, NULL, 10);
        } else if (strncmp(argv[i], "turns=", 6) == 0) {
            choice->turns = atoi(value);
        } else if (strcmp(argv[i], "clock=cpu") == 0) {
            stopwatch = CLOCK_PROCESS_CPUTIME_ID;
        } else if (strncmp(argv[i], "rule=", 5) == 0) {
            choice->rule = value;
        } else {
            return false;
        }
    }
    return true;
}

static void report(const struct timing *t, double one[2], double two[2])
{
    char goal[16] = "-";
    char peer[16] = "-";
    char faster[16] = "-";
    double ratio = two[1] / two[0];
    if (t->most > 0.0)
        snprintf(goal, sizeof goal, "%.1f", t->most);
    if (t->peer_ms > 0.0) {
        snprintf(peer, sizeof peer, "%.1f", t->peer_ms);
        snprintf(faster, sizeof faster, "%.0f", t->peer_ms / two[1]);
    }
    printf("%-21s %3zu %7zu | %6.2f %7.2f %5.2f | %6.2f %7.2f %5.2f | %5s %-3s | %7s %5s\n",
           t->rule, t->n, t->d, one[0], one[1], one[1] / one[0], two[0], two[1], ratio, goal,
           t->most <= 0.0     ? ""
           : ratio <= t->most ? "yes"
                              : "no",
           peer, faster);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct choice choice;
    if (argc == 4 && strcmp(argv[1], "compressed") == 0)
        return compressed(strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10));
    if (!choose(argc, argv, &choice)) {
        fprintf(stderr, "usage: bench_aggregate [kernels=NAME] [n=N] [rule=NAME] [turns=K] "
                        "[clock=cpu]\n"
                        "       bench_aggregate compressed N D\n");
        return 2;
    }
    size_t most = 0;
    size_t longest = 0;
    for (size_t k = 0; k < TIMING_COUNT; k++) {
        most = TIMINGS[k].n * TIMINGS[k].d > most ? TIMINGS[k].n * TIMINGS[k].d : most;
        longest = TIMINGS[k].d > longest ? TIMINGS[k].d : longest;
    }
    float *x = huge(most);
    float *out = huge(longest);
    fill(most, x);
    memset(out, 0, longest * sizeof *out);
    struct rusage before;
    struct rusage after;
    getrusage(RUSAGE_SELF, &before);
    printf("kernels %s; best of %d turns; times in ms%s, ratios to the read of the same rows\n",
           choice.kernels->name, choice.turns,
           stopwatch == CLOCK_MONOTONIC ? "" : " of processors");
    printf("%-21s %3s %7s | %6s %7s %5s | %6s %7s %5s | %5s %-3s | %7s %5s\n", "rule", "n", "d",
           "read", "1 thr", "ratio", "read", "2 thr", "ratio", "goal", "met", "peer", "x");
    for (size_t k = 0; k < TIMING_COUNT; k++) {
        const struct timing *t = &TIMINGS[k];
        double best[THREADS_MOST][2];
        if ((choice.n && choice.n != t->n) || (choice.rule && strcmp(choice.rule, t->rule) != 0))
            continue;
        for (unsigned threads = 1; threads <= THREADS_MOST; threads++) {
            struct agg_means means = {choice.kernels, threads};
            time_rule(&means, t, choice.turns, x, out, best[threads - 1]);
        }
        report(t, best[0], best[1]);
    }
    getrusage(RUSAGE_SELF, &after);
    double beyond = (double)(after.ru_maxrss - before.ru_maxrss) / 1024.0;
    printf("memory beyond rows and result: %.1f MB, goal %.0f MB: %s\n", beyond, MEMORY_BEYOND_MB,
           beyond <= MEMORY_BEYOND_MB ? "yes" : "no");
    free(x);
    free(out);
    return 0;
}
