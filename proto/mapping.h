/* SPDX-License-Identifier: Apache-2.0 */
/* A site's mapping: how its own file's columns, codes and units become the plan's. */
#ifndef CONSILIUM_MAPPING_H
#define CONSILIUM_MAPPING_H

#include "proto/plan.h"

enum {
    MAPPING_BYTES_MAX = 65536,
    MAPPING_COLUMNS_MAX = PLAN_FEATURES_MAX + PLAN_SUBGROUPS_MAX + 8,
    MAPPING_CODES_MAX = 128,
    MAPPING_PATH_BYTES = 1024,
};

/* One code of the site and what it means in the plan. */
struct mapping_code {
    char from[PLAN_NAME_BYTES];
    char to[PLAN_NAME_BYTES];
};

/* A plan column that the site calls otherwise or codes otherwise. */
struct mapping_column {
    char plan[PLAN_NAME_BYTES];   /* name in the plan */
    char column[PLAN_NAME_BYTES]; /* name in the site's file; empty = the same */
    double factor, offset;        /* plan value = factor * site value + offset; default 1, 0 */
    struct mapping_code *codes;
    unsigned codes_count;
};

struct mapping {
    unsigned version;              /* 1 */
    char data[MAPPING_PATH_BYTES]; /* the CSV file, relative to the data folder */
    uint64_t declared_patients; /* public constant: weights and noise normaliser; 0 = not given */
    struct plan_level *missing; /* texts that mean "missing", besides the empty field */
    unsigned missing_count;
    struct mapping_column *columns; /* only those that differ from the plan */
    unsigned columns_count;
};

/* As plan_parse, for a mapping. */
struct result mapping_parse(struct mapping *mapping, const char *name, const char *text, size_t n,
                            struct why *why) MUST_CHECK;

void mapping_free(struct mapping *mapping);

#endif
