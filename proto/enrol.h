/* SPDX-License-Identifier: Apache-2.0 */
/* Enrolment: a member makes keys and a request, the operator answers with a bundle.
 *
 * Both are signed texts (proto/signed_text.h) in JSON. A request is signed with the Ed25519 key in
 * it and carries a certificate request signed with the TLS key, whose subject names the Ed25519 and
 * X25519 keys; so the three keys vouch for each other. A bundle is signed by the coordinator. Both
 * travel by any means: what makes them trustworthy is that two people compare the words. */
#ifndef CONSILIUM_ENROL_H
#define CONSILIUM_ENROL_H

#include "proto/identity.h"
#include "proto/pki.h"
#include "proto/words.h"

enum { ENROL_FILE_MAX = 32768 };

struct enrol_request {
    struct identity_public who;
    struct pki_pem tls_request;
    unsigned char fingerprint[WORDS_FINGERPRINT_BYTES]; /* of the request's body */
};

/* Makes the member's folder with its keys and DIR/NAME.request, whose fingerprint it gives. In the
 * folder of the same name and role only the request is made again. */
struct result enrol_create(const char *folder, const char *name, enum role role,
                           unsigned char fingerprint[WORDS_FINGERPRINT_BYTES],
                           struct why *why) MUST_CHECK;

/* Reads a request and checks everything in it that can be checked. RESULT_INPUT when it is not a
 * request, RESULT_REFUSED when its keys do not vouch for each other. */
struct result enrol_read_request(const char *text, size_t n, struct enrol_request *request,
                                 struct why *why) MUST_CHECK;

struct enrol_bundle {
    char member[ROSTER_NAME_BYTES];
    char consortium[ROSTER_NAME_BYTES];
    char host[IDENTITY_HOST_BYTES]; /* of the broker */
    uint16_t port;
    struct pki_pem ca, certificate;
    struct identity_public coordinator;
    unsigned char request[WORDS_FINGERPRINT_BYTES]; /* that it answers */
};

/* *ret_text is owned by the caller (free). */
struct result enrol_print_bundle(const struct enrol_bundle *bundle,
                                 const unsigned char secret[IDENTITY_SIGN_SECRET_BYTES],
                                 char **ret_text, size_t *ret_n, struct why *why) MUST_CHECK;

/* Reads a bundle and checks its signature against the coordinator's key that it names. */
struct result enrol_read_bundle(const char *text, size_t n, struct enrol_bundle *bundle,
                                struct why *why) MUST_CHECK;

/* Installs a bundle into the folder whose request it answers: ca.crt, tls.crt and, last,
 * consortium.json. RESULT_REFUSED when it is for another member or key; then nothing is changed.
 * Repeating it is harmless, and a renewed bundle replaces the old one, of the same consortium. */
struct result enrol_install(const char *folder, const struct enrol_bundle *bundle,
                            struct why *why) MUST_CHECK;

/* What a member compares with the operator before it trusts a bundle: over the consortium's name,
 * authority and the coordinator's keys. */
struct result enrol_consortium_fingerprint(const struct enrol_bundle *bundle,
                                           unsigned char fingerprint[WORDS_FINGERPRINT_BYTES],
                                           struct why *why) MUST_CHECK;

#endif
