/* SPDX-License-Identifier: Apache-2.0 */
/* Heads of the log out to the sites, and their signatures as witnesses back. A site that is behind
 * is sent the proof from where it stands; what a site holds against the log is told loudly. */
#include "coordinator/drive_inner.h"

#include "proto/base/log.h"

#include <stdio.h>
#include <string.h>

enum { PROOF_RETRIES = 2 /* after one head */ };

static bool add_leaf(void *context, const struct store_entry *entry)
{
    struct merkle_hash leaf = merkle_leaf(entry->entry, entry->n);
    return merkle_log_add(context, &leaf);
}

struct result drive_tree(struct drive *drive, uint64_t now_ms, struct why *why)
{
    struct merkle_log *tree = &drive->tree;
    struct tree_head *head = &drive->head;
    TRY(store_each_entry(drive->options.store, NULL, tree->size, add_leaf, tree, why));
    if (tree->size != store_log_head(drive->options.store).count)
        return failed(why, RESULT_SYSTEM, "no memory for the log's tree");
    if (head->size == tree->size && head->ms > 0)
        return DONE;
    *head = (struct tree_head){.size = tree->size,
                               .root = merkle_log_root(tree, tree->size),
                               .ms = now_ms};
    snprintf(head->origin, sizeof head->origin, "%s", drive->options.consortium);
    tree_head_sign(head, drive->options.sign_secret, drive->head_signature);
    return DONE;
}

static struct peer *heard_peer(struct drive *drive, const char *name)
{
    for (size_t i = 0; i < drive->peers_count; i++)
        if (strcmp(drive->peers[i]->name, name) == 0)
            return drive->peers[i];
    return NULL;
}

static void send_from(struct drive *drive, const struct peer *peer, uint64_t now_ms)
{
    struct message *message = drive_compose(drive, MESSAGE_TREE_HEAD, "", 0);
    struct message_tree_head *m = &message->tree_head;
    m->size = drive->head.size;
    m->ms = drive->head.ms;
    m->root = drive->head.root;
    memcpy(m->signature, drive->head_signature, sizeof m->signature);
    m->old_size = peer->held;
    if (peer->held > 0 && peer->held <= m->size)
        merkle_log_consistency(&drive->tree, (size_t)m->size, (size_t)peer->held, &m->proof);
    drive_post(drive, peer->name, now_ms);
}

void drive_send_head(struct drive *drive, const char *site, uint64_t now_ms)
{
    struct peer *peer = heard_peer(drive, site);
    struct store_witness before;
    struct why why;
    if (!peer || peer->protocol < PROTOCOL_VERSION_HEADS)
        return;
    struct result r = drive_tree(drive, now_ms, &why);
    if (ok(r) && !peer->held_known)
        r = store_read_witness(drive->options.store, site, &before, &why);
    if (!ok(r)) {
        log_error("the log's head is not sent to %s: %s", site, why.text);
        return;
    }
    if (!peer->held_known) {
        peer->held = before.head.size;
        peer->held_known = true;
    }
    peer->retries = 0;
    if (drive->head.size > 0)
        send_from(drive, peer, now_ms);
}

/* Whether what the site holds is part of this log. */
static bool contained(const struct drive *drive, const struct message_tree_witness *w)
{
    if (w->size == 0 || w->size > drive->tree.size)
        return w->size == 0;
    struct merkle_hash root = merkle_log_root(&drive->tree, (size_t)w->size);
    return memcmp(&root, &w->root, sizeof root) == 0;
}

static struct result keep(struct drive *drive, const char *site, const struct tree_head *head,
                          const struct message_tree_witness *w, uint64_t now_ms, struct why *why)
{
    struct store_witness witness = {.head = *head, .answer = w->answer, .heard_ms = now_ms};
    memcpy(witness.signature, w->signature, sizeof witness.signature);
    snprintf(witness.site, sizeof witness.site, "%s", site);
    struct store *store = drive->options.store;
    TRY(store_begin(store, why));
    struct result r = store_put_witness(store, &witness, why);
    if (ok(r))
        r = store_commit(store, why);
    if (!ok(r))
        store_rollback(store);
    return r;
}

struct result drive_take_witness(struct drive *drive, const struct drive_member *site,
                                 uint64_t now_ms, struct why *why)
{
    const struct message_tree_witness w = drive->in->tree_witness;
    struct tree_head head = {.size = w.size, .root = w.root, .ms = w.ms};
    struct peer *peer = heard_peer(drive, site->name);
    snprintf(head.origin, sizeof head.origin, "%s", drive->options.consortium);
    if (!peer || !tree_head_witnessed(&head, site->sign_public, w.signature))
        return failed(why, RESULT_REFUSED, "the signature as a witness of the log is wrong");
    TRY(drive_tree(drive, now_ms, why));
    if (!contained(drive, &w) || w.answer == TREE_SHORTER || w.answer == TREE_INCONSISTENT) {
        struct message_tree_witness against = w;
        if (against.answer == TREE_COSIGNED || against.answer == TREE_BEHIND)
            against.answer = w.size > drive->tree.size ? TREE_SHORTER : TREE_INCONSISTENT;
        log_error("%s holds a signed head of %llu entries that this log of %zu does not contain: "
                  "the store was put back to an older state or rewritten; the site takes no task",
                  site->name, (unsigned long long)w.size, drive->tree.size);
        peer->held = w.size;
        TRY(keep(drive, site->name, &head, &against, now_ms, why));
        /* A site that does not know it yet sees it by the proof, or by its lack. */
        if (w.answer == TREE_BEHIND && peer->retries++ < PROOF_RETRIES)
            send_from(drive, peer, now_ms);
        return DONE;
    }
    peer->held = w.size;
    if (w.answer == TREE_COSIGNED)
        return keep(drive, site->name, &head, &w, now_ms, why);
    if (peer->retries++ < PROOF_RETRIES)
        send_from(drive, peer, now_ms);
    return DONE;
}
