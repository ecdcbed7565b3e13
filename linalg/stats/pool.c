/* SPDX-License-Identifier: Apache-2.0 */
/* Pooling. tau2_DL = max(0, (Q-(k-1))/(Sw-Sw2/Sw)); REML: tau2 += (sum w^2 r^2 - tr P)/tr PP with
 * tr P = W - w2/W, tr PP = w2 - 2 w3/W + (w2/W)^2; HKSJ se = sqrt(q/W), q = sum w r^2/(k-1). */
#include "linalg/stats/pool.h"

#include "linalg/special.h"

#include <math.h>

enum { REML_STEPS = 1000 };
static const double REML_TOLERANCE = 1e-12;

/* Sums of one weighting w = 1/(v + tau2). */
struct weighted {
    double w, w2, w3; /* sums of w, w^2, w^3 */
    double mean;
    double wr2, w2r2; /* sums of w r^2, w^2 r^2 with r = y - mean */
};

static struct weighted weigh(size_t k, const double *y, const double *v, double tau2)
{
    struct weighted s = {0};
    double wy = 0.0;
    for (size_t i = 0; i < k; i++) {
        double w = 1.0 / (v[i] + tau2);
        s.w += w;
        s.w2 += w * w;
        s.w3 += w * w * w;
        wy += w * y[i];
    }
    s.mean = wy / s.w;
    for (size_t i = 0; i < k; i++) {
        double w = 1.0 / (v[i] + tau2);
        double r = y[i] - s.mean;
        s.wr2 += w * r * r;
        s.w2r2 += w * w * r * r;
    }
    return s;
}

double pool_tau2_dl(size_t k, const double *y, const double *v)
{
    struct weighted s = weigh(k, y, v, 0.0);
    double c = s.w - s.w2 / s.w;
    return fmax(0.0, (s.wr2 - (double)(k - 1)) / c);
}

static bool tau2_reml(size_t k, const double *y, const double *v, double *tau2)
{
    *tau2 = pool_tau2_dl(k, y, v);
    for (int step = 0; step < REML_STEPS; step++) {
        struct weighted s = weigh(k, y, v, *tau2);
        double trace_p = s.w - s.w2 / s.w;
        double ratio = s.w2 / s.w;
        double trace_pp = s.w2 - 2.0 * s.w3 / s.w + ratio * ratio;
        double next = fmax(0.0, *tau2 + (s.w2r2 - trace_p) / trace_pp);
        double moved = fabs(next - *tau2);
        *tau2 = next;
        if (moved < REML_TOLERANCE)
            return true;
    }
    return false;
}

static void around(double centre, double half, double interval[2])
{
    interval[0] = centre - half;
    interval[1] = centre + half;
}

static void pool_intervals(size_t k, const struct weighted *fixed, const struct weighted *random,
                           double level, struct pool *out)
{
    double df = (double)(k - 1);
    double tail = (1.0 - level) / 2.0;
    double typical = df * fixed->w / (fixed->w * fixed->w - fixed->w2);
    out->i2_percent = out->tau2 + typical > 0.0 ? 100.0 * out->tau2 / (out->tau2 + typical) : 0.0;
    double t = t_isf(tail, df);
    out->hksj_q = random->wr2 / df;
    out->se_hksj = sqrt(out->hksj_q / random->w);
    around(out->mu, t * out->se_hksj, out->ci_hksj);
    out->se_mhksj = sqrt(fmax(1.0, out->hksj_q) / random->w);
    around(out->mu, t * out->se_mhksj, out->ci_mhksj);
    if (k < 3)
        return;
    double tp = t_isf(tail, df - 1.0);
    around(out->mu, tp * sqrt(out->tau2 + out->se_mhksj * out->se_mhksj), out->pi_mhksj);
    around(out->mu, tp * sqrt(out->tau2 + out->se_wald * out->se_wald), out->pi_wald);
}

static void set_undefined(struct pool *out)
{
    *out = (struct pool){
        .mu_fixed = NAN,
        .se_fixed = NAN,
        .q = NAN,
        .q_p = NAN,
        .tau2 = NAN,
        .i2_percent = NAN,
        .mu = NAN,
        .se_wald = NAN,
        .ci_wald = {NAN, NAN},
        .hksj_q = NAN,
        .se_hksj = NAN,
        .ci_hksj = {NAN, NAN},
        .se_mhksj = NAN,
        .ci_mhksj = {NAN, NAN},
        .pi_mhksj = {NAN, NAN},
        .pi_wald = {NAN, NAN},
    };
}

static enum stat_status check_inputs(size_t k, const double *y, const double *v, double level)
{
    if (k == 0)
        return STAT_EMPTY;
    if (k > POOL_SITES_MAX)
        return STAT_TOO_LARGE;
    for (size_t i = 0; i < k; i++) {
        if (!isfinite(y[i]) || !isfinite(v[i]) || !(v[i] > 0.0))
            return STAT_INVALID_INPUT;
    }
    return level > 0.0 && level < 1.0 ? STAT_OK : STAT_INVALID_INPUT;
}

enum stat_status pool_random(size_t k, const double *y, const double *v, enum pool_method method,
                             double level, struct pool *out)
{
    set_undefined(out);
    out->k = k;
    out->status = check_inputs(k, y, v, level);
    if (out->status != STAT_OK)
        return out->status;
    double z = normal_isf((1.0 - level) / 2.0);
    if (k == 1) {
        out->mu = y[0];
        out->se_wald = sqrt(v[0]);
        around(out->mu, z * out->se_wald, out->ci_wald);
        return out->status = STAT_SINGLE_SITE;
    }
    struct weighted fixed = weigh(k, y, v, 0.0);
    out->mu_fixed = fixed.mean;
    out->se_fixed = sqrt(1.0 / fixed.w);
    out->q = fixed.wr2;
    out->q_p = chi2_sf(out->q, (double)(k - 1));
    if (method == POOL_DL)
        out->tau2 = pool_tau2_dl(k, y, v);
    else if (!tau2_reml(k, y, v, &out->tau2))
        out->status = STAT_NO_CONVERGENCE;
    struct weighted random = weigh(k, y, v, out->tau2);
    out->mu = random.mean;
    out->se_wald = sqrt(1.0 / random.w);
    around(out->mu, z * out->se_wald, out->ci_wald);
    pool_intervals(k, &fixed, &random, level, out);
    return out->status;
}

bool pool_capped_weights(size_t k, const double *size, double cap, double *w)
{
    double total = 0.0;
    for (size_t i = 0; i < k; i++) {
        if (!(size[i] > 0.0) || !isfinite(size[i]))
            return false;
        total += size[i];
    }
    cap = fmax(cap, 1.0 / (double)k);
    for (size_t i = 0; i < k; i++)
        w[i] = size[i] / total;
    /* Each turn fixes at least one more site at the cap, so k turns suffice. */
    for (size_t turn = 0; turn < k; turn++) {
        bool over = false;
        size_t capped = 0;
        double rest = 0.0;
        for (size_t i = 0; i < k; i++) {
            over = over || w[i] > cap + 1e-12;
            if (w[i] >= cap)
                capped++;
            else
                rest += size[i];
        }
        if (!over)
            break;
        for (size_t i = 0; i < k; i++)
            w[i] = w[i] >= cap ? cap : size[i] / rest * (1.0 - cap * (double)capped);
    }
    return true;
}

void pool_weighted(size_t k, const double *w, const double *y, const double *v, double *mean,
                   double *se)
{
    double sum = 0.0;
    double var = 0.0;
    for (size_t i = 0; i < k; i++) {
        sum += w[i] * y[i];
        var += w[i] * w[i] * v[i];
    }
    *mean = sum;
    *se = sqrt(var);
}
