/* SPDX-License-Identifier: Apache-2.0 */
/* PAE(type, body) = "DSSEv1" SP len(type) SP type SP len(body) SP body, signed with Ed25519. */
#include "coordinator/validate/dsse.h"

#include "proto/base/cleanup.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

static void drop_json(json_t **value)
{
    json_decref(*value);
}

/* The bytes that are signed, as new memory. */
static struct result encode(const char *type, const void *payload, size_t n, unsigned char **out,
                            size_t *length, struct why *why)
{
    size_t type_length = strlen(type);
    if (type_length == 0 || type_length > DSSE_TYPE_MAX || n == 0 || n > DSSE_PAYLOAD_MAX)
        return failed(why, RESULT_INPUT, "a signed document needs a type and 1 to %d bytes",
                      DSSE_PAYLOAD_MAX);
    char head[DSSE_TYPE_MAX + 64];
    int head_length = snprintf(head, sizeof head, "DSSEv1 %zu %s %zu ", type_length, type, n);
    *length = (size_t)head_length + n;
    *out = malloc(*length);
    if (!*out)
        return failed(why, RESULT_SYSTEM, "no memory for %zu bytes", *length);
    memcpy(*out, head, (size_t)head_length);
    memcpy(*out + head_length, payload, n);
    return DONE;
}

static json_t *base64_json(const void *bytes, size_t n)
{
    size_t room = sodium_base64_encoded_len(n, sodium_base64_VARIANT_ORIGINAL);
    CLEANUP(free_pointer) char *text = malloc(room);
    if (!text)
        return NULL;
    sodium_bin2base64(text, room, bytes, n, sodium_base64_VARIANT_ORIGINAL);
    return json_string(text);
}

/* Decodes into at most limit bytes of new memory with a closing zero. */
static struct result base64_decode(const json_t *value, size_t limit, unsigned char **out,
                                   size_t *n, struct why *why)
{
    const char *text = json_string_value(value);
    size_t length = text ? strlen(text) : 0;
    size_t room = length / 4 * 3 + 3;
    const char *end = NULL;
    if (length == 0 || length / 4 * 3 > limit + 2)
        return failed(why, RESULT_INPUT, "the envelope lacks a part, or it is too large");
    CLEANUP(free_pointer) unsigned char *bytes = malloc(room + 1);
    if (!bytes)
        return failed(why, RESULT_SYSTEM, "no memory for %zu bytes", room);
    if (sodium_base642bin(bytes, room, text, length, NULL, n, &end,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        *end != '\0' || *n > limit)
        return failed(why, RESULT_INPUT, "the envelope holds text that is not base64");
    bytes[*n] = '\0';
    *out = TAKE(bytes);
    return DONE;
}

static struct result add_signature(json_t *signatures, const struct dsse_signer *signer,
                                   const unsigned char *message, size_t length, struct why *why)
{
    unsigned char signature[DSSE_SIGNATURE_BYTES];
    crypto_sign_detached(signature, NULL, message, length, signer->secret);
    json_t *item = json_pack("{s:s, s:o}", "keyid", signer->keyid, "sig",
                             base64_json(signature, sizeof signature));
    if (json_array_append_new(signatures, item) != 0)
        return failed(why, RESULT_SYSTEM, "no memory for a signature");
    return DONE;
}

struct result dsse_seal(const char *type, const void *payload, size_t n, size_t n_signers,
                        const struct dsse_signer *signers, char **envelope, struct why *why)
{
    CLEANUP(free_pointer) unsigned char *message = NULL;
    size_t length;
    TRY(encode(type, payload, n, &message, &length, why));
    if (n_signers == 0 || n_signers > DSSE_KEYS_MAX)
        return failed(why, RESULT_INPUT, "a document is signed by 1 to %d keys", DSSE_KEYS_MAX);
    CLEANUP(drop_json) json_t *signatures = json_array();
    for (size_t i = 0; i < n_signers; i++)
        TRY(add_signature(signatures, &signers[i], message, length, why));
    CLEANUP(drop_json)
    json_t *root = json_pack("{s:s, s:o, s:O}", "payloadType", type, "payload",
                             base64_json(payload, n), "signatures", signatures);
    *envelope = root ? json_dumps(root, JSON_COMPACT) : NULL;
    return *envelope ? DONE : failed(why, RESULT_SYSTEM, "no memory for the envelope");
}

/* Parses an envelope and decodes its payload. */
static struct result parse(const char *envelope, size_t n, json_t **root, unsigned char **payload,
                           size_t *n_payload, struct why *why)
{
    if (n == 0 || n > DSSE_ENVELOPE_MAX)
        return failed(why, RESULT_INPUT, "an envelope has 1 to %d bytes", DSSE_ENVELOPE_MAX);
    json_error_t error;
    *root = json_loadb(envelope, n, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(*root) || !json_is_string(json_object_get(*root, "payloadType")) ||
        json_array_size(json_object_get(*root, "signatures")) > DSSE_KEYS_MAX)
        return failed(why, RESULT_INPUT, "not an envelope of a signed document");
    return base64_decode(json_object_get(*root, "payload"), DSSE_PAYLOAD_MAX, payload, n_payload,
                         why);
}

struct result dsse_countersign(const char *envelope, size_t n, const struct dsse_signer *signer,
                               char **ret_envelope, struct why *why)
{
    CLEANUP(drop_json) json_t *root = NULL;
    CLEANUP(free_pointer) unsigned char *payload = NULL;
    CLEANUP(free_pointer) unsigned char *message = NULL;
    size_t n_payload;
    size_t length;
    TRY(parse(envelope, n, &root, &payload, &n_payload, why));
    json_t *signatures = json_object_get(root, "signatures");
    if (!json_is_array(signatures) || json_array_size(signatures) >= DSSE_KEYS_MAX)
        return failed(why, RESULT_INPUT, "the envelope has no room for another signature");
    const char *type = json_string_value(json_object_get(root, "payloadType"));
    TRY(encode(type, payload, n_payload, &message, &length, why));
    TRY(add_signature(signatures, signer, message, length, why));
    *ret_envelope = json_dumps(root, JSON_COMPACT);
    return *ret_envelope ? DONE : failed(why, RESULT_SYSTEM, "no memory for the envelope");
}

/* Whether any signature of the envelope verifies under this key. */
static bool signed_with(const json_t *signatures, const struct dsse_key *key,
                        const unsigned char *message, size_t length)
{
    for (size_t i = 0; i < json_array_size(signatures); i++) {
        CLEANUP(free_pointer) unsigned char *bytes = NULL;
        size_t n = 0;
        const json_t *sig = json_object_get(json_array_get(signatures, i), "sig");
        if (ok(base64_decode(sig, DSSE_SIGNATURE_BYTES, &bytes, &n, NULL)) &&
            n == DSSE_SIGNATURE_BYTES &&
            crypto_sign_verify_detached(bytes, message, length, key->public_key) == 0)
            return true;
    }
    return false;
}

/* The same key listed twice counts once. */
static bool listed_before(const struct dsse_key *keys, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (memcmp(keys[k].public_key, keys[i].public_key, DSSE_PUBLIC_BYTES) == 0)
            return true;
    }
    return false;
}

struct result dsse_open(const char *envelope, size_t n, const char *type, size_t n_keys,
                        const struct dsse_key *keys, size_t needed, char **payload,
                        size_t *n_payload, bool *signed_by, struct why *why)
{
    CLEANUP(drop_json) json_t *root = NULL;
    CLEANUP(free_pointer) unsigned char *bytes = NULL;
    CLEANUP(free_pointer) unsigned char *message = NULL;
    size_t length;
    if (n_keys > DSSE_KEYS_MAX)
        return failed(why, RESULT_INPUT, "at most %d keys", DSSE_KEYS_MAX);
    TRY(parse(envelope, n, &root, &bytes, n_payload, why));
    const char *claimed = json_string_value(json_object_get(root, "payloadType"));
    if (strcmp(claimed, type) != 0)
        return failed(why, RESULT_INPUT, "the document is a '%.60s', not a '%.60s'", claimed, type);
    TRY(encode(type, bytes, *n_payload, &message, &length, why));
    size_t valid = 0;
    for (size_t i = 0; i < n_keys; i++) {
        bool good = !listed_before(keys, i) &&
                    signed_with(json_object_get(root, "signatures"), &keys[i], message, length);
        valid += good;
        if (signed_by)
            signed_by[i] = good;
    }
    if (valid < needed)
        return failed(why, RESULT_REFUSED, "%zu of %zu needed signatures are valid", valid, needed);
    *payload = (char *)TAKE(bytes);
    return DONE;
}
