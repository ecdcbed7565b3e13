/* SPDX-License-Identifier: Apache-2.0 */
/* Rules against attacks on handwritten digits: 17 sites of which 4 are hostile, a 64-32-10 network,
 * 300 steps of batches of 25, learning rate 0.3, momentum 0.9 at the sites; for each rule and
 * setting the worst test accuracy over the attacks, as the mean over seeds, and its range.
 *
 *   bench_digits FILE [seeds=N] [scale=16|std|symmetric] [clip=0|1] [rule=NAME] [setting=NAME]
 *
 * FILE: lines of 64 pixels from 0 to 16 and the digit, separated by commas. */
#include "tests/attack_world.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIXELS = 64, SAMPLES_MAX = 4000, SEEDS_MAX = 16 };

static const unsigned char KEY[RNG_KEY_BYTES] = "digits";

struct options {
    const char *path, *rule, *setting;
    uint64_t seeds;
    enum scaling { SCALE_UNIT, SCALE_SYMMETRIC, SCALE_STANDARD } scaling;
    bool clip;
};

static bool parse(int argc, char **argv, struct options *o)
{
    *o = (struct options){.seeds = 2, .scaling = SCALE_STANDARD};
    if (argc < 2)
        return false;
    o->path = argv[1];
    for (int i = 2; i < argc; i++) {
        if (strncmp(argv[i], "seeds=", 6) == 0)
            o->seeds = strtoul(argv[i] + 6, NULL, 10);
        else if (strcmp(argv[i], "scale=16") == 0)
            o->scaling = SCALE_UNIT;
        else if (strcmp(argv[i], "scale=symmetric") == 0)
            o->scaling = SCALE_SYMMETRIC;
        else if (strcmp(argv[i], "clip=1") == 0)
            o->clip = true;
        else if (strncmp(argv[i], "rule=", 5) == 0)
            o->rule = argv[i] + 5;
        else if (strncmp(argv[i], "setting=", 8) == 0)
            o->setting = argv[i] + 8;
        else if (strcmp(argv[i], "scale=std") != 0 && strcmp(argv[i], "clip=0") != 0)
            return false;
    }
    return o->seeds >= 1 && o->seeds <= SEEDS_MAX;
}

/* Samples into x [SAMPLES_MAX][PIXELS] and label; their number. */
static size_t read_digits(const char *path, float *x, size_t *label)
{
    char line[1024];
    size_t count = 0;
    FILE *file = fopen(path, "r");
    while (file && count < SAMPLES_MAX && fgets(line, sizeof line, file)) {
        char *at = line;
        for (size_t c = 0; c < PIXELS; c++) {
            x[count * PIXELS + c] = strtof(at, &at);
            at += *at == ',';
        }
        label[count] = strtoul(at, NULL, 10);
        if (label[count++] >= WORLD_CLASSES_MAX)
            return 0;
    }
    if (file)
        fclose(file);
    return count;
}

/* All pixels to 0..1 or -1..1, or each to mean 0 and deviation 1. */
static void scale(enum scaling scaling, size_t count, float *x)
{
    for (size_t c = 0; c < PIXELS; c++) {
        double sum = 0.0;
        double square = 0.0;
        for (size_t i = 0; i < count; i++) {
            double v = (double)x[i * PIXELS + c];
            sum += v;
            square += v * v;
        }
        double mean = sum / (double)count;
        double deviation = sqrt(fmax(0.0, square / (double)count - mean * mean));
        for (size_t i = 0; i < count; i++) {
            double v = (double)x[i * PIXELS + c];
            x[i * PIXELS + c] =
                (float)(scaling == SCALE_UNIT        ? v / 16.0
                        : scaling == SCALE_SYMMETRIC ? v / 8.0 - 1.0
                                                     : (v - mean) / (deviation + 1e-8));
        }
    }
}

/* Worst accuracy over the attacks in one world; *ret_by names the attack. */
static double worst_of(const struct attack_world *w, const char *rule, double ratio, uint64_t seed,
                       const char **ret_by)
{
    double worst = 2.0;
    struct why why = {""};
    for (size_t a = 0; a < WORLD_ATTACKS; a++) {
        double reached = 0.0;
        if (!ok(attack_world_train(w, rule, WORLD_ATTACK[a], ratio, seed, &reached, &why))) {
            fprintf(stderr, "%s\n", why.text);
            exit(1);
        }
        if (reached < worst) {
            worst = reached;
            *ret_by = WORLD_ATTACK[a];
        }
    }
    return worst;
}

static void report(const struct options *o, const float *x, const size_t *label, size_t count,
                   const char *rule, const struct attack_setting *setting)
{
    double low = 2.0;
    double high = 0.0;
    double sum = 0.0;
    printf("%-18s %-12s", rule, setting->name);
    for (uint64_t seed = 1; seed <= o->seeds; seed++) {
        struct rng rng;
        const char *by = "";
        struct attack_world w = {.inputs = PIXELS,
                                 .hidden = 32,
                                 .classes = 10,
                                 .samples = count,
                                 .train = count * 4 / 5,
                                 .n = 17,
                                 .f = 4,
                                 .steps = 300,
                                 .batch = 25,
                                 .rate = 0.3,
                                 .beta = 0.9,
                                 .clip = o->clip};
        attack_world_open(&w);
        memcpy(w.x, x, count * PIXELS * sizeof *x);
        memcpy(w.label, label, count * sizeof *label);
        rng_init_seeded(&rng, KEY, seed);
        attack_world_shuffle(&w, &rng);
        attack_world_deal(&w, setting->alpha, &rng);
        double worst = worst_of(&w, rule, setting->ratio, seed, &by);
        attack_world_close(&w);
        low = fmin(low, worst);
        high = fmax(high, worst);
        sum += worst;
        printf(" %.3f %s", worst, by);
    }
    printf(" | mean %.3f range %.3f to %.3f\n", sum / (double)o->seeds, low, high);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static float x[SAMPLES_MAX * PIXELS];
    static size_t label[SAMPLES_MAX];
    struct options o;
    if (!parse(argc, argv, &o)) {
        fprintf(
            stderr,
            "usage: bench_digits FILE [seeds=N] [scale=16|std|symmetric] [clip=0|1] [rule=NAME] "
            "[setting=NAME]\n");
        return 2;
    }
    size_t count = read_digits(o.path, x, label);
    if (count < 100) {
        fprintf(stderr, "%s: no lines of 64 pixels and a digit\n", o.path);
        return 1;
    }
    scale(o.scaling, count, x);
    for (size_t s = 0; s < WORLD_SETTINGS; s++)
        for (size_t r = 0; r < WORLD_RULES; r++)
            if ((!o.rule || strcmp(o.rule, WORLD_RULE[r]) == 0) &&
                (!o.setting || strcmp(o.setting, WORLD_SETTING[s].name) == 0))
                report(&o, x, label, count, WORLD_RULE[r], &WORLD_SETTING[s]);
    return 0;
}
