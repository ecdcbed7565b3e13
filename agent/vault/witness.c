/* SPDX-License-Identifier: Apache-2.0 */
/* Heads of the log against each other. */
#include "agent/vault/witness.h"

#include "agent/bytes.h"
#include "agent/vault/decisions.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum witness_record { WITNESS_HELD = 1, WITNESS_CONTRADICTED, WITNESS_ACCEPTED };

static void put(struct bytes_out *out, const struct signed_head *h)
{
    bytes_out_text(out, h->head.origin);
    bytes_out_u64(out, h->head.size);
    bytes_out_u64(out, h->head.ms);
    bytes_out_bytes(out, h->head.root.bytes, MERKLE_HASH_BYTES);
    bytes_out_bytes(out, h->signature, sizeof h->signature);
}

static void take(struct bytes_in *in, struct signed_head *h)
{
    memset(h, 0, sizeof *h);
    bytes_in_text(in, h->head.origin, sizeof h->head.origin);
    h->head.size = bytes_in_u64(in);
    h->head.ms = bytes_in_u64(in);
    bytes_in_bytes(in, h->head.root.bytes, MERKLE_HASH_BYTES);
    bytes_in_bytes(in, h->signature, sizeof h->signature);
}

struct result witness_apply(struct witness *w, const struct journal_record *record, struct why *why)
{
    struct bytes_in in = {.at = record->body, .left = record->n};
    struct signed_head head;
    uint32_t answer = record->type == WITNESS_CONTRADICTED ? bytes_in_u32(&in) : TREE_COSIGNED;
    take(&in, &head);
    bool known = record->type >= WITNESS_HELD && record->type <= WITNESS_ACCEPTED;
    bool contradicts = answer == TREE_SHORTER || answer == TREE_INCONSISTENT;
    if (!known || in.bad || in.left > 0 || head.head.size == 0 ||
        (record->type == WITNESS_CONTRADICTED && !contradicts))
        return failed(why, RESULT_REFUSED,
                      "heads: record %llu makes no sense: the file was altered",
                      (unsigned long long)record->sequence);
    w->contradicted = (enum tree_answer)answer;
    if (record->type == WITNESS_CONTRADICTED)
        w->other = head;
    else
        w->held = head;
    return DONE;
}

static struct result read_record(void *context, const struct journal_record *record,
                                 struct why *why)
{
    return witness_apply(context, record, why);
}

struct result witness_open(struct witness *witness, int fd, const char *name, struct why *why)
{
    *witness = (struct witness){.contradicted = TREE_COSIGNED};
    return journal_open(&witness->journal, fd, name, read_record, witness, why);
}

struct result witness_look(struct witness *witness, int fd, const char *name, struct why *why)
{
    *witness = (struct witness){.contradicted = TREE_COSIGNED};
    return journal_scan(&witness->journal, fd, name, read_record, witness, why);
}

static struct result append(struct witness *w, enum witness_record type, uint64_t now_ms,
                            const struct signed_head *head, enum tree_answer answer,
                            struct why *why)
{
    struct bytes_out out = {0};
    struct journal_record record;
    if (type == WITNESS_CONTRADICTED)
        bytes_out_u32(&out, answer);
    put(&out, head);
    CLEANUP(free_pointer) unsigned char *body = out.bytes;
    if (out.bad)
        return failed(why, RESULT_SYSTEM, "no memory for a head of the log");
    TRY(journal_append(&w->journal, (uint16_t)type, now_ms, body, out.n, &record, why));
    return witness_apply(w, &record, why);
}

static bool same_root(const struct merkle_hash *a, const struct merkle_hash *b)
{
    return memcmp(a->bytes, b->bytes, MERKLE_HASH_BYTES) == 0;
}

/* What a newer head is to the one held. */
static enum tree_answer judge(const struct tree_head *held, const struct message_tree_head *m)
{
    if (m->size < held->size)
        return TREE_SHORTER;
    if (m->size == held->size)
        return same_root(&m->root, &held->root) ? TREE_COSIGNED : TREE_INCONSISTENT;
    if (held->size == 0)
        return TREE_COSIGNED;
    if (m->old_size != held->size)
        return TREE_BEHIND;
    return merkle_verify_consistency(held->size, m->size, &held->root, &m->root, &m->proof)
               ? TREE_COSIGNED
               : TREE_INCONSISTENT;
}

static struct result settle(struct witness *w, uint64_t now_ms, const struct signed_head *fresh,
                            enum tree_answer answer, struct why *why)
{
    switch (answer) {
    case TREE_COSIGNED:
        w->unproved = 0;
        return fresh->head.size > w->held.head.size
                   ? append(w, WITNESS_HELD, now_ms, fresh, answer, why)
                   : DONE;
    case TREE_BEHIND:
        w->unproved++;
        return DONE;
    case TREE_SHORTER:
    case TREE_INCONSISTENT:
        log_error(
            "the coordinator's log of %" PRIu64 " entries does not contain the head of %" PRIu64
            " entries that this site holds: it was rolled back or rewritten; no task is taken "
            "until `consilium-agent show` was read and a human accepts it",
            fresh->head.size, w->held.head.size);
        return append(w, WITNESS_CONTRADICTED, now_ms, fresh, answer, why);
    }
    return DONE;
}

struct result witness_take(struct witness *w, uint64_t now_ms, const struct vault_keys *keys,
                           const struct message_tree_head *m,
                           struct message_tree_witness *ret_answer, bool *ret_stale,
                           struct why *why)
{
    struct signed_head fresh = {.head = {.size = m->size, .root = m->root, .ms = m->ms}};
    snprintf(fresh.head.origin, sizeof fresh.head.origin, "%s", keys->consortium);
    memcpy(fresh.signature, m->signature, sizeof fresh.signature);
    if (!tree_head_signed(&fresh.head, keys->coordinator_sign, m->signature))
        return failed(why, RESULT_REFUSED, "the head of the log is not signed by the coordinator");
    *ret_stale = m->size == 0 && w->held.head.size == 0;
    if (m->ms < w->held.head.ms) {
        *ret_stale = true;
        w->unproved++;
    }
    if (*ret_stale)
        return DONE;
    enum tree_answer answer = w->contradicted;
    if (answer == TREE_COSIGNED) {
        answer = judge(&w->held.head, m);
        TRY(settle(w, now_ms, &fresh, answer, why));
    }
    *ret_answer = (struct message_tree_witness){.answer = answer,
                                                .size = w->held.head.size,
                                                .ms = w->held.head.ms,
                                                .root = w->held.head.root};
    tree_head_witness(&w->held.head, keys->secrets.sign, ret_answer->signature);
    return DONE;
}

struct result witness_approved(struct witness *w, uint64_t now_ms, int decisions_fd,
                               struct why *why)
{
    enum consent_human human;
    if (w->contradicted == TREE_COSIGNED)
        return DONE;
    TRY(decisions_find(decisions_fd, WITNESS_DECISION, w->other.head.root.bytes, &human, why));
    if (human != HUMAN_APPROVED)
        return DONE;
    log_warning("a human accepts the log's head of %" PRIu64
                " entries in place of the one of %" PRIu64 " entries",
                w->other.head.size, w->held.head.size);
    struct signed_head other = w->other;
    return append(w, WITNESS_ACCEPTED, now_ms, &other, TREE_COSIGNED, why);
}

struct result witness_content(const struct witness *w, struct why *why)
{
    if (w->contradicted == TREE_SHORTER)
        return failed(why, RESULT_REFUSED,
                      "the coordinator's log has %" PRIu64 " entries, fewer than the %" PRIu64
                      " that this site has seen: it was put back to an older state",
                      w->other.head.size, w->held.head.size);
    if (w->contradicted == TREE_INCONSISTENT)
        return failed(why, RESULT_REFUSED,
                      "the coordinator's log of %" PRIu64 " entries does not contain the %" PRIu64
                      " entries that this site has seen: it was rewritten",
                      w->other.head.size, w->held.head.size);
    if (w->unproved >= WITNESS_PATIENCE)
        return failed(why, RESULT_REFUSED,
                      "the coordinator does not prove that its log contains the %" PRIu64
                      " entries that this site has seen",
                      w->held.head.size);
    return DONE;
}
