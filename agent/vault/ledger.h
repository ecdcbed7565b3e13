/* SPDX-License-Identifier: Apache-2.0 */
/* The vault's memory: studies, decisions, budget spent, tasks begun and done. Written to disk
 * before anything that depends on it happens, and rebuilt from disk at every start.
 *
 * A study:  OFFERED ─▶ ASKING ⇄ REFUSED, any of them ─▶ ALLOWED ─▶ FINISHED
 *           (ALLOWED: its whole cost is charged)
 * A task:   BEGUN (before the first patient is read for it) ─▶ DONE (its sealed result is in the
 *           outbox, and only now may a byte of it leave) ─▶ SETTLED
 *
 * Invariants: (1) a study is charged once, whole, with the record that allows it; (2) no task is
 * done twice; (3) a task that was begun and not done has released nothing: it may be begun again,
 * with fresh noise, and counts against the study's rounds only when it is done. */
#ifndef CONSILIUM_VAULT_LEDGER_H
#define CONSILIUM_VAULT_LEDGER_H

#include "agent/vault/journal.h"
#include "proto/message.h"
#include "proto/roster.h"

enum {
    LEDGER_STUDIES_MAX = 1024,
    LEDGER_ATTEMPTS_MAX = 3,    /* of one task: what ends the vault each time will not get better */
    LEDGER_LOCAL_MAX = 8192,    /* a site's own intercepts */
    LEDGER_EVENTS_BYTES = 2048, /* a charge's list of privacy events as text */
    LEDGER_NAMED_MAX = 32,      /* models named by signed tasks and closings, the latest */
};

enum ledger_type {
    LEDGER_OFFERED = 1,
    LEDGER_VERDICT,
    LEDGER_BEGUN,
    LEDGER_DONE,
    LEDGER_SETTLED,
    LEDGER_CLOSED,
    LEDGER_NAMED = 40, /* a closing named a model */
    LEDGER_CHARGED,    /* noised figures beyond the plan's: spent before they are computed */
    LEDGER_PEER = 50,  /* another site's key, seen for the first time in a secure study */
};

enum ledger_standing {
    LEDGER_STUDY_OFFERED = 1,
    LEDGER_STUDY_ASKING,
    LEDGER_STUDY_ALLOWED,
    LEDGER_STUDY_REFUSED,
    LEDGER_STUDY_FINISHED,
};

/* What a study costs: charged when it is allowed. */
struct ledger_charge {
    double epsilon, delta;   /* of the whole study by itself */
    double noise_multiplier; /* that the epsilon rests on */
    char events[LEDGER_EVENTS_BYTES];
};

/* The result of a task, sealed and in the outbox. */
struct ledger_release {
    enum object_kind kind;
    uint32_t models; /* evaluations: how many models' figures it holds */
    uint64_t outbox_offset;
    struct message_object_offer offer; /* as it was signed */
};

enum ledger_task_state { LEDGER_TASK_NONE, LEDGER_TASK_BEGUN, LEDGER_TASK_DONE };

/* The last task of a study. */
struct ledger_task {
    enum ledger_task_state state;
    bool settled;      /* the coordinator has it, refused it, or closed the task */
    bool reuse;        /* answered by an earlier task's result */
    uint32_t attempts; /* times begun */
    uint32_t task;
    enum task_kind kind;
    uint32_t round;
    unsigned char model_hash[PLAN_HASH_BYTES];
    struct ledger_release release; /* DONE only */
};

struct ledger_study {
    char name[PLAN_NAME_BYTES];
    char researcher[PLAN_NAME_BYTES];
    unsigned char researcher_key[32]; /* vouched for by the coordinator's offer */
    unsigned char plan_hash[PLAN_HASH_BYTES];
    uint64_t launch_offset; /* of the researcher's signed launch in the file */
    size_t launch_n;
    enum ledger_standing standing;
    char reason[MESSAGE_REASON_BYTES];
    uint64_t offered_ms, decided_ms;
    struct ledger_charge charge; /* ALLOWED, FINISHED */
    uint32_t trained;            /* train tasks done: updates released */
    uint32_t evaluated;          /* models whose figures were released */
    /* Models that signed tasks and closings named: only these are evaluated after the study. */
    unsigned char named[LEDGER_NAMED_MAX][PLAN_HASH_BYTES];
    uint32_t named_count; /* ever; the place of the next is named_count % LEDGER_NAMED_MAX */
    /* Noised figures after the study, charged besides the study's own charge. */
    struct {
        uint32_t models;       /* releases of figures charged so far */
        uint32_t task;         /* that the last ones were charged for */
        double noise;          /* their noise multiplier: the plan's */
        uint64_t first_ms, ms; /* of the first charge and the last one */
    } after;
    uint32_t revealed; /* last round whose secure sum this site helped to open */
    unsigned char revealed_input[PLAN_HASH_BYTES]; /* of that reveal: one list of survivors */
    /* Keys of the other sites of a secure study as first seen, by place in the plan; zeros: not
     * yet.
     */
    unsigned char peers[PLAN_SITES_MAX][ROSTER_KEY_BYTES];
    uint64_t bytes_released;
    uint64_t local_offset; /* in the file: what the site keeps for itself after the last task */
    size_t local_n;        /* 0 = nothing */
    struct ledger_task task;
};

struct ledger {
    struct journal journal;
    size_t studies_count, studies_capacity;
    struct ledger_study *studies; /* owned; pointers into it end with the next offer */
};

/* Opens the ledger for the vault (locks it) or for those who only look. As journal_open. */
struct result ledger_open(struct ledger *ledger, int fd, const char *name,
                          struct why *why) MUST_CHECK;
struct result ledger_look(struct ledger *ledger, int fd, const char *name,
                          struct why *why) MUST_CHECK;
void ledger_free(struct ledger *ledger);

struct ledger_study *ledger_find(struct ledger *ledger, const char *study);

/* The signed launch, read from the file; *ret_bytes is owned by the caller (free). */
struct result ledger_launch(const struct ledger *ledger, const struct ledger_study *study,
                            unsigned char **ret_bytes, struct why *why) MUST_CHECK;

/* What the site keeps for itself after the study's last task: local_n bytes into out. */
struct result ledger_local(const struct ledger *ledger, const struct ledger_study *study, void *out,
                           struct why *why) MUST_CHECK;

/* reuse of ledger_begun: the task will be answered by the result of an earlier, aborted task of the
 * same round and model, and counts as nothing new.
 *
 * Each of these appends one record and syncs it, then changes the state by that record. A study
 * offered again under the same name must have the same plan. */
struct result ledger_offered(struct ledger *ledger, uint64_t now_ms, const char *study,
                             const char *researcher, const unsigned char researcher_key[32],
                             const unsigned char plan_hash[PLAN_HASH_BYTES],
                             const unsigned char *launch, size_t launch_n,
                             struct why *why) MUST_CHECK;
struct result ledger_verdict(struct ledger *ledger, uint64_t now_ms, const char *study,
                             enum ledger_standing standing, const char *reason,
                             const struct ledger_charge *charge, struct why *why) MUST_CHECK;
struct result ledger_begun(struct ledger *ledger, uint64_t now_ms, const char *study, uint32_t task,
                           const struct message_task *order, bool reuse,
                           struct why *why) MUST_CHECK;
struct result ledger_done(struct ledger *ledger, uint64_t now_ms, const char *study, uint32_t task,
                          const struct ledger_release *release, const unsigned char *local,
                          size_t local_n, struct why *why) MUST_CHECK;
struct result ledger_settled(struct ledger *ledger, uint64_t now_ms, const char *study,
                             uint32_t task, bool accepted, const char *reason,
                             struct why *why) MUST_CHECK;
/* The key of the site at that place of a secure study: remembered at the first sight, so that it
 * cannot be exchanged later. RESULT_REFUSED when it is another than the one remembered. *ret_news:
 * it was not known before. */
struct result ledger_peer(struct ledger *ledger, uint64_t now_ms, const char *study, uint32_t place,
                          const unsigned char key[ROSTER_KEY_BYTES], bool *ret_news,
                          struct why *why) MUST_CHECK;
struct result ledger_closed(struct ledger *ledger, uint64_t now_ms, const char *study,
                            uint32_t task, bool finished, struct why *why) MUST_CHECK;

/* Whether the ledger is still the one that the coordinator last heard of: at least as long, with
 * that record in its place. RESULT_REFUSED with a sentence for the coordinator when records were
 * taken away or replaced since. records 0: nothing was ever heard. */
struct result ledger_continues(const struct ledger *ledger, uint64_t records,
                               const unsigned char head[JOURNAL_HASH_BYTES],
                               struct why *why) MUST_CHECK;

/* A signed closing named a model; a name that is known changes nothing. */
struct result ledger_named(struct ledger *ledger, uint64_t now_ms, const char *study,
                           const unsigned char hash[PLAN_HASH_BYTES], struct why *why) MUST_CHECK;
bool ledger_knows(const struct ledger_study *study, const unsigned char hash[PLAN_HASH_BYTES]);

/* Charges noised figures of so many models, once a task. */
struct result ledger_charged(struct ledger *ledger, uint64_t now_ms, const char *study,
                             uint32_t task, uint32_t models, double noise,
                             struct why *why) MUST_CHECK;

/* Takes one record into the state; the reader of the journal and the fuzz target use it too. */
struct result ledger_apply(struct ledger *ledger, const struct journal_record *record,
                           struct why *why) MUST_CHECK;

const char *ledger_standing_name(enum ledger_standing standing);

#endif
