/* SPDX-License-Identifier: Apache-2.0 */
/* Frames between agent and vault, from a hostile other end: the reader, the bodies, and the session
 * behind them. Input: a byte whose lowest bit says who reads, then datagrams, each after its length
 * (2 bytes, little-endian). */
#include "agent/session.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { OBJECT_MAX = 1 << 16 };

/* What the reader takes for control messages is written back to the same bytes. */
static void check_control(const struct ipc_message *message)
{
    struct ipc_control control;
    struct why why;
    struct bytes_out out = {0};
    if (!ok(ipc_control_read(&control, message->body, message->n, &why)))
        return;
    if (control.kind == MESSAGE_OBJECT_DONE)
        return; /* its flag has many spellings of false */
    ipc_control_write(&out, &control);
    if (out.bad || out.n != message->n || memcmp(out.bytes, message->body, out.n) != 0)
        abort();
    free(out.bytes);
}

static void give(struct session *session, struct ipc_message *message)
{
    static struct session_effects effects;
    struct why why;
    struct session_event event = {.kind = SESSION_REPLY, .now_ms = 1000, .reply = message};
    (void)!ok(session_step(session, &event, &effects, &why));
    session_effects_free(&effects);
    event = (struct session_event){.kind = SESSION_MESSAGE,
                                   .now_ms = 2000,
                                   .bytes = message->body,
                                   .n = message->n};
    (void)!ok(session_step(session, &event, &effects, &why));
    session_effects_free(&effects);
    event.kind = SESSION_CHUNK;
    (void)!ok(session_step(session, &event, &effects, &why));
    session_effects_free(&effects);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct session_options options = {.coordinator = "coordinator", .object_max = OBJECT_MAX};
    struct session session;
    struct why why;
    if (size == 0 || !ok(session_start(&session, &options, &why)))
        return 0;
    struct ipc_reader reader = {.from_agent = data[0] & 1, .object_max = OBJECT_MAX};
    size_t at = 1;
    while (size - at >= 2) {
        size_t n = data[at] | (size_t)data[at + 1] << 8;
        struct ipc_message message;
        bool complete = false;
        at += 2;
        if (n > size - at)
            n = size - at;
        if (!ok(ipc_reader_frame(&reader, data + at, n, &message, &complete, &why)))
            break;
        at += n;
        if (!complete)
            continue;
        if (message.type == IPC_CONTROL)
            check_control(&message);
        if (!reader.from_agent)
            give(&session, &message);
        free(message.body);
    }
    ipc_reader_free(&reader);
    session_end(&session);
    return 0;
}
