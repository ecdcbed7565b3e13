/* SPDX-License-Identifier: Apache-2.0 */
/* Processor time of the site statistics on one core: AUROC with DeLong at a million rows, paired,
 * and the whole set of a site of 6,257 patients. */
#include "linalg/stats/auroc.h"
#include "linalg/stats/calibration.h"
#include "linalg/stats/drift.h"
#include "linalg/stats/mmd.h"
#include "linalg/stats/prng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct rows {
    size_t n;
    double *y, *p, *q, *x; /* label, two scores, [n][COLUMNS] features */
};

enum { COLUMNS = 12, GROUPS = 8 };

static int make_rows(size_t n, struct rows *r)
{
    struct prng prng;
    double z[2];
    r->n = n;
    r->y = calloc(n, (3 + COLUMNS) * sizeof(double));
    if (!r->y)
        return 0;
    r->p = r->y + n;
    r->q = r->p + n;
    r->x = r->q + n;
    prng_seed(&prng, 1);
    for (size_t i = 0; i < n; i++) {
        prng_normals(&prng, 2, z);
        r->y[i] = prng_u01(&prng) < 0.2;
        r->p[i] = 1.0 / (1.0 + exp(-(z[0] + 1.5 * r->y[i] - 1.5)));
        r->q[i] = 1.0 / (1.0 + exp(-(0.9 * z[0] + 0.44 * z[1] + 1.4 * r->y[i] - 1.5)));
    }
    prng_normals(&prng, n * COLUMNS, r->x);
    return 1;
}

static void time_auroc(const struct rows *r)
{
    struct auroc a;
    struct auroc_paired pair;
    double start = seconds();
    auroc_delong(r->n, r->y, r->p, NULL, &a);
    double single = seconds() - start;
    start = seconds();
    auroc_paired(r->n, r->y, r->p, r->q, &pair);
    printf("AUROC and DeLong variance, %zu rows: %.3f s (AUROC %.6f, se %.6f)\n", r->n, single,
           a.auc, sqrt(a.var));
    printf("paired DeLong, %zu rows: %.3f s (difference %.6f, se %.6f)\n", r->n, seconds() - start,
           pair.d, sqrt(pair.var_d));
}

/* Everything that a site computes for one candidate: overall, by subgroup, drift of each column. */
static void time_site(const struct rows *r)
{
    struct auroc_paired pair;
    struct auroc a;
    struct calibration c;
    static struct calibration_error e;
    double start = seconds();
    auroc_paired(r->n, r->y, r->p, r->q, &pair);
    calibration(r->n, r->y, r->p, &c);
    calibration_error(r->n, r->y, r->p, 10, BINS_EQUAL_MASS, &e);
    size_t part = r->n / GROUPS;
    for (size_t g = 0; g < GROUPS; g++) {
        auroc_delong(part, r->y + g * part, r->p + g * part, NULL, &a);
        calibration(part, r->y + g * part, r->p + g * part, &c);
    }
    double metrics = seconds() - start;
    start = seconds();
    size_t half = r->n / 2;
    for (size_t k = 0; k < COLUMNS; k++) {
        const double *column = r->x + k * r->n;
        double edges[10];
        double ref[10];
        double cur[10];
        size_t count;
        struct drift d;
        struct ks ks;
        drift_edges(half, column, 10, edges, &count);
        drift_counts(half, column, count, edges, ref);
        drift_counts(r->n - half, column + half, count, edges, cur);
        drift_compare(count + 1, cur, ref, DRIFT_SMOOTHING, &d);
        ks_two_sample(half, column, r->n - half, column + half, &ks);
    }
    double drift = seconds() - start;
    start = seconds();
    const struct mmd_plan plan = {.features = 256,
                                  .permutations = 999,
                                  .seed_features = 1,
                                  .seed_permutation = 2};
    struct mmd m;
    mmd_test(half, r->x, r->n - half, r->x + half * COLUMNS, COLUMNS, &plan, &m);
    double mmd = seconds() - start;
    printf("one site, %zu rows: metrics and %d groups %.3f s, drift of %d columns %.3f s, MMD with "
           "999 permutations %.3f s\n",
           r->n, GROUPS, metrics, COLUMNS, drift, mmd);
}

int main(void)
{
    static const size_t SIZES[] = {6257, 1000000};
    for (int k = 0; k < 2; k++) {
        struct rows r;
        if (!make_rows(SIZES[k], &r))
            return 1;
        if (k == 0)
            time_site(&r);
        else
            time_auroc(&r);
        free(r.y);
    }
    return 0;
}
