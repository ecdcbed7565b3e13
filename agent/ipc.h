/* SPDX-License-Identifier: Apache-2.0 */
/* The one way between the network process and the vault: a socket pair of bounded frames.
 *
 * A message is a type, a request number and a body. It travels as one or more frames (datagrams of
 * a SOCK_SEQPACKET pair), each with a fixed header of IPC_HEADER_BYTES, little-endian:
 *
 *   magic 4 | type 2 | flags 2 (1 first, 2 last) | request 4 | length 4 | total 8
 *
 * length counts the frame's body bytes, total those of the whole message. Frames of two messages
 * never interleave. A reply carries the request's number; number 0 is the vault speaking unasked.
 */
#ifndef CONSILIUM_AGENT_IPC_H
#define CONSILIUM_AGENT_IPC_H

#include "proto/base/result.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    IPC_HEADER_BYTES = 24,
    IPC_FRAME_BODY_MAX = 32 * 1024,
    IPC_FRAME_MAX = IPC_HEADER_BYTES + IPC_FRAME_BODY_MAX,
    IPC_SMALL_MAX = 4 * 1024, /* a body without envelopes or objects */
    IPC_VAULT_DESCRIPTOR = 3, /* where a started vault finds its end of the pair */
};

enum ipc_type {
    /* agent -> vault */
    IPC_HELLO = 1, /* empty */
    IPC_CONTROL,   /* struct ipc_control: sign one of four harmless messages */
    IPC_STUDY,     /* block: the coordinator's STUDY_OFFER envelope */
    IPC_TASK,      /* own peak memory; block: TASK envelope, block: OBJECT_OFFER envelope or empty,
                      ciphertext */
    IPC_FETCH,     /* study, task: a finished release that waits in the outbox */
    IPC_OFFER_AGAIN,  /* block: an own OBJECT_OFFER envelope, to be signed anew */
    IPC_OBJECT_DONE,  /* block: the coordinator's OBJECT_DONE envelope */
    IPC_TASK_CLOSED,  /* block: the coordinator's TASK_CLOSED envelope */
    IPC_TREE_HEAD,    /* block: the coordinator's TREE_HEAD envelope */
    IPC_STOP,         /* empty: exit now, even in the middle of training */
    IPC_REQUESTS_END, /* not a type */

    /* vault -> agent */
    IPC_WELCOME = 64, /* struct ipc_welcome */
    IPC_SIGNED,       /* block: an envelope to be published */
    IPC_NEED_MODEL,   /* empty: the task is fine, fetch the model and ask again */
    IPC_RESULT,       /* block: OBJECT_OFFER envelope, then its ciphertext */
    IPC_NOTED,        /* empty */
    IPC_REFUSED,      /* a sentence */
    IPC_REPLIES_END,  /* not a type */
};

/* A whole message. Owns body (free). */
struct ipc_message {
    enum ipc_type type;
    uint32_t request;
    unsigned char *body;
    size_t n;
};

/* The largest body that type may have when objects are at most object_max ciphertext bytes; 0 for
 * an unknown type and for types that have no body. *ret_known tells which. */
uint64_t ipc_body_max(unsigned type, uint64_t object_max, bool *ret_known);

/* Puts messages together from frames. Zero-initialise and set the fields below; pure. */
struct ipc_reader {
    bool from_agent;     /* accepts requests only; otherwise replies only */
    uint64_t object_max; /* ciphertext bytes of one object */
    struct ipc_message partial;
    uint64_t total;
    size_t capacity;
    bool open;
};

/* Takes one frame. When it ends a message, *ret_complete is true and *ret_message owns the body.
 * RESULT_INPUT for anything malformed: the peer is broken or hostile, the pair must be closed. */
struct result ipc_reader_frame(struct ipc_reader *reader, const unsigned char *frame, size_t n,
                               struct ipc_message *ret_message, bool *ret_complete,
                               struct why *why) MUST_CHECK;

void ipc_reader_free(struct ipc_reader *reader);

/* Messages on their way out. Zero-initialise. */
struct ipc_writer {
    struct ipc_outgoing *first, *last;
    size_t waiting_bytes;
};

/* Queues a message. Takes the body over (also on failure); body may be NULL when n is 0. */
struct result ipc_writer_push(struct ipc_writer *writer, enum ipc_type type, uint32_t request,
                              unsigned char *body, size_t n, struct why *why) MUST_CHECK;

/* Sends what the descriptor takes; on a blocking one everything. RESULT_AGAIN: more waits. */
struct result ipc_writer_flush(struct ipc_writer *writer, int fd, struct why *why) MUST_CHECK;

void ipc_writer_free(struct ipc_writer *writer);

/* Receives one frame. *ret_n = 0: the other end is gone. RESULT_AGAIN: nothing waits. frame holds
 * IPC_FRAME_MAX + 1 bytes, so that an over-long datagram shows. */
struct result ipc_receive(int fd, unsigned char frame[IPC_FRAME_MAX + 1], size_t *ret_n,
                          struct why *why) MUST_CHECK;

#endif
