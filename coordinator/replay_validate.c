/* SPDX-License-Identifier: Apache-2.0 */
/* Validations and monitoring replayed: from the sites' signed evaluations to each record, from the
 * records to each look's findings, from those to what the coordinator did on its own. */
#include "coordinator/replay_inner.h"

#include "coordinator/command_evidence.h"
#include "coordinator/judge.h"
#include "coordinator/monitoring.h"
#include "coordinator/validation.h"
#include "coordinator/work_monitor.h"
#include "proto/base/cleanup.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *entry, const char *key)
{
    const char *text = json_string_value(json_object_get(entry, key));
    return text ? text : "";
}

static uint32_t task_of(const json_t *entry)
{
    return (uint32_t)json_integer_value(json_object_get(entry, "task"));
}

static void keep_summary(struct replay_study *study, uint32_t task, json_t *summary)
{
    char key[16];
    snprintf(key, sizeof key, "%u", task);
    if (!study->summaries)
        study->summaries = json_object();
    json_object_set_new(study->summaries, key, summary);
}

static const json_t *summary_of(const struct replay_study *study, uint32_t task)
{
    char key[16];
    snprintf(key, sizeof key, "%u", task);
    return json_object_get(study->summaries, key);
}

void replay_summary(struct replay_study *study, const json_t *entry)
{
    keep_summary(study, task_of(entry),
                 validation_summary(&study->plan, &study->members, study->evaluations,
                                    study->evaluations_count));
}

/* The person who asked signed for this study's model, or, in a look, the schedule did: then the
 * model is watched and its owner named. */
static struct result check_opened(const struct replay_study *study, const json_t *entry,
                                  struct why *why)
{
    json_t *arguments = NULL;
    bool look = json_is_true(json_object_get(entry, "look"));
    if (!json_object_get(entry, "envelope")) {
        const json_t *monitor = json_object_get(study->monitors, text_of(entry, "model"));
        const char *owner = text_of(json_object_get(monitor, "terms"), "owner");
        return look && monitor && strcmp(owner, text_of(entry, "by")) == 0
                   ? DONE
                   : failed(why, RESULT_REFUSED, "nobody signed for this validation");
    }
    bool gate = json_is_true(json_object_get(entry, "gate"));
    TRY(evidence_open(entry, gate ? "look" : look ? "monitor" : "validate", &arguments, why));
    const char *model = text_of(arguments, "model"), *name = text_of(arguments, "study");
    bool same = strcmp(name, study->plan.study) == 0 || strcmp(model, study->plan.study) == 0 ||
                (model[0] && strncmp(text_of(entry, "model"), model, strlen(model)) == 0);
    json_decref(arguments);
    return same ? DONE : failed(why, RESULT_REFUSED, "the person signed for another model");
}

static bool named(const json_t *names, const char *name)
{
    size_t i;
    json_t *one;
    json_array_foreach(names, i, one)
    {
        if (strcmp(json_string_value(one) ? json_string_value(one) : "", name) == 0)
            return true;
    }
    return false;
}

/* A look of the gate asks each site about what came after the candidate's submission, as the alpha
 * ledger knows it. */
static struct result check_epochs(struct replay_study *study, const json_t *entry, struct why *why)
{
    unsigned char family[PLAN_HASH_BYTES], model[PLAN_HASH_BYTES];
    struct family_ledger *ledger = NULL;
    unsigned index = 0;
    size_t n = 0;
    const char *hex = text_of(entry, "model");
    const json_t *epochs = json_object_get(entry, "epochs_after");
    if (!json_is_true(json_object_get(entry, "gate")))
        return json_object_size(epochs) == 0
                   ? DONE
                   : failed(why, RESULT_REFUSED, "only the gate asks about newer epochs alone");
    if (sodium_hex2bin(model, sizeof model, hex, strlen(hex), NULL, &n, NULL) != 0 ||
        n != sizeof model)
        return failed(why, RESULT_REFUSED, "the look names no model");
    judge_family(&study->plan, family);
    TRY(replay_ledger(study->world, family, &ledger, why));
    TRY(family_ledger_may_look(ledger, &ledger->policy, model, &index, why));
    for (uint32_t i = 0; i < study->members.members_count; i++) {
        const char *name = study->members.members[i].name;
        const json_t *after = json_object_get(epochs, name);
        if (after &&
            (uint64_t)json_integer_value(after) != family_ledger_epoch(ledger, index, name))
            return failed(why, RESULT_REFUSED,
                          "'%s' was asked about other epochs than those after the submission",
                          name);
    }
    return DONE;
}

static struct result opened(struct replay_study *study, const json_t *entry, struct why *why)
{
    struct round *task = &study->members.task;
    TRY(check_opened(study, entry, why));
    TRY(check_epochs(study, entry, why));
    memset(task, 0, sizeof *task);
    task->task = task_of(entry);
    task->kind = TASK_EVALUATE;
    task->sites_count = study->members.members_count;
    for (uint32_t i = 0; i < study->members.members_count; i++)
        if (named(json_object_get(entry, "sites"), study->members.members[i].name))
            task->sites[i].standing = STANDING_EXPECTED;
    study->validating = true;
    return DONE;
}

static enum decline decline_of(const char *name)
{
    for (int k = 0; k <= (int)DECLINE_LAST; k++)
        if (strcmp(message_decline_name((enum decline)k), name) == 0)
            return (enum decline)k;
    return DECLINE_OTHER;
}

/* Where a site stands in the open validation, as the log tells it. */
static void follow_site(struct replay_study *study, const char *kind, const json_t *entry)
{
    uint32_t at = study_find(&study->members, text_of(entry, "site"));
    if (at >= study->members.members_count)
        return;
    struct round_site *part = &study->members.task.sites[at];
    bool open = part->standing == STANDING_EXPECTED || part->standing == STANDING_MISSED;
    if (strcmp(kind, "revoked") == 0)
        study->members.members[at].verdict = MEMBER_REVOKED;
    if (!study->validating || !open)
        return;
    if (strcmp(kind, "counted") == 0)
        part->standing = STANDING_COUNTED;
    else if (strcmp(kind, "declined") == 0)
        part->standing = STANDING_DECLINED;
    else if (strcmp(kind, "refused") == 0)
        part->standing = STANDING_REFUSED;
    else if (strcmp(kind, "missed") == 0)
        part->standing = STANDING_MISSED;
    else if (strcmp(kind, "revoked") == 0)
        part->standing = STANDING_OUT;
    part->decline = decline_of(text_of(entry, "status"));
    reason_set(part->reason, text_of(entry, "reason"));
}

static struct result compare(const char *again, const json_t *entry, const char *what,
                             struct why *why)
{
    return strcmp(again, text_of(entry, "record")) == 0
               ? DONE
               : failed(why, RESULT_REFUSED,
                        "task %u: the %s computed from the archived evaluations is not the one "
                        "that was recorded",
                        task_of(entry), what);
}

static struct result validated(struct replay_study *study, const json_t *entry,
                               struct replay_outcome *outcome, struct why *why)
{
    unsigned char model[PLAN_HASH_BYTES];
    size_t n = 0;
    const char *hex = text_of(entry, "model");
    CLEANUP(free_pointer) char *text = NULL;
    if (!study->validating || study->members.task.task != task_of(entry) ||
        sodium_hex2bin(model, sizeof model, hex, strlen(hex), NULL, &n, NULL) != 0 ||
        n != sizeof model)
        return failed(why, RESULT_REFUSED, "a validation ends that was never opened");
    study->members.round = study->server.round;
    study->validating = false;
    struct validation_case in = {
        .study = &study->members,
        .plan = &study->plan,
        .inputs = study->evaluations,
        .n = study->evaluations_count,
        .model = model,
    };
    TRY(validation_text(&in, &text, why));
    TRY(compare(text, entry, "validation", why));
    replay_summary(study, entry);
    outcome->validations++;
    return DONE;
}

static struct result started(struct replay_study *study, const json_t *entry, struct why *why)
{
    json_t *arguments = NULL;
    TRY(evidence_open(entry, "monitor", &arguments, why));
    bool starts = strcmp(text_of(arguments, "action"), "start") == 0;
    json_decref(arguments);
    json_t *terms = json_loads(text_of(entry, "terms"), JSON_REJECT_DUPLICATES, NULL);
    const json_t *baseline =
        summary_of(study, (uint32_t)json_integer_value(json_object_get(terms, "baseline_task")));
    bool same = starts && baseline && json_equal(json_object_get(terms, "baseline"), baseline) &&
                strcmp(text_of(terms, "model"), text_of(entry, "model")) == 0;
    if (!same) {
        json_decref(terms);
        return failed(why, RESULT_REFUSED,
                      "monitoring starts from figures that the archived evaluations do not give");
    }
    if (!study->monitors)
        study->monitors = json_object();
    json_object_set_new(study->monitors, text_of(entry, "model"),
                        json_pack("{s:o, s:o}", "terms", terms, "progress", monitoring_begin()));
    return DONE;
}

static struct result stopped(const struct replay_study *study, const json_t *entry, struct why *why)
{
    json_t *arguments = NULL;
    TRY(evidence_open(entry, "monitor", &arguments, why));
    bool stops = strcmp(text_of(arguments, "action"), "stop") == 0;
    json_decref(arguments);
    return stops && json_object_get(study->monitors, text_of(entry, "model"))
               ? DONE
               : failed(why, RESULT_REFUSED, "nobody signed that this monitoring ends");
}

static struct result looked(struct replay_study *study, const json_t *entry,
                            struct replay_outcome *outcome, struct why *why)
{
    CLEANUP(free_pointer) char *text = NULL;
    json_t *record = NULL, *monitor = json_object_get(study->monitors, text_of(entry, "model"));
    const json_t *summary = summary_of(study, task_of(entry));
    enum monitor_severity severity;
    if (!monitor || !summary)
        return failed(why, RESULT_REFUSED, "a look at a model that is not watched");
    TRY(monitoring_look(json_object_get(monitor, "terms"), json_object_get(monitor, "progress"),
                        summary, task_of(entry), json_integer_value(json_object_get(entry, "ms")),
                        &record, &severity, why));
    struct result r = monitoring_text(record, &text, why);
    if (ok(r))
        r = compare(text, entry, "look", why);
    if (ok(r) && strcmp(text_of(entry, "severity"), monitor_severity_name(severity)) != 0)
        r = failed(why, RESULT_REFUSED, "the look's entry says %s, its record %s",
                   text_of(entry, "severity"), monitor_severity_name(severity));
    json_object_set(monitor, "progress", json_object_get(record, "progress"));
    json_object_set_new(monitor, "severity", json_string(monitor_severity_name(severity)));
    json_decref(record);
    outcome->looks += ok(r);
    return r;
}

/* What the coordinator did on its own follows from the look before it. */
static struct result moved(const struct replay_study *study, const json_t *entry, struct why *why)
{
    const json_t *monitor = json_object_get(study->monitors, text_of(entry, "model"));
    if (strcmp(text_of(entry, "by"), MONITOR_HAND) != 0)
        return DONE;
    if (strcmp(text_of(monitor, "severity"), "suspend") != 0 ||
        strcmp(text_of(entry, "to"), "suspended") != 0)
        return failed(why, RESULT_REFUSED,
                      "the model was moved by monitoring although no look says so");
    return DONE;
}

struct result replay_validation(struct replay_study *study, const json_t *entry,
                                struct replay_outcome *outcome, struct why *why)
{
    const char *kind = text_of(entry, "kind");
    follow_site(study, kind, entry);
    if (strcmp(kind, "validation-opened") == 0)
        return opened(study, entry, why);
    if (strcmp(kind, "validated") == 0)
        return validated(study, entry, outcome, why);
    if (strcmp(kind, "monitor-started") == 0)
        return started(study, entry, why);
    if (strcmp(kind, "monitor-stopped") == 0)
        return stopped(study, entry, why);
    if (strcmp(kind, "monitor-look") == 0)
        return looked(study, entry, outcome, why);
    if (strcmp(kind, "stage") == 0)
        return moved(study, entry, why);
    return DONE;
}
