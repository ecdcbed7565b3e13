/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers for JSON, which knows neither NaN nor infinity. */
#ifndef CONSILIUM_PROTO_BASE_JSON_H
#define CONSILIUM_PROTO_BASE_JSON_H

#include <jansson.h>

/* The value, or null where it is not finite. A new reference. */
json_t *number_or_null(double value);

#endif
