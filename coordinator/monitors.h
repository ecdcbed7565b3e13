/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of validations and monitors. Part of the store; writes belong into its transactions. */
#ifndef CONSILIUM_COORDINATOR_MONITORS_H
#define CONSILIUM_COORDINATOR_MONITORS_H

#include "coordinator/store.h"

enum { MONITORS_LIST_MAX = 1000 /* rows listed at a time */ };

/* One evaluation of a finished model. */
struct validation_row {
    char study[PLAN_NAME_BYTES];
    uint32_t task;
    unsigned char model[PLAN_HASH_BYTES];
    char asker[PLAN_NAME_BYTES];             /* who asked; of a look: the monitor's owner */
    unsigned char command[SESSION_ID_BYTES]; /* that asked for it; zeroes: the schedule */
    bool look;                               /* a monitor judges it */
    bool gate;                               /* the gate judges it: a look at a candidate */
    uint64_t opened_ms, closed_ms;           /* closed_ms 0 = open */
};

struct result validations_open(struct store *store, const struct validation_row *row,
                               struct why *why) MUST_CHECK;
struct result validations_close(struct store *store, const char *study, uint32_t task,
                                uint64_t now_ms, const char *record, struct why *why) MUST_CHECK;

/* RESULT_INPUT when there is none. ret_record may be NULL; else the result as JSON text, "" while
 * it is open; owned by the caller (free). */
struct result validations_read(struct store *store, const char *study, uint32_t task,
                               struct validation_row *row, char **ret_record,
                               struct why *why) MUST_CHECK;

/* The run that this very command opened; *ret_found is false when there is none. */
struct result validations_by_command(struct store *store,
                                     const unsigned char command[SESSION_ID_BYTES],
                                     struct validation_row *row, bool *ret_found,
                                     struct why *why) MUST_CHECK;

/* Newest first, of one study or (NULL) of all; visit returns false to end. */
struct result validations_each(struct store *store, const char *study,
                               bool (*visit)(void *context, const struct validation_row *row,
                                             const char *record),
                               void *context, struct why *why) MUST_CHECK;

/* A watched model. */
struct monitor_row {
    unsigned char model[PLAN_HASH_BYTES];
    char study[PLAN_NAME_BYTES];
    bool running;     /* looks are scheduled */
    uint64_t next_ms; /* when the next one is due */
};

/* Writes the row, replacing what was known. */
struct result monitors_put(struct store *store, const struct monitor_row *row, const char *state,
                           struct why *why) MUST_CHECK;
struct result monitors_schedule(struct store *store, const unsigned char model[PLAN_HASH_BYTES],
                                bool running, uint64_t next_ms, struct why *why) MUST_CHECK;
/* RESULT_INPUT when the model is not watched. *ret_state is owned by the caller (free). */
struct result monitors_read(struct store *store, const unsigned char model[PLAN_HASH_BYTES],
                            struct monitor_row *row, char **ret_state, struct why *why) MUST_CHECK;
struct result monitors_each(struct store *store,
                            bool (*visit)(void *context, const struct monitor_row *row,
                                          const char *state),
                            void *context, struct why *why) MUST_CHECK;
/* When the next scheduled look is due; UINT64_MAX = none is scheduled. */
struct result monitors_due(struct store *store, uint64_t *ret_ms, struct why *why) MUST_CHECK;

/* The looks of a model, oldest first. */
struct result monitors_put_look(struct store *store, const unsigned char model[PLAN_HASH_BYTES],
                                uint32_t task, uint64_t now_ms, const char *record,
                                struct why *why) MUST_CHECK;
struct result monitors_each_look(struct store *store, const unsigned char model[PLAN_HASH_BYTES],
                                 bool (*visit)(void *context, uint64_t ms, const char *record),
                                 void *context, struct why *why) MUST_CHECK;

#endif
