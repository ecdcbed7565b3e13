/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of the protocol as plain, bounded C structs. proto/codec.h turns them into bytes and
 * back (protobuf structs never leave it); proto/envelope.h signs and checks them.
 *
 * One round trip of the protocol:
 *
 *   site -> coordinator   HELLO         on every connect: who I am, what I run
 *   coordinator -> site   STUDY_OFFER   the researcher's signed launch, verbatim
 *   site -> coordinator   STUDY_ANSWER  allow, asking a human, or refuse with the reason
 *   coordinator -> site   TASK          a round is open: train or evaluate, which model, until when
 *   either -> either      OBJECT_OFFER  a sealed object (model, update, evaluation, reply) is ready
 *   receiver -> sender    OBJECT_ACK    grant, progress and missing chunks of an object
 *   sender -> receiver    chunks        raw ciphertext on the chunk topic, see proto/transfer.h
 *   receiver -> sender    OBJECT_DONE   counted, or refused with the reason
 *   site -> coordinator   TASK_DECLINED this site takes no part in the task, with the reason
 *   coordinator -> site   TASK_CLOSED   who counted, who did not and why; the new model's hash
 *   coordinator -> site   TREE_HEAD     the audit log's signed head, with a proof from the last one
 *   site -> coordinator   TREE_WITNESS  the site holds it too, or why not
 *   user -> coordinator   COMMAND       launch, status, events, report, model, stop, ...
 *   coordinator -> user   REPLY         an exit code, a sentence, JSON
 *
 * Everything may arrive twice; only the first has an effect. */
#ifndef CONSILIUM_MESSAGE_H
#define CONSILIUM_MESSAGE_H

#include "proto/plan.h"
#include "proto/tree_head.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PROTOCOL_VERSION = 3,           /* 2: models may travel packed; 3: sites hold tree heads */
    PROTOCOL_VERSION_OLDEST = 1,    /* the oldest peer version still spoken to */
    PROTOCOL_VERSION_PACKED = 2,    /* from here on a site takes packed objects */
    PROTOCOL_VERSION_HEADS = 3,     /* from here on a site takes heads of the log */
    MESSAGE_BYTES_MAX = 60 * 1024,  /* one signed envelope on the wire */
    MESSAGE_REASON_BYTES = 512,     /* a sentence */
    MESSAGE_TEXT_MAX = 48 * 1024,   /* inline JSON of a command or reply */
    LEDGER_HEAD_BYTES = 32,         /* BLAKE2b of a ledger's record */
    SESSION_ID_BYTES = 16,          /* random, drawn at every process start */
    OBJECT_ID_BYTES = 16,           /* random */
    OBJECT_KEY_SEALED_BYTES = 80,   /* a 32-byte key through crypto_box_seal */
    OBJECT_CHUNK_BYTES = 60 * 1024, /* plaintext of a chunk; its tag adds 16 */
    OBJECT_BYTES_MAX = 1 << 30,
    OBJECT_ACK_RANGES_MAX = 32,
    TASK_COUNTED_MAX = PLAN_SITES_MAX,
};

enum message_kind {
    MESSAGE_HELLO = 1,
    MESSAGE_STUDY_OFFER,
    MESSAGE_STUDY_ANSWER,
    MESSAGE_TASK,
    MESSAGE_TASK_DECLINED,
    MESSAGE_TASK_CLOSED,
    MESSAGE_OBJECT_OFFER,
    MESSAGE_OBJECT_ACK,
    MESSAGE_OBJECT_DONE,
    MESSAGE_COMMAND,
    MESSAGE_REPLY,
    MESSAGE_TREE_HEAD,
    MESSAGE_TREE_WITNESS,
};

/* Stands in front of every message and is covered by the signature. */
struct message_head {
    char consortium[PLAN_NAME_BYTES];
    char sender[PLAN_NAME_BYTES];
    char receiver[PLAN_NAME_BYTES];
    unsigned char session[SESSION_ID_BYTES]; /* of the sender's process */
    uint64_t sequence;                       /* 1, 2, ... within the session */
    uint64_t sent_ms;                        /* Unix time */
    char study[PLAN_NAME_BYTES];             /* empty where no study is meant */
    uint32_t task;                           /* number of the task in the study, from 1; 0 = none */
    /* The site's privacy ledger. From a site: how long it is and the hash of its last record; from
     * the coordinator: the longest that this site has told. 0 records: nothing is said of it. */
    uint64_t ledger_records;
    unsigned char ledger_head[LEDGER_HEAD_BYTES];
};

struct message_hello {
    uint32_t protocol_oldest, protocol_newest;
    char software[PLAN_NAME_BYTES];
    uint64_t peak_memory_kb; /* agent and vault together */
};

/* The envelope with which the researcher launched the study, byte for byte, and the researcher's
 * signing key, for which the coordinator vouches as it does in the roster. */
struct message_study_offer {
    unsigned char launch[MESSAGE_BYTES_MAX - 2048];
    size_t launch_n;
    unsigned char researcher_key[32];
};

enum study_verdict { STUDY_ALLOWED = 1, STUDY_ASKING, STUDY_REFUSED };

struct message_study_answer {
    unsigned char plan_hash[PLAN_HASH_BYTES];
    enum study_verdict verdict;
    char reason[MESSAGE_REASON_BYTES];
    uint64_t declared_patients;
    unsigned char data_fingerprint[PLAN_HASH_BYTES];
    double epsilon_budget; /* what the site's ledger grants this study; 0 without privacy */
};

/* A round of a study with secure aggregation is five tasks: KEYS, SHARES, TRAIN, AGREE, REVEAL
 * (privacy/mask.h); of any other study it is TRAIN alone. */
enum task_kind {
    TASK_TRAIN = 1,
    TASK_EVALUATE,
    TASK_KEYS = 30, /* keys for the round, signed */
    TASK_SHARES,    /* shares of the secrets, sealed from site to site */
    TASK_AGREE,     /* tags on whose inputs arrived */
    TASK_REVEAL,    /* shares that open the sum */
};

/* "train", "keys", ...; false for what is no kind. */
const char *task_kind_name(enum task_kind kind);
bool task_kind_known(uint32_t kind);

/* Place of a task in a secure round, 1 (KEYS) to 5 (REVEAL); 0 for an evaluation. */
enum { TASK_STAGES = 5, EVALUATION_EPOCHS_MAX = 1 << 20 /* of one holdout */ };
uint32_t task_stage(enum task_kind kind);
enum task_kind task_of_stage(uint32_t stage); /* 1 .. TASK_STAGES */

struct message_task {
    enum task_kind kind;
    uint32_t round; /* training round that this belongs to, from 1 */
    unsigned char plan_hash[PLAN_HASH_BYTES];
    unsigned char model_hash[PLAN_HASH_BYTES]; /* BLAKE2b of the task's input object's plaintext */
    unsigned char seed[32];                    /* of the codec's rotation, public */
    uint64_t deadline_ms;                      /* Unix time */
    unsigned char object[OBJECT_ID_BYTES];     /* the model (or model set) to be fetched */
    bool after_study;                          /* an evaluation of a finished study's model */
    /* Judge on the patients who first came with a later holdout epoch of the site; 0 = on all. */
    uint32_t epochs_after;
};

/* Why a site takes no part in a task: the result's type where there is no result. */
enum decline {
    DECLINE_OTHER = 0, /* an older site does not say */
    DECLINE_REFUSED,   /* by the site's policy or its steward */
    DECLINE_ASKING,    /* the steward is to decide */
    DECLINE_BUDGET,    /* queries or privacy budget are used up */
    DECLINE_NO_LABELS,
    DECLINE_SCHEMA,        /* the site's data do not fit the plan */
    DECLINE_UNKNOWN_MODEL, /* no signed round of the study named the model */
    DECLINE_LATE,          /* the order came after its deadline */
    DECLINE_BUSY,
    DECLINE_FAILED, /* the computing failed at the site */
    DECLINE_LAST = DECLINE_FAILED,
};

/* "budget_exhausted": the type of a non-result in records. */
const char *message_decline_name(enum decline decline);

struct message_task_declined {
    char reason[MESSAGE_REASON_BYTES];
    enum decline kind;
};

struct task_outcome {
    char site[PLAN_NAME_BYTES];
    bool counted;
    char reason[MESSAGE_REASON_BYTES]; /* empty when counted */
};

struct message_task_closed {
    bool completed; /* false: aborted, the model is unchanged */
    unsigned char model_hash[PLAN_HASH_BYTES];
    struct task_outcome own; /* of the receiver */
    uint32_t counted, refused, missing;
    bool study_finished;
    /* Models that may be evaluated after the study; zeroes = none yet. */
    unsigned char candidate_hash[PLAN_HASH_BYTES], best_hash[PLAN_HASH_BYTES];
    char notice[MESSAGE_REASON_BYTES]; /* for the site's people; empty = nothing to say */
};

enum object_kind {
    OBJECT_MODEL = 1,
    OBJECT_UPDATE,
    OBJECT_EVALUATION,
    OBJECT_REPLY,
    OBJECT_SECURE = 30
};

struct message_object_offer {
    unsigned char object[OBJECT_ID_BYTES];
    enum object_kind kind;
    uint64_t plain_bytes;
    uint64_t packed_bytes; /* 0, or less than plain_bytes: what is encrypted is a packed form of the
                              plaintext of that size (proto/transfer_pack.h) */
    unsigned char plain_hash[PLAN_HASH_BYTES];  /* BLAKE2b-256 of the plaintext */
    unsigned char cipher_hash[PLAN_HASH_BYTES]; /* BLAKE2b-256 over the whole ciphertext */
    unsigned char sealed_key[OBJECT_KEY_SEALED_BYTES];
    unsigned char model_hash[PLAN_HASH_BYTES]; /* updates, evaluations: the model they start from */
    unsigned char command[SESSION_ID_BYTES];   /* replies: the command they answer */
};

struct chunk_range {
    uint32_t first, count;
};

/* Receiver's progress: send chunks within [next, granted) and the missing ranges. */
struct message_object_ack {
    unsigned char object[OBJECT_ID_BYTES];
    uint32_t next;    /* all chunks below it have arrived */
    uint32_t granted; /* chunks below it may be sent */
    struct chunk_range missing[OBJECT_ACK_RANGES_MAX];
    size_t missing_count;
};

struct message_object_done {
    unsigned char object[OBJECT_ID_BYTES];
    bool accepted;
    char reason[MESSAGE_REASON_BYTES]; /* empty when accepted */
};

struct message_command {
    unsigned char id[SESSION_ID_BYTES];
    char verb[PLAN_NAME_BYTES];
    unsigned char text[MESSAGE_TEXT_MAX]; /* launch: the plan's bytes; else JSON */
    size_t text_n;
};

struct message_reply {
    unsigned char id[SESSION_ID_BYTES]; /* of the command */
    uint32_t exit_code;
    char sentence[MESSAGE_REASON_BYTES];
    bool in_object; /* the text follows as a sealed object */
    unsigned char text[MESSAGE_TEXT_MAX];
    size_t text_n;
};

/* The log's head, and that it contains the log of the old_size that the site is thought to hold
 * (0: none; then the proof is empty). The origin is the head's consortium. */
struct message_tree_head {
    uint64_t size, ms;
    struct merkle_hash root;
    unsigned char signature[TREE_HEAD_SIGNATURE_BYTES];
    uint64_t old_size;
    struct merkle_proof proof;
};

enum tree_answer {
    TREE_COSIGNED = 1, /* the site holds this head now; its signature as a witness */
    TREE_BEHIND,       /* not proved from the head that it holds, which is this one */
    TREE_SHORTER,      /* the log has fewer entries than this head that the site holds */
    TREE_INCONSISTENT, /* the log does not contain this head that the site holds */
};

/* The head that the site holds, and what it thinks of the last one that came. */
struct message_tree_witness {
    enum tree_answer answer;
    uint64_t size, ms;
    struct merkle_hash root;
    unsigned char signature[TREE_HEAD_SIGNATURE_BYTES]; /* as a witness, of what it holds */
};

struct message {
    enum message_kind kind;
    struct message_head head;
    union {
        struct message_hello hello;
        struct message_study_offer study_offer;
        struct message_study_answer study_answer;
        struct message_task task;
        struct message_task_declined task_declined;
        struct message_task_closed task_closed;
        struct message_object_offer object_offer;
        struct message_object_ack object_ack;
        struct message_object_done object_done;
        struct message_command command;
        struct message_reply reply;
        struct message_tree_head tree_head;
        struct message_tree_witness tree_witness;
    };
};

/* The kind's name for messages to humans: "study offer". */
const char *message_kind_name(enum message_kind kind);

#endif
