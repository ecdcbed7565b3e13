/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates: requests bind a key, tampering is refused, revocation lists read back. */
#include "proto/pki.h"
#include "proto/words.h"

#include <mbedtls/x509_crl.h>
#include <mbedtls/x509_crt.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static struct pki_authority authority, other;
static struct pki_pem key, request, certificate;
static struct pki_subject subject = {.name = "rome", .role = "site", .binding = {1, 2, 3}};
static unsigned char serial[PKI_SERIAL_BYTES];
static struct why why;

static int prepare(void **state)
{
    (void)state;
    int64_t now = time(NULL);
    if (!ok(pki_make_authority("demo", now, &authority, &why)) ||
        !ok(pki_make_authority("other", now, &other, &why)) || !ok(pki_make_key(&key, &why)) ||
        !ok(pki_make_request(&key, &subject, &request, &why)) ||
        !ok(pki_issue(&authority, &request, now, serial, &certificate, &why))) {
        fprintf(stderr, "%s\n", why.text);
        return -1;
    }
    return 0;
}

static void issued_certificate_says_who(void **state)
{
    (void)state;
    struct pki_subject got;
    assert_true(ok(pki_check_request(&request, &got, &why)));
    assert_memory_equal(&got, &subject, sizeof got);
    assert_true(ok(pki_check_certificate(&certificate, &authority.certificate, &key, &got, &why)));
    assert_memory_equal(&got, &subject, sizeof got);
}

static void foreign_certificates_are_refused(void **state)
{
    (void)state;
    struct pki_subject got;
    struct pki_pem wrong;
    assert_int_equal(pki_check_certificate(&certificate, &other.certificate, NULL, &got, &why).code,
                     RESULT_REFUSED);
    assert_true(ok(pki_make_key(&wrong, &why)));
    assert_int_equal(
        pki_check_certificate(&certificate, &authority.certificate, &wrong, &got, &why).code,
        RESULT_REFUSED);
    assert_non_null(strstr(why.text, "another key"));
    /* The authority's own certificate and a server's are not a member's. */
    assert_int_equal(pki_check_certificate(&authority.certificate, &authority.certificate, NULL,
                                           &got, &why)
                         .code,
                     RESULT_REFUSED);
    const char *hosts[] = {"localhost", "127.0.0.1", "::1", NULL};
    assert_true(ok(pki_issue_server(&authority, &key, "broker", hosts, time(NULL), &wrong, &why)));
    assert_int_equal(pki_check_certificate(&wrong, &authority.certificate, &key, &got, &why).code,
                     RESULT_REFUSED);
    /* Expired, and not valid yet. */
    int64_t past = time(NULL) - (int64_t)(PKI_MEMBER_DAYS + 2) * 86400;
    unsigned char s[PKI_SERIAL_BYTES];
    assert_true(ok(pki_issue(&authority, &request, past, s, &wrong, &why)));
    assert_int_equal(pki_check_certificate(&wrong, &authority.certificate, &key, &got, &why).code,
                     RESULT_REFUSED);
    assert_true(ok(pki_issue(&authority, &request, time(NULL) + 2 * 86400, s, &wrong, &why)));
    assert_int_equal(pki_check_certificate(&wrong, &authority.certificate, &key, &got, &why).code,
                     RESULT_REFUSED);
}

/* Changes one byte of the request's body and prints it again. */
static void tampered_requests_are_refused(void **state)
{
    (void)state;
    unsigned char der[PKI_DER_BYTES];
    size_t n = 0;
    struct pki_subject got;
    assert_true(ok(pki_der(&request, der, &n, &why)));
    size_t at = 0;
    while (at + 4 < n && memcmp(der + at, "rome", 4) != 0)
        at++;
    assert_true(at + 4 < n);
    der[at] = 'l';
    struct pki_pem tampered;
    char base64[2 * PKI_DER_BYTES];
    sodium_bin2base64(base64, sizeof base64, der, n, sodium_base64_VARIANT_ORIGINAL);
    int used =
        snprintf(tampered.text, sizeof tampered.text, "-----BEGIN CERTIFICATE REQUEST-----\n");
    for (size_t i = 0; i < strlen(base64); i += 64)
        used += snprintf(tampered.text + used, sizeof tampered.text - (size_t)used, "%.64s\n",
                         base64 + i);
    snprintf(tampered.text + used, sizeof tampered.text - (size_t)used,
             "-----END CERTIFICATE REQUEST-----\n");
    assert_int_equal(pki_check_request(&tampered, &got, &why).code, RESULT_REFUSED);
    assert_non_null(strstr(why.text, "signature"));
    assert_int_equal(pki_issue(&authority, &tampered, time(NULL), serial, &tampered, &why).code,
                     RESULT_REFUSED);
    struct pki_pem garbage = {"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"};
    assert_int_equal(pki_check_request(&garbage, &got, &why).code, RESULT_INPUT);
    memset(garbage.text, 'A', sizeof garbage.text);
    assert_int_equal(pki_check_request(&garbage, &got, &why).code, RESULT_INPUT);
    assert_int_equal(pki_der(&garbage, der, &n, &why).code, RESULT_INPUT);
}

static void odd_names_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "a,CN=b", "a=b", "a+b", " a", "a\nb", "é"};
    struct pki_pem out;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct pki_subject s = {.role = "site"};
        snprintf(s.name, sizeof s.name, "%s", bad[i]);
        assert_int_equal(pki_make_request(&key, &s, &out, &why).code, RESULT_INPUT);
    }
    const char *hosts[] = {"bad host", NULL};
    assert_int_equal(
        pki_issue_server(&authority, &key, "broker", hosts, time(NULL), &out, &why).code,
        RESULT_INPUT);
    const char *none[] = {NULL};
    assert_int_equal(
        pki_issue_server(&authority, &key, "broker", none, time(NULL), &out, &why).code,
        RESULT_INPUT);
}

/* Reads the list with mbedTLS's own parser and verifies certificates against it. */
static void revocation_list_reads_back(void **state)
{
    (void)state;
    struct pki_revoked revoked[3] = {{.time_s = time(NULL)}, {.time_s = 2600000000}, {.time_s = 1}};
    memcpy(revoked[1].serial, serial, sizeof serial);
    revoked[0].serial[0] = revoked[2].serial[0] = 0x41;
    static const size_t counts[] = {0, 1, 3};
    for (size_t i = 0; i < 3; i++) {
        char *text = NULL;
        mbedtls_x509_crl crl;
        mbedtls_x509_crt ca, crt;
        uint32_t flags = 0;
        assert_true(ok(pki_write_revocations(&authority, revoked, counts[i], 1ULL << (20 * i),
                                             time(NULL) - 5, &text, &why)));
        mbedtls_x509_crl_init(&crl);
        mbedtls_x509_crt_init(&ca);
        mbedtls_x509_crt_init(&crt);
        assert_int_equal(mbedtls_x509_crl_parse(&crl, (unsigned char *)text, strlen(text) + 1), 0);
        assert_int_equal(mbedtls_x509_crt_parse(&ca, (unsigned char *)authority.certificate.text,
                                                strlen(authority.certificate.text) + 1),
                         0);
        assert_int_equal(mbedtls_x509_crt_parse(&crt, (unsigned char *)certificate.text,
                                                strlen(certificate.text) + 1),
                         0);
        int rc = mbedtls_x509_crt_verify(&crt, &ca, &crl, NULL, &flags, NULL, NULL);
        assert_int_equal(flags, counts[i] < 2 ? 0 : MBEDTLS_X509_BADCERT_REVOKED);
        assert_int_equal(rc == 0, counts[i] < 2);
        mbedtls_x509_crl_free(&crl);
        mbedtls_x509_crt_free(&ca);
        mbedtls_x509_crt_free(&crt);
        free(text);
    }
}

static void words_are_distinct_and_short(void **state)
{
    (void)state;
    for (int i = 0; i < 256; i++) {
        const char *word = words_for_byte((unsigned char)i);
        size_t n = strlen(word);
        assert_in_range(n, 2, WORDS_LENGTH_MAX);
        assert_int_equal(strspn(word, "abcdefghijklmnopqrstuvwxyz"), n);
        for (int j = 0; j < i; j++)
            assert_int_not_equal(strncmp(word, words_for_byte((unsigned char)j), 4), 0);
    }
    unsigned char fingerprint[WORDS_FINGERPRINT_BYTES] = {0, 255, 1, 0, 0, 0, 0, 2};
    char text[WORDS_BYTES];
    words_of(text, fingerprint);
    assert_string_equal(text, "acorn zipper almond acorn acorn acorn acorn amber");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(issued_certificate_says_who),
        cmocka_unit_test(foreign_certificates_are_refused),
        cmocka_unit_test(tampered_requests_are_refused),
        cmocka_unit_test(odd_names_are_refused),
        cmocka_unit_test(revocation_list_reads_back),
        cmocka_unit_test(words_are_distinct_and_short),
    };
    return cmocka_run_group_tests_name("pki", tests, prepare, NULL);
}
