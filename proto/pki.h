/* SPDX-License-Identifier: Apache-2.0 */
/* The consortium's certificates: authority, requests, issue, revocation list (EC P-256, SHA-256).
 *
 * Everything in and out is PEM text in bounded buffers. Subject of a member: CN = name, OU = role,
 * serialNumber = the binding, which ties its other keys to the certificate. */
#ifndef CONSILIUM_PKI_H
#define CONSILIUM_PKI_H

#include "proto/base/result.h"

#include <stddef.h>
#include <stdint.h>

enum {
    PKI_PEM_BYTES = 4096, /* one key, request or certificate, with the closing zero */
    PKI_DER_BYTES = 2048,
    PKI_NAME_BYTES = 64,
    PKI_BINDING_BYTES = 32,
    PKI_SERIAL_BYTES = 16,
    PKI_HOSTS_MAX = 8,
    PKI_HOST_BYTES = 128,
    PKI_REVOKED_MAX = 4096,
    PKI_AUTHORITY_DAYS = 20 * 365,
    PKI_MEMBER_DAYS = 3 * 365,
};

/* A private key in it is secret: wipe it with pki_wipe. */
struct pki_pem {
    char text[PKI_PEM_BYTES];
};

struct pki_subject {
    char name[PKI_NAME_BYTES];
    char role[PKI_NAME_BYTES];
    unsigned char binding[PKI_BINDING_BYTES];
};

/* Who signs: the authority's private key and certificate. */
struct pki_authority {
    struct pki_pem key, certificate;
};

struct pki_revoked {
    unsigned char serial[PKI_SERIAL_BYTES];
    int64_t time_s; /* Unix */
};

void pki_wipe(struct pki_pem *key);

/* All below: RESULT_INPUT for bad PEM or names, RESULT_REFUSED for what does not verify or fit,
 * RESULT_SYSTEM when the library fails. Names hold only letters, digits, '-', '_', '.' and
 * spaces. */

struct result pki_make_key(struct pki_pem *ret_key, struct why *why) MUST_CHECK;

/* A new key and self-signed certificate for the consortium, valid from a day ago. */
struct result pki_make_authority(const char *consortium, int64_t now_s,
                                 struct pki_authority *ret_authority, struct why *why) MUST_CHECK;

/* A request for a certificate, signed with the key itself. */
struct result pki_make_request(const struct pki_pem *key, const struct pki_subject *subject,
                               struct pki_pem *ret_request, struct why *why) MUST_CHECK;

/* Checks the request's own signature and key type, and reads its subject. */
struct result pki_check_request(const struct pki_pem *request, struct pki_subject *ret_subject,
                                struct why *why) MUST_CHECK;

/* Issues a client certificate for a request that passes pki_check_request, with a random serial. */
struct result pki_issue(const struct pki_authority *authority, const struct pki_pem *request,
                        int64_t now_s, unsigned char ret_serial[PKI_SERIAL_BYTES],
                        struct pki_pem *ret_certificate, struct why *why) MUST_CHECK;

/* Issues a server certificate for DNS names and IP addresses (a list closed by NULL, at most
 * PKI_HOSTS_MAX). */
struct result pki_issue_server(const struct pki_authority *authority,
                               const struct pki_pem *server_key, const char *name,
                               const char *const *hosts, int64_t now_s,
                               struct pki_pem *ret_certificate, struct why *why) MUST_CHECK;

/* Writes the revocation list, in PEM, to *ret_text (owned by the caller, free). It is valid as
 * long as the authority: an expired list would lock everybody out. */
struct result pki_write_revocations(const struct pki_authority *authority,
                                    const struct pki_revoked *revoked, size_t count,
                                    uint64_t number, int64_t now_s, char **ret_text,
                                    struct why *why) MUST_CHECK;

/* The certificate was issued by this authority's certificate to a client, is valid now, and fits
 * the private key (NULL = not checked). Reads its subject. */
struct result pki_check_certificate(const struct pki_pem *certificate,
                                    const struct pki_pem *authority, const struct pki_pem *key,
                                    struct pki_subject *ret_subject, struct why *why) MUST_CHECK;

/* The bytes under the PEM of a certificate or request. */
struct result pki_der(const struct pki_pem *pem, unsigned char ret_der[PKI_DER_BYTES],
                      size_t *ret_n, struct why *why) MUST_CHECK;

#endif
