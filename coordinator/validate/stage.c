/* SPDX-License-Identifier: Apache-2.0 */
/* Stages.
 *
 *   proposed --> shadow --> pilot --> promoted
 *                  |  ^       |          |
 *                  |  +--resume-- suspended <--- suspend (from shadow, pilot, promoted)
 *                  |                  |
 *                  +--- retire -------+----> retired (from any stage; for good but for a rollback)
 *   reinstate: suspended or retired --> promoted, only for a model that was promoted before
 *
 * Invariants:
 *  1. A model comes into use only through pilot with PROMOTE and signatures, or by a rollback to
 * one that was in use before.
 *  2. since_ms never goes back; an event older than it is refused.
 *  3. A suspension is never refused for want of time or signatures. */
#include "coordinator/validate/stage.h"

#include <stdio.h>
#include <string.h>

static const int64_t DAY_MS = INT64_C(24) * 3600 * 1000;

static const char *const NAMES[] = {"proposed", "shadow",    "pilot",
                                    "promoted", "suspended", "retired"};

const char *stage_name(enum stage stage)
{
    return NAMES[stage];
}

bool stage_from_name(const char *name, enum stage *stage)
{
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        if (strcmp(name, NAMES[i]) == 0) {
            *stage = (enum stage)i;
            return true;
        }
    }
    return false;
}

struct stage_policy stage_policy_default(void)
{
    return (struct stage_policy){
        .shadow_min_ms = 14 * DAY_MS,
        .pilot_min_ms = 28 * DAY_MS,
        .signatures_needed = 2,
    };
}

void stage_init(struct model_stage *model, int64_t now_ms)
{
    *model = (struct model_stage){.stage = STAGE_PROPOSED,
                                  .previous = STAGE_PROPOSED,
                                  .since_ms = now_ms};
}

static void move(struct model_stage *model, enum stage to, const struct stage_event *event)
{
    model->previous = model->stage;
    model->stage = to;
    model->since_ms = event->now_ms;
    memset(model->reason, 0, sizeof model->reason);
    if (event->reason)
        snprintf(model->reason, sizeof model->reason, "%s", event->reason);
}

static struct result signatures_enough(unsigned have, unsigned needed, struct why *why)
{
    if (have < needed)
        return failed(why, RESULT_REFUSED, "%u of %u human signatures", have, needed);
    return DONE;
}

static struct result stayed_long_enough(const struct model_stage *model, int64_t least, int64_t now,
                                        struct why *why)
{
    int64_t left = least - (now - model->since_ms);
    if (left <= 0)
        return DONE;
    return failed(why, RESULT_AGAIN, "the model stays in %s for another %lld hours",
                  stage_name(model->stage), (long long)(left / 3600000 + 1));
}

static struct result advance(struct model_stage *model, const struct stage_policy *policy,
                             const struct stage_event *event, struct why *why)
{
    switch (model->stage) {
    case STAGE_PROPOSED:
        if (event->decision == GATE_REJECT)
            return failed(why, RESULT_REFUSED, "the gate rejected this model");
        move(model, STAGE_SHADOW, event);
        return DONE;
    case STAGE_SHADOW:
    case STAGE_PILOT: {
        bool shadow = model->stage == STAGE_SHADOW;
        if (event->decision != GATE_PROMOTE)
            return failed(why, RESULT_REFUSED, "the gate says %s, not PROMOTE",
                          gate_decision_name(event->decision));
        TRY(signatures_enough(event->signatures, policy->signatures_needed, why));
        TRY(stayed_long_enough(model, shadow ? policy->shadow_min_ms : policy->pilot_min_ms,
                               event->now_ms, why));
        move(model, shadow ? STAGE_PILOT : STAGE_PROMOTED, event);
        return DONE;
    }
    case STAGE_PROMOTED:
    case STAGE_SUSPENDED:
    case STAGE_RETIRED:
        break;
    }
    return failed(why, RESULT_REFUSED, "a %s model does not advance", stage_name(model->stage));
}

struct result stage_step(struct model_stage *model, const struct stage_policy *policy,
                         const struct stage_event *event, struct why *why)
{
    enum stage at = model->stage;
    if (event->now_ms < model->since_ms)
        return failed(why, RESULT_REFUSED, "the event is older than the model's last move");
    switch (event->kind) {
    case STAGE_EVENT_ADVANCE:
        return advance(model, policy, event, why);
    case STAGE_EVENT_SUSPEND:
        if (at != STAGE_SHADOW && at != STAGE_PILOT && at != STAGE_PROMOTED)
            return failed(why, RESULT_REFUSED, "a %s model cannot be suspended", stage_name(at));
        move(model, STAGE_SUSPENDED, event);
        return DONE;
    case STAGE_EVENT_RESUME:
        if (at != STAGE_SUSPENDED)
            return failed(why, RESULT_REFUSED, "only a suspended model resumes, this one is %s",
                          stage_name(at));
        TRY(signatures_enough(event->signatures, 1, why));
        move(model, STAGE_SHADOW, event);
        return DONE;
    case STAGE_EVENT_RETIRE:
        if (at == STAGE_RETIRED)
            return failed(why, RESULT_REFUSED, "the model is retired already");
        move(model, STAGE_RETIRED, event);
        return DONE;
    case STAGE_EVENT_REINSTATE:
        if (at != STAGE_SUSPENDED && at != STAGE_RETIRED)
            return failed(why, RESULT_REFUSED, "a rollback goes to a suspended or retired model");
        if (!event->was_promoted)
            return failed(why, RESULT_REFUSED, "a rollback goes only to a model once in use");
        TRY(signatures_enough(event->signatures, 1, why));
        move(model, STAGE_PROMOTED, event);
        return DONE;
    }
    return failed(why, RESULT_INPUT, "no such event");
}

struct result stage_rollback(struct model_stage *current, struct model_stage *target,
                             bool target_was_promoted, const struct stage_policy *policy,
                             const char *reason, int64_t now_ms, unsigned signatures,
                             struct why *why)
{
    struct model_stage from = *current;
    struct model_stage to = *target;
    struct stage_event event = {
        .kind = STAGE_EVENT_REINSTATE,
        .now_ms = now_ms,
        .signatures = signatures,
        .was_promoted = target_was_promoted,
        .reason = reason,
    };
    TRY(stage_step(&to, policy, &event, why));
    /* A model that monitoring has suspended already stays as it is. */
    event.kind = STAGE_EVENT_SUSPEND;
    if (from.stage != STAGE_SUSPENDED)
        TRY(stage_step(&from, policy, &event, why));
    *current = from;
    *target = to;
    return DONE;
}
