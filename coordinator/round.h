/* SPDX-License-Identifier: Apache-2.0 */
/* One task of a study (pure): who is asked, who answered, and when it closes. */
#ifndef CONSILIUM_COORDINATOR_ROUND_H
#define CONSILIUM_COORDINATOR_ROUND_H

#include "coordinator/effect.h"
#include "proto/message.h"

enum {
    ROUND_EXTENSIONS_MAX = 1,  /* deadlines granted anew while the quorum is not met */
    ROUND_NUDGE_MS_MIN = 1000, /* the task is sent again to silent sites after ... */
    ROUND_NUDGE_MS_MAX = 30000,
    ROUND_ALLOWANCE_S_MAX = 30 * 24 * 3600, /* of a plan's deadline */
};

/* Where a site stands in the task. */
enum round_standing {
    STANDING_OUT = 0,  /* takes no part in the study */
    STANDING_AWAY,     /* may take part, but is thought dead: asked when it says hello */
    STANDING_EXPECTED, /* asked; the task waits for it until the deadline */
    STANDING_COUNTED,
    STANDING_DECLINED, /* the site said no, with a reason */
    STANDING_REFUSED,  /* what it sent was refused, with a reason */
    STANDING_MISSED,   /* silent at the deadline; may still answer while the task is open */
    STANDING_ASIDE,    /* its answer is kept but does not count: the site is quarantined */
};

enum round_phase { ROUND_NONE = 0, ROUND_OPEN, ROUND_COMPLETE, ROUND_ABORTED };

struct round_site {
    enum round_standing standing;
    unsigned char digest[PLAN_HASH_BYTES]; /* of the counted object's plaintext */
    char reason[MESSAGE_REASON_BYTES];     /* declined, refused, missed, set aside */
    enum decline decline;                  /* declined */
    uint32_t epochs_after; /* it is asked about later holdout epochs only; 0 = about all */
};

/* Plain data: may be copied, compared and stored. */
struct round {
    enum round_phase phase;
    enum task_kind kind;
    uint32_t task;  /* number in the study, from 1 */
    uint32_t round; /* training round, from 1 */
    uint32_t quorum;
    uint32_t extensions;
    uint64_t opened_ms, deadline_ms, nudge_ms, closed_ms;
    uint64_t allowance_ms;             /* from opening to deadline */
    char reason[MESSAGE_REASON_BYTES]; /* of an abort */
    uint32_t sites_count;
    struct round_site sites[PLAN_SITES_MAX];
};

enum round_event_kind {
    ROUND_EVENT_COUNT = 1, /* site delivered an admitted object with digest */
    ROUND_EVENT_REFUSE,    /* site delivered something that was refused, reason */
    ROUND_EVENT_DECLINE,   /* site takes no part, reason */
    ROUND_EVENT_JOIN,      /* site is alive and allowed */
    ROUND_EVENT_LEAVE,     /* site takes no part in the study any more, reason */
    ROUND_EVENT_TIMER,     /* perhaps late, perhaps spurious */
    ROUND_EVENT_RESTART,   /* the process is new: what was sent may be lost */
};

struct round_event {
    enum round_event_kind kind;
    uint64_t now_ms;
    uint32_t site;
    const unsigned char *digest; /* [PLAN_HASH_BYTES], ROUND_EVENT_COUNT */
    const char *reason;          /* REFUSE, DECLINE, LEAVE */
    enum decline decline;        /* DECLINE */
    const char *aside;           /* COUNT: why the object is kept without counting, or NULL */
};

/* Opens a task. The caller fills kind, task, round, quorum, allowance_ms, sites_count and the
 * sites' standings (OUT, AWAY or EXPECTED) beforehand. Effects: STORE, notes, TASK to all expected
 * sites; may close at once when nobody can answer. */
void round_open(struct round *round, uint64_t now_ms, struct effects *effects);

/* One event. Effects are appended; the first is STORE if anything changed. A counted object that
 * arrives again yields ACCEPTED and changes nothing. Errors leave *round byte-identical:
 * RESULT_REFUSED with a sentence for the site. */
struct result round_step(struct round *round, const struct round_event *event,
                         struct effects *effects, struct why *why) MUST_CHECK;

/* When ROUND_EVENT_TIMER is due; UINT64_MAX when the task is not open. */
uint64_t round_wake(const struct round *round);

/* Whether too many sites declined, were refused or left for the quorum to be ever met. */
bool round_hopeless(const struct round *round);

/* Whether exactly this object of the site is counted, or kept aside. */
bool round_took(const struct round_site *site, const unsigned char digest[PLAN_HASH_BYTES]);

uint32_t round_tally(const struct round *round, enum round_standing standing);

#endif
