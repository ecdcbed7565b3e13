/* SPDX-License-Identifier: Apache-2.0 */
/* The text that heads' signatures cover. */
#include "proto/tree_head.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>

static const char HEAD[] = "consilium tree head 1";
static const char WITNESS[] = "consilium tree witness 1";

enum { TEXT_BYTES = 320 };

static size_t text_of(const char *domain, const struct tree_head *head, char out[TEXT_BYTES])
{
    char root[2 * MERKLE_HASH_BYTES + 1];
    sodium_bin2hex(root, sizeof root, head->root.bytes, MERKLE_HASH_BYTES);
    int n = snprintf(out, TEXT_BYTES, "%s\n%s\n%" PRIu64 "\n%s\n%" PRIu64 "\n", domain,
                     head->origin, head->size, root, head->ms);
    return (size_t)n;
}

static void sign(const char *domain, const struct tree_head *head, const unsigned char *secret,
                 unsigned char *signature)
{
    char text[TEXT_BYTES];
    size_t n = text_of(domain, head, text);
    crypto_sign_detached(signature, NULL, (const unsigned char *)text, n, secret);
}

static bool signed_by(const char *domain, const struct tree_head *head, const unsigned char *key,
                      const unsigned char *signature)
{
    char text[TEXT_BYTES];
    size_t n = text_of(domain, head, text);
    return crypto_sign_verify_detached(signature, (const unsigned char *)text, n, key) == 0;
}

void tree_head_sign(const struct tree_head *head, const unsigned char *secret,
                    unsigned char signature[TREE_HEAD_SIGNATURE_BYTES])
{
    sign(HEAD, head, secret, signature);
}

bool tree_head_signed(const struct tree_head *head, const unsigned char *key,
                      const unsigned char signature[TREE_HEAD_SIGNATURE_BYTES])
{
    return signed_by(HEAD, head, key, signature);
}

void tree_head_witness(const struct tree_head *head, const unsigned char *secret,
                       unsigned char signature[TREE_HEAD_SIGNATURE_BYTES])
{
    sign(WITNESS, head, secret, signature);
}

bool tree_head_witnessed(const struct tree_head *head, const unsigned char *key,
                         const unsigned char signature[TREE_HEAD_SIGNATURE_BYTES])
{
    return signed_by(WITNESS, head, key, signature);
}
