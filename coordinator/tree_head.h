/* SPDX-License-Identifier: Apache-2.0 */
/* Heads of the log as signed files of an export: who keeps one can later tell whether a log still
 * contains everything that it held then. */
#ifndef CONSILIUM_COORDINATOR_TREE_HEAD_H
#define CONSILIUM_COORDINATOR_TREE_HEAD_H

#include "proto/base/result.h"
#include "proto/tree_head.h"

#define TREE_HEAD_TYPE "application/vnd.consilium.tree-head+json"

enum { TREE_HEAD_BYTES_MAX = 8192 };

/* DSSE envelope of the head (free), signed with secret by signer. */
struct result tree_head_seal(const struct tree_head *head, const char *signer,
                             const unsigned char *secret, char **ret_envelope,
                             struct why *why) MUST_CHECK;

/* RESULT_REFUSED unless key signed it. */
struct result tree_head_open(const char *envelope, size_t n, const unsigned char *key,
                             struct tree_head *head, struct why *why) MUST_CHECK;

#endif
