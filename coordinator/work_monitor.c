/* SPDX-License-Identifier: Apache-2.0 */
/* Looks of watched models. A suspension by a rule needs no human; coming back into use does. */
#include "coordinator/work_monitor.h"

#include "coordinator/entry.h"
#include "coordinator/paper.h"
#include "coordinator/registry_json.h"
#include "coordinator/work_validate.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *text_at(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

/* A rule's severity as an incident's: a model in use may have harmed somebody. */
static enum incident_severity incident_severity_of(enum monitor_severity severity, enum stage from)
{
    if (severity == MONITOR_SUSPEND)
        return from == STAGE_PROMOTED ? INCIDENT_SERIOUS : INCIDENT_MODERATE;
    return from == STAGE_PROMOTED ? INCIDENT_MODERATE : INCIDENT_MINOR;
}

/* Day, and four digits that follow from model and task, so that the step done again after a crash
 * has the same name. */
static void incident_name(char out[INCIDENT_ID_BYTES], const unsigned char *model, uint32_t task,
                          uint64_t now_ms)
{
    unsigned char hash[crypto_generichash_BYTES];
    crypto_generichash_state state;
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm parts = {0};
    char day[16] = "";
    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    crypto_generichash_update(&state, model, PLAN_HASH_BYTES);
    crypto_generichash_update(&state, (const unsigned char *)&task, sizeof task);
    crypto_generichash_final(&state, hash, sizeof hash);
    if (gmtime_r(&seconds, &parts))
        strftime(day, sizeof day, "%Y%m%d", &parts);
    snprintf(out, INCIDENT_ID_BYTES, "%s-%02x%02x%02x%02x", day, hash[0], hash[1], hash[2],
             hash[3]);
}

/* The monitor's own open incident, if there is one. */
static bool known_incident(struct store *store, const char *id, struct incident *incident)
{
    unsigned char hash[PLAN_HASH_BYTES];
    struct why none;
    return id[0] && ok(registry_read_incident(store, id, incident, hash, &none)) &&
           incident->done_ms[INCIDENT_CLOSE] == 0;
}

static struct result settle_incident(struct store *store, const char *id, const char *words,
                                     const char *owner, struct monitor_ending *out, struct why *why)
{
    char name[INCIDENT_ID_BYTES], text[INCIDENT_TEXT_BYTES];
    enum incident_severity severity = incident_severity_of(out->severity, out->from);
    if (out->severity == MONITOR_FINE)
        return DONE;
    if (known_incident(store, id, &out->incident)) {
        if (severity >= out->incident.severity)
            return DONE; /* it is worked on with that severity already */
        out->incident_event = "raise";
        return incident_raise(&out->incident, severity, why);
    }
    incident_name(name, out->row.model, out->task, out->now_ms);
    snprintf(text, sizeof text, "monitoring (owner %s): %s", owner, words);
    out->incident_event = "open";
    return incident_open(&out->incident, name, text, severity, (int64_t)out->now_ms, why);
}

static struct result suspend(struct drive *drive, const char *words, struct monitor_ending *out,
                             struct why *why)
{
    char reason[STAGE_REASON_BYTES];
    struct gate_rules rules;
    bool movable =
        out->from == STAGE_SHADOW || out->from == STAGE_PILOT || out->from == STAGE_PROMOTED;
    if (out->severity != MONITOR_SUSPEND || !movable)
        return DONE;
    TRY(paper_rules(drive->options.store, drive->options.gate, &rules, why));
    snprintf(reason, sizeof reason, "monitoring: %.140s", words);
    struct stage_event event = {
        .kind = STAGE_EVENT_SUSPEND,
        .now_ms = (int64_t)out->now_ms,
        .reason = reason,
    };
    out->suspended = true;
    return stage_step(&out->model.stage, &rules.stages, &event, why);
}

static const char *standing(const struct monitor_ending *out, const json_t *state,
                            const json_t *progress)
{
    if (out->suspended)
        return "suspended";
    if (monitoring_looks_done(progress) >=
        monitoring_looks_planned(json_object_get(state, "terms")))
        return "ended";
    return text_at(state, "status");
}

static struct result follow(struct drive *drive, json_t *state, const json_t *record,
                            struct monitor_ending *out, struct why *why)
{
    struct store *store = drive->options.store;
    const json_t *progress = json_object_get(record, "progress");
    char words[MONITOR_WORDS + 64];
    monitoring_words(record, words, sizeof words);
    TRY(registry_read(store, out->row.model, &out->model, why));
    out->from = out->model.stage.stage;
    TRY(suspend(drive, words, out, why));
    TRY(settle_incident(store, text_at(state, "incident"), words,
                        text_at(json_object_get(state, "terms"), "owner"), out, why));
    const char *status = standing(out, state, progress);
    out->row.running = out->row.running && strcmp(status, "running") == 0;
    json_object_set_new(state, "status", json_string(status));
    json_object_set(state, "progress", json_object_get(record, "progress"));
    json_object_set(state, "severity", json_object_get(record, "severity"));
    json_object_set(state, "deadline_ms", json_object_get(record, "deadline_ms"));
    json_object_set_new(state, "last_ms", json_integer((json_int_t)out->now_ms));
    if (out->incident_event)
        json_object_set_new(state, "incident", json_string(out->incident.id));
    return monitoring_text(state, &out->state, why);
}

struct result monitor_conclude(struct drive *drive, const struct validation_row *run,
                               const char *text, uint64_t now_ms, struct monitor_ending *out,
                               struct why *why)
{
    CLEANUP(free_pointer) char *stored = NULL;
    json_t *record = NULL;
    out->task = run->task;
    out->now_ms = now_ms;
    TRY(monitors_read(drive->options.store, run->model, &out->row, &stored, why));
    json_t *state = json_loads(stored, 0, NULL), *result = json_loads(text, 0, NULL);
    struct result r =
        monitoring_look(json_object_get(state, "terms"), json_object_get(state, "progress"),
                        json_object_get(result, "summary"), run->task, (int64_t)now_ms, &record,
                        &out->severity, why);
    if (ok(r))
        r = monitoring_text(record, &out->record, why);
    if (ok(r)) {
        out->look = (unsigned)json_integer_value(json_object_get(record, "look"));
        r = follow(drive, state, record, out, why);
    }
    out->used = ok(r);
    json_decref(record);
    json_decref(result);
    json_decref(state);
    return r;
}

static struct result log_entry(struct store *store, const struct monitor_ending *e,
                               const char *kind, json_t *entry, struct why *why)
{
    char hash[HEX_HASH_BYTES];
    hex_hash(hash, e->row.model);
    json_object_set_new(entry, "kind", json_string(kind));
    json_object_set_new(entry, "ms", json_integer((json_int_t)e->now_ms));
    json_object_set_new(entry, "study", json_string_nocheck(e->row.study));
    json_object_set_new(entry, "model", json_string(hash));
    json_object_set_new(entry, "task", json_integer(e->task));
    CLEANUP(free_pointer) char *text = json_dumps(entry, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(entry);
    return text ? store_log(store, e->now_ms, e->row.study, kind, text, strlen(text), why)
                : failed(why, RESULT_SYSTEM, "out of memory for an audit entry");
}

static struct result write_suspension(struct store *store, const struct monitor_ending *e,
                                      struct why *why)
{
    if (!e->suspended)
        return DONE;
    TRY(registry_put(store, &e->model, why));
    json_t *entry = json_pack("{s:s, s:s, s:s, s:[], s:s}", "from", stage_name(e->from), "to",
                              stage_name(e->model.stage.stage), "reason", e->model.stage.reason,
                              "signers", "by", MONITOR_HAND);
    return log_entry(store, e, "stage", entry, why);
}

static struct result write_incident(struct store *store, const struct monitor_ending *e,
                                    struct why *why)
{
    if (!e->incident_event)
        return DONE;
    TRY(registry_put_incident(store, &e->incident, e->row.model, why));
    json_t *entry =
        json_pack("{s:s, s:s, s:s, s:s, s:s}", "incident", e->incident.id, "event",
                  e->incident_event, "severity", incident_severity_name(e->incident.severity),
                  "text", e->incident.text, "by", MONITOR_HAND);
    return log_entry(store, e, "incident", entry, why);
}

struct result monitor_write(struct drive *drive, const struct monitor_ending *e, struct why *why)
{
    struct store *store = drive->options.store;
    if (!e->used)
        return DONE;
    TRY(monitors_put(store, &e->row, e->state, why));
    TRY(monitors_put_look(store, e->row.model, e->task, e->now_ms, e->record, why));
    json_t *entry = json_pack("{s:i, s:s, s:s}", "look", (int)e->look, "severity",
                              monitor_severity_name(e->severity), "record", e->record);
    TRY(log_entry(store, e, "monitor-look", entry, why));
    TRY(write_suspension(store, e, why));
    return write_incident(store, e, why);
}

void monitor_after(struct drive *drive, const struct monitor_ending *e, uint64_t now_ms)
{
    (void)now_ms;
    if (!e->used)
        return;
    monitor_schedule(drive);
    if (e->suspended)
        log_warning("study %s: its model is suspended: %s", e->row.study, e->model.stage.reason);
    if (e->incident_event)
        log_warning("incident %s (%s): %s", e->incident.id, e->incident_event, e->incident.text);
}

void monitor_notice(struct store *store, const char *study, char *text, size_t n)
{
    char hash[HEX_HASH_BYTES];
    struct registry_model model;
    struct why none;
    text[0] = '\0';
    if (!ok(registry_find(store, study, &model, &none)) || strcmp(model.study, study) != 0)
        return;
    bool out = model.stage.stage == STAGE_SUSPENDED;
    bool back = model.stage.stage == STAGE_PROMOTED && model.stage.previous != STAGE_PILOT;
    if (!out && !back)
        return;
    hex_hash(hash, model.hash);
    snprintf(text, n, "model %.12s is %s%s%s", hash,
             out ? "suspended: do not use it" : "in use again", model.stage.reason[0] ? "; " : "",
             model.stage.reason);
    for (char *c = text; *c; c++) /* a person's reason; messages hold no control characters */
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
}

void monitor_ending_free(struct monitor_ending *ending)
{
    free(ending->state);
    free(ending->record);
}

void monitor_schedule(struct drive *drive)
{
    struct why why;
    if (!ok(monitors_due(drive->options.store, &drive->monitors_due_ms, &why))) {
        log_error("the monitors' schedule cannot be read: %s", why.text);
        drive->monitors_due_ms = UINT64_MAX;
    }
}

/* Monitors that are due, copied: the table is written while they are worked off. */
struct due {
    struct monitor_row row;
    char owner[MONITORING_OWNER_BYTES];
    uint64_t interval_ms;
};
struct due_list {
    uint64_t now_ms;
    size_t n;
    struct due list[DRIVE_STUDIES_MAX];
};

static bool add_due(void *context, const struct monitor_row *row, const char *state)
{
    struct due_list *due = context;
    if (!row->running || row->next_ms > due->now_ms)
        return true;
    json_t *o = json_loads(state, 0, NULL);
    const json_t *terms = json_object_get(o, "terms");
    struct due *d = &due->list[due->n++];
    d->row = *row;
    snprintf(d->owner, sizeof d->owner, "%s", text_at(terms, "owner"));
    d->interval_ms = (uint64_t)json_integer_value(json_object_get(terms, "interval_ms"));
    json_decref(o);
    return due->n < DRIVE_STUDIES_MAX;
}

static struct result open_look(struct drive *drive, const struct due *due, uint64_t now_ms,
                               struct why *why)
{
    struct running *running = NULL;
    struct validate_order order = {
        .model = due->row.model,
        .asker = due->owner,
        .look = true,
        .next_ms = now_ms + due->interval_ms,
    };
    TRY(drive_load(drive, due->row.study, &running, why));
    return validate_begin(drive, running, &order, now_ms, why);
}

static void postpone(struct drive *drive, const struct due *due, uint64_t now_ms)
{
    struct store *store = drive->options.store;
    struct why why;
    struct result r = store_begin(store, &why);
    if (ok(r))
        r = monitors_schedule(store, due->row.model, true, now_ms + MONITOR_RETRY_MS, &why);
    if (ok(r))
        r = store_commit(store, &why);
    if (ok(r))
        return;
    store_rollback(store);
    log_error("a look cannot be put off: %s", why.text);
    drive->backoff_until_ms = now_ms + DRIVE_BACKOFF_MS;
}

void monitor_tick(struct drive *drive, uint64_t now_ms)
{
    struct why why;
    if (now_ms < drive->monitors_due_ms)
        return;
    CLEANUP(free_pointer) struct due_list *due = calloc(1, sizeof *due);
    if (!due)
        return;
    due->now_ms = now_ms;
    struct result r = monitors_each(drive->options.store, add_due, due, &why);
    for (size_t i = 0; ok(r) && i < due->n; i++) {
        struct why reason;
        if (ok(open_look(drive, &due->list[i], now_ms, &reason)))
            continue;
        log_warning("study %s: the look that is due waits: %s", due->list[i].row.study,
                    reason.text);
        postpone(drive, &due->list[i], now_ms);
    }
    monitor_schedule(drive);
}
