/* SPDX-License-Identifier: Apache-2.0 */
/* What libcyaml reads too generously, judged before it: "2.5" for a count, "2,0" for a number,
 * "maybe" for a switch. */
#ifndef CONSILIUM_BASE_CONF_VALUES_H
#define CONSILIUM_BASE_CONF_VALUES_H

#include "proto/base/conf.h"

/* Follows the text along the schema and judges every plain value: numbers whole and finite, counts
 * in decimal digits, switches true or false, words among those known. RESULT_INPUT with file, line,
 * key and remedy. Unknown keys, missing keys and broken YAML are left to conf_load. */
struct result conf_check_values(const struct conf_source *source,
                                const cyaml_schema_value_t *schema, struct why *why) MUST_CHECK;

#endif
