/* SPDX-License-Identifier: Apache-2.0 */
/* Slots and effects of the session: what its stages share. Only session*.c include it. */
#ifndef CONSILIUM_AGENT_SESSION_TASK_H
#define CONSILIUM_AGENT_SESSION_TASK_H

#include "agent/session.h"

/* The slot of a study's task, of an object that it receives or sends; NULL = none. */
struct session_task *task_find(struct session *session, const char *study, uint32_t task);
struct session_task *task_receiving(struct session *session, const unsigned char *object);
struct session_task *task_sending(struct session *session, const unsigned char *object);
struct session_task *task_asked(struct session *session, uint32_t request);

/* A slot for a new task: a free one, else the one in MODEL or SENDING whose deadline passed
 * longest ago; NULL when all are busy. */
struct session_task *task_allocate(struct session *session, uint64_t now_ms);

/* Releases what the slot owns and frees it; a WORKING one becomes stale instead. */
void task_drop(struct session_task *slot);

/* Effects. Out of memory leaves the effect out: the protocol repeats itself. */
void session_note(struct session_effects *effects, bool warning, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void session_publish(struct session_effects *effects, const unsigned char *bytes, size_t n);
/* Takes body over; returns the request's number, 0 when it could not be asked. */
uint32_t session_ask(struct session *session, struct session_effects *effects, enum ipc_type type,
                     struct bytes_out *body);
uint32_t session_ask_block(struct session *session, struct session_effects *effects,
                           enum ipc_type type, const unsigned char *bytes, size_t n);
void session_ask_control(struct session *session, struct session_effects *effects,
                         const struct ipc_control *control);

/* The stages' steps. */
void task_check(struct session *session, struct session_task *slot,
                struct session_effects *effects);
struct result task_receive(struct session *session, struct session_task *slot, uint64_t now_ms,
                           struct session_effects *effects, struct why *why) MUST_CHECK;
void task_acknowledge(struct session *session, struct session_task *slot,
                      struct session_effects *effects);
struct result task_chunk(struct session *session, struct session_task *slot,
                         const struct session_event *event, struct session_effects *effects,
                         struct why *why) MUST_CHECK;
struct result task_send(struct session *session, struct session_task *slot,
                        const unsigned char *body, size_t n, uint64_t now_ms,
                        struct session_effects *effects, struct why *why) MUST_CHECK;
void task_offer_again(struct session *session, struct session_task *slot, uint64_t now_ms,
                      struct session_effects *effects);
void task_timer(struct session *session, struct session_task *slot, uint64_t now_ms,
                struct session_effects *effects);

#endif
