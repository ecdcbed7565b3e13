/* SPDX-License-Identifier: Apache-2.0 */
/* Witnesses of a passport: heads of the log that sites hold and signed, each with the proof (RFC
 * 9162, section 2.1.4) that the passport's tree extends it. */
#include "coordinator/validate/passport.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum { WITNESSES_MAX = 4096, HEX_MAX = 2 * TREE_HEAD_SIGNATURE_BYTES + 1 };

static json_t *hex(const unsigned char *bytes, size_t n)
{
    char text[HEX_MAX];
    sodium_bin2hex(text, sizeof text, bytes, n);
    return json_string(text);
}

static bool from_hex(const json_t *value, unsigned char *out, size_t n)
{
    size_t have = 0;
    const char *text = json_string_value(value);
    return text && strlen(text) == 2 * n &&
           sodium_hex2bin(out, n, text, strlen(text), NULL, &have, NULL) == 0 && have == n;
}

json_t *passport_witness_json(const struct passport_witness *w)
{
    json_t *proof = json_array();
    for (size_t i = 0; i < w->consistency.count; i++)
        json_array_append_new(proof, hex(w->consistency.hash[i].bytes, MERKLE_HASH_BYTES));
    return json_pack("{s:s, s:o, s:I, s:o, s:I, s:o, s:o}", "site", w->site, "key",
                     hex(w->key, sizeof w->key), "size", (json_int_t)w->size, "root",
                     hex(w->root.bytes, MERKLE_HASH_BYTES), "ms", (json_int_t)w->ms, "signature",
                     hex(w->signature, sizeof w->signature), "consistency", proof);
}

static bool read_proof(const json_t *list, struct merkle_proof *proof)
{
    proof->count = json_array_size(list);
    if (!json_is_array(list) || proof->count > MERKLE_PROOF_MAX)
        return false;
    for (size_t i = 0; i < proof->count; i++)
        if (!from_hex(json_array_get(list, i), proof->hash[i].bytes, MERKLE_HASH_BYTES))
            return false;
    return true;
}

static struct result check_one(const json_t *one, const char *origin, uint64_t tree_size,
                               const struct merkle_hash *root, struct why *why)
{
    struct tree_head held = {.size = (uint64_t)json_integer_value(json_object_get(one, "size")),
                             .ms = (uint64_t)json_integer_value(json_object_get(one, "ms"))};
    unsigned char key[TREE_HEAD_PUBLIC_BYTES], signature[TREE_HEAD_SIGNATURE_BYTES];
    struct merkle_proof proof;
    const char *site = json_string_value(json_object_get(one, "site"));
    if (!site || !origin || strlen(origin) >= sizeof held.origin ||
        !from_hex(json_object_get(one, "root"), held.root.bytes, MERKLE_HASH_BYTES) ||
        !from_hex(json_object_get(one, "key"), key, sizeof key) ||
        !from_hex(json_object_get(one, "signature"), signature, sizeof signature) ||
        !read_proof(json_object_get(one, "consistency"), &proof))
        return failed(why, RESULT_INPUT, "a witness of the passport is malformed");
    memcpy(held.origin, origin, strlen(origin) + 1);
    if (!tree_head_witnessed(&held, key, signature))
        return failed(why, RESULT_REFUSED, "the signature of witness %.64s is wrong", site);
    if (held.size == 0 || held.size > tree_size ||
        !merkle_verify_consistency(held.size, tree_size, &held.root, root, &proof))
        return failed(why, RESULT_REFUSED,
                      "the passport's log does not extend the one that witness %.64s holds", site);
    return DONE;
}

struct result passport_witnesses_check(const json_t *list, const char *origin, uint64_t tree_size,
                                       const struct merkle_hash *root, struct why *why)
{
    size_t n = json_array_size(list);
    if (list && (!json_is_array(list) || n > WITNESSES_MAX))
        return failed(why, RESULT_INPUT, "the passport's list of witnesses is malformed");
    for (size_t i = 0; i < n; i++)
        TRY(check_one(json_array_get(list, i), origin, tree_size, root, why));
    return DONE;
}
