/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile requests, bundles and rosters, and their bodies alone, whose signature a member with bad
 * intent can make right: refused with a reason, or read within their bounds. */
#include "proto/enrol.h"
#include "proto/signed_text.h"
#include "tests/fuzz/fuzz.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* A fixed key: what it signs passes as the sender's own. */
static void make_key(unsigned char public_key[32], unsigned char secret[64])
{
    unsigned char seed[crypto_sign_SEEDBYTES] = {7};
    crypto_sign_seed_keypair(public_key, secret, seed);
}

static void check(struct result r, const struct why *why)
{
    if (!ok(r) && !why->text[0])
        abort();
}

static void read_all(const char *text, size_t n, const unsigned char key[32])
{
    static struct enrol_request request;
    static struct enrol_bundle bundle;
    static struct roster roster;
    unsigned char fingerprint[WORDS_FINGERPRINT_BYTES];
    struct why why = {""};
    check(enrol_read_request(text, n, &request, &why), &why);
    struct result r = enrol_read_bundle(text, n, &bundle, &why);
    check(r, &why);
    if (ok(r))
        check(enrol_consortium_fingerprint(&bundle, fingerprint, &why), &why);
    check(roster_parse(&roster, text, n, key, &why), &why);
}

/* The body signed again, under each of the three labels. */
static void read_signed(const char *body, size_t n)
{
    static const char *const labels[] = {"consilium request 1", "consilium bundle 1",
                                         "consilium roster 1"};
    unsigned char public_key[32], secret[64];
    make_key(public_key, secret);
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
        struct why why = {""};
        char *text = NULL;
        size_t text_n = 0;
        if (!ok(signed_text_print(labels[i], body, n, secret, &text, &text_n, &why)))
            return;
        read_all(text, text_n, public_key);
        free(text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned char nobody[32];
    const char *body = NULL;
    size_t n = 0;
    struct why why = {""};
    if (sodium_init() < 0)
        return 0;
    read_all((const char *)data, size, nobody);
    if (ok(signed_text_body((const char *)data, size, &body, &n, &why)))
        read_signed(body, n);
    return 0;
}
