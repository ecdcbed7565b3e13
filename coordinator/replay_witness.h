/* SPDX-License-Identifier: Apache-2.0 */
/* The witnesses of an exported log, checked while it is read. */
#ifndef CONSILIUM_COORDINATOR_REPLAY_WITNESS_H
#define CONSILIUM_COORDINATOR_REPLAY_WITNESS_H

#include "proto/base/fs.h"
#include "proto/plan.h"
#include "proto/tree_head.h"

enum { REPLAY_WITNESSES_MAX = 4096 };

struct replay_witness {
    char site[PLAN_NAME_BYTES];
    struct tree_head head;
    unsigned char signature[TREE_HEAD_SIGNATURE_BYTES];
    unsigned char key[TREE_HEAD_PUBLIC_BYTES]; /* as the file says */
    bool seen;                                 /* the log has that head */
};

struct replay_witnesses {
    struct replay_witness *list; /* [count] owned */
    size_t count;
};

/* Reads FOLDER/witnesses.json (none: no witnesses) and checks every signature against the file's
 * own key. Free in any case. */
struct result replay_witnesses_read(const char *folder, struct replay_witnesses *all,
                                    struct why *why) MUST_CHECK;
void replay_witnesses_free(struct replay_witnesses *all);

/* After each entry. RESULT_REFUSED when a witness of this size holds another root. */
struct result replay_witnesses_grow(struct replay_witnesses *all,
                                    const struct merkle_frontier *tree, struct why *why) MUST_CHECK;

/* The key that the log names for a site; NULL: it names none. */
typedef const unsigned char *replay_key_of(void *context, const char *site);

/* At the end. RESULT_REFUSED for heads beyond the log's end and for keys that the log contradicts.
 * *ret_count: witnesses whose key stands in the log. */
struct result replay_witnesses_end(const struct replay_witnesses *all, replay_key_of *key_of,
                                   void *context, uint64_t *ret_count, struct why *why) MUST_CHECK;

#endif
