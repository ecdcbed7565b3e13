/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs about validations: a finished model at all sites again, and what came of it. */
#include "coordinator/command_evidence.h"

#include "coordinator/entry.h"
#include "coordinator/registry_json.h"
#include "coordinator/work_validate.h"
#include "proto/base/cleanup.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *argument(const struct user_command *c, const char *key)
{
    const char *text = json_string_value(json_object_get(c->arguments, key));
    return text ? text : "";
}

/* The model meant: one of the registry by its name, else the study's best. */
static struct result find_model(struct user_command *c, struct running **ret_running,
                                unsigned char hash[PLAN_HASH_BYTES], struct why *why)
{
    struct registry_model model;
    struct why none;
    if (argument(c, "model")[0]) {
        TRY(registry_find(c->drive->options.store, argument(c, "model"), &model, why));
        memcpy(hash, model.hash, PLAN_HASH_BYTES);
        snprintf(c->study, sizeof c->study, "%s", model.study);
        return drive_load(c->drive, c->study, ret_running, why);
    }
    if (!c->study[0])
        return failed(why, RESULT_INPUT, "name the model or the study");
    TRY(drive_load(c->drive, c->study, ret_running, why));
    const struct study *study = &(*ret_running)->study;
    if (ok(registry_find(c->drive->options.store, c->study, &model, &none)) &&
        strcmp(model.study, c->study) == 0)
        memcpy(hash, model.hash, PLAN_HASH_BYTES);
    else if (study->best_round > 0)
        memcpy(hash, study->best, PLAN_HASH_BYTES);
    else
        return failed(why, RESULT_REFUSED, "study '%s' has no model yet", c->study);
    return DONE;
}

/* *ret_asked stays NULL when no sites are named. Owned by the caller (free). */
static struct result read_sites(const struct user_command *c, const struct study *study,
                                bool **ret_asked, struct why *why)
{
    const json_t *sites = json_object_get(c->arguments, "sites");
    size_t i;
    json_t *site;
    *ret_asked = NULL;
    if (!sites)
        return DONE;
    CLEANUP(free_pointer) bool *asked = calloc(PLAN_SITES_MAX, sizeof *asked);
    if (!asked)
        return failed(why, RESULT_SYSTEM, "out of memory");
    json_array_foreach(sites, i, site)
    {
        const char *name = json_string_value(site);
        uint32_t at = name ? study_find(study, name) : study->members_count;
        if (at == study->members_count)
            return failed(why, RESULT_INPUT, "study '%s' has no site '%.64s'", study->name,
                          name ? name : "");
        asked[at] = true;
    }
    if (i == 0)
        return failed(why, RESULT_INPUT, "name at least one site");
    *ret_asked = TAKE(asked);
    return DONE;
}

static struct result answer_opened(struct user_command *c, const struct validation_row *row,
                                   struct why *why)
{
    char hash[HEX_HASH_BYTES];
    hex_hash(hash, row->model);
    snprintf(c->sentence, sizeof c->sentence, "task %u of study '%s' asks the sites", row->task,
             row->study);
    return command_answer(c,
                          json_pack("{s:s, s:I, s:s}", "study", row->study, "task",
                                    (json_int_t)row->task, "model", hash),
                          why);
}

struct result command_run(struct user_command *c, bool look, struct why *why)
{
    struct running *running = NULL;
    struct validation_row row = {.look = look};
    bool found = false;
    /* The command comes again until it is answered; it opens one run. */
    TRY(validations_by_command(c->drive->options.store, c->command->id, &row, &found, why));
    if (found)
        return answer_opened(c, &row, why);
    TRY(find_model(c, &running, row.model, why));
    CLEANUP(free_pointer) bool *asked = NULL;
    TRY(read_sites(c, &running->study, &asked, why));
    json_t *evidence = NULL;
    TRY(command_evidence(c, &evidence, why));
    struct validate_order order = {
        .model = row.model,
        .asked = asked,
        .asker = c->user->name,
        .command = c->command->id,
        .look = look,
        .evidence = evidence,
    };
    struct result r = validate_begin(c->drive, running, &order, c->now_ms, why);
    json_decref(evidence);
    TRY(r);
    row.task = running->study.task.task;
    snprintf(row.study, sizeof row.study, "%s", c->study);
    return answer_opened(c, &row, why);
}

static struct result open_look(struct user_command *c, struct running *running,
                               struct gate_look *look, struct validation_row *row, struct why *why)
{
    if (running->study.phase != STUDY_FINISHED)
        return failed(why, RESULT_REFUSED,
                      "study '%s' is %s: the gate looks again once it is finished and no other "
                      "evaluation of it is open",
                      c->study, study_phase_name(running->study.phase));
    TRY(gate_look_prepare(c->drive, running, look, why));
    json_t *evidence = NULL;
    TRY(command_evidence(c, &evidence, why));
    struct validate_order order = {
        .model = look->candidate,
        .asker = c->user->name,
        .command = c->command->id,
        .gate = look,
        .evidence = evidence,
    };
    struct result r = validate_begin(c->drive, running, &order, c->now_ms, why);
    json_decref(evidence);
    TRY(r);
    memcpy(row->model, look->candidate, PLAN_HASH_BYTES);
    row->task = running->study.task.task;
    snprintf(row->study, sizeof row->study, "%s", c->study);
    return DONE;
}

struct result verb_look(struct user_command *c, struct why *why)
{
    struct running *running = NULL;
    struct validation_row row = {.gate = true};
    bool found = false;
    TRY(validations_by_command(c->drive->options.store, c->command->id, &row, &found, why));
    if (found)
        return answer_opened(c, &row, why);
    TRY(drive_load(c->drive, c->study, &running, why));
    struct gate_look *look = calloc(1, sizeof *look);
    if (!look)
        return failed(why, RESULT_SYSTEM, "out of memory");
    struct result r = open_look(c, running, look, &row, why);
    gate_look_free(look);
    free(look);
    return ok(r) ? answer_opened(c, &row, why) : r;
}

struct result verb_validate(struct user_command *c, struct why *why)
{
    return command_run(c, false, why);
}

static json_t *row_json(const struct validation_row *row, const char *record)
{
    char hash[HEX_HASH_BYTES];
    hex_hash(hash, row->model);
    json_t *o = json_pack("{s:s, s:I, s:s, s:s, s:b, s:b, s:I, s:I, s:b}", "study", row->study,
                          "task", (json_int_t)row->task, "model", hash, "by", row->asker, "look",
                          row->look, "gate", row->gate, "opened_ms", (json_int_t)row->opened_ms,
                          "closed_ms", (json_int_t)row->closed_ms, "open", row->closed_ms == 0);
    if (record[0])
        json_object_set_new(o, "record", json_loads(record, 0, NULL));
    return o;
}

/* A list shows the pooled figures only. */
static bool add_row(void *context, const struct validation_row *row, const char *record)
{
    json_t *o = row_json(row, ""), *full = json_loads(record, 0, NULL);
    const json_t *summary = json_object_get(full, "summary");
    static const char *const KEYS[] = {"auroc", "low", "high", "used"};
    for (size_t i = 0; i < sizeof KEYS / sizeof KEYS[0]; i++)
        json_object_set(o, KEYS[i], json_object_get(summary, KEYS[i]));
    json_array_append_new(context, o);
    json_decref(full);
    return true;
}

struct result verb_validations(struct user_command *c, struct why *why)
{
    struct store *store = c->drive->options.store;
    json_int_t task = json_integer_value(json_object_get(c->arguments, "task"));
    if (task > 0) {
        struct validation_row row;
        CLEANUP(free_pointer) char *record = NULL;
        TRY(validations_read(store, c->study, (uint32_t)task, &row, &record, why));
        return command_answer(c, row_json(&row, record), why);
    }
    json_t *list = json_array();
    struct result r = validations_each(store, c->study[0] ? c->study : NULL, add_row, list, why);
    json_t *o = json_pack("{s:o}", "validations", list);
    if (ok(r))
        return command_answer(c, o, why);
    json_decref(o);
    return r;
}
