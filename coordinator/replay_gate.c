/* SPDX-License-Identifier: Apache-2.0 */
/* A gate decision replayed: from the sites' signed evaluations to its inputs, from them to its
 * record. */
#include "coordinator/replay_inner.h"

#include "coordinator/judge.h"
#include "coordinator/validate/gate_json.h"
#include "proto/base/cleanup.h"

#include <sodium.h>
#include <string.h>

static const char *text_of(const json_t *entry, const char *key)
{
    const char *text = json_string_value(json_object_get(entry, key));
    return text ? text : "";
}

static bool hash_of(const json_t *entry, const char *key, unsigned char out[PLAN_HASH_BYTES])
{
    size_t n = 0;
    const char *text = text_of(entry, key);
    return sodium_hex2bin(out, PLAN_HASH_BYTES, text, strlen(text), NULL, &n, NULL) == 0 &&
           n == PLAN_HASH_BYTES;
}

static const json_t *site_named(const json_t *sites, const char *id)
{
    size_t i;
    json_t *site;
    json_array_foreach(sites, i, site)
    {
        if (strcmp(text_of(site, "id"), id) == 0)
            return site;
    }
    return NULL;
}

static bool reported(const struct replay_study *study, const char *id)
{
    for (size_t i = 0; i < study->evaluations_count; i++)
        if (strcmp(study->members.members[study->evaluations[i].site].name, id) == 0)
            return true;
    return false;
}

/* Who reported is there with exactly the reported figures; who did not has none. */
static struct result same_figures(const struct replay_study *study, const json_t *logged,
                                  const json_t *again, struct why *why)
{
    size_t i;
    json_t *site;
    const json_t *mine = json_object_get(again, "sites");
    const json_t *theirs = json_object_get(logged, "sites");
    if (json_array_size(mine) != json_array_size(theirs))
        return failed(why, RESULT_REFUSED, "the gate judged another number of sites");
    json_array_foreach(theirs, i, site)
    {
        const char *id = text_of(site, "id");
        bool same = reported(study, id) ? json_equal(site, site_named(mine, id))
                                        : strcmp(text_of(site, "status"), "ok") != 0 &&
                                              json_is_null(json_object_get(site, "auc"));
        if (!same)
            return failed(why, RESULT_REFUSED, "the gate judged other figures of '%s'", id);
    }
    if (!json_equal(json_object_get(logged, "groups"), json_object_get(again, "groups")) ||
        json_is_true(json_object_get(logged, "first")) !=
            json_is_true(json_object_get(again, "first")))
        return failed(why, RESULT_REFUSED, "the gate judged other groups");
    return DONE;
}

/* The gate's inputs as the archived evaluations give them, under the logged thresholds. */
static struct result judge_again(struct replay_study *study, const json_t *entry,
                                 const json_t *logged, struct why *why)
{
    struct gate_parsed parsed = {0};
    struct judgement again;
    unsigned char candidate[PLAN_HASH_BYTES], incumbent[PLAN_HASH_BYTES];
    if (!hash_of(entry, "candidate", candidate))
        return failed(why, RESULT_REFUSED, "the gate's entry names no model");
    study->members.round = study->server.round;
    study->members.task.task = (uint32_t)json_integer_value(json_object_get(entry, "task"));
    TRY(gate_parse(logged, &parsed, why));
    struct judge_case in = {
        .study = &study->members,
        .plan = &study->plan,
        .inputs = study->evaluations,
        .n = study->evaluations_count,
        .policy = &parsed.input.policy,
        .candidate = candidate,
        .incumbent = hash_of(entry, "incumbent", incumbent) ? incumbent : NULL,
    };
    struct result r = judge(&in, &again, why);
    gate_parsed_free(&parsed);
    TRY(r);
    json_t *input = json_loads(again.input, 0, NULL);
    judgement_free(&again);
    r = same_figures(study, logged, input, why);
    json_decref(input);
    return r;
}

struct result replay_gate(struct replay_study *study, const json_t *entry,
                          struct replay_outcome *outcome, struct why *why)
{
    const char *input = text_of(entry, "input"), *record = text_of(entry, "record");
    json_t *logged = json_loads(input, JSON_REJECT_DUPLICATES, NULL);
    json_t *decided = json_loads(record, JSON_REJECT_DUPLICATES, NULL);
    struct result r = logged && decided
                          ? gate_replay(input, record, why)
                          : failed(why, RESULT_REFUSED, "the gate's texts are damaged");
    if (ok(r) && strcmp(text_of(decided, "decision"), text_of(entry, "decision")) != 0)
        r = failed(why, RESULT_REFUSED, "the gate's entry says %s, its record %s",
                   text_of(entry, "decision"), text_of(decided, "decision"));
    if (ok(r))
        r = judge_again(study, entry, logged, why);
    json_decref(logged);
    json_decref(decided);
    outcome->gates += ok(r);
    return ok(r) ? r : failed_in(why, r, "gate of study '%s'", study->plan.study);
}
