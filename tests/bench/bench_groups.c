/* SPDX-License-Identifier: Apache-2.0 */
/* What secret random groups cost: 10,000 sites of which some are hostile, 256 coordinates, error of
 * the result in units of what the honest mean itself misses the truth by, for rules over all sites
 * at once and for groups of 100 with a rule over the groups.
 *
 *   bench_groups [heavy] [hostile=N]
 *
 * heavy: Student-t with three degrees of freedom instead of Gaussian. N divides 10,000; 500. */
#include "coordinator/aggregate/attack.h"
#include "coordinator/aggregate/group.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SITES = 10000, D = 256, DRAWS = 3 };

static const unsigned char KEY[RNG_KEY_BYTES] = "cost of groups";

static size_t hostile = 500;

static const struct method {
    const char *name;
    const char *inner; /* NULL: over all sites at once */
    const char *outer;
} METHODS[] = {
    {"mean of all", NULL, "mean"},
    {"median of all", NULL, "median"},
    {"trimmed mean of all", NULL, "trimmed-mean"},
    {"groups: trimmed mean, mean", "trimmed-mean", "mean"},
    {"groups: trimmed mean, trimmed mean", "trimmed-mean", "trimmed-mean"},
    {"groups: median, median", "median", "median"},
    {"groups: nnm+trimmed mean, trimmed mean", "nnm+trimmed-mean", "trimmed-mean"},
    {"groups: nnm+trimmed mean, median", "nnm+trimmed-mean", "median"},
};

static const struct forged {
    const char *name;
    const char *attack; /* of the gallery, or NULL: */
    double shift;       /* in standard deviations */
} FORGED[] = {
    {"alie 1.5", "alie:1.5", 0},
    {"10 sigma", NULL, 10},
    {"1e6", NULL, 1e6},
    {"ipm 0.5", "ipm:0.5", 0},
};
enum {
    METHOD_COUNT = sizeof METHODS / sizeof METHODS[0],
    FORGED_COUNT = sizeof FORGED / sizeof FORGED[0]
};

static double gaussian(struct rng *rng)
{
    double u = 1.0 - rng_uniform(rng);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * rng_uniform(rng));
}

/* Of variance 1. */
static double draw(struct rng *rng, bool heavy)
{
    double z = gaussian(rng);
    if (!heavy)
        return z;
    double square = 0.0;
    for (int k = 0; k < 3; k++) {
        double y = gaussian(rng);
        square += y * y;
    }
    return z / sqrt(square / 3.0) / sqrt(3.0);
}

struct sites {
    float *x;
    const float **rows;   /* [SITES] */
    const float **honest; /* of them */
};

/* Honest sites around 1; hostile ones stand anywhere among them. */
static void fill(struct sites *s, const struct forged *forged, bool heavy, uint64_t seed)
{
    struct rng rng;
    size_t good = 0;
    rng_init_seeded(&rng, KEY, seed);
    for (size_t i = 0; i < SITES; i++) {
        s->rows[i] = s->x + i * D;
        if (i % (SITES / hostile) != 7)
            s->honest[good++] = s->rows[i];
        for (size_t c = 0; c < D; c++)
            s->x[i * D + c] = (float)(1.0 + draw(&rng, heavy));
    }
    float *bad = calloc(D, sizeof *bad);
    struct why why = {""};
    if (forged->attack) {
        struct attack_choice choice;
        struct attack_view view = {.n = SITES,
                                   .f = hostile,
                                   .d = D,
                                   .honest_count = SITES - hostile,
                                   .honest = s->honest,
                                   .own = s->honest[0]};
        if (!ok(attack_parse(forged->attack, &choice, &why)) ||
            !attack_forge(&choice, &view, &rng, bad))
            exit(1);
    }
    for (size_t c = 0; !forged->attack && c < D; c++)
        bad[c] = (float)(1.0 + forged->shift);
    for (size_t i = 7; i < SITES; i += SITES / hostile)
        memcpy(s->x + i * D, bad, D * sizeof *bad);
    free(bad);
}

static int ascending(const void *left, const void *right)
{
    float a = *(const float *)left;
    float b = *(const float *)right;
    return (a > b) - (a < b);
}

/* Coordinate by coordinate over all sites, by the definition. */
static void run_all(const struct sites *s, const char *rule, float *out)
{
    static float column[SITES];
    size_t drop = strcmp(rule, "median") == 0         ? (SITES - 1) / 2
                  : strcmp(rule, "trimmed-mean") == 0 ? hostile
                                                      : 0;
    for (size_t c = 0; c < D; c++) {
        double sum = 0.0;
        for (size_t i = 0; i < SITES; i++)
            column[i] = s->rows[i][c];
        qsort(column, SITES, sizeof *column, ascending);
        for (size_t i = drop; i < SITES - drop; i++)
            sum += (double)column[i];
        out[c] = (float)(sum / (double)(SITES - 2 * drop));
    }
}

static void run_groups(const struct sites *s, const struct method *m, uint64_t seed, float *out)
{
    struct rng rng;
    struct groups groups;
    struct agg_rule inner;
    struct agg_rule outer;
    struct why why = {""};
    struct agg_source source = {.n = SITES, .d = D, .rows = s->rows};
    rng_init_seeded(&rng, KEY, 1000 + seed);
    if (!ok(group_draw(SITES, GROUP_SIZE, &rng, &groups, &why)) ||
        !ok(agg_rule_parse(m->inner, &inner, &why)) || !ok(agg_rule_parse(m->outer, &outer, &why)))
        exit(1);
    agg_rule_set_f(&outer, groups.count / 10);
    if (!ok(group_run(&groups, &inner, hostile, &outer, &source, 2, out, &why))) {
        fprintf(stderr, "%s: %s\n", m->name, why.text);
        exit(1);
    }
    agg_rule_free(&inner);
    agg_rule_free(&outer);
    group_free(&groups);
}

static double error_of(const float *out)
{
    double square = 0.0;
    for (size_t c = 0; c < D; c++)
        square += ((double)out[c] - 1.0) * ((double)out[c] - 1.0);
    return sqrt(square / D) * sqrt((double)(SITES - hostile));
}

int main(int argc, char **argv)
{
    bool heavy = false;
    for (int i = 1; i < argc; i++) {
        heavy = heavy || strcmp(argv[i], "heavy") == 0;
        if (strncmp(argv[i], "hostile=", 8) == 0)
            hostile = strtoul(argv[i] + 8, NULL, 10);
    }
    if (hostile < 1 || hostile > SITES / 8 || SITES % hostile != 0) {
        fprintf(stderr, "hostile= takes a divisor of %d up to %d\n", SITES, SITES / 8);
        return 2;
    }
    double error[METHOD_COUNT][FORGED_COUNT] = {{0}};
    double seconds[METHOD_COUNT] = {0};
    struct sites s = {calloc((size_t)SITES * D, sizeof(float)), calloc(SITES, sizeof(float *)),
                      calloc(SITES, sizeof(float *))};
    float out[D];
    for (size_t a = 0; a < FORGED_COUNT; a++) {
        for (uint64_t seed = 1; seed <= DRAWS; seed++) {
            fill(&s, &FORGED[a], heavy, seed);
            for (size_t m = 0; m < METHOD_COUNT; m++) {
                clock_t start = clock();
                if (METHODS[m].inner)
                    run_groups(&s, &METHODS[m], seed, out);
                else
                    run_all(&s, METHODS[m].outer, out);
                seconds[m] += (double)(clock() - start) / CLOCKS_PER_SEC;
                error[m][a] += error_of(out) / DRAWS;
            }
        }
    }
    printf("%d sites, %zu hostile, d %d, %s; error over that of the honest mean\n", SITES, hostile,
           D, heavy ? "Student-t(3)" : "Gaussian");
    printf("%-40s", "");
    for (size_t a = 0; a < FORGED_COUNT; a++)
        printf(" %9s", FORGED[a].name);
    printf(" %9s\n", "seconds");
    for (size_t m = 0; m < METHOD_COUNT; m++) {
        printf("%-40s", METHODS[m].name);
        for (size_t a = 0; a < FORGED_COUNT; a++)
            printf(" %9.3g", error[m][a]);
        printf(" %9.2f\n", seconds[m] / (FORGED_COUNT * DRAWS));
    }
    free(s.x);
    free(s.rows);
    free(s.honest);
    return 0;
}
