/* SPDX-License-Identifier: Apache-2.0 */
/* Incidents for commands, status and report. */
#include "coordinator/incident_json.h"

#include "coordinator/entry.h"

#include <string.h>

static json_t *steps_json(const struct incident *incident, uint64_t now_ms)
{
    struct incident_clocks clocks = incident_clocks_default();
    json_t *steps = json_object();
    for (int k = 0; k < INCIDENT_STEPS; k++) {
        enum incident_step step = (enum incident_step)k;
        int64_t due = incident_due(incident, &clocks, step);
        json_t *o = json_object();
        if (incident->done_ms[k])
            json_object_set_new(o, "done_ms", json_integer(incident->done_ms[k]));
        if (due)
            json_object_set_new(o, "due_ms", json_integer(due));
        if (due && (int64_t)now_ms > due)
            json_object_set_new(o, "overdue", json_true());
        json_object_set_new(steps, incident_step_name(step), o);
    }
    return steps;
}

json_t *incident_json(const struct incident *incident, const unsigned char *hash, uint64_t now_ms)
{
    char model[HEX_HASH_BYTES];
    hex_hash(model, hash);
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:o}", "incident", incident->id, "model", model,
                     "severity", incident_severity_name(incident->severity), "text", incident->text,
                     "aware_ms", (json_int_t)incident->aware_ms, "steps",
                     steps_json(incident, now_ms));
}

/* Incidents copied first: each needs another query for its model. */
struct found {
    struct incident incident;
    unsigned char hash[PLAN_HASH_BYTES];
};
enum { FOUND_MAX = 64 };
struct search {
    size_t n;
    struct found list[FOUND_MAX];
};

static bool add_open(void *context, const struct incident *incident, const unsigned char *hash)
{
    struct search *search = context;
    if (incident->done_ms[INCIDENT_CLOSE] != 0)
        return true;
    search->list[search->n].incident = *incident;
    memcpy(search->list[search->n].hash, hash, PLAN_HASH_BYTES);
    return ++search->n < FOUND_MAX;
}

struct result incidents_open(struct store *store, const char *study, uint64_t now_ms,
                             json_t **ret_list, struct why *why)
{
    struct search search = {0};
    struct incident_clocks clocks = incident_clocks_default();
    TRY(registry_each_incident(store, add_open, &search, why));
    *ret_list = json_array();
    for (size_t i = 0; i < search.n; i++) {
        const struct found *found = &search.list[i];
        struct registry_model model;
        struct why none;
        bool known = ok(registry_read(store, found->hash, &model, &none));
        enum incident_step late = incident_overdue(&found->incident, &clocks, (int64_t)now_ms);
        if (study && (!known || strcmp(model.study, study) != 0))
            continue;
        json_t *o = incident_json(&found->incident, found->hash, now_ms);
        if (known)
            json_object_set_new(o, "study", json_string_nocheck(model.study));
        if (late != INCIDENT_STEPS)
            json_object_set_new(o, "overdue", json_string(incident_step_name(late)));
        json_array_append_new(*ret_list, o);
    }
    return DONE;
}
