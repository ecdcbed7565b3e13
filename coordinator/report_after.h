/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a study's report about what came after it. */
#ifndef CONSILIUM_COORDINATOR_REPORT_AFTER_H
#define CONSILIUM_COORDINATOR_REPORT_AFTER_H

#include "coordinator/store.h"

#include <jansson.h>

/* Adds "validations" (oldest first: when, who asked, pooled figures, each site's, non-results),
 * "monitors" (terms, where each stands, its looks) and "incidents" (those that are open, with their
 * clocks) of the study's models. */
struct result report_after(struct store *store, const char *study, uint64_t now_ms, json_t *report,
                           struct why *why) MUST_CHECK;

#endif
