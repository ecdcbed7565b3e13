/* SPDX-License-Identifier: Apache-2.0 */
/* The network side of a site (pure): packets, the vault's replies and time go in; requests to the
 * vault, packets to publish and notes come out, in order.
 *
 * A task walks through these stages; a doubled event changes nothing:
 *
 *   TASK ─▶ ASKING ──NEED_MODEL──▶ MODEL ──all chunks──▶ WORKING ──RESULT──▶ SENDING ──DONE──▶ gone
 *             │ declined            │ closed                │ declined         │ closed
 *             └──────────▶ gone ◀───┴───────────────────────┴──────────────────┘
 *
 * Invariants: (1) nothing is published that the vault has not signed; (2) one slot per study and
 * task number, and a later task of a study replaces an earlier one; (3) chunks go out only within
 * the coordinator's grant; (4) the session keeps nothing that cannot be had again from the vault
 * and the coordinator, so that a crash costs time only. */
#ifndef CONSILIUM_AGENT_SESSION_H
#define CONSILIUM_AGENT_SESSION_H

#include "agent/ipc_body.h"
#include "proto/envelope.h"
#include "proto/transfer.h"

enum {
    SESSION_TASKS_MAX = 16,
    SESSION_STALL_MS = 3000, /* without progress: acknowledge or offer again */
    SESSION_STALL_MS_MAX = 60000,
};

enum session_stage { STAGE_FREE = 0, STAGE_ASKING, STAGE_MODEL, STAGE_WORKING, STAGE_SENDING };

struct session_task {
    enum session_stage stage;
    bool stale; /* WORKING only: closed or replaced meanwhile; the result is left in the outbox */
    char study[PLAN_NAME_BYTES];
    uint32_t task;
    struct message_task order;
    uint32_t request;        /* to the vault, that is under way; 0 = none */
    unsigned char *envelope; /* TASK, as it came */
    size_t envelope_n;
    unsigned char *model_envelope; /* OBJECT_OFFER of the model, as it came; NULL: not yet */
    size_t model_envelope_n;
    struct message_object_offer model;
    bool receiving;
    struct transfer_in in;
    unsigned char *offer_envelope; /* own OBJECT_OFFER */
    size_t offer_envelope_n;
    unsigned char *cipher;
    struct transfer_out out;
    uint64_t wake_ms; /* MODEL, SENDING: when a stall shows */
    uint64_t stall_ms;
};

enum session_effect_kind {
    SESSION_ASK = 1, /* send a request to the vault: type, request, bytes */
    SESSION_PUBLISH, /* publish bytes on the message topic */
    SESSION_NOTE,    /* tell the human: text, warning */
};

struct session_effect {
    enum session_effect_kind kind;
    enum ipc_type type;
    uint32_t request;
    unsigned char *bytes; /* owned by the effect's taker (free) */
    size_t n;
    bool warning;
    char text[WHY_BYTES];
};

enum { SESSION_EFFECTS_MAX = 4 * SESSION_TASKS_MAX + 16 };

struct session_effects {
    size_t count;
    struct session_effect list[SESSION_EFFECTS_MAX];
};

struct session_options {
    unsigned char coordinator_public[ENVELOPE_SIGN_PUBLIC_BYTES];
    char coordinator[PLAN_NAME_BYTES];
    unsigned char site_public[ENVELOPE_SIGN_PUBLIC_BYTES];
    uint64_t object_max; /* ciphertext bytes of one model or update */
};

struct session {
    struct session_options options;
    struct ipc_welcome welcome;
    bool welcomed, connected;
    uint64_t peak_memory_kb; /* set by the owner before each event */
    uint32_t last_request;
    struct envelope_seen seen;
    struct session_task tasks[SESSION_TASKS_MAX];
    struct message *scratch; /* owned */
};

enum session_event_kind {
    SESSION_CONNECTED = 1,
    SESSION_DISCONNECTED,
    SESSION_MESSAGE, /* bytes: a packet from the message topic */
    SESSION_CHUNK,   /* bytes: a packet from the chunk topic */
    SESSION_REPLY,   /* reply: from the vault; its body is taken over */
    SESSION_TIMER,   /* perhaps late, perhaps spurious */
};

struct session_event {
    enum session_event_kind kind;
    uint64_t now_ms; /* Unix time */
    const unsigned char *bytes;
    size_t n;
    struct ipc_message *reply;
};

/* RESULT_SYSTEM when there is no memory. */
struct result session_start(struct session *session, const struct session_options *options,
                            struct why *why) MUST_CHECK;
void session_end(struct session *session);

/* One event. effects is emptied first; the caller carries the effects out in order and frees their
 * bytes (session_effects_free for those left). Packets that are foreign, forged or replayed give
 * RESULT_REFUSED or RESULT_INPUT and change nothing. */
struct result session_step(struct session *session, const struct session_event *event,
                           struct session_effects *effects, struct why *why) MUST_CHECK;

void session_effects_free(struct session_effects *effects);

/* When SESSION_TIMER is due; UINT64_MAX = nothing to wait for. */
uint64_t session_wake(const struct session *session);

/* The next chunk packet within the grants into packet (TRANSFER_PACKET_MAX): its length, 0 = none.
 * After a packet that could not be published the coordinator asks for it again. */
size_t session_next_packet(struct session *session, unsigned char *packet, uint64_t now_ms);

#endif
