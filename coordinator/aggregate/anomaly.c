/* SPDX-License-Identifier: Apache-2.0 */
/* Anomaly figures, flags and reputations. Every comparison is written so that NaN raises nothing.
 */
#include "coordinator/aggregate/anomaly.h"

#include "coordinator/aggregate/order.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct anomaly_policy anomaly_default(void)
{
    return (struct anomaly_policy){.norm_ratio = 3.0,
                                   .cosine = -0.2,
                                   .inclusion = 0.25,
                                   .caf_weight = 0.1,
                                   .clip_factor = 0.33,
                                   .decay = 0.9,
                                   .counting = ANOMALY_EVIDENCE,
                                   .quarantine_at = 0};
}

const char *anomaly_flag_name(unsigned flag)
{
    switch (flag) {
    case ANOMALY_NORM:
        return "norm";
    case ANOMALY_COSINE:
        return "cosine";
    case ANOMALY_NEIGHBOUR:
        return "neighbour";
    case ANOMALY_CAF:
        return "caf";
    case ANOMALY_CLIPPED:
        return "clipped";
    case ANOMALY_REJECTED:
        return "rejected";
    case ANOMALY_NOISE:
        return "noise";
    default:
        return NULL;
    }
}

struct anomaly_score anomaly_score_none(void)
{
    const double none = (double)NAN;
    return (struct anomaly_score){none, none, none, none, none, none, none, 0};
}

unsigned anomaly_flags(const struct anomaly_policy *p, const struct anomaly_score *s)
{
    unsigned flags = 0;
    if (s->norm_ratio > p->norm_ratio || s->norm_ratio < 1.0 / p->norm_ratio)
        flags |= ANOMALY_NORM;
    if (s->cosine < p->cosine)
        flags |= ANOMALY_COSINE;
    if (s->inclusion < p->inclusion)
        flags |= ANOMALY_NEIGHBOUR;
    if (s->caf_weight < p->caf_weight)
        flags |= ANOMALY_CAF;
    if (s->clip_factor < p->clip_factor)
        flags |= ANOMALY_CLIPPED;
    return flags;
}

void anomaly_score_round(const struct anomaly_policy *policy, const struct agg_explain *e, bool nnm,
                         struct anomaly_score *scores)
{
    double norms[AGG_ROWS_MAX];
    size_t n = e->n;
    if (n == 0 || n > AGG_ROWS_MAX)
        return;
    memcpy(norms, e->norm, n * sizeof *norms);
    double middle = order_median(n, norms);
    for (size_t i = 0; i < n; i++) {
        bool counted = e->inclusions[i] != SIZE_MAX;
        double inclusion =
            counted ? (double)e->inclusions[i] / (nnm ? (double)n : 1.0) : (double)NAN;
        scores[i] = (struct anomaly_score){
            .norm = e->norm[i],
            .norm_ratio = middle > 0.0 ? e->norm[i] / middle : (double)NAN,
            .cosine = e->cosine[i],
            .inclusion = inclusion,
            .caf_weight = e->caf_weight[i],
            .clip_factor = e->clip_factor[i],
            .weight = e->weight[i],
        };
        /* That a selection of one row left a row out says nothing about it. */
        struct anomaly_score judged = scores[i];
        if (!nnm)
            judged.inclusion = (double)NAN;
        scores[i].flags = anomaly_flags(policy, &judged);
    }
}

struct anomaly_site anomaly_site_new(void)
{
    return (struct anomaly_site){.reputation = 1.0};
}

bool anomaly_site_step(const struct anomaly_policy *policy, struct anomaly_site *site,
                       unsigned flags)
{
    bool flagged = (flags & policy->counting) != 0;
    site->rounds++;
    site->flagged += flagged;
    site->reputation =
        policy->decay * site->reputation + (1.0 - policy->decay) * (flagged ? 0.0 : 1.0);
    if (!flagged) {
        site->open -= site->open > 0;
        return false;
    }
    site->open++;
    if (site->quarantined || policy->quarantine_at == 0 || site->open < policy->quarantine_at)
        return false;
    site->quarantined = true;
    return true;
}

void anomaly_site_release(struct anomaly_site *site)
{
    site->quarantined = false;
    site->open = 0;
}

void anomaly_sentence(const struct anomaly_score *s, char *text, size_t size)
{
    const struct {
        unsigned flag;
        const char *before;
        double value;
        const char *after;
    } PARTS[] = {
        {ANOMALY_NORM, "norm ", s->norm_ratio, " times the median"},
        {ANOMALY_COSINE, "cosine ", s->cosine, " to the aggregate"},
        {ANOMALY_NEIGHBOUR, "in ", s->inclusion, " of the neighbourhoods"},
        {ANOMALY_CAF, "weight ", s->caf_weight, " after filtering"},
        {ANOMALY_CLIPPED, "clipped to ", s->clip_factor, " of its length"},
    };
    size_t used = 0;
    if (size)
        text[0] = '\0';
    for (size_t k = 0; k < sizeof PARTS / sizeof PARTS[0] && used < size; k++) {
        if (!(s->flags & PARTS[k].flag))
            continue;
        int wrote = snprintf(text + used, size - used, "%s%s%.3g%s", used ? "; " : "",
                             PARTS[k].before, PARTS[k].value, PARTS[k].after);
        used += wrote > 0 ? (size_t)wrote : 0;
    }
    if ((s->flags & ANOMALY_NOISE) && used < size)
        used += (size_t)snprintf(text + used, size - used, "%snot the norm of its privacy noise",
                                 used ? "; " : "");
    if ((s->flags & ANOMALY_REJECTED) && used < size)
        snprintf(text + used, size - used, "%srejected at the gate", used ? "; " : "");
}
