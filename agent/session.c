/* SPDX-License-Identifier: Apache-2.0 */
/* The network side of a site: which packet or reply moves which task. */
#include "agent/session.h"

#include "agent/session_task.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct result session_start(struct session *session, const struct session_options *options,
                            struct why *why)
{
    *session = (struct session){.options = *options};
    session->scratch = malloc(sizeof *session->scratch);
    if (!session->scratch)
        return failed(why, RESULT_SYSTEM, "no memory for a message");
    return DONE;
}

void session_end(struct session *session)
{
    for (size_t i = 0; i < SESSION_TASKS_MAX; i++) {
        struct session_task *slot = &session->tasks[i];
        if (slot->stage != STAGE_FREE) {
            slot->stage = STAGE_SENDING; /* so that it is released, not kept as stale */
            task_drop(slot);
        }
    }
    free(session->scratch);
    *session = (struct session){0};
}

void session_effects_free(struct session_effects *effects)
{
    for (size_t i = 0; i < effects->count; i++)
        free(effects->list[i].bytes);
    effects->count = 0;
}

/* A copy of the packet into *slot_bytes, replacing what was there. */
static struct result keep(unsigned char **slot_bytes, size_t *slot_n,
                          const struct session_event *event, struct why *why)
{
    unsigned char *copy = malloc(event->n ? event->n : 1);
    if (!copy)
        return failed(why, RESULT_SYSTEM, "no memory for a message of %zu bytes", event->n);
    memcpy(copy, event->bytes, event->n);
    free(*slot_bytes);
    *slot_bytes = copy;
    *slot_n = event->n;
    return DONE;
}

static void decline(struct session *session, const struct message_head *head, const char *reason,
                    struct session_effects *effects)
{
    struct ipc_control control = {.kind = MESSAGE_TASK_DECLINED, .task = head->task};
    memcpy(control.study, head->study, sizeof control.study);
    snprintf(control.declined.reason, sizeof control.declined.reason, "%s", reason);
    control.declined.kind = DECLINE_BUSY;
    session_ask_control(session, effects, &control);
    session_note(effects, true, "%s task %" PRIu32 " declined: %s", head->study, head->task,
                 reason);
}

/* The same task again: the coordinator has not heard of us, or grants more time. */
static struct result task_repeated(struct session *session, struct session_task *slot,
                                   const struct session_event *event,
                                   struct session_effects *effects, struct why *why)
{
    switch (slot->stage) {
    case STAGE_MODEL:
        TRY(keep(&slot->envelope, &slot->envelope_n, event, why));
        if (slot->receiving)
            task_acknowledge(session, slot, effects);
        break;
    case STAGE_SENDING:
        task_offer_again(session, slot, event->now_ms, effects);
        break;
    case STAGE_FREE:
    case STAGE_ASKING:
    case STAGE_WORKING:
        slot->stale = false;
        break;
    }
    return DONE;
}

static struct result on_task(struct session *session, const struct session_event *event,
                             struct session_effects *effects, struct why *why)
{
    const struct message *message = session->scratch;
    const struct message_head *head = &message->head;
    struct session_task *slot = task_find(session, head->study, head->task);
    if (slot) {
        bool moved = memcmp(slot->order.object, message->task.object, OBJECT_ID_BYTES) != 0;
        if (!moved || slot->stage != STAGE_MODEL) {
            slot->order.deadline_ms = message->task.deadline_ms;
            return task_repeated(session, slot, event, effects, why);
        }
        /* A restarted coordinator offers the same model as a new object. */
        task_drop(slot);
    }
    for (size_t i = 0; i < SESSION_TASKS_MAX; i++) {
        struct session_task *other = &session->tasks[i];
        if (other->stage != STAGE_FREE && strcmp(other->study, head->study) == 0 &&
            other->task < head->task)
            task_drop(other);
    }
    slot = task_allocate(session, event->now_ms);
    if (!slot) {
        decline(session, head, "the site is busy with as many tasks as it takes at a time",
                effects);
        return DONE;
    }
    TRY(keep(&slot->envelope, &slot->envelope_n, event, why));
    memcpy(slot->study, head->study, sizeof slot->study);
    slot->task = head->task;
    slot->order = message->task;
    slot->wake_ms = UINT64_MAX;
    task_check(session, slot, effects);
    return DONE;
}

static struct result on_object_offer(struct session *session, const struct session_event *event,
                                     struct session_effects *effects, struct why *why)
{
    const struct message *message = session->scratch;
    const struct message_object_offer *offer = &message->object_offer;
    struct session_task *slot = task_receiving(session, offer->object);
    if (offer->kind != OBJECT_MODEL || !slot)
        return failed(why, RESULT_REFUSED, "an object is offered that no open task needs");
    if (slot->stage == STAGE_WORKING || slot->stage == STAGE_SENDING) {
        struct ipc_control control = {.kind = MESSAGE_OBJECT_DONE, .task = slot->task};
        memcpy(control.study, slot->study, sizeof control.study);
        memcpy(control.done.object, offer->object, OBJECT_ID_BYTES);
        control.done.accepted = true;
        session_ask_control(session, effects, &control);
        return DONE;
    }
    if (slot->receiving) {
        task_acknowledge(session, slot, effects);
        return DONE;
    }
    TRY(keep(&slot->model_envelope, &slot->model_envelope_n, event, why));
    slot->model = *offer;
    return task_receive(session, slot, event->now_ms, effects, why);
}

static void on_object_done(struct session *session, const struct session_event *event,
                           struct session_effects *effects)
{
    const struct message_object_done *done = &session->scratch->object_done;
    struct session_task *slot = task_sending(session, done->object);
    session_ask_block(session, effects, IPC_OBJECT_DONE, event->bytes, event->n);
    if (!slot)
        return;
    if (done->accepted)
        session_note(effects, false, "%s task %" PRIu32 ": delivered", slot->study, slot->task);
    else
        session_note(effects, true, "%s task %" PRIu32 ": the coordinator refused it: %s",
                     slot->study, slot->task, done->reason);
    task_drop(slot);
}

static void hello(struct session *session, uint64_t now_ms, struct session_effects *effects)
{
    if (!session->connected || !session->welcomed)
        return;
    struct ipc_control control = {.kind = MESSAGE_HELLO, .agent_peak_kb = session->peak_memory_kb};
    session_ask_control(session, effects, &control);
    for (size_t i = 0; i < SESSION_TASKS_MAX; i++) {
        struct session_task *slot = &session->tasks[i];
        if (slot->stage == STAGE_SENDING)
            task_offer_again(session, slot, now_ms, effects);
        else if (slot->stage == STAGE_MODEL && slot->receiving)
            task_acknowledge(session, slot, effects);
    }
}

static void on_task_closed(struct session *session, const struct session_event *event,
                           struct session_effects *effects)
{
    const struct message *message = session->scratch;
    const struct message_task_closed *closed = &message->task_closed;
    const struct message_head *head = &message->head;
    session_ask_block(session, effects, IPC_TASK_CLOSED, event->bytes, event->n);
    struct session_task *slot = task_find(session, head->study, head->task);
    if (slot)
        task_drop(slot);
    session_note(effects, !closed->own.counted, "%s task %" PRIu32 " %s: %" PRIu32 " counted%s%s",
                 head->study, head->task, closed->completed ? "closed" : "aborted", closed->counted,
                 closed->own.counted ? ", this site among them" : "; this site not: ",
                 closed->own.counted ? "" : closed->own.reason);
    if (closed->notice[0])
        session_note(effects, true, "%s: %s", head->study, closed->notice);
    /* A site that heard nothing of the task shows that it is there. */
    if (!slot && !closed->own.counted && !closed->study_finished)
        hello(session, event->now_ms, effects);
}

static struct result on_message(struct session *session, const struct session_event *event,
                                struct session_effects *effects, struct why *why)
{
    struct message *message = session->scratch;
    const struct session_options *options = &session->options;
    TRY(envelope_open(event->bytes, event->n, options->coordinator_public, message, why));
    const struct message_head *head = &message->head;
    if (strcmp(head->sender, options->coordinator) != 0 ||
        strcmp(head->receiver, session->welcome.site) != 0 ||
        strcmp(head->consortium, session->welcome.consortium) != 0)
        return failed(why, RESULT_REFUSED, "a message from %s to %s is not for this site",
                      head->sender, head->receiver);
    bool heard = !sodium_is_zero(session->seen.session, SESSION_ID_BYTES);
    bool restarted = heard && memcmp(session->seen.session, head->session, SESSION_ID_BYTES) != 0;
    /* A head answers a hello; anything else may come from one that subscribed after ours was sent.
     */
    bool unheard = !heard && message->kind != MESSAGE_TREE_HEAD;
    TRY(envelope_fresh(&session->seen, head, why));
    /* A coordinator that is new does not know what this site speaks and which head it holds. */
    if (restarted || unheard)
        hello(session, event->now_ms, effects);
    switch (message->kind) {
    case MESSAGE_STUDY_OFFER:
        session_ask_block(session, effects, IPC_STUDY, event->bytes, event->n);
        return DONE;
    case MESSAGE_TASK:
        return on_task(session, event, effects, why);
    case MESSAGE_TASK_CLOSED:
        on_task_closed(session, event, effects);
        return DONE;
    case MESSAGE_TREE_HEAD:
        session_ask_block(session, effects, IPC_TREE_HEAD, event->bytes, event->n);
        return DONE;
    case MESSAGE_OBJECT_OFFER:
        return on_object_offer(session, event, effects, why);
    case MESSAGE_OBJECT_ACK: {
        struct session_task *slot = task_sending(session, message->object_ack.object);
        if (!slot)
            return failed(why, RESULT_REFUSED, "an acknowledgement of an object not being sent");
        transfer_out_ack(&slot->out, &message->object_ack);
        slot->stall_ms = SESSION_STALL_MS;
        slot->wake_ms = event->now_ms + slot->stall_ms;
        return DONE;
    }
    case MESSAGE_OBJECT_DONE:
        on_object_done(session, event, effects);
        return DONE;
    case MESSAGE_HELLO:
    case MESSAGE_STUDY_ANSWER:
    case MESSAGE_TASK_DECLINED:
    case MESSAGE_COMMAND:
    case MESSAGE_REPLY:
    case MESSAGE_TREE_WITNESS:
        break;
    }
    return failed(why, RESULT_REFUSED, "a site takes no %s", message_kind_name(message->kind));
}

/* Releases that were finished before the last restart go first. */
static struct result on_welcome(struct session *session, const struct session_event *event,
                                struct session_effects *effects, struct why *why)
{
    TRY(ipc_welcome_read(&session->welcome, event->reply->body, event->reply->n, why));
    session->welcomed = true;
    for (uint32_t i = 0; i < session->welcome.pending_count; i++) {
        const struct ipc_pending *pending = &session->welcome.pending[i];
        struct session_task *slot = task_allocate(session, event->now_ms);
        if (!slot || task_find(session, pending->study, pending->task))
            continue;
        memcpy(slot->study, pending->study, sizeof slot->study);
        slot->task = pending->task;
        slot->wake_ms = UINT64_MAX;
        struct bytes_out body = {0};
        bytes_out_text(&body, pending->study);
        bytes_out_u32(&body, pending->task);
        slot->request = session_ask(session, effects, IPC_FETCH, &body);
        slot->stage = STAGE_WORKING;
    }
    hello(session, event->now_ms, effects);
    return DONE;
}

/* An envelope to be published; a slot that waited for it was declined by the vault. */
static struct result on_signed(struct session_task *slot, const struct ipc_message *reply,
                               struct session_effects *effects, struct why *why)
{
    struct bytes_in in = {.at = reply->body, .left = reply->n};
    size_t n = 0;
    const unsigned char *envelope = bytes_in_block(&in, MESSAGE_BYTES_MAX, &n);
    if (in.bad || in.left > 0)
        return failed(why, RESULT_INPUT, "an envelope from the vault is malformed");
    session_publish(effects, envelope, n);
    if (slot) {
        session_note(effects, true, "%s task %" PRIu32 ": the vault declined it", slot->study,
                     slot->task);
        slot->stage = STAGE_SENDING;
        task_drop(slot);
    }
    return DONE;
}

static struct result on_reply(struct session *session, const struct session_event *event,
                              struct session_effects *effects, struct why *why)
{
    const struct ipc_message *reply = event->reply;
    struct session_task *slot = task_asked(session, reply->request);
    bool stale = slot && slot->stale;
    if (slot)
        slot->request = 0;
    switch ((int)reply->type) {
    case IPC_WELCOME:
        return on_welcome(session, event, effects, why);
    case IPC_SIGNED:
        return on_signed(slot, reply, effects, why);
    case IPC_NEED_MODEL:
        if (!slot || slot->stage != STAGE_ASKING)
            return failed(why, RESULT_INPUT, "the vault asks for a model out of turn");
        slot->stage = STAGE_MODEL;
        if (stale) {
            task_drop(slot);
            return DONE;
        }
        return task_receive(session, slot, event->now_ms, effects, why);
    case IPC_RESULT:
        if (!slot)
            return failed(why, RESULT_INPUT, "the vault has a result for no task");
        if (stale) {
            slot->stage = STAGE_SENDING;
            task_drop(slot);
            return DONE;
        }
        return task_send(session, slot, reply->body, reply->n, event->now_ms, effects, why);
    case IPC_REFUSED:
        session_note(effects, true, "the vault refused: %.*s",
                     (int)(reply->n < 400 ? reply->n : 400),
                     reply->n ? (const char *)reply->body : "");
        if (slot) {
            slot->stage = STAGE_SENDING;
            task_drop(slot);
        }
        return DONE;
    default:
        return DONE;
    }
}

static struct result on_chunk(struct session *session, const struct session_event *event,
                              struct session_effects *effects, struct why *why)
{
    struct session_task *slot =
        event->n >= TRANSFER_HEADER_BYTES ? task_receiving(session, event->bytes) : NULL;
    if (!slot)
        return failed(why, RESULT_REFUSED, "a chunk of an object that no open task needs");
    return task_chunk(session, slot, event, effects, why);
}

struct result session_step(struct session *session, const struct session_event *event,
                           struct session_effects *effects, struct why *why)
{
    effects->count = 0;
    switch (event->kind) {
    case SESSION_CONNECTED:
        session->connected = true;
        hello(session, event->now_ms, effects);
        return DONE;
    case SESSION_DISCONNECTED:
        session->connected = false;
        return DONE;
    case SESSION_MESSAGE:
        if (!session->welcomed)
            return failed(why, RESULT_AGAIN, "the vault is not ready yet");
        return on_message(session, event, effects, why);
    case SESSION_CHUNK:
        return on_chunk(session, event, effects, why);
    case SESSION_REPLY:
        return on_reply(session, event, effects, why);
    case SESSION_TIMER:
        for (size_t i = 0; i < SESSION_TASKS_MAX; i++)
            task_timer(session, &session->tasks[i], event->now_ms, effects);
        return DONE;
    }
    return DONE;
}

uint64_t session_wake(const struct session *session)
{
    uint64_t wake = UINT64_MAX;
    for (size_t i = 0; session->connected && i < SESSION_TASKS_MAX; i++) {
        const struct session_task *slot = &session->tasks[i];
        bool waits =
            slot->stage == STAGE_SENDING || (slot->stage == STAGE_MODEL && slot->receiving);
        if (waits && slot->wake_ms < wake)
            wake = slot->wake_ms;
    }
    return wake;
}

size_t session_next_packet(struct session *session, unsigned char *packet, uint64_t now_ms)
{
    for (size_t i = 0; session->connected && i < SESSION_TASKS_MAX; i++) {
        struct session_task *slot = &session->tasks[i];
        if (slot->stage != STAGE_SENDING)
            continue;
        size_t n = transfer_out_next(&slot->out, packet);
        if (n > 0) {
            slot->wake_ms = now_ms + slot->stall_ms;
            return n;
        }
    }
    return 0;
}
