/* SPDX-License-Identifier: Apache-2.0 */
/* When a result may leave: a whole number of slots after its task began. A slot follows from public
 * constants alone (the plan, the declared number of patients, and this machine's speed on made-up
 * patients), so the time of sending says nothing of the patients. */
#ifndef CONSILIUM_VAULT_SLOT_H
#define CONSILIUM_VAULT_SLOT_H

#include "proto/base/result.h"
#include "proto/plan.h"

#include <stdint.h>

enum {
    SLOT_STEP_MS = 10,       /* slots are multiples of it */
    SLOT_LEAST_MS = 20,      /* what syncing, sealing and signing need on a good day */
    SLOT_MOST_MS = 86400000, /* a slot is never longer than a day */
};

/* How fast this machine is at one plan, in nanoseconds: a step on nobody's rows and what each
 * patient adds to it, each with as many rows as the plan allows. */
struct slot_speed {
    double step_ns, patient_ns;
};

/* Measured on made-up patients, within about a tenth of a second. noise: the noise multiplier of
 * the release, > 0. Errors: RESULT_INPUT where plan and constants do not fit, RESULT_SYSTEM. */
struct result slot_measure(struct slot_speed *ret_speed, const struct plan *plan,
                           uint64_t declared_patients, double noise, struct why *why) MUST_CHECK;

/* Twice what a round of training, the figures of so many models, or the reading of the file should
 * take, in ms: a multiple of SLOT_STEP_MS from SLOT_LEAST_MS to SLOT_MOST_MS. */
uint64_t slot_training_ms(const struct slot_speed *speed, const struct plan *plan,
                          uint64_t declared_patients);
uint64_t slot_evaluation_ms(const struct slot_speed *speed, const struct plan *plan,
                            uint64_t declared_patients, uint64_t models);
uint64_t slot_loading_ms(const struct plan *plan, uint64_t declared_patients);

/* Slots that a task begun at started_ms fills when it is done at now_ms (both monotonic): >= 1. */
uint64_t slot_count(uint64_t started_ms, uint64_t now_ms, uint64_t slot_ms);

/* Sleeps until the slot is over that this moment lies in, and returns its number, from 1. */
uint64_t slot_wait(uint64_t started_ms, uint64_t slot_ms);

#endif
