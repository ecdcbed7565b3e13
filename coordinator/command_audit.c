/* SPDX-License-Identifier: Apache-2.0 */
/* What an auditor takes home: log entries, launches and the sites' signed objects, byte for byte.
 */
#include "coordinator/command_inner.h"

#include "coordinator/tree_head.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRIES_AT_ONCE = 1000, HEX_SIGNATURE_BYTES = 2 * CHAIN_SIGNATURE_BYTES + 1 };

static json_t *hex(const unsigned char *bytes, size_t n)
{
    char text[HEX_SIGNATURE_BYTES];
    sodium_bin2hex(text, sizeof text, bytes, n);
    return json_string(text);
}

struct entries {
    json_t *list;
    uint64_t last;
};

static bool add_entry(void *context, const struct store_entry *entry)
{
    struct entries *entries = context;
    json_t *o = json_object();
    json_object_set_new(o, "seq", json_integer((json_int_t)entry->seq));
    json_object_set_new(o, "ms", json_integer((json_int_t)entry->ms));
    json_object_set_new(o, "study", json_string_nocheck(entry->study));
    json_object_set_new(o, "kind", json_string_nocheck(entry->kind));
    json_object_set_new(o, "entry", json_stringn_nocheck(entry->entry, entry->n));
    json_object_set_new(o, "hash", hex(entry->hash, CHAIN_HASH_BYTES));
    json_object_set_new(o, "signature", hex(entry->signature, CHAIN_SIGNATURE_BYTES));
    json_array_append_new(entries->list, o);
    entries->last = entry->seq;
    return json_array_size(entries->list) < ENTRIES_AT_ONCE;
}

struct result verb_log(struct user_command *c, struct why *why)
{
    uint64_t since = 0;
    TRY(command_since(c, &since, why));
    struct entries entries = {.list = json_array(), .last = since};
    struct result r =
        store_each_entry(c->drive->options.store, NULL, since, add_entry, &entries, why);
    json_t *o = json_object();
    json_object_set_new(o, "entries", entries.list);
    json_object_set_new(o, "last", json_integer((json_int_t)entries.last));
    if (!ok(r)) {
        json_decref(o);
        return r;
    }
    return command_answer(c, o, why);
}

struct result verb_envelope(struct user_command *c, struct why *why)
{
    struct store_bytes envelope = {0};
    TRY(store_read_envelope(c->drive->options.store, c->study, &envelope, why));
    c->text = envelope.bytes;
    c->text_n = envelope.n;
    return DONE;
}

/* Length of the offer (4 bytes, little endian), offer, payload. */
struct result verb_object(struct user_command *c, struct why *why)
{
    struct running *running = NULL;
    const char *site = json_string_value(json_object_get(c->arguments, "site"));
    json_int_t task = json_integer_value(json_object_get(c->arguments, "task"));
    TRY(drive_load(c->drive, c->study, &running, why));
    uint32_t position = site ? study_find(&running->study, site) : running->study.members_count;
    if (position == running->study.members_count || task < 1 || task > UINT32_MAX)
        return failed(why, RESULT_INPUT, "name a site of the study and a task");
    struct store *store = c->drive->options.store;
    struct store_bytes offer = {0}, payload = {0};
    struct result r = store_read_offer(store, c->study, (uint32_t)task, position, &offer, why);
    if (ok(r))
        r = store_read_object(store, c->study, (uint32_t)task, position, &payload, why);
    if (ok(r)) {
        c->text_n = 4 + offer.n + payload.n;
        c->text = malloc(c->text_n);
        if (!c->text)
            r = failed(why, RESULT_SYSTEM, "out of memory for the object");
    }
    if (ok(r)) {
        for (int i = 0; i < 4; i++)
            c->text[i] = (unsigned char)(offer.n >> (8 * i));
        memcpy(c->text + 4, offer.bytes, offer.n);
        memcpy(c->text + 4 + offer.n, payload.bytes, payload.n);
    }
    free(offer.bytes);
    free(payload.bytes);
    return r;
}

/* The Merkle tree's head of this moment, signed: whoever keeps it can hold the log to it. */
struct result verb_head(struct user_command *c, struct why *why)
{
    struct drive *drive = c->drive;
    char *envelope = NULL;
    TRY(drive_tree(drive, c->now_ms, why));
    TRY(tree_head_seal(&drive->head, drive->options.name, drive->options.sign_secret, &envelope,
                       why));
    c->text = (unsigned char *)envelope;
    c->text_n = strlen(envelope);
    return DONE;
}

struct witnesses {
    const struct drive *drive;
    json_t *list;
};

static bool add_witness(void *context, const struct store_witness *w)
{
    static const char *const ANSWERS[] = {"", "cosigned", "behind", "log is shorter",
                                          "log is inconsistent"};
    struct witnesses *all = context;
    const struct drive_options *o = &all->drive->options;
    struct drive_member member;
    json_t *one = json_object();
    json_object_set_new(one, "site", json_string_nocheck(w->site));
    json_object_set_new(one, "answer", json_string(ANSWERS[w->answer]));
    json_object_set_new(one, "size", json_integer((json_int_t)w->head.size));
    json_object_set_new(one, "root", hex(w->head.root.bytes, MERKLE_HASH_BYTES));
    json_object_set_new(one, "ms", json_integer((json_int_t)w->head.ms));
    json_object_set_new(one, "signature", hex(w->signature, sizeof w->signature));
    json_object_set_new(one, "heard_ms", json_integer((json_int_t)w->heard_ms));
    if (o->find(o->context, w->site, &member))
        json_object_set_new(one, "key", hex(member.sign_public, sizeof member.sign_public));
    json_array_append_new(all->list, one);
    return json_array_size(all->list) < DRIVE_PEERS_MAX;
}

json_t *command_witnesses(struct drive *drive, struct why *why)
{
    struct witnesses all = {.drive = drive, .list = json_array()};
    struct result r = store_each_witness(drive->options.store, add_witness, &all, why);
    if (ok(r))
        return all.list;
    json_decref(all.list);
    return NULL;
}

/* The head that each site holds, and its signature. */
struct result verb_witnesses(struct user_command *c, struct why *why)
{
    json_t *list = command_witnesses(c->drive, why);
    if (!list)
        return (struct result){RESULT_SYSTEM};
    return command_answer(
        c, json_pack("{s:s, s:o}", "origin", c->drive->options.consortium, "witnesses", list), why);
}
