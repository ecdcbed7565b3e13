/* SPDX-License-Identifier: Apache-2.0 */
/* A model in the forms that people use, with everything needed to apply it. */
#ifndef CONSILIUM_CLI_MODEL_FILES_H
#define CONSILIUM_CLI_MODEL_FILES_H

#include "proto/plan.h"

/* BASE.npz (NumPy) and BASE.json of the one model in a payload of n bytes; hash becomes the
 * payload's. RESULT_INPUT when the model does not fit the plan or the path is too long. */
struct result model_files_write(const struct plan *plan, const unsigned char *payload, size_t n,
                                const char *base, unsigned char hash[PLAN_HASH_BYTES],
                                struct why *why) MUST_CHECK;

#endif
