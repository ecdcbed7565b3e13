/* SPDX-License-Identifier: Apache-2.0 */
/* The session's traces: what comes in, what goes out, in order; everything twice, lost, late. */
#include "agent/session.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct world {
    unsigned char coordinator_public[32], coordinator_secret[64];
    unsigned char site_public[32], site_secret[64];
    unsigned char coordinator_session[SESSION_ID_BYTES], site_session[SESSION_ID_BYTES];
    uint64_t coordinator_sequence, site_sequence;
    uint64_t now_ms;
    struct session session;
    struct session_effects effects;
    struct message *message, *heard;
    uint32_t asked; /* the last request's number */
    char trace[2048];
    /* the model on its way down, and the update on its way up */
    struct message_object_offer model, update;
    unsigned char *model_cipher, *update_cipher;
    size_t model_n, update_n;
};

static struct world w;

static void trace(const char *text)
{
    size_t n = strlen(w.trace);
    snprintf(w.trace + n, sizeof w.trace - n, "%s%s", n ? " " : "", text);
}

static const char *const REQUESTS[] = {"",      "hello", "control", "study", "task", "fetch",
                                       "again", "done",  "closed",  "head",  "stop"};

/* Control messages by what they would say, requests by name, packets as "publish". */
static void note_effects(void)
{
    struct why why;
    for (size_t i = 0; i < w.effects.count; i++) {
        struct session_effect *e = &w.effects.list[i];
        struct ipc_control control;
        if (e->kind == SESSION_PUBLISH)
            trace("publish");
        if (e->kind != SESSION_ASK)
            continue;
        w.asked = e->request;
        if (e->type == IPC_CONTROL && ok(ipc_control_read(&control, e->bytes, e->n, &why)))
            trace(control.kind == MESSAGE_HELLO         ? "say-hello"
                  : control.kind == MESSAGE_OBJECT_ACK  ? "say-ack"
                  : control.kind == MESSAGE_OBJECT_DONE ? "say-done"
                                                        : "say-declined");
        else
            trace(REQUESTS[e->type]);
    }
    session_effects_free(&w.effects);
}

static struct result step(struct session_event event)
{
    struct why why = {{0}};
    event.now_ms = w.now_ms;
    struct result r = session_step(&w.session, &event, &w.effects, &why);
    note_effects();
    return r;
}

static void expect(const char *expected)
{
    if (strcmp(w.trace, expected) != 0)
        fail_msg("trace is '%s', not '%s'", w.trace, expected);
    w.trace[0] = '\0';
}

/* A message of the coordinator; the caller frees. */
static unsigned char *say(enum message_kind kind, uint32_t task, size_t *ret_n)
{
    struct message_head *head = &w.message->head;
    struct why why;
    unsigned char *bytes = NULL;
    w.message->kind = kind;
    strcpy(head->consortium, "demo");
    strcpy(head->sender, "coordinator");
    if (head->receiver[0] == '\0')
        strcpy(head->receiver, "north");
    strcpy(head->study, "falls");
    head->task = task;
    memcpy(head->session, w.coordinator_session, SESSION_ID_BYTES);
    head->sequence = ++w.coordinator_sequence;
    head->sent_ms = w.now_ms;
    assert_true(ok(envelope_seal(w.message, w.coordinator_secret, &bytes, ret_n, &why)));
    return bytes;
}

static struct message *fresh(void)
{
    memset(w.message, 0, sizeof *w.message);
    return w.message;
}

static struct result hear(enum message_kind kind, uint32_t task)
{
    size_t n = 0;
    unsigned char *bytes = say(kind, task, &n);
    struct result r = step((struct session_event){.kind = SESSION_MESSAGE, .bytes = bytes, .n = n});
    free(bytes);
    return r;
}

static struct result reply(enum ipc_type type, uint32_t request, struct bytes_out body)
{
    struct ipc_message message = {.type = type,
                                  .request = request,
                                  .body = body.bytes,
                                  .n = body.n};
    struct result r = step((struct session_event){.kind = SESSION_REPLY, .reply = &message});
    free(body.bytes);
    return r;
}

static void begin(uint32_t pending)
{
    struct session_options options = {.coordinator = "coordinator", .object_max = 1 << 20};
    struct ipc_welcome welcome = {.site = "north", .consortium = "demo"};
    struct why why;
    struct bytes_out body = {0};
    memset(&w, 0, sizeof w);
    w.now_ms = 1000000;
    w.message = calloc(1, sizeof *w.message);
    w.heard = calloc(1, sizeof *w.heard);
    crypto_sign_keypair(w.coordinator_public, w.coordinator_secret);
    crypto_sign_keypair(w.site_public, w.site_secret);
    memset(w.coordinator_session, 1, SESSION_ID_BYTES);
    memset(w.site_session, 2, SESSION_ID_BYTES);
    memcpy(options.coordinator_public, w.coordinator_public, 32);
    memcpy(options.site_public, w.site_public, 32);
    assert_true(ok(session_start(&w.session, &options, &why)));
    for (uint32_t i = 0; i < pending; i++) {
        strcpy(welcome.pending[i].study, "falls");
        welcome.pending[i].task = 7 + i;
    }
    welcome.pending_count = pending;
    ipc_welcome_write(&body, &welcome);
    assert_true(ok(reply(IPC_WELCOME, 0, body)));
}

/* Connected, and the coordinator heard the hello: it answers with the head of its log. */
static void connected(void)
{
    step((struct session_event){.kind = SESSION_CONNECTED});
    memset(w.message, 0, sizeof *w.message);
    w.message->tree_head.size = 1;
    assert_true(ok(hear(MESSAGE_TREE_HEAD, 0)));
    memset(w.message, 0, sizeof *w.message);
    *strstr(w.trace, " head") = '\0';
}

static void end(void)
{
    session_end(&w.session);
    free(w.message);
    free(w.heard);
    free(w.model_cipher);
    free(w.update_cipher);
}

/* An object of n bytes, sealed to nobody in particular: the session never opens it. */
static void object(struct message_object_offer *offer, size_t n, unsigned char **cipher,
                   size_t *cipher_n)
{
    unsigned char key[32];
    unsigned char *plain = calloc(1, n);
    struct why why;
    free(*cipher);
    *cipher = NULL;
    assert_true(ok(transfer_seal(plain, n, offer, key, cipher, cipher_n, &why)));
    free(plain);
}

static void hear_task(uint32_t task)
{
    fresh()->task =
        (struct message_task){.kind = TASK_TRAIN, .round = 1, .deadline_ms = w.now_ms + 60000};
    memcpy(w.message->task.object, w.model.object, OBJECT_ID_BYTES);
    assert_true(ok(hear(MESSAGE_TASK, task)));
}

static void hear_model(uint32_t task)
{
    fresh()->object_offer = w.model;
    w.message->object_offer.kind = OBJECT_MODEL;
    assert_true(ok(hear(MESSAGE_OBJECT_OFFER, task)));
}

static struct result hear_chunk(uint32_t index)
{
    unsigned char packet[TRANSFER_PACKET_MAX];
    const size_t stride = OBJECT_CHUNK_BYTES + TRANSFER_TAG_BYTES;
    size_t start = index * stride;
    size_t n = w.model_n - start < stride ? w.model_n - start : stride;
    memcpy(packet, w.model.object, OBJECT_ID_BYTES);
    for (int i = 0; i < 4; i++)
        packet[OBJECT_ID_BYTES + i] = (unsigned char)(index >> (8 * i));
    memcpy(packet + TRANSFER_HEADER_BYTES, w.model_cipher + start, n);
    return step((struct session_event){.kind = SESSION_CHUNK,
                                       .bytes = packet,
                                       .n = TRANSFER_HEADER_BYTES + n});
}

/* The vault's result: its own offer, signed, and the ciphertext. */
static void reply_result(uint32_t request, uint32_t task)
{
    struct message_head *head = &fresh()->head;
    struct bytes_out body = {0};
    unsigned char *bytes = NULL;
    size_t n = 0;
    struct why why;
    w.message->kind = MESSAGE_OBJECT_OFFER;
    w.message->object_offer = w.update;
    w.message->object_offer.kind = OBJECT_UPDATE;
    strcpy(head->consortium, "demo");
    strcpy(head->sender, "north");
    strcpy(head->receiver, "coordinator");
    strcpy(head->study, "falls");
    head->task = task;
    memcpy(head->session, w.site_session, SESSION_ID_BYTES);
    head->sequence = ++w.site_sequence;
    assert_true(ok(envelope_seal(w.message, w.site_secret, &bytes, &n, &why)));
    bytes_out_block(&body, bytes, n);
    bytes_out_bytes(&body, w.update_cipher, w.update_n);
    free(bytes);
    assert_true(ok(reply(IPC_RESULT, request, body)));
}

static void hear_ack(uint32_t next, uint32_t granted)
{
    fresh()->object_ack = (struct message_object_ack){.next = next, .granted = granted};
    memcpy(w.message->object_ack.object, w.update.object, OBJECT_ID_BYTES);
    assert_true(ok(hear(MESSAGE_OBJECT_ACK, 1)));
}

static size_t drain(void)
{
    unsigned char packet[TRANSFER_PACKET_MAX];
    size_t packets = 0;
    while (session_next_packet(&w.session, packet, w.now_ms) > 0)
        packets++;
    return packets;
}

static void to_working(uint32_t task)
{
    hear_task(task);
    expect("task");
    hear_model(task);
    expect("");
    assert_true(ok(reply(IPC_NEED_MODEL, w.asked, (struct bytes_out){0})));
    expect("say-ack");
    for (uint32_t i = 0; i < transfer_chunks(w.model.plain_bytes); i++)
        assert_true(ok(hear_chunk(i)));
}

static void test_a_round(void **state)
{
    (void)state;
    begin(0);
    expect("");
    connected();
    expect("say-hello");
    object(&w.model, 100, &w.model_cipher, &w.model_n);
    object(&w.update, 3 * OBJECT_CHUNK_BYTES, &w.update_cipher, &w.update_n);
    to_working(1);
    expect("say-done task");
    reply_result(w.asked, 1);
    expect("publish");
    assert_int_equal(drain(), 0); /* nothing is granted yet */
    hear_ack(0, 2);
    assert_int_equal(drain(), 2);
    hear_ack(2, 3);
    assert_int_equal(drain(), 1);
    fresh();
    memcpy(w.message->object_done.object, w.update.object, OBJECT_ID_BYTES);
    w.message->object_done.accepted = true;
    assert_true(ok(hear(MESSAGE_OBJECT_DONE, 1)));
    expect("done");
    fresh()->task_closed.completed = true;
    strcpy(w.message->task_closed.own.site, "north");
    w.message->task_closed.own.counted = true;
    assert_true(ok(hear(MESSAGE_TASK_CLOSED, 1)));
    expect("closed");
    fresh()->task_closed.completed = true; /* a task that was lost on the way here */
    strcpy(w.message->task_closed.own.site, "north");
    assert_true(ok(hear(MESSAGE_TASK_CLOSED, 2)));
    expect("closed say-hello");
    assert_true(session_wake(&w.session) == UINT64_MAX);
    end();
}

/* Every message of the coordinator twice, some three times, and orders swapped. */
static void test_everything_twice(void **state)
{
    (void)state;
    begin(0);
    connected();
    object(&w.model, 5 * OBJECT_CHUNK_BYTES, &w.model_cipher, &w.model_n);
    object(&w.update, 10, &w.update_cipher, &w.update_n);
    w.trace[0] = '\0';
    hear_task(1);
    hear_task(1);
    expect("task");
    hear_model(1);
    hear_model(1);
    expect("");
    assert_true(ok(reply(IPC_NEED_MODEL, w.asked, (struct bytes_out){0})));
    hear_task(1);
    hear_model(1);
    expect("say-ack say-ack say-ack");
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(ok(hear_chunk(3 - i)));
        assert_true(ok(hear_chunk(3 - i)));
    }
    w.trace[0] = '\0';
    assert_true(ok(hear_chunk(4)));
    expect("say-done task");
    uint32_t working = w.asked;
    assert_false(ok(hear_chunk(4)));
    hear_task(1);
    hear_model(1);
    expect("say-done");
    reply_result(working, 1);
    expect("publish");
    hear_task(1); /* the coordinator has not heard of the result: it is offered again */
    expect("again");
    fresh();
    memcpy(w.message->object_done.object, w.update.object, OBJECT_ID_BYTES);
    w.message->object_done.accepted = true;
    assert_true(ok(hear(MESSAGE_OBJECT_DONE, 1)));
    assert_true(ok(hear(MESSAGE_OBJECT_DONE, 1)));
    expect("done done");
    end();
}

/* The very same packet again is a replay and does nothing; so is an older one. */
static void test_replay(void **state)
{
    (void)state;
    size_t n = 0, later_n = 0;
    begin(0);
    object(&w.model, 10, &w.model_cipher, &w.model_n);
    fresh()->task = (struct message_task){.kind = TASK_TRAIN, .round = 1};
    unsigned char *first = say(MESSAGE_TASK, 1, &n);
    fresh()->task = (struct message_task){.kind = TASK_TRAIN, .round = 2};
    unsigned char *later = say(MESSAGE_TASK, 2, &later_n);
    const struct session_event a = {.kind = SESSION_MESSAGE, .bytes = first, .n = n};
    const struct session_event b = {.kind = SESSION_MESSAGE, .bytes = later, .n = later_n};
    assert_true(ok(step(b)));
    expect("task");
    assert_false(ok(step(b)));
    assert_false(ok(step(a)));
    expect("");
    first[n / 2] ^= 1;
    assert_false(ok(step(a)));
    expect("");
    free(first);
    free(later);
    end();
}

static void test_not_for_us(void **state)
{
    (void)state;
    begin(0);
    strcpy(fresh()->head.receiver, "south");
    assert_false(ok(hear(MESSAGE_STUDY_OFFER, 0)));
    fresh()->hello.protocol_newest = 1;
    assert_false(ok(hear(MESSAGE_HELLO, 0)));
    crypto_sign_keypair(w.site_public, w.coordinator_secret); /* somebody else's key */
    fresh()->study_offer.launch_n = 3;
    assert_false(ok(hear(MESSAGE_STUDY_OFFER, 0)));
    unsigned char junk[100] = {1};
    for (size_t n = 0; n < sizeof junk; n++) {
        assert_false(
            ok(step((struct session_event){.kind = SESSION_MESSAGE, .bytes = junk, .n = n})));
        assert_false(
            ok(step((struct session_event){.kind = SESSION_CHUNK, .bytes = junk, .n = n})));
    }
    expect("");
    end();
}

/* Lost packets: each side's silence is met by saying it again, with growing pauses. */
static void test_stall(void **state)
{
    (void)state;
    begin(0);
    step((struct session_event){.kind = SESSION_CONNECTED});
    object(&w.model, 3 * OBJECT_CHUNK_BYTES, &w.model_cipher, &w.model_n);
    object(&w.update, 2 * OBJECT_CHUNK_BYTES, &w.update_cipher, &w.update_n);
    hear_task(1);
    hear_model(1);
    assert_true(ok(reply(IPC_NEED_MODEL, w.asked, (struct bytes_out){0})));
    assert_true(ok(hear_chunk(0)));
    w.trace[0] = '\0';
    step((struct session_event){.kind = SESSION_TIMER}); /* spurious */
    expect("");
    assert_true(session_wake(&w.session) == w.now_ms + SESSION_STALL_MS);
    w.now_ms += SESSION_STALL_MS;
    step((struct session_event){.kind = SESSION_TIMER});
    expect("say-ack");
    for (uint32_t i = 1; i < 3; i++)
        hear_chunk(i);
    reply_result(w.asked, 1);
    hear_ack(0, 2);
    assert_int_equal(drain(), 2);
    w.trace[0] = '\0';
    uint64_t pause = 0;
    for (int i = 0; i < 8; i++) {
        uint64_t wake = session_wake(&w.session);
        assert_true(wake - w.now_ms >= pause && wake - w.now_ms <= SESSION_STALL_MS_MAX);
        pause = wake - w.now_ms;
        w.now_ms = wake;
        step((struct session_event){.kind = SESSION_TIMER});
        expect("again");
    }
    /* The coordinator restarted and has nothing: all chunks go out again. */
    hear_ack(0, 2);
    assert_int_equal(drain(), 2);
    /* It lacks the last one only. */
    w.now_ms = session_wake(&w.session);
    step((struct session_event){.kind = SESSION_TIMER});
    hear_ack(1, 2);
    assert_int_equal(drain(), 1);
    end();
}

static void test_reconnect(void **state)
{
    (void)state;
    begin(0);
    step((struct session_event){.kind = SESSION_CONNECTED});
    object(&w.model, 3 * OBJECT_CHUNK_BYTES, &w.model_cipher, &w.model_n);
    hear_task(1);
    hear_model(1);
    assert_true(ok(reply(IPC_NEED_MODEL, w.asked, (struct bytes_out){0})));
    assert_true(ok(hear_chunk(0)));
    step((struct session_event){.kind = SESSION_DISCONNECTED});
    w.trace[0] = '\0';
    w.now_ms += 100 * SESSION_STALL_MS;
    step((struct session_event){.kind = SESSION_TIMER}); /* no use while there is no connection */
    expect("");
    assert_true(session_wake(&w.session) == UINT64_MAX);
    step((struct session_event){.kind = SESSION_CONNECTED});
    expect("say-hello say-ack");
    end();
}

/* A restarted agent sends what its vault had finished, without the coordinator's help. */
static void test_restart(void **state)
{
    (void)state;
    begin(1);
    expect("fetch");
    uint32_t fetch = w.asked;
    object(&w.model, 10, &w.model_cipher, &w.model_n);
    object(&w.update, 10, &w.update_cipher, &w.update_n);
    connected();
    expect("say-hello");
    hear_task(7); /* asked again meanwhile: it is on its way */
    expect("");
    reply_result(fetch, 7);
    expect("publish");
    end();
}

/* A hello sent before the coordinator listened is said again at its first word, once. */
static void test_unheard(void **state)
{
    (void)state;
    begin(0);
    step((struct session_event){.kind = SESSION_CONNECTED});
    expect("say-hello");
    assert_true(ok(hear(MESSAGE_STUDY_OFFER, 0)));
    expect("say-hello study");
    fresh();
    assert_true(ok(hear(MESSAGE_STUDY_OFFER, 0)));
    expect("study");
    end();
}

/* A later task replaces an earlier one in every stage. */
static void test_replaced(void **state)
{
    (void)state;
    begin(0);
    connected();
    object(&w.model, 10, &w.model_cipher, &w.model_n);
    object(&w.update, 10, &w.update_cipher, &w.update_n);
    w.trace[0] = '\0';
    hear_task(1);
    expect("task");
    uint32_t first = w.asked;
    object(&w.model, 10, &w.model_cipher, &w.model_n);
    to_working(2);
    expect("say-done task");
    uint32_t second = w.asked;
    assert_true(ok(reply(IPC_NEED_MODEL, first, (struct bytes_out){0}))); /* of the replaced one */
    expect("");
    object(&w.model, 10, &w.model_cipher, &w.model_n);
    hear_task(3);
    expect("task");
    reply_result(second, 2); /* too late: it stays in the vault's outbox */
    expect("");
    end();
}

static void test_too_many(void **state)
{
    (void)state;
    begin(0);
    connected();
    w.trace[0] = '\0';
    for (int i = 0; i <= SESSION_TASKS_MAX; i++) {
        size_t n = 0;
        struct why why;
        unsigned char *bytes = NULL;
        object(&w.model, 10, &w.model_cipher, &w.model_n);
        fresh()->task =
            (struct message_task){.kind = TASK_TRAIN, .round = 1, .deadline_ms = w.now_ms + 60000};
        memcpy(w.message->task.object, w.model.object, OBJECT_ID_BYTES);
        bytes = say(MESSAGE_TASK, 1, &n);
        free(bytes);
        snprintf(w.message->head.study, sizeof w.message->head.study, "study%d", i);
        w.message->head.sequence = ++w.coordinator_sequence;
        assert_true(ok(envelope_seal(w.message, w.coordinator_secret, &bytes, &n, &why)));
        step((struct session_event){.kind = SESSION_MESSAGE, .bytes = bytes, .n = n});
        free(bytes);
        expect(i < SESSION_TASKS_MAX ? "task" : "say-declined");
    }
    end();
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_round),  cmocka_unit_test(test_everything_twice),
        cmocka_unit_test(test_replay),   cmocka_unit_test(test_not_for_us),
        cmocka_unit_test(test_stall),    cmocka_unit_test(test_reconnect),
        cmocka_unit_test(test_restart),  cmocka_unit_test(test_unheard),
        cmocka_unit_test(test_replaced), cmocka_unit_test(test_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
