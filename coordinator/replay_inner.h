/* SPDX-License-Identifier: Apache-2.0 */
/* Between the replay's files only. */
#ifndef CONSILIUM_COORDINATOR_REPLAY_INNER_H
#define CONSILIUM_COORDINATOR_REPLAY_INNER_H

#include "coordinator/combine.h"
#include "coordinator/combine_secure.h"
#include "coordinator/paper.h"
#include "coordinator/pooling.h"
#include "coordinator/replay.h"

#include <jansson.h>

enum { REPLAY_FAMILIES_MAX = 256, REPLAY_MODELS_MAX = 4096 };

struct replay_study;

/* What holds beyond one study. */
struct replay_world {
    struct paper policy, changes; /* in force; text NULL = none was logged */
    json_t *waiting;              /* signatures on documents that are not in force yet */
    size_t families_count, models_count;
    struct {
        unsigned char family[PLAN_HASH_BYTES];
        struct family_ledger *ledger;
    } families[REPLAY_FAMILIES_MAX];
    struct {
        unsigned char hash[PLAN_HASH_BYTES];
        const struct replay_study *study;
    } models[REPLAY_MODELS_MAX]; /* that were in use at some time */
};
void replay_world_free(struct replay_world *world);

/* An entry about no study: a signature on a document is of that document, and what came into force
 * was signed by those it names. */
struct result replay_paper(struct replay_world *world, const json_t *entry,
                           struct why *why) MUST_CHECK;

/* A "stage" entry. */
void replay_stage(struct replay_world *world, const json_t *entry,
                  const struct replay_study *study);

/* The study of a model that was in use, or NULL. */
const struct replay_study *replay_promoted(const struct replay_world *world,
                                           const unsigned char *hash);

/* The family's ledger so far; owned by the world. */
struct result replay_ledger(struct replay_world *world, const unsigned char *family,
                            struct family_ledger **ret_ledger, struct why *why) MUST_CHECK;

/* A site's part in a task, as its entries tell it. */
struct replay_part {
    bool counted, aside, refused, declined, missed;
    bool late; /* refused by the aggregation, after the task's end */
    char reason[MESSAGE_REASON_BYTES];
};

/* The open task, or the last one. */
struct replay_course {
    uint32_t task;
    bool over;  /* completed or aborted */
    bool owes;  /* completed, and its model or pooled figures are not told yet */
    bool gated; /* its gate decision was told */
    char asked[2 * PLAN_HASH_BYTES + 1]; /* the model that sites were asked about */
    struct replay_part site[PLAN_SITES_MAX];
};

/* A study as the log tells it. */
struct replay_study {
    struct replay_world *world;
    char folder[FS_PATH_BYTES];
    struct plan plan;
    struct study members; /* names and declared patients, for the pooling */
    unsigned char keys[PLAN_SITES_MAX][CHAIN_PUBLIC_BYTES];
    double spent[PLAN_SITES_MAX];
    uint32_t ledger_task[PLAN_SITES_MAX];    /* last task of each site, and the length of its */
    uint64_t ledger_records[PLAN_SITES_MAX]; /* privacy ledger that it signed with that */
    unsigned threads;
    double noise_multiplier;
    unsigned char model[PLAN_HASH_BYTES]; /* that the open round starts from */
    bool counted[PLAN_SITES_MAX];         /* delivered in the open task */
    bool refused[PLAN_SITES_MAX];         /* refused on arrival in the open task */
    bool quarantining[PLAN_SITES_MAX];    /* its quarantine must be the next thing told of it */
    struct replay_course course;
    struct server server;
    size_t updates_count, evaluations_count;
    struct combine_update updates[PLAN_SITES_MAX];
    struct pooling_input evaluations[PLAN_SITES_MAX];
    bool validating;            /* members.task is a validation's */
    json_t *summaries;          /* by task: validation_summary; owned */
    json_t *monitors;           /* by model: terms, progress and severity of the last look; owned */
    struct combine_words words; /* of the secure round under way */
    uint32_t first;             /* its KEYS task */
};

/* replay_course.c: every entry of a study that no validation is under way in. */
struct result replay_course(struct replay_study *study, const json_t *entry, uint32_t site,
                            struct why *why) MUST_CHECK;
/* The refusals told after the task's end are those of the round computed again. */
struct result replay_late_refusals(const struct replay_study *study,
                                   const struct combine_outcome *made, struct why *why) MUST_CHECK;
/* A "pooled" entry, with its score computed again, or a "finished" one: the best round and model.
 */
struct result replay_best(struct replay_study *study, const json_t *entry, double score,
                          struct why *why) MUST_CHECK;

/* replay_round.c: what the log tells of a training round.
 *
 * An update of site enters the open round, its payload and the model it starts from as signed. */
struct result replay_update(struct replay_study *study, const json_t *entry, uint32_t site,
                            const unsigned char *payload, size_t n,
                            const unsigned char base[PLAN_HASH_BYTES], struct why *why) MUST_CHECK;
/* A "model" entry: the round computed again gives the same model, figures and flags. */
struct result replay_model(struct replay_study *study, const json_t *entry,
                           struct replay_outcome *outcome, struct why *why) MUST_CHECK;
/* "refused" of a training task, "quarantined" and "released". */
struct result replay_refused(struct replay_study *study, const json_t *entry, uint32_t site,
                             struct why *why) MUST_CHECK;
struct result replay_quarantined(struct replay_study *study, const json_t *entry, uint32_t site,
                                 struct why *why) MUST_CHECK;
struct result replay_released(struct replay_study *study, const json_t *entry, uint32_t site,
                              struct why *why) MUST_CHECK;
void replay_forget_updates(struct replay_study *study);
/* What the secure round under way was signed for; model [PLAN_HASH_BYTES] is filled. */
struct result replay_scope(const struct replay_study *study, unsigned char *model,
                           struct secure_scope *scope, struct why *why) MUST_CHECK;
/* The privacy spending that an update tells adds up with the entry and with those before. */
struct result replay_budget(struct replay_study *study, const json_t *entry, uint32_t site,
                            const struct payload_update *update, struct why *why) MUST_CHECK;
/* The open task is over or another one begins. RESULT_REFUSED when a quarantine was not told. */
struct result replay_task_over(struct replay_study *study, struct why *why) MUST_CHECK;
/* One model against the hash of an entry. */
struct result replay_check_model(const json_t *entry, const char *key, uint32_t number,
                                 const float *parameters, size_t d,
                                 unsigned char hash[PLAN_HASH_BYTES], struct why *why) MUST_CHECK;

/* Takes a "launched" entry: plan, launch and first model. */
struct result replay_launch(const char *folder, unsigned threads, const json_t *entry,
                            struct replay_study **ret_study, struct why *why) MUST_CHECK;
void replay_study_free(struct replay_study *study);

/* A "gate" entry: its inputs are those of the archived evaluations under the policy, the change
 * control plan and the alpha ledger of the moment, and give its record again, byte for byte. */
struct result replay_gate(struct replay_study *study, const json_t *entry,
                          struct replay_outcome *outcome, struct why *why) MUST_CHECK;

/* Looks at every entry: validations, monitoring, and what follows from a look. */
struct result replay_validation(struct replay_study *study, const json_t *entry,
                                struct replay_outcome *outcome, struct why *why) MUST_CHECK;

/* Keeps the summary of the evaluations at hand, of the entry's task: a monitor may start from it.
 */
void replay_summary(struct replay_study *study, const json_t *entry);

/* Any later entry of the study. */
struct result replay_entry(struct replay_study *study, const json_t *entry,
                           struct replay_outcome *outcome, struct why *why) MUST_CHECK;

#endif
