/* SPDX-License-Identifier: Apache-2.0 */
/* The revocation list (RFC 5280, section 5), which mbedTLS can read but not write.
 *
 * ASN.1 is written backwards, from the end of a buffer to its start. */
#include "proto/pki.h"

#include "proto/pki_mbedtls.h"

#include <mbedtls/asn1write.h>
#include <mbedtls/oid.h>
#include <mbedtls/pem.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    FIXED_BYTES = 1024, /* names, times, algorithm, signature */
    ENTRY_BYTES = 64,
    SEQUENCE = MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE,
};

struct list {
    const mbedtls_x509_crt *issuer;
    const struct pki_revoked *revoked;
    size_t count;
    uint64_t number;
    int64_t now_s;
};

/* Puts length and tag before the n bytes at *p; passes an error in n through. */
static int wrap(unsigned char **p, unsigned char *start, int n, int tag)
{
    int ret = 0;
    if (n < 0)
        return n;
    MBEDTLS_ASN1_CHK_ADD(n, mbedtls_asn1_write_len(p, start, (size_t)n));
    MBEDTLS_ASN1_CHK_ADD(n, mbedtls_asn1_write_tag(p, start, (unsigned char)tag));
    return n;
}

/* UTCTime through 2049, GeneralizedTime after (5.1.2.4). */
static int write_time(unsigned char **p, unsigned char *start, const struct tm *utc)
{
    char text[20];
    bool utc_time = utc->tm_year + 1900 < 2050;
    size_t n = strftime(text, sizeof text, "%Y%m%d%H%M%SZ", utc);
    size_t skipped = utc_time ? 2 : 0;
    int written =
        mbedtls_asn1_write_raw_buffer(p, start, (const unsigned char *)text + skipped, n - skipped);
    return wrap(p, start, written,
                utc_time ? MBEDTLS_ASN1_UTC_TIME : MBEDTLS_ASN1_GENERALIZED_TIME);
}

static int write_unix_time(unsigned char **p, unsigned char *start, int64_t time_s)
{
    time_t t = (time_t)time_s;
    struct tm utc;
    gmtime_r(&t, &utc);
    return write_time(p, start, &utc);
}

/* A positive INTEGER whose first bit is 0, as our serials have it. */
static int write_serial(unsigned char **p, unsigned char *start, const unsigned char *serial)
{
    int ret = 0, n = 0;
    MBEDTLS_ASN1_CHK_ADD(n, mbedtls_asn1_write_raw_buffer(p, start, serial, PKI_SERIAL_BYTES));
    return wrap(p, start, n, MBEDTLS_ASN1_INTEGER);
}

static int write_entries(unsigned char **p, unsigned char *start, const struct list *list)
{
    int ret = 0, total = 0;
    /* An empty list must be left out. */
    if (list->count == 0)
        return 0;
    for (size_t i = list->count; i-- > 0;) {
        int n = 0;
        MBEDTLS_ASN1_CHK_ADD(n, write_unix_time(p, start, list->revoked[i].time_s));
        MBEDTLS_ASN1_CHK_ADD(n, write_serial(p, start, list->revoked[i].serial));
        MBEDTLS_ASN1_CHK_ADD(total, wrap(p, start, n, SEQUENCE));
    }
    return wrap(p, start, total, SEQUENCE);
}

/* cRLNumber (5.2.3), which lets a reader tell the newer of two lists. */
static int write_extensions(unsigned char **p, unsigned char *start, const struct list *list)
{
    unsigned char number[9] = {0};
    int ret = 0, n = 0;
    for (int i = 0; i < 8; i++)
        number[8 - i] = (unsigned char)(list->number >> (8 * i));
    size_t first = 0;
    while (first < sizeof number - 1 && number[first] == 0 && !(number[first + 1] & 0x80))
        first++;
    n = mbedtls_asn1_write_raw_buffer(p, start, number + first, sizeof number - first);
    n = wrap(p, start, n, MBEDTLS_ASN1_INTEGER);
    n = wrap(p, start, n, MBEDTLS_ASN1_OCTET_STRING);
    if (n < 0)
        return n;
    MBEDTLS_ASN1_CHK_ADD(n, mbedtls_asn1_write_oid(p, start, MBEDTLS_OID_CRL_NUMBER,
                                                   sizeof MBEDTLS_OID_CRL_NUMBER - 1));
    n = wrap(p, start, n, SEQUENCE);
    n = wrap(p, start, n, SEQUENCE);
    return wrap(p, start, n, MBEDTLS_ASN1_CONTEXT_SPECIFIC | MBEDTLS_ASN1_CONSTRUCTED);
}

/* ecdsa-with-SHA256, whose parameters are absent (RFC 5758). */
static int write_algorithm(unsigned char **p, unsigned char *start)
{
    int ret = 0, n = 0;
    MBEDTLS_ASN1_CHK_ADD(n, mbedtls_asn1_write_oid(p, start, MBEDTLS_OID_ECDSA_SHA256,
                                                   sizeof MBEDTLS_OID_ECDSA_SHA256 - 1));
    return wrap(p, start, n, SEQUENCE);
}

static int write_body(unsigned char **p, unsigned char *start, const struct list *list)
{
    const mbedtls_x509_time *until = &list->issuer->valid_to;
    struct tm utc = {.tm_year = until->year - 1900,
                     .tm_mon = until->mon - 1,
                     .tm_mday = until->day,
                     .tm_hour = until->hour,
                     .tm_min = until->min,
                     .tm_sec = until->sec};
    int ret = 0, n = 0;
    MBEDTLS_ASN1_CHK_ADD(n, write_extensions(p, start, list));
    MBEDTLS_ASN1_CHK_ADD(n, write_entries(p, start, list));
    MBEDTLS_ASN1_CHK_ADD(n, write_time(p, start, &utc));
    MBEDTLS_ASN1_CHK_ADD(n, write_unix_time(p, start, list->now_s));
    MBEDTLS_ASN1_CHK_ADD(n, mbedtls_asn1_write_raw_buffer(p, start, list->issuer->subject_raw.p,
                                                          list->issuer->subject_raw.len));
    MBEDTLS_ASN1_CHK_ADD(n, write_algorithm(p, start));
    MBEDTLS_ASN1_CHK_ADD(n, mbedtls_asn1_write_int(p, start, 1)); /* version 2 */
    return wrap(p, start, n, SEQUENCE);
}

/* The whole list from body_n bytes of body, which stand at *p; moves *p to its start. */
static int write_signed(unsigned char **p, unsigned char *start, const unsigned char *body,
                        size_t body_n, mbedtls_pk_context *key)
{
    unsigned char hash[PKI_SHA256_BYTES];
    unsigned char signature[MBEDTLS_PK_SIGNATURE_MAX_SIZE];
    size_t signature_n = 0;
    int ret = 0, n = 0;
    ret = mbedtls_md(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), body, body_n, hash);
    if (ret == 0)
        ret = mbedtls_pk_sign(key, MBEDTLS_MD_SHA256, hash, sizeof hash, signature, &signature_n,
                              pki_random, NULL);
    if (ret != 0)
        return ret;
    MBEDTLS_ASN1_CHK_ADD(n, mbedtls_asn1_write_bitstring(p, start, signature, signature_n * 8));
    MBEDTLS_ASN1_CHK_ADD(n, write_algorithm(p, start));
    MBEDTLS_ASN1_CHK_ADD(n, mbedtls_asn1_write_raw_buffer(p, start, body, body_n));
    return wrap(p, start, n, SEQUENCE);
}

static struct result print_pem(const unsigned char *der, size_t n, char **ret_text, struct why *why)
{
    size_t capacity = 2 * n + 256, used = 0;
    CLEANUP(free_pointer) char *text = malloc(capacity);
    if (!text)
        return failed(why, RESULT_SYSTEM, "no memory for the revocation list");
    int rc = mbedtls_pem_write_buffer("-----BEGIN X509 CRL-----\n", "-----END X509 CRL-----\n", der,
                                      n, (unsigned char *)text, capacity, &used);
    if (rc != 0)
        return pki_failed(why, rc, "print the revocation list");
    *ret_text = TAKE(text);
    return DONE;
}

static struct result write_list(const struct list *list, mbedtls_pk_context *key, char **ret_text,
                                struct why *why)
{
    size_t capacity = FIXED_BYTES + list->count * ENTRY_BYTES;
    CLEANUP(free_pointer) unsigned char *body = malloc(capacity);
    CLEANUP(free_pointer) unsigned char *whole = malloc(capacity);
    if (!body || !whole)
        return failed(why, RESULT_SYSTEM, "no memory for the revocation list");
    unsigned char *p = body + capacity;
    int body_n = write_body(&p, body, list);
    if (body_n < 0)
        return pki_failed(why, body_n, "write the revocation list");
    unsigned char *q = whole + capacity;
    int n = write_signed(&q, whole, p, (size_t)body_n, key);
    if (n < 0)
        return pki_failed(why, n, "sign the revocation list");
    return print_pem(q, (size_t)n, ret_text, why);
}

struct result pki_write_revocations(const struct pki_authority *authority,
                                    const struct pki_revoked *revoked, size_t count,
                                    uint64_t number, int64_t now_s, char **ret_text,
                                    struct why *why)
{
    CLEANUP(mbedtls_pk_free) mbedtls_pk_context key;
    CLEANUP(mbedtls_x509_crt_free) mbedtls_x509_crt issuer;
    mbedtls_pk_init(&key);
    mbedtls_x509_crt_init(&issuer);
    if (count > PKI_REVOKED_MAX)
        return failed(why, RESULT_INPUT, "more than %d revoked certificates", PKI_REVOKED_MAX);
    TRY(pki_read_key(&key, &authority->key, why));
    TRY(pki_read_certificate(&issuer, &authority->certificate, why));
    struct list list = {&issuer, revoked, count, number, now_s};
    return write_list(&list, &key, ret_text, why);
}
