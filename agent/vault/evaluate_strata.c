/* SPDX-License-Identifier: Apache-2.0 */
/* Of linalg/stats/strata.h what may be told: numbers of clusters, the worst gap, a band. Neither
 * centres nor who is in a cluster. */
#include "agent/vault/evaluate_strata.h"

#include "agent/vault/statistic.h"

bool strata_fill(struct evaluation_strata *out, const struct strata_input *in)
{
    struct strata s;
    enum stat_status status = strata_find(in, &s);
    evaluation_strata_clear(out, statistic_of(status));
    if (status == STAT_NO_MEMORY)
        return false;
    if (status != STAT_OK)
        return true;
    out->clusters[0] = (unsigned)s.clusters[0];
    out->clusters[1] = (unsigned)s.clusters[1];
    out->tested = (unsigned)s.tested;
    out->of_positives = s.worst_positive;
    out->gap = s.gap;
    out->gap_low = s.low;
    out->gap_high = s.high;
    out->p = s.p;
    evaluation_band(s.worst_n, &out->low, &out->high);
    return true;
}
