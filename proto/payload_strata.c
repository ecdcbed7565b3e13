/* SPDX-License-Identifier: Apache-2.0 */
/* Hidden strata to doubles and back. */
#include "proto/payload_strata.h"

#include <math.h>

/* Bands end far below it, so that doubles hold them exactly. */
static const double BAND_MAX = 1e6;

void evaluation_strata_clear(struct evaluation_strata *strata, enum evaluation_statistic status)
{
    *strata = (struct evaluation_strata){
        .status = status, .gap = NAN, .gap_low = NAN, .gap_high = NAN, .p = NAN};
}

void payload_strata_write(const struct evaluation_strata *s, double values[STRATA_VALUES])
{
    const double list[STRATA_VALUES] = {(double)s->status,
                                        (double)s->clusters[0],
                                        (double)s->clusters[1],
                                        (double)s->tested,
                                        s->of_positives ? 1.0 : 0.0,
                                        s->gap,
                                        s->gap_low,
                                        s->gap_high,
                                        s->p,
                                        (double)s->low,
                                        (double)s->high};
    for (size_t i = 0; i < STRATA_VALUES; i++)
        values[i] = list[i];
}

static bool whole(double value, double most)
{
    return value >= 0.0 && value <= most && value == floor(value);
}

struct result payload_strata_read(struct evaluation_strata *to, const double *v, size_t n,
                                  struct why *why)
{
    evaluation_strata_clear(to, EVALUATION_STATISTIC_UNTOLD);
    if (n == 0)
        return DONE;
    if (n < STRATA_VALUES || n > STRATA_WIRE_MAX)
        return failed(why, RESULT_INPUT, "field 'strata' has %zu values, not %d to %d", n,
                      STRATA_VALUES, STRATA_WIRE_MAX);
    if (!whole(v[0], EVALUATION_STATISTIC_INVALID) || !whole(v[1], EVALUATION_CLUSTERS_MAX) ||
        !whole(v[2], EVALUATION_CLUSTERS_MAX) || !whole(v[3], 2.0 * EVALUATION_CLUSTERS_MAX) ||
        !whole(v[4], 1.0) || !whole(v[9], BAND_MAX) || !whole(v[10], BAND_MAX))
        return failed(why, RESULT_INPUT, "field 'strata' is out of bounds");
    *to = (struct evaluation_strata){.status = (enum evaluation_statistic)v[0],
                                     .clusters = {(unsigned)v[1], (unsigned)v[2]},
                                     .tested = (unsigned)v[3],
                                     .of_positives = v[4] > 0.0,
                                     .gap = v[5],
                                     .gap_low = v[6],
                                     .gap_high = v[7],
                                     .p = v[8],
                                     .low = (uint64_t)v[9],
                                     .high = (uint64_t)v[10]};
    return DONE;
}
