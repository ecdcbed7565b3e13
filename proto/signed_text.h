/* SPDX-License-Identifier: Apache-2.0 */
/* A text file with its signature in the first line: "ed25519 <signature in hexadecimal>", then the
 * body. The signature (Ed25519) is over the label, a zero byte, and exactly the body's bytes. */
#ifndef CONSILIUM_SIGNED_TEXT_H
#define CONSILIUM_SIGNED_TEXT_H

#include "proto/base/result.h"

#include <stddef.h>

enum {
    SIGNED_TEXT_PUBLIC_BYTES = 32,
    SIGNED_TEXT_SECRET_BYTES = 64,
    SIGNED_TEXT_HASH_BYTES = 32,
    SIGNED_TEXT_BODY_MAX = 1 << 20,
};

/* Signs body; *ret_text is owned by the caller (free) and has a closing zero. */
struct result signed_text_print(const char *label, const char *body, size_t n,
                                const unsigned char secret[SIGNED_TEXT_SECRET_BYTES],
                                char **ret_text, size_t *ret_n, struct why *why) MUST_CHECK;

/* Finds the body inside text without checking it: to read whose key must have signed. */
struct result signed_text_body(const char *text, size_t n, const char **ret_body, size_t *ret_n,
                               struct why *why) MUST_CHECK;

/* RESULT_INPUT when there is no signature line, RESULT_REFUSED when the signature is wrong. */
struct result signed_text_check(const char *label, const char *text, size_t n,
                                const unsigned char key[SIGNED_TEXT_PUBLIC_BYTES],
                                struct why *why) MUST_CHECK;

/* BLAKE2b-256 over the label, a zero byte and the body: the fingerprint to compare. */
void signed_text_hash(const char *label, const char *body, size_t n,
                      unsigned char hash[SIGNED_TEXT_HASH_BYTES]);

#endif
