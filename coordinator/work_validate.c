/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of finished models: inputs come from the store, so a restart in the middle concludes the
 * same again. */
#include "coordinator/work_validate.h"

#include "coordinator/entry.h"
#include "coordinator/work_monitor.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct result log_entry(struct store *store, const char *study, const char *kind,
                               uint64_t now_ms, json_t *entry, struct why *why)
{
    json_object_set_new(entry, "kind", json_string(kind));
    json_object_set_new(entry, "ms", json_integer((json_int_t)now_ms));
    json_object_set_new(entry, "study", json_string_nocheck(study));
    CLEANUP(free_pointer) char *text = json_dumps(entry, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(entry);
    return text ? store_log(store, now_ms, study, kind, text, strlen(text), why)
                : failed(why, RESULT_SYSTEM, "out of memory for an audit entry");
}

struct beginning {
    const struct validate_order *order;
    uint64_t now_ms;
};

static json_t *asked_names(const struct study *study)
{
    json_t *names = json_array();
    for (uint32_t i = 0; i < study->members_count; i++)
        if (study->task.sites[i].standing != STANDING_OUT)
            json_array_append_new(names, json_string_nocheck(study->members[i].name));
    return names;
}

/* What the gate will judge with once the sites have answered. */
static struct result write_gate(struct store *store, const struct study *study,
                                const struct gate_look *look, json_t *entry, struct why *why)
{
    char hash[HEX_HASH_BYTES];
    json_t *epochs = json_object();
    TRY(store_put_model(store, study->name, study->round, look->set_hash, look->set.bytes,
                        look->set.n, why));
    TRY(store_put_record(store, study->name, study->task.task, GATE_INCUMBENT_RECORD, look->record,
                         why));
    for (uint32_t i = 0; i < study->members_count; i++)
        if (study->task.sites[i].epochs_after > 0)
            json_object_set_new(epochs, study->members[i].name,
                                json_integer((json_int_t)study->task.sites[i].epochs_after));
    hex_hash(hash, look->set_hash);
    json_object_set_new(entry, "gate", json_true());
    json_object_set_new(entry, "set", json_string(hash));
    json_object_set_new(entry, "epochs_after", epochs);
    return DONE;
}

static struct result write_beginning(struct store *store, const struct study *study, void *context,
                                     struct why *why)
{
    const struct beginning *b = context;
    const struct validate_order *order = b->order;
    char hash[HEX_HASH_BYTES];
    struct validation_row row = {
        .task = study->task.task,
        .look = order->look,
        .gate = order->gate != NULL,
        .opened_ms = b->now_ms,
    };
    snprintf(row.study, sizeof row.study, "%s", study->name);
    snprintf(row.asker, sizeof row.asker, "%s", order->asker);
    memcpy(row.model, order->model, PLAN_HASH_BYTES);
    if (order->command)
        memcpy(row.command, order->command, SESSION_ID_BYTES);
    TRY(validations_open(store, &row, why));
    if (order->look && order->next_ms > 0)
        TRY(monitors_schedule(store, order->model, true, order->next_ms, why));
    hex_hash(hash, order->model);
    json_t *entry = json_object();
    json_object_set_new(entry, "task", json_integer(study->task.task));
    json_object_set_new(entry, "model", json_string(hash));
    json_object_set_new(entry, "look", json_boolean(order->look));
    json_object_set_new(entry, "by", json_string_nocheck(order->asker));
    json_object_set_new(entry, "sites", asked_names(study));
    if (order->gate) {
        struct result r = write_gate(store, study, order->gate, entry, why);
        if (!ok(r))
            json_decref(entry);
        TRY(r);
    }
    if (order->evidence)
        json_object_update_missing(entry, (json_t *)(uintptr_t)order->evidence);
    return log_entry(store, study->name, "validation-opened", b->now_ms, entry, why);
}

struct result validate_begin(struct drive *drive, struct running *running,
                             const struct validate_order *order, uint64_t now_ms, struct why *why)
{
    struct store_bytes payload = {0};
    TRY(store_read_model(drive->options.store, order->model, &payload, why));
    free(payload.bytes);
    struct beginning beginning = {.order = order, .now_ms = now_ms};
    struct study_event event = {
        .kind = STUDY_EVENT_VALIDATE,
        .now_ms = now_ms,
        .evaluation = order->gate ? order->gate->set_hash : order->model,
        .asked = order->gate ? order->gate->asked : order->asked,
        .epochs_after = order->gate ? order->gate->epochs_after : NULL,
    };
    struct step_extra extra = {.write = write_beginning, .context = &beginning};
    return drive_step(drive, running, &event, &extra, why);
}

struct result validate_read(struct drive *drive, const struct study *study, uint32_t task,
                            struct validate_inputs *inputs, struct why *why)
{
    inputs->n = 0;
    for (uint32_t site = 0; site < study->members_count; site++) {
        struct store_bytes payload = {0};
        struct why none;
        struct result r =
            store_read_object(drive->options.store, study->name, task, site, &payload, &none);
        if (r.code == RESULT_INPUT)
            continue; /* this site was not counted */
        if (!ok(r))
            return failed(why, r.code, "%s", none.text);
        struct pooling_input *input = &inputs->list[inputs->n];
        input->site = site;
        r = payload_evaluation_decode(&input->evaluation, payload.bytes, payload.n, why);
        free(payload.bytes);
        TRY(r);
        inputs->n++;
    }
    return DONE;
}

void validate_inputs_free(struct validate_inputs *inputs)
{
    for (size_t i = 0; i < inputs->n; i++)
        payload_evaluation_free(&inputs->list[i].evaluation);
    inputs->n = 0;
}

/* A run that ends. */
struct ending {
    struct drive *drive;
    struct validation_row row;
    struct validate_inputs inputs;
    char *text, *full;
    struct monitor_ending monitor;
    struct gated gated;
    uint64_t now_ms;
};

static void free_ending(struct ending **ending)
{
    if (!*ending)
        return;
    validate_inputs_free(&(*ending)->inputs);
    free((*ending)->text);
    free((*ending)->full);
    monitor_ending_free(&(*ending)->monitor);
    gated_free(&(*ending)->gated);
    free(*ending);
}

static struct result write_ending(struct store *store, const struct study *study, void *context,
                                  struct why *why)
{
    struct ending *e = context;
    char hash[HEX_HASH_BYTES];
    TRY(validations_close(store, study->name, e->row.task, e->now_ms, e->full, why));
    TRY(gate_write(store, study, &e->gated, why)); /* before the entry that ends the evaluations */
    hex_hash(hash, e->row.model);
    json_t *entry = json_object();
    json_object_set_new(entry, "task", json_integer(e->row.task));
    json_object_set_new(entry, "model", json_string(hash));
    json_object_set_new(entry, "record", json_string_nocheck(e->text));
    TRY(log_entry(store, study->name, "validated", e->now_ms, entry, why));
    return monitor_write(e->drive, &e->monitor, why);
}

static struct result conclude(struct drive *drive, struct running *running, struct ending *e,
                              struct why *why)
{
    const struct study *study = &running->study;
    TRY(validations_read(drive->options.store, study->name, study->task.task, &e->row, NULL, why));
    TRY(validate_read(drive, study, study->task.task, &e->inputs, why));
    struct validation_case in = {
        .study = study,
        .plan = &running->plan,
        .inputs = e->inputs.list,
        .n = e->inputs.n,
        .model = e->row.model,
    };
    TRY(validation_text(&in, &e->text, why));
    TRY(validation_full(&in, e->text, &e->full, why));
    if (e->row.gate)
        return gate_judge(drive, running, e->inputs.list, e->inputs.n, e->now_ms, &e->gated, why);
    return e->row.look ? monitor_conclude(drive, &e->row, e->text, e->now_ms, &e->monitor, why)
                       : DONE;
}

struct result validate_pool(struct drive *drive, struct running *running, uint64_t now_ms,
                            struct why *why)
{
    CLEANUP(free_ending) struct ending *ending = calloc(1, sizeof *ending);
    if (!ending)
        return failed(why, RESULT_SYSTEM, "out of memory");
    ending->drive = drive;
    ending->now_ms = now_ms;
    TRY(conclude(drive, running, ending, why));
    struct study_event event = {
        .kind = STUDY_EVENT_POOLED,
        .now_ms = now_ms,
        .task = running->study.task.task,
    };
    struct step_extra extra = {.write = write_ending, .context = ending};
    TRY(drive_step(drive, running, &event, &extra, why));
    if (ending->gated.used)
        log_info("study %s task %u: the gate looked again: %s", running->study.name,
                 running->study.task.task, gate_decision_name(ending->gated.model.decision));
    log_info("study %s task %u: validated, %zu sites gave figures", running->study.name,
             running->study.task.task, ending->inputs.n);
    monitor_after(drive, &ending->monitor, now_ms);
    return DONE;
}
