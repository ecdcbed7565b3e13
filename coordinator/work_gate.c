/* SPDX-License-Identifier: Apache-2.0 */
/* Gate work: inputs come from the store, so a restart in the middle judges the same again. */
#include "coordinator/work_gate.h"

#include "coordinator/entry.h"
#include "coordinator/paper.h"
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

/* Names of the models in the judged set: the one in use, and the ledger's. */
struct rivals {
    struct registry_model in_use;
    size_t count;
    struct judge_compared earlier[LEDGER_COMPARATORS_MAX];
};

static char *rivals_record(const struct rivals *rivals)
{
    char hash[HEX_HASH_BYTES];
    json_t *earlier = json_array();
    for (size_t i = 0; i < rivals->count; i++) {
        hex_hash(hash, rivals->earlier[i].model);
        json_array_append_new(earlier, json_pack("{s:s, s:s}", "name", rivals->earlier[i].name,
                                                 "hash", hash));
    }
    hex_hash(hash, rivals->in_use.hash);
    json_t *o = json_pack("{s:s, s:s, s:i, s:o}", "hash", hash, "study", rivals->in_use.study,
                          "round", (int)rivals->in_use.round, "earlier", earlier);
    char *text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    return text;
}

/* One more model into the set; passed over when it has another shape or there is no room. */
static struct result append(struct drive *drive, const unsigned char *hash, const char *name,
                            struct payload_model_set *models, bool *ret_added, struct why *why)
{
    CLEANUP(payload_model_set_free) struct payload_model_set single = {0};
    struct store_bytes bytes = {0};
    *ret_added = false;
    TRY(store_read_model(drive->options.store, hash, &bytes, why));
    struct result r = payload_model_set_decode(&single, bytes.bytes, bytes.n, why);
    free(bytes.bytes);
    TRY(r);
    if (single.parameters_count != models->parameters_count || single.models_count < 1 ||
        models->models_count >= PAYLOAD_MODELS_MAX)
        return DONE;
    struct payload_model *more =
        realloc(models->models, (models->models_count + 1) * sizeof *models->models);
    if (!more)
        return failed(why, RESULT_SYSTEM, "out of memory for the model in use");
    models->models = more;
    struct payload_model *last = &models->models[models->models_count++];
    memset(last, 0, sizeof *last);
    snprintf(last->name, sizeof last->name, "%s", name);
    last->parameters = single.models[0].parameters;
    last->round = single.round; /* so that a site knows it by its hash */
    single.models[0].parameters = NULL;
    *ret_added = true;
    return DONE;
}

static struct result append_rivals(struct drive *drive, struct rivals *rivals,
                                   const struct model_bytes *set, struct model_bytes *ret_with,
                                   struct why *why)
{
    CLEANUP(payload_model_set_free) struct payload_model_set models = {0};
    size_t kept = 0;
    bool added = false;
    TRY(payload_model_set_decode(&models, set->bytes, set->n, why));
    for (size_t i = 0; i < rivals->count; i++) {
        const struct judge_compared *earlier = &rivals->earlier[i];
        TRY(append(drive, earlier->model, earlier->name, &models, &added, why));
        if (added)
            rivals->earlier[kept++] = *earlier;
    }
    rivals->count = kept;
    TRY(append(drive, rivals->in_use.hash, JUDGE_INCUMBENT, &models, &added, why));
    return added ? payload_model_set_encode(&models, &ret_with->bytes, &ret_with->n, why) : DONE;
}

struct result gate_read_ledger(struct store *store, const unsigned char *family,
                               struct family_ledger **ret_ledger, struct why *why)
{
    CLEANUP(free_pointer) char *text = NULL;
    TRY(registry_read_ledger(store, family, &text, why));
    *ret_ledger = calloc(1, sizeof **ret_ledger);
    if (!*ret_ledger)
        return failed(why, RESULT_SYSTEM, "out of memory for the alpha ledger");
    return text ? family_ledger_read(text, strlen(text), *ret_ledger, why) : DONE;
}

static struct result find_earlier(struct drive *drive, const unsigned char *family,
                                  const unsigned char *candidate, struct rivals *rivals,
                                  struct why *why)
{
    CLEANUP(free_pointer) struct family_ledger *ledger = NULL;
    unsigned against[LEDGER_COMPARATORS_MAX];
    TRY(gate_read_ledger(drive->options.store, family, &ledger, why));
    rivals->count = family_ledger_comparators(ledger, candidate, rivals->in_use.hash, against);
    for (size_t i = 0; i < rivals->count; i++) {
        struct judge_compared *earlier = &rivals->earlier[i];
        snprintf(earlier->name, sizeof earlier->name, "earlier-%u", against[i]);
        memcpy(earlier->model, ledger->model[against[i]].hash, PLAN_HASH_BYTES);
    }
    return DONE;
}

struct result gate_add_incumbent(struct drive *drive, const struct running *running,
                                 const unsigned char candidate[PLAN_HASH_BYTES],
                                 const struct model_bytes *set, struct model_bytes *ret_with,
                                 char **ret_record, struct why *why)
{
    unsigned char family[PLAN_HASH_BYTES];
    struct rivals rivals = {.count = 0};
    bool found = false;
    judge_family(&running->plan, family);
    TRY(registry_promoted(drive->options.store, family, &rivals.in_use, &found, why));
    if (!found)
        return DONE;
    TRY(find_earlier(drive, family, candidate, &rivals, why));
    if (!(running->plan.privacy.metrics_noise > 0.0))
        TRY(append_rivals(drive, &rivals, set, ret_with, why));
    *ret_record = rivals_record(&rivals);
    return *ret_record ? DONE : failed(why, RESULT_SYSTEM, "out of memory");
}

static bool read_hash(const json_t *o, const char *key, unsigned char hash[PLAN_HASH_BYTES])
{
    size_t n = 0;
    const char *hex = json_string_value(json_object_get(o, key));
    return hex && sodium_hex2bin(hash, PLAN_HASH_BYTES, hex, strlen(hex), NULL, &n, NULL) == 0 &&
           n == PLAN_HASH_BYTES;
}

/* The models that the last evaluation compared with, by the record made when it was opened. */
static struct result read_rivals(struct drive *drive, const char *study, struct rivals *rivals,
                                 bool *ret_found, struct why *why)
{
    CLEANUP(free_pointer) char *text = NULL;
    *ret_found = false;
    TRY(gate_last_record(drive->options.store, study, GATE_INCUMBENT_RECORD, &text, why));
    if (!text)
        return DONE;
    json_t *o = json_loads(text, 0, NULL);
    const json_t *earlier = json_object_get(o, "earlier");
    bool good = read_hash(o, "hash", rivals->in_use.hash) &&
                json_array_size(earlier) <= LEDGER_COMPARATORS_MAX;
    for (size_t i = 0; good && i < json_array_size(earlier); i++) {
        const json_t *item = json_array_get(earlier, i);
        const char *name = json_string_value(json_object_get(item, "name"));
        struct judge_compared *to = &rivals->earlier[rivals->count++];
        snprintf(to->name, sizeof to->name, "%s", name ? name : "");
        good = read_hash(item, "hash", to->model);
    }
    json_decref(o);
    *ret_found = good;
    return good ? DONE : failed(why, RESULT_INPUT, "the record of the model in use is damaged");
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

/* What rule 1 compares: the plan in force for changes, and the plan of the model to be replaced. */
struct scope {
    struct pccp pccp;
    struct paper paper;
    struct plan before;
    bool has_before;
    struct registry_model model;
    struct judge_change change;
};

static void scope_free(struct scope *scope)
{
    paper_free(&scope->paper);
    if (scope->has_before)
        plan_free(&scope->before);
}

/* The newest model in use whose study predicts the same column. */
struct predecessor {
    struct store *store;
    const struct plan *plan;
    struct scope *scope;
    struct result result;
    struct why *why;
};

static bool try_predecessor(void *context, const struct registry_model *model)
{
    struct predecessor *p = context;
    struct store_bytes bytes = {0};
    char researcher[PLAN_NAME_BYTES];
    if (model->stage.stage != STAGE_PROMOTED)
        return true;
    p->result = store_read_plan(p->store, model->study, &bytes, researcher, p->why);
    if (ok(p->result))
        p->result =
            plan_parse(&p->scope->before, "plan", (const char *)bytes.bytes, bytes.n, p->why);
    free(bytes.bytes);
    if (!ok(p->result))
        return false;
    p->scope->has_before = strcmp(p->scope->before.label.column, p->plan->label.column) == 0;
    if (!p->scope->has_before) {
        plan_free(&p->scope->before);
        return true;
    }
    p->scope->model = *model;
    return false;
}

static struct result read_scope(struct drive *drive, const struct running *running,
                                const unsigned char *incumbent, struct scope *scope,
                                struct why *why)
{
    struct store *store = drive->options.store;
    TRY(paper_read(store, PAPER_CHANGES, &scope->paper, why));
    if (!scope->paper.text)
        return DONE;
    TRY(pccp_read(scope->paper.text, strlen(scope->paper.text), &scope->pccp, why));
    struct predecessor p = {.store = store, .plan = &running->plan, .scope = scope, .why = why};
    if (incumbent) {
        struct registry_model model;
        TRY(registry_read(store, incumbent, &model, why));
        model.stage.stage = STAGE_PROMOTED; /* it was when the evaluation was opened */
        (void)try_predecessor(&p, &model);
    } else {
        TRY(registry_each(store, try_predecessor, &p, why));
    }
    TRY(p.result);
    scope->change = (struct judge_change){.pccp = &scope->pccp,
                                          .sha256 = scope->paper.sha256,
                                          .before = scope->has_before ? &scope->before : NULL,
                                          .model = scope->model.hash};
    return DONE;
}

struct result gate_judge(struct drive *drive, const struct running *running,
                         const struct pooling_input *inputs, size_t n, uint64_t now_ms,
                         struct gated *out, struct why *why)
{
    bool found = false;
    struct rivals rivals = {.count = 0};
    struct gate_rules rules;
    CLEANUP(scope_free) struct scope scope = {.has_before = false};
    CLEANUP(free_pointer) struct family_ledger *family = NULL;
    struct store *store = drive->options.store;
    TRY(paper_rules(store, drive->options.gate, &rules, why));
    TRY(read_rivals(drive, running->study.name, &rivals, &found, why));
    TRY(read_scope(drive, running, found ? rivals.in_use.hash : NULL, &scope, why));
    judge_family(&running->plan, out->family);
    TRY(gate_read_ledger(store, out->family, &family, why));
    struct judge_ledger ledger = {.ledger = family,
                                  .policy = &rules.ledger,
                                  .compared = rivals.earlier,
                                  .n_compared = rivals.count};
    struct judge_case in = {
        .study = &running->study,
        .plan = &running->plan,
        .inputs = inputs,
        .n = n,
        .policy = &rules.gate,
        .candidate = running->study.candidate,
        .incumbent = found ? rivals.in_use.hash : NULL,
        .change = &scope.change,
        .ledger = &ledger,
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
    if (gated->judgement.ledger)
        TRY(registry_put_ledger(store, gated->family, gated->judgement.ledger, why));
    return registry_put(store, &gated->model, why);
}

void gate_notice(struct store *store, const char *study, char *text, size_t n)
{
    struct why why;
    CLEANUP(free_pointer) char *record = NULL;
    text[0] = '\0';
    if (!ok(gate_last_record(store, study, GATE_RECORD, &record, &why)) || !record)
        return;
    json_t *entry = json_loads(record, 0, NULL);
    const json_t *change = json_object_get(entry, "change");
    const char *candidate = json_string_value(json_object_get(entry, "candidate"));
    const char *decision = json_string_value(json_object_get(entry, "decision"));
    const char *classes = json_string_value(json_object_get(change, "classes"));
    if (json_is_true(json_object_get(change, "notify_sites")) && candidate && decision && classes)
        snprintf(
            text, n,
            "the gate says %s on model %.12s, which would replace the one in use; changes: %s; "
            "people still have to sign",
            decision, candidate, classes);
    json_decref(entry);
}

void gated_free(struct gated *gated)
{
    judgement_free(&gated->judgement);
}
