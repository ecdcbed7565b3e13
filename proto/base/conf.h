/* SPDX-License-Identifier: Apache-2.0 */
/* YAML files by a libcyaml schema, with errors that name file, line, key and remedy. */
#ifndef CONSILIUM_BASE_CONF_H
#define CONSILIUM_BASE_CONF_H

#include "proto/base/result.h"

#include <cyaml/cyaml.h>
#include <stddef.h>

/* Where a configuration text came from, for messages. All borrowed. */
struct conf_source {
    const char *name; /* "plan.yaml" */
    const char *text;
    size_t n;
};

/* Loads by the schema (a mapping with CYAML_FLAG_POINTER). *ret_data is freed with conf_free.
 * Aliases, unknown keys, numbers with trailing characters and zero bytes are refused. RESULT_INPUT
 * with one sentence. */
struct result conf_load(const struct conf_source *source, const cyaml_schema_value_t *schema,
                        void **ret_data, struct why *why) MUST_CHECK;

void conf_free(const cyaml_schema_value_t *schema, void *data);

/* RESULT_INPUT: "<file> line <n>: <path>: <sentence>". path is words separated by '/', each looked
 * for after the one before: "features/age/range". */
struct result conf_wrong(const struct conf_source *source, struct why *why, const char *path,
                         const char *format, ...) __attribute__((format(printf, 4, 5))) MUST_CHECK;

#endif
