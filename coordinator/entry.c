/* SPDX-License-Identifier: Apache-2.0 */
/* Audit entries as JSON text. Keys are written in one order, so equal notes are equal bytes. */
#include "coordinator/entry.h"

#include <jansson.h>
#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

void hex_hash(char out[HEX_HASH_BYTES], const unsigned char hash[PLAN_HASH_BYTES])
{
    sodium_bin2hex(out, HEX_HASH_BYTES, hash, PLAN_HASH_BYTES);
}

static void put_hash(json_t *entry, const char *key, const unsigned char *hash)
{
    char text[HEX_HASH_BYTES];
    hex_hash(text, hash);
    json_object_set_new(entry, key, json_string(text));
}

static void put_text(json_t *entry, const char *key, const char *text)
{
    if (!text || !text[0])
        return;
    json_t *value = json_string(text);
    json_object_set_new(entry, key, value ? value : json_string("(no UTF-8 text)"));
}

static void put_number(json_t *entry, const char *key, double value)
{
    if (isfinite(value))
        json_object_set_new(entry, key, json_real(value));
}

static void put_integer(json_t *entry, const char *key, uint64_t value)
{
    json_object_set_new(entry, key, json_integer((json_int_t)value));
}

static void describe_site(json_t *entry, const struct study *study, const struct effect *effect,
                          const struct round *task)
{
    const struct study_member *member = &study->members[effect->site];
    put_text(entry, "site", member->name);
    switch (effect->note) {
    case NOTE_ALLOWED:
    case NOTE_ASKING:
    case NOTE_STUDY_REFUSED:
    case NOTE_REVOKED:
        put_text(entry, "reason", member->reason);
        put_integer(entry, "declared_patients", member->declared_patients);
        put_hash(entry, "data_fingerprint", member->fingerprint);
        put_number(entry, "epsilon_budget", member->epsilon_budget);
        break;
    case NOTE_ASIDE:
    case NOTE_COUNTED:
        if (task) {
            put_hash(entry, "object", task->sites[effect->site].digest);
            put_text(entry, "reason", task->sites[effect->site].reason);
        }
        break;
    case NOTE_QUARANTINED:
    case NOTE_RELEASED:
        put_text(entry, "reason", member->quarantine);
        break;
    default:
        if (task)
            put_text(entry, "reason", task->sites[effect->site].reason);
        if (task && (effect->note == NOTE_DECLINED || effect->note == NOTE_REFUSED ||
                     effect->note == NOTE_MISSED))
            put_text(entry, "status", study_part_absence(&task->sites[effect->site]));
    }
}

static void put_names(json_t *entry, const char *key, const struct study *study,
                      const struct round *task, enum round_standing standing)
{
    json_t *names = json_array();
    for (uint32_t i = 0; i < task->sites_count; i++)
        if (task->sites[i].standing == standing)
            json_array_append_new(names, json_string_nocheck(study->members[i].name));
    json_object_set_new(entry, key, names);
}

static void describe_study(json_t *entry, const struct study *study, const struct effect *effect,
                           const struct round *task, const struct entry_extra *extra)
{
    switch (effect->note) {
    case NOTE_LAUNCHED:
        put_hash(entry, "plan", study->plan_hash);
        put_hash(entry, "model", study->model);
        put_text(entry, "researcher", extra->researcher);
        break;
    case NOTE_TASK_OPENED:
        if (task)
            put_integer(entry, "deadline_ms", task->deadline_ms);
        put_hash(entry, "model",
                 task && task->task == study->task.task ? study_input(study) : study->model);
        break;
    case NOTE_TASK_COMPLETED:
    case NOTE_TASK_ABORTED:
        if (task) {
            put_names(entry, "counted", study, task, STANDING_COUNTED);
            put_names(entry, "refused", study, task, STANDING_REFUSED);
            put_names(entry, "declined", study, task, STANDING_DECLINED);
            put_names(entry, "missed", study, task, STANDING_MISSED);
            put_names(entry, "set_aside", study, task, STANDING_ASIDE);
            put_text(entry, "reason", task->reason);
        }
        break;
    case NOTE_MODEL:
        put_hash(entry, "model", study->model);
        put_hash(entry, "candidate", study->candidate);
        break;
    case NOTE_POOLED:
        put_hash(entry, "candidate", study->candidate);
        put_hash(entry, "best", study->best);
        put_integer(entry, "best_round", study->best_round);
        break;
    case NOTE_FINISHED:
        put_hash(entry, "best", study->best);
        put_integer(entry, "best_round", study->best_round);
        break;
    default:
        put_text(entry, "reason", study->reason);
    }
}

struct result entry_text(const struct study *study, const struct effect *effect, uint64_t now_ms,
                         const struct entry_extra *extra, char **ret_text, struct why *why)
{
    const struct round *task = study_task(study, effect->task);
    json_t *entry = json_object();
    put_text(entry, "kind", note_name(effect->note));
    put_integer(entry, "ms", now_ms);
    put_text(entry, "study", study->name);
    if (task) {
        put_integer(entry, "task", task->task);
        put_integer(entry, "round", task->round);
        put_text(entry, "task_kind", task_kind_name(task->kind));
    }
    if (effect->site < study->members_count)
        describe_site(entry, study, effect, task);
    else
        describe_study(entry, study, effect, task, extra);
    bool object = effect->note == NOTE_COUNTED || effect->note == NOTE_ASIDE;
    if (object && extra->update) {
        put_integer(entry, "declared_patients", extra->update->declared_patients);
        put_number(entry, "epsilon_spent", extra->update->epsilon_spent);
        put_number(entry, "epsilon_budget", extra->update->epsilon_budget);
        put_number(entry, "seconds", extra->update->seconds);
        put_integer(entry, "peak_memory_kb", extra->update->peak_memory_kb);
    }
    if (object)
        put_integer(entry, "bytes", extra->bytes);
    if (effect->note == NOTE_RELEASED) {
        put_text(entry, "by", extra->researcher);
        put_text(entry, "envelope", extra->envelope);
    }
    if (extra->sign_key && (effect->note == NOTE_LAUNCHED || effect->note == NOTE_ALLOWED ||
                            effect->note == NOTE_RELEASED))
        put_hash(entry, "sign_key", extra->sign_key);
    if (extra->detail && (effect->note == NOTE_MODEL || effect->note == NOTE_POOLED)) {
        json_t *detail = json_loads(extra->detail, 0, NULL);
        json_object_update_missing(entry, detail);
        json_decref(detail);
    }
    *ret_text = json_dumps(entry, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(entry);
    return *ret_text ? DONE : failed(why, RESULT_SYSTEM, "out of memory for an audit entry");
}

const json_t *entry_named(const json_t *list, const char *key, const char *name)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        const char *text = json_string_value(json_object_get(one, key));
        if (text && strcmp(text, name) == 0)
            return one;
    }
    return NULL;
}
