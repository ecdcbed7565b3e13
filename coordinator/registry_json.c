/* SPDX-License-Identifier: Apache-2.0 */
/* Names, JSON and signed statements of the registry's models. */
#include "coordinator/registry_json.h"

#include "coordinator/entry.h"
#include "coordinator/validate/dsse.h"
#include "proto/base/cleanup.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const ACTIONS[] = {"promote", "suspend", "resume", "retire", "rollback"};

const char *move_action_name(enum move_action action)
{
    return ACTIONS[action];
}

bool move_action_from_name(const char *name, enum move_action *action)
{
    for (size_t i = 0; i < sizeof ACTIONS / sizeof *ACTIONS; i++) {
        if (strcmp(name, ACTIONS[i]) == 0) {
            *action = (enum move_action)i;
            return true;
        }
    }
    return false;
}

struct result move_text(const struct move_statement *s, char **ret_text, struct why *why)
{
    char hash[HEX_HASH_BYTES];
    hex_hash(hash, s->model);
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "statement", MOVE_FORMAT, "consortium",
                          s->consortium, "model", hash, "action", ACTIONS[s->action], "from",
                          stage_name(s->from), "reason", s->reason);
    *ret_text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    return *ret_text ? DONE : failed(why, RESULT_INPUT, "the reason is no UTF-8 text");
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

static bool read_statement(const json_t *o, struct move_statement *s)
{
    size_t n = 0;
    const char *hash = text_of(o, "model");
    snprintf(s->consortium, sizeof s->consortium, "%s", text_of(o, "consortium"));
    snprintf(s->reason, sizeof s->reason, "%s", text_of(o, "reason"));
    return strcmp(text_of(o, "statement"), MOVE_FORMAT) == 0 &&
           sodium_hex2bin(s->model, PLAN_HASH_BYTES, hash, strlen(hash), NULL, &n, NULL) == 0 &&
           n == PLAN_HASH_BYTES && move_action_from_name(text_of(o, "action"), &s->action) &&
           stage_from_name(text_of(o, "from"), &s->from);
}

struct result move_open(const char *envelope, size_t n, const unsigned char *key,
                        struct move_statement *statement, struct why *why)
{
    CLEANUP(free_pointer) char *text = NULL;
    size_t text_n = 0;
    struct dsse_key signer = {.keyid = "signer", .public_key = key};
    memset(statement, 0, sizeof *statement);
    TRY(dsse_open(envelope, n, MOVE_TYPE, 1, &signer, 1, &text, &text_n, NULL, why));
    json_t *o =
        text_n <= MOVE_TEXT_MAX ? json_loadb(text, text_n, JSON_REJECT_DUPLICATES, NULL) : NULL;
    bool good = read_statement(o, statement);
    json_decref(o);
    return good ? DONE : failed(why, RESULT_INPUT, "the signed statement is malformed");
}

struct search {
    const char *name;
    size_t hits;
    bool by_study;
    struct registry_model *model;
};

static bool look_at(void *context, const struct registry_model *model)
{
    struct search *search = context;
    char hash[HEX_HASH_BYTES];
    hex_hash(hash, model->hash);
    bool study = strcmp(model->study, search->name) == 0;
    bool prefix = strlen(search->name) >= MODEL_PREFIX_MIN &&
                  strncmp(hash, search->name, strlen(search->name)) == 0;
    /* Newest first: of a study's models the first one seen counts. */
    if (study && !search->by_study) {
        *search->model = *model;
        search->by_study = true;
        search->hits = 1;
    } else if (prefix && !search->by_study) {
        *search->model = *model;
        search->hits++;
    }
    return true;
}

struct result registry_find(struct store *store, const char *name, struct registry_model *model,
                            struct why *why)
{
    struct search search = {.name = name, .model = model};
    TRY(registry_each(store, look_at, &search, why));
    if (search.hits > 1)
        return failed(why, RESULT_INPUT, "'%.70s' is the beginning of several models' hashes",
                      name);
    if (search.hits == 0)
        return failed(why, RESULT_INPUT,
                      "the registry has no model '%.70s'; 'consilium model list' shows them", name);
    return DONE;
}

json_t *registry_model_json(const struct registry_model *m)
{
    char hash[HEX_HASH_BYTES], family[HEX_HASH_BYTES], incumbent[HEX_HASH_BYTES];
    hex_hash(hash, m->hash);
    hex_hash(family, m->family);
    hex_hash(incumbent, m->incumbent);
    json_t *o =
        json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:I, s:s, s:b, s:I}", "model", hash, "study",
                  m->study, "round", (json_int_t)m->round, "task", (json_int_t)m->task, "family",
                  family, "gate", gate_decision_name(m->decision), "stage",
                  stage_name(m->stage.stage), "since_ms", (json_int_t)m->stage.since_ms, "reason",
                  m->stage.reason, "was_promoted", m->was_promoted, "proposed_ms",
                  (json_int_t)m->proposed_ms);
    if (!sodium_is_zero(m->incumbent, PLAN_HASH_BYTES))
        json_object_set_new(o, "incumbent", json_string(incumbent));
    return o;
}
