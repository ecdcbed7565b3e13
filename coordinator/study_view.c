/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to a study that change nothing. */
#include "coordinator/study.h"

#include <string.h>

const char *study_phase_name(enum study_phase phase)
{
    switch (phase) {
    case STUDY_NONE:
        return "none";
    case STUDY_GATHERING:
        return "gathering";
    case STUDY_TRAINING:
        return "training";
    case STUDY_AGGREGATING:
        return "aggregating";
    case STUDY_EVALUATING:
        return "evaluating";
    case STUDY_POOLING:
        return "pooling";
    case STUDY_PAUSED:
        return "paused";
    case STUDY_FINISHED:
        return "finished";
    case STUDY_STOPPED:
        return "stopped";
    case STUDY_VALIDATING:
    case STUDY_CONFIRMING:
        return "validating";
    case STUDY_RELAYING:
        return "relaying";
    }
    return "unknown";
}

const char *member_verdict_name(enum member_verdict verdict)
{
    switch (verdict) {
    case MEMBER_INVITED:
        return "invited";
    case MEMBER_ASKING:
        return "asking";
    case MEMBER_ALLOWED:
        return "allowed";
    case MEMBER_REFUSED:
        return "refused";
    case MEMBER_REVOKED:
        return "revoked";
    }
    return "unknown";
}

uint32_t study_find(const struct study *study, const char *site)
{
    uint32_t i = 0;
    while (i < study->members_count && strcmp(study->members[i].name, site) != 0)
        i++;
    return i;
}

bool study_active(const struct study *study)
{
    switch (study->phase) {
    case STUDY_GATHERING:
    case STUDY_TRAINING:
    case STUDY_AGGREGATING:
    case STUDY_EVALUATING:
    case STUDY_POOLING:
    case STUDY_VALIDATING:
    case STUDY_CONFIRMING:
    case STUDY_RELAYING:
        return true;
    case STUDY_NONE:
    case STUDY_PAUSED:
    case STUDY_FINISHED:
    case STUDY_STOPPED:
        break;
    }
    return false;
}

const unsigned char *study_input(const struct study *study)
{
    if (study->task.kind == TASK_EVALUATE)
        return study->evaluation;
    return study->task.kind == study_first_task(study) ? study->model : study->input;
}

bool study_task_open(const struct study *study)
{
    return study->phase == STUDY_TRAINING || study->phase == STUDY_EVALUATING ||
           study->phase == STUDY_VALIDATING;
}

bool study_over(const struct study *study)
{
    return study->phase == STUDY_FINISHED || study->phase == STUDY_STOPPED ||
           study->phase == STUDY_VALIDATING || study->phase == STUDY_CONFIRMING;
}

const struct round *study_task(const struct study *study, uint32_t task)
{
    if (task != 0 && study->task.task == task)
        return &study->task;
    return task != 0 && study->closed.task == task ? &study->closed : NULL;
}

uint64_t study_wake(const struct study *study)
{
    if (study_task_open(study))
        return round_wake(&study->task);
    return study->phase == STUDY_GATHERING ? study->nudge_ms : UINT64_MAX;
}

bool study_same_answer(const struct study_member *member, const struct study_event *event,
                       enum member_verdict verdict)
{
    return member->verdict == verdict && member->live &&
           member->declared_patients == event->declared_patients &&
           strcmp(member->reason, event->reason ? event->reason : "") == 0;
}

bool study_evaluation_due(const struct study *study)
{
    return study->round >= study->rounds || (study->every > 0 && study->round % study->every == 0);
}

bool study_all_withhold(const struct round *task)
{
    return round_tally(task, STANDING_DECLINED) + round_tally(task, STANDING_REFUSED) > 0 &&
           round_hopeless(task);
}

struct result study_check_answer(const struct study *study, uint32_t site, uint32_t task,
                                 struct why *why)
{
    if (study->members[site].verdict != MEMBER_ALLOWED)
        return failed(why, RESULT_REFUSED, "site '%s' takes no part in study '%s' (%s)",
                      study->members[site].name, study->name,
                      member_verdict_name(study->members[site].verdict));
    if (task == 0 || task != study->task.task)
        return failed(why, RESULT_REFUSED, "study '%s' is at task %u, the answer is for task %u",
                      study->name, study->tasks, task);
    return DONE;
}

struct result study_wants(const struct study *study, uint32_t site, uint32_t task,
                          const unsigned char digest[PLAN_HASH_BYTES], struct why *why)
{
    if (site >= study->members_count)
        return failed(why, RESULT_REFUSED, "study '%s' has no such site", study->name);
    TRY(study_check_answer(study, site, task, why));
    const struct round_site *part = &study->task.sites[site];
    bool taken = part->standing == STANDING_COUNTED || part->standing == STANDING_ASIDE;
    if (taken && memcmp(part->digest, digest, PLAN_HASH_BYTES) == 0)
        return failed(why, RESULT_AGAIN, "counted already");
    if (!study_task_open(study) || study->task.phase != ROUND_OPEN)
        return failed(why, RESULT_REFUSED, "study '%s': task %u is closed", study->name, task);
    if (taken || part->standing == STANDING_DECLINED || part->standing == STANDING_REFUSED)
        return failed(why, RESULT_REFUSED, "task %u: this site's part is already concluded", task);
    return DONE;
}

const char *study_part_absence(const struct round_site *part)
{
    switch (part->standing) {
    case STANDING_DECLINED:
        return message_decline_name(part->decline);
    case STANDING_REFUSED:
        return "report_refused";
    case STANDING_EXPECTED:
    case STANDING_MISSED:
        return "timeout";
    case STANDING_AWAY:
        return "away";
    case STANDING_OUT:
    case STANDING_ASIDE: /* of updates only */
    case STANDING_COUNTED:
        break;
    }
    return NULL;
}

const char *study_absence(const struct study *study, uint32_t site)
{
    bool asked = site < study->task.sites_count;
    const char *word = asked ? study_part_absence(&study->task.sites[site]) : NULL;
    if (word)
        return word;
    switch (study->members[site].verdict) {
    case MEMBER_REVOKED:
        return "revoked";
    case MEMBER_ALLOWED:
        return "not_asked";
    case MEMBER_INVITED:
    case MEMBER_ASKING:
    case MEMBER_REFUSED:
        break;
    }
    return "not_in_study";
}
