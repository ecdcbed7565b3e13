/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, requests and the checks on requests and certificates. */
#include "proto/pki.h"

#include "proto/pki_mbedtls.h"

#include <mbedtls/ecp.h>
#include <mbedtls/error.h>
#include <mbedtls/oid.h>
#include <mbedtls/pem.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

int pki_random(void *unused, unsigned char *out, size_t n)
{
    (void)unused;
    randombytes_buf(out, n);
    return 0;
}

struct result pki_failed(struct why *why, int code, const char *action)
{
    char text[128];
    mbedtls_strerror(code, text, sizeof text);
    return failed(why, RESULT_SYSTEM, "cannot %s: %s", action, text);
}

void pki_wipe(struct pki_pem *key)
{
    sodium_memzero(key, sizeof *key);
}

/* The length with the closing zero, as mbedTLS wants PEM. */
static size_t pem_length(const struct pki_pem *pem)
{
    return strnlen(pem->text, sizeof pem->text - 1) + 1;
}

struct result pki_read_key(mbedtls_pk_context *pk, const struct pki_pem *key, struct why *why)
{
    if (mbedtls_pk_parse_key(pk, (const unsigned char *)key->text, pem_length(key), NULL, 0) != 0)
        return failed(why, RESULT_INPUT, "not a private key in PEM");
    return DONE;
}

struct result pki_read_certificate(mbedtls_x509_crt *crt, const struct pki_pem *certificate,
                                   struct why *why)
{
    const unsigned char *text = (const unsigned char *)certificate->text;
    if (mbedtls_x509_crt_parse(crt, text, pem_length(certificate)) != 0 || crt->next)
        return failed(why, RESULT_INPUT, "not one certificate in PEM");
    return DONE;
}

struct result pki_read_request(mbedtls_x509_csr *csr, const struct pki_pem *request,
                               struct why *why)
{
    const unsigned char *text = (const unsigned char *)request->text;
    if (mbedtls_x509_csr_parse(csr, text, pem_length(request)) != 0)
        return failed(why, RESULT_INPUT, "not a certificate request in PEM");
    return DONE;
}

bool pki_name_plain(const char *name)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_. ";
    size_t n = strnlen(name, PKI_NAME_BYTES);
    return n > 0 && n < PKI_NAME_BYTES && strspn(name, letters) == n && name[0] != ' ';
}

struct result pki_subject_text(char out[PKI_DN_BYTES], const struct pki_subject *subject,
                               struct why *why)
{
    char hex[2 * PKI_BINDING_BYTES + 1];
    if (!pki_name_plain(subject->name) || !pki_name_plain(subject->role))
        return failed(why, RESULT_INPUT, "a name or role with characters other than a-z 0-9 - _");
    sodium_bin2hex(hex, sizeof hex, subject->binding, PKI_BINDING_BYTES);
    snprintf(out, PKI_DN_BYTES, "CN=%s,OU=%s,serialNumber=%s", subject->name, subject->role, hex);
    return DONE;
}

static bool oid_is(const mbedtls_x509_buf *oid, const char *text, size_t n)
{
    return oid->len == n && memcmp(oid->p, text, n) == 0;
}

static bool copy_attribute(char *out, size_t capacity, const mbedtls_x509_buf *value)
{
    if (out[0] != '\0' || value->len == 0 || value->len >= capacity ||
        memchr(value->p, 0, value->len))
        return false;
    memcpy(out, value->p, value->len);
    out[value->len] = '\0';
    return true;
}

struct result pki_read_subject(struct pki_subject *subject, const mbedtls_x509_name *name,
                               struct why *why)
{
    char hex[2 * PKI_BINDING_BYTES + 1] = "";
    size_t got = 0;
    bool fits = true;
    *subject = (struct pki_subject){0};
    for (const mbedtls_x509_name *n = name; n; n = n->next) {
        if (oid_is(&n->oid, MBEDTLS_OID_AT_CN, sizeof MBEDTLS_OID_AT_CN - 1))
            fits = fits && copy_attribute(subject->name, sizeof subject->name, &n->val);
        else if (oid_is(&n->oid, MBEDTLS_OID_AT_ORG_UNIT, sizeof MBEDTLS_OID_AT_ORG_UNIT - 1))
            fits = fits && copy_attribute(subject->role, sizeof subject->role, &n->val);
        else if (oid_is(&n->oid, MBEDTLS_OID_AT_SERIAL_NUMBER,
                        sizeof MBEDTLS_OID_AT_SERIAL_NUMBER - 1))
            fits = fits && copy_attribute(hex, sizeof hex, &n->val);
        else
            fits = false;
    }
    if (!fits || !pki_name_plain(subject->name) || !pki_name_plain(subject->role) ||
        sodium_hex2bin(subject->binding, PKI_BINDING_BYTES, hex, strlen(hex), NULL, &got, NULL) !=
            0 ||
        got != PKI_BINDING_BYTES)
        return failed(why, RESULT_REFUSED, "the subject is not one name, role and binding");
    return DONE;
}

struct result pki_make_key(struct pki_pem *ret_key, struct why *why)
{
    CLEANUP(mbedtls_pk_free) mbedtls_pk_context pk;
    mbedtls_pk_init(&pk);
    int rc = mbedtls_pk_setup(&pk, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
    if (rc == 0)
        rc = mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(pk), pki_random, NULL);
    if (rc == 0)
        rc = mbedtls_pk_write_key_pem(&pk, (unsigned char *)ret_key->text, sizeof ret_key->text);
    return rc == 0 ? DONE : pki_failed(why, rc, "make a key");
}

struct result pki_make_request(const struct pki_pem *key, const struct pki_subject *subject,
                               struct pki_pem *ret_request, struct why *why)
{
    CLEANUP(mbedtls_pk_free) mbedtls_pk_context pk;
    CLEANUP(mbedtls_x509write_csr_free) mbedtls_x509write_csr csr;
    char dn[PKI_DN_BYTES];
    mbedtls_pk_init(&pk);
    mbedtls_x509write_csr_init(&csr);
    TRY(pki_subject_text(dn, subject, why));
    TRY(pki_read_key(&pk, key, why));
    mbedtls_x509write_csr_set_md_alg(&csr, MBEDTLS_MD_SHA256);
    mbedtls_x509write_csr_set_key(&csr, &pk);
    int rc = mbedtls_x509write_csr_set_subject_name(&csr, dn);
    if (rc == 0)
        rc = mbedtls_x509write_csr_pem(&csr, (unsigned char *)ret_request->text,
                                       sizeof ret_request->text, pki_random, NULL);
    return rc == 0 ? DONE : pki_failed(why, rc, "make a certificate request");
}

static bool is_p256(const mbedtls_pk_context *pk)
{
    return mbedtls_pk_can_do(pk, MBEDTLS_PK_ECKEY) &&
           mbedtls_pk_ec(*pk)->grp.id == MBEDTLS_ECP_DP_SECP256R1;
}

struct result pki_check_request(const struct pki_pem *request, struct pki_subject *ret_subject,
                                struct why *why)
{
    CLEANUP(mbedtls_x509_csr_free) mbedtls_x509_csr csr;
    unsigned char hash[PKI_SHA256_BYTES];
    mbedtls_x509_csr_init(&csr);
    TRY(pki_read_request(&csr, request, why));
    if (!is_p256(&csr.pk) || csr.sig_md != MBEDTLS_MD_SHA256 || csr.sig_pk != MBEDTLS_PK_ECDSA)
        return failed(why, RESULT_REFUSED, "the request's key is not P-256 with SHA-256");
    /* Parsing does not look at the signature. */
    int rc = mbedtls_md(mbedtls_md_info_from_type(csr.sig_md), csr.cri.p, csr.cri.len, hash);
    if (rc != 0)
        return pki_failed(why, rc, "hash the request");
    if (mbedtls_pk_verify_ext(csr.sig_pk, csr.sig_opts, &csr.pk, csr.sig_md, hash, sizeof hash,
                              csr.sig.p, csr.sig.len) != 0)
        return failed(why, RESULT_REFUSED, "the request's own signature is wrong");
    return pki_read_subject(ret_subject, &csr.subject, why);
}

struct result pki_check_certificate(const struct pki_pem *certificate,
                                    const struct pki_pem *authority, const struct pki_pem *key,
                                    struct pki_subject *ret_subject, struct why *why)
{
    CLEANUP(mbedtls_x509_crt_free) mbedtls_x509_crt crt;
    CLEANUP(mbedtls_x509_crt_free) mbedtls_x509_crt ca;
    CLEANUP(mbedtls_pk_free) mbedtls_pk_context pk;
    uint32_t flags = 0;
    mbedtls_x509_crt_init(&crt);
    mbedtls_x509_crt_init(&ca);
    mbedtls_pk_init(&pk);
    TRY(pki_read_certificate(&crt, certificate, why));
    TRY(pki_read_certificate(&ca, authority, why));
    if (mbedtls_x509_crt_verify(&crt, &ca, NULL, NULL, &flags, NULL, NULL) != 0) {
        char text[256];
        mbedtls_x509_crt_verify_info(text, sizeof text, "", flags);
        text[strcspn(text, "\n")] = '\0';
        return failed(why, RESULT_REFUSED, "the certificate is not good: %s", text);
    }
    if (mbedtls_x509_crt_check_extended_key_usage(&crt, MBEDTLS_OID_CLIENT_AUTH,
                                                  sizeof MBEDTLS_OID_CLIENT_AUTH - 1) != 0 ||
        crt.ca_istrue)
        return failed(why, RESULT_REFUSED, "the certificate is not a member's");
    if (key) {
        TRY(pki_read_key(&pk, key, why));
        if (mbedtls_pk_check_pair(&crt.pk, &pk) != 0)
            return failed(why, RESULT_REFUSED, "the certificate is for another key");
    }
    return pki_read_subject(ret_subject, &crt.subject, why);
}

struct result pki_der(const struct pki_pem *pem, unsigned char ret_der[PKI_DER_BYTES],
                      size_t *ret_n, struct why *why)
{
    static const char *const kinds[][2] = {
        {"-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"},
        {"-----BEGIN CERTIFICATE REQUEST-----", "-----END CERTIFICATE REQUEST-----"},
    };
    bool closed = memchr(pem->text, 0, sizeof pem->text) != NULL;
    for (size_t i = 0; closed && i < sizeof kinds / sizeof *kinds; i++) {
        mbedtls_pem_context context;
        size_t used = 0;
        mbedtls_pem_init(&context);
        int rc = mbedtls_pem_read_buffer(&context, kinds[i][0], kinds[i][1],
                                         (const unsigned char *)pem->text, NULL, 0, &used);
        bool fits = rc == 0 && context.buflen <= PKI_DER_BYTES;
        if (fits) {
            memcpy(ret_der, context.buf, context.buflen);
            *ret_n = context.buflen;
        }
        mbedtls_pem_free(&context);
        if (fits)
            return DONE;
    }
    return failed(why, RESULT_INPUT, "not a certificate or request in PEM");
}
