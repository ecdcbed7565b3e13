/* SPDX-License-Identifier: Apache-2.0 */
/* Validations, looks and incidents of a study's models, for its report. */
#include "coordinator/report_after.h"

#include "coordinator/entry.h"
#include "coordinator/incident_json.h"
#include "coordinator/monitors.h"

#include <string.h>

static bool add_validation(void *context, const struct validation_row *row, const char *record)
{
    char hash[HEX_HASH_BYTES];
    json_t *full = json_loads(record, 0, NULL);
    hex_hash(hash, row->model);
    json_t *o = json_pack("{s:I, s:s, s:s, s:b, s:I, s:I}", "task", (json_int_t)row->task, "model",
                          hash, "by", row->asker, "look", row->look, "opened_ms",
                          (json_int_t)row->opened_ms, "closed_ms", (json_int_t)row->closed_ms);
    json_object_set(o, "summary", json_object_get(full, "summary"));
    json_object_set(o, "new_hospital", json_object_get(full, "new_hospital"));
    json_object_set(o, "non_results", json_object_get(full, "non_results"));
    json_array_insert_new(context, 0, o); /* newest come first */
    json_decref(full);
    return true;
}

static bool add_look(void *context, uint64_t ms, const char *record)
{
    (void)ms;
    json_array_append_new(context, json_loads(record, 0, NULL));
    return true;
}

struct monitors {
    const char *study;
    size_t n;
    unsigned char models[16][PLAN_HASH_BYTES];
    json_t *list;
};

static bool add_monitor(void *context, const struct monitor_row *row, const char *state)
{
    struct monitors *m = context;
    char hash[HEX_HASH_BYTES];
    if (strcmp(row->study, m->study) != 0)
        return true;
    json_t *o = json_loads(state, 0, NULL);
    hex_hash(hash, row->model);
    json_object_set_new(o, "model", json_string(hash));
    json_array_append_new(m->list, o);
    memcpy(m->models[m->n], row->model, PLAN_HASH_BYTES);
    return ++m->n < sizeof m->models / sizeof m->models[0];
}

static struct result add_monitors(struct store *store, const char *study, json_t *report,
                                  struct why *why)
{
    struct monitors monitors = {.study = study, .list = json_array()};
    json_object_set_new(report, "monitors", monitors.list);
    TRY(monitors_each(store, add_monitor, &monitors, why));
    for (size_t i = 0; i < monitors.n; i++) {
        json_t *looks = json_array();
        json_object_set_new(json_array_get(monitors.list, i), "looks", looks);
        TRY(monitors_each_look(store, monitors.models[i], add_look, looks, why));
    }
    return DONE;
}

struct result report_after(struct store *store, const char *study, uint64_t now_ms, json_t *report,
                           struct why *why)
{
    json_t *validations = json_array(), *incidents = NULL;
    json_object_set_new(report, "validations", validations);
    TRY(validations_each(store, study, add_validation, validations, why));
    TRY(add_monitors(store, study, report, why));
    TRY(incidents_open(store, study, now_ms, &incidents, why));
    json_object_set_new(report, "incidents", incidents);
    return DONE;
}
