/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of the messages between agent and vault. */
#include "agent/ipc_body.h"

#include <string.h>

static void ack_write(struct bytes_out *out, const struct message_object_ack *ack)
{
    bytes_out_bytes(out, ack->object, sizeof ack->object);
    bytes_out_u32(out, ack->next);
    bytes_out_u32(out, ack->granted);
    bytes_out_u32(out, (uint32_t)ack->missing_count);
    for (size_t i = 0; i < ack->missing_count; i++) {
        bytes_out_u32(out, ack->missing[i].first);
        bytes_out_u32(out, ack->missing[i].count);
    }
}

static void ack_read(struct bytes_in *in, struct message_object_ack *ack)
{
    bytes_in_bytes(in, ack->object, sizeof ack->object);
    ack->next = bytes_in_u32(in);
    ack->granted = bytes_in_u32(in);
    ack->missing_count = bytes_in_u32(in);
    if (ack->missing_count > OBJECT_ACK_RANGES_MAX) {
        ack->missing_count = 0;
        in->bad = true;
    }
    for (size_t i = 0; i < ack->missing_count; i++) {
        ack->missing[i].first = bytes_in_u32(in);
        ack->missing[i].count = bytes_in_u32(in);
    }
}

void ipc_control_write(struct bytes_out *out, const struct ipc_control *control)
{
    bytes_out_u32(out, control->kind);
    bytes_out_text(out, control->study);
    bytes_out_u32(out, control->task);
    switch ((int)control->kind) {
    case MESSAGE_HELLO:
        bytes_out_u64(out, control->agent_peak_kb);
        break;
    case MESSAGE_OBJECT_ACK:
        ack_write(out, &control->ack);
        break;
    case MESSAGE_OBJECT_DONE:
        bytes_out_bytes(out, control->done.object, sizeof control->done.object);
        bytes_out_u32(out, control->done.accepted);
        bytes_out_text(out, control->done.reason);
        break;
    case MESSAGE_TASK_DECLINED:
        bytes_out_text(out, control->declined.reason);
        bytes_out_u32(out, control->declined.kind);
        break;
    default:
        out->bad = true;
    }
}

struct result ipc_control_read(struct ipc_control *control, const unsigned char *body, size_t n,
                               struct why *why)
{
    struct bytes_in in = {.at = body, .left = n};
    memset(control, 0, sizeof *control);
    uint32_t kind = bytes_in_u32(&in);
    bytes_in_text(&in, control->study, sizeof control->study);
    control->task = bytes_in_u32(&in);
    switch (kind) {
    case MESSAGE_HELLO:
        control->agent_peak_kb = bytes_in_u64(&in);
        break;
    case MESSAGE_OBJECT_ACK:
        ack_read(&in, &control->ack);
        break;
    case MESSAGE_OBJECT_DONE:
        bytes_in_bytes(&in, control->done.object, sizeof control->done.object);
        control->done.accepted = bytes_in_u32(&in) == 1;
        bytes_in_text(&in, control->done.reason, sizeof control->done.reason);
        break;
    case MESSAGE_TASK_DECLINED:
        bytes_in_text(&in, control->declined.reason, sizeof control->declined.reason);
        control->declined.kind = (enum decline)bytes_in_u32(&in);
        in.bad = in.bad || control->declined.kind > DECLINE_LAST;
        break;
    default:
        return failed(why, RESULT_REFUSED, "the vault does not sign messages of kind %u unasked",
                      kind);
    }
    control->kind = (enum message_kind)kind;
    if (in.bad || in.left > 0)
        return failed(why, RESULT_INPUT, "a control message from the agent is malformed");
    return DONE;
}

void ipc_welcome_write(struct bytes_out *out, const struct ipc_welcome *welcome)
{
    bytes_out_text(out, welcome->site);
    bytes_out_text(out, welcome->consortium);
    bytes_out_u32(out, welcome->pending_count);
    for (uint32_t i = 0; i < welcome->pending_count; i++) {
        bytes_out_text(out, welcome->pending[i].study);
        bytes_out_u32(out, welcome->pending[i].task);
    }
}

struct result ipc_welcome_read(struct ipc_welcome *welcome, const unsigned char *body, size_t n,
                               struct why *why)
{
    struct bytes_in in = {.at = body, .left = n};
    memset(welcome, 0, sizeof *welcome);
    bytes_in_text(&in, welcome->site, sizeof welcome->site);
    bytes_in_text(&in, welcome->consortium, sizeof welcome->consortium);
    uint32_t count = bytes_in_u32(&in);
    for (uint32_t i = 0; i < count && i < IPC_PENDING_MAX; i++) {
        bytes_in_text(&in, welcome->pending[i].study, sizeof welcome->pending[i].study);
        welcome->pending[i].task = bytes_in_u32(&in);
    }
    welcome->pending_count = count;
    if (in.bad || in.left > 0 || count > IPC_PENDING_MAX)
        return failed(why, RESULT_INPUT, "the vault's welcome is malformed");
    return DONE;
}
