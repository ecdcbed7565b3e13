/* SPDX-License-Identifier: Apache-2.0 */
/* Split conformal prediction (Vovk et al. 2005; Papadopoulos et al. 2002). */
#include "linalg/stats/conformal.h"

#include "linalg/stats/rank.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum stat_status conformal_quantile(size_t n, const double *score, double alpha, double *quantile)
{
    *quantile = NAN;
    if (!(alpha > 0.0 && alpha < 1.0))
        return STAT_INVALID_INPUT;
    for (size_t i = 0; i < n; i++) {
        if (isnan(score[i]))
            return STAT_INVALID_INPUT;
    }
    /* The 1e-12 keeps a product such as 10 * 0.9 from rounding up past 9. */
    double rank = fmax(1.0, ceil(((double)n + 1.0) * (1.0 - alpha) - 1e-12));
    if (rank > (double)n) {
        *quantile = INFINITY;
        return STAT_OK;
    }
    double *sorted = calloc(n, sizeof *sorted);
    if (!sorted)
        return STAT_NO_MEMORY;
    memcpy(sorted, score, n * sizeof *sorted);
    enum stat_status status = rank_sort_values(n, sorted) ? STAT_OK : STAT_NO_MEMORY;
    if (status == STAT_OK)
        *quantile = sorted[(size_t)rank - 1];
    free(sorted);
    return status;
}

enum stat_status conformal_binary(size_t n, const double *y, const double *p, double alpha,
                                  struct conformal *out)
{
    *out = (struct conformal){NAN, NAN, NAN};
    double *score = calloc(n ? n : 1, sizeof *score);
    if (!score)
        return STAT_NO_MEMORY;
    /* Positives from the front, negatives from the back: the two classes are contiguous. */
    size_t m = 0;
    size_t back = n;
    enum stat_status status = STAT_OK;
    for (size_t i = 0; i < n && status == STAT_OK; i++) {
        if (!(p[i] >= 0.0 && p[i] <= 1.0) || !(y[i] == 0.0 || y[i] == 1.0))
            status = STAT_INVALID_INPUT;
        else if (y[i] == 1.0)
            score[m++] = 1.0 - p[i];
        else
            score[--back] = p[i]; /* 1 - (1 - p) */
    }
    if (status == STAT_OK)
        status = conformal_quantile(n, score, alpha, &out->marginal);
    if (status == STAT_OK)
        status = conformal_quantile(m, score, alpha, &out->pos);
    if (status == STAT_OK)
        status = conformal_quantile(n - m, score + m, alpha, &out->neg);
    free(score);
    return status;
}
