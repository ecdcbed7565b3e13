/* SPDX-License-Identifier: Apache-2.0 */
/* What a plan may say, checked after reading, with the line of the key that is wrong. */
#ifndef CONSILIUM_PLAN_CHECK_H
#define CONSILIUM_PLAN_CHECK_H

#include "proto/base/conf.h"
#include "proto/plan.h"

struct result plan_check(const struct plan *plan, const struct conf_source *source,
                         struct why *why) MUST_CHECK;

/* The part on secure aggregation: what does not go together with it, and a threshold that keeps
 * single inputs secret. Part of plan_check. */
struct result plan_check_secure(const struct plan *plan, const struct conf_source *source,
                                struct why *why) MUST_CHECK;

#endif
