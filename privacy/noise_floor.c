/* SPDX-License-Identifier: Apache-2.0 */
/* Chi windows. Lower end: the tail's quantile, by bisection on the incomplete gamma function while
 * d is small, then sqrt(d-1) - 5/sqrt(2) (the chi law is narrower than that normal). Upper end: P[X
 * >= k + l + 2 sqrt((k + 2l) x) + 2x] <= e^{-x} for noncentral chi-square X of k degrees and
 * noncentrality l (Birge 2001, lemma 8.1). */
#include "privacy/noise_floor.h"

#include "linalg/special.h"

#include <math.h>

static const double TAIL = 2.8665157e-7; /* five standard deviations, one side */
static const uint64_t EXACT_UP_TO = 2000;

/* x with P[chi-square_k <= x] = TAIL. */
static double low_quantile(double k)
{
    double low = 0, high = k;
    for (int i = 0; i < 200 && high - low > 1e-9 * high; i++) {
        double mid = 0.5 * (low + high);
        if (gamma_p(0.5 * k, 0.5 * mid) > TAIL)
            high = mid;
        else
            low = mid;
    }
    return low;
}

int noise_window_init(struct noise_window *w, uint64_t d, double noise_std, double signal_max)
{
    *w = (struct noise_window){0};
    if (d == 0 || d > UINT64_C(1) << 40 || !(noise_std > 0 && noise_std < 1e100) ||
        !(signal_max >= 0 && signal_max < 1e100))
        return -1;
    double k = (double)d, ratio = signal_max / noise_std, x = -log(TAIL);
    double chi = d == 1             ? 0
                 : d <= EXACT_UP_TO ? sqrt(low_quantile(k - 1))
                                    : sqrt(k - 1) - 5 * M_SQRT1_2;
    w->low = noise_std * chi;
    double l = ratio * ratio;
    w->high = noise_std * sqrt(k + l + 2 * sqrt((k + 2 * l) * x) + 2 * x);
    return 0;
}

enum noise_floor_verdict noise_floor_test(const struct noise_window *w, double norm)
{
    if (!(norm >= 0) || !(w->high > 0))
        return NOISE_FLOOR_INVALID;
    if (norm < w->low)
        return NOISE_FLOOR_TOO_LITTLE;
    return norm > w->high ? NOISE_FLOOR_TOO_MUCH : NOISE_FLOOR_OK;
}

double noise_floor_norm(const double *x, size_t n)
{
    double sum = 0, top = 0;
    for (size_t i = 0; i < n; i++)
        top = fmax(top, fabs(x[i]));
    if (!(top > 0))
        return top;
    for (size_t i = 0; i < n; i++)
        sum += x[i] / top * (x[i] / top);
    return top * sqrt(sum);
}

double noise_floor_std(double noise, double clip, double lot, const double *weight, size_t steps)
{
    double square = 0;
    for (size_t t = 0; t < steps; t++)
        square += weight[t] * weight[t];
    return noise * clip / lot * sqrt(square);
}

int robustness_check(struct robustness *r, double noise, double clip, uint64_t d, double lot,
                     double signal, uint64_t liars, uint64_t sites)
{
    *r = (struct robustness){0};
    if (!(noise >= 0 && clip > 0 && lot > 0 && signal > 0) || d == 0 || sites == 0 ||
        liars >= sites)
        return -1;
    double share = (double)liars / (double)sites;
    r->nsr = noise * clip * sqrt((double)d) / (lot * signal);
    if (!isfinite(r->nsr))
        return -1;
    r->shift = share * r->nsr;
    r->claimed = r->shift <= ROBUSTNESS_SHIFT_MAX;
    r->lot_needed = r->shift * lot / ROBUSTNESS_SHIFT_MAX;
    double most = ROBUSTNESS_SHIFT_MAX * (double)sites / fmax(r->nsr, 1e-300);
    r->liars = most < (double)sites ? (uint64_t)most : sites - 1;
    r->noise_most = liars == 0 ? HUGE_VAL : noise * ROBUSTNESS_SHIFT_MAX / fmax(r->shift, 1e-300);
    return 0;
}
