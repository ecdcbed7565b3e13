/* SPDX-License-Identifier: Apache-2.0 */
/* How the tasks of a study open, and what follows when they end (pure; part of study_step). */
#include "coordinator/study_inner.h"

#include "coordinator/study_conduct.h"
#include "coordinator/study_validate.h"

#include <stdio.h>
#include <string.h>

void study_tell_closed(struct study *study, struct effects *effects)
{
    study->closed = study->task;
    for (uint32_t i = 0; i < study->members_count; i++)
        if (study->members[i].verdict == MEMBER_ALLOWED)
            effect_add(effects, EFFECT_CLOSED, i);
}

void study_pause(struct study *study, const char *reason, struct effects *effects)
{
    study->phase = STUDY_PAUSED;
    reason_set(study->reason, reason);
    effect_note(effects, NOTE_PAUSED, EFFECT_EVERYBODY);
}

static void finish(struct study *study, uint64_t now_ms, struct effects *effects)
{
    study->phase = STUDY_FINISHED;
    study->ended_ms = now_ms;
    effect_note(effects, NOTE_FINISHED, EFFECT_EVERYBODY);
}

bool study_ready_for(const struct study_member *member, uint32_t task)
{
    return member->verdict == MEMBER_ALLOWED && member->live && member->ask_from <= task;
}

void study_open_task(struct study *study, enum task_kind kind, uint64_t now_ms,
                     struct effects *effects)
{
    struct round *task = &study->task;
    memset(task, 0, sizeof *task);
    task->kind = kind;
    task->task = ++study->tasks;
    task->round = kind == TASK_EVALUATE ? study->round : study->round + 1;
    task->quorum = study_task_quorum(study, kind);
    task->allowance_ms = study->allowance_ms;
    task->sites_count = study->members_count;
    if (kind == TASK_KEYS)
        study->keys = task->task;
    uint32_t ready = 0;
    for (uint32_t i = 0; i < study->members_count; i++) {
        if (kind == TASK_KEYS)
            study->members[i].stage = 0;
        ready += study_in_group(study, i, kind) && study_ready_for(&study->members[i], task->task);
    }
    for (uint32_t i = 0; i < study->members_count; i++) {
        const struct study_member *member = &study->members[i];
        bool asked = ready >= task->quorum ? study_ready_for(member, task->task) : member->live;
        if (member->verdict == MEMBER_ALLOWED && study_in_group(study, i, kind))
            task->sites[i].standing = asked ? STANDING_EXPECTED : STANDING_AWAY;
    }
    study->phase = kind == TASK_EVALUATE ? STUDY_EVALUATING : STUDY_TRAINING;
    effects->task = task->task;
    round_open(task, now_ms, effects);
    study_offer_to_undecided(study, effects); /* a lost offer, or a lost answer to it */
    /* Too few allowed sites are left to ever reach the quorum: no use in trying again. */
    if (task->phase == ROUND_ABORTED)
        study_pause(study, task->reason, effects);
}

void study_proceed(struct study *study, uint64_t now_ms, struct effects *effects)
{
    if (study->round >= study->rounds)
        finish(study, now_ms, effects);
    study_tell_closed(study, effects);
    if (study->phase != STUDY_FINISHED)
        study_open_task(study, study_first_task(study), now_ms, effects);
}

void study_abort_or_retry(struct study *study, const char *reason, uint64_t now_ms,
                          struct effects *effects)
{
    char last[MESSAGE_REASON_BYTES]; /* opening a task wipes the old task's reason */
    reason_set(last, reason);
    reason_set(study->reason, last);
    study_tell_closed(study, effects);
    /* What sites refuse or decline once they do again, and each try would cost the others budget.
     */
    enum task_kind next = study_next_try(study);
    bool anew = next != study->task.kind; /* a secure round, with sites that are back */
    if (++study->aborts < STUDY_ABORTS_MAX && (anew || !round_hopeless(&study->task))) {
        study_open_task(study, next, now_ms, effects);
        return;
    }
    char text[2 * MESSAGE_REASON_BYTES];
    snprintf(text, sizeof text,
             "%u task%s in a row came to nothing; bring sites back, then resume. Last: %s",
             study->aborts, study->aborts == 1 ? "" : "s", last);
    study_pause(study, text, effects);
}

/* A site that dies costs one deadline. One that comes back and misses the next one too, because it
 * is slow or its line is bad, sits out 1, 3, 7, ... tasks, so that n tasks cost log n deadlines. */
static void lose_patience(struct study *study, struct study_member *member)
{
    uint32_t power = member->misses < STUDY_SKIP_LOG2_MAX ? member->misses : STUDY_SKIP_LOG2_MAX;
    member->live = false;
    member->misses++;
    member->ask_from = study->tasks + (1u << power);
}

/* What follows from a task that is no longer open. */
static void follow_up(struct study *study, uint64_t now_ms, struct effects *effects)
{
    /* In this step: who said hello since may still stand as missed in a task that can do without.
     */
    for (size_t i = 0; i < effects->count; i++) {
        const struct effect *effect = &effects->list[i];
        if (effect->kind == EFFECT_NOTE && effect->note == NOTE_MISSED)
            lose_patience(study, &study->members[effect->site]);
    }
    if (!study_task_open(study) || study->task.phase == ROUND_OPEN)
        return;
    if (study->phase == STUDY_VALIDATING)
        validate_closed(study, effects);
    else if (study->phase == STUDY_EVALUATING &&
             (study->task.phase == ROUND_COMPLETE || study_all_withhold(&study->task))) {
        study->phase = STUDY_POOLING;
        effect_add(effects, EFFECT_POOL, EFFECT_EVERYBODY);
    } else if (study->task.phase == ROUND_ABORTED) {
        study_abort_or_retry(study, study->task.reason, now_ms, effects);
    } else if (study->threshold == 0 || !study_stage_done(study, effects)) {
        study->phase = STUDY_AGGREGATING;
        effect_add(effects, EFFECT_AGGREGATE, EFFECT_EVERYBODY);
    }
}

struct result study_step_task(struct study *study, const struct study_event *event,
                              enum round_event_kind kind, struct effects *effects, struct why *why)
{
    struct round_event inner = {
        .kind = kind,
        .now_ms = event->now_ms,
        .aside = conduct_aside(study, kind, event->site),
        .site = event->site,
        .digest = event->digest,
        .reason = event->reason,
        .decline = event->decline,
    };
    TRY(round_step(&study->task, &inner, effects, why));
    follow_up(study, event->now_ms, effects);
    return DONE;
}
