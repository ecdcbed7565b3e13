/* SPDX-License-Identifier: Apache-2.0 */
/* Enrolment: requests and bundles. */
#include "proto/enrol.h"

#include "proto/base/cleanup.h"
#include "proto/base/record.h"
#include "proto/signed_text.h"
#include "proto/topic.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char REQUEST_FORMAT[] = "consilium request 1";
static const char BUNDLE_FORMAT[] = "consilium bundle 1";

enum { REQUEST_FIELDS = 6, BUNDLE_FIELDS = 9, COORDINATOR_FIELDS = 4 };

/* ---- requests ---- */

static void subject_of(const struct identity_public *who, struct pki_subject *subject)
{
    *subject = (struct pki_subject){0};
    snprintf(subject->name, sizeof subject->name, "%s", who->name);
    snprintf(subject->role, sizeof subject->role, "%s", role_name(who->role));
    identity_binding(who, subject->binding);
}

static struct result check_subject(const struct pki_subject *subject,
                                   const struct identity_public *who, struct why *why)
{
    unsigned char binding[IDENTITY_BINDING_BYTES];
    identity_binding(who, binding);
    if (strcmp(subject->name, who->name) != 0 || strcmp(subject->role, role_name(who->role)) != 0 ||
        memcmp(subject->binding, binding, sizeof binding) != 0)
        return failed(why, RESULT_REFUSED,
                      "the certificate part is for another name, role or keys than %s", who->name);
    return DONE;
}

static struct result read_key_file(const struct identity *identity, struct pki_pem *key,
                                   struct why *why)
{
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0;
    TRY(fs_read(identity->key_file, sizeof key->text - 1, &text, &n, why));
    memcpy(key->text, text, n + 1);
    sodium_memzero(text, n);
    return DONE;
}

static struct result make_tls_request(const struct identity *identity, struct pki_pem *ret_request,
                                      struct why *why)
{
    struct pki_subject subject;
    struct pki_pem key;
    subject_of(&identity->self, &subject);
    struct result r = read_key_file(identity, &key, why);
    if (ok(r))
        r = pki_make_request(&key, &subject, ret_request, why);
    pki_wipe(&key);
    return r;
}

static struct result write_request(const struct identity *identity, const char *text, size_t n,
                                   struct why *why)
{
    char name[ROSTER_NAME_BYTES + 16];
    char path[FS_PATH_BYTES];
    snprintf(name, sizeof name, "%s.request", identity->self.name);
    TRY(fs_join(path, identity->folder, name, why));
    return fs_write_atomic(path, text, n, 0600, why);
}

static struct result make_request(const struct identity *identity,
                                  unsigned char fingerprint[WORDS_FINGERPRINT_BYTES],
                                  struct why *why)
{
    struct pki_pem tls_request;
    struct identity_secrets secrets;
    CLEANUP(close_record) struct record *record = record_new();
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0;
    TRY(make_tls_request(identity, &tls_request, why));
    record_put_text(record, "format", REQUEST_FORMAT);
    identity_put_public(record, &identity->self);
    record_put_text(record, "tls_request", tls_request.text);
    CLEANUP(free_pointer) char *body = record_print(record);
    if (!body)
        return failed(why, RESULT_SYSTEM, "no memory for the request");
    TRY(identity_load_secrets(identity, &secrets, why));
    struct result r =
        signed_text_print(REQUEST_FORMAT, body, strlen(body), secrets.sign, &text, &n, why);
    identity_wipe(&secrets);
    TRY(r);
    signed_text_hash(REQUEST_FORMAT, body, strlen(body), fingerprint);
    return write_request(identity, text, n, why);
}

struct result enrol_create(const char *folder, const char *name, enum role role,
                           unsigned char fingerprint[WORDS_FINGERPRINT_BYTES], struct why *why)
{
    char member[FS_PATH_BYTES];
    struct identity identity;
    TRY(fs_join(member, folder, "member.json", why));
    if (!fs_exists(member))
        TRY(identity_create(folder, name, role, why));
    TRY(identity_load(folder, &identity, why));
    if (strcmp(identity.self.name, name) != 0 || identity.self.role != role)
        return failed(why, RESULT_INPUT, "%s already holds the keys of %s '%s'", folder,
                      role_name(identity.self.role), identity.self.name);
    return make_request(&identity, fingerprint, why);
}

static struct result read_request(const struct record *record, struct enrol_request *request,
                                  struct why *why)
{
    TRY(record_fields(record, REQUEST_FIELDS, why));
    TRY(record_exactly(record, "format", REQUEST_FORMAT, why));
    TRY(identity_read_public(&request->who, record, why));
    return record_text(record, "tls_request", request->tls_request.text,
                       sizeof request->tls_request.text, why);
}

struct result enrol_read_request(const char *text, size_t n, struct enrol_request *request,
                                 struct why *why)
{
    CLEANUP(close_record) struct record *record = NULL;
    struct pki_subject subject;
    const char *body = NULL;
    size_t body_n = 0;
    *request = (struct enrol_request){0};
    if (n > ENROL_FILE_MAX)
        return failed(why, RESULT_INPUT, "a request has at most %d bytes", ENROL_FILE_MAX);
    TRY(signed_text_body(text, n, &body, &body_n, why));
    TRY(record_parse(body, body_n, &record, why));
    TRY(read_request(record, request, why));
    TRY(signed_text_check(REQUEST_FORMAT, text, n, request->who.sign_key, why));
    TRY(pki_check_request(&request->tls_request, &subject, why));
    TRY(check_subject(&subject, &request->who, why));
    signed_text_hash(REQUEST_FORMAT, body, body_n, request->fingerprint);
    return DONE;
}

/* ---- bundles ---- */

struct result enrol_print_bundle(const struct enrol_bundle *bundle,
                                 const unsigned char secret[IDENTITY_SIGN_SECRET_BYTES],
                                 char **ret_text, size_t *ret_n, struct why *why)
{
    CLEANUP(close_record) struct record *record = record_new();
    record_put_text(record, "format", BUNDLE_FORMAT);
    record_put_text(record, "member", bundle->member);
    record_put_text(record, "consortium", bundle->consortium);
    record_put_text(record, "host", bundle->host);
    record_put_number(record, "port", bundle->port);
    record_put_text(record, "ca", bundle->ca.text);
    record_put_text(record, "certificate", bundle->certificate.text);
    identity_put_public(record_put_child(record, "coordinator"), &bundle->coordinator);
    record_put_bytes(record, "request", bundle->request, sizeof bundle->request);
    CLEANUP(free_pointer) char *body = record_print(record);
    if (!body)
        return failed(why, RESULT_SYSTEM, "no memory for the bundle");
    return signed_text_print(BUNDLE_FORMAT, body, strlen(body), secret, ret_text, ret_n, why);
}

static struct result read_bundle(const struct record *record, struct enrol_bundle *bundle,
                                 struct why *why)
{
    uint64_t port = 0;
    const struct record *coordinator = NULL;
    TRY(record_fields(record, BUNDLE_FIELDS, why));
    TRY(record_exactly(record, "format", BUNDLE_FORMAT, why));
    TRY(record_text(record, "member", bundle->member, sizeof bundle->member, why));
    TRY(record_text(record, "consortium", bundle->consortium, sizeof bundle->consortium, why));
    if (!topic_name_valid(bundle->member) || !topic_name_valid(bundle->consortium))
        return failed(why, RESULT_INPUT, "a name in the bundle is not valid");
    TRY(record_text(record, "host", bundle->host, sizeof bundle->host, why));
    TRY(record_number(record, "port", 1, UINT16_MAX, &port, why));
    bundle->port = (uint16_t)port;
    TRY(record_text(record, "ca", bundle->ca.text, sizeof bundle->ca.text, why));
    TRY(record_text(record, "certificate", bundle->certificate.text,
                    sizeof bundle->certificate.text, why));
    TRY(record_child(record, "coordinator", &coordinator, why));
    TRY(record_fields(coordinator, COORDINATOR_FIELDS, why));
    TRY(identity_read_public(&bundle->coordinator, coordinator, why));
    if (bundle->coordinator.role != ROLE_COORDINATOR)
        return failed(why, RESULT_INPUT, "the coordinator in the bundle has another role");
    return record_bytes(record, "request", bundle->request, sizeof bundle->request, why);
}

struct result enrol_read_bundle(const char *text, size_t n, struct enrol_bundle *bundle,
                                struct why *why)
{
    CLEANUP(close_record) struct record *record = NULL;
    const char *body = NULL;
    size_t body_n = 0;
    *bundle = (struct enrol_bundle){0};
    if (n > ENROL_FILE_MAX)
        return failed(why, RESULT_INPUT, "a bundle has at most %d bytes", ENROL_FILE_MAX);
    TRY(signed_text_body(text, n, &body, &body_n, why));
    TRY(record_parse(body, body_n, &record, why));
    TRY(read_bundle(record, bundle, why));
    return signed_text_check(BUNDLE_FORMAT, text, n, bundle->coordinator.sign_key, why);
}

struct result enrol_consortium_fingerprint(const struct enrol_bundle *bundle,
                                           unsigned char fingerprint[WORDS_FINGERPRINT_BYTES],
                                           struct why *why)
{
    static const char label[] = "consilium consortium 1";
    unsigned char der[PKI_DER_BYTES];
    size_t der_n = 0;
    crypto_generichash_state state;
    TRY(pki_der(&bundle->ca, der, &der_n, why));
    crypto_generichash_init(&state, NULL, 0, WORDS_FINGERPRINT_BYTES);
    crypto_generichash_update(&state, (const unsigned char *)label, sizeof label);
    crypto_generichash_update(&state, (const unsigned char *)bundle->consortium,
                              strlen(bundle->consortium) + 1);
    crypto_generichash_update(&state, bundle->coordinator.sign_key, ROSTER_KEY_BYTES);
    crypto_generichash_update(&state, bundle->coordinator.seal_key, ROSTER_KEY_BYTES);
    crypto_generichash_update(&state, der, der_n);
    crypto_generichash_final(&state, fingerprint, WORDS_FINGERPRINT_BYTES);
    return DONE;
}

/* The bundle is for this member, its keys and its consortium. */
static struct result check_bundle(const struct identity *identity,
                                  const struct enrol_bundle *bundle, struct why *why)
{
    struct pki_subject subject;
    struct pki_pem key;
    if (strcmp(bundle->member, identity->self.name) != 0)
        return failed(why, RESULT_REFUSED, "the bundle is for '%s', this folder belongs to '%s'",
                      bundle->member, identity->self.name);
    if (identity->enrolled &&
        (strcmp(identity->consortium, bundle->consortium) != 0 ||
         memcmp(&identity->coordinator, &bundle->coordinator, sizeof bundle->coordinator) != 0))
        return failed(why, RESULT_REFUSED,
                      "this folder is enrolled in consortium '%s' already, and the bundle is of "
                      "another one or another coordinator; take a new folder",
                      identity->consortium);
    struct result r = read_key_file(identity, &key, why);
    if (ok(r))
        r = pki_check_certificate(&bundle->certificate, &bundle->ca, &key, &subject, why);
    pki_wipe(&key);
    TRY(r);
    return check_subject(&subject, &identity->self, why);
}

struct result enrol_install(const char *folder, const struct enrol_bundle *bundle, struct why *why)
{
    struct identity identity;
    TRY(identity_load(folder, &identity, why));
    TRY(check_bundle(&identity, bundle, why));
    TRY(fs_write_atomic(identity.ca_file, bundle->ca.text, strlen(bundle->ca.text), 0600, why));
    TRY(fs_write_atomic(identity.certificate_file, bundle->certificate.text,
                        strlen(bundle->certificate.text), 0600, why));
    memcpy(identity.consortium, bundle->consortium, sizeof identity.consortium);
    memcpy(identity.host, bundle->host, sizeof identity.host);
    identity.port = bundle->port;
    identity.coordinator = bundle->coordinator;
    return identity_write_consortium(&identity, why);
}
