/* SPDX-License-Identifier: Apache-2.0 */
/* Watched models as work of the drive: scheduled looks, what a look concludes, and what follows
 * from it: suspension, an incident, all in the step that ends the look's validation. */
#ifndef CONSILIUM_COORDINATOR_WORK_MONITOR_H
#define CONSILIUM_COORDINATOR_WORK_MONITOR_H

#include "coordinator/drive_inner.h"
#include "coordinator/monitoring.h"
#include "coordinator/monitors.h"
#include "coordinator/registry.h"

/* "by" of what the coordinator does on its own. */
#define MONITOR_HAND "monitor"

/* A monitor's state as it is stored: terms and progress of monitoring.h, and where it stands. */
enum { MONITOR_RETRY_MS = 60000 /* a scheduled look that cannot be had now */ };

/* What a look leads to. Zeroed: nothing. */
struct monitor_ending {
    bool used;
    struct monitor_row row;
    uint32_t task;
    uint64_t now_ms;
    char *state, *record;
    enum monitor_severity severity;
    unsigned look;
    struct registry_model model;
    enum stage from;
    bool suspended;
    struct incident incident;
    const char *incident_event; /* "open", "raise"; NULL = none */
};

/* text: the validation's record (validation.h). */
struct result monitor_conclude(struct drive *drive, const struct validation_row *run,
                               const char *text, uint64_t now_ms, struct monitor_ending *out,
                               struct why *why) MUST_CHECK;

/* Within the transaction of the step that ends the validation. */
struct result monitor_write(struct drive *drive, const struct monitor_ending *ending,
                            struct why *why) MUST_CHECK;

/* Once that is stored. */
void monitor_after(struct drive *drive, const struct monitor_ending *ending, uint64_t now_ms);
void monitor_ending_free(struct monitor_ending *ending);

/* What the sites of a study are told of its newest model once it was taken out of use or put back;
 * "" otherwise. */
void monitor_notice(struct store *store, const char *study, char *text, size_t n);

/* The schedule: reads when the next look is due; opens the looks that are. */
void monitor_schedule(struct drive *drive);
void monitor_tick(struct drive *drive, uint64_t now_ms);

#endif
