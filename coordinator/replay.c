/* SPDX-License-Identifier: Apache-2.0 */
/* The exported log: chain, signatures, the head; and each entry handed to its study's replay. */
#include "coordinator/replay_inner.h"

#include "coordinator/replay_witness.h"
#include "coordinator/tree_head.h"
#include "proto/base/cleanup.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_FILE_MAX = 4096, REPLAY_HEADS_MAX = 2 };

/* What is under way. */
struct replay {
    const struct replay_options *options;
    struct replay_outcome *outcome;
    struct chain_head signed_head;
    bool since_seen;
    struct merkle_frontier tree;
    struct tree_head heads[REPLAY_HEADS_MAX];
    size_t heads_count;
    struct replay_witnesses witnesses;
    size_t studies_count;
    struct replay_study *studies[REPLAY_STUDIES_MAX];
    struct replay_world world;
};

static bool bytes_of(const json_t *object, const char *key, unsigned char *out, size_t n)
{
    size_t have = 0;
    const char *text = json_string_value(json_object_get(object, key));
    return text && sodium_hex2bin(out, n, text, strlen(text), NULL, &have, NULL) == 0 && have == n;
}

static struct result read_head(struct replay *replay, struct why *why)
{
    char path[FS_PATH_BYTES];
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0;
    unsigned char signature[CHAIN_SIGNATURE_BYTES], *key = replay->outcome->public_key;
    TRY(fs_join(path, replay->options->folder, "head.json", why));
    if (!fs_exists(path))
        return failed(why, RESULT_INPUT,
                      "%s holds no head.json: 'consilium audit export' makes the "
                      "folder to verify",
                      replay->options->folder);
    TRY(fs_read(path, HEAD_FILE_MAX, &text, &n, why));
    json_t *head = json_loadb(text, n, 0, NULL);
    replay->signed_head.count = (uint64_t)json_integer_value(json_object_get(head, "count"));
    bool good = bytes_of(head, "hash", replay->signed_head.hash, CHAIN_HASH_BYTES) &&
                bytes_of(head, "signature", signature, sizeof signature) &&
                bytes_of(head, "coordinator_key", key, CHAIN_PUBLIC_BYTES);
    json_decref(head);
    if (!good)
        return failed(why, RESULT_INPUT, "%s is malformed", path);
    if (replay->options->key && memcmp(replay->options->key, key, CHAIN_PUBLIC_BYTES) != 0)
        return failed(why, RESULT_REFUSED,
                      "head.json names another coordinator's key than the one known here");
    if (!chain_signed_by(&replay->signed_head, signature, key))
        return failed(why, RESULT_REFUSED, "the signature of head.json is wrong");
    return DONE;
}

static struct result read_tree_head(struct replay *replay, const char *path, struct why *why)
{
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0;
    TRY(fs_read(path, TREE_HEAD_BYTES_MAX, &text, &n, why));
    struct result r = tree_head_open(text, n, replay->outcome->public_key,
                                     &replay->heads[replay->heads_count], why);
    replay->heads_count += ok(r);
    return ok(r) ? r : failed_in(why, r, "%s", path);
}

/* The folder's own tree head, and the one that the auditor kept. */
static struct result read_tree_heads(struct replay *replay, struct why *why)
{
    char path[FS_PATH_BYTES];
    TRY(fs_join(path, replay->options->folder, "tree.head", why));
    if (fs_exists(path))
        TRY(read_tree_head(replay, path, why));
    return replay->options->tree_head ? read_tree_head(replay, replay->options->tree_head, why)
                                      : DONE;
}

/* Whether the tree so far is the one of a head of its size. */
static struct result check_tree(struct replay *replay, struct why *why)
{
    for (size_t i = 0; i < replay->heads_count; i++) {
        const struct tree_head *head = &replay->heads[i];
        if (head->size != replay->tree.size)
            continue;
        struct merkle_hash root = merkle_frontier_root(&replay->tree);
        if (memcmp(&root, &head->root, sizeof root) != 0)
            return failed(why, RESULT_REFUSED,
                          "the log is not the one of the tree head signed at %llu entries: it was "
                          "rewritten",
                          (unsigned long long)head->size);
        replay->outcome->tree_heads++;
    }
    return replay_witnesses_grow(&replay->witnesses, &replay->tree, why);
}

static struct replay_study *find_study(struct replay *replay, const char *name)
{
    for (size_t i = 0; i < replay->studies_count; i++)
        if (strcmp(replay->studies[i]->plan.study, name) == 0)
            return replay->studies[i];
    return NULL;
}

static struct result replay_one(struct replay *replay, const char *text, size_t n, struct why *why)
{
    json_t *entry = json_loadb(text, n, 0, NULL);
    const char *kind = json_string_value(json_object_get(entry, "kind"));
    const char *name = json_string_value(json_object_get(entry, "study"));
    struct replay_study *study = name ? find_study(replay, name) : NULL;
    struct result r = DONE;
    if (!kind || !name) {
        r = failed(why, RESULT_INPUT, "no JSON object with kind and study");
    } else if (strcmp(kind, "launched") == 0) {
        if (study || replay->studies_count == REPLAY_STUDIES_MAX)
            r = failed(why, RESULT_REFUSED, "study '%s' is launched twice", name);
        else
            r = replay_launch(replay->options->folder, replay->options->threads, entry, &study,
                              why);
        if (ok(r)) {
            study->world = &replay->world;
            replay->studies[replay->studies_count++] = study;
            replay->outcome->studies++;
        }
    } else if (!name[0]) {
        r = replay_paper(&replay->world, entry, why);
    } else if (study) {
        r = replay_entry(study, entry, replay->outcome, why);
    } else {
        r = failed(why, RESULT_REFUSED, "study '%s' was never launched", name);
    }
    json_decref(entry);
    return r;
}

/* One line: its place, chain and signature, then what it says. */
static struct result take_line(struct replay *replay, const json_t *line, struct why *why)
{
    struct chain_head *head = &replay->outcome->head;
    unsigned char hash[CHAIN_HASH_BYTES], signature[CHAIN_SIGNATURE_BYTES];
    const json_t *entry = json_object_get(line, "entry");
    const char *text = json_string_value(entry);
    size_t n = json_string_length(entry);
    uint64_t seq = (uint64_t)json_integer_value(json_object_get(line, "seq"));
    if (!text || n > CHAIN_ENTRY_MAX || !bytes_of(line, "hash", hash, sizeof hash) ||
        !bytes_of(line, "signature", signature, sizeof signature))
        return failed(why, RESULT_INPUT, "the line is malformed");
    /* What the line says beside the entry is not under the chain: it must not mislead either. */
    json_t *inside = json_loadb(text, n, 0, NULL);
    bool same = json_equal(json_object_get(inside, "kind"), json_object_get(line, "kind")) &&
                json_equal(json_object_get(inside, "ms"), json_object_get(line, "ms")) &&
                json_equal(json_object_get(inside, "study"), json_object_get(line, "study"));
    json_decref(inside);
    if (!same)
        return failed(why, RESULT_REFUSED, "kind, time or study of the line differ from its entry");
    if (seq != head->count + 1)
        return failed(why, RESULT_REFUSED,
                      "entry %llu stands where entry %llu belongs: entries are missing or in "
                      "another order",
                      (unsigned long long)seq, (unsigned long long)head->count + 1);
    chain_extend(head, text, n);
    if (memcmp(hash, head->hash, CHAIN_HASH_BYTES) != 0)
        return failed(why, RESULT_REFUSED, "the entry or one before it was changed");
    if (!chain_signed_by(head, signature, replay->outcome->public_key))
        return failed(why, RESULT_REFUSED, "the entry's signature is wrong");
    struct merkle_hash leaf = merkle_leaf(text, n);
    merkle_frontier_add(&replay->tree, &leaf);
    TRY(check_tree(replay, why));
    if (head->count == replay->options->since.count)
        replay->since_seen = memcmp(head->hash, replay->options->since.hash, CHAIN_HASH_BYTES) == 0;
    return replay->options->log_only ? DONE : replay_one(replay, text, n, why);
}

static struct result take_file(struct replay *replay, FILE *file, struct why *why)
{
    CLEANUP(free_pointer) char *line = malloc(REPLAY_LINE_MAX);
    if (!line)
        return failed(why, RESULT_SYSTEM, "out of memory");
    while (fgets(line, REPLAY_LINE_MAX, file)) {
        unsigned long long number = replay->outcome->head.count + 1;
        json_t *object = json_loads(line, 0, NULL);
        struct result r = json_is_object(object)
                              ? take_line(replay, object, why)
                              : failed(why, RESULT_INPUT, "no JSON object on one line");
        json_decref(object);
        if (!ok(r))
            return failed_in(why, r, "log entry %llu", number);
    }
    return ferror(file) ? failed(why, RESULT_SYSTEM, "cannot read the log: %s", strerror(errno))
                        : DONE;
}

/* As the entries of the studies that a site allowed say. */
static const unsigned char *key_of(void *context, const char *site)
{
    const struct replay *replay = context;
    for (size_t i = replay->studies_count; i > 0; i--) {
        const struct replay_study *study = replay->studies[i - 1];
        uint32_t at = study_find(&study->members, site);
        if (at < study->members.members_count &&
            !sodium_is_zero(study->keys[at], CHAIN_PUBLIC_BYTES))
            return study->keys[at];
    }
    return NULL;
}

static struct result verify(struct replay *replay, struct why *why)
{
    char path[FS_PATH_BYTES];
    const struct chain_head *head = &replay->outcome->head;
    TRY(read_head(replay, why));
    TRY(read_tree_heads(replay, why));
    TRY(replay_witnesses_read(replay->options->folder, &replay->witnesses, why));
    TRY(check_tree(replay, why)); /* of the empty log */
    TRY(fs_join(path, replay->options->folder, "log.jsonl", why));
    CLEANUP(close_file) FILE *file = fopen(path, "re");
    if (!file)
        return failed(why, RESULT_INPUT, "cannot open %s: %s", path, strerror(errno));
    TRY(take_file(replay, file, why));
    if (head->count != replay->signed_head.count ||
        memcmp(head->hash, replay->signed_head.hash, CHAIN_HASH_BYTES) != 0)
        return failed(why, RESULT_REFUSED,
                      "the log ends at entry %llu, the signed head says %llu: it was cut off",
                      (unsigned long long)head->count,
                      (unsigned long long)replay->signed_head.count);
    if (replay->outcome->tree_heads != replay->heads_count)
        return failed(why, RESULT_REFUSED,
                      "a signed tree head tells of more entries than the log has: it was cut off");
    TRY(replay_witnesses_end(&replay->witnesses, key_of, replay, &replay->outcome->witnesses, why));
    if (replay->options->since.count > 0 && !replay->since_seen)
        return failed(why, RESULT_REFUSED,
                      "the log does not contain the head that was kept at entry %llu: it was "
                      "rewritten",
                      (unsigned long long)replay->options->since.count);
    return DONE;
}

struct result replay_verify(const struct replay_options *options, struct replay_outcome *outcome,
                            struct why *why)
{
    CLEANUP(free_pointer) struct replay *replay = calloc(1, sizeof *replay);
    memset(outcome, 0, sizeof *outcome);
    if (!replay)
        return failed(why, RESULT_SYSTEM, "out of memory");
    replay->options = options;
    replay->outcome = outcome;
    struct result r = verify(replay, why);
    replay_witnesses_free(&replay->witnesses);
    for (size_t i = 0; i < replay->studies_count; i++)
        replay_study_free(replay->studies[i]);
    replay_world_free(&replay->world);
    return r;
}
