/* SPDX-License-Identifier: Apache-2.0 */
/* One hospital's vault in this process, with a coordinator and a researcher that sign and seal as
 * the real ones do: for tests of what the vault takes, refuses and keeps through crashes. */
#ifndef CONSILIUM_TESTS_HOSPITAL_H
#define CONSILIUM_TESTS_HOSPITAL_H

#include "agent/vault/vault.h"
#include "proto/payload.h"

struct hospital_key {
    unsigned char sign_public[32], sign_secret[64], seal_public[32], seal_secret[32];
};

struct hospital {
    char folder[64];
    char name[PLAN_NAME_BYTES]; /* of the site */
    unsigned char seed;         /* of its patients */
    struct hospital_key site, coordinator, researcher;
    unsigned char session[SESSION_ID_BYTES];
    uint64_t sequence;
    char plan_text[4096];
    struct plan plan;
    struct vault vault;
    bool running;
    struct message *message; /* scratch of the helpers */
    uint64_t told_records;   /* the site's ledger as offers and tasks tell it back */
    unsigned char told_head[LEDGER_HEAD_BYTES];
    unsigned char last_model[PLAN_HASH_BYTES]; /* of the last hospital_task */
    bool after_study;                          /* hospital_task's orders are of a finished study */
    uint32_t epochs_after;                     /* of hospital_task's orders */
};

/* A folder with 200 patients, two rows of them unusable, and a plan of one round more than none:
 * two features, a subgroup, logistic, 3 rounds. plan_lines are added to the plan's text
 * ("privacy: {...}\n"), policy_lines to the policy's. Fails the test when it cannot. */
void hospital_open(struct hospital *hospital, const char *plan_lines, const char *policy_lines);
void hospital_close(struct hospital *hospital);

/* The same for the place-th of several sites, "[north, south, ...]", with patients of its own. */
void hospital_open_as(struct hospital *hospital, const char *name, const char *sites,
                      const char *plan_lines, const char *policy_lines);

/* Gives the plan another name of as many letters: a second study beside the first. */
void hospital_rename(struct hospital *hospital, const char *study);

/* Starts the vault from what is on disk, as a new process would; stop is a crash at this point. */
void hospital_start(struct hospital *hospital);
void hospital_crash(struct hospital *hospital);

/* A message from who, completed and signed; owned by the caller (free). NULL receiver: the site. */
unsigned char *hospital_sign(struct hospital *hospital, const struct hospital_key *who,
                             const char *sender, struct message *message, size_t *ret_n);

/* An empty message of this kind in hospital->message. */
struct message *hospital_message(struct hospital *hospital, enum message_kind kind, uint32_t task);

/* The coordinator's offer of the study; the request as the agent would send it. */
struct ipc_message hospital_offer(struct hospital *hospital);

/* A task and the model that it needs: with model, the request that carries everything; without,
 * the first one. parameters of the model are all value. */
struct ipc_message hospital_task(struct hospital *hospital, enum task_kind kind, uint32_t task,
                                 uint32_t round, float value, bool model);

/* A task with that input object, of n bytes. */
struct ipc_message hospital_task_with(struct hospital *hospital, enum task_kind kind, uint32_t task,
                                      uint32_t round, const unsigned char *input, size_t n);

/* The encoded model set whose parameters are all value; owned by the caller (free). */
unsigned char *hospital_model(struct hospital *hospital, uint32_t round, float value,
                              size_t *ret_n);

/* Handles a request and frees its body. The reply's message is the vault's. */
struct vault_reply hospital_ask(struct hospital *hospital, struct ipc_message request);

/* The plaintext of a result; owned by the caller (free). Frees the reply's tail. */
unsigned char *hospital_open_result(struct hospital *hospital, struct vault_reply *reply,
                                    size_t *ret_n);

#endif
