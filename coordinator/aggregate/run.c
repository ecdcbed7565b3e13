/* SPDX-License-Identifier: Apache-2.0 */
/* Running a rule over float32 rows: Gram pass, small solve in double, one fused tile pass. */
#include "coordinator/aggregate/run.h"
#include "coordinator/aggregate/aggregate.h"
#include "coordinator/aggregate/explain.h"
#include "coordinator/aggregate/passes.h"
#include "proto/base/cleanup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The Gram matrix of all points, in double throughout where float32 sums would not do. */
static struct result gram_of(const struct agg_means *means, const struct agg_source *source,
                             const struct agg_points *points, double *full, struct why *why)
{
    CLEANUP(gram_free) struct gram gram = {0};
    if (!agg_gram_is_small(points, source->d)) {
        TRY(agg_pass_gram(means, source, points, false, &gram, why));
        gram_total(&gram, full);
        if (agg_gram_is_sound(points, full))
            return DONE;
    }
    TRY(agg_pass_gram(means, source, points, true, &gram, why));
    gram_total(&gram, full);
    return DONE;
}

static void explain_distances(struct agg_explain *explain, size_t m, const double *gram)
{
    size_t n = explain->n;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            explain->squared_distance[i * n + j] =
                i == j ? 0.0 : fmax(0.0, gram[i * m + i] + gram[j * m + j] - 2.0 * gram[i * m + j]);
}

static struct result run_all(const struct agg_means *means, const struct agg_rule *rule,
                             const struct agg_source *source, float *out,
                             struct agg_explain *explain, struct why *why)
{
    struct agg_points points = agg_points_needed(rule, source->n);
    size_t m = agg_points_count(&points);
    CLEANUP(free_pointer) double *gram = NULL;
    if (points.gram || explain) {
        gram = calloc(m * m, sizeof *gram);
        if (!gram)
            return failed(why, RESULT_SYSTEM, "no memory for the products of %zu rows", m);
        TRY(gram_of(means, source, &points, gram, why));
    }
    CLEANUP(agg_decision_free) struct agg_decision decision = {0};
    TRY(agg_decide(rule, &points, gram, &decision, explain, why));
    TRY(agg_pass_apply(means, rule, source, &points, &decision, out, why));
    if (!explain)
        return DONE;
    explain_distances(explain, m, gram);
    return agg_pass_explain(means, source, &points, out, explain, why);
}

static struct result check_source(const struct agg_source *source, struct why *why)
{
    if (!source->rows && !source->decode)
        return failed(why, RESULT_INPUT, "the rows are nowhere");
    if (source->d == 0)
        return failed(why, RESULT_INPUT, "the rows have no coordinate");
    if (source->offset != 0)
        return failed(why, RESULT_INPUT, "a shard cannot be aggregated alone");
    return DONE;
}

struct result agg_run_with(const struct agg_means *means, const struct agg_rule *rule,
                           const struct agg_source *source, float *out, struct agg_explain *explain,
                           struct why *why)
{
    TRY(check_source(source, why));
    TRY(agg_rule_check(rule, source->n, source->d, why));
    if (explain)
        TRY(explain_new(explain, source->n, why));
    struct result r = run_all(means, rule, source, out, explain, why);
    if (!ok(r) && explain)
        agg_explain_free(explain);
    return r;
}

struct result agg_run(const struct agg_rule *rule, const struct agg_source *source,
                      unsigned threads, float *out, struct agg_explain *explain, struct why *why)
{
    enum { DEFAULT_THREADS = 2 };
    struct agg_means means = {kernels_best(), threads ? threads : DEFAULT_THREADS};
    if (means.threads > AGG_THREADS_MAX)
        means.threads = AGG_THREADS_MAX;
    return agg_run_with(&means, rule, source, out, explain, why);
}
