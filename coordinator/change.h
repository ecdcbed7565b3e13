/* SPDX-License-Identifier: Apache-2.0 */
/* What differs between the plans of two models, in the classes of the change control plan (pure).
 */
#ifndef CONSILIUM_COORDINATOR_CHANGE_H
#define CONSILIUM_COORDINATOR_CHANGE_H

#include "coordinator/validate/pccp.h"
#include "proto/plan.h"

/* Bits of enum pccp_change. A model that was trained anew always is `retrain`; a site that the plan
 * before did not have is `new_site`; another label or another stated purpose is `intended_use`. */
unsigned change_classes(const struct plan *before, const struct plan *after);

/* SHA-256 over everything that says which patients judge a model: sites, label, how the holdout is
 * chosen, minimum cell, subgroups. Lower-case hex. */
void change_test_set(const struct plan *plan, char out[PCCP_HASH_TEXT]);

#endif
