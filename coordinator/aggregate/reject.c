/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of a rule after malformed rows were rejected. */
#include "coordinator/aggregate/aggregate.h"

/* Number of rows kept before row; rows that were rejected have none. */
static size_t renumbered(const bool *rejected, size_t row)
{
    size_t before = 0;
    for (size_t i = 0; i < row; i++)
        before += !rejected[i];
    return before;
}

static struct result move_point(struct agg_point *point, const char *name, size_t n,
                                const bool *rejected, struct why *why)
{
    if (point->kind != AGG_POINT_ROW || point->row >= n)
        return DONE;
    if (rejected[point->row])
        return failed(why, RESULT_REFUSED, "%s is row %zu, which was rejected", name, point->row);
    point->row = renumbered(rejected, point->row);
    return DONE;
}

static bool leans_on_pivot(const struct agg_rule *rule)
{
    return rule->stages > 0 && rule->stage[rule->stages - 1] == AGG_MONNA;
}

struct result agg_rule_reject_rows(struct agg_rule *rule, size_t n, const bool *rejected,
                                   struct why *why)
{
    struct agg_params *p = &rule->params;
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += rejected[i];
    if (count == 0)
        return DONE;
    p->f = p->f > count ? p->f - count : 0;
    TRY(move_point(&p->z0, "z0", n, rejected, why));
    TRY(move_point(&p->v0, "v0", n, rejected, why));
    TRY(move_point(&p->g0, "g0", n, rejected, why));
    if (leans_on_pivot(rule) && p->idx < n) {
        if (rejected[p->idx])
            return failed(why, RESULT_REFUSED, "monna's pivot, row %zu, was rejected", p->idx);
        p->idx = renumbered(rejected, p->idx);
    }
    if (p->w && p->w_length == n) {
        p->w_length = 0;
        for (size_t i = 0; i < n; i++)
            if (!rejected[i])
                p->w[p->w_length++] = p->w[i];
    }
    if (p->perm && p->perm_length == n) {
        p->perm_length = 0;
        for (size_t i = 0; i < n; i++)
            if (p->perm[i] < n && !rejected[p->perm[i]])
                p->perm[p->perm_length++] = (uint32_t)renumbered(rejected, p->perm[i]);
    }
    return DONE;
}
