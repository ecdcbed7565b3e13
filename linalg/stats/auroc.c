/* SPDX-License-Identifier: Apache-2.0 */
/* AUROC and DeLong's variance from one sort. A tie group with a positives and b negatives, above P
 * positives and N negatives, gives its positives V10 = (N + b/2)/n, its negatives
 * V01 = 1 - (P + a/2)/m: the midrank form of Sun and Xu (2014) without ranking each class again.
 * var = S10/m + S01/n with S the sample variance of the components (DeLong 1988). */
#include "linalg/stats/auroc.h"

#include "linalg/special.h"
#include "linalg/stats/rank.h"

#include <math.h>
#include <stdlib.h>

/* Below this a paired variance is rounding noise of an exact zero. */
static const double VAR_FLOOR = 1e-15;

static enum stat_status count_classes(size_t n, const double *y, const double *score,
                                      struct auroc *out)
{
    *out = (struct auroc){.auc = NAN, .var = NAN};
    if (n > RANK_ROWS_MAX)
        return STAT_TOO_LARGE;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(score[i]) || !(y[i] == 0.0 || y[i] == 1.0))
            return STAT_INVALID_INPUT;
        out->n_pos += y[i] == 1.0;
    }
    out->n_neg = n - out->n_pos;
    return out->n_pos == 0 || out->n_neg == 0 ? STAT_SINGLE_CLASS : STAT_OK;
}

/* Scores in ascending order, tagged with their labels; NULL without memory. */
static struct rank_item *sorted_with_labels(size_t n, const double *y, const double *score)
{
    struct rank_item *items = calloc(n, 2 * sizeof *items);
    if (!items)
        return NULL;
    for (size_t i = 0; i < n; i++)
        items[i] =
            (struct rank_item){.key = rank_key(score[i]), .row = (uint32_t)i, .tag = y[i] == 1.0};
    rank_sort(n, items, items + n);
    return items;
}

/* One group of equal scores, and the counts of each class strictly below it. */
struct tie_group {
    size_t first, end;
    size_t pos, neg;
    size_t pos_below, neg_below;
};

/* Moves to the next group; false at the end. Starts from a zeroed group. */
static bool next_group(size_t n, const struct rank_item *items, struct tie_group *g)
{
    g->pos_below += g->pos;
    g->neg_below += g->neg;
    g->first = g->end;
    g->pos = 0;
    g->neg = 0;
    if (g->first == n)
        return false;
    while (g->end < n && items[g->end].key == items[g->first].key) {
        g->pos += items[g->end].tag;
        g->neg += 1 - items[g->end].tag;
        g->end++;
    }
    return true;
}

static double v10(const struct tie_group *g, size_t n_neg)
{
    return ((double)g->neg_below + 0.5 * (double)g->neg) / (double)n_neg;
}

static double v01(const struct tie_group *g, size_t n_pos)
{
    return 1.0 - ((double)g->pos_below + 0.5 * (double)g->pos) / (double)n_pos;
}

enum stat_status auroc_delong(size_t n, const double *y, const double *score, double *placement,
                              struct auroc *out)
{
    out->status = count_classes(n, y, score, out);
    if (out->status != STAT_OK)
        return out->status;
    struct rank_item *items = sorted_with_labels(n, y, score);
    if (!items)
        return out->status = STAT_NO_MEMORY;

    double m = (double)out->n_pos;
    double k = (double)out->n_neg;
    double beaten = 0.0; /* half-integers: exact up to 2^52 pairs */
    struct tie_group g = {0};
    while (next_group(n, items, &g))
        beaten += (double)g.pos * ((double)g.neg_below + 0.5 * (double)g.neg);
    out->auc = beaten / (m * k);

    double s10 = 0.0;
    double s01 = 0.0;
    g = (struct tie_group){0};
    while (next_group(n, items, &g)) {
        double a = v10(&g, out->n_neg);
        double b = v01(&g, out->n_pos);
        s10 += (double)g.pos * (a - out->auc) * (a - out->auc);
        s01 += (double)g.neg * (b - out->auc) * (b - out->auc);
        for (size_t i = g.first; placement && i < g.end; i++)
            placement[items[i].row] = items[i].tag ? a : b;
    }
    free(items);
    if (out->n_pos < 2 || out->n_neg < 2)
        return out->status = STAT_VAR_UNDEFINED;
    out->var = s10 / (m - 1.0) / m + s01 / (k - 1.0) / k;
    if (out->var <= 0.0 || out->auc <= 0.0 || out->auc >= 1.0)
        out->status = STAT_DEGENERATE;
    return out->status;
}

static double hanley_form(double a, double q1_weight, double q2_weight, double pairs)
{
    return a * (1.0 - a) * (1.0 + q1_weight * (1.0 - a) / (2.0 - a) + q2_weight * a / (1.0 + a)) /
           pairs;
}

double auroc_newcombe_var(double auc, size_t n_pos, size_t n_neg)
{
    double m = (double)n_pos;
    double k = (double)n_neg;
    double half = (m + k) / 2.0 - 1.0;
    return hanley_form(auc, half, half, m * k);
}

double auroc_hanley_mcneil_var(double auc, size_t n_pos, size_t n_neg)
{
    double m = (double)n_pos;
    double k = (double)n_neg;
    return hanley_form(auc, m - 1.0, k - 1.0, m * k);
}

bool auroc_pool_input(const struct auroc *a, struct auroc_pool_input *out)
{
    *out = (struct auroc_pool_input){.auc = NAN, .var = NAN};
    if (a->status == STAT_OK) {
        out->auc = a->auc;
        out->var = a->var;
        return true;
    }
    if (a->status != STAT_VAR_UNDEFINED && a->status != STAT_DEGENERATE)
        return false;
    double pairs = (double)a->n_pos * (double)a->n_neg;
    out->auc = (pairs * a->auc + 0.5) / (pairs + 1.0);
    out->var = auroc_newcombe_var(out->auc, a->n_pos, a->n_neg);
    out->corrected = true;
    return true;
}

void auroc_interval(double auc, double var, double z, struct auroc_interval *out)
{
    double se = sqrt(var);
    out->wald[0] = fmax(0.0, auc - z * se);
    out->wald[1] = fmin(1.0, auc + z * se);
    out->logit_auc = logit(auc);
    out->logit_se = se / (auc * (1.0 - auc));
    out->logit[0] = expit(out->logit_auc - z * out->logit_se);
    out->logit[1] = expit(out->logit_auc + z * out->logit_se);
}

/* Covariance of two AUROCs on the same rows from their components. */
static double placement_cov(size_t n, const double *y, const double *a, const double *b,
                            const struct auroc_paired *p)
{
    double c10 = 0.0;
    double c01 = 0.0;
    for (size_t i = 0; i < n; i++) {
        double product = (a[i] - p->auc_cand) * (b[i] - p->auc_inc);
        if (y[i] == 1.0)
            c10 += product;
        else
            c01 += product;
    }
    double m = (double)p->n_pos;
    double k = (double)p->n_neg;
    return c10 / (m - 1.0) / m + c01 / (k - 1.0) / k;
}

void auroc_paired_test(struct auroc_paired *out)
{
    if (out->var_d < VAR_FLOOR)
        out->var_d = 0.0;
    if (out->var_d > 0.0) {
        out->z = out->d / sqrt(out->var_d);
        out->p_two_sided = 2.0 * normal_sf(fabs(out->z));
        out->status = STAT_OK;
        return;
    }
    bool same = fabs(out->d) < 1e-12;
    out->z = same ? 0.0 : copysign(INFINITY, out->d);
    out->p_two_sided = same ? 1.0 : 0.0;
    out->status = STAT_DEGENERATE;
}

void auroc_paired_clear(struct auroc_paired *out)
{
    *out = (struct auroc_paired){.auc_cand = NAN,
                                 .auc_inc = NAN,
                                 .var_cand = NAN,
                                 .var_inc = NAN,
                                 .cov = NAN,
                                 .d = NAN,
                                 .var_d = NAN,
                                 .z = NAN,
                                 .p_two_sided = NAN};
}

enum stat_status auroc_paired(size_t n, const double *y, const double *cand, const double *inc,
                              struct auroc_paired *out)
{
    auroc_paired_clear(out);
    double *components = calloc(n ? n : 1, 2 * sizeof *components);
    if (!components)
        return out->status = STAT_NO_MEMORY;
    struct auroc a;
    struct auroc b;
    auroc_delong(n, y, cand, components, &a);
    auroc_delong(n, y, inc, components + n, &b);
    out->n_pos = a.n_pos;
    out->n_neg = a.n_neg;
    if (isnan(a.auc) || isnan(b.auc)) {
        free(components);
        return out->status = isnan(a.auc) ? a.status : b.status;
    }
    out->auc_cand = a.auc;
    out->auc_inc = b.auc;
    out->d = a.auc - b.auc;
    if (a.n_pos < 2 || a.n_neg < 2) {
        free(components);
        return out->status = STAT_VAR_UNDEFINED;
    }
    out->var_cand = a.var;
    out->var_inc = b.var;
    out->cov = placement_cov(n, y, components, components + n, out);
    free(components);
    out->var_d = out->var_cand + out->var_inc - 2.0 * out->cov;
    auroc_paired_test(out);
    return out->status;
}

bool noninferiority(double d, double v, double margin, double alpha, struct noninferiority *out)
{
    if (!(v > 0.0))
        return false;
    double se = sqrt(v);
    double z = normal_isf(alpha);
    out->margin = margin;
    out->alpha = alpha;
    out->z = (d + margin) / se;
    out->p = normal_sf(out->z);
    out->lower = d - z * se;
    out->upper = d + z * se;
    out->pass = out->lower > -margin;
    return true;
}

double noninferiority_power(double true_d, double v, double margin, double alpha)
{
    return v > 0.0 ? normal_cdf((true_d + margin) / sqrt(v) - normal_isf(alpha)) : (double)NAN;
}

enum stat_status auroc_unpaired(const struct auroc *prod, const struct auroc *base,
                                struct auroc_unpaired *out)
{
    *out = (struct auroc_unpaired){
        .diff = prod->auc - base->auc,
        .var = prod->var + base->var,
        .z = NAN,
        .df = NAN,
        .p_t_two_sided = NAN,
        .p_z_two_sided = NAN,
    };
    if (isnan(out->diff) || isnan(out->var))
        return out->status =
                   isnan(prod->auc) || isnan(base->auc) ? STAT_INVALID_INPUT : STAT_VAR_UNDEFINED;
    if (!(out->var > 0.0))
        return out->status = STAT_DEGENERATE;
    double n1 = (double)(prod->n_pos + prod->n_neg);
    double n2 = (double)(base->n_pos + base->n_neg);
    out->df = out->var * out->var /
              (prod->var * prod->var / (n1 - 1.0) + base->var * base->var / (n2 - 1.0));
    out->z = out->diff / sqrt(out->var);
    out->p_t_two_sided = 2.0 * t_sf(fabs(out->z), out->df);
    out->p_z_two_sided = 2.0 * normal_sf(fabs(out->z));
    return out->status = STAT_OK;
}

double auroc_cluster_var(size_t n, const double *y, const double *placement, double auc,
                         const uint32_t *patient, size_t n_patients)
{
    double *sums = calloc(n_patients ? n_patients : 1, 2 * sizeof *sums); /* [patient][class] */
    unsigned char *seen = calloc(n_patients ? n_patients : 1, 2);
    double m = 0.0;
    double result = NAN;
    if (!sums || !seen)
        goto out;
    for (size_t i = 0; i < n; i++) {
        if (patient[i] >= n_patients)
            goto out;
        size_t cell = 2 * (size_t)patient[i] + (y[i] == 1.0);
        sums[cell] += placement[i] - auc;
        seen[cell] = 1;
        m += y[i] == 1.0;
    }
    double k = (double)n - m;
    double with[2] = {0.0, 0.0};
    double s10 = 0.0;
    double s01 = 0.0;
    double s11 = 0.0;
    for (size_t p = 0; p < n_patients; p++) {
        with[0] += seen[2 * p];
        with[1] += seen[2 * p + 1];
        s01 += sums[2 * p] * sums[2 * p];
        s10 += sums[2 * p + 1] * sums[2 * p + 1];
        s11 += sums[2 * p] * sums[2 * p + 1];
    }
    if (with[0] < 2.0 || with[1] < 2.0)
        goto out;
    double clusters = (double)n_patients;
    result = s10 * with[1] / (with[1] - 1.0) / (m * m) + s01 * with[0] / (with[0] - 1.0) / (k * k) +
             2.0 * s11 * clusters / (clusters - 1.0) / (m * k);
out:
    free(sums);
    free(seen);
    return result;
}
