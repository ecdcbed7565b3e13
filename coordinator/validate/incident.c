/* SPDX-License-Identifier: Apache-2.0 */
/* Incident clocks. Every deadline runs from awareness, so raising the severity can only bring it
 * forward. */
#include "coordinator/validate/incident.h"

#include <stdio.h>
#include <string.h>

#define HOURS(n) ((int64_t)(n)*3600 * 1000)
#define DAYS(n) HOURS(24 * (int64_t)(n))

static const char *const SEVERITIES[] = {"critical", "serious", "moderate", "minor"};
static const char *const STEPS[] = {"acknowledge", "contain", "report", "close"};

const char *incident_severity_name(enum incident_severity severity)
{
    return SEVERITIES[severity];
}

bool incident_severity_from_name(const char *name, enum incident_severity *severity)
{
    for (size_t i = 0; i < sizeof SEVERITIES / sizeof *SEVERITIES; i++) {
        if (strcmp(name, SEVERITIES[i]) == 0) {
            *severity = (enum incident_severity)i;
            return true;
        }
    }
    return false;
}

const char *incident_step_name(enum incident_step step)
{
    return step < INCIDENT_STEPS ? STEPS[step] : "none";
}

struct incident_clocks incident_clocks_default(void)
{
    return (struct incident_clocks){{
        [INCIDENT_CRITICAL] = {HOURS(1), HOURS(4), DAYS(2), DAYS(30)},
        [INCIDENT_SERIOUS] = {HOURS(4), DAYS(1), DAYS(10), DAYS(60)},
        [INCIDENT_MODERATE] = {DAYS(1), DAYS(7), DAYS(15), DAYS(90)},
        [INCIDENT_MINOR] = {DAYS(5), DAYS(30), 0, DAYS(180)},
    }};
}

struct result incident_open(struct incident *incident, const char *id, const char *text,
                            enum incident_severity severity, int64_t aware_ms, struct why *why)
{
    if (!*id || strlen(id) >= INCIDENT_ID_BYTES)
        return failed(why, RESULT_INPUT, "an incident's id has 1 to %d bytes",
                      INCIDENT_ID_BYTES - 1);
    if (!*text || strlen(text) >= INCIDENT_TEXT_BYTES)
        return failed(why, RESULT_INPUT, "an incident's text has 1 to %d bytes",
                      INCIDENT_TEXT_BYTES - 1);
    if (aware_ms <= 0)
        return failed(why, RESULT_INPUT, "the time of awareness is missing");
    memset(incident, 0, sizeof *incident);
    snprintf(incident->id, sizeof incident->id, "%s", id);
    snprintf(incident->text, sizeof incident->text, "%s", text);
    incident->severity = severity;
    incident->aware_ms = aware_ms;
    return DONE;
}

struct result incident_mark(struct incident *incident, enum incident_step step, int64_t now_ms,
                            struct why *why)
{
    if (step >= INCIDENT_STEPS)
        return failed(why, RESULT_INPUT, "no such step");
    if (incident->done_ms[step])
        return failed(why, RESULT_REFUSED, "'%s' is done already", STEPS[step]);
    int64_t last = incident->aware_ms;
    for (int k = 0; k < (int)step; k++) {
        if (!incident->done_ms[k])
            return failed(why, RESULT_REFUSED, "'%s' comes before '%s'", STEPS[k], STEPS[step]);
        last = incident->done_ms[k];
    }
    if (now_ms < last)
        return failed(why, RESULT_REFUSED, "'%s' cannot be earlier than the step before it",
                      STEPS[step]);
    incident->done_ms[step] = now_ms;
    return DONE;
}

struct result incident_raise(struct incident *incident, enum incident_severity severity,
                             struct why *why)
{
    if (severity >= incident->severity)
        return failed(why, RESULT_REFUSED, "a severity is only raised; it is '%s' now",
                      SEVERITIES[incident->severity]);
    incident->severity = severity;
    return DONE;
}

int64_t incident_due(const struct incident *incident, const struct incident_clocks *clocks,
                     enum incident_step step)
{
    if (step >= INCIDENT_STEPS || incident->done_ms[step])
        return 0;
    int64_t within = clocks->within_ms[incident->severity][step];
    return within ? incident->aware_ms + within : 0;
}

enum incident_step incident_overdue(const struct incident *incident,
                                    const struct incident_clocks *clocks, int64_t now_ms)
{
    for (int k = 0; k < INCIDENT_STEPS; k++) {
        int64_t due = incident_due(incident, clocks, (enum incident_step)k);
        if (due && now_ms > due)
            return (enum incident_step)k;
    }
    return INCIDENT_STEPS;
}
