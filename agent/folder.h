/* SPDX-License-Identifier: Apache-2.0 */
/* A site's folder, the same for agent, vault and command line:
 *
 *   member.json, tls.key, ...   identity (proto/identity.h): tls.key is the agent's, sign.key and
 *                 seal.key are the vault's alone
 *   policy.yaml   what this hospital accepts
 *   mapping.yaml  how its file becomes the plan's
 *   data/         patient rows, the vault's alone (or elsewhere: --data)
 *   vault/        ledger, epochs, heads, outbox, secure, released.jsonl, decisions, holdout.key */
#ifndef CONSILIUM_AGENT_FOLDER_H
#define CONSILIUM_AGENT_FOLDER_H

#include "proto/base/fs.h"
#include "proto/mapping.h"
#include "proto/policy.h"

struct folder {
    char keys[FS_PATH_BYTES]; /* the folder itself */
    char policy[FS_PATH_BYTES];
    char mapping[FS_PATH_BYTES];
    char data[FS_PATH_BYTES];
    char vault[FS_PATH_BYTES];
    char ledger[FS_PATH_BYTES];
    char epochs[FS_PATH_BYTES];
    char heads[FS_PATH_BYTES];
    char outbox[FS_PATH_BYTES];
    char secure[FS_PATH_BYTES];
    char released[FS_PATH_BYTES];
    char decisions[FS_PATH_BYTES];
    char holdout_key[FS_PATH_BYTES];
};

/* data: the data folder, or NULL for the one inside. Touches no file. */
struct result folder_at(struct folder *folder, const char *path, const char *data,
                        struct why *why) MUST_CHECK;

/* policy.yaml; when there is none, the safe default. */
struct result folder_policy(const struct folder *folder, struct policy *policy,
                            struct why *why) MUST_CHECK;

/* mapping.yaml, and the path of the data file that it names. RESULT_INPUT when it is missing. */
struct result folder_mapping(const struct folder *folder, struct mapping *mapping,
                             char data_file[FS_PATH_BYTES], struct why *why) MUST_CHECK;

#endif
