/* SPDX-License-Identifier: Apache-2.0 */
/* What a release says of a statistic that could not be computed. */
#ifndef CONSILIUM_VAULT_STATISTIC_H
#define CONSILIUM_VAULT_STATISTIC_H

#include "linalg/stats/status.h"
#include "proto/payload.h"

enum evaluation_statistic statistic_of(enum stat_status status);

#endif
