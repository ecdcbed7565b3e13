/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of models: every model that a gate has judged, its stage, who signed its moves, and
 * the incidents. Part of the store; writes belong into its transactions. */
#ifndef CONSILIUM_COORDINATOR_REGISTRY_H
#define CONSILIUM_COORDINATOR_REGISTRY_H

#include "coordinator/store.h"
#include "coordinator/validate/incident.h"
#include "coordinator/validate/stage.h"

enum {
    REGISTRY_MOVE_BYTES = 32,    /* "shadow>pilot" */
    REGISTRY_LIST_MAX = 1000,    /* models or incidents listed at a time */
    REGISTRY_SIGNATURES_MAX = 16 /* of one move */
};

struct registry_model {
    unsigned char hash[PLAN_HASH_BYTES]; /* of the model's payload */
    char study[PLAN_NAME_BYTES];
    uint32_t round, task; /* training round; the evaluation that the gate judged last */
    unsigned char family[PLAN_HASH_BYTES];
    unsigned char incumbent[PLAN_HASH_BYTES]; /* zeroes = none */
    enum gate_decision decision;
    struct model_stage stage;
    bool was_promoted;
    uint64_t proposed_ms;
};

/* Writes the model, replacing what was known of it. */
struct result registry_put(struct store *store, const struct registry_model *model,
                           struct why *why) MUST_CHECK;

/* RESULT_INPUT when there is no such model. */
struct result registry_read(struct store *store, const unsigned char hash[PLAN_HASH_BYTES],
                            struct registry_model *model, struct why *why) MUST_CHECK;

/* The family's model in use; *ret_found is false when there is none. */
struct result registry_promoted(struct store *store, const unsigned char family[PLAN_HASH_BYTES],
                                struct registry_model *model, bool *ret_found,
                                struct why *why) MUST_CHECK;

/* Visits all models, newest first; visit returns false to end. */
struct result registry_each(struct store *store,
                            bool (*visit)(void *context, const struct registry_model *model),
                            void *context, struct why *why) MUST_CHECK;

/* One human's signature on one move of one model: a DSSE envelope. Signing twice is harmless. */
struct registry_signature {
    char signer[PLAN_NAME_BYTES];
    uint64_t ms;
    const char *envelope;
};
struct result registry_sign(struct store *store, const unsigned char hash[PLAN_HASH_BYTES],
                            const char *move, const struct registry_signature *signature,
                            struct why *why) MUST_CHECK;
struct result registry_signers(struct store *store, const unsigned char hash[PLAN_HASH_BYTES],
                               const char *move, char (*signers)[PLAN_NAME_BYTES],
                               size_t *ret_count, struct why *why) MUST_CHECK;
/* A move that was made needs new signatures the next time. */
struct result registry_unsign(struct store *store, const unsigned char hash[PLAN_HASH_BYTES],
                              const char *move, struct why *why) MUST_CHECK;

/* Incidents; hash of the model concerned, zeroes = none. */
struct result registry_put_incident(struct store *store, const struct incident *incident,
                                    const unsigned char hash[PLAN_HASH_BYTES],
                                    struct why *why) MUST_CHECK;
struct result registry_read_incident(struct store *store, const char *id, struct incident *incident,
                                     unsigned char hash[PLAN_HASH_BYTES],
                                     struct why *why) MUST_CHECK;
struct result registry_each_incident(struct store *store,
                                     bool (*visit)(void *context, const struct incident *incident,
                                                   const unsigned char *hash),
                                     void *context, struct why *why) MUST_CHECK;

/* The alpha ledger of a family as text (free), NULL when it has none. */
struct result registry_read_ledger(struct store *store, const unsigned char family[PLAN_HASH_BYTES],
                                   char **ret_text, struct why *why) MUST_CHECK;
struct result registry_put_ledger(struct store *store, const unsigned char family[PLAN_HASH_BYTES],
                                  const char *text, struct why *why) MUST_CHECK;
/* Visits all of them; visit returns false to end. */
struct result registry_each_ledger(struct store *store,
                                   bool (*visit)(void *context, const unsigned char *family,
                                                 const char *text),
                                   void *context, struct why *why) MUST_CHECK;

#endif
