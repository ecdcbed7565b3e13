/* SPDX-License-Identifier: Apache-2.0 */
/* From the flags of a round to a site's reputation, quarantine and release. */
#include "coordinator/study_conduct.h"

#include <stdio.h>

struct anomaly_policy study_conduct_policy(const struct study *study)
{
    struct anomaly_policy policy = anomaly_default();
    policy.quarantine_at = study->quarantine;
    policy.counting = study->counting;
    return policy;
}

void conduct_launch(struct study *study, const struct plan *plan)
{
    study->quarantine = plan->aggregation.quarantine;
    study->counting =
        plan->aggregation.quarantine_on == QUARANTINE_ANY ? ANOMALY_ANY : ANOMALY_EVIDENCE;
    for (uint32_t i = 0; i < study->members_count; i++)
        study->members[i].conduct.reputation = 1;
}

const char *conduct_aside(const struct study *study, enum round_event_kind kind, uint32_t site)
{
    bool aside = kind == ROUND_EVENT_COUNT && study->task.kind == TASK_TRAIN &&
                 study->members[site].conduct.quarantined;
    return aside ? study->members[site].quarantine : NULL;
}

struct result conduct_check(const struct study *study, const struct study_event *event,
                            bool *arrived, struct why *why)
{
    bool known = true;
    for (size_t i = 0; i < event->refusals_count; i++)
        known = known && event->refusals[i].site < study->members_count;
    for (size_t i = 0; i < event->marks_count; i++)
        known = known && event->marks[i].site < study->members_count;
    for (uint32_t i = 0; i < study->members_count; i++)
        arrived[i] =
            study->task.kind == TASK_TRAIN && study->task.sites[i].standing == STANDING_REFUSED;
    return known ? DONE : failed(why, RESULT_REFUSED, "study '%s' has no such site", study->name);
}

void conduct_refuse(struct study *study, const struct study_event *event, struct effects *effects)
{
    for (size_t i = 0; i < event->refusals_count; i++) {
        struct round_site *site = &study->task.sites[event->refusals[i].site];
        site->standing = STANDING_REFUSED;
        reason_set(site->reason, event->refusals[i].reason);
        effect_note(effects, NOTE_REFUSED, event->refusals[i].site);
    }
}

void conduct_quarantine_reason(struct study *study, uint32_t site, const char *sentence)
{
    struct study_member *member = &study->members[site];
    char text[2 * MESSAGE_REASON_BYTES];
    snprintf(text, sizeof text,
             "quarantined after round %u: its updates are recorded but do not count until an "
             "operator releases it (%u flagged rounds; the last: %s)",
             study->round, member->conduct.open, sentence);
    reason_set(member->quarantine, text);
}

/* Keeps a site's conduct after a round; the round that leads to quarantine is told. */
static void keep(struct study *study, uint32_t site, unsigned flags, const char *sentence,
                 struct effects *effects)
{
    struct anomaly_policy policy = study_conduct_policy(study);
    if (!anomaly_site_step(&policy, &study->members[site].conduct, flags))
        return;
    conduct_quarantine_reason(study, site, sentence);
    effect_note(effects, NOTE_QUARANTINED, site);
}

void conduct_keep(struct study *study, const struct study_event *event, const bool *arrived,
                  struct effects *effects)
{
    for (uint32_t i = 0; i < study->members_count; i++)
        if (arrived[i])
            keep(study, i, ANOMALY_REJECTED, study->task.sites[i].reason, effects);
    for (size_t i = 0; i < event->marks_count; i++)
        keep(study, event->marks[i].site, event->marks[i].flags, event->marks[i].sentence, effects);
}

struct result conduct_release(struct study *study, const struct study_event *event,
                              struct effects *effects, struct why *why)
{
    struct study_member *member = &study->members[event->site];
    if (study->phase == STUDY_FINISHED || study->phase == STUDY_STOPPED)
        return failed(why, RESULT_REFUSED, "study '%s' is over", study->name);
    if (!member->conduct.quarantined)
        return failed(why, RESULT_REFUSED, "site '%s' is not quarantined in study '%s'",
                      member->name, study->name);
    effect_store(effects);
    anomaly_site_release(&member->conduct);
    reason_set(member->quarantine, event->reason);
    effect_note(effects, NOTE_RELEASED, event->site);
    return DONE;
}
