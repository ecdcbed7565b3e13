/* SPDX-License-Identifier: Apache-2.0 */
/* Runs seeds and planted bugs: engine-sim [--seeds N] [--first SEED] [--bug NUMBER] [--trace]. */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = 400, BUG_SEEDS = 300 };

static unsigned long long option(int argc, char **argv, const char *name, unsigned long long none)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return strtoull(argv[i + 1], NULL, 10);
    return none;
}

static bool flag(int argc, char **argv, const char *name)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return false;
}

static int run_seeds(uint64_t first, uint64_t seeds, const struct sim_bug *bug, bool trace)
{
    struct sim_report report, sum = {0};
    uint64_t bad = 0, finished = 0;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        sim_run(seed, bug, trace, &report);
        sum.steps += report.steps;
        sum.crashes += report.crashes;
        sum.refused += report.refused;
        sum.aborted += report.aborted;
        sum.missed += report.missed;
        finished += report.finished;
        sum.validated += report.validated;
        if (report.violation[0] && ++bad <= 10)
            printf("seed %llu: %s\n", (unsigned long long)seed, report.violation);
    }
    printf("%llu seeds: %llu steps, %llu crashes, %llu refusals, %llu aborted tasks, %llu missed "
           "deadlines; %llu studies finished, the others could not; %llu validations after them\n",
           (unsigned long long)seeds, (unsigned long long)sum.steps,
           (unsigned long long)sum.crashes, (unsigned long long)sum.refused,
           (unsigned long long)sum.aborted, (unsigned long long)sum.missed,
           (unsigned long long)finished, (unsigned long long)sum.validated);
    return bad > 0;
}

static bool caught(const struct sim_bug *bug)
{
    struct sim_report report;
    for (uint64_t seed = 1; seed <= BUG_SEEDS; seed++) {
        sim_run(seed, bug, false, &report);
        if (report.violation[0]) {
            printf("caught   %-48s seed %llu: %s\n", bug->name, (unsigned long long)seed,
                   report.violation);
            return true;
        }
    }
    printf("MISSED   %s\n", bug->name);
    return false;
}

int main(int argc, char **argv)
{
    uint64_t first = option(argc, argv, "--first", 1);
    uint64_t seeds = option(argc, argv, "--seeds", SEEDS);
    uint64_t number = option(argc, argv, "--bug", UINT64_MAX);
    bool trace = flag(argc, argv, "--trace");
    if (number < SIM_BUGS_COUNT)
        return run_seeds(first, seeds, &SIM_BUGS[number], trace);
    int failures = run_seeds(first, seeds, NULL, trace);
    if (flag(argc, argv, "--first") || flag(argc, argv, "--seeds"))
        return failures;
    for (size_t i = 0; i < SIM_BUGS_COUNT; i++)
        failures += !caught(&SIM_BUGS[i]);
    return failures > 0;
}
