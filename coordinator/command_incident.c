/* SPDX-License-Identifier: Apache-2.0 */
/* Incidents: opened about a model, worked off step by step against their clocks, each step an audit
 * entry. */
#include "coordinator/command_inner.h"

#include "coordinator/entry.h"
#include "coordinator/incident_json.h"
#include "coordinator/registry_json.h"
#include "proto/base/cleanup.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct listing {
    json_t *list;
    uint64_t now_ms;
};

static bool add_incident(void *context, const struct incident *incident, const unsigned char *hash)
{
    struct listing *listing = context;
    json_array_append_new(listing->list, incident_json(incident, hash, listing->now_ms));
    return true;
}

struct result verb_incidents(struct user_command *c, struct why *why)
{
    struct listing listing = {.list = json_array(), .now_ms = c->now_ms};
    struct result r = registry_each_incident(c->drive->options.store, add_incident, &listing, why);
    json_t *o = json_pack("{s:o}", "incidents", listing.list);
    if (ok(r))
        return command_answer(c, o, why);
    json_decref(o);
    return r;
}

static const char *argument(const struct user_command *c, const char *key)
{
    const char *text = json_string_value(json_object_get(c->arguments, key));
    return text ? text : "";
}

/* Row and entry in one transaction; the answer is the incident. */
static struct result keep(struct user_command *c, const struct incident *incident,
                          const struct registry_model *model, const char *event, struct why *why)
{
    struct store *store = c->drive->options.store;
    char hash[HEX_HASH_BYTES];
    hex_hash(hash, model->hash);
    json_t *entry = json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "kind", "incident",
                              "ms", (json_int_t)c->now_ms, "study", model->study, "model", hash,
                              "incident", incident->id, "event", event, "severity",
                              incident_severity_name(incident->severity), "text", incident->text,
                              "by", c->user->name);
    CLEANUP(free_pointer) char *text = json_dumps(entry, JSON_COMPACT);
    json_decref(entry);
    if (!text)
        return failed(why, RESULT_SYSTEM, "out of memory for an audit entry");
    TRY(store_begin(store, why));
    struct result r = registry_put_incident(store, incident, model->hash, why);
    if (ok(r))
        r = store_log(store, c->now_ms, model->study, "incident", text, strlen(text), why);
    if (ok(r))
        r = store_commit(store, why);
    if (!ok(r)) {
        store_rollback(store);
        return r;
    }
    return command_answer(c, incident_json(incident, model->hash, c->now_ms), why);
}

/* The name is ours: day and four random digits. */
static void new_name(char out[INCIDENT_ID_BYTES], uint64_t now_ms)
{
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm parts = {0};
    char day[16] = "";
    if (gmtime_r(&seconds, &parts))
        strftime(day, sizeof day, "%Y%m%d", &parts);
    snprintf(out, INCIDENT_ID_BYTES, "%s-%04x", day, (unsigned)randombytes_uniform(0x10000));
}

static struct result open_incident(struct user_command *c, struct why *why)
{
    struct registry_model model;
    struct incident incident, known;
    enum incident_severity severity;
    char id[INCIDENT_ID_BYTES];
    unsigned char hash[PLAN_HASH_BYTES];
    struct why unknown;
    TRY(registry_find(c->drive->options.store, argument(c, "model"), &model, why));
    if (!incident_severity_from_name(argument(c, "severity"), &severity))
        return failed(why, RESULT_INPUT,
                      "the severity is one of critical, serious, moderate, minor");
    do
        new_name(id, c->now_ms);
    while (ok(registry_read_incident(c->drive->options.store, id, &known, hash, &unknown)));
    TRY(incident_open(&incident, id, argument(c, "text"), severity, (int64_t)c->now_ms, why));
    return keep(c, &incident, &model, "open", why);
}

static struct result mark_incident(struct user_command *c, enum incident_step step, struct why *why)
{
    struct registry_model model;
    struct incident incident;
    unsigned char hash[PLAN_HASH_BYTES];
    TRY(registry_read_incident(c->drive->options.store, argument(c, "incident"), &incident, hash,
                               why));
    TRY(registry_read(c->drive->options.store, hash, &model, why));
    TRY(incident_mark(&incident, step, (int64_t)c->now_ms, why));
    return keep(c, &incident, &model, incident_step_name(step), why);
}

struct result verb_incident(struct user_command *c, struct why *why)
{
    const char *event = argument(c, "event");
    if (strcmp(event, "open") == 0)
        return open_incident(c, why);
    for (int k = 0; k < INCIDENT_STEPS; k++)
        if (strcmp(event, incident_step_name((enum incident_step)k)) == 0)
            return mark_incident(c, (enum incident_step)k, why);
    return failed(why, RESULT_INPUT,
                  "an incident's event is open, acknowledge, contain, report or "
                  "close");
}
