/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the study engine: study.c, study_task.c, study_site.c. Effects are added
 * to; the caller has stored, or the function does. */
#ifndef CONSILIUM_COORDINATOR_STUDY_INNER_H
#define CONSILIUM_COORDINATOR_STUDY_INNER_H

#include "coordinator/study.h"

/* study_task.c */

/* Opens the next task, with the sites that are alive and in its group, all but those that sit out;
 * too few for ever: the study pauses. Offers the study again to those who have not decided. */
void study_open_task(struct study *study, enum task_kind kind, uint64_t now_ms,
                     struct effects *effects);

/* The next task after a round's model (and its evaluation) are settled, or the study's end. */
void study_proceed(struct study *study, uint64_t now_ms, struct effects *effects);

/* After an aborted task: another try, or the study pauses. */
void study_abort_or_retry(struct study *study, const char *reason, uint64_t now_ms,
                          struct effects *effects);

void study_pause(struct study *study, const char *reason, struct effects *effects);

/* Tells the sites of the study that the last task is over. */
void study_tell_closed(struct study *study, struct effects *effects);

/* An event of the open task, and what follows when it is then closed. */
struct result study_step_task(struct study *study, const struct study_event *event,
                              enum round_event_kind kind, struct effects *effects,
                              struct why *why) MUST_CHECK;

/* Alive, and not sitting out. */
bool study_ready_for(const struct study_member *member, uint32_t task);

/* study_site.c */

/* Sends the offer to all who have not decided, or whose answer may have been lost. */
void study_offer_to_undecided(const struct study *study, struct effects *effects);

/* Starts training once nobody still thinks, or once the wait is over and the quorum stands. */
void study_start_if_ready(struct study *study, uint64_t now_ms, struct effects *effects);

/* STUDY_EVENT_HELLO, VERDICT, REVOKED, and the answers to tasks (kind: COUNT, REFUSE, DECLINE). */
struct result study_hello(struct study *study, const struct study_event *event,
                          struct effects *effects, struct why *why) MUST_CHECK;
struct result study_take_verdict(struct study *study, const struct study_event *event,
                                 struct effects *effects, struct why *why) MUST_CHECK;
struct result study_revoke(struct study *study, const struct study_event *event,
                           struct effects *effects, struct why *why) MUST_CHECK;
struct result study_answer(struct study *study, const struct study_event *event,
                           enum round_event_kind kind, struct effects *effects,
                           struct why *why) MUST_CHECK;

#endif
