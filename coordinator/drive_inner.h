/* SPDX-License-Identifier: Apache-2.0 */
/* The drive's own structs and the calls between its files; nobody else includes this. */
#ifndef CONSILIUM_COORDINATOR_DRIVE_INNER_H
#define CONSILIUM_COORDINATOR_DRIVE_INNER_H

#include "coordinator/drive.h"
#include "coordinator/exchange.h"
#include "coordinator/merkle_log.h"
#include "coordinator/outbox.h"
#include "coordinator/server.h"

enum {
    DRIVE_STUDIES_MAX = 16, /* held in memory at a time, those that are over included */
    DRIVE_PEERS_MAX = 2048,
    DRIVE_ANSWERED_MAX = 64,
    DRIVE_BACKOFF_MS = 2000, /* after the store refused to write */
    DRIVE_SLOW_MS = 2000,    /* what one step may take before the log tells */
    DRIVE_EVALUATION_BYTES_MAX = 16 << 20,
};

/* What was heard of a member. */
struct peer {
    char name[PLAN_NAME_BYTES];
    struct store_member record;
    bool changed;      /* since it was stored */
    uint64_t held;     /* size of the log's head that the site holds, as far as is known */
    bool held_known;   /* read from the store, or told */
    unsigned retries;  /* proofs sent since the last head */
    uint32_t protocol; /* the newest that it spoke in this run of the coordinator; 0 = not heard */
};

enum work { WORK_NONE, WORK_AGGREGATE, WORK_POOL, WORK_RELAY };

/* A study in memory. */
struct running {
    struct study study;
    struct plan plan;
    char researcher[PLAN_NAME_BYTES];
    size_t parameters;
    uint64_t update_max; /* plaintext bytes of an update */
    uint32_t models;     /* in the open evaluation's set; 0 = not read yet */
    enum work work;      /* to be done once everything is sent */
    double noise;        /* multiplier of the plan, once noise_known */
    bool noise_known;
    /* The open task's model or set, sealed as it is and packed; NULL until needed. */
    struct parcel *parcel[2];
    uint32_t parcel_task;
};

struct drive {
    struct drive_options options;
    unsigned char session[SESSION_ID_BYTES];
    uint64_t sequence;
    uint64_t backoff_until_ms;
    uint64_t monitors_due_ms; /* the next scheduled look; UINT64_MAX = none */
    bool connected;
    struct peer *peers[DRIVE_PEERS_MAX];
    size_t peers_count;
    /* Commands answered in this pass: copies that a user sent while the answer was being made stand
     * in the same queue and are passed over. */
    unsigned char answered[DRIVE_ANSWERED_MAX][SESSION_ID_BYTES];
    size_t answered_count;
    struct running *studies[DRIVE_STUDIES_MAX];
    size_t studies_count;
    struct exchange exchange;
    struct outbox outbox;
    struct merkle_log tree; /* of the log, as far as it was read; then its head, signed */
    struct tree_head head;
    unsigned char head_signature[TREE_HEAD_SIGNATURE_BYTES];
    struct message *in;  /* the message under treatment */
    struct message *out; /* the message being composed */
    struct study *before;
    struct effects *effects;
    unsigned char packet[TRANSFER_PACKET_MAX];
    size_t packet_n; /* a chunk that the link did not take yet */
    char packet_member[PLAN_NAME_BYTES];
};

/* Figures of a step for its audit entries, and what is stored in the same transaction. */
struct step_extra {
    const struct store_launch *launch;
    const struct store_object *object;
    const struct payload_update *update;
    /* Called inside the transaction; NULL = nothing more. */
    struct result (*write)(struct store *store, const struct study *study, void *context,
                           struct why *why);
    void *context;
    const char *detail; /* JSON object that the step's own entry carries, or NULL */
    const char *by;     /* the operator whose signed command (hex) this is, or NULL */
    const char *envelope;
};

/* One event of a study: engine, transaction, effects. RESULT_REFUSED when the engine refuses,
 * RESULT_SYSTEM when the store does; the study is unchanged then. */
struct result drive_step(struct drive *drive, struct running *running,
                         const struct study_event *event, const struct step_extra *extra,
                         struct why *why) MUST_CHECK;

struct running *drive_find(struct drive *drive, const char *study);

/* Loads a study from the store into memory; RESULT_AGAIN when too many are held. */
struct result drive_load(struct drive *drive, const char *study, struct running **ret_running,
                         struct why *why) MUST_CHECK;

/* Takes a parsed plan over and steps LAUNCH. */
struct result drive_launch(struct drive *drive, struct plan *plan,
                           const struct store_launch *launch, uint64_t now_ms,
                           struct why *why) MUST_CHECK;

/* drive_inbox.c: what is kept of a member, loaded when it was not heard of in this process yet. */
struct result drive_peer(struct drive *drive, const char *name, struct peer **ret_peer,
                         struct why *why) MUST_CHECK;

/* drive_inbox.c: one packet. */
void drive_packet(struct drive *drive, const char *topic, const unsigned char *bytes, size_t n,
                  uint64_t now_ms);

/* drive_send.c: a message composed in drive->out to member; study may be "". The head is filled
 * in. Failures are logged: whatever is lost is sent again by nudges. */
struct message *drive_compose(struct drive *drive, enum message_kind kind, const char *study,
                              uint32_t task);
void drive_post(struct drive *drive, const char *member, uint64_t now_ms);
void drive_send_offer(struct drive *drive, struct running *running, uint32_t site, uint64_t now_ms);
void drive_send_task(struct drive *drive, struct running *running, uint32_t site, uint64_t now_ms);
void drive_send_closed(struct drive *drive, struct running *running, uint32_t site,
                       uint64_t now_ms);
/* Tells the sites of a study that is over where its model stands now. */
void drive_notify(struct drive *drive, const char *study, uint64_t now_ms);
void drive_send_done(struct drive *drive, const char *member, const char *study, uint32_t task,
                     const unsigned char object[OBJECT_ID_BYTES], const char *reason,
                     uint64_t now_ms);
/* Lets go of the open task's sealed model. */
void drive_release_parcels(struct running *running);
/* Offers a parcel to a member. */
void drive_send_parcel(struct drive *drive, struct parcel *parcel, const char *member,
                       const char *study, uint32_t task, const unsigned char *model_hash,
                       const unsigned char *command, uint64_t now_ms);
/* Moves waiting packets, acknowledgements and chunks to the link as far as it takes them. */
void drive_flush(struct drive *drive, uint64_t now_ms);

/* drive_witness.c: brings tree and head up to the log; outside of transactions. */
struct result drive_tree(struct drive *drive, uint64_t now_ms, struct why *why) MUST_CHECK;
/* The log's head to a site that takes them. */
void drive_send_head(struct drive *drive, const char *site, uint64_t now_ms);
/* The TREE_WITNESS in drive->in. */
struct result drive_take_witness(struct drive *drive, const struct drive_member *site,
                                 uint64_t now_ms, struct why *why) MUST_CHECK;

/* work.c: what EFFECT_AGGREGATE and EFFECT_POOL ask for. */
void drive_work(struct drive *drive, struct running *running, uint64_t now_ms);

/* command.c: a user's COMMAND in drive->in; envelope is as it came. */
void drive_command(struct drive *drive, const struct drive_member *user,
                   const unsigned char *envelope, size_t envelope_n, uint64_t now_ms);

#endif
