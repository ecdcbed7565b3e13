/* SPDX-License-Identifier: Apache-2.0 */
/* Gate work: inputs come from the store, so a restart in the middle judges the same again. */
#include "coordinator/work_gate.h"

#include "coordinator/entry.h"
#include "proto/base/cleanup.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct wanted {
    const char *kind;
    char *text;
    bool no_memory;
};

static bool keep_last(void *context, const struct store_record *record)
{
    struct wanted *wanted = context;
    if (strcmp(record->kind, wanted->kind) != 0)
        return true;
    free(wanted->text);
    wanted->text = strdup(record->json);
    wanted->no_memory = !wanted->text;
    return !wanted->no_memory;
}

struct result gate_last_record(struct store *store, const char *study, const char *kind,
                               char **ret_text, struct why *why)
{
    struct wanted wanted = {.kind = kind};
    struct result r = store_each_record(store, study, keep_last, &wanted, why);
    if (ok(r) && wanted.no_memory)
        r = failed(why, RESULT_SYSTEM, "out of memory for a record");
    *ret_text = wanted.text;
    return r;
}

static char *incumbent_record(const struct registry_model *model)
{
    char hash[HEX_HASH_BYTES];
    hex_hash(hash, model->hash);
    json_t *o = json_pack("{s:s, s:s, s:i}", "hash", hash, "study", model->study, "round",
                          (int)model->round);
    char *text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    return text;
}

/* set and one more model, encoded anew. */
static struct result append(const struct model_bytes *set, const struct store_bytes *other,
                            struct model_bytes *ret_with, struct why *why)
{
    CLEANUP(payload_model_set_free) struct payload_model_set models = {0};
    CLEANUP(payload_model_set_free) struct payload_model_set single = {0};
    TRY(payload_model_set_decode(&models, set->bytes, set->n, why));
    TRY(payload_model_set_decode(&single, other->bytes, other->n, why));
    if (single.parameters_count != models.parameters_count || single.models_count < 1 ||
        models.models_count >= PAYLOAD_MODELS_MAX)
        return DONE;
    struct payload_model *more =
        realloc(models.models, (models.models_count + 1) * sizeof *models.models);
    if (!more)
        return failed(why, RESULT_SYSTEM, "out of memory for the model in use");
    models.models = more;
    struct payload_model *last = &models.models[models.models_count++];
    memset(last, 0, sizeof *last);
    snprintf(last->name, sizeof last->name, "%s", JUDGE_INCUMBENT);
    last->parameters = single.models[0].parameters;
    single.models[0].parameters = NULL;
    return payload_model_set_encode(&models, &ret_with->bytes, &ret_with->n, why);
}

struct result gate_add_incumbent(struct drive *drive, const struct running *running,
                                 const struct model_bytes *set, struct model_bytes *ret_with,
                                 char **ret_record, struct why *why)
{
    unsigned char family[PLAN_HASH_BYTES];
    struct registry_model model;
    struct store_bytes payload = {0};
    bool found = false;
    judge_family(&running->plan, family);
    TRY(registry_promoted(drive->options.store, family, &model, &found, why));
    if (!found)
        return DONE;
    if (!(running->plan.privacy.metrics_noise > 0.0)) {
        TRY(store_read_model(drive->options.store, model.hash, &payload, why));
        struct result r = append(set, &payload, ret_with, why);
        free(payload.bytes);
        TRY(r);
    }
    *ret_record = incumbent_record(&model);
    return *ret_record ? DONE : failed(why, RESULT_SYSTEM, "out of memory");
}

/* The model that the last evaluation compared with, by the record made when it was opened. */
static struct result read_incumbent(struct drive *drive, const char *study,
                                    unsigned char hash[PLAN_HASH_BYTES], bool *ret_found,
                                    struct why *why)
{
    CLEANUP(free_pointer) char *text = NULL;
    *ret_found = false;
    TRY(gate_last_record(drive->options.store, study, GATE_INCUMBENT_RECORD, &text, why));
    if (!text)
        return DONE;
    json_t *o = json_loads(text, 0, NULL);
    const char *hex = json_string_value(json_object_get(o, "hash"));
    size_t n = 0;
    *ret_found = hex &&
                 sodium_hex2bin(hash, PLAN_HASH_BYTES, hex, strlen(hex), NULL, &n, NULL) == 0 &&
                 n == PLAN_HASH_BYTES;
    json_decref(o);
    return *ret_found ? DONE
                      : failed(why, RESULT_INPUT, "the record of the model in use is damaged");
}

/* A model judged before keeps its stage. */
static void fill_row(struct drive *drive, const struct running *running, struct gated *out,
                     const unsigned char *incumbent)
{
    const struct study *study = &running->study;
    struct registry_model *m = &out->model;
    struct why unknown;
    if (!ok(registry_read(drive->options.store, study->candidate, m, &unknown))) {
        memset(m, 0, sizeof *m);
        memcpy(m->hash, study->candidate, PLAN_HASH_BYTES);
        snprintf(m->study, sizeof m->study, "%s", study->name);
        m->round = study->round;
        m->proposed_ms = out->now_ms;
        stage_init(&m->stage, (int64_t)out->now_ms);
        judge_family(&running->plan, m->family);
    }
    m->task = study->task.task;
    m->decision = out->judgement.decision;
    memset(m->incumbent, 0, sizeof m->incumbent);
    if (incumbent)
        memcpy(m->incumbent, incumbent, PLAN_HASH_BYTES);
}

struct result gate_judge(struct drive *drive, const struct running *running,
                         const struct pooling_input *inputs, size_t n, uint64_t now_ms,
                         struct gated *out, struct why *why)
{
    unsigned char incumbent[PLAN_HASH_BYTES];
    bool found = false;
    struct gate_rules rules = gate_rules_default();
    TRY(read_incumbent(drive, running->study.name, incumbent, &found, why));
    struct judge_case in = {
        .study = &running->study,
        .plan = &running->plan,
        .inputs = inputs,
        .n = n,
        .policy = drive->options.gate ? &drive->options.gate->gate : &rules.gate,
        .candidate = running->study.candidate,
        .incumbent = found ? incumbent : NULL,
        .now_ms = now_ms,
    };
    TRY(judge(&in, &out->judgement, why));
    out->used = true;
    out->now_ms = now_ms;
    fill_row(drive, running, out, in.incumbent);
    return DONE;
}

struct result gate_write(struct store *store, const struct study *study, const struct gated *gated,
                         struct why *why)
{
    const char *entry = gated->judgement.entry;
    if (!gated->used)
        return DONE;
    TRY(store_put_record(store, study->name, gated->model.task, GATE_RECORD, entry, why));
    TRY(store_log(store, gated->now_ms, study->name, "gate", entry, strlen(entry), why));
    return registry_put(store, &gated->model, why);
}

void gated_free(struct gated *gated)
{
    judgement_free(&gated->judgement);
}
