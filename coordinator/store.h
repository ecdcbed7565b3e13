/* SPDX-License-Identifier: Apache-2.0 */
/* What the coordinator keeps: studies, their tasks, objects, models, and the signed audit log.
 *
 * Every step of the engine is one transaction: store_begin, the writes and log entries,
 * store_commit. A crash leaves the state before or after the step, never between. */
#ifndef CONSILIUM_COORDINATOR_STORE_H
#define CONSILIUM_COORDINATOR_STORE_H

#include "coordinator/chain.h"
#include "coordinator/study.h"
#include "proto/envelope.h"

enum { STORE_STUDIES_MAX = 256 /* studies listed at a time */ };

struct store;

/* Opens or creates. secret signs the log and is borrowed; NULL opens for reading only. */
struct result store_open(const char *path, const unsigned char *secret, struct store **ret_store,
                         struct why *why) MUST_CHECK;
void store_close(struct store *store);

struct result store_begin(struct store *store, struct why *why) MUST_CHECK;
struct result store_commit(struct store *store, struct why *why) MUST_CHECK;
void store_rollback(struct store *store); /* also of the log's head */

/* Appends one audit entry (JSON text) about study ("" = none). */
struct result store_log(struct store *store, uint64_t now_ms, const char *study, const char *kind,
                        const char *entry, size_t n, struct why *why) MUST_CHECK;
struct chain_head store_log_head(const struct store *store);

/* What does not change after the launch. */
struct store_launch {
    const char *researcher;
    const void *plan;
    size_t plan_n;
    const void *envelope;
    size_t envelope_n;
};
struct result store_launch(struct store *store, const struct study *study,
                           const struct store_launch *launch, struct why *why) MUST_CHECK;

/* Writes what differs between before and after, which is the study now. */
struct result store_study(struct store *store, const struct study *before,
                          const struct study *after, struct why *why) MUST_CHECK;

/* Loads a study by name. RESULT_INPUT when there is none. */
struct result store_load(struct store *store, const char *name, struct study *study,
                         struct why *why) MUST_CHECK;

/* Names of all studies, newest first, at most STORE_STUDIES_MAX. */
struct result store_names(struct store *store, char (*names)[PLAN_NAME_BYTES], size_t *ret_count,
                          struct why *why) MUST_CHECK;

/* Bytes owned by whoever holds the struct: free(bytes). */
struct store_bytes {
    unsigned char *bytes;
    size_t n;
};

struct result store_read_plan(struct store *store, const char *study, struct store_bytes *plan,
                              char researcher[PLAN_NAME_BYTES], struct why *why) MUST_CHECK;
struct result store_read_envelope(struct store *store, const char *study,
                                  struct store_bytes *envelope, struct why *why) MUST_CHECK;

/* An admitted update or evaluation. */
struct store_object {
    uint32_t task, position;
    unsigned char digest[PLAN_HASH_BYTES];
    const void *payload;
    size_t payload_n;
    const void *offer; /* the site's signed offer */
    size_t offer_n;
    uint64_t cipher_bytes;
    uint64_t received_ms;
};
struct result store_put_object(struct store *store, const char *study,
                               const struct store_object *object, struct why *why) MUST_CHECK;
struct result store_read_object(struct store *store, const char *study, uint32_t task,
                                uint32_t position, struct store_bytes *payload,
                                struct why *why) MUST_CHECK;
/* The site's signed offer of that object. */
struct result store_read_offer(struct store *store, const char *study, uint32_t task,
                               uint32_t position, struct store_bytes *offer,
                               struct why *why) MUST_CHECK;

/* Models by the hash of their payload; the same twice is harmless. */
struct result store_put_model(struct store *store, const char *study, uint32_t number,
                              const unsigned char hash[PLAN_HASH_BYTES], const void *payload,
                              size_t n, struct why *why) MUST_CHECK;
struct result store_read_model(struct store *store, const unsigned char hash[PLAN_HASH_BYTES],
                               struct store_bytes *payload, struct why *why) MUST_CHECK;

/* The server optimiser's state after number aggregated rounds. */
struct result store_put_server(struct store *store, const char *study, uint32_t number,
                               const void *state, size_t n, struct why *why) MUST_CHECK;
struct result store_read_server(struct store *store, const char *study, uint32_t *ret_number,
                                struct store_bytes *state, struct why *why) MUST_CHECK;

/* Records for people, JSON: kind "aggregate" or "pooled". */
struct result store_put_record(struct store *store, const char *study, uint32_t task,
                               const char *kind, const char *json, struct why *why) MUST_CHECK;

/* Calls visit for each record of the study in the order of tasks; visit returns false to end. */
struct store_record {
    uint32_t task;
    const char *kind;
    const char *json;
};
struct result store_each_record(struct store *store, const char *study,
                                bool (*visit)(void *context, const struct store_record *record),
                                void *context, struct why *why) MUST_CHECK;

/* Calls visit for each task of the study, in order; parts are filled. */
struct result store_each_task(struct store *store, const char *study,
                              bool (*visit)(void *context, const struct round *task), void *context,
                              struct why *why) MUST_CHECK;

struct store_entry {
    uint64_t seq, ms;
    const char *study;
    const char *kind;
    const char *entry; /* n bytes, not closed by a zero */
    size_t n;
    unsigned char hash[CHAIN_HASH_BYTES];
    unsigned char signature[CHAIN_SIGNATURE_BYTES];
};

/* Calls visit for each log entry with seq > since, of study or (NULL) of all. */
struct result store_each_entry(struct store *store, const char *study, uint64_t since,
                               bool (*visit)(void *context, const struct store_entry *entry),
                               void *context, struct why *why) MUST_CHECK;

/* The last head of the log that a site said it holds; its signature as a witness. size 0: none. */
struct store_witness {
    char site[PLAN_NAME_BYTES];
    struct tree_head head; /* origin is left empty */
    unsigned char signature[TREE_HEAD_SIGNATURE_BYTES];
    enum tree_answer answer;
    uint64_t heard_ms;
};
struct result store_put_witness(struct store *store, const struct store_witness *witness,
                                struct why *why) MUST_CHECK;
struct result store_read_witness(struct store *store, const char *site,
                                 struct store_witness *witness, struct why *why) MUST_CHECK;
/* In the order of their names; visit returns false to end. */
struct result store_each_witness(struct store *store,
                                 bool (*visit)(void *context, const struct store_witness *witness),
                                 void *context, struct why *why) MUST_CHECK;

struct store_member {
    struct envelope_seen seen;
    char software[PLAN_NAME_BYTES];
    uint64_t peak_memory_kb;
    /* The longest that a site, by the key it then signed with, told of its privacy ledger. */
    uint64_t ledger_records;
    unsigned char ledger_head[LEDGER_HEAD_BYTES], ledger_key[32];
};
struct result store_put_member(struct store *store, const char *member,
                               const struct store_member *record, struct why *why) MUST_CHECK;
/* Zeroes when the member was never heard of. */
struct result store_read_member(struct store *store, const char *member,
                                struct store_member *record, struct why *why) MUST_CHECK;

#endif
