/* SPDX-License-Identifier: Apache-2.0 */
/* Confusion table and rates at a threshold; Wilson (1927); net benefit of Vickers and Elkin (2006).
 */
#include "linalg/stats/threshold.h"

#include "linalg/stats/rank.h"

#include <math.h>
#include <stdlib.h>

enum stat_status threshold_confusion(size_t n, const double *y, const double *score,
                                     double threshold, struct confusion *out)
{
    *out = (struct confusion){0};
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(score[i]) || !(y[i] == 0.0 || y[i] == 1.0))
            return STAT_INVALID_INPUT;
        bool alert = score[i] >= threshold;
        bool positive = y[i] == 1.0;
        out->tp += alert && positive;
        out->fp += alert && !positive;
        out->fn += !alert && positive;
        out->tn += !alert && !positive;
    }
    return n == 0 ? STAT_EMPTY : STAT_OK;
}

static double rate(size_t part, size_t whole)
{
    return whole == 0 ? (double)NAN : (double)part / (double)whole;
}

struct confusion_rates threshold_rates(const struct confusion *c)
{
    size_t n = c->tp + c->fp + c->fn + c->tn;
    return (struct confusion_rates){
        .sens = rate(c->tp, c->tp + c->fn),
        .spec = rate(c->tn, c->tn + c->fp),
        .ppv = rate(c->tp, c->tp + c->fp),
        .npv = rate(c->tn, c->tn + c->fn),
        .acc = rate(c->tp + c->tn, n),
        .alert = rate(c->tp + c->fp, n),
    };
}

bool wilson_interval(size_t k, size_t n, double z, double interval[2])
{
    if (n == 0)
        return false;
    double size = (double)n;
    double share = (double)k / size;
    double denominator = 1.0 + z * z / size;
    double centre = (share + z * z / (2.0 * size)) / denominator;
    double half =
        z * sqrt(share * (1.0 - share) / size + z * z / (4.0 * size * size)) / denominator;
    interval[0] = fmax(0.0, centre - half);
    interval[1] = fmin(1.0, centre + half);
    return true;
}

enum stat_status threshold_at_specificity(size_t n, const double *y, const double *score,
                                          double target, double *threshold, double *sensitivity)
{
    *threshold = NAN;
    *sensitivity = NAN;
    struct confusion all;
    enum stat_status status = threshold_confusion(n, y, score, -INFINITY, &all);
    if (status == STAT_INVALID_INPUT || !(target >= 0.0 && target <= 1.0))
        return STAT_INVALID_INPUT;
    if (all.tp == 0 || all.fp == 0)
        return STAT_SINGLE_CLASS;
    struct rank_item *items = rank_order(n, score);
    if (!items)
        return STAT_NO_MEMORY;
    size_t neg_below = 0;
    size_t pos_below = 0;
    *threshold = INFINITY;
    for (size_t i = 0; i < n;) {
        if ((double)neg_below >= target * (double)all.fp) {
            *threshold = rank_value(items[i].key);
            break;
        }
        size_t end = i;
        for (; end < n && items[end].key == items[i].key; end++) {
            neg_below += y[items[end].row] == 0.0;
            pos_below += y[items[end].row] == 1.0;
        }
        i = end;
    }
    free(items);
    *sensitivity = 1.0 - (double)pos_below / (double)all.tp;
    return STAT_OK;
}

double net_benefit(const struct confusion *c, double t)
{
    double n = (double)(c->tp + c->fp + c->fn + c->tn);
    return ((double)c->tp - (double)c->fp * t / (1.0 - t)) / n;
}
