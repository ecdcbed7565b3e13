/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers for JSON. */
#include "proto/base/json.h"

#include <math.h>

json_t *number_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}
