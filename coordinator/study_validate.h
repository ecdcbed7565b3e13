/* SPDX-License-Identifier: Apache-2.0 */
/* A finished study's model evaluated again, without training (pure; part of study_step). */
#ifndef CONSILIUM_COORDINATOR_STUDY_VALIDATE_H
#define CONSILIUM_COORDINATOR_STUDY_VALIDATE_H

#include "coordinator/study.h"

/* STUDY_EVENT_VALIDATE: opens the task. RESULT_REFUSED unless the study is finished, and some site
 * that allowed it is asked. */
struct result validate_open(struct study *study, const struct study_event *event,
                            struct effects *effects, struct why *why) MUST_CHECK;

/* The open validation's task is closed, whoever answered: what came is pooled. */
void validate_closed(struct study *study, struct effects *effects);

/* STUDY_EVENT_POOLED in STUDY_CONFIRMING. */
struct result validate_pooled(struct study *study, struct effects *effects) MUST_CHECK;

/* STUDY_EVENT_STOP in STUDY_VALIDATING: nobody is waited for any more. */
struct result validate_stop(struct study *study, const struct study_event *event,
                            struct effects *effects) MUST_CHECK;

#endif
