/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in the bodies of messages between agent and vault, and the bytes of it. */
#ifndef CONSILIUM_AGENT_IPC_BODY_H
#define CONSILIUM_AGENT_IPC_BODY_H

#include "agent/bytes.h"
#include "agent/ipc.h"
#include "proto/message.h"

enum { IPC_PENDING_MAX = 32 };

/* A message that the vault signs on the agent's word: it tells nothing about patients, spends
 * nothing and commits to nothing. kind is one of HELLO, OBJECT_ACK, OBJECT_DONE, TASK_DECLINED. */
struct ipc_control {
    enum message_kind kind;
    char study[PLAN_NAME_BYTES];
    uint32_t task;
    union {
        uint64_t agent_peak_kb; /* HELLO: the vault adds its own and the rest of the message */
        struct message_object_ack ack;
        struct message_object_done done;
        struct message_task_declined declined;
    };
};

struct ipc_pending {
    char study[PLAN_NAME_BYTES];
    uint32_t task;
};

/* The vault is ready. */
struct ipc_welcome {
    char site[PLAN_NAME_BYTES];
    char consortium[PLAN_NAME_BYTES];
    uint32_t pending_count;
    struct ipc_pending pending[IPC_PENDING_MAX]; /* finished releases that wait in the outbox */
};

void ipc_control_write(struct bytes_out *out, const struct ipc_control *control);
/* RESULT_INPUT for anything that ipc_control_write does not produce, RESULT_REFUSED for a kind
 * that the vault does not sign on the agent's word. */
struct result ipc_control_read(struct ipc_control *control, const unsigned char *body, size_t n,
                               struct why *why) MUST_CHECK;

void ipc_welcome_write(struct bytes_out *out, const struct ipc_welcome *welcome);
struct result ipc_welcome_read(struct ipc_welcome *welcome, const unsigned char *body, size_t n,
                               struct why *why) MUST_CHECK;

#endif
