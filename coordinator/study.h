/* SPDX-License-Identifier: Apache-2.0 */
/* One study (pure): sites allow it, rounds train, evaluations judge, and it ends. */
#ifndef CONSILIUM_COORDINATOR_STUDY_H
#define CONSILIUM_COORDINATOR_STUDY_H

#include "coordinator/aggregate/anomaly.h"
#include "coordinator/round.h"

enum {
    STUDY_ABORTS_MAX = 3,    /* aborted tasks in a row, then the study pauses */
    STUDY_SKIP_LOG2_MAX = 6, /* a site that misses again and again sits out 2^k - 1 tasks */
};

enum member_verdict {
    MEMBER_INVITED = 1, /* has not answered yet */
    MEMBER_ASKING,      /* asks a human */
    MEMBER_ALLOWED,
    MEMBER_REFUSED,
    MEMBER_REVOKED,
};

struct study_member {
    char name[PLAN_NAME_BYTES];
    enum member_verdict verdict;
    bool live;         /* heard of since its last missed deadline */
    uint32_t misses;   /* deadlines missed in a row */
    uint32_t ask_from; /* task from which on it is waited for again */
    char reason[MESSAGE_REASON_BYTES];
    uint64_t declared_patients;
    double epsilon_budget;
    unsigned char fingerprint[PLAN_HASH_BYTES]; /* of its data */
    uint32_t stage; /* last stage of the secure round under way that counts it; 0 = none */
    struct anomaly_site conduct;           /* of its updates, over the study */
    char quarantine[MESSAGE_REASON_BYTES]; /* quarantined: since when, for what */
};

enum study_phase {
    STUDY_NONE = 0,
    STUDY_GATHERING,   /* the offer is out; sites answer */
    STUDY_TRAINING,    /* a train task is open */
    STUDY_AGGREGATING, /* waits for STUDY_EVENT_AGGREGATED */
    STUDY_EVALUATING,  /* an evaluate task is open */
    STUDY_POOLING,     /* waits for STUDY_EVENT_POOLED */
    STUDY_PAUSED,      /* too few sites or too many aborts; reason says what to do */
    STUDY_FINISHED,
    STUDY_STOPPED,
    /* study_validate.h; the study stays finished */
    STUDY_VALIDATING, /* a finished model's evaluate task is open */
    STUDY_CONFIRMING, /* waits for STUDY_EVENT_POOLED of that task */
    STUDY_RELAYING,   /* between two stages of a secure round: waits for STUDY_EVENT_RELAYED */
};

/* Plain data: may be copied, compared and stored. */
struct study {
    char name[PLAN_NAME_BYTES];
    unsigned char plan_hash[PLAN_HASH_BYTES];
    enum study_phase phase;
    uint32_t rounds;       /* of the plan */
    uint32_t every;        /* rounds between evaluations */
    uint32_t quorum;       /* of a train task */
    uint32_t threshold;    /* of secure aggregation; 0 = without */
    uint32_t quarantine;   /* of the plan: flagged rounds that set a site aside; 0 = never */
    uint32_t counting;     /* flags that count towards it */
    uint64_t allowance_ms; /* from the opening of a task to its deadline */
    uint32_t round;        /* training rounds completed */
    uint32_t tasks;        /* tasks opened so far = number of the last one */
    uint32_t aborts;       /* in a row */
    uint32_t best_round;   /* round of the best candidate; 0 = none was evaluated yet */
    double best_score;     /* higher is better */
    unsigned char model[PLAN_HASH_BYTES];      /* what the next train task starts from */
    unsigned char candidate[PLAN_HASH_BYTES];  /* what the next evaluation judges */
    unsigned char evaluation[PLAN_HASH_BYTES]; /* model set of that evaluation */
    unsigned char best[PLAN_HASH_BYTES];
    unsigned char input[PLAN_HASH_BYTES]; /* of the open secure stage, from SHARES on */
    uint32_t keys;                     /* number of the KEYS task of the secure round under way */
    char reason[MESSAGE_REASON_BYTES]; /* paused, stopped, last abort */
    uint64_t launched_ms, started_ms, ended_ms, gather_ms, nudge_ms;
    uint32_t members_count;
    struct study_member members[PLAN_SITES_MAX];
    struct round task;   /* the open or last task; its sites are indexed as members */
    struct round closed; /* the last task that sites were told the end of */
};

enum study_event_kind {
    STUDY_EVENT_LAUNCH = 1, /* plan, model: only on a zeroed study */
    STUDY_EVENT_HELLO,      /* site is alive */
    STUDY_EVENT_VERDICT,    /* site's answer to the offer */
    STUDY_EVENT_DELIVERED,  /* site, task, digest: an admitted object is stored */
    STUDY_EVENT_REFUSED,    /* site, task, reason: what it delivered was refused */
    STUDY_EVENT_DECLINED,   /* site, task, reason */
    STUDY_EVENT_AGGREGATED, /* task, refusals, marks, model, candidate, evaluation; or reason, no
                               model */
    STUDY_EVENT_POOLED,     /* task, score (NaN = no figure) */
    STUDY_EVENT_REVOKED,    /* site */
    STUDY_EVENT_RELEASED,   /* site, reason: its quarantine ends */
    STUDY_EVENT_STOP,       /* reason */
    STUDY_EVENT_RESUME,
    STUDY_EVENT_TIMER,
    STUDY_EVENT_RESTART,
    STUDY_EVENT_VALIDATE, /* evaluation, asked; only on a finished study */
    STUDY_EVENT_RELAYED,  /* task, input */
};

/* A counted update that the aggregation refused after all. */
struct study_refusal {
    uint32_t site;
    char reason[MESSAGE_REASON_BYTES];
};

/* What a round says of one site's update. */
struct study_mark {
    uint32_t site;
    unsigned flags;       /* of anomaly.h */
    const char *sentence; /* the flags with their numbers */
};

struct study_event {
    enum study_event_kind kind;
    uint64_t now_ms;
    uint32_t site;
    uint32_t task;
    const struct plan *plan;
    enum study_verdict verdict;
    uint64_t declared_patients;
    double epsilon_budget;
    const unsigned char *fingerprint;                    /* [PLAN_HASH_BYTES] */
    const unsigned char *digest;                         /* [PLAN_HASH_BYTES] */
    const unsigned char *model, *candidate, *evaluation; /* [PLAN_HASH_BYTES] */
    const unsigned char *input;                          /* [PLAN_HASH_BYTES] */
    const struct study_refusal *refusals;                /* AGGREGATED */
    size_t refusals_count;
    const struct study_mark *marks; /* AGGREGATED: one for each update of the round */
    size_t marks_count;
    double score;
    const char *reason;
    enum decline decline; /* DECLINED */
    const bool *asked;    /* VALIDATE: [members_count]; NULL = every site that allowed the study */
    const uint32_t *epochs_after; /* VALIDATE: [members_count]; NULL = about whole holdouts */
};

/* One event. effects is emptied first; its first entry is STORE if anything changed. Errors leave
 * *study byte-identical and effects empty: RESULT_REFUSED with a sentence for the sender. */
struct result study_step(struct study *study, const struct study_event *event,
                         struct effects *effects, struct why *why) MUST_CHECK;

/* When STUDY_EVENT_TIMER is due; UINT64_MAX = nothing to wait for. */
uint64_t study_wake(const struct study *study);

/* The kind with which a training round begins: KEYS in a secure study, else TRAIN. */
enum task_kind study_first_task(const struct study *study);

/* The kind of task that follows an aborted one, at once or when the study is resumed. */
enum task_kind study_next_try(const struct study *study);

/* study_secure.c, for study.c: whether the site takes part in such a task, given the stages that
 * counted it; and the answers without which the task is nothing. */
bool study_in_group(const struct study *study, uint32_t site, enum task_kind kind);
uint32_t study_task_quorum(const struct study *study, enum task_kind kind);
/* A complete stage of a secure round: notes whom it counts; true while another stage follows, and
 * then the study waits for its input. */
bool study_stage_done(struct study *study, struct effects *effects);

/* Index of the site of that name, or members_count. */
uint32_t study_find(const struct study *study, const char *site);

/* The task of that number if it is the open or the last closed one, else NULL. */
const struct round *study_task(const struct study *study, uint32_t task);

/* What the sites of the open task are given: the model, the evaluation's set, or a stage's input.
 */
const unsigned char *study_input(const struct study *study);

/* A train or evaluate task is open. */
bool study_task_open(const struct study *study);

/* Whether site takes part and task is the study's last one; RESULT_REFUSED with the reason. */
struct result study_check_answer(const struct study *study, uint32_t site, uint32_t task,
                                 struct why *why) MUST_CHECK;

/* Whether an object of site for task would be taken: RESULT_OK; RESULT_AGAIN when exactly this
 * object is counted already (tell the site so); RESULT_REFUSED with the reason. Changes nothing. */
struct result study_wants(const struct study *study, uint32_t site, uint32_t task,
                          const unsigned char digest[PLAN_HASH_BYTES], struct why *why) MUST_CHECK;

/* Why the last task has no result of the site, one fixed word as records have it: "timeout",
 * "report_refused", "away", the type of its decline, or that it was not asked, is not in the study
 * or was revoked. For a site whose result was taken it says nothing. */
const char *study_absence(const struct study *study, uint32_t site);

/* The same of a part in some task; NULL for a site that gave its result or was not asked. */
const char *study_part_absence(const struct round_site *part);

/* How flags become reputation and quarantine in this study. */
struct anomaly_policy study_conduct_policy(const struct study *study);

/* For study.c: whether a site said the very same before; whether the round just made is evaluated.
 */
bool study_same_answer(const struct study_member *member, const struct study_event *event,
                       enum member_verdict verdict);
bool study_evaluation_due(const struct study *study);
/* Sites may keep their figures to themselves; a study goes on without. */
bool study_all_withhold(const struct round *task);

/* Training, aggregating, evaluating, pooling, gathering, validating, or between two stages. */
bool study_active(const struct study *study);

/* Finished or stopped: no more training; a finished study's model may be under validation. */
bool study_over(const struct study *study);

/* The phase for humans: "training". */
const char *study_phase_name(enum study_phase phase);
const char *member_verdict_name(enum member_verdict verdict);

#endif
