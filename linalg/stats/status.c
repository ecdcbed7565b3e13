/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the statuses. */
#include "linalg/stats/status.h"

const char *stat_status_name(enum stat_status status)
{
    switch (status) {
    case STAT_OK:
        return "ok";
    case STAT_INVALID_INPUT:
        return "invalid_input";
    case STAT_EMPTY:
        return "empty";
    case STAT_SINGLE_CLASS:
        return "single_class";
    case STAT_VAR_UNDEFINED:
        return "var_undefined";
    case STAT_DEGENERATE:
        return "degenerate";
    case STAT_NO_CONVERGENCE:
        return "no_convergence";
    case STAT_SINGLE_SITE:
        return "single_site";
    case STAT_TOO_LARGE:
        return "too_large";
    case STAT_NO_MEMORY:
        return "no_memory";
    }
    return "unknown";
}
