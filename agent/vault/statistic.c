/* SPDX-License-Identifier: Apache-2.0 */
/* The status of a computation as the status of a released statistic, the same for all of them. */
#include "agent/vault/statistic.h"

enum evaluation_statistic statistic_of(enum stat_status status)
{
    switch (status) {
    case STAT_OK:
        return EVALUATION_STATISTIC_OK;
    case STAT_EMPTY:
        return EVALUATION_STATISTIC_FEW;
    case STAT_DEGENERATE:
    case STAT_SINGLE_CLASS:
        return EVALUATION_STATISTIC_CONSTANT;
    case STAT_INVALID_INPUT:
    case STAT_VAR_UNDEFINED:
    case STAT_NO_CONVERGENCE:
    case STAT_SINGLE_SITE:
    case STAT_TOO_LARGE:
    case STAT_NO_MEMORY:
        break;
    }
    return EVALUATION_STATISTIC_INVALID;
}
