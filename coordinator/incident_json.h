/* SPDX-License-Identifier: Apache-2.0 */
/* Incidents with their clocks as JSON. */
#ifndef CONSILIUM_COORDINATOR_INCIDENT_JSON_H
#define CONSILIUM_COORDINATOR_INCIDENT_JSON_H

#include "coordinator/registry.h"

#include <jansson.h>

/* New reference: {"incident", "model", "severity", "text", "aware_ms", "steps": {step: {"done_ms",
 * "due_ms", "overdue"}}}. hash [PLAN_HASH_BYTES] of the model concerned. */
json_t *incident_json(const struct incident *incident, const unsigned char *hash, uint64_t now_ms);

/* Those that are not closed, of the study's models or (NULL) of all; each with "study" and, where a
 * deadline has passed, "overdue": the step. New reference. */
struct result incidents_open(struct store *store, const char *study, uint64_t now_ms,
                             json_t **ret_list, struct why *why) MUST_CHECK;

#endif
