/* SPDX-License-Identifier: Apache-2.0 */
/* What holds beyond one study, replayed: documents in force and who signed them, models in use, and
 * the alpha ledgers. */
#include "coordinator/replay_inner.h"

#include "coordinator/validate/dsse.h"
#include "proto/base/cleanup.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAITING_MAX = 256 };

static const char *text_of(const json_t *entry, const char *key)
{
    const char *text = json_string_value(json_object_get(entry, key));
    return text ? text : "";
}

void replay_world_free(struct replay_world *world)
{
    for (size_t i = 0; i < world->families_count; i++)
        free(world->families[i].ledger);
    paper_free(&world->policy);
    paper_free(&world->changes);
    json_decref(world->waiting);
}

/* The signature is of exactly the document that the entry names. */
static struct result signature(struct replay_world *world, const json_t *entry, struct why *why)
{
    unsigned char public_key[DSSE_PUBLIC_BYTES];
    const char *hex = text_of(entry, "sign_key"), *envelope = text_of(entry, "envelope");
    const char *type = paper_type(text_of(entry, "paper"));
    char sha256[PAPER_HASH_BYTES];
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0, have = 0;
    if (!type ||
        sodium_hex2bin(public_key, sizeof public_key, hex, strlen(hex), NULL, &have, NULL) ||
        have != sizeof public_key)
        return failed(why, RESULT_REFUSED, "a signature of an unknown kind or without a key");
    struct dsse_key key = {.keyid = "signer", .public_key = public_key};
    TRY(dsse_open(envelope, strlen(envelope), type, 1, &key, 1, &text, &n, NULL, why));
    paper_hash(text, n, sha256);
    if (strcmp(sha256, text_of(entry, "sha256")) != 0)
        return failed(why, RESULT_REFUSED, "'%s' signed another document",
                      text_of(entry, "signer"));
    if (!world->waiting)
        world->waiting = json_array();
    if (json_array_size(world->waiting) >= WAITING_MAX)
        json_array_remove(world->waiting, 0);
    json_t *copy = json_pack("{s:s, s:s, s:s}", "paper", text_of(entry, "paper"), "sha256", sha256,
                             "signer", text_of(entry, "signer"));
    json_array_append_new(world->waiting, copy);
    return DONE;
}

static bool has_signed(const struct replay_world *world, const json_t *entry, const char *signer)
{
    size_t i;
    json_t *s;
    json_array_foreach(world->waiting, i, s)
    {
        if (strcmp(text_of(s, "paper"), text_of(entry, "paper")) == 0 &&
            strcmp(text_of(s, "sha256"), text_of(entry, "sha256")) == 0 &&
            strcmp(text_of(s, "signer"), signer) == 0)
            return true;
    }
    return false;
}

/* Signatures under a kind are used up once a document of it comes into force. */
static void use_up(struct replay_world *world, const char *kind)
{
    for (size_t i = json_array_size(world->waiting); i > 0; i--)
        if (strcmp(text_of(json_array_get(world->waiting, i - 1), "paper"), kind) == 0)
            json_array_remove(world->waiting, i - 1);
}

static struct result in_force(struct replay_world *world, const json_t *entry, struct why *why)
{
    const char *kind = text_of(entry, "paper"), *text = text_of(entry, "text");
    const json_t *signers = json_object_get(entry, "signers");
    bool policy = strcmp(kind, PAPER_POLICY) == 0;
    struct paper human = {.text = NULL};
    struct paper *paper = policy ? &world->policy : paper_is_human(kind) ? &human : &world->changes;
    size_t i;
    json_t *name;
    TRY(paper_check(kind, text, strlen(text), why));
    if (!policy && json_array_size(signers) == 0)
        return failed(why, RESULT_REFUSED, "a %.20s that nobody signed", kind);
    json_array_foreach(signers, i, name)
    {
        if (!has_signed(world, entry, json_string_value(name) ? json_string_value(name) : ""))
            return failed(why, RESULT_REFUSED, "the log holds no signature of '%s' on the %s",
                          json_string_value(name), kind);
    }
    use_up(world, kind);
    paper_free(paper);
    paper->text = strdup(text);
    if (!paper->text)
        return failed(why, RESULT_SYSTEM, "out of memory for a document");
    paper_hash(text, strlen(text), paper->sha256);
    bool same = strcmp(paper->sha256, text_of(entry, "sha256")) == 0;
    paper_free(&human);
    if (!same)
        return failed(why, RESULT_REFUSED, "the %s has another hash", kind);
    return DONE;
}

struct result replay_paper(struct replay_world *world, const json_t *entry, struct why *why)
{
    const char *kind = text_of(entry, "kind");
    if (strcmp(kind, "paper-signed") == 0)
        return signature(world, entry, why);
    if (strcmp(kind, "paper") == 0)
        return in_force(world, entry, why);
    return DONE;
}

void replay_stage(struct replay_world *world, const json_t *entry, const struct replay_study *study)
{
    size_t n = 0, at = 0;
    unsigned char hash[PLAN_HASH_BYTES];
    const char *hex = text_of(entry, "model");
    if (strcmp(text_of(entry, "to"), "promoted") != 0 ||
        sodium_hex2bin(hash, sizeof hash, hex, strlen(hex), NULL, &n, NULL) || n != sizeof hash)
        return;
    while (at < world->models_count && memcmp(world->models[at].hash, hash, sizeof hash) != 0)
        at++;
    if (at == REPLAY_MODELS_MAX)
        return;
    memcpy(world->models[at].hash, hash, sizeof hash);
    world->models[at].study = study;
    world->models_count += at == world->models_count;
}

const struct replay_study *replay_promoted(const struct replay_world *world,
                                           const unsigned char *hash)
{
    for (size_t i = 0; i < world->models_count; i++)
        if (memcmp(world->models[i].hash, hash, PLAN_HASH_BYTES) == 0)
            return world->models[i].study;
    return NULL;
}

struct result replay_ledger(struct replay_world *world, const unsigned char *family,
                            struct family_ledger **ret_ledger, struct why *why)
{
    size_t at = 0;
    while (at < world->families_count &&
           memcmp(world->families[at].family, family, PLAN_HASH_BYTES) != 0)
        at++;
    if (at == REPLAY_FAMILIES_MAX)
        return failed(why, RESULT_REFUSED, "more than %d families of models", REPLAY_FAMILIES_MAX);
    if (at == world->families_count) {
        world->families[at].ledger = calloc(1, sizeof *world->families[at].ledger);
        if (!world->families[at].ledger)
            return failed(why, RESULT_SYSTEM, "out of memory for the alpha ledger");
        memcpy(world->families[at].family, family, PLAN_HASH_BYTES);
        world->families_count++;
    }
    *ret_ledger = world->families[at].ledger;
    return DONE;
}
