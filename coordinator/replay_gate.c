/* SPDX-License-Identifier: Apache-2.0 */
/* A gate decision replayed: from the sites' signed evaluations to its inputs, from them to its
 * record. */
#include "coordinator/replay_inner.h"

#include "coordinator/entry.h"
#include "coordinator/judge.h"
#include "coordinator/validate/gate_json.h"
#include "proto/base/cleanup.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
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
        bool same = reported(study, id) ? json_equal(site, entry_named(mine, "id", id))
                                        : strcmp(text_of(site, "status"), "ok") != 0 &&
                                              json_is_null(json_object_get(site, "auc"));
        if (!same)
            return failed(why, RESULT_REFUSED, "the gate judged other figures of '%s'", id);
    }
    static const char *const FINDINGS[] = {"integrity", "ledger"};
    for (size_t k = 0; k < sizeof FINDINGS / sizeof *FINDINGS; k++)
        if (!json_equal(json_object_get(logged, FINDINGS[k]),
                        json_object_get(again, FINDINGS[k])) &&
            (json_object_get(logged, FINDINGS[k]) || json_object_get(again, FINDINGS[k])))
            return failed(why, RESULT_REFUSED, "the gate was told another finding of its %s",
                          FINDINGS[k]);
    if (!json_equal(json_object_get(logged, "groups"), json_object_get(again, "groups")) ||
        json_is_true(json_object_get(logged, "first")) !=
            json_is_true(json_object_get(again, "first")))
        return failed(why, RESULT_REFUSED, "the gate judged other groups");
    return DONE;
}

/* What the judgement takes besides the evaluations. */
struct circumstances {
    struct gate_rules rules;
    struct pccp pccp;
    struct judge_change change;
    struct judge_ledger ledger;
    struct judge_compared compared[LEDGER_COMPARATORS_MAX];
    unsigned char before[PLAN_HASH_BYTES];
};

/* Thresholds are those of the policy in force; a log without one tells only its own. */
static struct result check_policy(const struct replay_world *world,
                                  const struct replay_study *study, const struct gate_policy *used,
                                  struct circumstances *c, struct why *why)
{
    if (!world->policy.text) {
        c->rules = gate_rules_default();
        c->rules.gate = *used;
        return DONE;
    }
    TRY(gate_rules_parse(world->policy.text, strlen(world->policy.text), &c->rules, why));
    struct gate_policy expected = c->rules.gate; /* what the plan decides is the plan's */
    expected.min_cell = used->min_cell;
    expected.ni_margin = used->ni_margin;
    expected.fairness_used = expected.fairness_used && study->plan.subgroups_count > 0;
    struct gate_input a = {.policy = expected}, b = {.policy = *used};
    json_t *mine = gate_input_json(&a), *theirs = gate_input_json(&b);
    bool same = json_equal(json_object_get(mine, "policy"), json_object_get(theirs, "policy"));
    json_decref(mine);
    json_decref(theirs);
    return same ? DONE
                : failed(why, RESULT_REFUSED,
                         "the gate used other thresholds than the policy in force");
}

static struct result check_change(const struct replay_world *world, const json_t *entry,
                                  struct circumstances *c, struct why *why)
{
    const json_t *change = json_object_get(entry, "change");
    if (!world->changes.text && !change)
        return DONE;
    if (!world->changes.text || strcmp(text_of(change, "plan"), world->changes.sha256) != 0)
        return failed(why, RESULT_REFUSED, "the gate used another change control plan");
    TRY(pccp_read(world->changes.text, strlen(world->changes.text), &c->pccp, why));
    c->change.pccp = &c->pccp;
    c->change.sha256 = world->changes.sha256;
    if (!json_object_get(change, "before"))
        return DONE;
    const struct replay_study *before =
        hash_of(change, "before", c->before) ? replay_promoted(world, c->before) : NULL;
    if (!before)
        return failed(why, RESULT_REFUSED, "the model to be replaced was never in use");
    c->change.before = &before->plan;
    c->change.model = c->before;
    return DONE;
}

static struct result check_ledger(struct replay_study *study, const json_t *entry,
                                  struct circumstances *c, struct why *why)
{
    unsigned char family[PLAN_HASH_BYTES];
    size_t i;
    json_t *item;
    const json_t *compared = json_object_get(json_object_get(entry, "ledger"), "compared");
    judge_family(&study->plan, family);
    TRY(replay_ledger(study->world, family, &c->ledger.ledger, why));
    c->ledger.policy = &c->rules.ledger;
    c->ledger.compared = c->compared;
    json_array_foreach(compared, i, item)
    {
        struct judge_compared *to = &c->compared[c->ledger.n_compared];
        if (i >= LEDGER_COMPARATORS_MAX || !hash_of(item, "model", to->model))
            return failed(why, RESULT_REFUSED, "the models compared are not named");
        snprintf(to->name, sizeof to->name, "%s", text_of(item, "name"));
        c->ledger.n_compared++;
    }
    return DONE;
}

/* What the entry says of change and ledger is what the judgement says again. */
static struct result same_entry(const json_t *entry, const char *text, struct why *why)
{
    static const char *const KEYS[] = {"change", "ledger", "family"};
    json_t *again = json_loads(text, 0, NULL);
    struct result r = DONE;
    for (size_t k = 0; ok(r) && k < sizeof KEYS / sizeof *KEYS; k++) {
        const json_t *mine = json_object_get(again, KEYS[k]);
        const json_t *theirs = json_object_get(entry, KEYS[k]);
        if ((mine || theirs) && !json_equal(mine, theirs))
            r = failed(why, RESULT_REFUSED, "the gate's %s is another one when computed again",
                       KEYS[k]);
    }
    json_decref(again);
    return r;
}

/* The gate's inputs as the archived evaluations give them, under the logged thresholds. */
static struct result judge_again(struct replay_study *study, const json_t *entry,
                                 const struct gate_parsed *parsed, const json_t *logged,
                                 struct circumstances *c, struct why *why)
{
    struct judgement again;
    unsigned char candidate[PLAN_HASH_BYTES], incumbent[PLAN_HASH_BYTES];
    if (!hash_of(entry, "candidate", candidate))
        return failed(why, RESULT_REFUSED, "the gate's entry names no model");
    study->members.round = study->server.round;
    study->members.task.task = (uint32_t)json_integer_value(json_object_get(entry, "task"));
    TRY(check_policy(study->world, study, &parsed->input.policy, c, why));
    TRY(check_change(study->world, entry, c, why));
    TRY(check_ledger(study, entry, c, why));
    struct judge_case in = {
        .study = &study->members,
        .plan = &study->plan,
        .inputs = study->evaluations,
        .n = study->evaluations_count,
        .policy = &parsed->input.policy,
        .candidate = candidate,
        .incumbent = hash_of(entry, "incumbent", incumbent) ? incumbent : NULL,
        .change = &c->change,
        .ledger = &c->ledger,
        .now_ms = (uint64_t)json_integer_value(json_object_get(entry, "ms")),
    };
    TRY(judge(&in, &again, why));
    json_t *input = json_loads(again.input, 0, NULL);
    struct result r = same_figures(study, logged, input, why);
    if (ok(r))
        r = same_entry(entry, again.entry, why);
    judgement_free(&again);
    json_decref(input);
    return r;
}

static struct result judge_parsed(struct replay_study *study, const json_t *entry,
                                  const json_t *logged, struct why *why)
{
    struct gate_parsed parsed = {0};
    CLEANUP(free_pointer) struct circumstances *c = calloc(1, sizeof *c);
    if (!c)
        return failed(why, RESULT_SYSTEM, "out of memory for the gate");
    TRY(gate_parse(logged, &parsed, why));
    struct result r = judge_again(study, entry, &parsed, logged, c, why);
    gate_parsed_free(&parsed);
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
        r = judge_parsed(study, entry, logged, why);
    json_decref(logged);
    json_decref(decided);
    outcome->gates += ok(r);
    return ok(r) ? r : failed_in(why, r, "gate of study '%s'", study->plan.study);
}
