/* SPDX-License-Identifier: Apache-2.0 */
/* Cost of privacy on one thread, in processor time: nanoseconds a noise sample beside the bare key
 * stream, time and memory of the accountant. usage: bench_privacy [seconds per figure, default 1]
 */
#include "privacy/accountant.h"
#include "privacy/noise.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLES = 1 << 20, TIMES_MAX = 1000 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* one thread: others' load does not count */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void bench_noise(double seconds)
{
    static int64_t out[SAMPLES];
    struct rng rng;
    rng_init_system(&rng);
    double noise = HUGE_VAL, stream = HUGE_VAL, end = now() + seconds;
    do {
        double start = now();
        noise_fill(&rng, out, SAMPLES);
        noise = fmin(noise, now() - start);
        start = now();
        rng_bytes(&rng, out, sizeof out);
        stream = fmin(stream, now() - start);
    } while (now() < end);
    printf("noise: %.1f ns a sample (key stream alone %.2f GB/s)\n", 1e9 * noise / SAMPLES,
           1e-9 * sizeof out / stream);
}

/* Median time of a query in this process, and the memory it adds to a fresh one. */
static void bench_query(const char *text, double delta, double grid, double seconds)
{
    static struct event_list events;
    static double times[TIMES_MAX];
    char error[EVENT_ERROR_MAX];
    struct accountant_options options = {.grid = grid};
    struct accountant_bound bound = {0};
    struct rusage before, after;
    if (event_list_parse(&events, text, error) != 0)
        return;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        getrusage(RUSAGE_SELF, &before);
        accountant_epsilon(&events, delta, &options, &bound);
        getrusage(RUSAGE_SELF, &after);
        printf("  %6.1f MB ", (double)(after.ru_maxrss - before.ru_maxrss) / 1024);
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    double end = now() + seconds;
    size_t n = 0;
    do {
        double start = now();
        accountant_epsilon(&events, delta, &options, &bound);
        times[n++] = now() - start;
    } while (now() < end && n < TIMES_MAX);
    qsort(times, n, sizeof *times, ascending);
    printf("%7.1f ms (least %.1f)  [%.6g, %.6g] grid %.2g  %s\n", 1e3 * times[n / 2],
           1e3 * times[0], bound.lower, bound.upper, bound.grid, text);
}

static void bench_calibration(void)
{
    static struct event_list events;
    char error[EVENT_ERROR_MAX];
    double noise = 0, start = now();
    if (event_list_parse(&events, "g:0.02:?:500", error) != 0)
        return;
    accountant_calibrate(&events, 1, 1e-5, NULL, &noise);
    printf("calibrate g:0.02:?:500 to epsilon 1: %.1f ms (%.6f)\n", 1e3 * (now() - start), noise);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 1;
    bench_noise(seconds);
    for (int fine = 0; fine < 2; fine++) {
        double grid = fine ? 1e-5 : 1e-4;
        printf("accountant at grid %.0e:\n", grid);
        bench_query("g:0.01:1.1:10000", 1e-5, grid, seconds);
        bench_query("g:0.004266666666666667:1.1:14062", 1e-5, grid, seconds);
        bench_query("g:0.02:1:500", 1e-5, grid, seconds);
        bench_query("g:0.05:2:400|g:0.01:1.1:2000|g:1:15:4", 1e-6, grid, seconds);
        bench_query("g:0.02:2:100|g:0.02:1.5:100|g:0.02:1:100|g:0.02:0.8:100", 1e-5, grid, seconds);
    }
    bench_calibration();
    return 0;
}
