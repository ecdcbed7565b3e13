/* SPDX-License-Identifier: Apache-2.0 */
/* What a plan may say, checked after reading, with the line of the key that is wrong. */
#ifndef CONSILIUM_PLAN_CHECK_H
#define CONSILIUM_PLAN_CHECK_H

#include "proto/base/conf.h"
#include "proto/plan.h"

struct result plan_check(const struct plan *plan, const struct conf_source *source,
                         struct why *why) MUST_CHECK;

#endif
