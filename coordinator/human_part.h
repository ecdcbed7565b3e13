/* SPDX-License-Identifier: Apache-2.0 */
/* What only a person can state of a model: intended use, warnings, clinical risk. A document that
 * somebody signs in a named role, apart from what the machine fills in. */
#ifndef CONSILIUM_COORDINATOR_HUMAN_PART_H
#define CONSILIUM_COORDINATOR_HUMAN_PART_H

#include "proto/base/result.h"

#include <stddef.h>

enum { HUMAN_TEXT_MAX = 4000 /* bytes of one text */ };

/* Prefix of the paper's kind; the model's hash follows in lower-case hex. */
#define HUMAN_KIND "human:"

/* {"model": hash, "role": "clinical lead", "intended_use": {"text", "population", "users",
 * "how_to_use", "out_of_scope"}, "warnings": {"risks", "biases"}, "clinical_risk_level": "low",
 * "moderate" or "high"}: every text there and not empty, no other key, and model the one of kind.
 * RESULT_INPUT with what is wrong. */
struct result human_part_check(const char *kind, const char *text, size_t n,
                               struct why *why) MUST_CHECK;

#endif
