/* SPDX-License-Identifier: Apache-2.0 */
/* What sites say to a study: alive, yes or no to it, answers to tasks (pure; part of study_step).
 */
#include "coordinator/study_inner.h"

#include <stdio.h>
#include <string.h>

static uint32_t tally(const struct study *study, enum member_verdict verdict)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < study->members_count; i++)
        n += study->members[i].verdict == verdict;
    return n;
}

/* Sites that think are asked too: their steward's answer may have been lost. */
static bool undecided(const struct study_member *member)
{
    return member->verdict == MEMBER_INVITED || member->verdict == MEMBER_ASKING;
}

void study_offer_to_undecided(const struct study *study, struct effects *effects)
{
    for (uint32_t i = 0; i < study->members_count; i++)
        if (undecided(&study->members[i]))
            effect_add(effects, EFFECT_OFFER, i);
}

void study_start_if_ready(struct study *study, uint64_t now_ms, struct effects *effects)
{
    uint32_t open = tally(study, MEMBER_INVITED) + tally(study, MEMBER_ASKING);
    uint32_t allowed = tally(study, MEMBER_ALLOWED);
    if (allowed + open < study->quorum) {
        effect_store(effects);
        char text[MESSAGE_REASON_BYTES];
        snprintf(text, sizeof text,
                 "%u of %u sites allow the study but its quorum is %u; ask the sites that refused, "
                 "then resume",
                 allowed, study->members_count, study->quorum);
        study_pause(study, text, effects);
        return;
    }
    if (allowed < study->quorum || (open > 0 && now_ms < study->gather_ms))
        return;
    effect_store(effects);
    study->started_ms = now_ms;
    study_open_task(study, study_first_task(study), now_ms, effects);
}

/* Sets live; the caller has not emitted anything yet. */
static void mark_live(struct study *study, uint32_t site, struct effects *effects)
{
    if (study->members[site].live)
        return;
    effect_store(effects);
    study->members[site].live = true;
    if (study->started_ms > 0)
        effect_note(effects, NOTE_RETURNED, site);
}

/* Lets a site that is alive into the open task, unless it sits out and the others are enough. */
static struct result join(struct study *study, const struct study_event *event,
                          struct effects *effects, struct why *why)
{
    const struct round *task = &study->task;
    if (!study_in_group(study, event->site, task->kind))
        return DONE; /* it has no keys for the round under way, and waits for the next */
    uint32_t others = round_tally(task, STANDING_COUNTED) + round_tally(task, STANDING_EXPECTED);
    if (study->phase == STUDY_VALIDATING && task->sites[event->site].standing == STANDING_OUT)
        return DONE; /* it is not asked */
    if (!study_ready_for(&study->members[event->site], task->task) && others >= task->quorum &&
        task->sites[event->site].standing != STANDING_EXPECTED)
        return DONE;
    return study_step_task(study, event, ROUND_EVENT_JOIN, effects, why);
}

struct result study_hello(struct study *study, const struct study_event *event,
                          struct effects *effects, struct why *why)
{
    struct study_member *member = &study->members[event->site];
    if (member->verdict == MEMBER_REVOKED)
        return failed(why, RESULT_REFUSED, "site '%s' is revoked", member->name);
    if (study->phase == STUDY_FINISHED || study->phase == STUDY_STOPPED) {
        if (member->verdict == MEMBER_ALLOWED)
            effect_add(effects, EFFECT_CLOSED, event->site);
        return DONE;
    }
    mark_live(study, event->site, effects);
    if (undecided(member) && !study_over(study))
        effect_add(effects, EFFECT_OFFER, event->site);
    if (member->verdict == MEMBER_ALLOWED && study_task_open(study))
        return join(study, event, effects, why);
    return DONE;
}

struct result study_take_verdict(struct study *study, const struct study_event *event,
                                 struct effects *effects, struct why *why)
{
    static const struct {
        enum member_verdict member;
        enum note note;
    } MEANING[] = {
        [STUDY_ALLOWED] = {MEMBER_ALLOWED, NOTE_ALLOWED},
        [STUDY_ASKING] = {MEMBER_ASKING, NOTE_ASKING},
        [STUDY_REFUSED] = {MEMBER_REFUSED, NOTE_STUDY_REFUSED},
    };
    struct study_member *member = &study->members[event->site];
    if (event->verdict < STUDY_ALLOWED || event->verdict > STUDY_REFUSED)
        return failed(why, RESULT_REFUSED, "the answer is neither allow, ask nor refuse");
    if (member->verdict == MEMBER_REVOKED)
        return failed(why, RESULT_REFUSED, "site '%s' is revoked", member->name);
    if (study_over(study))
        return failed(why, RESULT_REFUSED, "study '%s' is over", study->name);
    enum member_verdict verdict = MEANING[event->verdict].member;
    if (member->verdict == MEMBER_ALLOWED && verdict == MEMBER_ASKING)
        return failed(why, RESULT_REFUSED, "study '%s' is already allowed by this site",
                      study->name);
    if (study_same_answer(member, event, verdict))
        return DONE;
    bool changed = member->verdict != verdict;
    effect_store(effects);
    member->verdict = verdict;
    member->live = true;
    member->declared_patients = event->declared_patients;
    member->epsilon_budget = event->epsilon_budget;
    if (event->fingerprint)
        memcpy(member->fingerprint, event->fingerprint, PLAN_HASH_BYTES);
    reason_set(member->reason, event->reason);
    if (changed)
        effect_note(effects, MEANING[event->verdict].note, event->site);
    if (study->phase == STUDY_GATHERING)
        study_start_if_ready(study, event->now_ms, effects);
    else if (study_task_open(study) && verdict == MEMBER_ALLOWED)
        return join(study, event, effects, why);
    else if (study_task_open(study) && verdict == MEMBER_REFUSED)
        return study_step_task(study, event, ROUND_EVENT_LEAVE, effects, why);
    return DONE;
}

struct result study_answer(struct study *study, const struct study_event *event,
                           enum round_event_kind kind, struct effects *effects, struct why *why)
{
    TRY(study_check_answer(study, event->site, event->task, why));
    const struct round_site *site = &study->task.sites[event->site];
    if (kind == ROUND_EVENT_COUNT && round_took(site, event->digest)) {
        effect_add(effects, EFFECT_ACCEPTED, event->site);
        return DONE;
    }
    if (!study_task_open(study) || study->task.phase != ROUND_OPEN)
        return failed(why, RESULT_REFUSED, "study '%s': task %u is closed", study->name,
                      event->task);
    struct study_member *member = &study->members[event->site];
    bool was_live = member->live;
    uint32_t misses = member->misses, ask_from = member->ask_from;
    member->live = true;
    if (kind == ROUND_EVENT_COUNT)
        member->misses = member->ask_from = 0;
    struct result r = study_step_task(study, event, kind, effects, why);
    if (!ok(r)) {
        member->live = was_live;
        member->misses = misses;
        member->ask_from = ask_from;
    }
    return r;
}

struct result study_revoke(struct study *study, const struct study_event *event,
                           struct effects *effects, struct why *why)
{
    struct study_member *member = &study->members[event->site];
    if (member->verdict == MEMBER_REVOKED)
        return DONE;
    effect_store(effects);
    member->verdict = MEMBER_REVOKED;
    member->live = false;
    reason_set(member->reason, "revoked by the consortium");
    effect_note(effects, NOTE_REVOKED, event->site);
    if (study->phase == STUDY_GATHERING)
        study_start_if_ready(study, event->now_ms, effects);
    else if (study_task_open(study))
        return study_step_task(study, event, ROUND_EVENT_LEAVE, effects, why);
    return DONE;
}
