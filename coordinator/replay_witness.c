/* SPDX-License-Identifier: Apache-2.0 */
/* The sites' signatures under heads of an exported log: each head must be the log's, each signature
 * that of the key which the log itself names for the site. */
#include "coordinator/replay_witness.h"

#include "proto/base/cleanup.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WITNESSES_FILE_MAX = 4 << 20 };

static bool bytes_of(const json_t *object, const char *key, unsigned char *out, size_t n)
{
    size_t have = 0;
    const char *text = json_string_value(json_object_get(object, key));
    return text && sodium_hex2bin(out, n, text, strlen(text), NULL, &have, NULL) == 0 && have == n;
}

static bool read_one(const json_t *value, const char *origin, struct replay_witness *w)
{
    const char *site = json_string_value(json_object_get(value, "site"));
    json_int_t size = json_integer_value(json_object_get(value, "size"));
    json_int_t ms = json_integer_value(json_object_get(value, "ms"));
    memset(w, 0, sizeof *w);
    if (!site || strlen(site) >= sizeof w->site || size < 1 || ms < 0 ||
        !bytes_of(value, "root", w->head.root.bytes, MERKLE_HASH_BYTES) ||
        !bytes_of(value, "signature", w->signature, sizeof w->signature) ||
        !bytes_of(value, "key", w->key, sizeof w->key))
        return false;
    memcpy(w->site, site, strlen(site));
    snprintf(w->head.origin, sizeof w->head.origin, "%s", origin);
    w->head.size = (uint64_t)size;
    w->head.ms = (uint64_t)ms;
    return true;
}

static struct result read_all(const json_t *root, struct replay_witnesses *all, struct why *why)
{
    const char *origin = json_string_value(json_object_get(root, "origin"));
    const json_t *list = json_object_get(root, "witnesses");
    size_t n = json_array_size(list);
    if (!origin || strlen(origin) >= TREE_HEAD_ORIGIN_BYTES || !json_is_array(list) ||
        n > REPLAY_WITNESSES_MAX)
        return failed(why, RESULT_INPUT, "the list of witnesses is malformed");
    all->list = calloc(n + 1, sizeof *all->list);
    if (!all->list)
        return failed(why, RESULT_SYSTEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        struct replay_witness *w = &all->list[all->count];
        if (!read_one(json_array_get(list, i), origin, w))
            return failed(why, RESULT_INPUT, "witness %zu is malformed", i + 1);
        if (!tree_head_witnessed(&w->head, w->key, w->signature))
            return failed(why, RESULT_REFUSED, "the signature of witness %s is wrong", w->site);
        all->count++;
    }
    return DONE;
}

struct result replay_witnesses_read(const char *folder, struct replay_witnesses *all,
                                    struct why *why)
{
    char path[FS_PATH_BYTES];
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0;
    *all = (struct replay_witnesses){0};
    TRY(fs_join(path, folder, "witnesses.json", why));
    if (!fs_exists(path))
        return DONE;
    TRY(fs_read(path, WITNESSES_FILE_MAX, &text, &n, why));
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    struct result r = read_all(root, all, why);
    json_decref(root);
    return ok(r) ? r : failed_in(why, r, "%s", path);
}

void replay_witnesses_free(struct replay_witnesses *all)
{
    free(all->list);
    *all = (struct replay_witnesses){0};
}

struct result replay_witnesses_grow(struct replay_witnesses *all,
                                    const struct merkle_frontier *tree, struct why *why)
{
    for (size_t i = 0; i < all->count; i++) {
        struct replay_witness *w = &all->list[i];
        if (w->head.size != tree->size)
            continue;
        struct merkle_hash root = merkle_frontier_root(tree);
        if (memcmp(&root, &w->head.root, sizeof root) != 0)
            return failed(why, RESULT_REFUSED,
                          "%s holds another log of %llu entries: this one was rewritten, or each "
                          "was shown its own",
                          w->site, (unsigned long long)w->head.size);
        w->seen = true;
    }
    return DONE;
}

struct result replay_witnesses_end(const struct replay_witnesses *all, replay_key_of *key_of,
                                   void *context, uint64_t *ret_count, struct why *why)
{
    *ret_count = 0;
    for (size_t i = 0; i < all->count; i++) {
        const struct replay_witness *w = &all->list[i];
        const unsigned char *key = key_of(context, w->site);
        if (!w->seen)
            return failed(why, RESULT_REFUSED,
                          "%s holds a head of %llu entries, more than the log has: it was cut off",
                          w->site, (unsigned long long)w->head.size);
        if (key && memcmp(key, w->key, sizeof w->key) != 0)
            return failed(why, RESULT_REFUSED,
                          "the log names another key for witness %s than the list of witnesses",
                          w->site);
        *ret_count += key != NULL;
    }
    return DONE;
}
