/* SPDX-License-Identifier: Apache-2.0 */
/* Heads completed, envelopes signed, replies turned into the bodies that the pair carries. */
#include "agent/vault/speak.h"

#include "proto/base/cleanup.h"
#include "proto/base/clock.h"
#include "proto/base/log.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct result speaker_open(struct speaker *speaker, const struct vault_keys *keys, struct why *why)
{
    *speaker = (struct speaker){.keys = keys, .message = malloc(sizeof *speaker->message)};
    randombytes_buf(speaker->session, sizeof speaker->session);
    return speaker->message ? DONE : failed(why, RESULT_SYSTEM, "no memory for a message");
}

void speaker_close(struct speaker *speaker)
{
    free(speaker->message);
    speaker->message = NULL;
}

uint64_t speak_memory_kb(uint64_t kb)
{
    return (kb + SPEAK_MEMORY_STEP_KB - 1) / SPEAK_MEMORY_STEP_KB * SPEAK_MEMORY_STEP_KB;
}

static uint64_t own_peak_kb(void)
{
    struct rusage usage = {0};
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_maxrss;
}

/* Completes the head, signs, and appends the envelope as a block. */
static struct result sign(struct speaker *speaker, struct message *message, struct bytes_out *out,
                          struct why *why)
{
    const struct vault_keys *keys = speaker->keys;
    struct message_head *head = &message->head;
    memcpy(head->consortium, keys->consortium, sizeof head->consortium);
    memcpy(head->sender, keys->site, sizeof head->sender);
    memcpy(head->receiver, keys->coordinator, sizeof head->receiver);
    memcpy(head->session, speaker->session, sizeof head->session);
    head->sequence = ++speaker->sequence;
    head->sent_ms = clock_unix_ms();
    CLEANUP(free_pointer) unsigned char *envelope = NULL;
    size_t n = 0;
    TRY(envelope_seal(message, keys->secrets.sign, &envelope, &n, why));
    bytes_out_block(out, envelope, n);
    return DONE;
}

void speaker_refuse(const char *sentence, struct speech *speech)
{
    *speech = (struct speech){.type = IPC_REFUSED};
    bytes_out_bytes(&speech->body, sentence, strlen(sentence));
}

struct result speaker_reply(struct speaker *speaker, struct vault_reply *reply,
                            struct speech *speech, struct why *why)
{
    CLEANUP(free_pointer) unsigned char *tail = TAKE(reply->tail);
    if (reply->type == IPC_REFUSED) {
        log_warning("%s", reply->sentence);
        speaker_refuse(reply->sentence, speech);
        return DONE;
    }
    *speech = (struct speech){.type = reply->type};
    struct result r = reply->sign ? sign(speaker, reply->message, &speech->body, why) : DONE;
    if (!ok(r)) {
        free(speech->body.bytes);
        return r;
    }
    bytes_out_bytes(&speech->body, tail, reply->tail_n);
    return DONE;
}

static struct result control_message(struct speaker *speaker, const struct ipc_message *request,
                                     struct why *why)
{
    struct ipc_control control;
    TRY(ipc_control_read(&control, request->body, request->n, why));
    struct message *message = speaker->message;
    memset(message, 0, sizeof *message);
    message->kind = control.kind;
    memcpy(message->head.study, control.study, sizeof message->head.study);
    message->head.task = control.task;
    switch ((int)control.kind) {
    case MESSAGE_HELLO:
        message->hello.protocol_oldest = PROTOCOL_VERSION_OLDEST;
        message->hello.protocol_newest = PROTOCOL_VERSION;
        snprintf(message->hello.software, sizeof message->hello.software,
                 "consilium " CONSILIUM_VERSION);
        message->hello.peak_memory_kb = speak_memory_kb(control.agent_peak_kb + own_peak_kb());
        break;
    case MESSAGE_OBJECT_ACK:
        message->object_ack = control.ack;
        break;
    case MESSAGE_OBJECT_DONE:
        message->object_done = control.done;
        break;
    case MESSAGE_TASK_DECLINED:
        message->task_declined = control.declined;
        break;
    }
    return DONE;
}

/* An offer that this site once signed is signed again, so that it is not taken for a replay. */
static struct result offer_message(struct speaker *speaker, const struct ipc_message *request,
                                   struct why *why)
{
    struct bytes_in in = {.at = request->body, .left = request->n};
    size_t n = 0;
    const unsigned char *envelope = bytes_in_block(&in, MESSAGE_BYTES_MAX, &n);
    if (in.bad || in.left > 0)
        return failed(why, RESULT_INPUT, "a request from the agent is malformed");
    TRY(envelope_open(envelope, n, speaker->keys->sign_public, speaker->message, why));
    if (speaker->message->kind != MESSAGE_OBJECT_OFFER)
        return failed(why, RESULT_REFUSED, "only offers of objects are signed again");
    return DONE;
}

struct result speaker_request(struct speaker *speaker, const struct ipc_message *request,
                              struct speech *speech, struct why *why)
{
    struct why reason;
    struct result r = request->type == IPC_CONTROL ? control_message(speaker, request, &reason)
                                                   : offer_message(speaker, request, &reason);
    if (!ok(r)) {
        speaker_refuse(reason.text, speech);
        return DONE;
    }
    struct vault_reply reply = {.type = IPC_SIGNED, .sign = true, .message = speaker->message};
    return speaker_reply(speaker, &reply, speech, why);
}

struct vault_reply speaker_welcome(const struct vault *vault)
{
    struct bytes_out out = {0};
    struct ipc_welcome *w = calloc(1, sizeof *w);
    if (w) {
        vault_welcome(vault, w);
        ipc_welcome_write(&out, w);
    }
    free(w);
    return (struct vault_reply){.type = IPC_WELCOME, .tail = out.bytes, .tail_n = out.n};
}
