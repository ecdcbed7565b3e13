/* SPDX-License-Identifier: Apache-2.0 */
/* Two levels of aggregation for thousands of sites. */
#include "coordinator/aggregate/group.h"

#include "proto/base/cleanup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct result group_draw(size_t n, size_t size, struct rng *rng, struct groups *groups,
                         struct why *why)
{
    memset(groups, 0, sizeof *groups);
    if (n == 0 || n > GROUP_SITES_MAX || size == 0 || size > AGG_ROWS_MAX)
        return failed(why, RESULT_INPUT, "cannot deal %zu sites into groups of %zu", n, size);
    size_t count = (n + size - 1) / size;
    if (count > AGG_ROWS_MAX)
        return failed(why, RESULT_INPUT, "%zu groups are more than %d", count, AGG_ROWS_MAX);
    uint32_t *order = calloc(n, sizeof *order);
    if (!order)
        return failed(why, RESULT_SYSTEM, "no memory for %zu sites", n);
    for (size_t i = 0; i < n; i++)
        order[i] = (uint32_t)i;
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)rng_below(rng, i);
        uint32_t swap = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swap;
    }
    *groups = (struct groups){n, size, count, order};
    return DONE;
}

void group_free(struct groups *groups)
{
    free(groups->order);
    memset(groups, 0, sizeof *groups);
}

size_t group_first(const struct groups *groups, size_t k)
{
    size_t each = groups->n / groups->count;
    size_t more = groups->n % groups->count;
    return each * k + (k < more ? k : more);
}

size_t group_hostile(size_t size, size_t n, size_t f)
{
    double g = (double)size;
    double delta = (double)f / (double)n;
    double bound = ceil(g * delta + 3.0 * sqrt(g * delta * (1.0 - delta)));
    return bound < g ? (size_t)bound : size;
}

double group_failure_log10(size_t size, size_t n, size_t f)
{
    double g = (double)size;
    double off = (double)group_hostile(size, n, f) / g - (double)f / (double)n;
    return -2.0 * g * off * off / log(10.0);
}

/* A group's rows as a source of their own. */
struct members {
    const struct agg_source *all;
    const uint32_t *member;
};

static bool decode_member(void *context, size_t row, size_t first, size_t count, float *out)
{
    const struct members *m = context;
    return m->all->decode(m->all->context, m->member[row], first, count, out);
}

static int ascending(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left;
    uint32_t b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static struct result run_group(const struct groups *groups, size_t k, struct agg_rule *inner,
                               size_t f, const struct agg_source *source, unsigned threads,
                               float *out, struct why *why)
{
    const float *rows[AGG_ROWS_MAX];
    uint32_t member[AGG_ROWS_MAX];
    size_t first = group_first(groups, k);
    size_t n = group_first(groups, k + 1) - first;
    memcpy(member, groups->order + first, n * sizeof *member);
    qsort(member, n, sizeof *member, ascending);
    for (size_t i = 0; source->rows && i < n; i++)
        rows[i] = source->rows[member[i]];
    struct members context = {source, member};
    struct agg_source own = {.n = n,
                             .d = source->d,
                             .rows = source->rows ? rows : NULL,
                             .decode = source->decode ? decode_member : NULL,
                             .context = &context};
    agg_rule_set_f(inner, group_hostile(n, groups->n, f));
    struct result r = agg_run(inner, &own, threads, out, NULL, why);
    return ok(r) ? r : failed_in(why, r, "group %zu", k);
}

struct result group_run(const struct groups *groups, struct agg_rule *inner, size_t f,
                        const struct agg_rule *outer, const struct agg_source *source,
                        unsigned threads, float *out, struct why *why)
{
    if (source->n != groups->n || agg_rule_output_rows(inner, groups->size) != 1)
        return failed(why, RESULT_INPUT, "the groups are not of these rows");
    CLEANUP(free_pointer) float *results = calloc(groups->count * source->d + 1, sizeof *results);
    CLEANUP(free_pointer) const float **rows = calloc(groups->count, sizeof *rows);
    if (!results || !rows)
        return failed(why, RESULT_SYSTEM, "no memory for the results of %zu groups", groups->count);
    for (size_t k = 0; k < groups->count; k++) {
        float *result = results + k * source->d;
        rows[k] = result;
        TRY(run_group(groups, k, inner, f, source, threads, result, why));
    }
    struct agg_source level = {.n = groups->count, .d = source->d, .rows = rows};
    return agg_run(outer, &level, threads, out, NULL, why);
}
