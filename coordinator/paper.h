/* SPDX-License-Identifier: Apache-2.0 */
/* The consortium's papers: documents that people sign and that are in force until another one takes
 * their place. Writes belong into the store's transactions. */
#ifndef CONSILIUM_COORDINATOR_PAPER_H
#define CONSILIUM_COORDINATOR_PAPER_H

#include "coordinator/gate_policy.h"
#include "coordinator/store.h"
#include "coordinator/validate/pccp.h"

enum {
    PAPER_KIND_BYTES = 80,
    PAPER_HASH_BYTES = 65, /* lower-case hex SHA-256 */
    PAPER_BYTES_MAX = 64 * 1024,
    PAPER_SIGNERS_MAX = 16,
};

#define PAPER_POLICY "gate-policy"     /* gate_policy.h */
#define PAPER_CHANGES "change-control" /* validate/pccp.h */

#define PAPER_POLICY_TYPE "application/vnd.consilium.gate-policy+json"

/* A document in force; text is owned (paper_free), NULL = none. signers 0: the coordinator's own
 * file, which any signed document outranks. */
struct paper {
    char sha256[PAPER_HASH_BYTES];
    char *text;
    unsigned signers;
    uint64_t ms;
};
void paper_free(struct paper *paper);

/* The human part of one model's passport (human_part.h): one person signs it. */
bool paper_is_human(const char *kind);

/* The type that an envelope of this kind must have; NULL for an unknown kind. */
const char *paper_type(const char *kind);

/* Whether text is a document of the kind; RESULT_INPUT with what is wrong. */
struct result paper_check(const char *kind, const char *text, size_t n, struct why *why) MUST_CHECK;

void paper_hash(const char *text, size_t n, char out[PAPER_HASH_BYTES]);

struct result paper_read(struct store *store, const char *kind, struct paper *paper,
                         struct why *why) MUST_CHECK;
struct result paper_put(struct store *store, const char *kind, const struct paper *paper,
                        struct why *why) MUST_CHECK;

/* One person's signature; the same twice is harmless. */
struct paper_signature {
    char signer[PLAN_NAME_BYTES];
    bool operator_role;
    uint64_t ms;
    const char *envelope;
};
struct result paper_sign(struct store *store, const char *kind, const char *sha256,
                         const struct paper_signature *signature, struct why *why) MUST_CHECK;
struct result paper_signers(struct store *store, const char *kind, const char *sha256,
                            char (*names)[PLAN_NAME_BYTES], size_t *ret_count, bool *ret_operator,
                            struct why *why) MUST_CHECK;

/* A document of the kind came into force: to bring an earlier one back, people sign again. */
struct result paper_unsign(struct store *store, const char *kind, struct why *why) MUST_CHECK;

/* The gate's rules by the policy in force, else *otherwise, else the defaults. */
struct result paper_rules(struct store *store, const struct gate_rules *otherwise,
                          struct gate_rules *rules, struct why *why) MUST_CHECK;

/* The coordinator's own gate.json (NULL = there is none) comes into force and into the log, unless
 * it is there already or people signed another one. Own transaction. */
struct result paper_take_folder(struct store *store, const char *text, uint64_t now_ms,
                                struct why *why) MUST_CHECK;

/* The audit entry of what came into force; signers is a JSON array's text, "[]" for the
 * coordinator's own file. */
struct result paper_log(struct store *store, uint64_t now_ms, const char *kind,
                        const struct paper *paper, const char *signers, struct why *why) MUST_CHECK;

#endif
