/* SPDX-License-Identifier: Apache-2.0 */
/* The last head of the coordinator's log that this site holds, kept in a journal of its own.
 *
 *   HOLDS nothing ─first head─▶ HOLDS a head ─proved to contain it─▶ HOLDS the next
 *                                    │ fewer entries, or another root, or a proof that fails
 *                                    ▼
 *                              CONTRADICTED ─a human accepts that head─▶ HOLDS it
 *
 * While contradicted the site takes no task: the log that was to prove what happened was rolled
 * back, rewritten, or is shown differently to different sites. Both signed heads are kept: together
 * they are evidence. A head signed earlier than the one held is old news and changes nothing. */
#ifndef CONSILIUM_VAULT_WITNESS_H
#define CONSILIUM_VAULT_WITNESS_H

#include "agent/vault/journal.h"
#include "agent/vault/keys.h"
#include "proto/message.h"

/* In the file of decisions an accepted head stands as a study of this name, its root as the plan.
 */
#define WITNESS_DECISION "head-of-the-log"

enum { WITNESS_PATIENCE = 16 /* heads without the wanted proof until tasks are declined */ };

struct signed_head {
    struct tree_head head;
    unsigned char signature[TREE_HEAD_SIGNATURE_BYTES]; /* the coordinator's */
};

struct witness {
    struct journal journal;
    struct signed_head held;       /* size 0 = none yet */
    enum tree_answer contradicted; /* TREE_SHORTER, TREE_INCONSISTENT, or TREE_COSIGNED: not */
    struct signed_head other;      /* contradicted: by this one */
    unsigned unproved;             /* heads in a row without the proof wanted; since the start */
};

/* As journal_open and journal_scan. */
struct result witness_open(struct witness *witness, int fd, const char *name,
                           struct why *why) MUST_CHECK;
struct result witness_look(struct witness *witness, int fd, const char *name,
                           struct why *why) MUST_CHECK;

/* Takes a head; the state is on disk before *ret_answer tells of it. *ret_stale: nothing to answer.
 * RESULT_REFUSED unless the coordinator signed it. */
struct result witness_take(struct witness *witness, uint64_t now_ms, const struct vault_keys *keys,
                           const struct message_tree_head *head,
                           struct message_tree_witness *ret_answer, bool *ret_stale,
                           struct why *why) MUST_CHECK;

/* Looks whether a human has accepted the head that contradicts. */
struct result witness_approved(struct witness *witness, uint64_t now_ms, int decisions_fd,
                               struct why *why) MUST_CHECK;

/* RESULT_REFUSED with a sentence for the operator while contradicted or kept without proofs. */
struct result witness_content(const struct witness *witness, struct why *why) MUST_CHECK;

/* Takes one record; the reader of the journal, and fuzz targets. */
struct result witness_apply(struct witness *witness, const struct journal_record *record,
                            struct why *why) MUST_CHECK;

#endif
