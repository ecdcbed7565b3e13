/* SPDX-License-Identifier: Apache-2.0 */
/* Verification of an exported audit log, offline: the chain and its signatures, every site's signed
 * objects, and every round and evaluation computed again from them.
 *
 * The folder (docs/audit.md): head.json, tree.head and witnesses.json (may be missing), log.jsonl,
 * and per study studies/NAME/plan.yaml, launch.envelope, objects/TASK-SITE (length of the offer,
 * offer, payload).
 */
#ifndef CONSILIUM_COORDINATOR_REPLAY_H
#define CONSILIUM_COORDINATOR_REPLAY_H

#include "coordinator/chain.h"
#include "proto/base/fs.h"
#include "proto/plan.h"

enum {
    REPLAY_LINE_MAX = 4 * CHAIN_ENTRY_MAX, /* one line of log.jsonl */
    REPLAY_STUDIES_MAX = 256,
};

struct replay_outcome {
    struct chain_head head;
    unsigned char public_key[CHAIN_PUBLIC_BYTES]; /* that signed it */
    uint64_t studies, rounds, evaluations, objects, gates;
    uint64_t validations, looks; /* of finished models; of watched ones */
    uint64_t witnesses;          /* sites whose signature under a head of this log holds */
    uint64_t tree_heads;         /* checked: the folder's own, and the one kept */
};

/* Verifies the folder. key is the coordinator's public key as the auditor knows it; NULL takes the
 * one in head.json, which then only shows that the folder is consistent with itself. since is a
 * head the auditor kept from before (count 0 = none): the log must contain it. log_only skips the
 * objects and the replay. RESULT_REFUSED with a sentence that names the entry; RESULT_INPUT when
 * files are missing or malformed. outcome tells how far it came. */
struct replay_options {
    const char *folder;
    const unsigned char *key;
    struct chain_head since;
    bool log_only;
    unsigned threads;      /* that compute the rounds again; 0 = 2 */
    const char *tree_head; /* file of a signed tree head kept from before, or NULL */
};
struct result replay_verify(const struct replay_options *options, struct replay_outcome *outcome,
                            struct why *why) MUST_CHECK;

#endif
