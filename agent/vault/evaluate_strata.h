/* SPDX-License-Identifier: Apache-2.0 */
/* The hidden-strata block of an evaluation. */
#ifndef CONSILIUM_VAULT_EVALUATE_STRATA_H
#define CONSILIUM_VAULT_EVALUATE_STRATA_H

#include "linalg/stats/strata.h"
#include "proto/payload.h"

/* Fills *out, or says in its status why there is nothing; false without memory. */
bool strata_fill(struct evaluation_strata *out, const struct strata_input *in);

#endif
