/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of `consilium stats` about subgroups: who may be released, performance and disparity. */
#include "coordinator/cli/stats_input.h"
#include "linalg/stats/auroc.h"
#include "linalg/stats/subgroup.h"
#include "linalg/stats/threshold.h"
#include "proto/base/cleanup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int by_key(const void *a, const void *b)
{
    const struct subgroup *left = a;
    const struct subgroup *right = b;
    return strcmp(left->key, right->key);
}

static json_t *keys_of_fate(size_t k, const struct subgroup *groups, enum subgroup_fate fate)
{
    json_t *array = json_array();
    for (size_t i = 0; i < k; i++) {
        if (groups[i].fate == fate)
            json_array_append_new(array, json_string(groups[i].key));
    }
    return array;
}

/* Keys suppressed to protect others, in the order in which that happened: the smallest first. */
static json_t *complementary(size_t k, const struct subgroup *groups)
{
    json_t *array = json_array();
    bool taken[SUBGROUPS_MAX] = {false};
    while (true) {
        size_t best = k;
        for (size_t i = 0; i < k; i++) {
            if (groups[i].fate == SUBGROUP_COMPLEMENTARY && !taken[i] &&
                (best == k || groups[i].n < groups[best].n))
                best = i;
        }
        if (best == k)
            return array;
        taken[best] = true;
        json_array_append_new(array, json_string(groups[best].key));
    }
}

/* Groups of a suppression case: {"a": [n, n_pos], ...}. */
static struct result groups_from_object(const json_t *object, struct subgroup *groups, size_t *k,
                                        struct why *why)
{
    const char *key;
    json_t *value;
    json_t *iterable = (json_t *)(uintptr_t)object; /* json_object_foreach takes no const */
    json_object_foreach(iterable, key, value)
    {
        json_int_t n = json_integer_value(json_array_get(value, 0));
        json_int_t n_pos = json_integer_value(json_array_get(value, 1));
        if (*k == SUBGROUPS_MAX || json_array_size(value) != 2 || n < 0 || n_pos < 0 || n_pos > n)
            return failed(why, RESULT_INPUT,
                          "group '%.60s' must be [n, n_pos], and at most %d groups", key,
                          SUBGROUPS_MAX);
        groups[(*k)++] = (struct subgroup){.key = key, .n = (size_t)n, .n_pos = (size_t)n_pos};
    }
    return DONE;
}

static struct result groups_from_table(const struct stats_table *table, struct subgroup *groups,
                                       size_t *k, struct why *why)
{
    CLEANUP(free_pointer) double *n = NULL;
    CLEANUP(free_pointer) double *n_pos = NULL;
    size_t g = 0;
    char where[STATS_WHERE_BYTES];
    TRY(stats_table_need(table, "g", &g, why));
    TRY(stats_table_column(table, "n", &n, why));
    TRY(stats_table_column(table, "n_pos", &n_pos, why));
    if (table->rows > SUBGROUPS_MAX)
        return failed(why, RESULT_INPUT, "%s has %zu groups, %d are the most", table->path,
                      table->rows, SUBGROUPS_MAX);
    for (size_t i = 0; i < table->rows; i++) {
        if (!(n_pos[i] >= 0.0 && n_pos[i] <= n[i] && n[i] < 1e15))
            return failed(why, RESULT_INPUT, "%s: n_pos lies between 0 and n",
                          stats_table_where(table, i, where));
        groups[(*k)++] = (struct subgroup){.key = table->cells[i * table->cols + g],
                                           .n = (size_t)n[i],
                                           .n_pos = (size_t)n_pos[i]};
    }
    return DONE;
}

struct result stats_suppression(const struct stats_job *job, json_t **got, struct why *why)
{
    CLEANUP(stats_table_free) struct stats_table table = {0};
    CLEANUP(free_pointer) struct subgroup *groups = calloc(SUBGROUPS_MAX, sizeof *groups);
    uint64_t min_cell;
    size_t k = 0;
    if (!groups)
        return failed(why, RESULT_SYSTEM, "no memory for the groups");
    TRY(stats_whole(job->inputs, "min_cell", 11, &min_cell, why));
    const json_t *object = json_object_get(job->inputs, "groups");
    if (object) {
        TRY(groups_from_object(object, groups, &k, why));
    } else {
        TRY(stats_table_read(job, "file", &table, why));
        TRY(groups_from_table(&table, groups, &k, why));
    }
    qsort(groups, k, sizeof *groups, by_key);
    subgroup_suppress(k, groups, min_cell);
    *got = json_pack("{s:o, s:o, s:o}", "released", keys_of_fate(k, groups, SUBGROUP_RELEASED),
                     "primary", keys_of_fate(k, groups, SUBGROUP_PRIMARY), "complementary",
                     complementary(k, groups));
    return DONE;
}

/* Rows of a CSV y,p,g and its groups in order of their keys. */
struct grouped {
    struct stats_table table;
    double *y, *p;
    uint32_t *member; /* [rows] index into groups */
    struct subgroup *groups;
    size_t k;
};

static void grouped_free(struct grouped *g)
{
    stats_table_free(&g->table);
    free(g->y);
    free(g->p);
    free(g->member);
    free(g->groups);
}

static struct result collect_keys(struct grouped *g, size_t column, struct why *why)
{
    for (size_t i = 0; i < g->table.rows; i++) {
        const char *key = g->table.cells[i * g->table.cols + column];
        const struct subgroup wanted = {.key = key};
        if (g->k && bsearch(&wanted, g->groups, g->k, sizeof *g->groups, by_key))
            continue;
        if (g->k == SUBGROUPS_MAX)
            return failed(why, RESULT_INPUT, "more than %d groups", SUBGROUPS_MAX);
        g->groups[g->k++] = wanted;
        qsort(g->groups, g->k, sizeof *g->groups, by_key);
    }
    return DONE;
}

static struct result grouped_read(const struct stats_job *job, struct grouped *g, struct why *why)
{
    TRY(stats_table_read(job, "file", &g->table, why));
    TRY(stats_table_column(&g->table, "y", &g->y, why));
    TRY(stats_table_column(&g->table, "p", &g->p, why));
    size_t column = 0;
    char where[STATS_WHERE_BYTES];
    TRY(stats_table_need(&g->table, "g", &column, why));
    size_t rows = g->table.rows;
    g->member = calloc(rows ? rows : 1, sizeof *g->member);
    g->groups = calloc(SUBGROUPS_MAX, sizeof *g->groups);
    if (!g->member || !g->groups)
        return failed(why, RESULT_SYSTEM, "no memory for %zu rows", rows);
    TRY(collect_keys(g, column, why));
    for (size_t i = 0; i < rows; i++) {
        if (!(g->y[i] == 0.0 || g->y[i] == 1.0) || !isfinite(g->p[i]))
            return failed(why, RESULT_INPUT, "%s: y must be 0 or 1, and p a number",
                          stats_table_where(&g->table, i, where));
        const struct subgroup wanted = {.key = g->table.cells[i * g->table.cols + column]};
        struct subgroup *at = bsearch(&wanted, g->groups, g->k, sizeof *g->groups, by_key);
        at->n++;
        at->n_pos += g->y[i] == 1.0;
        g->member[i] = (uint32_t)(at - g->groups);
    }
    return DONE;
}

struct performance {
    struct auroc auroc;
    struct confusion_rates rates;
    double acc_var;
};

/* Performance of one group; scratch[2*rows]. */
static struct performance perform(const struct grouped *g, size_t group, double threshold,
                                  double *scratch)
{
    struct performance out;
    struct confusion table;
    size_t n = 0;
    double *y = scratch;
    double *p = scratch + g->table.rows;
    for (size_t i = 0; i < g->table.rows; i++) {
        if (g->member[i] == group) {
            y[n] = g->y[i];
            p[n++] = g->p[i];
        }
    }
    auroc_delong(n, y, p, NULL, &out.auroc);
    threshold_confusion(n, y, p, threshold, &table);
    out.rates = threshold_rates(&table);
    out.acc_var = out.rates.acc * (1.0 - out.rates.acc) / (double)n;
    return out;
}

static json_t *performance_json(const struct performance *p)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "auc", stats_json_or_null(p->auroc.auc),
                     "auc_var", stats_json_or_null(p->auroc.var), "acc", stats_json(p->rates.acc),
                     "sens", stats_json_or_null(p->rates.sens), "spec",
                     stats_json_or_null(p->rates.spec), "acc_var", stats_json(p->acc_var));
}

static json_t *disparity_json(double ref, double var_ref, double group, double var_group)
{
    struct disparity d;
    subgroup_disparity(ref, var_ref, group, var_group, &d);
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "delta", stats_json(d.delta), "r_disp",
                     stats_json(d.ratio), "delta_signed", stats_json(d.delta_signed), "se_delta",
                     stats_json(d.se_delta), "ci_delta_signed", stats_json_pair(d.ci_delta_signed),
                     "r_ci", stats_json_pair(d.ci_ratio));
}

static json_t *key_or_null(const struct grouped *g, size_t i)
{
    return i < g->k ? json_string(g->groups[i].key) : json_null();
}

/* Metrics, disparities and worst groups of the released groups. */
static struct result add_released(const struct grouped *g, double threshold, const char *reference,
                                  json_t *o, struct why *why)
{
    CLEANUP(free_pointer) double *scratch = calloc(g->table.rows + 1, 2 * sizeof *scratch);
    CLEANUP(free_pointer) struct performance *all = calloc(g->k + 1, sizeof *all);
    if (!scratch || !all)
        return failed(why, RESULT_SYSTEM, "no memory for %zu groups", g->k);
    size_t worst_auc = g->k;
    size_t worst_acc = g->k;
    size_t ref = g->k;
    json_t *metrics = json_object();
    json_t *disparity = json_object();
    json_object_set_new(o, "metrics", metrics);
    json_object_set_new(o, "disparity", disparity);
    for (size_t i = 0; i < g->k; i++) {
        if (g->groups[i].fate != SUBGROUP_RELEASED)
            continue;
        all[i] = perform(g, i, threshold, scratch);
        json_object_set_new(metrics, g->groups[i].key, performance_json(&all[i]));
        if (worst_auc == g->k || all[i].auroc.auc < all[worst_auc].auroc.auc)
            worst_auc = i;
        if (worst_acc == g->k || all[i].rates.acc < all[worst_acc].rates.acc)
            worst_acc = i;
        if (reference && strcmp(g->groups[i].key, reference) == 0)
            ref = i;
    }
    for (size_t i = 0; ref < g->k && i < g->k; i++) {
        if (i == ref || g->groups[i].fate != SUBGROUP_RELEASED)
            continue;
        const struct performance *a = &all[ref];
        const struct performance *b = &all[i];
        json_object_set_new(
            disparity, g->groups[i].key,
            json_pack("{s:o, s:o}", "auc",
                      disparity_json(a->auroc.auc, a->auroc.var, b->auroc.auc, b->auroc.var), "acc",
                      disparity_json(a->rates.acc, a->acc_var, b->rates.acc, b->acc_var)));
    }
    json_object_set_new(o, "worst_auc", key_or_null(g, worst_auc));
    json_object_set_new(o, "worst_acc", key_or_null(g, worst_acc));
    return DONE;
}

struct result stats_subgroup(const struct stats_job *job, json_t **got, struct why *why)
{
    CLEANUP(grouped_free) struct grouped g = {0};
    uint64_t min_cell;
    double threshold;
    TRY(stats_whole(job->inputs, "min_cell", 11, &min_cell, why));
    TRY(stats_real(job->inputs, "threshold", 0.5, &threshold, why));
    TRY(grouped_read(job, &g, why));
    subgroup_suppress(g.k, g.groups, min_cell);
    json_t *counts = json_object();
    for (size_t i = 0; i < g.k; i++)
        json_object_set_new(counts, g.groups[i].key,
                            json_pack("[I, I]", (json_int_t)g.groups[i].n,
                                      (json_int_t)g.groups[i].n_pos));
    json_t *o = json_pack("{s:o, s:o, s:o, s:o}", "counts", counts, "released",
                          keys_of_fate(g.k, g.groups, SUBGROUP_RELEASED), "primary_suppressed",
                          keys_of_fate(g.k, g.groups, SUBGROUP_PRIMARY), "complementary_suppressed",
                          complementary(g.k, g.groups));
    struct result r =
        add_released(&g, threshold, stats_text(job->inputs, "reference_group", NULL), o, why);
    if (ok(r))
        *got = o;
    else
        json_decref(o);
    return r;
}
