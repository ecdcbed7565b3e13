/* SPDX-License-Identifier: Apache-2.0 */
/* The study engine's part about sites' conduct (pure): flags become reputation and quarantine.
 * Called by study.c and the replay. */
#ifndef CONSILIUM_COORDINATOR_STUDY_CONDUCT_H
#define CONSILIUM_COORDINATOR_STUDY_CONDUCT_H

#include "coordinator/study.h"

/* At the launch, members known: the plan's policy, everybody of good repute. */
void conduct_launch(struct study *study, const struct plan *plan);

/* Why an update of site is kept without counting; NULL when it counts. */
const char *conduct_aside(const struct study *study, enum round_event_kind kind, uint32_t site);

/* The refusals and marks of an AGGREGATED event are about sites of the study. arrived[site]:
 * refused before. */
struct result conduct_check(const struct study *study, const struct study_event *event,
                            bool *arrived, struct why *why) MUST_CHECK;

/* The event's refusals become standings and notes. */
void conduct_refuse(struct study *study, const struct study_event *event, struct effects *effects);

/* Keeps the conduct of everybody whose update the round has judged: the event's marks, and
 * arrived[site], those refused on arrival. A quarantine is noted. */
void conduct_keep(struct study *study, const struct study_event *event, const bool *arrived,
                  struct effects *effects);

/* The sentence about a site whose conduct has just led to quarantine, into its member. */
void conduct_quarantine_reason(struct study *study, uint32_t site, const char *sentence);

/* STUDY_EVENT_RELEASED: quarantine ends, with an operator's reason. */
struct result conduct_release(struct study *study, const struct study_event *event,
                              struct effects *effects, struct why *why) MUST_CHECK;

#endif
