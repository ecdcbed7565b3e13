/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs about watched models: start, stop, one look, and where they stand. */
#include "coordinator/command_evidence.h"

#include "coordinator/entry.h"
#include "coordinator/paper.h"
#include "coordinator/registry_json.h"
#include "coordinator/validation.h"
#include "coordinator/work_monitor.h"
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

static struct result policy_for(const struct user_command *c, struct monitor_policy *policy,
                                struct why *why)
{
    struct gate_rules rules;
    const json_t *looks = json_object_get(c->arguments, "looks");
    TRY(paper_rules(c->drive->options.store, c->drive->options.gate, &rules, why));
    *policy = rules.monitor;
    if (looks)
        policy->looks = (unsigned)json_integer_value(looks);
    return DONE;
}

/* What the model's gate judged is what later looks are held against. */
static struct result read_baseline(struct user_command *c, const struct registry_model *model,
                                   json_t **ret_baseline, struct why *why)
{
    struct running *running = NULL;
    TRY(drive_load(c->drive, model->study, &running, why));
    CLEANUP(free_pointer) struct validate_inputs *inputs = calloc(1, sizeof *inputs);
    if (!inputs)
        return failed(why, RESULT_SYSTEM, "out of memory");
    struct result r = validate_read(c->drive, &running->study, model->task, inputs, why);
    if (ok(r)) {
        *ret_baseline =
            validation_summary(&running->plan, &running->study, inputs->list, inputs->n);
        r = *ret_baseline ? DONE : failed(why, RESULT_SYSTEM, "out of memory");
    }
    validate_inputs_free(inputs);
    return r;
}

static struct result make_terms(struct user_command *c, const struct registry_model *model,
                                json_t **ret_terms, struct why *why)
{
    json_t *baseline = NULL;
    TRY(read_baseline(c, model, &baseline, why));
    struct monitoring_terms terms = {
        .study = model->study,
        .owner = argument(c, "owner")[0] ? argument(c, "owner") : c->user->name,
        .interval_ms = json_integer_value(json_object_get(c->arguments, "interval_ms")),
        .baseline_task = model->task,
        .baseline = baseline,
    };
    memcpy(terms.model, model->hash, PLAN_HASH_BYTES);
    struct result r = policy_for(c, &terms.policy, why);
    if (ok(r))
        r = monitoring_terms_json(&terms, ret_terms, why);
    json_decref(baseline);
    return r;
}

/* Row and entry in one transaction. */
static struct result keep(struct user_command *c, const struct monitor_row *row,
                          const json_t *state, const char *kind, const char *terms, struct why *why)
{
    struct store *store = c->drive->options.store;
    CLEANUP(free_pointer) char *text = NULL, *entry_text = NULL;
    char hash[HEX_HASH_BYTES];
    json_t *entry = NULL;
    hex_hash(hash, row->model);
    TRY(monitoring_text(state, &text, why));
    TRY(command_evidence(c, &entry, why));
    json_object_set_new(entry, "kind", json_string(kind));
    json_object_set_new(entry, "ms", json_integer((json_int_t)c->now_ms));
    json_object_set_new(entry, "study", json_string_nocheck(row->study));
    json_object_set_new(entry, "model", json_string(hash));
    if (terms)
        json_object_set_new(entry, "terms", json_string_nocheck(terms));
    entry_text = json_dumps(entry, JSON_COMPACT);
    json_decref(entry);
    if (!entry_text)
        return failed(why, RESULT_SYSTEM, "out of memory for an audit entry");
    TRY(store_begin(store, why));
    struct result r = monitors_put(store, row, text, why);
    if (ok(r))
        r = store_log(store, c->now_ms, row->study, kind, entry_text, strlen(entry_text), why);
    if (ok(r))
        r = store_commit(store, why);
    if (!ok(r))
        store_rollback(store);
    monitor_schedule(c->drive);
    return r;
}

static struct result check_start(struct user_command *c, const struct registry_model *model,
                                 struct why *why)
{
    struct monitor_row row;
    CLEANUP(free_pointer) char *state = NULL;
    struct why none;
    enum stage stage = model->stage.stage;
    if (stage != STAGE_SHADOW && stage != STAGE_PILOT && stage != STAGE_PROMOTED)
        return failed(why, RESULT_REFUSED,
                      "a %s model is not monitored; models in shadow, pilot or use are",
                      stage_name(stage));
    if (!ok(monitors_read(c->drive->options.store, model->hash, &row, &state, &none)))
        return DONE;
    json_t *o = json_loads(state, 0, NULL);
    const char *status = json_string_value(json_object_get(o, "status"));
    bool busy = status && strcmp(status, "running") == 0;
    json_decref(o);
    return busy ? failed(why, RESULT_REFUSED, "the model is monitored already; stop that first")
                : DONE;
}

static struct result start(struct user_command *c, const struct registry_model *model,
                           struct why *why)
{
    json_t *terms = NULL;
    CLEANUP(free_pointer) char *text = NULL;
    TRY(check_start(c, model, why));
    TRY(make_terms(c, model, &terms, why));
    uint64_t interval = (uint64_t)json_integer_value(json_object_get(terms, "interval_ms"));
    struct monitor_row row = {.running = interval > 0, .next_ms = c->now_ms + interval};
    memcpy(row.model, model->hash, PLAN_HASH_BYTES);
    snprintf(row.study, sizeof row.study, "%s", model->study);
    struct result r = monitoring_text(terms, &text, why);
    json_t *state = json_pack("{s:o, s:o, s:s}", "terms", terms, "progress", monitoring_begin(),
                              "status", "running");
    if (ok(r))
        r = keep(c, &row, state, "monitor-started", text, why);
    json_decref(state);
    snprintf(c->sentence, sizeof c->sentence, "the model of study '%s' is monitored", model->study);
    return r;
}

static struct result stop(struct user_command *c, const struct registry_model *model,
                          struct why *why)
{
    struct monitor_row row;
    CLEANUP(free_pointer) char *text = NULL;
    TRY(monitors_read(c->drive->options.store, model->hash, &row, &text, why));
    json_t *state = json_loads(text, 0, NULL);
    row.running = false;
    json_object_set_new(state, "status", json_string("stopped"));
    struct result r = keep(c, &row, state, "monitor-stopped", NULL, why);
    json_decref(state);
    snprintf(c->sentence, sizeof c->sentence, "the model of study '%s' is no longer monitored",
             model->study);
    return r;
}

static struct result look(struct user_command *c, const struct registry_model *model,
                          struct why *why)
{
    struct monitor_row row;
    CLEANUP(free_pointer) char *text = NULL;
    TRY(monitors_read(c->drive->options.store, model->hash, &row, &text, why));
    return command_run(c, true, why);
}

struct result verb_monitor(struct user_command *c, struct why *why)
{
    struct registry_model model;
    const char *action = argument(c, "action");
    TRY(registry_find(c->drive->options.store, argument(c, "model"), &model, why));
    if (strcmp(action, "start") == 0)
        return start(c, &model, why);
    if (strcmp(action, "stop") == 0)
        return stop(c, &model, why);
    if (strcmp(action, "look") == 0)
        return look(c, &model, why);
    return failed(why, RESULT_INPUT, "a monitor is started, stopped, or asked for a look");
}

static json_t *monitor_json(struct store *store, const struct monitor_row *row, const char *text)
{
    char hash[HEX_HASH_BYTES];
    struct registry_model model;
    struct why none;
    json_t *state = json_loads(text, 0, NULL);
    const json_t *terms = json_object_get(state, "terms");
    hex_hash(hash, row->model);
    json_object_set_new(state, "model", json_string(hash));
    json_object_set_new(state, "study", json_string_nocheck(row->study));
    json_object_set_new(state, "looks_planned", json_integer(monitoring_looks_planned(terms)));
    json_object_set_new(state, "looks_done",
                        json_integer(monitoring_looks_done(json_object_get(state, "progress"))));
    if (row->running)
        json_object_set_new(state, "next_ms", json_integer((json_int_t)row->next_ms));
    if (ok(registry_read(store, row->model, &model, &none)))
        json_object_set_new(state, "stage", json_string(stage_name(model.stage.stage)));
    return state;
}

struct listing {
    struct store *store;
    json_t *list;
    uint64_t now_ms;
};

/* A finding waits for its owner while its incident is not closed. */
static bool is_overdue(struct store *store, const json_t *monitor, uint64_t now_ms)
{
    struct incident incident;
    unsigned char hash[PLAN_HASH_BYTES];
    struct why none;
    const char *id = json_string_value(json_object_get(monitor, "incident"));
    json_int_t deadline = json_integer_value(json_object_get(monitor, "deadline_ms"));
    return deadline > 0 && (json_int_t)now_ms > deadline && id &&
           ok(registry_read_incident(store, id, &incident, hash, &none)) &&
           incident.done_ms[INCIDENT_CLOSE] == 0;
}

static bool add_monitor(void *context, const struct monitor_row *row, const char *state)
{
    struct listing *listing = context;
    json_t *o = monitor_json(listing->store, row, state);
    if (is_overdue(listing->store, o, listing->now_ms))
        json_object_set_new(o, "overdue", json_true());
    json_array_append_new(listing->list, o);
    return true;
}

static bool add_look(void *context, uint64_t ms, const char *record)
{
    (void)ms;
    json_array_append_new(context, json_loads(record, 0, NULL));
    return true;
}

struct result verb_monitors(struct user_command *c, struct why *why)
{
    struct store *store = c->drive->options.store;
    struct listing listing = {.store = store, .list = json_array(), .now_ms = c->now_ms};
    json_t *o = json_pack("{s:o}", "monitors", listing.list);
    struct result r = DONE;
    if (!argument(c, "model")[0]) {
        r = monitors_each(store, add_monitor, &listing, why);
    } else {
        struct registry_model model;
        struct monitor_row row;
        CLEANUP(free_pointer) char *state = NULL;
        json_t *looks = json_array();
        r = registry_find(store, argument(c, "model"), &model, why);
        if (ok(r))
            r = monitors_read(store, model.hash, &row, &state, why);
        if (ok(r))
            r = monitors_each_look(store, model.hash, add_look, looks, why);
        if (ok(r))
            add_monitor(&listing, &row, state);
        json_object_set_new(o, "looks", looks);
    }
    if (ok(r))
        return command_answer(c, o, why);
    json_decref(o);
    return r;
}
