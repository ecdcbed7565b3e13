/* SPDX-License-Identifier: Apache-2.0 */
/* One study replayed: what each entry claims is checked against the signed objects, computed anew.
 */
#include "coordinator/replay_inner.h"

#include "coordinator/entry.h"
#include "coordinator/study_conduct.h"
#include "proto/envelope.h"

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OBJECT_FILE_MAX = OBJECT_BYTES_MAX };

static const char *text_of(const json_t *entry, const char *key)
{
    const char *text = json_string_value(json_object_get(entry, key));
    return text ? text : "";
}

static bool bytes_of(const json_t *entry, const char *key, unsigned char *out, size_t n)
{
    size_t have = 0;
    const char *text = text_of(entry, key);
    return sodium_hex2bin(out, n, text, strlen(text), NULL, &have, NULL) == 0 && have == n;
}

static bool same_hash(const json_t *entry, const char *key,
                      const unsigned char hash[PLAN_HASH_BYTES])
{
    char text[HEX_HASH_BYTES];
    hex_hash(text, hash);
    return strcmp(text, text_of(entry, key)) == 0;
}

static void forget_evaluations(struct replay_study *study)
{
    for (size_t i = 0; i < study->evaluations_count; i++)
        payload_evaluation_free(&study->evaluations[i].evaluation);
    study->evaluations_count = 0;
}

void replay_study_free(struct replay_study *study)
{
    if (!study)
        return;
    replay_forget_updates(study);
    forget_evaluations(study);
    json_decref(study->summaries);
    json_decref(study->monitors);
    combine_words_free(&study->words);
    server_free(&study->server);
    plan_free(&study->plan);
    free(study);
}

/* The researcher signed a launch of exactly this plan. */
static struct result check_launch(const struct replay_study *study, const json_t *entry,
                                  const char *plan, size_t plan_n, struct why *why)
{
    char path[FS_PATH_BYTES], *envelope = NULL;
    size_t n = 0;
    unsigned char key[CHAIN_PUBLIC_BYTES];
    if (!bytes_of(entry, "sign_key", key, sizeof key))
        return failed(why, RESULT_REFUSED, "the launch names no researcher's key");
    TRY(fs_join(path, study->folder, "launch.envelope", why));
    TRY(fs_read(path, MESSAGE_BYTES_MAX, &envelope, &n, why));
    struct message *message = calloc(1, sizeof *message);
    struct result r = message ? envelope_open((const unsigned char *)envelope, n, key, message, why)
                              : failed(why, RESULT_SYSTEM, "out of memory");
    if (ok(r) &&
        (message->kind != MESSAGE_COMMAND || strcmp(message->command.verb, "launch") != 0 ||
         strcmp(message->head.sender, text_of(entry, "researcher")) != 0 ||
         message->command.text_n != plan_n || memcmp(message->command.text, plan, plan_n) != 0))
        r = failed(why, RESULT_REFUSED, "the researcher signed the launch of another plan");
    free(message);
    free(envelope);
    return r;
}

static struct result check_plan(struct replay_study *study, const json_t *entry, struct why *why)
{
    char path[FS_PATH_BYTES], *text = NULL;
    size_t n = 0;
    TRY(fs_join(path, study->folder, "plan.yaml", why));
    TRY(fs_read(path, PLAN_BYTES_MAX, &text, &n, why));
    struct result r = plan_parse(&study->plan, "plan.yaml", text, n, why);
    if (ok(r) && !same_hash(entry, "plan", study->plan.hash))
        r = failed(why, RESULT_REFUSED, "the plan is not the one that was launched");
    if (ok(r))
        r = check_launch(study, entry, text, n, why);
    free(text);
    return r;
}

/* What the round under way was signed for; model [PLAN_HASH_BYTES] is filled. */
struct result replay_scope(const struct replay_study *study, unsigned char *model,
                           struct secure_scope *scope, struct why *why)
{
    unsigned char *bytes = NULL;
    size_t n = 0;
    const struct server *server = &study->server;
    TRY(server_model(server->round, server->parameters, server->d, &bytes, &n, model, why));
    free(bytes);
    *scope = (struct secure_scope){.study = study->plan.study,
                                   .plan_hash = study->plan.hash,
                                   .model_hash = model,
                                   .task = study->first,
                                   .round = server->round + 1};
    return DONE;
}

struct result replay_launch(const char *folder, unsigned threads, const json_t *entry,
                            struct replay_study **ret_study, struct why *why)
{
    char part[FS_PATH_BYTES];
    if (strchr(text_of(entry, "study"), '/') || text_of(entry, "study")[0] == '.')
        return failed(why, RESULT_INPUT, "the study's name is no name");
    struct replay_study *study = calloc(1, sizeof *study);
    if (!study)
        return failed(why, RESULT_SYSTEM, "out of memory for a study");
    snprintf(part, sizeof part, "studies/%s", text_of(entry, "study"));
    struct result r = fs_join(study->folder, folder, part, why);
    if (ok(r))
        r = check_plan(study, entry, why);
    if (ok(r))
        r = server_initial(&study->plan, &study->server, why);
    if (ok(r))
        r = replay_check_model(entry, "model", 0, study->server.parameters, study->server.d,
                               study->model, why);
    if (ok(r))
        r = combine_noise_multiplier(&study->plan, &study->noise_multiplier, why);
    if (!ok(r)) {
        replay_study_free(study);
        return r;
    }
    study->threads = threads;
    study->members.members_count = study->plan.sites_count;
    for (unsigned i = 0; i < study->plan.sites_count; i++) {
        snprintf(study->members.members[i].name, PLAN_NAME_BYTES, "%s", study->plan.sites[i].name);
    }
    conduct_launch(&study->members, &study->plan);
    study->members.best_score = (double)-INFINITY;
    *ret_study = study;
    return DONE;
}

/* An object's file, split; the payload's hash is what entry and signed offer say. */
struct object {
    char *file;
    const unsigned char *payload;
    size_t payload_n;
    unsigned char base[PLAN_HASH_BYTES]; /* the model that it is about, as signed */
};

/* A site's privacy ledger only grows: each result stands on more records than the one before. */
static struct result check_ledger(struct replay_study *study, uint32_t site,
                                  const struct message_head *head, struct why *why)
{
    if (head->ledger_records == 0)
        return DONE; /* software that does not tell it */
    uint32_t *task = &study->ledger_task[site];
    uint64_t *records = &study->ledger_records[site];
    if (head->task > *task && head->ledger_records <= *records)
        return failed(why, RESULT_REFUSED,
                      "the privacy ledger of %s went back: %llu records with task %u, %llu with "
                      "task %u",
                      head->sender, (unsigned long long)*records, *task,
                      (unsigned long long)head->ledger_records, head->task);
    *task = head->task;
    *records = head->ledger_records;
    return DONE;
}

static struct result check_offer(struct replay_study *study, const json_t *entry, uint32_t site,
                                 const unsigned char *offer, size_t n,
                                 const unsigned char hash[PLAN_HASH_BYTES],
                                 unsigned char base[PLAN_HASH_BYTES], struct why *why)
{
    struct message *message = calloc(1, sizeof *message);
    if (!message)
        return failed(why, RESULT_SYSTEM, "out of memory");
    struct result r = envelope_open(offer, n, study->keys[site], message, why);
    const struct message_head *head = &message->head;
    if (ok(r) && (message->kind != MESSAGE_OBJECT_OFFER ||
                  strcmp(head->sender, study->plan.sites[site].name) != 0 ||
                  strcmp(head->study, study->plan.study) != 0 ||
                  head->task != (uint32_t)json_integer_value(json_object_get(entry, "task")) ||
                  memcmp(message->object_offer.plain_hash, hash, PLAN_HASH_BYTES) != 0))
        r = failed(why, RESULT_REFUSED, "the site signed another object");
    if (ok(r))
        r = check_ledger(study, site, head, why);
    if (ok(r))
        memcpy(base, message->object_offer.model_hash, PLAN_HASH_BYTES);
    free(message);
    return r;
}

static struct result read_object(struct replay_study *study, const json_t *entry, uint32_t site,
                                 struct object *object, struct why *why)
{
    char name[PLAN_NAME_BYTES + 64], path[FS_PATH_BYTES];
    unsigned char hash[PLAN_HASH_BYTES];
    size_t n = 0;
    snprintf(name, sizeof name, "objects/%lld-%s",
             (long long)json_integer_value(json_object_get(entry, "task")),
             study->plan.sites[site].name);
    TRY(fs_join(path, study->folder, name, why));
    TRY(fs_read(path, OBJECT_FILE_MAX, &object->file, &n, why));
    const unsigned char *bytes = (const unsigned char *)object->file;
    size_t offer_n = 0;
    for (int i = 0; n >= 4 && i < 4; i++)
        offer_n |= (size_t)bytes[i] << (8 * i);
    if (n < 4 || offer_n > n - 4)
        return failed(why, RESULT_INPUT, "%s is malformed", name);
    object->payload = bytes + 4 + offer_n;
    object->payload_n = n - 4 - offer_n;
    crypto_generichash(hash, sizeof hash, object->payload, object->payload_n, NULL, 0);
    if (!same_hash(entry, "object", hash))
        return failed(why, RESULT_REFUSED, "%s is not the object that was counted", name);
    return check_offer(study, entry, site, bytes + 4, offer_n, hash, object->base, why);
}

static struct result keep_evaluation(struct replay_study *study, uint32_t site,
                                     const struct object *object, struct why *why)
{
    size_t at = study->evaluations_count;
    struct pooling_input input = {.site = site};
    if (at == PLAN_SITES_MAX)
        return failed(why, RESULT_REFUSED, "more evaluations than sites");
    TRY(payload_evaluation_decode(&input.evaluation, object->payload, object->payload_n, why));
    while (at > 0 && study->evaluations[at - 1].site > site) {
        study->evaluations[at] = study->evaluations[at - 1];
        at--;
    }
    study->evaluations[at] = input;
    study->evaluations_count++;
    return DONE;
}

/* A word of a secure round; keys must be signed by their site for this plan, round and model. */
static struct result keep_word(struct replay_study *study, const json_t *entry, uint32_t site,
                               enum task_kind stage, const struct object *object, struct why *why)
{
    unsigned char model[PLAN_HASH_BYTES];
    struct secure_scope scope;
    struct mask_advert advert;
    study->words.round = study->server.round + 1;
    TRY(combine_words_take(&study->words, &study->plan, stage, site, object->payload,
                           object->payload_n, why));
    if (stage == TASK_TRAIN)
        return replay_budget(study, entry, site, &study->words.updates[site], why);
    if (stage != TASK_KEYS)
        return DONE;
    study->first = (uint32_t)json_integer_value(json_object_get(entry, "task"));
    TRY(replay_scope(study, model, &scope, why));
    if (!secure_advert_open(&scope, study->plan.sites[site].name, study->words.keys[site].parts,
                            study->keys[site], &advert))
        return failed(why, RESULT_REFUSED, "'%s' did not sign its keys for this round",
                      study->plan.sites[site].name);
    return DONE;
}

static enum task_kind kind_of(const json_t *entry)
{
    const char *name = text_of(entry, "task_kind");
    for (uint32_t stage = 1; stage <= TASK_STAGES; stage++)
        if (strcmp(name, task_kind_name(task_of_stage(stage))) == 0)
            return task_of_stage(stage);
    return TASK_EVALUATE;
}

static struct result counted(struct replay_study *study, const json_t *entry, uint32_t site,
                             struct replay_outcome *outcome, struct why *why)
{
    struct object object = {0};
    struct result r = read_object(study, entry, site, &object, why);
    if (ok(r) && study->plan.aggregation.secure && kind_of(entry) != TASK_EVALUATE)
        r = keep_word(study, entry, site, kind_of(entry), &object, why);
    else if (ok(r) && strcmp(text_of(entry, "task_kind"), "train") == 0)
        r = replay_update(study, entry, site, object.payload, object.payload_n, object.base, why);
    else if (ok(r))
        r = keep_evaluation(study, site, &object, why);
    char base[HEX_HASH_BYTES];
    hex_hash(base, object.base);
    if (ok(r) && kind_of(entry) == TASK_EVALUATE && !study->validating &&
        strcmp(base, study->course.asked) != 0)
        r = failed(why, RESULT_REFUSED, "'%s' evaluated another model than the task's",
                   study->plan.sites[site].name);
    free(object.file);
    outcome->objects += ok(r);
    return r;
}

static bool same_figures(json_t *again, const json_t *entry)
{
    const char *key;
    json_t *value;
    json_object_foreach(again, key,
                        value) if (!json_equal(value, json_object_get(entry, key))) return false;
    return true;
}

static struct result pooled(struct replay_study *study, const json_t *entry,
                            struct replay_outcome *outcome, struct why *why)
{
    struct pooling pooling;
    char *record = NULL, *detail = NULL;
    study->members.round = study->server.round;
    pooling_compute(&study->members, study->evaluations, study->evaluations_count, &pooling);
    struct result r = pooling_record(&study->members, study->evaluations, study->evaluations_count,
                                     &pooling, &record, &detail, why);
    replay_summary(study, entry);
    forget_evaluations(study);
    json_t *again = ok(r) ? json_loads(detail, 0, NULL) : NULL;
    if (ok(r) && !same_figures(again, entry))
        r = failed(why, RESULT_REFUSED,
                   "round %u: the figures pooled from the archived evaluations are not those that "
                   "were recorded",
                   study->server.round);
    if (ok(r) && !same_hash(entry, "candidate", study->members.candidate))
        r = failed(why, RESULT_REFUSED, "round %u: other figures' model is named",
                   study->server.round);
    if (ok(r))
        r = replay_best(study, entry, pooling.score, why);
    if (ok(r) && study->server.round >= study->plan.training.rounds && !study->course.gated)
        r = failed(why, RESULT_REFUSED, "the last round was evaluated, and no gate is told of");
    json_decref(again);
    free(record);
    free(detail);
    outcome->evaluations += ok(r);
    return r;
}

struct result replay_entry(struct replay_study *study, const json_t *entry,
                           struct replay_outcome *outcome, struct why *why)
{
    const char *kind = text_of(entry, "kind");
    TRY(replay_validation(study, entry, outcome, why));
    uint32_t site = study_find(&study->members, text_of(entry, "site"));
    TRY(replay_course(study, entry, site, why));
    bool of_site = site < study->members.members_count;
    if (strcmp(kind, "allowed") == 0 && of_site) {
        study->members.members[site].verdict = MEMBER_ALLOWED;
        study->members.members[site].declared_patients =
            (uint64_t)json_integer_value(json_object_get(entry, "declared_patients"));
        if (!bytes_of(entry, "sign_key", study->keys[site], CHAIN_PUBLIC_BYTES))
            return failed(why, RESULT_REFUSED, "the site's key is missing");
        return DONE;
    }
    if ((strcmp(kind, "counted") == 0 || strcmp(kind, "set-aside") == 0) && of_site)
        return counted(study, entry, site, outcome, why);
    if (strcmp(kind, "refused") == 0 && of_site)
        return replay_refused(study, entry, site, why);
    if (strcmp(kind, "quarantined") == 0 && of_site)
        return replay_quarantined(study, entry, site, why);
    if (strcmp(kind, "released") == 0 && of_site)
        return replay_released(study, entry, site, why);
    if (strcmp(kind, "model") == 0)
        return replay_model(study, entry, outcome, why);
    if (strcmp(kind, "gate") == 0) {
        study->course.gated = true;
        return replay_gate(study, entry, outcome, why);
    }
    if (strcmp(kind, "finished") == 0 && !study->validating)
        TRY(replay_best(study, entry, 0.0, why));
    if (strcmp(kind, "stage") == 0)
        replay_stage(study->world, entry, study);
    if (strcmp(kind, "pooled") == 0)
        return pooled(study, entry, outcome, why);
    if (strcmp(kind, "task-opened") == 0 || strcmp(kind, "validated") == 0 ||
        strcmp(kind, "finished") == 0 ||
        (strcmp(kind, "task-aborted") == 0 && !study->validating)) {
        forget_evaluations(study);
        /* A secure round goes on from stage to stage; it begins with KEYS, and a REVEAL that came
         * to nothing is asked again. */
        bool aborted = strcmp(kind, "task-aborted") == 0;
        if (aborted && kind_of(entry) == TASK_REVEAL)
            combine_words_unreveal(&study->words);
        else if (aborted || kind_of(entry) == TASK_KEYS)
            combine_words_free(&study->words);
        return replay_task_over(study, why);
    }
    return DONE;
}
