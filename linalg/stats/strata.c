/* SPDX-License-Identifier: Apache-2.0 */
/* Clusters of one half of the patients by class, tested on the other half: d = p_rest - p_cluster,
 * z = d / sqrt(p (1-p) (1/n + 1/m)), interval sqrt((p1-l1)^2 + (u2-p2)^2) below and above
 * (Newcombe, Stat. Med. 17 (1998) 873, method 10). */
#include "linalg/stats/strata.h"

#include "linalg/special.h"
#include "linalg/stats/prng.h"
#include "linalg/stats/rank.h"
#include "linalg/stats/subgroup.h"
#include "linalg/stats/threshold.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RESTARTS = 2, STEPS = 25, TESTS_MAX = 2 * STRATA_CLUSTERS_MAX };

struct bench {
    const struct strata_input *in;
    double *mean, *scale; /* [d] scale 0: the column does not vary */
    double *z;            /* [rows][d] rows of one class of the first half */
    size_t rows;
    unsigned char *label, *best_label; /* [rows] */
    double *centre, *best_centre;      /* [STRATA_CLUSTERS_MAX][d] */
    double *nearest;                   /* [rows] squared distance to the nearest centre */
    double *between;                   /* [sample][sample] distances */
    struct prng prng;
};

static bool allocate(struct bench *b)
{
    size_t d = b->in->d, rows = STRATA_ROWS_MAX, sample = STRATA_SILHOUETTE_ROWS;
    b->mean = calloc(d, 2 * sizeof *b->mean);
    b->z = calloc(rows * d, sizeof *b->z);
    b->label = calloc(rows, 2);
    b->centre = calloc(STRATA_CLUSTERS_MAX * d, 2 * sizeof *b->centre);
    b->nearest = calloc(rows, sizeof *b->nearest);
    b->between = calloc(sample * sample, sizeof *b->between);
    if (!b->mean || !b->z || !b->label || !b->centre || !b->nearest || !b->between)
        return false;
    b->scale = b->mean + d;
    b->best_label = b->label + rows;
    b->best_centre = b->centre + STRATA_CLUSTERS_MAX * d;
    return true;
}

static void release(struct bench *b)
{
    free(b->mean);
    free(b->z);
    free(b->label);
    free(b->centre);
    free(b->nearest);
    free(b->between);
}

/* Mean and standard deviation of the first half; false when no column varies. */
static bool standardise(struct bench *b)
{
    const struct strata_input *in = b->in;
    double rows = 0.0;
    bool varies = false;
    for (size_t i = 0; i < in->n; i++)
        rows += in->half[i] == 0;
    for (size_t i = 0; i < in->n; i++)
        for (size_t k = 0; in->half[i] == 0 && k < in->d; k++)
            b->mean[k] += in->x[i * in->d + k] / rows;
    for (size_t i = 0; i < in->n; i++)
        for (size_t k = 0; in->half[i] == 0 && k < in->d; k++) {
            double r = in->x[i * in->d + k] - b->mean[k];
            b->scale[k] += r * r / rows;
        }
    for (size_t k = 0; k < in->d; k++) {
        b->scale[k] = b->scale[k] > 1e-12 ? 1.0 / sqrt(b->scale[k]) : 0.0;
        varies = varies || b->scale[k] > 0.0;
    }
    return varies;
}

static void put_row(const struct bench *b, size_t row, double *z)
{
    size_t d = b->in->d;
    for (size_t k = 0; k < d; k++)
        z[k] = (b->in->x[row * d + k] - b->mean[k]) * b->scale[k];
}

static double squared(size_t d, const double *a, const double *b)
{
    double sum[4] = {0.0}; /* four chains of additions at a time */
    size_t k = 0;
    for (; k + 4 <= d; k += 4)
        for (size_t j = 0; j < 4; j++)
            sum[j] += (a[k + j] - b[k + j]) * (a[k + j] - b[k + j]);
    for (; k < d; k++)
        sum[0] += (a[k] - b[k]) * (a[k] - b[k]);
    return sum[0] + sum[1] + (sum[2] + sum[3]);
}

/* Each further centre is a row drawn with probability by its squared distance. */
static void start_centres(struct bench *b, size_t k)
{
    size_t d = b->in->d, row = (size_t)prng_bounded(&b->prng, b->rows);
    for (size_t c = 0; c < k; c++) {
        memcpy(b->centre + c * d, b->z + row * d, d * sizeof *b->centre);
        double total = 0.0;
        for (size_t i = 0; i < b->rows; i++) {
            double s = squared(d, b->z + i * d, b->centre + c * d);
            b->nearest[i] = c == 0 || s < b->nearest[i] ? s : b->nearest[i];
            total += b->nearest[i];
        }
        double at = prng_u01(&b->prng) * total;
        for (row = 0; row + 1 < b->rows && at >= b->nearest[row]; row++)
            at -= b->nearest[row];
    }
}

static size_t nearest_centre(size_t d, size_t k, const double *centres, const double *z,
                             double *ret_square)
{
    size_t best = 0;
    *ret_square = (double)INFINITY;
    for (size_t c = 0; c < k; c++) {
        double s = squared(d, z, centres + c * d);
        if (!(s < *ret_square))
            continue;
        *ret_square = s;
        best = c;
    }
    return best;
}

/* Lloyd's steps; an emptied cluster keeps its centre. Returns the sum of squares. */
static double lloyd(struct bench *b, size_t k)
{
    size_t d = b->in->d;
    double inertia = 0.0;
    for (int step = 0; step < STEPS; step++) {
        size_t count[STRATA_CLUSTERS_MAX] = {0}, moved = 0;
        inertia = 0.0;
        for (size_t i = 0; i < b->rows; i++) {
            double s;
            size_t c = nearest_centre(d, k, b->centre, b->z + i * d, &s);
            moved += step == 0 || c != b->label[i];
            b->label[i] = (unsigned char)c;
            count[c]++;
            inertia += s;
        }
        if (moved == 0)
            break;
        for (size_t c = 0; c < k; c++)
            for (size_t j = 0; count[c] > 0 && j < d; j++)
                b->centre[c * d + j] = 0.0;
        for (size_t i = 0; i < b->rows; i++) {
            size_t c = b->label[i];
            for (size_t j = 0; j < d; j++)
                b->centre[c * d + j] += b->z[i * d + j] / (double)count[c];
        }
    }
    return inertia;
}

static size_t sample_of(const struct bench *b)
{
    return b->rows < STRATA_SILHOUETTE_ROWS ? b->rows : STRATA_SILHOUETTE_ROWS;
}

static void measure_between(struct bench *b)
{
    size_t n = sample_of(b), d = b->in->d;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            b->between[i * n + j] = b->between[j * n + i] =
                sqrt(squared(d, b->z + i * d, b->z + j * d));
}

/* Mean of (b - a)/max(a, b) over the sample: a to the own cluster, b to the next one. */
static double silhouette(const struct bench *b, size_t k)
{
    size_t n = sample_of(b), size[STRATA_CLUSTERS_MAX] = {0};
    double total = 0.0;
    for (size_t i = 0; i < n; i++)
        size[b->label[i]]++;
    for (size_t i = 0; i < n; i++) {
        double sum[STRATA_CLUSTERS_MAX] = {0}, other = (double)INFINITY;
        size_t own = b->label[i];
        for (size_t j = 0; j < n; j++)
            sum[b->label[j]] += b->between[i * n + j];
        for (size_t c = 0; c < k; c++)
            if (c != own && size[c] > 0)
                other = fmin(other, sum[c] / (double)size[c]);
        if (size[own] < 2 || !isfinite(other))
            continue;
        double mine = sum[own] / (double)(size[own] - 1);
        total += fmax(mine, other) > 0.0 ? (other - mine) / fmax(mine, other) : 0.0;
    }
    return total / (double)n;
}

/* Clusters of one class of the first half; their centres are left in best_centre. */
static size_t cluster_class(struct bench *b, unsigned char class, double *ret_silhouette)
{
    const struct strata_input *in = b->in;
    size_t best = 0, bytes = STRATA_CLUSTERS_MAX * in->d * sizeof *b->centre;
    *ret_silhouette = -1.0;
    b->rows = 0;
    for (size_t i = 0; i < in->n && b->rows < STRATA_ROWS_MAX; i++)
        if (in->half[i] == 0 && in->y[i] == class)
            put_row(b, i, b->z + b->rows++ * in->d);
    if (b->rows < 2 * in->cell || b->rows < 4)
        return 0;
    measure_between(b);
    for (size_t k = 2; k <= STRATA_CLUSTERS_MAX && k * 2 <= b->rows; k++) {
        double least = (double)INFINITY, score = -1.0;
        for (int turn = 0; turn < RESTARTS; turn++) {
            start_centres(b, k);
            double inertia = lloyd(b, k);
            if (!(inertia < least))
                continue;
            least = inertia;
            score = silhouette(b, k);
            if (!(score > *ret_silhouette))
                continue;
            *ret_silhouette = score;
            best = k;
            memcpy(b->best_centre, b->centre, bytes);
        }
    }
    return best;
}

struct share {
    size_t n, right;
};

static double rate(const struct share *s)
{
    return (double)s->right / (double)s->n;
}

struct test {
    struct share cluster, rest;
    bool positive;
    double p;
};

static double p_of(const struct test *t)
{
    double n = (double)t->cluster.n, m = (double)t->rest.n;
    double p = (double)(t->cluster.right + t->rest.right) / (n + m);
    double se = sqrt(p * (1.0 - p) * (1.0 / n + 1.0 / m));
    return se > 0.0 ? 2.0 * normal_sf(fabs(rate(&t->rest) - rate(&t->cluster)) / se) : 1.0;
}

/* The second half of one class by the nearest centre; tests of the clusters that hold a cell. */
static size_t test_class(struct bench *b, unsigned char class, size_t k, double *z,
                         struct test *tests)
{
    const struct strata_input *in = b->in;
    struct share part[STRATA_CLUSTERS_MAX] = {{0}}, all = {0};
    size_t count = 0;
    for (size_t i = 0; i < in->n; i++) {
        double s;
        if (in->half[i] == 0 || in->y[i] != class)
            continue;
        put_row(b, i, z);
        struct share *at = &part[nearest_centre(in->d, k, b->best_centre, z, &s)];
        at->n++;
        at->right += in->right[i];
        all.n++;
        all.right += in->right[i];
    }
    for (size_t c = 0; c < k; c++) {
        struct test *t = &tests[count];
        *t = (struct test){.cluster = part[c],
                           .rest = {all.n - part[c].n, all.right - part[c].right},
                           .positive = class == 1};
        if (t->cluster.n < in->cell || t->rest.n < in->cell || t->cluster.n == 0 || t->rest.n == 0)
            continue;
        t->p = p_of(t);
        count++;
    }
    return count;
}

static void put_worst(const struct test *tests, size_t n, struct strata *out)
{
    double p[TESTS_MAX], holm[TESTS_MAX];
    size_t worst = 0;
    for (size_t i = 0; i < n; i++) {
        p[i] = tests[i].p;
        double gap = rate(&tests[i].rest) - rate(&tests[i].cluster);
        if (gap > rate(&tests[worst].rest) - rate(&tests[worst].cluster))
            worst = i;
    }
    const struct test *t = &tests[worst];
    double one[2], two[2], z = normal_isf(0.025 / (double)n);
    double rest = rate(&t->rest), cluster = rate(&t->cluster);
    wilson_interval(t->rest.right, t->rest.n, z, one);
    wilson_interval(t->cluster.right, t->cluster.n, z, two);
    out->worst_positive = t->positive;
    out->worst_n = t->cluster.n;
    out->gap = rest - cluster;
    out->low = out->gap - hypot(rest - one[0], two[1] - cluster);
    out->high = out->gap + hypot(one[1] - rest, cluster - two[0]);
    if (adjust_holm(n, p, holm))
        out->p = holm[worst];
}

enum stat_status strata_find(const struct strata_input *in, struct strata *out)
{
    struct bench b = {.in = in};
    struct test tests[TESTS_MAX];
    *out = (struct strata){.status = STAT_EMPTY, .gap = NAN, .low = NAN, .high = NAN, .p = NAN};
    if (in->n == 0 || in->d == 0)
        return out->status;
    if (!rank_all_finite(in->n * in->d, in->x))
        return out->status = STAT_INVALID_INPUT;
    if (!allocate(&b)) {
        release(&b);
        return out->status = STAT_NO_MEMORY;
    }
    prng_seed(&b.prng, in->seed);
    if (!standardise(&b))
        out->status = STAT_DEGENERATE;
    for (unsigned char class = 0; out->status == STAT_EMPTY && class < 2; class ++) {
        out->clusters[class] = cluster_class(&b, class, &out->silhouette[class]);
        if (out->clusters[class] > 0)
            out->tested += test_class(&b, class, out->clusters[class], b.z, tests + out->tested);
    }
    if (out->tested > 0) {
        put_worst(tests, out->tested, out);
        out->status = STAT_OK;
    }
    release(&b);
    return out->status;
}
