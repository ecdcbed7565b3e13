/* SPDX-License-Identifier: Apache-2.0 */
/* The libcyaml schemas of the plan and of a list of names, for plan.c, mapping.c and policy.c. */
#ifndef CONSILIUM_PLAN_SCHEMA_H
#define CONSILIUM_PLAN_SCHEMA_H

#include "proto/base/conf.h"
#include "proto/plan.h"

extern const cyaml_schema_value_t plan_schema;
extern const cyaml_schema_value_t plan_level_schema;

#endif
