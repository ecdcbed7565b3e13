/* SPDX-License-Identifier: Apache-2.0 */
/* The vault's voice: what it signs, of its own replies and on the network process's word. It
 * touches nothing of the vault but its keys, so that it can speak while the vault is at work. */
#ifndef CONSILIUM_VAULT_SPEAK_H
#define CONSILIUM_VAULT_SPEAK_H

#include "agent/vault/vault.h"

enum { SPEAK_MEMORY_STEP_KB = 16 * 1024 };

/* Memory as it is told to others: rounded up, so that a patient more or less does not show. */
uint64_t speak_memory_kb(uint64_t kb);

struct speaker {
    const struct vault_keys *keys; /* borrowed */
    unsigned char session[SESSION_ID_BYTES];
    uint64_t sequence;
    struct message *message; /* owned */
};

/* What is said: body is owned by the caller (free). */
struct speech {
    enum ipc_type type;
    struct bytes_out body;
};

struct result speaker_open(struct speaker *speaker, const struct vault_keys *keys,
                           struct why *why) MUST_CHECK;
void speaker_close(struct speaker *speaker);

/* The vault's own reply, its message signed if it asks for that. Takes the reply's tail over. */
struct result speaker_reply(struct speaker *speaker, struct vault_reply *reply,
                            struct speech *speech, struct why *why) MUST_CHECK;

/* An IPC_CONTROL or IPC_OFFER_AGAIN: signed, or IPC_REFUSED with a sentence. */
struct result speaker_request(struct speaker *speaker, const struct ipc_message *request,
                              struct speech *speech, struct why *why) MUST_CHECK;

/* IPC_REFUSED with a sentence. */
void speaker_refuse(const char *sentence, struct speech *speech);

/* The welcome that answers IPC_HELLO. */
struct vault_reply speaker_welcome(const struct vault *vault);

#endif
