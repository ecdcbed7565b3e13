/* SPDX-License-Identifier: Apache-2.0 */
/* Printing the table of aggregation rules and what one aggregation saw. */
#include "coordinator/cli/aggregate_cli.h"

#include "coordinator/aggregate/order.h"
#include "coordinator/cli/cli.h"
#include "proto/base/json.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *role_text(enum agg_role role)
{
    switch (role) {
    case AGG_ROLE_RULE:
        return "rule";
    case AGG_ROLE_PRE:
        return "before a rule";
    case AGG_ROLE_ATTACK:
        return "attack";
    }
    return "?";
}

static const char *needs_text(unsigned needs)
{
    static const char *const NAMES[] = {"rows", "columns", "gram", "gram, columns"};
    return NAMES[needs & (AGG_NEEDS_COLUMNS | AGG_NEEDS_GRAM)];
}

static int list_json(void)
{
    json_t *list = json_array();
    for (size_t i = 0; i < AGG_KINDS; i++) {
        const struct agg_descriptor *r = &AGG_RULES[i];
        json_array_append_new(list,
                              json_pack("{s:s,s:s,s:s,s:i,s:b,s:s,s:s,s:s,s:s}", "name", r->name,
                                        "role", role_text(r->role), "needs", needs_text(r->needs),
                                        "passes", r->passes, "uses_f", r->uses_f, "bound",
                                        agg_bound_text(r->bound), "params", r->params, "guarantee",
                                        r->guarantee, "source", r->source));
    }
    json_dumpf(list, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(list);
    return CLI_OK;
}

int aggregate_list(bool json)
{
    if (json)
        return list_json();
    printf("%-28s %-14s %-14s %-6s %-14s %s\n", "name", "role", "needs", "passes", "bound",
           "parameters");
    for (size_t i = 0; i < AGG_KINDS; i++) {
        const struct agg_descriptor *r = &AGG_RULES[i];
        printf("%-28s %-14s %-14s %-6d %-14s %s\n", r->name, role_text(r->role),
               needs_text(r->needs), r->passes, agg_bound_text(r->bound), r->params);
        printf("    %s [%s]\n", r->guarantee, r->source);
    }
    puts("\nCompose from left to right: nnm+trimmed-mean, arc+nnm+krum-nf1, bucketing+geomedian.");
    return CLI_OK;
}

/* Row i and all others, nearest first, itself at the head: order[n]. */
static void nearest(const struct agg_explain *e, size_t i, uint32_t *order)
{
    struct keyed work[AGG_ROWS_MAX];
    double distance[AGG_ROWS_MAX];
    memcpy(distance, e->squared_distance + i * e->n, e->n * sizeof *distance);
    distance[i] = -1.0;
    order_indices(e->n, distance, order, work);
}

static void explain_json(const struct agg_explain *e, const size_t *row_of)
{
    json_t *rows = json_array();
    uint32_t order[AGG_ROWS_MAX];
    for (size_t i = 0; i < e->n; i++) {
        json_t *distances = json_array();
        json_t *neighbours = json_array();
        nearest(e, i, order);
        for (size_t j = 0; j < e->n; j++)
            json_array_append_new(distances,
                                  number_or_null(sqrt(e->squared_distance[i * e->n + j])));
        for (size_t j = 1; j < e->n; j++)
            json_array_append_new(neighbours, json_integer((json_int_t)row_of[order[j]]));
        json_t *inclusions =
            e->inclusions[i] == SIZE_MAX ? json_null() : json_integer((json_int_t)e->inclusions[i]);
        json_array_append_new(rows,
                              json_pack("{s:I,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "row",
                                        (json_int_t)row_of[i], "norm", number_or_null(e->norm[i]),
                                        "cosine", number_or_null(e->cosine[i]), "distance",
                                        number_or_null(e->distance[i]), "weight",
                                        number_or_null(e->weight[i]), "score",
                                        number_or_null(e->score[i]), "clip_factor",
                                        number_or_null(e->clip_factor[i]), "caf_weight",
                                        number_or_null(e->caf_weight[i]), "inclusions", inclusions,
                                        "distances", distances, "neighbours", neighbours));
    }
    json_dumpf(rows, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    putchar('\n');
    json_decref(rows);
}

static void print_number(double value)
{
    if (isfinite(value))
        printf(" %12.6g", value);
    else
        printf(" %12s", "-");
}

void aggregate_print_explain(const struct agg_explain *e, const size_t *row_of, bool json)
{
    if (json) {
        explain_json(e, row_of);
        return;
    }
    printf("%5s %12s %12s %12s %12s %12s %12s %12s %10s\n", "row", "norm", "cosine", "distance",
           "weight", "score", "clip", "caf weight", "included");
    for (size_t i = 0; i < e->n; i++) {
        printf("%5zu", row_of[i]);
        print_number(e->norm[i]);
        print_number(e->cosine[i]);
        print_number(e->distance[i]);
        print_number(e->weight[i]);
        print_number(e->score[i]);
        print_number(e->clip_factor[i]);
        print_number(e->caf_weight[i]);
        if (e->inclusions[i] == SIZE_MAX)
            printf(" %10s\n", "-");
        else
            printf(" %10zu\n", e->inclusions[i]);
    }
    puts("\ndistances between rows");
    for (size_t i = 0; i < e->n; i++) {
        printf("%5zu", row_of[i]);
        for (size_t j = 0; j < e->n; j++)
            printf(" %.6g", sqrt(e->squared_distance[i * e->n + j]));
        putchar('\n');
    }
    puts("\nneighbours of each row, nearest first");
    for (size_t i = 0; i < e->n; i++) {
        uint32_t order[AGG_ROWS_MAX];
        nearest(e, i, order);
        printf("%5zu", row_of[i]);
        for (size_t j = 1; j < e->n; j++)
            printf(" %zu", row_of[order[j]]);
        putchar('\n');
    }
}
