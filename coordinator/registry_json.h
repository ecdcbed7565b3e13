/* SPDX-License-Identifier: Apache-2.0 */
/* Models of the registry found by name and told as JSON; the statement that a human signs to move
 * one. */
#ifndef CONSILIUM_COORDINATOR_REGISTRY_JSON_H
#define CONSILIUM_COORDINATOR_REGISTRY_JSON_H

#include "coordinator/registry.h"

#include <jansson.h>

#define MOVE_TYPE "application/vnd.consilium.model-move+json"
#define MOVE_FORMAT "consilium-model-move/1"

enum { MOVE_TEXT_MAX = 4096, MODEL_PREFIX_MIN = 6 };

/* What a person may ask of a model. */
enum move_action { MOVE_PROMOTE, MOVE_SUSPEND, MOVE_RESUME, MOVE_RETIRE, MOVE_ROLLBACK };

const char *move_action_name(enum move_action action);
bool move_action_from_name(const char *name, enum move_action *action);

/* A signed statement, opened. */
struct move_statement {
    char consortium[PLAN_NAME_BYTES];
    unsigned char model[PLAN_HASH_BYTES];
    enum move_action action;
    enum stage from;
    char reason[STAGE_REASON_BYTES];
};

/* The statement's exact text (free). */
struct result move_text(const struct move_statement *statement, char **ret_text,
                        struct why *why) MUST_CHECK;

/* Opens a DSSE envelope that key must have signed. RESULT_REFUSED when it did not. */
struct result move_open(const char *envelope, size_t n, const unsigned char *key,
                        struct move_statement *statement, struct why *why) MUST_CHECK;

/* Finds a model by its hash, the beginning of it (at least MODEL_PREFIX_MIN digits), or its study's
 * name (the newest). RESULT_INPUT when none or several fit. */
struct result registry_find(struct store *store, const char *name, struct registry_model *model,
                            struct why *why) MUST_CHECK;

/* New reference. */
json_t *registry_model_json(const struct registry_model *model);

#endif
