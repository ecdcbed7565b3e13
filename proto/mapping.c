/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a site's mapping. */
#include "proto/mapping.h"

#include "proto/plan_schema.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const cyaml_schema_field_t CODE[] = {
    CYAML_FIELD_STRING("from", CYAML_FLAG_DEFAULT, struct mapping_code, from, 0),
    CYAML_FIELD_STRING("to", CYAML_FLAG_DEFAULT, struct mapping_code, to, 0), CYAML_FIELD_END};
static const cyaml_schema_value_t CODE_VALUE = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct mapping_code, CODE)};

static const cyaml_schema_field_t COLUMN[] = {
    CYAML_FIELD_STRING("plan", CYAML_FLAG_DEFAULT, struct mapping_column, plan, 1),
    CYAML_FIELD_STRING("column", CYAML_FLAG_OPTIONAL, struct mapping_column, column, 0),
    CYAML_FIELD_FLOAT("factor", CYAML_FLAG_OPTIONAL, struct mapping_column, factor),
    CYAML_FIELD_FLOAT("offset", CYAML_FLAG_OPTIONAL, struct mapping_column, offset),
    CYAML_FIELD_SEQUENCE("codes", CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER, struct mapping_column,
                         codes, &CODE_VALUE, 0, MAPPING_CODES_MAX),
    CYAML_FIELD_END};
static const cyaml_schema_value_t COLUMN_VALUE = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct mapping_column, COLUMN)};

static const cyaml_schema_field_t MAPPING[] = {
    CYAML_FIELD_UINT("version", CYAML_FLAG_DEFAULT, struct mapping, version),
    CYAML_FIELD_STRING("data", CYAML_FLAG_DEFAULT, struct mapping, data, 1),
    CYAML_FIELD_UINT("declared_patients", CYAML_FLAG_OPTIONAL, struct mapping, declared_patients),
    CYAML_FIELD_SEQUENCE("missing", CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER, struct mapping,
                         missing, &plan_level_schema, 0, PLAN_LEVELS_MAX),
    CYAML_FIELD_SEQUENCE("columns", CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER, struct mapping,
                         columns, &COLUMN_VALUE, 0, MAPPING_COLUMNS_MAX),
    CYAML_FIELD_END};
static const cyaml_schema_value_t SCHEMA = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct mapping, MAPPING)};

static struct result check_column(struct mapping *mapping, unsigned i,
                                  const struct conf_source *source, struct why *why)
{
    struct mapping_column *c = &mapping->columns[i];
    char path[2 * PLAN_NAME_BYTES];
    snprintf(path, sizeof path, "columns/%s", c->plan);
    for (unsigned j = 0; j < i; j++) {
        if (strcmp(mapping->columns[j].plan, c->plan) == 0)
            return conf_wrong(source, why, path, "stands twice");
    }
    if (!isfinite(c->factor) || !isfinite(c->offset))
        return conf_wrong(source, why, path, "factor and offset must be finite numbers");
    if (c->factor == 0.0)
        c->factor = 1.0;
    if (c->column[0] == '\0')
        memcpy(c->column, c->plan, sizeof c->column);
    for (unsigned k = 0; k < c->codes_count; k++) {
        for (unsigned l = 0; l < k; l++) {
            if (strcmp(c->codes[k].from, c->codes[l].from) == 0)
                return conf_wrong(source, why, path, "code '%s' stands twice", c->codes[k].from);
        }
    }
    return DONE;
}

static struct result check(struct mapping *mapping, const struct conf_source *source,
                           struct why *why)
{
    if (mapping->version != 1)
        return conf_wrong(source, why, "version", "%u is not known: this release reads version 1",
                          mapping->version);
    if (mapping->declared_patients > 1000000000)
        return conf_wrong(source, why, "declared_patients", "is above 1000000000");
    for (unsigned i = 0; i < mapping->columns_count; i++)
        TRY(check_column(mapping, i, source, why));
    return DONE;
}

struct result mapping_parse(struct mapping *mapping, const char *name, const char *text, size_t n,
                            struct why *why)
{
    memset(mapping, 0, sizeof *mapping);
    if (n > MAPPING_BYTES_MAX)
        return failed(why, RESULT_INPUT, "%s: %zu bytes are more than the %d of a mapping", name, n,
                      MAPPING_BYTES_MAX);
    struct conf_source source = {name, text, n};
    void *data = NULL;
    TRY(conf_load(&source, &SCHEMA, &data, why));
    memcpy(mapping, data, sizeof *mapping);
    free(data); /* the top struct only: what it points to belongs to *mapping now */
    struct result r = check(mapping, &source, why);
    if (!ok(r))
        mapping_free(mapping);
    return r;
}

void mapping_free(struct mapping *mapping)
{
    for (unsigned i = 0; i < mapping->columns_count; i++)
        free(mapping->columns[i].codes);
    free(mapping->columns);
    free(mapping->missing);
    memset(mapping, 0, sizeof *mapping);
}
