/* SPDX-License-Identifier: Apache-2.0 */
/* Rule expressions: parsing, canonical name, and whether one is defined for n rows. */
#include "coordinator/aggregate/aggregate.h"

#include "proto/base/text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RULE_TYPO_MAX = 2 };

static struct result no_such_rule(const char *name, size_t length, struct why *why)
{
    char given[AGG_NAME_BYTES];
    size_t nearest = 0;
    int distance = RULE_TYPO_MAX + 1;
    for (size_t i = 0; i < length; i++)
        given[i] = name[i] == '_' ? '-' : (char)tolower((unsigned char)name[i]);
    given[length] = '\0';
    for (size_t i = 0; i < AGG_KINDS; i++) {
        int far = text_distance(given, AGG_RULES[i].name);
        if (far < distance) {
            distance = far;
            nearest = i;
        }
    }
    if (length > 0 && distance <= RULE_TYPO_MAX)
        return failed(why, RESULT_INPUT,
                      "no rule '%.*s', did you mean '%s'? 'consilium aggregate --list' names them",
                      (int)length, name, AGG_RULES[nearest].name);
    return failed(why, RESULT_INPUT, "no rule '%.*s'; 'consilium aggregate --list' names them",
                  (int)length, name);
}

struct result agg_rule_parse(const char *expression, struct agg_rule *rule, struct why *why)
{
    memset(rule, 0, sizeof *rule);
    if (strnlen(expression, AGG_NAME_BYTES) == AGG_NAME_BYTES)
        return failed(why, RESULT_INPUT, "a rule expression has at most %d bytes",
                      AGG_NAME_BYTES - 1);
    const char *at = expression;
    for (;;) {
        size_t length = strcspn(at, "+");
        const struct agg_descriptor *found = agg_find(at, length);
        if (!found)
            return no_such_rule(at, length, why);
        if (rule->stages == AGG_STAGES_MAX)
            return failed(why, RESULT_INPUT, "'%s' has more than %d stages", expression,
                          AGG_STAGES_MAX);
        bool last = at[length] == '\0';
        if (!last && found->role != AGG_ROLE_PRE)
            return failed(why, RESULT_INPUT, "'%s' gives one row, so nothing can follow it in '%s'",
                          found->name, expression);
        if (found->role == AGG_ROLE_ATTACK && rule->stages > 0)
            return failed(why, RESULT_INPUT, "'%s' is an attack and stands alone", found->name);
        rule->stage[rule->stages++] = found->kind;
        if (last)
            return DONE;
        at += length + 1;
    }
}

struct result agg_rule_parse_study(const char *expression, struct agg_rule *rule, struct why *why)
{
    TRY(agg_rule_parse(expression, rule, why));
    const struct agg_descriptor *last = &AGG_RULES[rule->stage[rule->stages - 1]];
    switch (last->role) {
    case AGG_ROLE_RULE:
        return DONE;
    case AGG_ROLE_PRE:
        return failed(why, RESULT_INPUT,
                      "'%s' stands before a rule and gives no single aggregate: write '%s+RULE', "
                      "such as '%s+trimmed-mean'",
                      last->name, expression, expression);
    case AGG_ROLE_ATTACK:
        break;
    }
    return failed(why, RESULT_INPUT, "'%s' is an attack, no rule for a study", last->name);
}

void agg_rule_name(const struct agg_rule *rule, char *text, size_t size)
{
    size_t used = 0;
    if (size)
        text[0] = '\0';
    for (int i = 0; i < rule->stages && used < size; i++) {
        int wrote = snprintf(text + used, size - used, "%s%s", i ? "+" : "",
                             AGG_RULES[rule->stage[i]].name);
        used += wrote > 0 ? (size_t)wrote : 0;
    }
}

static bool has_stage(const struct agg_rule *rule, enum agg_kind kind)
{
    for (int i = 0; i < rule->stages; i++)
        if (rule->stage[i] == kind)
            return true;
    return false;
}

static bool is_weighted(enum agg_kind kind)
{
    return kind == AGG_WEIGHTED_MEAN || kind == AGG_WEIGHTED_MEDIAN ||
           kind == AGG_WEIGHTED_TRIMMED_MEAN || kind == AGG_WEIGHTED_GEOMEDIAN_SMOOTHED;
}

static size_t rows_after(enum agg_kind kind, const struct agg_params *p, size_t n)
{
    if (AGG_RULES[kind].role != AGG_ROLE_PRE)
        return 1;
    if (kind == AGG_BUCKETING && p->s > 0)
        return (n + p->s - 1) / p->s;
    return n;
}

size_t agg_rule_output_rows(const struct agg_rule *rule, size_t n)
{
    for (int i = 0; i < rule->stages; i++)
        n = rows_after(rule->stage[i], &rule->params, n);
    return n;
}

static struct result check_permutation(const struct agg_params *p, size_t n, struct why *why)
{
    if (p->s == 0)
        return failed(why, RESULT_REFUSED,
                      "bucketing needs the bucket size s (in a plan aggregation.bucket_size)");
    if (!p->perm)
        return failed(why, RESULT_REFUSED,
                      "bucketing needs perm, drawn after all updates are committed");
    if (p->perm_length != n)
        return failed(why, RESULT_REFUSED, "perm has %zu entries for n = %zu rows", p->perm_length,
                      n);
    bool seen[AGG_ROWS_MAX] = {false};
    for (size_t i = 0; i < n; i++) {
        if (p->perm[i] >= n || seen[p->perm[i]])
            return failed(why, RESULT_REFUSED, "perm is not a permutation of 0..%zu", n - 1);
        seen[p->perm[i]] = true;
    }
    return DONE;
}

static struct result check_weights(const struct agg_params *p, size_t n, struct why *why)
{
    if (!p->w)
        return DONE;
    if (p->w_length != n)
        return failed(why, RESULT_REFUSED, "there are %zu weights for n = %zu rows", p->w_length,
                      n);
    double total = 0.0;
    for (size_t i = 0; i < n; i++)
        total += p->w[i];
    if (!(total > 0.0) || !isfinite(total))
        return failed(why, RESULT_REFUSED, "the weights sum to %g", total);
    return DONE;
}

static struct result check_point(const struct agg_point *point, const char *name, size_t n,
                                 size_t d, struct why *why)
{
    if (point->kind == AGG_POINT_ROW && point->row >= n)
        return failed(why, RESULT_REFUSED, "%s is row %zu of %zu", name, point->row, n);
    if (point->kind == AGG_POINT_GIVEN && d && point->length != d)
        return failed(why, RESULT_REFUSED, "%s has %zu coordinates, the rows have %zu", name,
                      point->length, d);
    return DONE;
}

/* Conditions of one stage beyond its bound on f; n is the number of rows that reach it. */
static struct result check_stage(enum agg_kind kind, const struct agg_params *p, size_t n,
                                 struct why *why)
{
    const char *name = AGG_RULES[kind].name;
    if (is_weighted(kind) && !p->w)
        return failed(why, RESULT_REFUSED, "rule '%s' needs weights", name);
    switch (kind) {
    case AGG_WEIGHTED_TRIMMED_MEAN:
        if (!p->has_trim_mass)
            return failed(why, RESULT_REFUSED, "rule '%s' needs trim_mass", name);
        return DONE;
    case AGG_KRUM:
    case AGG_KRUM_NF1:
    case AGG_MULTIKRUM:
    case AGG_MULTIKRUM_NF1:
        if (p->neighbours >= n && n > 1)
            return failed(why, RESULT_REFUSED, "%zu neighbours among %zu rows", p->neighbours, n);
        if (p->m > n)
            return failed(why, RESULT_REFUSED, "m = %zu of %zu rows", p->m, n);
        return DONE;
    case AGG_MONNA:
        if (p->idx >= n)
            return failed(why, RESULT_REFUSED, "monna's pivot is row %zu of %zu", p->idx, n);
        return DONE;
    case AGG_FLTRUST:
        if (p->g0.kind == AGG_POINT_DEFAULT)
            return failed(why, RESULT_REFUSED, "fltrust needs the trusted update g0");
        return DONE;
    case AGG_CLIP:
        if (!(p->c > 0.0))
            return failed(why, RESULT_REFUSED, "clip needs a norm c > 0");
        return DONE;
    case AGG_BUCKETING:
        return check_permutation(p, n, why);
    default:
        return DONE;
    }
}

struct result agg_rule_check(const struct agg_rule *rule, size_t n, size_t d, struct why *why)
{
    const struct agg_params *p = &rule->params;
    if (d > AGG_COORDINATES_MAX)
        return failed(why, RESULT_REFUSED, "at most %d coordinates, not %zu", AGG_COORDINATES_MAX,
                      d);
    TRY(check_weights(p, n, why));
    if (has_stage(rule, AGG_BUCKETING) && is_weighted(rule->stage[rule->stages - 1]))
        return failed(why, RESULT_REFUSED, "weights cannot follow rows through bucketing");
    TRY(check_point(&p->z0, "z0", n, d, why));
    TRY(check_point(&p->v0, "v0", n, d, why));
    TRY(check_point(&p->g0, "g0", n, d, why));
    size_t rows = n;
    for (int i = 0; i < rule->stages; i++) {
        const struct agg_descriptor *stage = &AGG_RULES[rule->stage[i]];
        if (stage->uses_f && !p->has_f)
            return failed(why, RESULT_REFUSED,
                          "rule '%s' needs f, the number of rows that may be hostile", stage->name);
        TRY(check_stage(stage->kind, p, rows, why));
        TRY(agg_descriptor_check(stage, rows, p->f, p->s ? p->s : 1, why));
        rows = rows_after(stage->kind, p, rows);
    }
    return DONE;
}
