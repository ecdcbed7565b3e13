/* SPDX-License-Identifier: Apache-2.0 */
/* What the aggregation saw: one allocation, cut into arrays. */
#include "coordinator/aggregate/explain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct result explain_new(struct agg_explain *explain, size_t n, struct why *why)
{
    enum { ARRAYS = 7 };
    memset(explain, 0, sizeof *explain);
    double *squared = calloc(n * n, sizeof *squared);
    double *values = calloc(ARRAYS * n, sizeof *values);
    size_t *counts = calloc(n, sizeof *counts);
    if (!squared || !values || !counts) {
        free(squared);
        free(values);
        free(counts);
        return failed(why, RESULT_SYSTEM, "no memory to explain %zu rows", n);
    }
    for (size_t i = 0; i < ARRAYS * n; i++)
        values[i] = (double)NAN;
    for (size_t i = 0; i < n; i++)
        counts[i] = SIZE_MAX;
    *explain = (struct agg_explain){.n = n,
                                    .squared_distance = squared,
                                    .norm = values,
                                    .cosine = values + n,
                                    .distance = values + 2 * n,
                                    .weight = values + 3 * n,
                                    .score = values + 4 * n,
                                    .clip_factor = values + 5 * n,
                                    .caf_weight = values + 6 * n,
                                    .inclusions = counts};
    return DONE;
}

void agg_explain_free(struct agg_explain *explain)
{
    free(explain->squared_distance);
    free(explain->norm);
    free(explain->inclusions);
    memset(explain, 0, sizeof *explain);
}

void explain_taken(struct agg_explain *explain, size_t n, size_t count, const uint32_t *taken)
{
    if (!explain || explain->n != n)
        return;
    for (size_t i = 0; i < n; i++)
        explain->inclusions[i] = 0;
    for (size_t k = 0; k < count; k++)
        explain->inclusions[taken[k]] = 1;
}
