/* SPDX-License-Identifier: Apache-2.0 */
/* The stages of one task in the session: ask the vault, receive the model, send the result. */
#include "agent/session_task.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct session_task *task_find(struct session *session, const char *study, uint32_t task)
{
    for (size_t i = 0; i < SESSION_TASKS_MAX; i++) {
        struct session_task *slot = &session->tasks[i];
        if (slot->stage != STAGE_FREE && slot->task == task && strcmp(slot->study, study) == 0)
            return slot;
    }
    return NULL;
}

struct session_task *task_receiving(struct session *session, const unsigned char *object)
{
    for (size_t i = 0; i < SESSION_TASKS_MAX; i++) {
        struct session_task *slot = &session->tasks[i];
        if (slot->stage != STAGE_FREE && memcmp(slot->order.object, object, OBJECT_ID_BYTES) == 0)
            return slot;
    }
    return NULL;
}

struct session_task *task_sending(struct session *session, const unsigned char *object)
{
    for (size_t i = 0; i < SESSION_TASKS_MAX; i++) {
        struct session_task *slot = &session->tasks[i];
        if (slot->stage == STAGE_SENDING &&
            memcmp(slot->out.offer.object, object, OBJECT_ID_BYTES) == 0)
            return slot;
    }
    return NULL;
}

struct session_task *task_asked(struct session *session, uint32_t request)
{
    for (size_t i = 0; request != 0 && i < SESSION_TASKS_MAX; i++) {
        if (session->tasks[i].stage != STAGE_FREE && session->tasks[i].request == request)
            return &session->tasks[i];
    }
    return NULL;
}

struct session_task *task_allocate(struct session *session, uint64_t now_ms)
{
    struct session_task *oldest = NULL;
    for (size_t i = 0; i < SESSION_TASKS_MAX; i++) {
        struct session_task *slot = &session->tasks[i];
        if (slot->stage == STAGE_FREE)
            return slot;
        bool idle = slot->stage == STAGE_MODEL || slot->stage == STAGE_SENDING;
        if (idle && slot->order.deadline_ms < now_ms &&
            (!oldest || slot->order.deadline_ms < oldest->order.deadline_ms))
            oldest = slot;
    }
    if (oldest)
        task_drop(oldest);
    return oldest;
}

void task_drop(struct session_task *slot)
{
    if (slot->stage == STAGE_WORKING || slot->stage == STAGE_ASKING) {
        slot->stale = true;
        return;
    }
    free(slot->envelope);
    free(slot->model_envelope);
    free(slot->offer_envelope);
    free(slot->cipher);
    if (slot->receiving)
        transfer_in_free(&slot->in);
    *slot = (struct session_task){0};
}

static struct session_effect *add(struct session_effects *effects, enum session_effect_kind kind)
{
    if (effects->count == SESSION_EFFECTS_MAX)
        return NULL;
    struct session_effect *effect = &effects->list[effects->count++];
    *effect = (struct session_effect){.kind = kind};
    return effect;
}

void session_note(struct session_effects *effects, bool warning, const char *format, ...)
{
    struct session_effect *effect = add(effects, SESSION_NOTE);
    if (!effect)
        return;
    effect->warning = warning;
    va_list args;
    va_start(args, format);
    vsnprintf(effect->text, sizeof effect->text, format, args);
    va_end(args);
}

void session_publish(struct session_effects *effects, const unsigned char *bytes, size_t n)
{
    unsigned char *copy = malloc(n ? n : 1);
    struct session_effect *effect = copy ? add(effects, SESSION_PUBLISH) : NULL;
    if (!effect) {
        free(copy);
        return;
    }
    memcpy(copy, bytes, n);
    effect->bytes = copy;
    effect->n = n;
}

uint32_t session_ask(struct session *session, struct session_effects *effects, enum ipc_type type,
                     struct bytes_out *body)
{
    struct session_effect *effect = body->bad ? NULL : add(effects, SESSION_ASK);
    if (!effect) {
        free(body->bytes);
        return 0;
    }
    if (++session->last_request == 0)
        session->last_request = 1;
    effect->type = type;
    effect->request = session->last_request;
    effect->bytes = body->bytes;
    effect->n = body->n;
    return effect->request;
}

uint32_t session_ask_block(struct session *session, struct session_effects *effects,
                           enum ipc_type type, const unsigned char *bytes, size_t n)
{
    struct bytes_out body = {0};
    bytes_out_block(&body, bytes, n);
    return session_ask(session, effects, type, &body);
}

void session_ask_control(struct session *session, struct session_effects *effects,
                         const struct ipc_control *control)
{
    struct bytes_out body = {0};
    ipc_control_write(&body, control);
    session_ask(session, effects, IPC_CONTROL, &body);
}

void task_check(struct session *session, struct session_task *slot, struct session_effects *effects)
{
    struct bytes_out body = {0};
    bytes_out_u64(&body, session->peak_memory_kb);
    bytes_out_block(&body, slot->envelope, slot->envelope_n);
    bytes_out_block(&body, NULL, 0);
    slot->request = session_ask(session, effects, IPC_TASK, &body);
    slot->stage = STAGE_ASKING;
}

static void stall_reset(struct session_task *slot, uint64_t now_ms)
{
    slot->stall_ms = SESSION_STALL_MS;
    slot->wake_ms = now_ms + slot->stall_ms;
}

/* The vault wants the model, or its offer came: begins to receive once both are so. */
struct result task_receive(struct session *session, struct session_task *slot, uint64_t now_ms,
                           struct session_effects *effects, struct why *why)
{
    if (slot->stage != STAGE_MODEL || !slot->model_envelope)
        return DONE;
    if (!slot->receiving) {
        TRY(transfer_in_start(&slot->in, &slot->model, session->options.object_max, why));
        slot->receiving = true;
    }
    stall_reset(slot, now_ms);
    task_acknowledge(session, slot, effects);
    return DONE;
}

void task_acknowledge(struct session *session, struct session_task *slot,
                      struct session_effects *effects)
{
    struct ipc_control control = {.kind = MESSAGE_OBJECT_ACK, .task = slot->task};
    memcpy(control.study, slot->study, sizeof control.study);
    transfer_in_ack(&slot->in, &control.ack);
    session_ask_control(session, effects, &control);
}

static void received_whole(struct session *session, struct session_task *slot,
                           struct session_effects *effects)
{
    struct ipc_control control = {.kind = MESSAGE_OBJECT_DONE, .task = slot->task};
    memcpy(control.study, slot->study, sizeof control.study);
    memcpy(control.done.object, slot->model.object, OBJECT_ID_BYTES);
    control.done.accepted = true;
    session_ask_control(session, effects, &control);

    struct bytes_out body = {0};
    bytes_out_u64(&body, session->peak_memory_kb);
    bytes_out_block(&body, slot->envelope, slot->envelope_n);
    bytes_out_block(&body, slot->model_envelope, slot->model_envelope_n);
    bytes_out_bytes(&body, slot->in.cipher, slot->in.cipher_n);
    transfer_in_free(&slot->in);
    slot->receiving = false;
    slot->request = session_ask(session, effects, IPC_TASK, &body);
    slot->stage = slot->request ? STAGE_WORKING : STAGE_MODEL;
    slot->wake_ms = UINT64_MAX;
}

struct result task_chunk(struct session *session, struct session_task *slot,
                         const struct session_event *event, struct session_effects *effects,
                         struct why *why)
{
    if (!slot->receiving)
        return failed(why, RESULT_REFUSED, "a chunk of an object that is not being received");
    bool due = false, complete = false;
    TRY(transfer_in_chunk(&slot->in, event->bytes, event->n, &due, &complete, why));
    stall_reset(slot, event->now_ms);
    if (complete)
        received_whole(session, slot, effects);
    else if (due)
        task_acknowledge(session, slot, effects);
    return DONE;
}

/* body: the vault's RESULT. */
struct result task_send(struct session *session, struct session_task *slot,
                        const unsigned char *body, size_t n, uint64_t now_ms,
                        struct session_effects *effects, struct why *why)
{
    struct bytes_in in = {.at = body, .left = n};
    size_t envelope_n = 0;
    const unsigned char *envelope = bytes_in_block(&in, MESSAGE_BYTES_MAX, &envelope_n);
    if (in.bad)
        return failed(why, RESULT_INPUT, "the vault's result is malformed");
    struct message *message = session->scratch;
    TRY(envelope_open(envelope, envelope_n, session->options.site_public, message, why));
    const struct message_object_offer *offer = &message->object_offer;
    if (message->kind != MESSAGE_OBJECT_OFFER ||
        transfer_cipher_bytes(offer->plain_bytes) != in.left)
        return failed(why, RESULT_INPUT, "the vault's result is not an offer of its object");
    unsigned char *copy = malloc(envelope_n);
    unsigned char *cipher = malloc(in.left ? in.left : 1);
    if (!copy || !cipher) {
        free(copy);
        free(cipher);
        return failed(why, RESULT_SYSTEM, "no memory for a result of %zu bytes", in.left);
    }
    memcpy(copy, envelope, envelope_n);
    memcpy(cipher, in.at, in.left);
    free(slot->model_envelope);
    slot->model_envelope = NULL;
    slot->offer_envelope = copy;
    slot->offer_envelope_n = envelope_n;
    slot->cipher = cipher;
    slot->stage = STAGE_SENDING;
    transfer_out_start(&slot->out, offer, cipher, in.left);
    stall_reset(slot, now_ms);
    session_publish(effects, envelope, envelope_n);
    return DONE;
}

void task_offer_again(struct session *session, struct session_task *slot, uint64_t now_ms,
                      struct session_effects *effects)
{
    session_ask_block(session, effects, IPC_OFFER_AGAIN, slot->offer_envelope,
                      slot->offer_envelope_n);
    /* The receiver's next word says what it lacks, be it the last chunk or all of them. */
    struct message_object_offer offer = slot->out.offer;
    transfer_out_start(&slot->out, &offer, slot->cipher, slot->out.cipher_n);
    slot->wake_ms = now_ms + slot->stall_ms;
}

void task_timer(struct session *session, struct session_task *slot, uint64_t now_ms,
                struct session_effects *effects)
{
    if (now_ms < slot->wake_ms || !session->connected)
        return;
    if (slot->stage == STAGE_MODEL && slot->receiving) {
        task_acknowledge(session, slot, effects);
        slot->wake_ms = now_ms + slot->stall_ms;
    } else if (slot->stage == STAGE_SENDING) {
        task_offer_again(session, slot, now_ms, effects);
    } else {
        return;
    }
    slot->stall_ms *= 2;
    if (slot->stall_ms > SESSION_STALL_MS_MAX)
        slot->stall_ms = SESSION_STALL_MS_MAX;
}
