/* SPDX-License-Identifier: Apache-2.0 */
/* Where studies stand. */
#include "coordinator/status.h"

#include "coordinator/entry.h"

#include <jansson.h>
#include <math.h>

const char *standing_name(enum round_standing standing)
{
    switch (standing) {
    case STANDING_OUT:
        return "out";
    case STANDING_AWAY:
        return "away";
    case STANDING_EXPECTED:
        return "expected";
    case STANDING_COUNTED:
        return "counted";
    case STANDING_DECLINED:
        return "declined";
    case STANDING_REFUSED:
        return "refused";
    case STANDING_MISSED:
        return "missed";
    case STANDING_ASIDE:
        return "set-aside";
    }
    return "unknown";
}

static json_t *integer(uint64_t value)
{
    return json_integer((json_int_t)value);
}

json_t *status_conduct(const struct study_member *m)
{
    json_t *o = json_object();
    json_object_set_new(o, "reputation", json_real(m->conduct.reputation));
    json_object_set_new(o, "judged", integer(m->conduct.rounds));
    json_object_set_new(o, "flagged", integer(m->conduct.flagged));
    json_object_set_new(o, "open", integer(m->conduct.open));
    json_object_set_new(o, "quarantined", json_boolean(m->conduct.quarantined));
    if (m->quarantine[0])
        json_object_set_new(o, "reason", json_string_nocheck(m->quarantine));
    return o;
}

static json_t *member_object(const struct study *study, uint32_t i)
{
    const struct study_member *m = &study->members[i];
    const struct round_site *part = &study->task.sites[i];
    json_t *o = json_object();
    json_object_set_new(o, "name", json_string_nocheck(m->name));
    json_object_set_new(o, "verdict", json_string(member_verdict_name(m->verdict)));
    json_object_set_new(o, "live", json_boolean(m->live));
    json_object_set_new(o, "patients", integer(m->declared_patients));
    json_object_set_new(o, "conduct", status_conduct(m));
    if (study->task.task > 0)
        json_object_set_new(o, "standing", json_string(standing_name(part->standing)));
    const char *reason = part->reason[0] ? part->reason : m->reason;
    if (reason[0])
        json_object_set_new(o, "reason", json_string_nocheck(reason));
    return o;
}

static json_t *task_object(const struct round *task)
{
    json_t *o = json_object();
    json_object_set_new(o, "task", integer(task->task));
    json_object_set_new(o, "kind", json_string(task_kind_name(task->kind)));
    json_object_set_new(o, "round", integer(task->round));
    json_object_set_new(o, "open", json_boolean(task->phase == ROUND_OPEN));
    json_object_set_new(o, "counted", integer(round_tally(task, STANDING_COUNTED)));
    json_object_set_new(o, "expected", integer(round_tally(task, STANDING_EXPECTED)));
    json_object_set_new(o, "quorum", integer(task->quorum));
    json_object_set_new(o, "deadline_ms", integer(task->deadline_ms));
    return o;
}

void status_add(struct status_list *list, const struct study *study, const char *researcher)
{
    char hash[HEX_HASH_BYTES];
    json_t *o = json_object();
    json_object_set_new(o, "study", json_string_nocheck(study->name));
    json_object_set_new(o, "phase", json_string(study_phase_name(study->phase)));
    json_object_set_new(o, "researcher", json_string_nocheck(researcher));
    hex_hash(hash, study->plan_hash);
    json_object_set_new(o, "plan_hash", json_string(hash));
    json_object_set_new(o, "round", integer(study->round));
    json_object_set_new(o, "rounds", integer(study->rounds));
    hex_hash(hash, study->model);
    json_object_set_new(o, "model_hash", json_string(hash));
    if (study->best_round > 0) {
        hex_hash(hash, study->best);
        json_object_set_new(o, "best_hash", json_string(hash));
        json_object_set_new(o, "best_round", integer(study->best_round));
        if (isfinite(study->best_score))
            json_object_set_new(o, "best_score", json_real(study->best_score));
    }
    if (study->reason[0])
        json_object_set_new(o, "reason", json_string_nocheck(study->reason));
    json_object_set_new(o, "launched_ms", integer(study->launched_ms));
    json_object_set_new(o, "started_ms", integer(study->started_ms));
    json_object_set_new(o, "ended_ms", integer(study->ended_ms));
    if (study->task.task > 0)
        json_object_set_new(o, "task", task_object(&study->task));
    json_t *sites = json_array();
    for (uint32_t i = 0; i < study->members_count; i++)
        json_array_append_new(sites, member_object(study, i));
    json_object_set_new(o, "sites", sites);
    if (!list->array)
        list->array = json_array();
    json_array_append_new(list->array, o);
}

struct result status_text(struct status_list *list, char **ret_text, struct why *why)
{
    json_t *o = json_object();
    json_object_set_new(o, "studies", list->array ? list->array : json_array());
    list->array = NULL;
    if (list->incidents)
        json_object_set_new(o, "incidents", list->incidents);
    list->incidents = NULL;
    *ret_text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(o);
    return *ret_text ? DONE : failed(why, RESULT_SYSTEM, "out of memory");
}
