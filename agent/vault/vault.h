/* SPDX-License-Identifier: Apache-2.0 */
/* What the vault does with each request of the network process. It trusts that process with
 * nothing but delivery: every order carries the signature of the coordinator, every plan that of a
 * researcher, and both are checked here. */
#ifndef CONSILIUM_VAULT_VAULT_H
#define CONSILIUM_VAULT_VAULT_H

#include "agent/ipc_body.h"
#include "agent/vault/dataset.h"
#include "agent/vault/epoch.h"
#include "agent/vault/keys.h"
#include "agent/vault/ledger.h"
#include "agent/vault/witness.h"
#include "proto/policy.h"

struct room;
struct secure_round;

/* Everything is opened before the sandbox closes; nothing is opened after it. */
struct vault {
    struct vault_keys keys;
    struct policy policy;
    struct mapping mapping;
    bool data_present;                  /* mapping and data file are there */
    char data_name[MAPPING_PATH_BYTES]; /* for messages */
    int data_fd;
    unsigned char holdout_key[DATASET_KEY_BYTES];
    int ledger_fd, outbox_fd, record_fd, decisions_fd, epochs_fd, heads_fd, secure_fd;
    struct ledger ledger;
    struct epoch_book book;
    struct witness witness;
    uint64_t agent_peak_kb;     /* the network process's, as it last told */
    bool on_time;               /* results leave in slots, noise is drawn ahead: off only in
                                   simulations, where nobody watches the clock */
    struct room *room;          /* the study that is loaded, or NULL */
    struct message *scratch[2]; /* owned */
    /* SECURE_ROUNDS_MAX: secret keys, see secure.h. */
    struct secure_round *secure[8];
};

/* An answer. sign: message is to be signed, and travels as IPC_SIGNED or in front of tail. */
struct vault_reply {
    enum ipc_type type;
    bool sign;
    struct message *message; /* borrowed from the vault, until the next request */
    unsigned char *tail;     /* owned: ciphertext of a result, or body of a welcome */
    size_t tail_n;
    char sentence[WHY_BYTES]; /* IPC_REFUSED */
};

/* Opens the ledger of a vault whose descriptors, keys, policy and mapping are filled; the rest is
 * zero. RESULT_AGAIN: another vault holds the ledger; may be tried again. */
struct result vault_start(struct vault *vault, struct why *why) MUST_CHECK;
void vault_end(struct vault *vault);

/* One request. It may take minutes (training). The reply is always filled: what is refused is
 * refused with a sentence. RESULT_SYSTEM: the vault cannot go on (its ledger failed). */
struct result vault_handle(struct vault *vault, const struct ipc_message *request,
                           struct vault_reply *reply, struct why *why) MUST_CHECK;

/* Looks whether a human has decided on a study that asks: true and a reply, or false. */
bool vault_decided(struct vault *vault, struct vault_reply *reply);

/* The welcome: who this site is and what waits in the outbox. */
void vault_welcome(const struct vault *vault, struct ipc_welcome *welcome);

#endif
