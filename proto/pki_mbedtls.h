/* SPDX-License-Identifier: Apache-2.0 */
/* What the pki files share: mbedTLS's types with scope-bound release, and nothing for others. */
#ifndef CONSILIUM_PKI_MBEDTLS_H
#define CONSILIUM_PKI_MBEDTLS_H

#include "proto/base/cleanup.h"
#include "proto/pki.h"

#include <mbedtls/md.h>
#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>
#include <mbedtls/x509_csr.h>
#include <stdbool.h>

enum { PKI_DN_BYTES = 256, PKI_SHA256_BYTES = 32 };

/* Random bytes in the form that mbedTLS asks for. */
int pki_random(void *unused, unsigned char *out, size_t n);

/* RESULT_SYSTEM with mbedTLS's words for its code. */
struct result pki_failed(struct why *why, int code, const char *action) MUST_CHECK;

/* Parses a private key; pk is initialised by the caller. */
struct result pki_read_key(mbedtls_pk_context *pk, const struct pki_pem *key,
                           struct why *why) MUST_CHECK;

struct result pki_read_certificate(mbedtls_x509_crt *crt, const struct pki_pem *certificate,
                                   struct why *why) MUST_CHECK;

struct result pki_read_request(mbedtls_x509_csr *csr, const struct pki_pem *request,
                               struct why *why) MUST_CHECK;

/* Only characters that mean nothing in a distinguished name. */
bool pki_name_plain(const char *name);

/* "CN=name,OU=role,serialNumber=hex" */
struct result pki_subject_text(char out[PKI_DN_BYTES], const struct pki_subject *subject,
                               struct why *why) MUST_CHECK;

struct result pki_read_subject(struct pki_subject *subject, const mbedtls_x509_name *name,
                               struct why *why) MUST_CHECK;

#endif
