/* SPDX-License-Identifier: Apache-2.0 */
/* A text file with its signature in the first line. */
#include "proto/signed_text.h"

#include "proto/base/cleanup.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static const char WORD[] = "ed25519 ";

enum {
    WORD_N = sizeof WORD - 1,
    LINE_N = WORD_N + 2 * crypto_sign_BYTES + 1,
};

/* Label, zero, body. */
static struct result covered_bytes(const char *label, const char *body, size_t n,
                                   unsigned char **ret_bytes, size_t *ret_n, struct why *why)
{
    size_t label_n = strlen(label) + 1;
    unsigned char *bytes = malloc(label_n + n);
    if (!bytes)
        return failed(why, RESULT_SYSTEM, "no memory for a signature");
    memcpy(bytes, label, label_n);
    memcpy(bytes + label_n, body, n);
    *ret_bytes = bytes;
    *ret_n = label_n + n;
    return DONE;
}

struct result signed_text_print(const char *label, const char *body, size_t n,
                                const unsigned char secret[SIGNED_TEXT_SECRET_BYTES],
                                char **ret_text, size_t *ret_n, struct why *why)
{
    unsigned char signature[crypto_sign_BYTES];
    CLEANUP(free_pointer) unsigned char *covered = NULL;
    size_t covered_n = 0;
    if (n > SIGNED_TEXT_BODY_MAX)
        return failed(why, RESULT_INPUT, "a text of more than %d bytes", SIGNED_TEXT_BODY_MAX);
    TRY(covered_bytes(label, body, n, &covered, &covered_n, why));
    crypto_sign_detached(signature, NULL, covered, covered_n, secret);
    char *text = malloc(LINE_N + n + 1);
    if (!text)
        return failed(why, RESULT_SYSTEM, "no memory for a signature");
    memcpy(text, WORD, WORD_N);
    sodium_bin2hex(text + WORD_N, 2 * sizeof signature + 1, signature, sizeof signature);
    text[LINE_N - 1] = '\n';
    memcpy(text + LINE_N, body, n);
    text[LINE_N + n] = '\0';
    *ret_text = text;
    *ret_n = LINE_N + n;
    return DONE;
}

static struct result read_line(const char *text, size_t n,
                               unsigned char signature[crypto_sign_BYTES], struct why *why)
{
    size_t got = 0;
    if (n < LINE_N || n > LINE_N + SIGNED_TEXT_BODY_MAX || memcmp(text, WORD, WORD_N) != 0 ||
        text[LINE_N - 1] != '\n' ||
        sodium_hex2bin(signature, crypto_sign_BYTES, text + WORD_N, (size_t)2 * crypto_sign_BYTES,
                       NULL, &got, NULL) != 0 ||
        got != crypto_sign_BYTES)
        return failed(why, RESULT_INPUT, "the first line is not a signature");
    return DONE;
}

struct result signed_text_body(const char *text, size_t n, const char **ret_body, size_t *ret_n,
                               struct why *why)
{
    unsigned char signature[crypto_sign_BYTES];
    TRY(read_line(text, n, signature, why));
    *ret_body = text + LINE_N;
    *ret_n = n - LINE_N;
    return DONE;
}

struct result signed_text_check(const char *label, const char *text, size_t n,
                                const unsigned char key[SIGNED_TEXT_PUBLIC_BYTES], struct why *why)
{
    unsigned char signature[crypto_sign_BYTES];
    CLEANUP(free_pointer) unsigned char *covered = NULL;
    size_t covered_n = 0;
    TRY(read_line(text, n, signature, why));
    TRY(covered_bytes(label, text + LINE_N, n - LINE_N, &covered, &covered_n, why));
    if (crypto_sign_verify_detached(signature, covered, covered_n, key) != 0)
        return failed(why, RESULT_REFUSED, "the signature is wrong");
    return DONE;
}

void signed_text_hash(const char *label, const char *body, size_t n,
                      unsigned char hash[SIGNED_TEXT_HASH_BYTES])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, SIGNED_TEXT_HASH_BYTES);
    crypto_generichash_update(&state, (const unsigned char *)label, strlen(label) + 1);
    crypto_generichash_update(&state, (const unsigned char *)body, n);
    crypto_generichash_final(&state, hash, SIGNED_TEXT_HASH_BYTES);
}
