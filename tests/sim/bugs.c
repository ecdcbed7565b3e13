/* SPDX-License-Identifier: Apache-2.0 */
/* Planted mistakes: each is one that somebody could make, and the oracles must find it. */
#include "tests/sim/sim.h"

#include <string.h>

static void drop(struct effects *effects, enum effect_kind kind)
{
    size_t kept = 0;
    for (size_t i = 0; i < effects->count; i++)
        if (effects->list[i].kind != kind)
            effects->list[kept++] = effects->list[i];
    effects->count = kept;
}

static bool answers(const struct study_event *event)
{
    return event->kind == STUDY_EVENT_DELIVERED;
}

static void any_task(struct study *study, struct study_event *event)
{
    if (answers(event))
        event->task = study->task.task;
}

static void count_again(struct study *study, struct study_event *event)
{
    if (answers(event) && study->task.task == event->task &&
        study->task.sites[event->site].standing == STANDING_COUNTED &&
        memcmp(study->task.sites[event->site].digest, event->digest, PLAN_HASH_BYTES) != 0)
        study->task.sites[event->site].standing = STANDING_EXPECTED;
}

static void no_quorum(struct study *study, struct study_event *event)
{
    (void)event;
    study->task.quorum = 1;
}

/* A site that was late with its shares is asked for a masked update nevertheless. */
static void late_is_let_in(struct study *study, struct study_event *event)
{
    (void)event;
    for (uint32_t i = 0; study->threshold > 0 && i < study->members_count; i++)
        if (study->members[i].stage > 0)
            study->members[i].stage = TASK_STAGES;
}

/* A reveal that came to nothing takes the round back to its keys, as other stages do: those that
 * revealed refuse another sum of the round. */
static void reveal_anew(struct study *study, struct study_event *event)
{
    if (event->kind == STUDY_EVENT_TIMER && study->task.kind == TASK_REVEAL &&
        study->task.extensions == ROUND_EXTENSIONS_MAX && event->now_ms >= study->task.deadline_ms)
        study->task.kind = TASK_AGREE;
}

static void another_reveal(const struct study *before, struct study *study,
                           const struct study_event *event, struct effects *effects)
{
    (void)event;
    (void)effects;
    if (before->task.kind == TASK_REVEAL && study->task.kind == TASK_REVEAL &&
        study->task.task != before->task.task)
        study->input[0] ^= 1;
}

static void wait_for_the_dead(struct study *study, struct study_event *event)
{
    (void)event;
    for (uint32_t i = 0; i < study->members_count; i++)
        study->members[i].live = true;
}

static void deadline_forgotten(struct study *study, struct study_event *event)
{
    if (event->kind == STUDY_EVENT_TIMER && study_task_open(study) &&
        event->now_ms > study->task.deadline_ms + study->allowance_ms / 8)
        event->now_ms = study->task.deadline_ms - 1;
}

static void touch_when_refusing(const struct study *before, struct study *study,
                                const struct study_event *event, struct effects *effects)
{
    (void)before;
    (void)event;
    if (effects->count == 0)
        study->nudge_ms++;
}

static void forget_to_store(const struct study *before, struct study *study,
                            const struct study_event *event, struct effects *effects)
{
    (void)before;
    (void)study;
    if (event->kind == STUDY_EVENT_HELLO)
        drop(effects, EFFECT_STORE);
}

static void last_is_best(const struct study *before, struct study *study,
                         const struct study_event *event, struct effects *effects)
{
    (void)before;
    (void)effects;
    if (event->kind == STUDY_EVENT_POOLED)
        study->best_score = event->score;
}

static void endless_tries(struct study *study, struct study_event *event)
{
    (void)event;
    study->aborts = 0;
}

static void silent_refusal(const struct study *before, struct study *study,
                           const struct study_event *event, struct effects *effects)
{
    (void)before;
    (void)effects;
    if (event->kind == STUDY_EVENT_REFUSED && event->site < study->members_count)
        memset(study->task.sites[event->site].reason, 0, MESSAGE_REASON_BYTES);
}

static void never_nudge(const struct study *before, struct study *study,
                        const struct study_event *event, struct effects *effects)
{
    (void)before;
    if (event->kind == STUDY_EVENT_TIMER && study->phase == STUDY_GATHERING)
        drop(effects, EFFECT_OFFER);
}

static void stubborn_wait(struct study *study, struct study_event *event)
{
    /* Declined sites are waited for like silent ones. */
    if (event->kind != STUDY_EVENT_DECLINED && event->kind != STUDY_EVENT_TIMER &&
        study_task_open(study))
        for (uint32_t i = 0; i < study->members_count; i++)
            if (study->task.sites[i].standing == STANDING_DECLINED)
                study->task.sites[i].standing = STANDING_EXPECTED;
}

static void validation_is_a_round(const struct study *before, struct study *study,
                                  const struct study_event *event, struct effects *effects)
{
    (void)effects;
    if (event->kind == STUDY_EVENT_POOLED && before->phase == STUDY_CONFIRMING)
        study->best_score = event->score;
}

static void validation_asks_everybody(struct study *study, struct study_event *event)
{
    (void)study;
    event->asked = NULL;
}

static void validation_lets_anybody_in(struct study *study, struct study_event *event)
{
    if (event->kind == STUDY_EVENT_HELLO && study->phase == STUDY_VALIDATING &&
        study->task.sites[event->site].standing == STANDING_OUT)
        study->task.sites[event->site].standing = STANDING_AWAY;
}

static void validation_is_forgotten(const struct study *before, struct study *study,
                                    const struct study_event *event, struct effects *effects)
{
    (void)effects;
    if (event->kind == STUDY_EVENT_RESTART && before->phase == STUDY_VALIDATING)
        study->phase = STUDY_FINISHED;
}

static void pardon(struct study *study, struct study_event *event)
{
    if (answers(event) && event->site < study->members_count)
        study->members[event->site].conduct.quarantined = false;
}

static void count_what_is_set_aside(struct study *study, struct study_event *event)
{
    (void)event;
    for (uint32_t i = 0; study_task_open(study) && i < study->members_count; i++)
        if (study->task.sites[i].standing == STANDING_ASIDE)
            study->task.sites[i].standing = STANDING_COUNTED;
}

const struct sim_bug SIM_BUGS[] = {
    {.name = "effects are sent before they are stored", .send_first = true},
    {.name = "the object is stored apart from the step", .object_apart = true},
    {.name = "a crash after the commit loses the object", .forget_object = true},
    {.name = "a restart is not an event", .no_restart = true},
    {.name = "an old result is taken for the present round", .replay_work = true},
    {.name = "the task's number is not looked at", .before = any_task},
    {.name = "another answer replaces the counted one", .before = count_again},
    {.name = "one update is quorum enough", .before = no_quorum},
    {.name = "dead sites are waited for in every round", .before = wait_for_the_dead},
    {.name = "a late timer is taken for an early one", .before = deadline_forgotten},
    {.name = "a late site is let into a secure round", .before = late_is_let_in},
    {.name = "a failed reveal begins the round anew", .before = reveal_anew},
    {.name = "a reveal is asked again for another list", .after = another_reveal},
    {.name = "a refusal touches the state", .after = touch_when_refusing},
    {.name = "a change is not stored", .after = forget_to_store},
    {.name = "the last candidate is taken for the best", .after = last_is_best},
    {.name = "aborted tasks are tried for ever", .before = endless_tries},
    {.name = "a refusal has no reason", .after = silent_refusal},
    {.name = "a lost offer is never repeated", .after = never_nudge},
    {.name = "sites that declined are waited for", .before = stubborn_wait},
    {.name = "a validation's score counts as a round's", .after = validation_is_a_round},
    {.name = "a validation asks everybody", .before = validation_asks_everybody},
    {.name = "a validation lets anybody in", .before = validation_lets_anybody_in},
    {.name = "a restart forgets a validation", .after = validation_is_forgotten},
    {.name = "a quarantine ends by itself", .before = pardon},
    {.name = "what is set aside is counted after all", .before = count_what_is_set_aside},
};
const size_t SIM_BUGS_COUNT = sizeof SIM_BUGS / sizeof SIM_BUGS[0];
