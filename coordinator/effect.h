/* SPDX-License-Identifier: Apache-2.0 */
/* What the pure engine wants done: an ordered list that the drive carries out, writes first. */
#ifndef CONSILIUM_COORDINATOR_EFFECT_H
#define CONSILIUM_COORDINATOR_EFFECT_H

#include "proto/plan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum effect_kind {
    EFFECT_STORE = 1, /* the state changed: write it before anything else; always the first */
    EFFECT_NOTE,      /* tell the humans and the audit log: note, site */
    EFFECT_OFFER,     /* send the study's launch to site */
    EFFECT_TASK,      /* send the open task to site */
    EFFECT_ACCEPTED,  /* tell site that its object counts */
    EFFECT_AGGREGATE, /* compute the new model from the counted updates, then STUDY_AGGREGATED */
    EFFECT_POOL,      /* pool the counted evaluations, then STUDY_POOLED */
    EFFECT_CLOSED,    /* tell site how the task ended */
    EFFECT_RELAY,     /* make the next stage's input from the counted words, then STUDY_RELAYED */
};

/* What happened, for events, audit entries and the people who watch. */
enum note {
    NOTE_LAUNCHED = 1,
    NOTE_ALLOWED,
    NOTE_ASKING,
    NOTE_STUDY_REFUSED,
    NOTE_TASK_OPENED,
    NOTE_COUNTED,
    NOTE_REFUSED,
    NOTE_DECLINED,
    NOTE_MISSED,
    NOTE_RETURNED,
    NOTE_EXTENDED,
    NOTE_TASK_COMPLETED,
    NOTE_TASK_ABORTED,
    NOTE_MODEL,
    NOTE_POOLED,
    NOTE_PAUSED,
    NOTE_RESUMED,
    NOTE_STOPPED,
    NOTE_FINISHED,
    NOTE_REVOKED,
    NOTE_ASIDE,       /* a quarantined site's update is kept without counting */
    NOTE_QUARANTINED, /* from now on that is so */
    NOTE_RELEASED,    /* by an operator */
    NOTE_LAST = NOTE_RELEASED,
};

/* "task-opened"; the kind of an audit entry. */
const char *note_name(enum note note);

enum {
    EFFECT_EVERYBODY = PLAN_SITES_MAX, /* site of an effect that concerns no single site */
    EFFECTS_MAX = 5 * PLAN_SITES_MAX + 16,
};

struct effect {
    enum effect_kind kind;
    enum note note;
    uint32_t site; /* index in the study */
    uint32_t task; /* number of the task that it concerns; 0 = none */
};

struct effects {
    size_t count;
    uint32_t task; /* stamped on what is appended */
    struct effect list[EFFECTS_MAX];
};

/* Copies a sentence into a MESSAGE_REASON_BYTES field, cut at its bound and filled up with zeroes,
 * so that equal states are equal bytes. NULL is the empty sentence; text may be out. */
void reason_set(char *out, const char *text);

/* Appends; more than EFFECTS_MAX is a bug of ours and asserts. */
void effect_add(struct effects *effects, enum effect_kind kind, uint32_t site);
void effect_note(struct effects *effects, enum note note, uint32_t site);

/* Appends EFFECT_STORE unless it already stands first. Call it before any other effect. */
void effect_store(struct effects *effects);

#endif
