/* SPDX-License-Identifier: Apache-2.0 */
/* Minimum cell and complementary suppression; disparity by the delta method; Holm (1979); Benjamini
 * and Hochberg (1995). */
#include "linalg/stats/subgroup.h"

#include <math.h>
#include <string.h>

/* Whether a should be suppressed before b. */
static int smaller(const struct subgroup *a, const struct subgroup *b)
{
    if (a->n != b->n)
        return a->n < b->n;
    return strcmp(a->key, b->key) < 0;
}

size_t subgroup_suppress(size_t k, struct subgroup *groups, size_t c)
{
    size_t suppressed = 0;
    size_t hidden_patients = 0;
    for (size_t i = 0; i < k; i++) {
        struct subgroup *g = &groups[i];
        size_t n_neg = g->n > g->n_pos ? g->n - g->n_pos : 0;
        g->fate = g->n_pos < c || n_neg < c ? SUBGROUP_PRIMARY : SUBGROUP_RELEASED;
        if (g->fate == SUBGROUP_PRIMARY) {
            suppressed++;
            hidden_patients += g->n;
        }
    }
    while (suppressed > 0 && suppressed < k && (suppressed == 1 || hidden_patients < c)) {
        struct subgroup *next = NULL;
        for (size_t i = 0; i < k; i++) {
            if (groups[i].fate == SUBGROUP_RELEASED && (!next || smaller(&groups[i], next)))
                next = &groups[i];
        }
        if (!next)
            break;
        next->fate = SUBGROUP_COMPLEMENTARY;
        suppressed++;
        hidden_patients += next->n;
    }
    return k - suppressed;
}

void subgroup_disparity(double ref, double var_ref, double group, double var_group,
                        struct disparity *out)
{
    double se_log = sqrt(var_ref / (ref * ref) + var_group / (group * group));
    out->delta_signed = ref - group;
    out->delta = fabs(out->delta_signed);
    out->ratio = group / ref;
    out->se_delta = sqrt(var_ref + var_group);
    out->ci_delta_signed[0] = out->delta_signed - STAT_Z975 * out->se_delta;
    out->ci_delta_signed[1] = out->delta_signed + STAT_Z975 * out->se_delta;
    out->ci_ratio[0] = out->ratio * exp(-STAT_Z975 * se_log);
    out->ci_ratio[1] = out->ratio * exp(STAT_Z975 * se_log);
}

/* Row numbers by ascending p; insertion sort: k is small. False on a bad p. */
static int ascending(size_t k, const double *p, size_t *order)
{
    if (k > SUBGROUPS_MAX)
        return 0;
    for (size_t i = 0; i < k; i++) {
        if (!(p[i] >= 0.0 && p[i] <= 1.0))
            return 0;
        size_t at = i;
        for (; at > 0 && p[order[at - 1]] > p[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    return 1;
}

int adjust_holm(size_t k, const double *p, double *adjusted)
{
    size_t order[SUBGROUPS_MAX];
    if (!ascending(k, p, order))
        return 0;
    double running = 0.0;
    for (size_t r = 0; r < k; r++) {
        running = fmax(running, fmin(1.0, (double)(k - r) * p[order[r]]));
        adjusted[order[r]] = running;
    }
    return 1;
}

int adjust_bh(size_t k, const double *p, double *adjusted)
{
    size_t order[SUBGROUPS_MAX];
    if (!ascending(k, p, order))
        return 0;
    double running = 1.0;
    for (size_t r = k; r-- > 0;) {
        running = fmin(running, (double)k / (double)(r + 1) * p[order[r]]);
        adjusted[order[r]] = running;
    }
    return 1;
}
