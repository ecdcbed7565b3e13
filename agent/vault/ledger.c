/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger's records: written, synced, then applied to the state. */
#include "agent/vault/ledger.h"

#include "agent/bytes.h"
#include "proto/base/cleanup.h"
#include "proto/payload.h"

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *ledger_standing_name(enum ledger_standing standing)
{
    switch (standing) {
    case LEDGER_STUDY_OFFERED:
        return "offered";
    case LEDGER_STUDY_ASKING:
        return "asking";
    case LEDGER_STUDY_ALLOWED:
        return "allowed";
    case LEDGER_STUDY_REFUSED:
        return "refused";
    case LEDGER_STUDY_FINISHED:
        return "finished";
    }
    return "unknown";
}

struct ledger_study *ledger_find(struct ledger *ledger, const char *study)
{
    for (size_t i = 0; i < ledger->studies_count; i++) {
        if (strcmp(ledger->studies[i].name, study) == 0)
            return &ledger->studies[i];
    }
    return NULL;
}

static struct result no_sense(struct why *why, const struct journal_record *record)
{
    return failed(why, RESULT_REFUSED, "record %llu makes no sense here",
                  (unsigned long long)record->sequence);
}

static struct result apply_offered(struct ledger *ledger, const struct journal_record *record,
                                   struct bytes_in *in, const char *name, struct why *why)
{
    if (ledger_find(ledger, name) || ledger->studies_count == LEDGER_STUDIES_MAX)
        return no_sense(why, record);
    if (ledger->studies_count == ledger->studies_capacity) {
        size_t capacity = ledger->studies_capacity ? 2 * ledger->studies_capacity : 4;
        struct ledger_study *grown = realloc(ledger->studies, capacity * sizeof *grown);
        if (!grown)
            return failed(why, RESULT_SYSTEM, "no memory for another study");
        ledger->studies = grown;
        ledger->studies_capacity = capacity;
    }
    struct ledger_study study = {.standing = LEDGER_STUDY_OFFERED, .offered_ms = record->time_ms};
    memcpy(study.name, name, sizeof study.name);
    bytes_in_text(in, study.researcher, sizeof study.researcher);
    bytes_in_bytes(in, study.researcher_key, sizeof study.researcher_key);
    bytes_in_bytes(in, study.plan_hash, sizeof study.plan_hash);
    size_t before = in->left;
    if (!bytes_in_block(in, MESSAGE_BYTES_MAX, &study.launch_n))
        return no_sense(why, record);
    study.launch_offset = record->offset + (record->n - before) + 4;
    if (in->bad || in->left > 0)
        return no_sense(why, record);
    ledger->studies[ledger->studies_count++] = study;
    return DONE;
}

static struct result apply_verdict(struct ledger_study *study, const struct journal_record *record,
                                   struct bytes_in *in, struct why *why)
{
    uint32_t standing = bytes_in_u32(in);
    char reason[MESSAGE_REASON_BYTES];
    struct ledger_charge charge;
    bytes_in_text(in, reason, sizeof reason);
    charge.epsilon = bytes_in_double(in);
    charge.delta = bytes_in_double(in);
    charge.noise_multiplier = bytes_in_double(in);
    bytes_in_text(in, charge.events, sizeof charge.events);
    if (in->bad || in->left > 0 || standing < LEDGER_STUDY_ASKING ||
        standing > LEDGER_STUDY_REFUSED || study->standing == LEDGER_STUDY_ALLOWED ||
        study->standing == LEDGER_STUDY_FINISHED || !(charge.epsilon >= 0.0) ||
        !(charge.delta >= 0.0) || !(charge.noise_multiplier >= 0.0))
        return no_sense(why, record);
    study->standing = (enum ledger_standing)standing;
    memcpy(study->reason, reason, sizeof reason);
    study->decided_ms = record->time_ms;
    if (standing == LEDGER_STUDY_ALLOWED)
        study->charge = charge;
    return DONE;
}

bool ledger_knows(const struct ledger_study *study, const unsigned char hash[PLAN_HASH_BYTES])
{
    for (uint32_t i = 0; i < study->named_count && i < LEDGER_NAMED_MAX; i++)
        if (memcmp(study->named[i], hash, PLAN_HASH_BYTES) == 0)
            return true;
    return false;
}

static void name_model(struct ledger_study *study, const unsigned char hash[PLAN_HASH_BYTES])
{
    if (!ledger_knows(study, hash))
        memcpy(study->named[study->named_count++ % LEDGER_NAMED_MAX], hash, PLAN_HASH_BYTES);
}

static struct result apply_named(struct ledger_study *study, const struct journal_record *record,
                                 struct bytes_in *in, struct why *why)
{
    unsigned char hash[PLAN_HASH_BYTES];
    bytes_in_bytes(in, hash, sizeof hash);
    if (in->bad || in->left > 0)
        return no_sense(why, record);
    name_model(study, hash);
    return DONE;
}

static struct result apply_charged(struct ledger_study *study, const struct journal_record *record,
                                   struct bytes_in *in, struct why *why)
{
    uint32_t task = bytes_in_u32(in);
    uint32_t models = bytes_in_u32(in);
    double noise = bytes_in_double(in);
    bool allowed =
        study->standing == LEDGER_STUDY_ALLOWED || study->standing == LEDGER_STUDY_FINISHED;
    if (in->bad || in->left > 0 || !allowed || !(noise > 0.0) || !isfinite(noise) || models == 0 ||
        models > PAYLOAD_MODELS_MAX || task <= study->after.task ||
        study->after.models > UINT32_MAX - models ||
        (study->after.models > 0 && noise != study->after.noise))
        return no_sense(why, record);
    if (study->after.models == 0)
        study->after.first_ms = record->time_ms;
    study->after.ms = record->time_ms;
    study->after.models += models;
    study->after.task = task;
    study->after.noise = noise;
    return DONE;
}

/* A finished study trains no more; its models may be evaluated again. */
static bool may_begin(const struct ledger_study *study, uint32_t kind)
{
    return study->standing == LEDGER_STUDY_ALLOWED ||
           (study->standing == LEDGER_STUDY_FINISHED && kind == TASK_EVALUATE);
}

static struct result apply_begun(struct ledger_study *study, const struct journal_record *record,
                                 struct bytes_in *in, struct why *why)
{
    struct ledger_task task = {.state = LEDGER_TASK_BEGUN};
    task.task = bytes_in_u32(in);
    uint32_t kind = bytes_in_u32(in);
    task.round = bytes_in_u32(in);
    bytes_in_bytes(in, task.model_hash, sizeof task.model_hash);
    task.reuse = bytes_in_u32(in) != 0;
    bool again = study->task.state == LEDGER_TASK_BEGUN && task.task == study->task.task;
    if (in->bad || in->left > 0 || !task_kind_known(kind) || !may_begin(study, kind) ||
        (task.task <= study->task.task && !again))
        return no_sense(why, record);
    if (kind == TASK_REVEAL &&
        (task.round < study->revealed ||
         (task.round == study->revealed &&
          memcmp(task.model_hash, study->revealed_input, PLAN_HASH_BYTES) != 0)))
        return no_sense(why, record);
    if (kind == TASK_EVALUATE)
        name_model(study, task.model_hash);
    task.kind = (enum task_kind)kind;
    task.attempts = again ? study->task.attempts + 1 : 1;
    study->task = task;
    /* Counted before a share exists outside: another sum of the round is never opened. */
    if (kind == TASK_REVEAL) {
        study->revealed = task.round;
        memcpy(study->revealed_input, task.model_hash, PLAN_HASH_BYTES);
    }
    return DONE;
}

static void offer_write(struct bytes_out *out, const struct message_object_offer *offer)
{
    bytes_out_bytes(out, offer->object, sizeof offer->object);
    bytes_out_u32(out, offer->kind);
    bytes_out_u64(out, offer->plain_bytes);
    bytes_out_bytes(out, offer->plain_hash, sizeof offer->plain_hash);
    bytes_out_bytes(out, offer->cipher_hash, sizeof offer->cipher_hash);
    bytes_out_bytes(out, offer->sealed_key, sizeof offer->sealed_key);
    bytes_out_bytes(out, offer->model_hash, sizeof offer->model_hash);
}

static void offer_read(struct bytes_in *in, struct message_object_offer *offer)
{
    *offer = (struct message_object_offer){0};
    bytes_in_bytes(in, offer->object, sizeof offer->object);
    offer->kind = (enum object_kind)bytes_in_u32(in);
    offer->plain_bytes = bytes_in_u64(in);
    bytes_in_bytes(in, offer->plain_hash, sizeof offer->plain_hash);
    bytes_in_bytes(in, offer->cipher_hash, sizeof offer->cipher_hash);
    bytes_in_bytes(in, offer->sealed_key, sizeof offer->sealed_key);
    bytes_in_bytes(in, offer->model_hash, sizeof offer->model_hash);
}

static struct result apply_done(struct ledger_study *study, const struct journal_record *record,
                                struct bytes_in *in, struct why *why)
{
    uint32_t task = bytes_in_u32(in);
    struct ledger_release release = {0};
    release.models = bytes_in_u32(in);
    release.outbox_offset = bytes_in_u64(in);
    offer_read(in, &release.offer);
    release.kind = release.offer.kind;
    size_t before = in->left, local_n = 0;
    bytes_in_block(in, LEDGER_LOCAL_MAX, &local_n);
    if (in->bad || in->left > 0 || study->task.state != LEDGER_TASK_BEGUN ||
        study->task.task != task || release.offer.plain_bytes > OBJECT_BYTES_MAX ||
        release.models > PAYLOAD_MODELS_MAX ||
        (release.kind != OBJECT_UPDATE && release.kind != OBJECT_EVALUATION &&
         release.kind != OBJECT_SECURE))
        return no_sense(why, record);
    study->task.state = LEDGER_TASK_DONE;
    study->task.release = release;
    study->bytes_released += release.offer.plain_bytes;
    if (!study->task.reuse && study->task.kind == TASK_TRAIN)
        study->trained++;
    if (!study->task.reuse && study->task.kind == TASK_EVALUATE)
        study->evaluated += release.models;
    if (local_n > 0) {
        study->local_offset = record->offset + (record->n - before) + 4;
        study->local_n = local_n;
    }
    return DONE;
}

static struct result apply_settled(struct ledger_study *study, const struct journal_record *record,
                                   struct bytes_in *in, struct why *why)
{
    char reason[MESSAGE_REASON_BYTES];
    uint32_t task = bytes_in_u32(in);
    bytes_in_u32(in);
    bytes_in_text(in, reason, sizeof reason);
    if (in->bad || in->left > 0)
        return no_sense(why, record);
    if (study->task.task == task)
        study->task.settled = true;
    return DONE;
}

static struct result apply_closed(struct ledger_study *study, const struct journal_record *record,
                                  struct bytes_in *in, struct why *why)
{
    uint32_t task = bytes_in_u32(in);
    uint32_t finished = bytes_in_u32(in);
    if (in->bad || in->left > 0)
        return no_sense(why, record);
    if (study->task.task == task)
        study->task.settled = true;
    if (finished && study->standing == LEDGER_STUDY_ALLOWED)
        study->standing = LEDGER_STUDY_FINISHED;
    return DONE;
}

static struct result apply_peer(struct ledger_study *study, const struct journal_record *record,
                                struct bytes_in *in, struct why *why)
{
    unsigned char key[ROSTER_KEY_BYTES];
    uint32_t place = bytes_in_u32(in);
    bytes_in_bytes(in, key, sizeof key);
    if (in->bad || in->left > 0 || place >= PLAN_SITES_MAX ||
        !sodium_is_zero(study->peers[place], sizeof key))
        return no_sense(why, record);
    memcpy(study->peers[place], key, sizeof key);
    return DONE;
}

struct result ledger_apply(struct ledger *ledger, const struct journal_record *record,
                           struct why *why)
{
    struct bytes_in in = {.at = record->body, .left = record->n};
    char name[PLAN_NAME_BYTES];
    bytes_in_text(&in, name, sizeof name);
    if (in.bad || name[0] == '\0')
        return no_sense(why, record);
    if (record->type == LEDGER_OFFERED)
        return apply_offered(ledger, record, &in, name, why);
    struct ledger_study *study = ledger_find(ledger, name);
    if (!study)
        return no_sense(why, record);
    switch (record->type) {
    case LEDGER_VERDICT:
        return apply_verdict(study, record, &in, why);
    case LEDGER_BEGUN:
        return apply_begun(study, record, &in, why);
    case LEDGER_DONE:
        return apply_done(study, record, &in, why);
    case LEDGER_SETTLED:
        return apply_settled(study, record, &in, why);
    case LEDGER_CLOSED:
        return apply_closed(study, record, &in, why);
    case LEDGER_PEER:
        return apply_peer(study, record, &in, why);
    case LEDGER_NAMED:
        return apply_named(study, record, &in, why);
    case LEDGER_CHARGED:
        return apply_charged(study, record, &in, why);
    default:
        return no_sense(why, record);
    }
}

static struct result read_record(void *context, const struct journal_record *record,
                                 struct why *why)
{
    return ledger_apply(context, record, why);
}

struct result ledger_open(struct ledger *ledger, int fd, const char *name, struct why *why)
{
    *ledger = (struct ledger){0};
    struct result r = journal_open(&ledger->journal, fd, name, read_record, ledger, why);
    if (!ok(r))
        ledger_free(ledger);
    return r;
}

struct result ledger_look(struct ledger *ledger, int fd, const char *name, struct why *why)
{
    *ledger = (struct ledger){0};
    struct result r = journal_scan(&ledger->journal, fd, name, read_record, ledger, why);
    if (!ok(r))
        ledger_free(ledger);
    return r;
}

void ledger_free(struct ledger *ledger)
{
    free(ledger->studies);
    *ledger = (struct ledger){0};
}

struct result ledger_continues(const struct ledger *ledger, uint64_t records,
                               const unsigned char head[JOURNAL_HASH_BYTES], struct why *why)
{
    unsigned char own[JOURNAL_HASH_BYTES];
    if (records == 0)
        return DONE;
    if (records > ledger->journal.sequence)
        return failed(why, RESULT_REFUSED,
                      "this site's privacy ledger has %llu records where it had %llu: it was set "
                      "back; the site must restore the newest copy before it takes part again",
                      (unsigned long long)ledger->journal.sequence, (unsigned long long)records);
    TRY(journal_hash(&ledger->journal, records, own, why));
    if (memcmp(own, head, sizeof own) != 0)
        return failed(why, RESULT_REFUSED,
                      "this site's privacy ledger has another record %llu than it had: it was set "
                      "back or replaced; the site must restore the newest copy before it takes "
                      "part again",
                      (unsigned long long)records);
    return DONE;
}

struct result ledger_launch(const struct ledger *ledger, const struct ledger_study *study,
                            unsigned char **ret_bytes, struct why *why)
{
    CLEANUP(free_pointer) unsigned char *bytes = malloc(study->launch_n ? study->launch_n : 1);
    if (!bytes)
        return failed(why, RESULT_SYSTEM, "no memory for a launch");
    TRY(journal_read(&ledger->journal, study->launch_offset, bytes, study->launch_n, why));
    *ret_bytes = TAKE(bytes);
    return DONE;
}

/* Checks that the record makes sense before it is written, so that none is written that would stop
 * the next start: a copy of the study takes it first. */
static struct result append(struct ledger *ledger, enum ledger_type type, uint64_t now_ms,
                            struct bytes_out *out, struct why *why)
{
    CLEANUP(free_pointer) unsigned char *body = out->bytes;
    if (out->bad)
        return failed(why, RESULT_SYSTEM, "no memory for a ledger record");
    struct bytes_in in = {.at = body, .left = out->n};
    char name[PLAN_NAME_BYTES];
    bytes_in_text(&in, name, sizeof name);
    struct ledger_study *study = ledger_find(ledger, name);
    struct ledger_study before = study ? *study : (struct ledger_study){0};
    size_t count = ledger->studies_count;
    struct journal_record record = {.type = (uint16_t)type,
                                    .sequence = ledger->journal.sequence + 1,
                                    .time_ms = now_ms,
                                    .body = body,
                                    .n = out->n};
    TRY(ledger_apply(ledger, &record, why));
    struct result r =
        journal_append(&ledger->journal, (uint16_t)type, now_ms, body, out->n, &record, why);
    if (!ok(r)) {
        if (study)
            *study = before;
        ledger->studies_count = count;
        return r;
    }
    /* Where the body lies was not known when it was applied. */
    if (type == LEDGER_OFFERED)
        ledger->studies[count].launch_offset += record.offset;
    if (type == LEDGER_DONE && study && study->local_offset != before.local_offset)
        study->local_offset += record.offset;
    return DONE;
}

struct result ledger_local(const struct ledger *ledger, const struct ledger_study *study, void *out,
                           struct why *why)
{
    return journal_read(&ledger->journal, study->local_offset, out, study->local_n, why);
}

struct result ledger_offered(struct ledger *ledger, uint64_t now_ms, const char *study,
                             const char *researcher, const unsigned char researcher_key[32],
                             const unsigned char plan_hash[PLAN_HASH_BYTES],
                             const unsigned char *launch, size_t launch_n, struct why *why)
{
    const struct ledger_study *known = ledger_find(ledger, study);
    if (known && memcmp(known->plan_hash, plan_hash, PLAN_HASH_BYTES) == 0)
        return DONE;
    if (known)
        return failed(why, RESULT_REFUSED,
                      "this site knows a study '%s' with another plan; give the study a new name",
                      study);
    if (ledger->studies_count == LEDGER_STUDIES_MAX)
        return failed(why, RESULT_REFUSED, "this site's ledger holds %d studies, as many as it can",
                      LEDGER_STUDIES_MAX);
    struct bytes_out out = {0};
    bytes_out_text(&out, study);
    bytes_out_text(&out, researcher);
    bytes_out_bytes(&out, researcher_key, 32);
    bytes_out_bytes(&out, plan_hash, PLAN_HASH_BYTES);
    bytes_out_block(&out, launch, launch_n);
    return append(ledger, LEDGER_OFFERED, now_ms, &out, why);
}

struct result ledger_verdict(struct ledger *ledger, uint64_t now_ms, const char *study,
                             enum ledger_standing standing, const char *reason,
                             const struct ledger_charge *charge, struct why *why)
{
    struct bytes_out out = {0};
    bytes_out_text(&out, study);
    bytes_out_u32(&out, standing);
    bytes_out_text(&out, reason);
    bytes_out_double(&out, charge ? charge->epsilon : 0.0);
    bytes_out_double(&out, charge ? charge->delta : 0.0);
    bytes_out_double(&out, charge ? charge->noise_multiplier : 0.0);
    bytes_out_text(&out, charge ? charge->events : "");
    return append(ledger, LEDGER_VERDICT, now_ms, &out, why);
}

struct result ledger_begun(struct ledger *ledger, uint64_t now_ms, const char *study, uint32_t task,
                           const struct message_task *order, bool reuse, struct why *why)
{
    struct bytes_out out = {0};
    bytes_out_text(&out, study);
    bytes_out_u32(&out, task);
    bytes_out_u32(&out, order->kind);
    bytes_out_u32(&out, order->round);
    bytes_out_bytes(&out, order->model_hash, PLAN_HASH_BYTES);
    bytes_out_u32(&out, reuse);
    return append(ledger, LEDGER_BEGUN, now_ms, &out, why);
}

struct result ledger_done(struct ledger *ledger, uint64_t now_ms, const char *study, uint32_t task,
                          const struct ledger_release *release, const unsigned char *local,
                          size_t local_n, struct why *why)
{
    struct bytes_out out = {0};
    bytes_out_text(&out, study);
    bytes_out_u32(&out, task);
    bytes_out_u32(&out, release->models);
    bytes_out_u64(&out, release->outbox_offset);
    offer_write(&out, &release->offer);
    bytes_out_block(&out, local, local_n);
    return append(ledger, LEDGER_DONE, now_ms, &out, why);
}

struct result ledger_settled(struct ledger *ledger, uint64_t now_ms, const char *study,
                             uint32_t task, bool accepted, const char *reason, struct why *why)
{
    struct bytes_out out = {0};
    bytes_out_text(&out, study);
    bytes_out_u32(&out, task);
    bytes_out_u32(&out, accepted);
    bytes_out_text(&out, reason);
    return append(ledger, LEDGER_SETTLED, now_ms, &out, why);
}

struct result ledger_named(struct ledger *ledger, uint64_t now_ms, const char *study,
                           const unsigned char hash[PLAN_HASH_BYTES], struct why *why)
{
    const struct ledger_study *known = ledger_find(ledger, study);
    if (known && ledger_knows(known, hash))
        return DONE;
    struct bytes_out out = {0};
    bytes_out_text(&out, study);
    bytes_out_bytes(&out, hash, PLAN_HASH_BYTES);
    return append(ledger, LEDGER_NAMED, now_ms, &out, why);
}

struct result ledger_charged(struct ledger *ledger, uint64_t now_ms, const char *study,
                             uint32_t task, uint32_t models, double noise, struct why *why)
{
    const struct ledger_study *known = ledger_find(ledger, study);
    if (known && known->after.task == task)
        return DONE;
    struct bytes_out out = {0};
    bytes_out_text(&out, study);
    bytes_out_u32(&out, task);
    bytes_out_u32(&out, models);
    bytes_out_double(&out, noise);
    return append(ledger, LEDGER_CHARGED, now_ms, &out, why);
}

struct result ledger_closed(struct ledger *ledger, uint64_t now_ms, const char *study,
                            uint32_t task, bool finished, struct why *why)
{
    struct bytes_out out = {0};
    bytes_out_text(&out, study);
    bytes_out_u32(&out, task);
    bytes_out_u32(&out, finished);
    return append(ledger, LEDGER_CLOSED, now_ms, &out, why);
}

struct result ledger_peer(struct ledger *ledger, uint64_t now_ms, const char *study, uint32_t place,
                          const unsigned char key[ROSTER_KEY_BYTES], bool *ret_news,
                          struct why *why)
{
    const struct ledger_study *known = ledger_find(ledger, study);
    *ret_news = false;
    if (!known || place >= PLAN_SITES_MAX || sodium_is_zero(key, ROSTER_KEY_BYTES))
        return failed(why, RESULT_REFUSED, "no key of a site of study '%s'", study);
    if (memcmp(known->peers[place], key, ROSTER_KEY_BYTES) == 0)
        return DONE;
    if (!sodium_is_zero(known->peers[place], ROSTER_KEY_BYTES))
        return failed(why, RESULT_REFUSED,
                      "a site of the study has another key than this site saw before: a new key "
                      "needs a new study");
    struct bytes_out out = {0};
    bytes_out_text(&out, study);
    bytes_out_u32(&out, place);
    bytes_out_bytes(&out, key, ROSTER_KEY_BYTES);
    *ret_news = true;
    return append(ledger, LEDGER_PEER, now_ms, &out, why);
}
