/* SPDX-License-Identifier: Apache-2.0 */
/* Stages of a model's life: proposed, shadow, pilot, promoted, suspended, retired. Pure: (state,
 * event with its time) -> state, or a refusal that leaves the state byte-identical. */
#ifndef CONSILIUM_COORDINATOR_VALIDATE_STAGE_H
#define CONSILIUM_COORDINATOR_VALIDATE_STAGE_H

#include "coordinator/validate/gate.h"
#include "proto/base/result.h"

#include <stdint.h>

enum { STAGE_MODEL_BYTES = 65, STAGE_REASON_BYTES = 160 };

enum stage {
    STAGE_PROPOSED,
    STAGE_SHADOW,   /* scores patients, nobody sees them */
    STAGE_PILOT,    /* seen by named users at named sites */
    STAGE_PROMOTED, /* in use */
    STAGE_SUSPENDED,
    STAGE_RETIRED,
};

/* "proposed", "shadow", ... */
const char *stage_name(enum stage stage);
bool stage_from_name(const char *name, enum stage *stage);

/* Shortest stay before a model may move on; ms. */
struct stage_policy {
    int64_t shadow_min_ms, pilot_min_ms;
    unsigned signatures_needed; /* humans, for pilot and promoted: 2 */
};

/* 14 days of shadow, 28 of pilot, two signatures. */
struct stage_policy stage_policy_default(void);

/* One model. previous is what a suspension came from, to resume to. */
struct model_stage {
    enum stage stage;
    enum stage previous;
    int64_t since_ms;
    char reason[STAGE_REASON_BYTES]; /* of the last move */
};

enum stage_event_kind {
    STAGE_EVENT_ADVANCE,   /* to the next stage; to pilot and promoted only with gate and signatures
                            */
    STAGE_EVENT_SUSPEND,   /* by hand or by a monitoring rule, from shadow, pilot or promoted */
    STAGE_EVENT_RESUME,    /* back to shadow, never straight into use */
    STAGE_EVENT_RETIRE,    /* for good */
    STAGE_EVENT_REINSTATE, /* the target of a rollback: suspended or retired, into use again */
};

struct stage_event {
    enum stage_event_kind kind;
    int64_t now_ms;
    enum gate_decision decision; /* latest gate decision on this model; ADVANCE */
    unsigned signatures;         /* distinct valid human signatures; ADVANCE, RESUME, REINSTATE */
    bool was_promoted;           /* it has been in use before; REINSTATE */
    const char *reason;          /* kept, cut at STAGE_REASON_BYTES - 1; may be NULL */
};

/* A new model, proposed at now. */
void stage_init(struct model_stage *model, int64_t now_ms);

/* Applies one event. REFUSED with a sentence, state untouched, when the move is not allowed: AGAIN
 * when only time is missing. */
struct result stage_step(struct model_stage *model, const struct stage_policy *policy,
                         const struct stage_event *event, struct why *why) MUST_CHECK;

/* Rollback in one step: suspends current and reinstates target, or changes neither. A rollback
 * needs one signature: it must be possible at night. */
struct result stage_rollback(struct model_stage *current, struct model_stage *target,
                             bool target_was_promoted, const struct stage_policy *policy,
                             const char *reason, int64_t now_ms, unsigned signatures,
                             struct why *why) MUST_CHECK;

#endif
