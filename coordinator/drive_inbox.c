/* SPDX-License-Identifier: Apache-2.0 */
/* Packets in: who sent it, is it signed, is it fresh, may this role say that, what follows. */
#include "coordinator/drive_inner.h"

#include "coordinator/combine.h"
#include "coordinator/combine_secure.h"
#include "proto/base/log.h"
#include "proto/topic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct result drive_peer(struct drive *drive, const char *name, struct peer **ret_peer,
                         struct why *why)
{
    for (size_t i = 0; i < drive->peers_count; i++) {
        *ret_peer = drive->peers[i];
        if (strcmp(drive->peers[i]->name, name) == 0)
            return DONE;
    }
    if (drive->peers_count == DRIVE_PEERS_MAX)
        return failed(why, RESULT_REFUSED, "more than %d members spoke", DRIVE_PEERS_MAX);
    struct peer *peer = calloc(1, sizeof *peer);
    if (!peer)
        return failed(why, RESULT_SYSTEM, "out of memory");
    snprintf(peer->name, sizeof peer->name, "%s", name);
    struct result r = store_read_member(drive->options.store, name, &peer->record, why);
    if (!ok(r)) {
        free(peer);
        return r;
    }
    drive->peers[drive->peers_count++] = peer;
    *ret_peer = peer;
    return DONE;
}

static struct result look_up(struct drive *drive, const char *name, struct drive_member *member,
                             struct why *why)
{
    if (!drive->options.find(drive->options.context, name, member))
        return failed(why, RESULT_REFUSED, "'%s' is not in the roster", name);
    if (member->revoked)
        return failed(why, RESULT_REFUSED, "'%s' is revoked", name);
    return DONE;
}

/* What the site tells of its privacy ledger is told back with each offer and task, so that a ledger
 * that was set back stops the site (agent/vault/ledger.h). A site enrolled anew, with a new key,
 * begins a new ledger. */
static void keep_ledger_head(struct peer *peer, const struct drive_member *member,
                             const struct message_head *head)
{
    struct store_member *record = &peer->record;
    bool same_key = memcmp(record->ledger_key, member->sign_public, sizeof record->ledger_key) == 0;
    if (same_key && head->ledger_records == record->ledger_records &&
        memcmp(head->ledger_head, record->ledger_head, LEDGER_HEAD_BYTES) != 0)
        log_error("%s: tells another record %llu of its privacy ledger than before: the ledger was "
                  "set back or copied",
                  peer->name, (unsigned long long)head->ledger_records);
    if (same_key && head->ledger_records <= record->ledger_records)
        return;
    record->ledger_records = head->ledger_records;
    memcpy(record->ledger_head, head->ledger_head, LEDGER_HEAD_BYTES);
    memcpy(record->ledger_key, member->sign_public, sizeof record->ledger_key);
    peer->changed = true;
}

/* The message is for us, from this consortium, and newer than what was seen. *ret_replay tells that
 * it is not newer, which offers may be. */
static struct result accept_head(struct drive *drive, const struct drive_member *member,
                                 bool *ret_replay, struct why *why)
{
    const struct message_head *head = &drive->in->head;
    struct peer *peer = NULL;
    if (strcmp(head->consortium, drive->options.consortium) != 0)
        return failed(why, RESULT_REFUSED, "the message is for consortium '%s'", head->consortium);
    if (strcmp(head->receiver, drive->options.name) != 0)
        return failed(why, RESULT_REFUSED, "the message is for '%s'", head->receiver);
    TRY(drive_peer(drive, head->sender, &peer, why));
    struct result fresh = envelope_fresh(&peer->record.seen, head, why);
    *ret_replay = !ok(fresh);
    peer->changed = peer->changed || ok(fresh);
    if (member->role == DRIVE_SITE && head->ledger_records > 0)
        keep_ledger_head(peer, member, head);
    return DONE;
}

/* Any fresh word of a site proves that it is alive. */
static void sign_of_life(struct drive *drive, const char *site, bool always, uint64_t now_ms)
{
    for (size_t i = 0; i < drive->studies_count; i++) {
        struct running *running = drive->studies[i];
        uint32_t at = study_find(&running->study, site);
        if (at == running->study.members_count)
            continue;
        /* After a study's end only a hello asks how it ended. */
        if (!always && (running->study.members[at].live || study_over(&running->study)))
            continue;
        struct study_event event = {.kind = STUDY_EVENT_HELLO, .site = at, .now_ms = now_ms};
        struct why why;
        if (!ok(drive_step(drive, running, &event, NULL, &why)))
            log_warning("%s says hello: %s", site, why.text);
    }
}

static struct result take_hello(struct drive *drive, uint64_t now_ms, struct why *why)
{
    const struct message_hello *hello = &drive->in->hello;
    const char *site = drive->in->head.sender;
    struct peer *peer = NULL;
    if (hello->protocol_oldest > PROTOCOL_VERSION ||
        hello->protocol_newest < PROTOCOL_VERSION_OLDEST)
        return failed(why, RESULT_REFUSED,
                      "it speaks protocol versions %u to %u, this coordinator %d to %d; upgrade "
                      "the older one",
                      hello->protocol_oldest, hello->protocol_newest, PROTOCOL_VERSION_OLDEST,
                      PROTOCOL_VERSION);
    TRY(drive_peer(drive, site, &peer, why));
    snprintf(peer->record.software, sizeof peer->record.software, "%s", hello->software);
    peer->protocol = hello->protocol_newest;
    if (hello->peak_memory_kb > peer->record.peak_memory_kb)
        peer->record.peak_memory_kb = hello->peak_memory_kb;
    sign_of_life(drive, site, true, now_ms);
    drive_send_head(drive, site, now_ms);
    return DONE;
}

/* The study and the place of the sender in it. */
static struct result find_study(struct drive *drive, struct running **ret_running,
                                uint32_t *ret_site, struct why *why)
{
    const struct message_head *head = &drive->in->head;
    TRY(drive_load(drive, head->study, ret_running, why));
    *ret_site = study_find(&(*ret_running)->study, head->sender);
    if (*ret_site == (*ret_running)->study.members_count)
        return failed(why, RESULT_REFUSED, "'%s' is no site of study '%s'", head->sender,
                      head->study);
    return DONE;
}

static struct result take_answer(struct drive *drive, uint64_t now_ms, struct why *why)
{
    const struct message_study_answer *answer = &drive->in->study_answer;
    struct running *running = NULL;
    uint32_t site = 0;
    TRY(find_study(drive, &running, &site, why));
    if (memcmp(answer->plan_hash, running->study.plan_hash, PLAN_HASH_BYTES) != 0)
        return failed(why, RESULT_REFUSED, "the answer is to another plan of the name '%s'",
                      running->study.name);
    if (answer->verdict == STUDY_ALLOWED && answer->declared_patients == 0)
        return failed(why, RESULT_REFUSED, "a site without patients cannot take part");
    struct study_event event = {
        .kind = STUDY_EVENT_VERDICT,
        .now_ms = now_ms,
        .site = site,
        .verdict = answer->verdict,
        .declared_patients = answer->declared_patients,
        .epsilon_budget = answer->epsilon_budget,
        .fingerprint = answer->data_fingerprint,
        .reason = answer->reason,
    };
    return drive_step(drive, running, &event, NULL, why);
}

static struct result take_declined(struct drive *drive, uint64_t now_ms, struct why *why)
{
    struct running *running = NULL;
    uint32_t site = 0;
    TRY(find_study(drive, &running, &site, why));
    struct study_event event = {
        .kind = STUDY_EVENT_DECLINED,
        .now_ms = now_ms,
        .site = site,
        .task = drive->in->head.task,
        .reason = drive->in->task_declined.reason,
        .decline = drive->in->task_declined.kind,
    };
    return drive_step(drive, running, &event, NULL, why);
}

/* Kind and model of an offer fit the open task. */
static struct result check_offer(const struct running *running,
                                 const struct message_object_offer *offer, struct why *why)
{
    const struct study *study = &running->study;
    enum object_kind kind = OBJECT_SECURE;
    const char *what = "a word of a secure round";
    if (study->task.kind == TASK_TRAIN) {
        kind = OBJECT_UPDATE;
        what = "an update";
    } else if (study->task.kind == TASK_EVALUATE) {
        kind = OBJECT_EVALUATION;
        what = "an evaluation";
    }
    if (offer->kind != kind)
        return failed(why, RESULT_REFUSED, "task %u asks for %s", study->task.task, what);
    if (memcmp(offer->model_hash, study_input(study), PLAN_HASH_BYTES) != 0)
        return failed(why, RESULT_REFUSED, "task %u starts from another model", study->task.task);
    return DONE;
}

static struct result take_offer(struct drive *drive, const unsigned char *envelope, size_t n,
                                uint64_t now_ms, struct why *why)
{
    const struct message_head *head = &drive->in->head;
    const struct message_object_offer *offer = &drive->in->object_offer;
    struct running *running = NULL;
    uint32_t site = 0;
    struct result r = find_study(drive, &running, &site, why);
    if (ok(r))
        r = study_wants(&running->study, site, head->task, offer->plain_hash, why);
    if (r.code == RESULT_AGAIN) {
        drive_send_done(drive, head->sender, head->study, head->task, offer->object, NULL, now_ms);
        return DONE;
    }
    if (ok(r))
        r = check_offer(running, offer, why);
    if (ok(r)) {
        uint64_t limit = running->study.task.kind == TASK_TRAIN ? running->update_max
                                                                : DRIVE_EVALUATION_BYTES_MAX;
        size_t parts = secure_parts_bytes(running->study.task.kind, running->plan.sites_count);
        limit = parts > 0 ? parts + 64 : limit;
        r = exchange_offer(&drive->exchange, head, offer, envelope, n, limit, now_ms, why);
    }
    if (r.code == RESULT_INPUT || r.code == RESULT_REFUSED)
        drive_send_done(drive, head->sender, head->study, head->task, offer->object, why->text,
                        now_ms);
    if (r.code == RESULT_REFUSED && running && head->task < running->study.task.task) {
        /* Offered again while the task closed: nothing that an operator should look at. */
        log_debug("%s: an offer that crossed the end of its task: %s", head->sender, why->text);
        return DONE;
    }
    return r;
}

static struct result dispatch_site(struct drive *drive, const struct drive_member *member,
                                   const unsigned char *envelope, size_t n, bool replay,
                                   uint64_t now_ms, struct why *why)
{
    const struct message *in = drive->in;
    /* A site that was cut off sends the very same offer again. */
    if (replay && in->kind != MESSAGE_OBJECT_OFFER)
        return failed(why, RESULT_REFUSED, "a replayed or reordered %s",
                      message_kind_name(in->kind));
    if (!replay && in->kind != MESSAGE_HELLO)
        sign_of_life(drive, in->head.sender, false, now_ms);
    switch (in->kind) {
    case MESSAGE_HELLO:
        return take_hello(drive, now_ms, why);
    case MESSAGE_STUDY_ANSWER:
        return take_answer(drive, now_ms, why);
    case MESSAGE_TASK_DECLINED:
        return take_declined(drive, now_ms, why);
    case MESSAGE_OBJECT_OFFER:
        return take_offer(drive, envelope, n, now_ms, why);
    case MESSAGE_OBJECT_ACK:
        exchange_acknowledged(&drive->exchange, in->head.sender, &in->object_ack);
        return DONE;
    case MESSAGE_OBJECT_DONE:
        exchange_delivered(&drive->exchange, in->head.sender, in->object_done.object);
        return DONE;
    case MESSAGE_TREE_WITNESS:
        return drive_take_witness(drive, member, now_ms, why);
    case MESSAGE_STUDY_OFFER:
    case MESSAGE_TASK:
    case MESSAGE_TASK_CLOSED:
    case MESSAGE_COMMAND:
    case MESSAGE_REPLY:
    case MESSAGE_TREE_HEAD:
        break;
    }
    return failed(why, RESULT_REFUSED, "a site may not send a %s", message_kind_name(in->kind));
}

static struct result dispatch_user(struct drive *drive, const struct drive_member *user,
                                   const unsigned char *envelope, size_t n, bool replay,
                                   uint64_t now_ms, struct why *why)
{
    const struct message *in = drive->in;
    if (replay)
        return failed(why, RESULT_REFUSED, "a replayed or reordered %s",
                      message_kind_name(in->kind));
    if (in->kind == MESSAGE_COMMAND) {
        drive_command(drive, user, envelope, n, now_ms);
        return DONE;
    }
    if (in->kind == MESSAGE_OBJECT_ACK) {
        exchange_acknowledged(&drive->exchange, in->head.sender, &in->object_ack);
        return DONE;
    }
    if (in->kind == MESSAGE_OBJECT_DONE) {
        exchange_delivered(&drive->exchange, in->head.sender, in->object_done.object);
        return DONE;
    }
    return failed(why, RESULT_REFUSED, "a user may not send a %s", message_kind_name(in->kind));
}

static struct result take_message(struct drive *drive, const char *from, const unsigned char *bytes,
                                  size_t n, uint64_t now_ms, struct why *why)
{
    char sender[PLAN_NAME_BYTES];
    struct drive_member member;
    bool replay = false;
    TRY(envelope_sender(bytes, n, sender, why));
    if (strcmp(sender, from) != 0)
        return failed(why, RESULT_REFUSED, "it claims to be from '%s'", sender);
    TRY(look_up(drive, sender, &member, why));
    TRY(envelope_open(bytes, n, member.sign_public, drive->in, why));
    TRY(accept_head(drive, &member, &replay, why));
    if (member.role == DRIVE_SITE)
        return dispatch_site(drive, &member, bytes, n, replay, now_ms, why);
    return dispatch_user(drive, &member, bytes, n, replay, now_ms, why);
}

/* The content of a whole object, opened and checked against plan, round and site. */
struct content {
    unsigned char *plain;
    size_t n;
    struct payload_update update;
    bool is_update;
};

static struct result check_update(const struct running *running, uint32_t site,
                                  struct content *content, struct why *why)
{
    const struct study *study = &running->study;
    TRY(payload_update_decode(&content->update, content->plain, content->n, why));
    content->is_update = true;
    if (content->update.round != study->task.round)
        return failed(why, RESULT_REFUSED, "the update is of round %u, the task of round %u",
                      content->update.round, study->task.round);
    if (content->update.declared_patients != study->members[site].declared_patients)
        return failed(why, RESULT_REFUSED,
                      "the update declares %llu patients, the site's answer declared %llu",
                      (unsigned long long)content->update.declared_patients,
                      (unsigned long long)study->members[site].declared_patients);
    if (running->plan.aggregation.secure)
        return combine_secure_check(&content->update, running->parameters, why);
    return combine_check(&running->plan, &content->update, running->parameters, why);
}

/* A word of a secure round: of this stage, and an advert that its site signed for this round. */
static struct result check_word(struct drive *drive, const struct running *running, uint32_t site,
                                const struct content *content, struct why *why)
{
    const struct study *study = &running->study;
    struct secure_word word;
    TRY(secure_word_decode(&word, content->plain, content->n, study->task.kind, study->task.round,
                           running->plan.sites_count, why));
    struct drive_member member;
    struct mask_advert advert;
    struct mask_reveal reveals[PLAN_SITES_MAX];
    const struct secure_scope scope = {.study = study->name,
                                       .plan_hash = study->plan_hash,
                                       .model_hash = study->model,
                                       .task = study->task.task,
                                       .round = study->task.round};
    const char *name = study->members[site].name;
    struct result r = DONE;
    if (word.stage == TASK_KEYS &&
        (!drive->options.find(drive->options.context, name, &member) ||
         !secure_advert_open(&scope, name, word.parts, member.sign_public, &advert)))
        r = failed(why, RESULT_REFUSED, "the keys are not signed by the site for this round");
    if (word.stage == TASK_REVEAL &&
        !secure_reveals_get(word.parts, running->plan.sites_count, reveals))
        r = failed(why, RESULT_REFUSED, "the shares are malformed");
    secure_word_free(&word);
    return r;
}

static struct result check_evaluation(const struct running *running, const struct content *content,
                                      struct why *why)
{
    struct payload_evaluation evaluation = {0};
    TRY(payload_evaluation_decode(&evaluation, content->plain, content->n, why));
    struct result r = DONE;
    if (evaluation.round != running->study.task.round)
        r = failed(why, RESULT_REFUSED, "the evaluation is of round %u, the task of round %u",
                   evaluation.round, running->study.task.round);
    else if (evaluation.models_count == 0 || evaluation.models[0].groups_count == 0)
        r = failed(why, RESULT_REFUSED, "the evaluation holds no figures");
    payload_evaluation_free(&evaluation);
    return r;
}

static struct result deliver(struct drive *drive, struct running *running, uint32_t site,
                             const struct upload *upload, struct content *content, uint64_t now_ms,
                             struct why *why)
{
    struct store_object object = {
        .task = upload->task,
        .position = site,
        .payload = content->plain,
        .payload_n = content->n,
        .offer = upload->envelope,
        .offer_n = upload->envelope_n,
        .cipher_bytes = upload->in.cipher_n,
        .received_ms = now_ms,
    };
    memcpy(object.digest, upload->offer.plain_hash, PLAN_HASH_BYTES);
    struct step_extra extra = {.object = &object,
                               .update = content->is_update ? &content->update : NULL};
    struct study_event event = {
        .kind = STUDY_EVENT_DELIVERED,
        .now_ms = now_ms,
        .site = site,
        .task = upload->task,
        .digest = upload->offer.plain_hash,
    };
    return drive_step(drive, running, &event, &extra, why);
}

static void refuse_object(struct drive *drive, struct running *running, uint32_t site,
                          const struct upload *upload, const char *reason, uint64_t now_ms)
{
    struct study_event event = {
        .kind = STUDY_EVENT_REFUSED,
        .now_ms = now_ms,
        .site = site,
        .task = upload->task,
        .reason = reason,
    };
    struct why why;
    if (!ok(drive_step(drive, running, &event, NULL, &why)))
        log_warning("%s: %s", upload->member, why.text);
}

/* A whole object: RESULT_AGAIN when it is worth sending again. */
static struct result take_object(struct drive *drive, const struct upload *upload, uint64_t now_ms,
                                 struct why *why)
{
    struct running *running = drive_find(drive, upload->study);
    if (!running)
        return failed(why, RESULT_REFUSED, "there is no study '%s'", upload->study);
    uint32_t site = study_find(&running->study, upload->member);
    TRY(study_wants(&running->study, site, upload->task, upload->offer.plain_hash, why));
    struct content content = {0};
    struct result r =
        transfer_open(&upload->offer, drive->options.seal_public, drive->options.seal_secret,
                      upload->in.cipher, upload->in.cipher_n, &content.plain, &content.n, why);
    if (!ok(r))
        /* Chunks are not signed one by one: the broker may have spoiled one. */
        return failed_in(why, (struct result){RESULT_AGAIN}, "it arrived damaged");
    if (running->study.task.kind == TASK_TRAIN)
        r = check_update(running, site, &content, why);
    else if (running->study.task.kind == TASK_EVALUATE)
        r = check_evaluation(running, &content, why);
    else
        r = check_word(drive, running, site, &content, why);
    if (ok(r))
        r = deliver(drive, running, site, upload, &content, now_ms, why);
    else if (r.code == RESULT_INPUT || r.code == RESULT_REFUSED)
        refuse_object(drive, running, site, upload, why->text, now_ms);
    payload_update_free(&content.update);
    free(content.plain);
    return r;
}

static struct result take_chunk(struct drive *drive, const char *from, const unsigned char *bytes,
                                size_t n, uint64_t now_ms, struct why *why)
{
    struct upload *upload = NULL;
    TRY(exchange_chunk(&drive->exchange, from, bytes, n, now_ms, &upload, why));
    if (!upload)
        return DONE;
    struct message_object_offer offer = upload->offer;
    char study[PLAN_NAME_BYTES];
    uint32_t task = upload->task;
    memcpy(study, upload->study, sizeof study);
    struct result r = take_object(drive, upload, now_ms, why);
    /* The step may have closed the task and dropped its uploads. */
    exchange_drop(&drive->exchange, from, offer.object, now_ms);
    if (ok(r))
        drive_send_done(drive, from, study, task, offer.object, NULL, now_ms);
    else if (r.code == RESULT_INPUT || r.code == RESULT_REFUSED)
        drive_send_done(drive, from, study, task, offer.object, why->text, now_ms);
    return r;
}

void drive_packet(struct drive *drive, const char *topic_text, const unsigned char *bytes, size_t n,
                  uint64_t now_ms)
{
    struct topic topic;
    struct why why;
    struct result r = topic_parse(&topic, drive->options.consortium, topic_text, &why);
    if (ok(r) && topic.direction == TOPIC_PRESENCE)
        return; /* the broker's word; a site's own HELLO counts */
    if (ok(r) && topic.direction != TOPIC_UP)
        r = failed(&why, RESULT_REFUSED, "a packet on a topic of our own");
    if (ok(r) && topic.channel == TOPIC_CHUNK)
        r = take_chunk(drive, topic.member, bytes, n, now_ms, &why);
    else if (ok(r))
        r = take_message(drive, topic.member, bytes, n, now_ms, &why);
    if (!ok(r))
        log_warning("packet on %s: %s", topic_text, why.text);
}
