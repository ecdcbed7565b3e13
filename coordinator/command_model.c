/* SPDX-License-Identifier: Apache-2.0 */
/* The registry's verbs: a gate's record, models and their moves, each under a human's signature. A
 * move is one transaction: registry, signature and audit entry. */
#include "coordinator/command_inner.h"

#include "coordinator/entry.h"
#include "coordinator/paper.h"
#include "coordinator/registry_json.h"
#include "coordinator/work_gate.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct result verb_gate(struct user_command *c, struct why *why)
{
    char *text = NULL;
    TRY(gate_last_record(c->drive->options.store, c->study, GATE_RECORD, &text, why));
    if (!text)
        return failed(why, RESULT_REFUSED,
                      "no gate has judged study '%s' yet; it does after the last evaluation",
                      c->study);
    c->text = (unsigned char *)text;
    c->text_n = strlen(text);
    return DONE;
}

static struct result named_model(const struct user_command *c, struct registry_model *model,
                                 struct why *why)
{
    const char *name = json_string_value(json_object_get(c->arguments, "model"));
    if (!name)
        return failed(why, RESULT_INPUT, "name the model");
    return registry_find(c->drive->options.store, name, model, why);
}

static bool add_model(void *context, const struct registry_model *model)
{
    json_array_append_new(context, registry_model_json(model));
    return true;
}

static void move_name(char out[REGISTRY_MOVE_BYTES], const struct registry_model *model,
                      enum move_action action)
{
    snprintf(out, REGISTRY_MOVE_BYTES, "%s>%s", stage_name(model->stage.stage),
             move_action_name(action));
}

static struct result signers_json(struct store *store, const struct registry_model *model,
                                  const char *move, json_t **ret_list, struct why *why)
{
    char signers[REGISTRY_SIGNATURES_MAX][PLAN_NAME_BYTES];
    size_t n = 0;
    TRY(registry_signers(store, model->hash, move, signers, &n, why));
    *ret_list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(*ret_list, json_string_nocheck(signers[i]));
    return DONE;
}

/* All models, or one with who has signed its promotion. */
struct result verb_models(struct user_command *c, struct why *why)
{
    struct store *store = c->drive->options.store;
    if (!json_object_get(c->arguments, "model")) {
        json_t *list = json_array();
        struct result r = registry_each(store, add_model, list, why);
        json_t *o = json_pack("{s:o}", "models", list);
        if (ok(r))
            return command_answer(c, o, why);
        json_decref(o);
        return r;
    }
    struct registry_model model;
    char move[REGISTRY_MOVE_BYTES];
    json_t *signers = NULL;
    TRY(named_model(c, &model, why));
    move_name(move, &model, MOVE_PROMOTE);
    TRY(signers_json(store, &model, move, &signers, why));
    json_t *o = registry_model_json(&model);
    json_object_set_new(o, "signed_promotion", signers);
    return command_answer(c, o, why);
}

/* A move under way. */
struct moving {
    struct user_command *c;
    struct move_statement statement;
    const char *envelope;
    struct registry_model model, other; /* other: superseded, or the rollback's target */
    bool has_other;
    enum stage from, other_from;
    char move[REGISTRY_MOVE_BYTES];
    unsigned signatures;
    json_t *signers;
};

static struct stage_policy stages_of(const struct user_command *c)
{
    struct gate_rules rules = gate_rules_default();
    struct why why;
    if (!ok(paper_rules(c->drive->options.store, c->drive->options.gate, &rules, &why)))
        log_error("the gate's policy cannot be read, its defaults count: %s", why.text);
    return rules.stages;
}

static struct result log_json(struct moving *m, const char *kind, json_t *entry, struct why *why)
{
    json_object_set_new(entry, "kind", json_string(kind));
    json_object_set_new(entry, "ms", json_integer((json_int_t)m->c->now_ms));
    CLEANUP(free_pointer) char *text = json_dumps(entry, JSON_COMPACT);
    const char *study = json_string_value(json_object_get(entry, "study"));
    struct result r = text ? store_log(m->c->drive->options.store, m->c->now_ms, study, kind, text,
                                       strlen(text), why)
                           : failed(why, RESULT_SYSTEM, "out of memory for an audit entry");
    json_decref(entry);
    return r;
}

static json_t *entry_of(const struct registry_model *model)
{
    char hash[HEX_HASH_BYTES];
    hex_hash(hash, model->hash);
    return json_pack("{s:s, s:s}", "study", model->study, "model", hash);
}

/* Keeps the signature and counts the distinct people who signed this move. */
static struct result sign(struct moving *m, struct why *why)
{
    struct store *store = m->c->drive->options.store;
    struct registry_signature signature = {.ms = m->c->now_ms, .envelope = m->envelope};
    char key[HEX_HASH_BYTES];
    snprintf(signature.signer, sizeof signature.signer, "%s", m->c->user->name);
    hex_hash(key, m->c->user->sign_public);
    json_t *entry = entry_of(&m->model);
    json_object_set_new(entry, "move", json_string(m->move));
    json_object_set_new(entry, "signer", json_string_nocheck(m->c->user->name));
    json_object_set_new(entry, "sign_key", json_string(key));
    json_object_set_new(entry, "envelope", json_string(m->envelope));
    TRY(log_json(m, "signature", entry, why));
    TRY(registry_sign(store, m->model.hash, m->move, &signature, why));
    TRY(signers_json(store, &m->model, m->move, &m->signers, why));
    m->signatures = (unsigned)json_array_size(m->signers);
    return DONE;
}

static struct result log_move(struct moving *m, const struct registry_model *model, enum stage from,
                              struct why *why)
{
    json_t *entry = entry_of(model);
    json_object_set_new(entry, "from", json_string(stage_name(from)));
    json_object_set_new(entry, "to", json_string(stage_name(model->stage.stage)));
    json_object_set_new(entry, "reason", json_string_nocheck(model->stage.reason));
    json_object_set(entry, "signers", m->signers);
    return log_json(m, "stage", entry, why);
}

/* The newest model of the family that was in use before, other than this one. */
struct earlier {
    const struct registry_model *model;
    struct registry_model found;
    bool any;
};

static bool find_earlier(void *context, const struct registry_model *model)
{
    struct earlier *e = context;
    if (memcmp(model->family, e->model->family, PLAN_HASH_BYTES) == 0 && model->was_promoted &&
        memcmp(model->hash, e->model->hash, PLAN_HASH_BYTES) != 0 &&
        (!e->any || model->stage.since_ms > e->found.stage.since_ms)) {
        e->found = *model;
        e->any = true;
    }
    return true;
}

static struct result roll_back(struct moving *m, const struct stage_policy *policy, struct why *why)
{
    struct earlier earlier = {.model = &m->model};
    TRY(registry_each(m->c->drive->options.store, find_earlier, &earlier, why));
    if (!earlier.any)
        return failed(why, RESULT_REFUSED,
                      "no other model of this kind was ever in use; suspend this one instead");
    m->other = earlier.found;
    m->other_from = m->other.stage.stage;
    m->has_other = true;
    return stage_rollback(&m->model.stage, &m->other.stage, m->other.was_promoted, policy,
                          m->statement.reason, (int64_t)m->c->now_ms, m->signatures, why);
}

/* Whoever was in use until now makes room. */
static struct result supersede(struct moving *m, const struct stage_policy *policy, struct why *why)
{
    char reason[STAGE_REASON_BYTES], hash[HEX_HASH_BYTES];
    hex_hash(hash, m->model.hash);
    TRY(registry_promoted(m->c->drive->options.store, m->model.family, &m->other, &m->has_other,
                          why));
    if (!m->has_other)
        return DONE;
    snprintf(reason, sizeof reason, "superseded by %.64s", hash);
    struct stage_event event = {.kind = STAGE_EVENT_RETIRE,
                                .now_ms = (int64_t)m->c->now_ms,
                                .reason = reason};
    m->other_from = m->other.stage.stage;
    return stage_step(&m->other.stage, policy, &event, why);
}

static struct result step(struct moving *m, struct why *why)
{
    static const enum stage_event_kind EVENTS[] = {
        [MOVE_PROMOTE] = STAGE_EVENT_ADVANCE,
        [MOVE_SUSPEND] = STAGE_EVENT_SUSPEND,
        [MOVE_RESUME] = STAGE_EVENT_RESUME,
        [MOVE_RETIRE] = STAGE_EVENT_RETIRE,
    };
    struct stage_policy policy = stages_of(m->c);
    if (m->statement.action == MOVE_ROLLBACK)
        return roll_back(m, &policy, why);
    struct stage_event event = {
        .kind = EVENTS[m->statement.action],
        .now_ms = (int64_t)m->c->now_ms,
        .decision = m->model.decision,
        .signatures = m->signatures,
        .was_promoted = m->model.was_promoted,
        .reason = m->statement.reason,
    };
    TRY(stage_step(&m->model.stage, &policy, &event, why));
    if (m->model.stage.stage != STAGE_PROMOTED)
        return DONE;
    m->model.was_promoted = true;
    return supersede(m, &policy, why);
}

/* Signatures that the move still lacks, 0 when it can be made. A promotion that the gate or the
 * clock forbids is refused before anybody signs. */
static struct result missing_signatures(const struct moving *m, unsigned *ret_missing,
                                        struct why *why)
{
    struct stage_policy policy = stages_of(m->c);
    struct model_stage trial = m->model.stage;
    *ret_missing = 0;
    if (m->statement.action != MOVE_PROMOTE)
        return DONE;
    struct stage_event event = {.kind = STAGE_EVENT_ADVANCE,
                                .now_ms = (int64_t)m->c->now_ms,
                                .decision = m->model.decision,
                                .signatures = policy.signatures_needed};
    struct result r = stage_step(&trial, &policy, &event, why);
    if (!ok(r))
        return (struct result){RESULT_REFUSED};
    unsigned needed = m->model.stage.stage == STAGE_PROPOSED ? 1 : policy.signatures_needed;
    *ret_missing = m->signatures < needed ? needed - m->signatures : 0;
    return DONE;
}

static struct result make_move(struct moving *m, struct why *why)
{
    struct store *store = m->c->drive->options.store;
    unsigned missing = 0;
    TRY(missing_signatures(m, &missing, why)); /* refused for other reasons: nothing is kept */
    TRY(sign(m, why));
    TRY(missing_signatures(m, &missing, why));
    if (missing > 0) {
        snprintf(m->c->sentence, sizeof m->c->sentence,
                 "signed by %s; %u more of other people needed before the model leaves %s",
                 m->c->user->name, missing, stage_name(m->from));
        return DONE;
    }
    TRY(step(m, why));
    TRY(registry_unsign(store, m->model.hash, m->move, why));
    if (m->has_other) {
        TRY(registry_put(store, &m->other, why));
        TRY(log_move(m, &m->other, m->other_from, why));
    }
    TRY(registry_put(store, &m->model, why));
    snprintf(m->c->sentence, sizeof m->c->sentence, "the model of study '%s' is now %s%s%s",
             m->model.study, stage_name(m->model.stage.stage),
             m->has_other ? "; the other one is " : "",
             m->has_other ? stage_name(m->other.stage.stage) : "");
    return log_move(m, &m->model, m->from, why);
}

static struct result open_statement(struct moving *m, struct why *why)
{
    const struct user_command *c = m->c;
    m->envelope = json_string_value(json_object_get(c->arguments, "envelope"));
    if (!m->envelope)
        return failed(why, RESULT_INPUT, "the signed statement is missing");
    TRY(move_open(m->envelope, strlen(m->envelope), c->user->sign_public, &m->statement, why));
    if (strcmp(m->statement.consortium, c->drive->options.consortium) != 0)
        return failed(why, RESULT_REFUSED, "the statement is for another consortium");
    TRY(registry_read(c->drive->options.store, m->statement.model, &m->model, why));
    m->from = m->model.stage.stage;
    if (m->statement.from != m->from)
        return failed(why, RESULT_REFUSED, "the statement is about a %s model, this one is %s",
                      stage_name(m->statement.from), stage_name(m->from));
    if (m->statement.action == MOVE_ROLLBACK && m->from != STAGE_PROMOTED &&
        m->from != STAGE_SUSPENDED)
        return failed(why, RESULT_REFUSED, "a rollback leaves a promoted model, this one is %s",
                      stage_name(m->from));
    if (c->user->role == DRIVE_AUDITOR && m->statement.action != MOVE_PROMOTE &&
        m->statement.action != MOVE_SUSPEND)
        return failed(why, RESULT_REFUSED,
                      "an auditor may sign a promotion and may suspend, not %s",
                      move_action_name(m->statement.action));
    move_name(m->move, &m->model, m->statement.action);
    return DONE;
}

struct result verb_stage(struct user_command *c, struct why *why)
{
    struct store *store = c->drive->options.store;
    struct moving m = {.c = c};
    TRY(open_statement(&m, why));
    TRY(store_begin(store, why));
    struct result r = make_move(&m, why);
    if (ok(r))
        r = store_commit(store, why);
    json_decref(m.signers);
    if (!ok(r)) {
        store_rollback(store);
        return r;
    }
    if (m.model.stage.stage != m.from)
        drive_notify(c->drive, m.model.study, c->now_ms);
    if (m.has_other)
        drive_notify(c->drive, m.other.study, c->now_ms);
    json_t *o = registry_model_json(&m.model);
    json_object_set_new(o, "sentence", json_string_nocheck(c->sentence));
    return command_answer(c, o, why);
}
