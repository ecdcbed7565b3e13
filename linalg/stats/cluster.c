/* SPDX-License-Identifier: Apache-2.0 */
/* Variances over patients: AUROC by Obuchowski (Biometrics 53 (1997) 567), of a paired difference
 * by the same sums over the differences of the components; fits by the sandwich H^-1 B H^-1 with
 * B the sum over patients of squared score vectors (Liang and Zeger 1986), times P/(P-1). */
#include "linalg/stats/cluster.h"

#include "linalg/special.h"
#include "linalg/stats/rank.h"

#include <math.h>
#include <stdlib.h>

bool cluster_count(size_t n, const double *y, const uint32_t *patient, size_t patients,
                   size_t *ret_pos, size_t *ret_neg)
{
    unsigned char *seen = calloc(patients ? patients : 1, 1);
    *ret_pos = *ret_neg = 0;
    for (size_t i = 0; seen && i < n; i++) {
        unsigned bit = y[i] == 1.0 ? 1u : 2u;
        if (patient[i] >= patients) {
            free(seen);
            return false;
        }
        *ret_pos += bit == 1 && !(seen[patient[i]] & bit);
        *ret_neg += bit == 2 && !(seen[patient[i]] & bit);
        seen[patient[i]] = (unsigned char)(seen[patient[i]] | bit);
    }
    bool memory = seen != NULL;
    free(seen);
    return memory;
}

/* Status of an estimate whose variance over patients is var. */
static enum stat_status status_of(const struct auroc *a)
{
    if (isnan(a->var))
        return STAT_VAR_UNDEFINED;
    return a->var <= 0.0 || a->auc <= 0.0 || a->auc >= 1.0 ? STAT_DEGENERATE : STAT_OK;
}

enum stat_status cluster_auroc(size_t n, const double *y, const double *score,
                               const uint32_t *patient, size_t patients, struct auroc *out)
{
    if (patients == n)
        return auroc_delong(n, y, score, NULL, out);
    double *placement = calloc(n ? n : 1, sizeof *placement);
    if (!placement)
        return out->status = STAT_NO_MEMORY;
    auroc_delong(n, y, score, placement, out);
    if (!isnan(out->auc)) {
        out->var = auroc_cluster_var(n, y, placement, out->auc, patient, patients);
        out->status = status_of(out);
    }
    if (!cluster_count(n, y, patient, patients, &out->n_pos, &out->n_neg))
        out->status = STAT_NO_MEMORY;
    free(placement);
    return out->status;
}

/* The two models' components [2][n] on the same rows. */
static void paired(size_t n, const double *y, double *a, double *b, const uint32_t *patient,
                   size_t patients, struct auroc_paired *out)
{
    out->var_cand = auroc_cluster_var(n, y, a, out->auc_cand, patient, patients);
    out->var_inc = auroc_cluster_var(n, y, b, out->auc_inc, patient, patients);
    for (size_t i = 0; i < n; i++)
        a[i] -= b[i];
    out->var_d = auroc_cluster_var(n, y, a, out->d, patient, patients);
    out->cov = 0.5 * (out->var_cand + out->var_inc - out->var_d);
    out->status = STAT_NO_MEMORY;
    if (!isnan(out->var_d))
        auroc_paired_test(out);
}

enum stat_status cluster_auroc_paired(size_t n, const double *y, const double *cand,
                                      const double *inc, const uint32_t *patient, size_t patients,
                                      struct auroc_paired *out)
{
    if (patients == n || n == 0)
        return auroc_paired(n, y, cand, inc, out);
    double *components = calloc(n, 2 * sizeof *components);
    struct auroc a, b;
    if (!components) {
        auroc_paired_clear(out);
        return out->status = STAT_NO_MEMORY;
    }
    auroc_paired_clear(out);
    auroc_delong(n, y, cand, components, &a);
    auroc_delong(n, y, inc, components + n, &b);
    if (isnan(a.auc) || isnan(b.auc)) {
        out->status = isnan(a.auc) ? a.status : b.status;
    } else if (!cluster_count(n, y, patient, patients, &out->n_pos, &out->n_neg)) {
        out->status = STAT_NO_MEMORY;
    } else {
        out->auc_cand = a.auc;
        out->auc_inc = b.auc;
        out->d = a.auc - b.auc;
        out->status = STAT_VAR_UNDEFINED;
        if (out->n_pos > 1 && out->n_neg > 1)
            paired(n, y, components, components + n, patient, patients, out);
    }
    free(components);
    return out->status;
}

/* Sums of value[n][k] within patients into sum [patients][k], zeroed by the caller. */
static bool sum_within(size_t n, size_t k, const double *value, const uint32_t *patient,
                       size_t patients, double *sum)
{
    for (size_t i = 0; i < n; i++) {
        if (patient[i] >= patients)
            return false;
        for (size_t j = 0; j < k; j++)
            sum[patient[i] * k + j] += value[i * k + j];
    }
    return true;
}

static double few_patients(size_t patients)
{
    return (double)patients / ((double)patients - 1.0);
}

double cluster_mean_var(size_t n, const double *x, const uint32_t *patient, size_t patients)
{
    double *centred = calloc(n + patients + 1, sizeof *centred), mean = 0.0, square = 0.0;
    double result = NAN;
    if (centred && patients > 1) {
        double *sum = centred + n;
        for (size_t i = 0; i < n; i++)
            mean += x[i] / (double)n;
        for (size_t i = 0; i < n; i++)
            centred[i] = x[i] - mean;
        bool whole = sum_within(n, 1, centred, patient, patients, sum);
        for (size_t p = 0; p < patients; p++)
            square += sum[p] * sum[p];
        if (whole)
            result = few_patients(patients) * square / ((double)n * (double)n);
    }
    free(centred);
    return result;
}

/* Room for two numbers a row and two a patient. */
struct bench {
    size_t n, patients;
    const double *y, *p;
    const uint32_t *patient;
    double *value, *sum;
};

static double logit_clipped(double p)
{
    return logit(fmin(fmax(p, CALIBRATION_CLIP), 1.0 - CALIBRATION_CLIP));
}

/* The sandwich of logit P(y) = a + b logit p at its maximum: v = {var a, cov, var b}; with only_a
 * b is fixed. */
static bool sandwich(const struct bench *s, double a, double b, bool only_a, double v[3])
{
    double h00 = 0.0, h01 = 0.0, h11 = 0.0, b00 = 0.0, b01 = 0.0, b11 = 0.0;
    for (size_t i = 0; i < s->n; i++) {
        double x = logit_clipped(s->p[i]), mu = expit(a + b * x), w = mu * (1.0 - mu);
        h00 += w;
        h01 += w * x;
        h11 += w * x * x;
        s->value[2 * i] = s->y[i] - mu;
        s->value[2 * i + 1] = x * (s->y[i] - mu);
    }
    for (size_t k = 0; k < 2 * s->patients; k++)
        s->sum[k] = 0.0;
    if (!sum_within(s->n, 2, s->value, s->patient, s->patients, s->sum))
        return false;
    for (size_t p = 0; p < s->patients; p++) {
        b00 += s->sum[2 * p] * s->sum[2 * p];
        b01 += s->sum[2 * p] * s->sum[2 * p + 1];
        b11 += s->sum[2 * p + 1] * s->sum[2 * p + 1];
    }
    double few = few_patients(s->patients), det = h00 * h11 - h01 * h01;
    double i00 = only_a ? 1.0 / h00 : h11 / det, i01 = only_a ? 0.0 : -h01 / det;
    double i11 = only_a ? 0.0 : h00 / det;
    v[0] = few * (i00 * i00 * b00 + 2.0 * i00 * i01 * b01 + i01 * i01 * b11);
    v[1] = few * (i00 * i01 * b00 + (i00 * i11 + i01 * i01) * b01 + i01 * i11 * b11);
    v[2] = few * (i01 * i01 * b00 + 2.0 * i01 * i11 * b01 + i11 * i11 * b11);
    return true;
}

static void fits(const struct bench *s, struct calibration *out)
{
    double v[3];
    if (out->fitted && sandwich(s, out->intercept, out->slope, false, v)) {
        out->intercept_se = sqrt(v[0]);
        out->cov = v[1];
        out->slope_se = sqrt(v[2]);
    }
    if (out->citl_fitted && sandwich(s, out->citl, 1.0, true, v))
        out->citl_se = sqrt(v[0]);
}

/* sum (y-p)(1-2p) over its own standard deviation over patients. */
static void spiegelhalter(const struct bench *s, struct calibration *out)
{
    double sum = 0.0, square = 0.0;
    for (size_t p = 0; p < s->patients; p++)
        s->sum[p] = 0.0;
    for (size_t i = 0; i < s->n; i++)
        s->value[i] = (s->y[i] - s->p[i]) * (1.0 - 2.0 * s->p[i]);
    out->spiegelhalter_defined = false;
    out->spiegelhalter_z = out->spiegelhalter_p = NAN;
    if (!sum_within(s->n, 1, s->value, s->patient, s->patients, s->sum))
        return;
    for (size_t p = 0; p < s->patients; p++) {
        sum += s->sum[p];
        square += s->sum[p] * s->sum[p];
    }
    if (!(square > 0.0))
        return;
    out->spiegelhalter_defined = true;
    out->spiegelhalter_z = sum / sqrt(square);
    out->spiegelhalter_p = 2.0 * normal_sf(fabs(out->spiegelhalter_z));
}

enum stat_status cluster_calibration(size_t n, const double *y, const double *p,
                                     const uint32_t *patient, size_t patients,
                                     struct calibration *out)
{
    calibration(n, y, p, out);
    bool rows = out->status == STAT_INVALID_INPUT || out->status == STAT_EMPTY;
    if (patients == n || rows)
        return out->status;
    struct bench s = {.n = n, .patients = patients, .y = y, .p = p, .patient = patient};
    s.value = calloc(n, 2 * sizeof *s.value);
    s.sum = calloc(patients + 1, 2 * sizeof *s.sum);
    if (s.value && s.sum) {
        for (size_t i = 0; i < n; i++)
            s.value[i] = (p[i] - y[i]) * (p[i] - y[i]);
        out->brier_var = cluster_mean_var(n, s.value, patient, patients);
        if (out->status != STAT_SINGLE_CLASS && patients > 1) {
            out->log_oe_se =
                sqrt(cluster_mean_var(n, y, patient, patients)) * (double)n / out->observed;
            fits(&s, out);
            spiegelhalter(&s, out);
        }
    } else {
        out->status = STAT_NO_MEMORY;
    }
    free(s.value);
    free(s.sum);
    return out->status;
}

/* Patients' residual sums in one bin about that bin's own mean residual. */
static double bin_spread(const struct bench *s, const uint64_t *bin, size_t k)
{
    double rows = 0.0, residual = 0.0, spread = 0.0;
    for (size_t p = 0; p < s->patients; p++)
        s->sum[p] = 0.0;
    for (size_t i = 0; i < s->n; i++) {
        if (bin[i] != k)
            continue;
        rows += 1.0;
        residual += s->y[i] - s->p[i];
    }
    for (size_t i = 0; i < s->n; i++)
        if (bin[i] == k)
            s->sum[s->patient[i]] += s->y[i] - s->p[i] - residual / rows;
    for (size_t p = 0; p < s->patients; p++)
        spread += s->sum[p] * s->sum[p];
    return spread;
}

enum stat_status cluster_calibration_error(size_t n, const double *y, const double *p, size_t bins,
                                           enum calibration_binning binning,
                                           const uint32_t *patient, size_t patients,
                                           struct calibration_error *out)
{
    calibration_error(n, y, p, bins, binning, out);
    if (out->status != STAT_OK || patients == n)
        return out->status;
    struct bench s = {.n = n, .patients = patients, .y = y, .p = p, .patient = patient};
    uint64_t *bin = calloc(n, sizeof *bin);
    s.sum = calloc(patients + 1, sizeof *s.sum);
    bool whole = bin && s.sum && calibration_bins(n, p, bins, binning, bin);
    for (size_t i = 0; whole && i < n; i++)
        whole = patient[i] < patients;
    out->ece_null = 0.0;
    for (size_t k = 0; whole && k < bins; k++)
        if (out->bin[k].n > 0)
            out->ece_null += sqrt(2.0 / M_PI) * sqrt(bin_spread(&s, bin, k)) / (double)n;
    free(bin);
    free(s.sum);
    return out->status = whole ? STAT_OK : STAT_NO_MEMORY;
}
