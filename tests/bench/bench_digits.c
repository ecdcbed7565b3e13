/* SPDX-License-Identifier: Apache-2.0 */
/* Rules against attacks on handwritten digits: 17 sites of which 4 are hostile, a 64-32-10 network,
 * 300 steps of batches of 25, learning rate 0.3, momentum 0.9 at the sites. The specification's
 * table gives, for each rule and setting, the worst test accuracy over the attacks of the mean of
 * two seeds. Here: the mean of that figure over all pairs of seeds, where nine tenths of the pairs
 * lie, and whether the table's figure lies within 0.02 of the one or the other.
 *
 *   bench_digits FILE [KEY=VALUE]... [vary=KEY,KEY...]
 *
 * FILE: lines of 64 pixels from 0 to 16 and the digit, separated by commas. rules=, columns= and
 * attacks= take names by commas, seeds= a number; the other keys are what the table leaves open
 * (KEYS). vary= runs every combination of the values of the named keys. */
#include "tests/attack_world.h"
#include "tests/bench/options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIXELS = 64, SAMPLES_MAX = 2000, SEEDS_MAX = 32, PAIRS_MAX = SEEDS_MAX * SEEDS_MAX / 2 };
enum { COLUMNS = 5, RULES = 16, VALUES_MAX = 8 };

static const double NEAR = 0.02; /* what counts as reproduced */
static const unsigned char KEY_BYTES[RNG_KEY_BYTES] = "digits";

static const struct column {
    const char *name;
    double alpha; /* of the Dirichlet shares; 0 = at random */
    double ratio;
} COLUMN[COLUMNS] = {
    {"iid", 0.0, 0.0},     {"dir1", 1.0, 0.0},      {"dir0.1", 0.1, 0.0},
    {"dir1-r3", 1.0, 3.0}, {"dir1-r10", 1.0, 10.0},
};

static const struct entry {
    struct world_rule rule;
    double table[COLUMNS];
} TABLE[RULES] = {
    {{"mean", "mean"}, {.944, .942, .625, .944, .729}},
    {{"median", "median"}, {.944, .868, .172, .836, .528}},
    {{"trimmed-mean", "trimmed-mean"}, {.956, .749, .390, .928, .472}},
    {{"gm", "geomedian-smoothed", .nu = 0.1, .T = 3}, {.947, .944, .772, .864, .208}},
    {{"krum", "krum-nf1"}, {.919, .869, .212, .483, .103}},
    {{"multikrum", "multikrum-nf1"}, {.938, .824, .394, .951, .917}},
    {{"cclip", "centered-clipping", .follows = true}, {.949, .775, .731, .947, .731}},
    {{"bulyan", "bulyan", .f = 3}, {.904, .868, .312, .483, .040}},
    {{"bucket2+tm", "bucketing+trimmed-mean", .buckets = true}, {.896, .797, .414, .924, .417}},
    {{"bucket2+gm", "bucketing+geomedian-smoothed", .buckets = true, .nu = 0.1, .T = 3},
     {.960, .929, .832, .938, .667}},
    {{"nnm+median", "nnm+median"}, {.965, .944, .267, .953, .925}},
    {{"nnm+tm", "nnm+trimmed-mean"}, {.963, .953, .607, .954, .928}},
    {{"nnm+gm", "nnm+geomedian-smoothed", .nu = 0.1, .T = 3}, {.963, .956, .599, .956, .928}},
    {{"nnm+krum", "nnm+krum-nf1"}, {.956, .919, .108, .953, .924}},
    {{"arc+nnm+tm", "arc+nnm+trimmed-mean"}, {.964, .958, .807, .932, .683}},
    {{"caf", "caf"}, {.964, .963, .518, .956, .947}},
};

/* What the table leaves open, and the values that each may take; usual is the one that comes
 * nearest to the table. */
enum key {
    KEY_SCALE,
    KEY_START,
    KEY_FLIP,
    KEY_MOMENTUM,
    KEY_OWNERS,
    KEY_DEAL,
    KEY_BATCH,
    KEY_NOISE,
    KEY_CLIP,
    KEY_CLIPPED,
    KEY_UNIT,
    KEY_SIGN,
    KEY_MIMIC,
    KEY_SPLIT,
    KEYS
};
static const struct {
    const char *name;
    const char *value[VALUES_MAX];
    size_t usual;
} OPEN[KEYS] = {
    [KEY_SCALE] = {"scale", {"16", "std", "symmetric", "centred", "whole", "8"}, 0},
    [KEY_START] = {"start", {"uniform", "nobias", "he", "glorot", "lecun", "small"}, START_HE},
    [KEY_FLIP] = {"flip", {"borrowed", "own", "mean"}, FLIP_BORROWED},
    [KEY_MOMENTUM] = {"momentum", {"mean", "sum"}, 0},
    [KEY_OWNERS] = {"owners", {"honest", "all"}, 0},
    [KEY_DEAL] = {"deal", {"class", "site"}, 0},
    [KEY_BATCH] = {"batch", {"replace", "distinct", "epoch"}, BATCH_DISTINCT},
    [KEY_NOISE] = {"noise", {"gradient", "momentum"}, 0},
    [KEY_CLIP] = {"clip", {"noise", "always"}, 0},
    [KEY_CLIPPED] = {"clipped", {"batch", "momentum", "sample"}, 0},
    [KEY_UNIT] = {"unit", {"relu", "tanh"}, 0},
    [KEY_SIGN] = {"sign", {"mean", "own"}, 1},
    [KEY_MIMIC] = {"mimic", {"first", "spread"}, 0},
    [KEY_SPLIT] = {"split", {"seed", "fixed", "order"}, 0},
};

struct options {
    const char *path, *rules, *columns, *attacks, *vary;
    size_t seeds;
    size_t chosen[KEYS];
};

struct digits {
    size_t count;
    float raw[SAMPLES_MAX * PIXELS];
    float x[SAMPLES_MAX * PIXELS];
    size_t label[SAMPLES_MAX];
};

static bool set_key(const char *text, size_t chosen[KEYS])
{
    for (size_t k = 0; k < KEYS; k++) {
        size_t length = strlen(OPEN[k].name);
        if (strncmp(text, OPEN[k].name, length) != 0 || text[length] != '=')
            continue;
        for (size_t v = 0; v < VALUES_MAX && OPEN[k].value[v]; v++)
            if (strcmp(text + length + 1, OPEN[k].value[v]) == 0) {
                chosen[k] = v;
                return true;
            }
    }
    return false;
}

static bool parse(int argc, char **argv, struct options *o)
{
    *o = (struct options){.seeds = 8};
    for (size_t k = 0; k < KEYS; k++)
        o->chosen[k] = OPEN[k].usual;
    if (argc < 2)
        return false;
    o->path = argv[1];
    for (int i = 2; i < argc; i++) {
        if (strncmp(argv[i], "seeds=", 6) == 0)
            o->seeds = strtoul(argv[i] + 6, NULL, 10);
        else if (strncmp(argv[i], "rules=", 6) == 0)
            o->rules = argv[i] + 6;
        else if (strncmp(argv[i], "columns=", 8) == 0)
            o->columns = argv[i] + 8;
        else if (strncmp(argv[i], "attacks=", 8) == 0)
            o->attacks = argv[i] + 8;
        else if (strncmp(argv[i], "vary=", 5) == 0)
            o->vary = argv[i] + 5;
        else if (!set_key(argv[i], o->chosen))
            return false;
    }
    return o->seeds >= 2 && o->seeds <= SEEDS_MAX;
}

static bool read_digits(const char *path, struct digits *data)
{
    char line[1024];
    FILE *file = fopen(path, "r");
    data->count = 0;
    while (file && data->count < SAMPLES_MAX && fgets(line, sizeof line, file)) {
        char *at = line;
        for (size_t c = 0; c < PIXELS; c++) {
            data->raw[data->count * PIXELS + c] = strtof(at, &at);
            at += *at == ',';
        }
        data->label[data->count] = strtoul(at, NULL, 10);
        if (data->label[data->count++] >= WORLD_CLASSES_MAX)
            data->count = 0;
    }
    if (file)
        fclose(file);
    return data->count >= 100;
}

static void moments(const struct digits *data, size_t first, size_t step, double *ret_mean,
                    double *ret_deviation)
{
    double sum = 0.0;
    double square = 0.0;
    double count = 0.0;
    for (size_t i = first; i < data->count * PIXELS; i += step) {
        double v = (double)data->raw[i];
        sum += v;
        square += v * v;
        count += 1.0;
    }
    *ret_mean = sum / count;
    *ret_deviation = sqrt(fmax(0.0, square / count - *ret_mean * *ret_mean)) + 1e-8;
}

/* Each pixel to mean 0 and deviation 1 (std), all to 0..1 (16), -1..1 (symmetric) or 0..2 (8), to
 * mean 0 (centred), or all pixels as one to mean 0 and deviation 1 (whole). */
static void scale(const char *how, struct digits *data)
{
    double centre[PIXELS];
    double spread[PIXELS];
    for (size_t c = 0; c < PIXELS; c++) {
        moments(data, c, PIXELS, &centre[c], &spread[c]);
        if (strcmp(how, "whole") == 0)
            moments(data, 0, 1, &centre[c], &spread[c]);
        else if (strcmp(how, "symmetric") == 0)
            centre[c] = spread[c] = 8.0;
        else if (strcmp(how, "centred") == 0)
            spread[c] = 16.0;
        else if (strcmp(how, "std") != 0) {
            centre[c] = 0.0;
            spread[c] = strtod(how, NULL);
        }
    }
    for (size_t i = 0; i < data->count * PIXELS; i++)
        data->x[i] = (float)(((double)data->raw[i] - centre[i % PIXELS]) / spread[i % PIXELS]);
}

static void open_world(const struct digits *data, const size_t chosen[KEYS],
                       const struct column *column, uint64_t seed, struct attack_world *w)
{
    struct rng rng;
    *w = (struct attack_world){.inputs = PIXELS,
                               .classes = 10,
                               .samples = data->count,
                               .train = data->count * 4 / 5,
                               .n = 17,
                               .f = 4,
                               .steps = 300,
                               .batch = 25,
                               .rate = 0.3,
                               .beta = 0.9};
    w->choice = (struct world_choice){.start = (enum world_start)chosen[KEY_START],
                                      .flip = (enum world_flip)chosen[KEY_FLIP],
                                      .heavy = chosen[KEY_MOMENTUM] == 1,
                                      .owners_all = chosen[KEY_OWNERS] == 1,
                                      .by_site = chosen[KEY_DEAL] == 1,
                                      .batches = (enum world_batch)chosen[KEY_BATCH],
                                      .late_noise = chosen[KEY_NOISE] == 1,
                                      .clip = chosen[KEY_CLIP] == 1,
                                      .late_clip = chosen[KEY_CLIPPED] == 1,
                                      .per_sample = chosen[KEY_CLIPPED] == 2,
                                      .tanh = chosen[KEY_UNIT] == 1,
                                      .own_sign = chosen[KEY_SIGN] == 1,
                                      .mimic_first = chosen[KEY_MIMIC] == 0};
    attack_world_open(w);
    memcpy(w->x, data->x, data->count * PIXELS * sizeof *w->x);
    memcpy(w->label, data->label, data->count * sizeof *w->label);
    rng_init_seeded(&rng, KEY_BYTES, chosen[KEY_SPLIT] == 1 ? 0 : seed);
    if (chosen[KEY_SPLIT] != 2)
        attack_world_shuffle(w, &rng);
    rng_init_seeded(&rng, KEY_BYTES, 1000 + seed);
    attack_world_deal(w, column->alpha, &rng);
}

/* What one entry of the table comes to here. */
struct outcome {
    double mean;      /* over pairs of seeds */
    double low, high; /* nine tenths of the pairs */
    double least, most;
    double attack[WORLD_ATTACKS]; /* mean over seeds */
};

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct outcome over_pairs(size_t seeds, double reached[SEEDS_MAX][WORLD_ATTACKS])
{
    double pair[PAIRS_MAX];
    size_t pairs = 0;
    struct outcome o = {0};
    for (size_t i = 0; i < seeds; i++)
        for (size_t a = 0; a < WORLD_ATTACKS; a++)
            o.attack[a] += reached[i][a] / (double)seeds;
    for (size_t i = 0; i < seeds; i++)
        for (size_t j = 0; j < i; j++, pairs++) {
            pair[pairs] = (double)INFINITY;
            for (size_t a = 0; a < WORLD_ATTACKS; a++)
                pair[pairs] = fmin(pair[pairs], (reached[i][a] + reached[j][a]) / 2.0);
        }
    qsort(pair, pairs, sizeof *pair, ascending);
    for (size_t p = 0; p < pairs; p++)
        o.mean += pair[p] / (double)pairs;
    o.least = pair[0];
    o.most = pair[pairs - 1];
    o.low = pair[(pairs - 1) / 20];
    o.high = pair[pairs - 1 - (pairs - 1) / 20];
    return o;
}

static struct outcome run_entry(const struct options *o, const struct digits *data,
                                const size_t chosen[KEYS], const struct entry *entry,
                                const struct column *column)
{
    double reached[SEEDS_MAX][WORLD_ATTACKS];
    struct why why = {""};
    for (size_t s = 0; s < o->seeds; s++) {
        struct attack_world w;
        open_world(data, chosen, column, s + 1, &w);
        for (size_t a = 0; a < WORLD_ATTACKS; a++)
            if (!bench_listed(o->attacks, WORLD_ATTACK[a]))
                reached[s][a] = (double)INFINITY;
            else if (!ok(attack_world_train(&w, &entry->rule, WORLD_ATTACK[a], column->ratio, s + 1,
                                            &reached[s][a], &why))) {
                fprintf(stderr, "%s\n", why.text);
                exit(1);
            }
        attack_world_close(&w);
    }
    return over_pairs(o->seeds, reached);
}

static void print_entry(const struct entry *entry, size_t column, const struct outcome *out)
{
    printf("%-14s %-8s table %.3f here %.3f (%.3f to %.3f; all %.3f to %.3f) %+.3f |",
           entry->rule.name, COLUMN[column].name, entry->table[column], out->mean, out->low,
           out->high, out->least, out->most, out->mean - entry->table[column]);
    for (size_t a = 0; a < WORLD_ATTACKS; a++)
        if (isfinite(out->attack[a]))
            printf(" %s %.3f", WORLD_ATTACK[a], out->attack[a]);
    printf("\n");
    fflush(stdout);
}

/* All entries asked for under one choice, and how well they agree. */
static void run_choice(const struct options *o, struct digits *data, const size_t chosen[KEYS])
{
    size_t entries = 0;
    size_t near_range = 0;
    size_t near_mean = 0;
    double off[RULES * COLUMNS];
    scale(OPEN[KEY_SCALE].value[chosen[KEY_SCALE]], data);
    printf("#");
    for (size_t k = 0; k < KEYS; k++)
        printf(" %s=%s", OPEN[k].name, OPEN[k].value[chosen[k]]);
    printf(" seeds=%zu\n", o->seeds);
    for (size_t c = 0; c < COLUMNS; c++)
        for (size_t r = 0; r < RULES; r++) {
            if (!bench_listed(o->columns, COLUMN[c].name) ||
                !bench_listed(o->rules, TABLE[r].rule.name))
                continue;
            struct outcome out = run_entry(o, data, chosen, &TABLE[r], &COLUMN[c]);
            double table = TABLE[r].table[c];
            print_entry(&TABLE[r], c, &out);
            off[entries++] = fabs(out.mean - table);
            near_range += table >= out.low - NEAR && table <= out.high + NEAR;
            near_mean += fabs(out.mean - table) <= NEAR;
        }
    qsort(off, entries, sizeof *off, ascending);
    printf(
        "= %zu entries: %zu within %.2f of the mean, %zu within %.2f of nine tenths of the pairs, "
        "median difference %.3f\n",
        entries, near_mean, NEAR, near_range, NEAR, entries ? off[entries / 2] : 0.0);
    fflush(stdout);
}

static void vary(const struct options *o, struct digits *data, size_t key, size_t chosen[KEYS])
{
    while (key < KEYS && !(o->vary && bench_listed(o->vary, OPEN[key].name)))
        key++;
    if (key == KEYS) {
        run_choice(o, data, chosen);
        return;
    }
    for (size_t v = 0; v < VALUES_MAX && OPEN[key].value[v]; v++) {
        chosen[key] = v;
        vary(o, data, key + 1, chosen);
    }
}

int main(int argc, char **argv)
{
    static struct digits data;
    struct options o;
    if (!parse(argc, argv, &o)) {
        fprintf(stderr, "usage: bench_digits FILE [rules=NAMES] [columns=NAMES] [attacks=NAMES] "
                        "[seeds=2..32] [vary=KEYS] [KEY=VALUE]...\n");
        for (size_t k = 0; k < KEYS; k++)
            for (size_t v = 0; v < VALUES_MAX && OPEN[k].value[v]; v++)
                fprintf(stderr, "%s%s=%s", v ? " | " : "\n  ", OPEN[k].name, OPEN[k].value[v]);
        fprintf(stderr, "\n");
        return 2;
    }
    if (!read_digits(o.path, &data)) {
        fprintf(stderr, "%s: no lines of 64 pixels and a digit\n", o.path);
        return 1;
    }
    vary(&o, &data, 0, o.chosen);
    return 0;
}
