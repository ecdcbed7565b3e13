/* SPDX-License-Identifier: Apache-2.0 */
/* Signed documents: the signature covers exact bytes and their type (DSSE pre-authentication
 * encoding, Ed25519), so no canonical form of JSON is ever needed. */
#ifndef CONSILIUM_COORDINATOR_VALIDATE_DSSE_H
#define CONSILIUM_COORDINATOR_VALIDATE_DSSE_H

#include "proto/base/result.h"

#include <stddef.h>

enum {
    DSSE_PUBLIC_BYTES = 32,
    DSSE_SECRET_BYTES = 64,
    DSSE_SIGNATURE_BYTES = 64,
    DSSE_PAYLOAD_MAX = 4 << 20,
    DSSE_ENVELOPE_MAX = 8 << 20,
    DSSE_TYPE_MAX = 128,
    DSSE_KEYS_MAX = 64,
};

/* A signer: keyid names the key in the envelope, and is not trusted by itself. Nothing is owned. */
struct dsse_signer {
    const char *keyid;
    const unsigned char *secret; /* [DSSE_SECRET_BYTES] */
};

struct dsse_key {
    const char *keyid;
    const unsigned char *public_key; /* [DSSE_PUBLIC_BYTES] */
};

/* Envelope {"payloadType", "payload": base64, "signatures": [{"keyid","sig"}]} as new text (free).
 * INPUT on an empty or too large payload, no signer or too many. */
struct result dsse_seal(const char *type, const void *payload, size_t n, size_t n_signers,
                        const struct dsse_signer *signers, char **envelope,
                        struct why *why) MUST_CHECK;

/* Adds signatures to an envelope without touching its payload: the second human signs later. */
struct result dsse_countersign(const char *envelope, size_t n, const struct dsse_signer *signer,
                               char **ret_envelope, struct why *why) MUST_CHECK;

/* Opens an envelope of the given type: *payload (free; a closing zero follows its *n_payload bytes)
 * and how many of the given keys signed it, each counted once. INPUT when it is malformed; REFUSED
 * when fewer than needed keys signed. Which keys is told in signed_by[n_keys], if not NULL. */
struct result dsse_open(const char *envelope, size_t n, const char *type, size_t n_keys,
                        const struct dsse_key *keys, size_t needed, char **payload,
                        size_t *n_payload, bool *signed_by, struct why *why) MUST_CHECK;

#endif
