/* SPDX-License-Identifier: Apache-2.0 */
/* Signed messages on the wire, and the receiver's memory of what it has seen. */
#ifndef CONSILIUM_ENVELOPE_H
#define CONSILIUM_ENVELOPE_H

#include "proto/message.h"

enum { ENVELOPE_SIGN_PUBLIC_BYTES = 32, ENVELOPE_SIGN_SECRET_BYTES = 64 };

/* Encodes and signs (Ed25519 over "consilium message 1" and the encoded message). Allocates
 * *ret_bytes (owned by the caller, free), at most MESSAGE_BYTES_MAX. */
struct result envelope_seal(const struct message *message,
                            const unsigned char secret[ENVELOPE_SIGN_SECRET_BYTES],
                            unsigned char **ret_bytes, size_t *ret_n, struct why *why) MUST_CHECK;

/* Who a message claims to be from, before its signature is checked: to look the key up. */
struct result envelope_sender(const unsigned char *bytes, size_t n, char sender[PLAN_NAME_BYTES],
                              struct why *why) MUST_CHECK;

/* Checks the signature against the sender's key, decodes within limits. message is large (about
 * 64 KiB): allocate it once. Errors: RESULT_INPUT malformed, RESULT_REFUSED bad signature. */
struct result envelope_open(const unsigned char *bytes, size_t n,
                            const unsigned char public_key[ENVELOPE_SIGN_PUBLIC_BYTES],
                            struct message *message, struct why *why) MUST_CHECK;

/* The last sequence seen of one sender's session. A new session starts anew only with a later
 * sent_ms than anything seen of the old one. Zero-initialise; plain data, may be stored. */
struct envelope_seen {
    unsigned char session[SESSION_ID_BYTES];
    uint64_t sequence;
    uint64_t sent_ms;
};

/* RESULT_REFUSED with a reason for a replayed or reordered message; otherwise seen is advanced. */
struct result envelope_fresh(struct envelope_seen *seen, const struct message_head *head,
                             struct why *why) MUST_CHECK;

#endif
