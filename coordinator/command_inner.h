/* SPDX-License-Identifier: Apache-2.0 */
/* One command of a user under treatment, shared by the files of verbs only. */
#ifndef CONSILIUM_COORDINATOR_COMMAND_INNER_H
#define CONSILIUM_COORDINATOR_COMMAND_INNER_H

#include "coordinator/drive_inner.h"

#include <jansson.h>

struct user_command {
    struct drive *drive;
    const struct drive_member *user;
    const struct message_command *command;
    const unsigned char *envelope; /* as it came */
    size_t envelope_n;
    uint64_t now_ms;
    json_t *arguments; /* NULL for launch */
    char study[PLAN_NAME_BYTES];
    /* the answer */
    char sentence[MESSAGE_REASON_BYTES];
    unsigned char *text; /* owned */
    size_t text_n;
};

/* The answer is this JSON value, which is taken over. */
struct result command_answer(struct user_command *c, json_t *value, struct why *why) MUST_CHECK;

/* "since" of the arguments: the number of an entry. */
struct result command_since(const struct user_command *c, uint64_t *ret_since,
                            struct why *why) MUST_CHECK;

/* command_audit.c: what an auditor takes home. */
struct result verb_log(struct user_command *c, struct why *why) MUST_CHECK;
struct result verb_envelope(struct user_command *c, struct why *why) MUST_CHECK;
struct result verb_object(struct user_command *c, struct why *why) MUST_CHECK;
struct result verb_head(struct user_command *c, struct why *why) MUST_CHECK;
struct result verb_witnesses(struct user_command *c, struct why *why) MUST_CHECK;
/* The witnesses of the log as an array (owned by the caller), NULL when the store fails. */
json_t *command_witnesses(struct drive *drive, struct why *why);

/* command_model.c: the gate's decision and the registry of models. */
struct result verb_gate(struct user_command *c, struct why *why) MUST_CHECK;
struct result verb_models(struct user_command *c, struct why *why) MUST_CHECK;
struct result verb_stage(struct user_command *c, struct why *why) MUST_CHECK;

/* command_paper.c: signed documents of the consortium, and the alpha ledgers. */
struct result verb_paper(struct user_command *c, struct why *why) MUST_CHECK;
struct result verb_papers(struct user_command *c, struct why *why) MUST_CHECK;

/* command_incident.c */
struct result verb_incidents(struct user_command *c, struct why *why) MUST_CHECK;
struct result verb_incident(struct user_command *c, struct why *why) MUST_CHECK;

/* command_validate.c; look: a monitor judges the run. */
struct result verb_validate(struct user_command *c, struct why *why) MUST_CHECK;
/* A later look of the gate at a submitted candidate. */
struct result verb_look(struct user_command *c, struct why *why) MUST_CHECK;
struct result verb_validations(struct user_command *c, struct why *why) MUST_CHECK;
struct result command_run(struct user_command *c, bool look, struct why *why) MUST_CHECK;

/* command_monitor.c */
struct result verb_monitor(struct user_command *c, struct why *why) MUST_CHECK;
struct result verb_monitors(struct user_command *c, struct why *why) MUST_CHECK;

/* command_passport.c */
struct result verb_passport(struct user_command *c, struct why *why) MUST_CHECK;

#endif
