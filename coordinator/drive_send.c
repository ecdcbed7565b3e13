/* SPDX-License-Identifier: Apache-2.0 */
/* Messages out: composed, signed, queued, and handed to the link as far as it takes them. */
#include "coordinator/drive_inner.h"

#include "coordinator/work_gate.h"
#include "coordinator/work_monitor.h"
#include "proto/base/log.h"
#include "proto/topic.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct message *drive_compose(struct drive *drive, enum message_kind kind, const char *study,
                              uint32_t task)
{
    struct message *message = drive->out;
    memset(message, 0, sizeof *message);
    message->kind = kind;
    snprintf(message->head.study, sizeof message->head.study, "%s", study);
    message->head.task = task;
    return message;
}

static void topic_to(struct drive *drive, const char *member, enum topic_channel channel,
                     char out[LINK_TOPIC_BYTES])
{
    struct topic topic = {.direction = TOPIC_DOWN, .channel = channel};
    snprintf(topic.member, sizeof topic.member, "%s", member);
    topic_format(out, drive->options.consortium, &topic);
}

/* The site's own ledger, as long as it ever told with the key that it has. */
static void tell_ledger_head(struct drive *drive, const char *site)
{
    struct message_head *head = &drive->out->head;
    struct drive_member member;
    struct peer *peer = NULL;
    struct why why;
    if (!drive->options.find(drive->options.context, site, &member))
        return;
    if (!ok(drive_peer(drive, site, &peer, &why))) {
        log_warning("%s: %s", site, why.text);
        return;
    }
    const struct store_member *record = &peer->record;
    if (memcmp(record->ledger_key, member.sign_public, sizeof record->ledger_key) != 0)
        return;
    head->ledger_records = record->ledger_records;
    memcpy(head->ledger_head, record->ledger_head, LEDGER_HEAD_BYTES);
}

void drive_post(struct drive *drive, const char *member, uint64_t now_ms)
{
    struct message_head *head = &drive->out->head;
    snprintf(head->consortium, sizeof head->consortium, "%s", drive->options.consortium);
    snprintf(head->sender, sizeof head->sender, "%s", drive->options.name);
    snprintf(head->receiver, sizeof head->receiver, "%s", member);
    memcpy(head->session, drive->session, sizeof head->session);
    head->sequence = ++drive->sequence;
    head->sent_ms = now_ms;
    unsigned char *bytes = NULL;
    size_t n = 0;
    char topic[LINK_TOPIC_BYTES];
    struct why why;
    if (drive->out->kind == MESSAGE_STUDY_OFFER || drive->out->kind == MESSAGE_TASK)
        tell_ledger_head(drive, member);
    topic_to(drive, member, TOPIC_MESSAGE, topic);
    struct result r = envelope_seal(drive->out, drive->options.sign_secret, &bytes, &n, &why);
    if (ok(r))
        r = outbox_put(&drive->outbox, topic, bytes, n, &why);
    if (!ok(r))
        log_warning("a %s for %s is not sent: %s", message_kind_name(drive->out->kind), member,
                    why.text);
}

void drive_send_offer(struct drive *drive, struct running *running, uint32_t site, uint64_t now_ms)
{
    struct store_bytes envelope = {0};
    struct why why;
    const char *study = running->study.name;
    struct result r = store_read_envelope(drive->options.store, study, &envelope, &why);
    struct message *message = drive_compose(drive, MESSAGE_STUDY_OFFER, study, 0);
    char researcher[PLAN_NAME_BYTES] = "";
    struct drive_member member;
    if (ok(r) && envelope.n > sizeof message->study_offer.launch)
        r = failed(&why, RESULT_INPUT, "the launch of study '%s' is too large", study);
    if (ok(r))
        r = envelope_sender(envelope.bytes, envelope.n, researcher, &why);
    if (ok(r) && !drive->options.find(drive->options.context, researcher, &member))
        r = failed(&why, RESULT_REFUSED, "its researcher '%s' is no member any more", researcher);
    if (!ok(r)) {
        log_error("study %s is not offered: %s", study, why.text);
    } else {
        memcpy(message->study_offer.launch, envelope.bytes, envelope.n);
        message->study_offer.launch_n = envelope.n;
        memcpy(message->study_offer.researcher_key, member.sign_public,
               sizeof message->study_offer.researcher_key);
        drive_post(drive, running->study.members[site].name, now_ms);
    }
    free(envelope.bytes);
}

/* Whether the member said that it takes packed objects. */
static bool takes_packed(const struct drive *drive, const char *member)
{
    for (size_t i = 0; i < drive->peers_count; i++)
        if (strcmp(drive->peers[i]->name, member) == 0)
            return drive->peers[i]->protocol >= PROTOCOL_VERSION_PACKED;
    return false;
}

/* The open task's model, sealed once for all sites that take it in that form. */
static struct result prepare_parcel(struct drive *drive, struct running *running, bool packed,
                                    struct why *why)
{
    const struct study *study = &running->study;
    if (running->parcel_task != study->task.task)
        drive_release_parcels(running);
    if (running->parcel[packed])
        return DONE;
    struct store_bytes payload = {0};
    TRY(store_read_model(drive->options.store, study_input(study), &payload, why));
    struct result r = parcel_create(payload.bytes, payload.n, OBJECT_MODEL, packed,
                                    &running->parcel[packed], why);
    free(payload.bytes);
    running->parcel_task = study->task.task;
    if (ok(r) && packed)
        log_debug("study %s task %u: its model travels in %llu of %zu bytes", study->name,
                  study->task.task,
                  (unsigned long long)transfer_carried(&running->parcel[packed]->offer), payload.n);
    return r;
}

void drive_release_parcels(struct running *running)
{
    for (size_t i = 0; i < 2; i++) {
        parcel_release(running->parcel[i]);
        running->parcel[i] = NULL;
    }
}

/* Public, and not known before the model is: nobody can aim at the codec's rotation. */
static void rotation_seed(const struct study *study, unsigned char seed[32])
{
    static const char DOMAIN[] = "consilium rotation 1";
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, 32);
    crypto_generichash_update(&state, (const unsigned char *)DOMAIN, sizeof DOMAIN);
    crypto_generichash_update(&state, study->plan_hash, PLAN_HASH_BYTES);
    crypto_generichash_update(&state, study->model, PLAN_HASH_BYTES);
    crypto_generichash_final(&state, seed, 32);
}

void drive_send_parcel(struct drive *drive, struct parcel *parcel, const char *member,
                       const char *study, uint32_t task, const unsigned char *model_hash,
                       const unsigned char *command, uint64_t now_ms)
{
    struct drive_member to;
    struct why why;
    if (!drive->options.find(drive->options.context, member, &to) || to.revoked)
        return;
    struct result r = exchange_send(&drive->exchange, parcel, member, study, task, now_ms, &why);
    struct message *message = drive_compose(drive, MESSAGE_OBJECT_OFFER, study, task);
    message->object_offer = parcel->offer;
    if (model_hash)
        memcpy(message->object_offer.model_hash, model_hash, PLAN_HASH_BYTES);
    if (command)
        memcpy(message->object_offer.command, command, SESSION_ID_BYTES);
    if (ok(r))
        r = transfer_seal_key(&message->object_offer, parcel->key, to.seal_public, &why);
    if (ok(r))
        drive_post(drive, member, now_ms);
    else
        log_warning("an object for %s is not sent: %s", member, why.text);
}

void drive_send_task(struct drive *drive, struct running *running, uint32_t site, uint64_t now_ms)
{
    const struct study *study = &running->study;
    const char *name = study->members[site].name;
    bool packed = takes_packed(drive, name);
    struct why why;
    if (!ok(prepare_parcel(drive, running, packed, &why))) {
        log_error("study %s: the model cannot be sent: %s", study->name, why.text);
        return;
    }
    struct message *message = drive_compose(drive, MESSAGE_TASK, study->name, study->task.task);
    struct message_task *task = &message->task;
    task->kind = study->task.kind;
    task->round = study->task.round;
    memcpy(task->plan_hash, study->plan_hash, PLAN_HASH_BYTES);
    memcpy(task->model_hash, study_input(study), PLAN_HASH_BYTES);
    rotation_seed(study, task->seed);
    task->deadline_ms = study->task.deadline_ms;
    memcpy(task->object, running->parcel[packed]->offer.object, OBJECT_ID_BYTES);
    task->after_study = study->phase == STUDY_VALIDATING;
    task->epochs_after = study->task.sites[site].epochs_after;
    drive_post(drive, name, now_ms);
    drive_send_parcel(drive, running->parcel[packed], name, study->name, study->task.task,
                      study_input(study), NULL, now_ms);
}

void drive_send_closed(struct drive *drive, struct running *running, uint32_t site, uint64_t now_ms)
{
    const struct study *study = &running->study;
    const struct round *task = &study->closed;
    struct message *message = drive_compose(drive, MESSAGE_TASK_CLOSED, study->name, task->task);
    struct message_task_closed *closed = &message->task_closed;
    closed->completed = task->phase == ROUND_COMPLETE;
    memcpy(closed->model_hash, study->model, PLAN_HASH_BYTES);
    const struct round_site *part = &task->sites[site];
    snprintf(closed->own.site, sizeof closed->own.site, "%s", study->members[site].name);
    closed->own.counted = part->standing == STANDING_COUNTED;
    if (!closed->own.counted)
        snprintf(closed->own.reason, sizeof closed->own.reason, "%s",
                 part->reason[0] ? part->reason : "this site was not asked");
    closed->counted = round_tally(task, STANDING_COUNTED);
    closed->refused = round_tally(task, STANDING_REFUSED) + round_tally(task, STANDING_DECLINED) +
                      round_tally(task, STANDING_ASIDE);
    closed->missing = round_tally(task, STANDING_MISSED) + round_tally(task, STANDING_AWAY);
    gate_notice(drive->options.store, study->name, closed->notice, sizeof closed->notice);
    if (!closed->notice[0])
        monitor_notice(drive->options.store, study->name, closed->notice, sizeof closed->notice);
    closed->study_finished = study_over(study);
    memcpy(closed->candidate_hash, study->candidate, PLAN_HASH_BYTES);
    if (study->best_round > 0)
        memcpy(closed->best_hash, study->best, PLAN_HASH_BYTES);
    drive_post(drive, study->members[site].name, now_ms);
}

void drive_notify(struct drive *drive, const char *name, uint64_t now_ms)
{
    struct running *running = NULL;
    struct why why;
    if (!ok(drive_load(drive, name, &running, &why))) {
        log_warning("the sites of study %s are not told: %s", name, why.text);
        return;
    }
    for (uint32_t i = 0; i < running->study.members_count; i++)
        if (running->study.members[i].verdict == MEMBER_ALLOWED && study_over(&running->study))
            drive_send_closed(drive, running, i, now_ms);
}

void drive_send_done(struct drive *drive, const char *member, const char *study, uint32_t task,
                     const unsigned char object[OBJECT_ID_BYTES], const char *reason,
                     uint64_t now_ms)
{
    struct message *message = drive_compose(drive, MESSAGE_OBJECT_DONE, study, task);
    memcpy(message->object_done.object, object, OBJECT_ID_BYTES);
    message->object_done.accepted = reason == NULL;
    snprintf(message->object_done.reason, sizeof message->object_done.reason, "%s",
             reason ? reason : "");
    drive_post(drive, member, now_ms);
}

static void acknowledge(struct drive *drive, uint64_t now_ms)
{
    struct message_object_ack ack;
    for (const struct upload *upload = exchange_next_ack(&drive->exchange, &ack); upload;
         upload = exchange_next_ack(&drive->exchange, &ack)) {
        struct message *message =
            drive_compose(drive, MESSAGE_OBJECT_ACK, upload->study, upload->task);
        message->object_ack = ack;
        drive_post(drive, upload->member, now_ms);
    }
}

void drive_flush(struct drive *drive, uint64_t now_ms)
{
    struct link *link = drive->options.link;
    acknowledge(drive, now_ms);
    if (!outbox_flush(&drive->outbox, link))
        return;
    for (;;) {
        char topic[LINK_TOPIC_BYTES];
        if (drive->packet_n == 0)
            drive->packet_n =
                exchange_next_chunk(&drive->exchange, drive->packet, drive->packet_member);
        if (drive->packet_n == 0)
            return;
        topic_to(drive, drive->packet_member, TOPIC_CHUNK, topic);
        if (!ok(link->operations->publish(link, topic, drive->packet, drive->packet_n, NULL)))
            return;
        drive->packet_n = 0;
    }
}
