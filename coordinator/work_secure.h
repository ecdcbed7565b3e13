/* SPDX-License-Identifier: Apache-2.0 */
/* Secure rounds as work of the drive: the input of the next stage from what sites said in the last,
 * and the words from which the sum opens. */
#ifndef CONSILIUM_COORDINATOR_WORK_SECURE_H
#define CONSILIUM_COORDINATOR_WORK_SECURE_H

#include "coordinator/combine_secure.h"
#include "coordinator/drive_inner.h"

/* EFFECT_RELAY: makes and stores the input of the next stage, then steps STUDY_RELAYED. */
struct result secure_relay(struct drive *drive, struct running *running, uint64_t now_ms,
                           struct why *why) MUST_CHECK;

/* The round whose REVEAL task is complete: as combine_round. */
struct result secure_combine(struct drive *drive, const struct running *running,
                             struct server *server, struct combine_outcome *outcome,
                             struct why *why) MUST_CHECK;

#endif
