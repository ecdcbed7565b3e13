/* SPDX-License-Identifier: Apache-2.0 */
/* The authority and the certificates that it issues (RFC 5280, profile for TLS). */
#include "proto/pki.h"

#include "proto/pki_mbedtls.h"

#include <arpa/inet.h>
#include <mbedtls/asn1write.h>
#include <mbedtls/oid.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { DAY_S = 86400, TIME_BYTES = 16, EXTENSION_BYTES = 2048 };

/* A certificate in the making. */
struct draft {
    mbedtls_x509write_cert write;
    mbedtls_pk_context issuer_key;
    mbedtls_x509_crt issuer;
};

static void draft_open(struct draft *d)
{
    mbedtls_x509write_crt_init(&d->write);
    mbedtls_pk_init(&d->issuer_key);
    mbedtls_x509_crt_init(&d->issuer);
    mbedtls_x509write_crt_set_version(&d->write, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(&d->write, MBEDTLS_MD_SHA256);
}

static void draft_close(struct draft *d)
{
    mbedtls_x509write_crt_free(&d->write);
    mbedtls_pk_free(&d->issuer_key);
    mbedtls_x509_crt_free(&d->issuer);
}

static void time_text(char out[TIME_BYTES], int64_t time_s)
{
    time_t t = (time_t)time_s;
    struct tm utc;
    gmtime_r(&t, &utc);
    strftime(out, TIME_BYTES, "%Y%m%d%H%M%S", &utc);
}

/* Valid from a day ago, so that a clock somewhat behind does not matter. */
static int set_validity(struct draft *d, int64_t now_s, int days)
{
    char from[TIME_BYTES], to[TIME_BYTES];
    time_text(from, now_s - DAY_S);
    time_text(to, now_s + (int64_t)days * DAY_S);
    return mbedtls_x509write_crt_set_validity(&d->write, from, to);
}

static int set_serial(struct draft *d, unsigned char serial[PKI_SERIAL_BYTES])
{
    mbedtls_mpi number;
    randombytes_buf(serial, PKI_SERIAL_BYTES);
    /* Positive, and never shorter than its bytes. */
    serial[0] = (unsigned char)((serial[0] & 0x3f) | 0x40);
    mbedtls_mpi_init(&number);
    int rc = mbedtls_mpi_read_binary(&number, serial, PKI_SERIAL_BYTES);
    if (rc == 0)
        rc = mbedtls_x509write_crt_set_serial(&d->write, &number);
    mbedtls_mpi_free(&number);
    return rc;
}

static struct result set_issuer(struct draft *d, const struct pki_authority *authority,
                                struct why *why)
{
    char dn[PKI_DN_BYTES];
    TRY(pki_read_key(&d->issuer_key, &authority->key, why));
    TRY(pki_read_certificate(&d->issuer, &authority->certificate, why));
    if (mbedtls_pk_check_pair(&d->issuer.pk, &d->issuer_key) != 0)
        return failed(why, RESULT_REFUSED, "the authority's key is not that of its certificate");
    mbedtls_x509write_crt_set_issuer_key(&d->write, &d->issuer_key);
    int rc = mbedtls_x509_dn_gets(dn, sizeof dn, &d->issuer.subject);
    if (rc >= 0)
        rc = mbedtls_x509write_crt_set_issuer_name(&d->write, dn);
    return rc == 0 ? DONE : pki_failed(why, rc, "name the authority");
}

static struct result finish(struct draft *d, struct pki_pem *ret_certificate, struct why *why)
{
    int rc = mbedtls_x509write_crt_pem(&d->write, (unsigned char *)ret_certificate->text,
                                       sizeof ret_certificate->text, pki_random, NULL);
    return rc == 0 ? DONE : pki_failed(why, rc, "write a certificate");
}

static int set_extended_usage(struct draft *d, const char *purpose, size_t purpose_n)
{
    unsigned char buffer[64];
    unsigned char *p = buffer + sizeof buffer;
    int n = mbedtls_asn1_write_oid(&p, buffer, purpose, purpose_n);
    int length = n < 0 ? n : mbedtls_asn1_write_len(&p, buffer, (size_t)n);
    int tag = length < 0 ? length
                         : mbedtls_asn1_write_tag(&p, buffer,
                                                  MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE);
    if (tag < 0)
        return tag;
    return mbedtls_x509write_crt_set_extension(&d->write, MBEDTLS_OID_EXTENDED_KEY_USAGE,
                                               sizeof MBEDTLS_OID_EXTENDED_KEY_USAGE - 1, 0, p,
                                               (size_t)(buffer + sizeof buffer - p));
}

/* What members' and servers' certificates have in common. */
static int set_end_entity(struct draft *d, const char *purpose, size_t purpose_n)
{
    int rc = mbedtls_x509write_crt_set_basic_constraints(&d->write, 0, -1);
    if (rc == 0)
        rc = mbedtls_x509write_crt_set_key_usage(&d->write, MBEDTLS_X509_KU_DIGITAL_SIGNATURE);
    if (rc == 0)
        rc = set_extended_usage(d, purpose, purpose_n);
    if (rc == 0)
        rc = mbedtls_x509write_crt_set_subject_key_identifier(&d->write);
    if (rc == 0)
        rc = mbedtls_x509write_crt_set_authority_key_identifier(&d->write);
    return rc;
}

static struct result make_authority(struct draft *d, const char *consortium, int64_t now_s,
                                    struct pki_authority *authority, struct why *why)
{
    char dn[PKI_DN_BYTES];
    unsigned char serial[PKI_SERIAL_BYTES];
    TRY(pki_read_key(&d->issuer_key, &authority->key, why));
    snprintf(dn, sizeof dn, "CN=%s authority,O=%s", consortium, consortium);
    mbedtls_x509write_crt_set_subject_key(&d->write, &d->issuer_key);
    mbedtls_x509write_crt_set_issuer_key(&d->write, &d->issuer_key);
    int rc = mbedtls_x509write_crt_set_subject_name(&d->write, dn);
    if (rc == 0)
        rc = mbedtls_x509write_crt_set_issuer_name(&d->write, dn);
    if (rc == 0)
        rc = set_serial(d, serial);
    if (rc == 0)
        rc = set_validity(d, now_s, PKI_AUTHORITY_DAYS);
    if (rc == 0)
        rc = mbedtls_x509write_crt_set_basic_constraints(&d->write, 1, 0);
    if (rc == 0)
        rc = mbedtls_x509write_crt_set_key_usage(&d->write, MBEDTLS_X509_KU_KEY_CERT_SIGN |
                                                                MBEDTLS_X509_KU_CRL_SIGN);
    if (rc == 0)
        rc = mbedtls_x509write_crt_set_subject_key_identifier(&d->write);
    if (rc == 0)
        rc = mbedtls_x509write_crt_set_authority_key_identifier(&d->write);
    if (rc != 0)
        return pki_failed(why, rc, "make the authority");
    return finish(d, &authority->certificate, why);
}

struct result pki_make_authority(const char *consortium, int64_t now_s,
                                 struct pki_authority *ret_authority, struct why *why)
{
    if (!pki_name_plain(consortium))
        return failed(why, RESULT_INPUT, "'%.60s' is not a consortium's name", consortium);
    TRY(pki_make_key(&ret_authority->key, why));
    CLEANUP(draft_close) struct draft d;
    draft_open(&d);
    return make_authority(&d, consortium, now_s, ret_authority, why);
}

static struct result issue(struct draft *d, mbedtls_x509_csr *csr,
                           const struct pki_subject *subject, int64_t now_s,
                           unsigned char serial[PKI_SERIAL_BYTES], struct why *why)
{
    char dn[PKI_DN_BYTES];
    TRY(pki_subject_text(dn, subject, why));
    mbedtls_x509write_crt_set_subject_key(&d->write, &csr->pk);
    int rc = mbedtls_x509write_crt_set_subject_name(&d->write, dn);
    if (rc == 0)
        rc = set_serial(d, serial);
    if (rc == 0)
        rc = set_validity(d, now_s, PKI_MEMBER_DAYS);
    if (rc == 0)
        rc = set_end_entity(d, MBEDTLS_OID_CLIENT_AUTH, sizeof MBEDTLS_OID_CLIENT_AUTH - 1);
    return rc == 0 ? DONE : pki_failed(why, rc, "issue a certificate");
}

struct result pki_issue(const struct pki_authority *authority, const struct pki_pem *request,
                        int64_t now_s, unsigned char ret_serial[PKI_SERIAL_BYTES],
                        struct pki_pem *ret_certificate, struct why *why)
{
    struct pki_subject subject;
    TRY(pki_check_request(request, &subject, why));
    CLEANUP(mbedtls_x509_csr_free) mbedtls_x509_csr csr;
    CLEANUP(draft_close) struct draft d;
    mbedtls_x509_csr_init(&csr);
    draft_open(&d);
    TRY(pki_read_request(&csr, request, why));
    TRY(set_issuer(&d, authority, why));
    TRY(issue(&d, &csr, &subject, now_s, ret_serial, why));
    return finish(&d, ret_certificate, why);
}

/* One GeneralName: iPAddress [7] or dNSName [2] (RFC 5280, 4.2.1.6). Writes backwards. */
static int write_host(unsigned char **p, unsigned char *start, const char *host)
{
    unsigned char address[16];
    const unsigned char *value = (const unsigned char *)host;
    size_t value_n = strlen(host);
    int tag = MBEDTLS_ASN1_CONTEXT_SPECIFIC | 2;
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1) {
        value_n = strchr(host, ':') ? 16 : 4;
        value = address;
        tag = MBEDTLS_ASN1_CONTEXT_SPECIFIC | 7;
    }
    int ret = 0, n = 0;
    MBEDTLS_ASN1_CHK_ADD(n, mbedtls_asn1_write_raw_buffer(p, start, value, value_n));
    MBEDTLS_ASN1_CHK_ADD(n, mbedtls_asn1_write_len(p, start, value_n));
    MBEDTLS_ASN1_CHK_ADD(n, mbedtls_asn1_write_tag(p, start, (unsigned char)tag));
    return n;
}

static int set_hosts(struct draft *d, const char *const *hosts)
{
    unsigned char buffer[EXTENSION_BYTES];
    unsigned char *p = buffer + sizeof buffer;
    int ret = 0, n = 0;
    for (const char *const *host = hosts; *host; host++)
        MBEDTLS_ASN1_CHK_ADD(n, write_host(&p, buffer, *host));
    MBEDTLS_ASN1_CHK_ADD(n, mbedtls_asn1_write_len(&p, buffer, (size_t)n));
    MBEDTLS_ASN1_CHK_ADD(n,
                         mbedtls_asn1_write_tag(&p, buffer,
                                                MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE));
    return mbedtls_x509write_crt_set_extension(&d->write, MBEDTLS_OID_SUBJECT_ALT_NAME,
                                               sizeof MBEDTLS_OID_SUBJECT_ALT_NAME - 1, 0, p,
                                               (size_t)n);
}

static struct result check_hosts(const char *const *hosts, struct why *why)
{
    size_t count = 0;
    for (; hosts[count]; count++) {
        size_t n = strnlen(hosts[count], PKI_HOST_BYTES);
        if (count == PKI_HOSTS_MAX)
            return failed(why, RESULT_INPUT, "more than %d host names", PKI_HOSTS_MAX);
        if (n == 0 || n == PKI_HOST_BYTES ||
            strspn(hosts[count], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                 "-.:") != n)
            return failed(why, RESULT_INPUT, "'%.60s' is not a host name or address", hosts[count]);
    }
    return count > 0 ? DONE : failed(why, RESULT_INPUT, "a server needs a host name or address");
}

struct result pki_issue_server(const struct pki_authority *authority,
                               const struct pki_pem *server_key, const char *name,
                               const char *const *hosts, int64_t now_s,
                               struct pki_pem *ret_certificate, struct why *why)
{
    CLEANUP(mbedtls_pk_free) mbedtls_pk_context pk;
    CLEANUP(draft_close) struct draft d;
    char dn[PKI_DN_BYTES];
    unsigned char serial[PKI_SERIAL_BYTES];
    mbedtls_pk_init(&pk);
    draft_open(&d);
    TRY(check_hosts(hosts, why));
    if (!pki_name_plain(name))
        return failed(why, RESULT_INPUT, "'%.60s' is not a server's name", name);
    TRY(pki_read_key(&pk, server_key, why));
    TRY(set_issuer(&d, authority, why));
    snprintf(dn, sizeof dn, "CN=%s", name);
    mbedtls_x509write_crt_set_subject_key(&d.write, &pk);
    int rc = mbedtls_x509write_crt_set_subject_name(&d.write, dn);
    if (rc == 0)
        rc = set_serial(&d, serial);
    if (rc == 0)
        rc = set_validity(&d, now_s, PKI_AUTHORITY_DAYS - 2);
    if (rc == 0)
        rc = set_end_entity(&d, MBEDTLS_OID_SERVER_AUTH, sizeof MBEDTLS_OID_SERVER_AUTH - 1);
    if (rc == 0)
        rc = set_hosts(&d, hosts);
    if (rc != 0)
        return pki_failed(why, rc, "issue the server's certificate");
    return finish(&d, ret_certificate, why);
}
