/* SPDX-License-Identifier: Apache-2.0 */
/* Where studies stand, as JSON for people and programs. */
#ifndef CONSILIUM_COORDINATOR_STATUS_H
#define CONSILIUM_COORDINATOR_STATUS_H

#include "coordinator/study.h"

#include <jansson.h>

/* A growing JSON array of studies; zero-initialise. */
struct status_list {
    void *array;     /* jansson */
    void *incidents; /* jansson: those that are open (incident_json.h); taken over */
};

void status_add(struct status_list *list, const struct study *study, const char *researcher);

/* {"studies": [...], "incidents": [...]}; *ret_text is owned by the caller (free). Ends the list.
 */
struct result status_text(struct status_list *list, char **ret_text, struct why *why) MUST_CHECK;

/* A new object: reputation, judged, flagged and open rounds, quarantined, reason. */
json_t *status_conduct(const struct study_member *member);

const char *standing_name(enum round_standing standing);

#endif
