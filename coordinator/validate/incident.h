/* SPDX-License-Identifier: Apache-2.0 */
/* Incidents with severity clocks: each step (acknowledge, contain, report, close) has a deadline
 * that runs from the moment of awareness. Pure. */
#ifndef CONSILIUM_COORDINATOR_VALIDATE_INCIDENT_H
#define CONSILIUM_COORDINATOR_VALIDATE_INCIDENT_H

#include "proto/base/result.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { INCIDENT_ID_BYTES = 40, INCIDENT_TEXT_BYTES = 400 };

enum incident_severity {
    INCIDENT_CRITICAL, /* death or serious harm possible, or many sites at once */
    INCIDENT_SERIOUS,  /* harm to one patient, rights breached */
    INCIDENT_MODERATE, /* wrong outputs caught before harm */
    INCIDENT_MINOR,
};

const char *incident_severity_name(enum incident_severity severity);
bool incident_severity_from_name(const char *name, enum incident_severity *severity);

enum incident_step {
    INCIDENT_ACKNOWLEDGE, /* an owner has taken it */
    INCIDENT_CONTAIN,     /* the harm cannot go on: suspended, rolled back */
    INCIDENT_REPORT,      /* authority and sites told */
    INCIDENT_CLOSE,       /* cause found, correction in place */
    INCIDENT_STEPS,
};

const char *incident_step_name(enum incident_step step);

/* Deadlines in ms from awareness by severity and step; 0: none. */
struct incident_clocks {
    int64_t within_ms[INCIDENT_MINOR + 1][INCIDENT_STEPS];
};

/* Acknowledge 1 h, 4 h, 1 d, 5 d; contain 4 h, 1 d, 7 d, 30 d; report 2 d, 10 d, 15 d, none; close
 * 30 d, 60 d, 90 d, 180 d. A consortium's own law may be stricter: the clocks are policy. */
struct incident_clocks incident_clocks_default(void);

struct incident {
    char id[INCIDENT_ID_BYTES];
    char text[INCIDENT_TEXT_BYTES];
    enum incident_severity severity;
    int64_t aware_ms;
    int64_t done_ms[INCIDENT_STEPS]; /* 0: not yet */
};

/* Opens an incident. INPUT on an empty or too long id or text. */
struct result incident_open(struct incident *incident, const char *id, const char *text,
                            enum incident_severity severity, int64_t aware_ms,
                            struct why *why) MUST_CHECK;

/* Marks a step as done. Steps come in order; REFUSED, changing nothing, for one done before, one
 * out of order, or a time before the last step. */
struct result incident_mark(struct incident *incident, enum incident_step step, int64_t now_ms,
                            struct why *why) MUST_CHECK;

/* Raises the severity (never lowers it: REFUSED); the clocks still run from awareness. */
struct result incident_raise(struct incident *incident, enum incident_severity severity,
                             struct why *why) MUST_CHECK;

/* When a step is due, in ms; 0 when it has no deadline or is done. */
int64_t incident_due(const struct incident *incident, const struct incident_clocks *clocks,
                     enum incident_step step);

/* The first overdue step at now, or INCIDENT_STEPS. */
enum incident_step incident_overdue(const struct incident *incident,
                                    const struct incident_clocks *clocks, int64_t now_ms);

#endif
