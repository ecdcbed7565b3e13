/* SPDX-License-Identifier: Apache-2.0 */
/* Running a rule over float32 rows. */
#include "coordinator/aggregate/aggregate.h"
#include "proto/base/cleanup.h"

#include <stdlib.h>

static bool read_row(const struct agg_source *source, size_t row, double *out)
{
    float block[AGG_BLOCK];
    for (size_t first = 0; first < source->d; first += AGG_BLOCK) {
        size_t count = source->d - first < AGG_BLOCK ? source->d - first : AGG_BLOCK;
        const float *from = block;
        if (source->rows)
            from = source->rows[row] + first;
        else if (!source->decode(source->context, row, first, count, block))
            return false;
        for (size_t c = 0; c < count; c++)
            out[first + c] = (double)from[c];
    }
    return true;
}

struct result agg_run(const struct agg_rule *rule, const struct agg_source *source,
                      unsigned threads, float *out, struct agg_explain *explain, struct why *why)
{
    (void)threads;
    size_t n = source->n;
    size_t d = source->d;
    TRY(agg_rule_check(rule, n, d, why));
    size_t out_rows = agg_rule_output_rows(rule, n);
    CLEANUP(free_pointer) double *values = calloc((n + out_rows) * d + 1, sizeof *values);
    CLEANUP(free_pointer) const double **rows = calloc(n, sizeof *rows);
    if (!values || !rows)
        return failed(why, RESULT_SYSTEM, "no memory for %zu rows of %zu coordinates", n, d);
    for (size_t i = 0; i < n; i++) {
        rows[i] = values + i * d;
        if (!read_row(source, i, values + i * d))
            return failed(why, RESULT_INPUT, "row %zu does not decode", i);
    }
    double *result = values + n * d;
    TRY(agg_run_f64(rule, n, d, rows, result, explain, why));
    for (size_t c = 0; c < out_rows * d; c++)
        out[c] = (float)result[c];
    return DONE;
}
