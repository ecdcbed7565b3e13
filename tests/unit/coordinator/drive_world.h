/* SPDX-License-Identifier: Apache-2.0 */
/* A drive with its store between three sites, a researcher and an auditor played by hand over a
   link in memory: what the tests of test_drive.c share. */
#ifndef CONSILIUM_TEST_DRIVE_WORLD_H
#define CONSILIUM_TEST_DRIVE_WORLD_H

#include "coordinator/drive.h"

#include "proto/compress/codec.h"
#include "proto/link_memory.h"
#include "proto/payload.h"
#include "proto/topic.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SITES = 3, PARTIES = SITES + 2, RESEARCHER = SITES, AUDITOR = SITES + 1 };

/* A member of the consortium, its link, and what it heard last. */
struct party {
    struct drive_member member;
    unsigned char sign_secret[ENVELOPE_SIGN_SECRET_BYTES], seal_secret[SEAL_SECRET_BYTES];
    struct link *link;
    unsigned char session[SESSION_ID_BYTES];
    uint64_t sequence;
    struct envelope_seen seen;
    struct message_task task; /* the last one */
    uint32_t task_number;
    struct transfer_out out;
    unsigned char *cipher;
    unsigned char *last_envelope; /* of the last message sent */
    size_t last_envelope_n;
    struct message_reply reply;
    struct message_object_done done;
    struct message_task_closed closed;
    struct message_tree_head head;
    int heads;
    struct message_object_offer model; /* the last one offered to it */
    unsigned replies, dones, tasks, offers;
    uint64_t ledger_records, told_records; /* what it says of its ledger, and hears */
    unsigned char told_head[LEDGER_HEAD_BYTES];
};

static struct link_memory_hub *hub;
static struct link *coordinator_link;
static struct party coordinator, party[PARTIES];
static struct store *store;
static struct drive *drive;
static struct message message;
static uint64_t now_ms;
static struct why why;

static const char PLAN[] = "version: 1\n"
                           "study: s\n"
                           "sites: [site0, site1, site2]\n"
                           "patient_id: id\n"
                           "label: {column: ill, type: binary, levels: [\"0\", \"1\"]}\n"
                           "features:\n"
                           "  - {name: x, type: number, range: [0, 1]}\n"
                           "model: {kind: logistic}\n"
                           "training: {rounds: 3, learning_rate: 0.1}\n"
                           "privacy: {mode: none}\n"
                           "compression: none\n"
                           "aggregation: {rule: weighted-mean, quorum: 2, max_share: 0.9, "
                           "deadline_s: 10}\n"
                           "validation: {every: 3}\n";

static bool find(void *context, const char *name, struct drive_member *member)
{
    (void)context;
    for (int i = 0; i < PARTIES; i++) {
        if (strcmp(party[i].member.name, name) == 0) {
            *member = party[i].member;
            return true;
        }
    }
    return false;
}

static void open_drive(void)
{
    struct drive_options options = {
        .consortium = "c",
        .name = "coordinator",
        .sign_secret = coordinator.sign_secret,
        .sign_public = coordinator.member.sign_public,
        .seal_public = coordinator.member.seal_public,
        .seal_secret = coordinator.seal_secret,
        .store = store,
        .link = coordinator_link,
        .find = find,
    };
    assert_true(ok(drive_open(&options, now_ms, &drive, &why)));
}

static struct link *open_link(const char *name, const char *filter)
{
    struct link *link = NULL;
    struct link_options options = {.name = name,
                                   .subscriptions = (const char *const[]){filter, NULL}};
    assert_true(ok(link_memory_open(hub, &options, &link, &why)));
    return link;
}

static void make_party(struct party *p, const char *name, enum drive_role role)
{
    char filter[LINK_TOPIC_BYTES];
    snprintf(p->member.name, sizeof p->member.name, "%s", name);
    p->member.role = role;
    crypto_sign_keypair(p->member.sign_public, p->sign_secret);
    crypto_box_keypair(p->member.seal_public, p->seal_secret);
    randombytes_buf(p->session, sizeof p->session);
    if (role == 0)
        return;
    snprintf(filter, sizeof filter, "cns/1/c/down/%s/#", name);
    p->link = open_link(name, filter);
}

static int setup(void **state)
{
    (void)state;
    struct link_memory_faults none = {0};
    now_ms = 1000000;
    memset(party, 0, sizeof party);
    memset(&coordinator, 0, sizeof coordinator);
    assert_true(ok(link_memory_hub_open(&none, &hub, &why)));
    coordinator_link = open_link("coordinator", "cns/1/c/up/#");
    make_party(&coordinator, "coordinator", 0);
    for (int i = 0; i < SITES; i++) {
        char name[8];
        snprintf(name, sizeof name, "site%d", i);
        make_party(&party[i], name, DRIVE_SITE);
    }
    make_party(&party[RESEARCHER], "ada", DRIVE_RESEARCHER);
    make_party(&party[AUDITOR], "uma", DRIVE_AUDITOR);
    assert_true(ok(store_open(":memory:", coordinator.sign_secret, &store, &why)));
    open_drive();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    drive_close(drive);
    store_close(store);
    coordinator_link->operations->close(coordinator_link);
    for (int i = 0; i < PARTIES; i++) {
        party[i].link->operations->close(party[i].link);
        free(party[i].cipher);
        free(party[i].last_envelope);
    }
    link_memory_hub_close(hub);
    return 0;
}

static void publish(const char *from, enum topic_channel channel, const unsigned char *bytes,
                    size_t n)
{
    char text[LINK_TOPIC_BYTES];
    struct topic topic = {.direction = TOPIC_UP, .channel = channel};
    snprintf(topic.member, sizeof topic.member, "%.63s", from);
    topic_format(text, "c", &topic);
    struct party *p = &party[0];
    assert_true(ok(p->link->operations->publish(p->link, text, bytes, n, &why)));
}

static struct message *compose(struct party *p, enum message_kind kind, const char *study,
                               uint32_t task)
{
    memset(&message, 0, sizeof message);
    message.kind = kind;
    strcpy(message.head.consortium, "c");
    strcpy(message.head.sender, p->member.name);
    strcpy(message.head.receiver, "coordinator");
    strcpy(message.head.study, study);
    memcpy(message.head.session, p->session, SESSION_ID_BYTES);
    message.head.sequence = ++p->sequence;
    message.head.sent_ms = now_ms;
    message.head.task = task;
    message.head.ledger_records = p->ledger_records;
    memset(message.head.ledger_head, (int)p->ledger_records, LEDGER_HEAD_BYTES);
    return &message;
}

static void post(struct party *p)
{
    free(p->last_envelope);
    assert_true(
        ok(envelope_seal(&message, p->sign_secret, &p->last_envelope, &p->last_envelope_n, &why)));
    publish(p->member.name, TOPIC_MESSAGE, p->last_envelope, p->last_envelope_n);
}

static void hear_message(struct party *p, const struct link_event *event)
{
    assert_true(ok(envelope_open(event->payload, event->payload_n, coordinator.member.sign_public,
                                 &message, &why)));
    assert_true(ok(envelope_fresh(&p->seen, &message.head, &why)));
    assert_string_equal(message.head.receiver, p->member.name);
    if (message.kind == MESSAGE_STUDY_OFFER || message.kind == MESSAGE_TASK) {
        p->told_records = message.head.ledger_records;
        memcpy(p->told_head, message.head.ledger_head, LEDGER_HEAD_BYTES);
    }
    switch (message.kind) {
    case MESSAGE_STUDY_OFFER:
        p->offers++;
        break;
    case MESSAGE_TASK:
        p->task = message.task;
        p->task_number = message.head.task;
        p->tasks++;
        break;
    case MESSAGE_OBJECT_ACK:
        transfer_out_ack(&p->out, &message.object_ack);
        break;
    case MESSAGE_OBJECT_DONE:
        p->done = message.object_done;
        p->dones++;
        break;
    case MESSAGE_TASK_CLOSED:
        p->closed = message.task_closed;
        break;
    case MESSAGE_REPLY:
        p->reply = message.reply;
        p->replies++;
        break;
    case MESSAGE_OBJECT_OFFER:
        p->model = message.object_offer;
        break;
    case MESSAGE_TREE_HEAD:
        p->head = message.tree_head;
        p->heads++;
        break;
    case MESSAGE_HELLO:
    case MESSAGE_STUDY_ANSWER:
    case MESSAGE_TASK_DECLINED:
    case MESSAGE_COMMAND:
    case MESSAGE_TREE_WITNESS:
        break;
    }
}

static bool hear(struct party *p)
{
    struct link_event event;
    bool any = false;
    unsigned char packet[TRANSFER_PACKET_MAX];
    while (p->link->operations->next(p->link, &event)) {
        struct topic topic;
        if (event.kind == LINK_PACKET && ok(topic_parse(&topic, "c", event.topic, &why)) &&
            topic.channel == TOPIC_MESSAGE)
            hear_message(p, &event);
        any = any || event.kind == LINK_PACKET;
        free(event.payload);
    }
    for (size_t n = p->cipher ? transfer_out_next(&p->out, packet) : 0; n > 0;
         n = transfer_out_next(&p->out, packet)) {
        publish(p->member.name, TOPIC_CHUNK, packet, n);
        any = true;
    }
    return any;
}

/* Lets everybody speak until nothing moves. */
static void settle(void)
{
    bool any = true;
    while (any) {
        any = false;
        link_memory_hub_advance(hub, now_ms);
        drive_timer(drive, now_ms);
        drive_run(drive, now_ms);
        link_memory_hub_advance(hub, now_ms);
        for (int i = 0; i < PARTIES; i++)
            any = hear(&party[i]) || any;
    }
}

static void hello(struct party *p, uint32_t protocol)
{
    compose(p, MESSAGE_HELLO, "", 0);
    message.hello.protocol_oldest = 1;
    message.hello.protocol_newest = protocol;
    strcpy(message.hello.software, "test");
    post(p);
    settle();
}

static void command(struct party *p, const char *verb, const char *text)
{
    compose(p, MESSAGE_COMMAND, "", 0);
    randombytes_buf(message.command.id, SESSION_ID_BYTES);
    strcpy(message.command.verb, verb);
    message.command.text_n = strlen(text);
    memcpy(message.command.text, text, message.command.text_n);
    post(p);
    settle();
}

static void allow(int site)
{
    struct party *p = &party[site];
    compose(p, MESSAGE_STUDY_ANSWER, "s", 0);
    crypto_generichash(message.study_answer.plan_hash, PLAN_HASH_BYTES, (const unsigned char *)PLAN,
                       strlen(PLAN), NULL, 0);
    message.study_answer.verdict = STUDY_ALLOWED;
    message.study_answer.declared_patients = 100;
    post(p);
    settle();
}

/* The site's answer to its last task as a sealed object. */
static void seal_answer(struct party *p, uint64_t patients, float value)
{
    static const unsigned char seed[CODEC_SEED_BYTES];
    unsigned char *plain = NULL, key[32], frame[256];
    size_t n = 0;
    float x[2] = {value, -value};
    struct message_object_offer offer = {.kind = OBJECT_UPDATE};
    if (p->task.kind == TASK_TRAIN) {
        struct codec codec;
        struct payload_update update = {.round = p->task.round,
                                        .declared_patients = patients,
                                        .frame = frame};
        assert_true(ok(codec_parse("none", &codec, &why)));
        assert_true(
            ok(codec_encode(&codec, seed, 2, x, frame, sizeof frame, &update.frame_n, &why)));
        assert_true(ok(payload_update_encode(&update, &plain, &n, &why)));
    } else {
        struct evaluation_figures figures = {.status = EVALUATION_OK,
                                             .auroc = 0.75,
                                             .auroc_variance = 0.001,
                                             .brier = 0.2};
        struct evaluation_model model = {.name = "global", .groups_count = 1, .groups = &figures};
        struct payload_evaluation evaluation = {.round = p->task.round,
                                                .models_count = 1,
                                                .models = &model};
        offer.kind = OBJECT_EVALUATION;
        assert_true(ok(payload_evaluation_encode(&evaluation, &plain, &n, &why)));
    }
    free(p->cipher);
    p->cipher = NULL;
    size_t cipher_n = 0;
    assert_true(ok(transfer_seal(plain, n, &offer, key, &p->cipher, &cipher_n, &why)));
    assert_true(ok(transfer_seal_key(&offer, key, coordinator.member.seal_public, &why)));
    memcpy(offer.model_hash, p->task.model_hash, PLAN_HASH_BYTES);
    transfer_out_start(&p->out, &offer, p->cipher, cipher_n);
    free(plain);
}

static void offer_answer(struct party *p)
{
    compose(p, MESSAGE_OBJECT_OFFER, "s", p->task_number);
    message.object_offer = p->out.offer;
    post(p);
}

static void answer(int site, float value)
{
    seal_answer(&party[site], 100, value);
    offer_answer(&party[site]);
    settle();
}

static struct study *stored(void)
{
    static struct study study;
    assert_true(ok(store_load(store, "s", &study, &why)));
    return &study;
}

static void start_training(void)
{
    command(&party[RESEARCHER], "launch", PLAN);
    assert_int_equal(party[RESEARCHER].reply.exit_code, 0);
    for (int i = 0; i < SITES; i++) {
        assert_true(party[i].offers > 0);
        allow(i);
    }
    assert_int_equal(stored()->phase, STUDY_TRAINING);
}

static void crash(void)
{
    drive_close(drive); /* nothing is written when a drive is closed */
    drive = NULL;
    now_ms += 1; /* a later session is known by its later time */
    open_drive();
    settle();
}

#endif
