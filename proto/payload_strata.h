/* SPDX-License-Identifier: Apache-2.0 */
/* The hidden-strata block of an evaluation, between payload.h and the schema: a list of doubles, of
 * one length whatever there is to say. Only payload_evaluation.c uses this. */
#ifndef CONSILIUM_PAYLOAD_STRATA_H
#define CONSILIUM_PAYLOAD_STRATA_H

#include "proto/payload.h"

enum { STRATA_VALUES = 11, STRATA_WIRE_MAX = 32 };

void payload_strata_write(const struct evaluation_strata *strata, double values[STRATA_VALUES]);

/* n = 0 (a peer that does not know it): "not told". RESULT_INPUT beyond a limit. */
struct result payload_strata_read(struct evaluation_strata *to, const double *values, size_t n,
                                  struct why *why) MUST_CHECK;

#endif
