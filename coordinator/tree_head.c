/* SPDX-License-Identifier: Apache-2.0 */
/* Tree heads as signed JSON. */
#include "coordinator/tree_head.h"

#include "coordinator/validate/dsse.h"
#include "proto/base/cleanup.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

struct result tree_head_seal(const struct tree_head *head, const char *signer,
                             const unsigned char *secret, char **ret_envelope, struct why *why)
{
    char root[2 * MERKLE_HASH_BYTES + 1];
    sodium_bin2hex(root, sizeof root, head->root.bytes, MERKLE_HASH_BYTES);
    json_t *o = json_pack("{s:s, s:I, s:s, s:I}", "origin", head->origin, "size",
                          (json_int_t)head->size, "root", root, "ms", (json_int_t)head->ms);
    CLEANUP(free_pointer) char *text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    if (!text)
        return failed(why, RESULT_SYSTEM, "out of memory for a tree head");
    struct dsse_signer by = {.keyid = signer, .secret = secret};
    return dsse_seal(TREE_HEAD_TYPE, text, strlen(text), 1, &by, ret_envelope, why);
}

struct result tree_head_open(const char *envelope, size_t n, const unsigned char *key,
                             struct tree_head *head, struct why *why)
{
    CLEANUP(free_pointer) char *text = NULL;
    size_t text_n = 0, root_n = 0;
    struct dsse_key by = {.keyid = "coordinator", .public_key = key};
    memset(head, 0, sizeof *head);
    TRY(dsse_open(envelope, n, TREE_HEAD_TYPE, 1, &by, 1, &text, &text_n, NULL, why));
    json_t *o = json_loadb(text, text_n, JSON_REJECT_DUPLICATES, NULL);
    const char *origin = json_string_value(json_object_get(o, "origin"));
    const char *root = json_string_value(json_object_get(o, "root"));
    json_int_t size = json_integer_value(json_object_get(o, "size"));
    bool good = origin && strlen(origin) < sizeof head->origin && root && size >= 0 &&
                sodium_hex2bin(head->root.bytes, MERKLE_HASH_BYTES, root, strlen(root), NULL,
                               &root_n, NULL) == 0 &&
                root_n == MERKLE_HASH_BYTES;
    if (good) {
        snprintf(head->origin, sizeof head->origin, "%s", origin);
        head->size = (uint64_t)size;
        head->ms = (uint64_t)json_integer_value(json_object_get(o, "ms"));
    }
    json_decref(o);
    return good ? DONE : failed(why, RESULT_INPUT, "the tree head is malformed");
}
