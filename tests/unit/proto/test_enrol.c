/* SPDX-License-Identifier: Apache-2.0 */
/* Member folders, requests, bundles and rosters: what belongs together is taken, all else refused
 * with the old state kept. */
#include "proto/base/fs.h"
#include "proto/enrol.h"
#include "proto/signed_text.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char top[] = "/tmp/consilium-enrol-XXXXXX";
static struct why why;
static struct pki_authority authority;
static struct identity coordinator;
static struct identity_secrets coordinator_secrets;

static const char *at(const char *name)
{
    static char paths[4][FS_PATH_BYTES];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, FS_PATH_BYTES, "%s/%s", top, name);
    return path;
}

static void read_request(const char *folder, const char *file, struct enrol_request *request)
{
    char path[FS_PATH_BYTES];
    char *text = NULL;
    size_t n = 0;
    snprintf(path, sizeof path, "%s/%s", folder, file);
    assert_true(ok(fs_read(path, ENROL_FILE_MAX, &text, &n, &why)));
    assert_true(ok(enrol_read_request(text, n, request, &why)));
    free(text);
}

static void make_bundle(const struct enrol_request *request, struct enrol_bundle *bundle)
{
    unsigned char serial[PKI_SERIAL_BYTES];
    *bundle = (struct enrol_bundle){.consortium = "demo",
                                    .host = "broker.example",
                                    .port = 8883,
                                    .ca = authority.certificate,
                                    .coordinator = coordinator.self};
    snprintf(bundle->member, sizeof bundle->member, "%s", request->who.name);
    memcpy(bundle->request, request->fingerprint, sizeof bundle->request);
    assert_true(ok(pki_issue(&authority, &request->tls_request, time(NULL), serial,
                             &bundle->certificate, &why)));
}

/* Field by field: what lies between them is nobody's. */
static bool same_bundle(const struct enrol_bundle *a, const struct enrol_bundle *b)
{
    return strcmp(a->member, b->member) == 0 && strcmp(a->consortium, b->consortium) == 0 &&
           strcmp(a->host, b->host) == 0 && a->port == b->port &&
           strcmp(a->ca.text, b->ca.text) == 0 &&
           strcmp(a->certificate.text, b->certificate.text) == 0 &&
           strcmp(a->coordinator.name, b->coordinator.name) == 0 &&
           a->coordinator.role == b->coordinator.role &&
           memcmp(a->coordinator.sign_key, b->coordinator.sign_key, ROSTER_KEY_BYTES) == 0 &&
           memcmp(a->coordinator.seal_key, b->coordinator.seal_key, ROSTER_KEY_BYTES) == 0 &&
           memcmp(a->request, b->request, sizeof a->request) == 0;
}

static int prepare(void **state)
{
    (void)state;
    if (!mkdtemp(top) || sodium_init() < 0 ||
        !ok(pki_make_authority("demo", time(NULL), &authority, &why)) ||
        !ok(identity_create(at("coordinator"), "coordinator", ROLE_COORDINATOR, &why)) ||
        !ok(identity_load(at("coordinator"), &coordinator, &why)) ||
        !ok(identity_load_secrets(&coordinator, &coordinator_secrets, &why)))
        return -1;
    return 0;
}

static int clean(void **state)
{
    (void)state;
    char command[FS_PATH_BYTES];
    identity_wipe(&coordinator_secrets);
    snprintf(command, sizeof command, "rm -r %s", top);
    return system(command);
}

static void whole_enrolment(void **state)
{
    (void)state;
    unsigned char fingerprint[WORDS_FINGERPRINT_BYTES], again[WORDS_FINGERPRINT_BYTES];
    struct enrol_request request;
    struct enrol_bundle bundle, read_back;
    struct identity rome;
    char *text = NULL;
    size_t n = 0;
    assert_true(ok(enrol_create(at("rome"), "rome", ROLE_SITE, fingerprint, &why)));
    read_request(at("rome"), "rome.request", &request);
    assert_memory_equal(request.fingerprint, fingerprint, sizeof fingerprint);
    assert_string_equal(request.who.name, "rome");
    assert_int_equal(identity_load_enrolled(at("rome"), &rome, &why).code, RESULT_REFUSED);
    make_bundle(&request, &bundle);
    assert_true(ok(enrol_print_bundle(&bundle, coordinator_secrets.sign, &text, &n, &why)));
    assert_true(ok(enrol_read_bundle(text, n, &read_back, &why)));
    assert_true(same_bundle(&bundle, &read_back));
    free(text);
    assert_true(ok(enrol_install(at("rome"), &read_back, &why)));
    assert_true(ok(enrol_install(at("rome"), &read_back, &why)));
    assert_true(ok(identity_load_enrolled(at("rome"), &rome, &why)));
    assert_string_equal(rome.consortium, "demo");
    assert_string_equal(rome.host, "broker.example");
    assert_int_equal(rome.port, 8883);
    assert_memory_equal(&rome.coordinator, &coordinator.self, sizeof rome.coordinator);
    /* A new request of the same keys is another request; other names are refused. */
    assert_true(ok(enrol_create(at("rome"), "rome", ROLE_SITE, again, &why)));
    assert_int_equal(enrol_create(at("rome"), "oslo", ROLE_SITE, again, &why).code, RESULT_INPUT);
    assert_int_equal(enrol_create(at("rome"), "rome", ROLE_AUDITOR, again, &why).code,
                     RESULT_INPUT);
    assert_int_equal(enrol_create(at("bad"), "Rome", ROLE_SITE, again, &why).code, RESULT_INPUT);
    assert_false(fs_exists(at("bad")));
}

static void foreign_bundles_change_nothing(void **state)
{
    (void)state;
    unsigned char fingerprint[WORDS_FINGERPRINT_BYTES];
    struct enrol_request oslo, bern;
    struct enrol_bundle bundle, for_bern;
    struct pki_authority other;
    assert_true(ok(enrol_create(at("oslo"), "oslo", ROLE_SITE, fingerprint, &why)));
    assert_true(ok(enrol_create(at("bern"), "bern", ROLE_SITE, fingerprint, &why)));
    read_request(at("oslo"), "oslo.request", &oslo);
    read_request(at("bern"), "bern.request", &bern);
    make_bundle(&oslo, &bundle);
    make_bundle(&bern, &for_bern);
    assert_int_equal(enrol_install(at("oslo"), &for_bern, &why).code, RESULT_REFUSED);
    /* The right name with the wrong certificate. */
    struct enrol_bundle mixed = bundle;
    mixed.certificate = for_bern.certificate;
    assert_int_equal(enrol_install(at("oslo"), &mixed, &why).code, RESULT_REFUSED);
    /* A certificate that the bundle's authority did not issue. */
    assert_true(ok(pki_make_authority("demo", time(NULL), &other, &why)));
    mixed = bundle;
    mixed.ca = other.certificate;
    assert_int_equal(enrol_install(at("oslo"), &mixed, &why).code, RESULT_REFUSED);
    assert_false(fs_exists(at("oslo/tls.crt")));
    assert_false(fs_exists(at("oslo/consortium.json")));
    /* Once enrolled, another coordinator's bundle is not taken. */
    assert_true(ok(enrol_install(at("oslo"), &bundle, &why)));
    mixed = bundle;
    mixed.coordinator.sign_key[0] ^= 1;
    assert_int_equal(enrol_install(at("oslo"), &mixed, &why).code, RESULT_REFUSED);
    assert_non_null(strstr(why.text, "already"));
}

/* Every changed byte of a request is noticed: by the signature, or as bad form. */
static void tampered_texts_are_refused(void **state)
{
    (void)state;
    struct enrol_request request;
    struct enrol_bundle bundle;
    unsigned char fingerprint[WORDS_FINGERPRINT_BYTES];
    char *text = NULL, *bundle_text = NULL;
    size_t n = 0, bundle_n = 0;
    assert_true(ok(enrol_create(at("ghent"), "ghent", ROLE_SITE, fingerprint, &why)));
    assert_true(ok(fs_read(at("ghent/ghent.request"), ENROL_FILE_MAX, &text, &n, &why)));
    read_request(at("ghent"), "ghent.request", &request);
    make_bundle(&request, &bundle);
    assert_true(
        ok(enrol_print_bundle(&bundle, coordinator_secrets.sign, &bundle_text, &bundle_n, &why)));
    for (size_t i = 0; i < n; i += 7) {
        char saved = text[i];
        text[i] = (char)(saved ^ 1);
        assert_false(ok(enrol_read_request(text, n, &request, &why)));
        text[i] = saved;
    }
    for (size_t i = 0; i < bundle_n; i += 13) {
        bundle_text[i] ^= 1;
        assert_false(ok(enrol_read_bundle(bundle_text, bundle_n, &bundle, &why)));
        bundle_text[i] ^= 1;
    }
    for (size_t cut = 0; cut < n; cut += 31)
        assert_false(ok(enrol_read_request(text, cut, &request, &why)));
    assert_true(ok(enrol_read_request(text, n, &request, &why)));
    free(text);
    free(bundle_text);
}

/* Signs a body with a member's own key, as somebody who enrols with bad intent would. */
static struct result reread(const char *body, const unsigned char *secret)
{
    struct enrol_request request;
    char *text = NULL;
    size_t n = 0;
    assert_true(
        ok(signed_text_print("consilium request 1", body, strlen(body), secret, &text, &n, &why)));
    struct result r = enrol_read_request(text, n, &request, &why);
    free(text);
    return r;
}

static void replace(char *out, size_t capacity, const char *body, const char *from, const char *to)
{
    const char *found = strstr(body, from);
    assert_non_null(found);
    snprintf(out, capacity, "%.*s%s%s", (int)(found - body), body, to, found + strlen(from));
}

static void requests_whose_keys_do_not_vouch_are_refused(void **state)
{
    (void)state;
    static char other[ENROL_FILE_MAX];
    unsigned char fingerprint[WORDS_FINGERPRINT_BYTES];
    struct identity lyon;
    struct identity_secrets secrets;
    const char *body = NULL;
    char *text = NULL;
    size_t n = 0, body_n = 0;
    assert_true(ok(enrol_create(at("lyon"), "lyon", ROLE_SITE, fingerprint, &why)));
    assert_true(ok(identity_load(at("lyon"), &lyon, &why)));
    assert_true(ok(identity_load_secrets(&lyon, &secrets, &why)));
    assert_true(ok(fs_read(at("lyon/lyon.request"), ENROL_FILE_MAX, &text, &n, &why)));
    assert_true(ok(signed_text_body(text, n, &body, &body_n, &why)));
    assert_true(ok(reread(body, secrets.sign)));
    replace(other, sizeof other, body, "\"lyon\"", "\"nice\"");
    assert_int_equal(reread(other, secrets.sign).code, RESULT_REFUSED);
    replace(other, sizeof other, body, "\"site\"", "\"operator\"");
    assert_int_equal(reread(other, secrets.sign).code, RESULT_REFUSED);
    replace(other, sizeof other, body, "\"site\"", "\"king\"");
    assert_int_equal(reread(other, secrets.sign).code, RESULT_INPUT);
    replace(other, sizeof other, body, "\"lyon\"", "\"a/b\"");
    assert_int_equal(reread(other, secrets.sign).code, RESULT_INPUT);
    replace(other, sizeof other, body, "{", "{\"extra\": 1,");
    assert_int_equal(reread(other, secrets.sign).code, RESULT_INPUT);
    replace(other, sizeof other, body, "{", "{\"role\": \"site\",");
    assert_int_equal(reread(other, secrets.sign).code, RESULT_INPUT);
    replace(other, sizeof other, body, "\"seal_key\": \"", "\"seal_key\": \"00");
    assert_int_equal(reread(other, secrets.sign).code, RESULT_INPUT);
    identity_wipe(&secrets);
    free(text);
}

static void secrets_must_be_private_and_fit(void **state)
{
    (void)state;
    struct identity who;
    struct identity_secrets secrets;
    struct stat st;
    assert_true(ok(identity_create(at("kyiv"), "kyiv", ROLE_SITE, &why)));
    assert_int_equal(identity_create(at("kyiv"), "kyiv", ROLE_SITE, &why).code, RESULT_INPUT);
    assert_int_equal(stat(at("kyiv"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(stat(at("kyiv/sign.key"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true(ok(identity_load(at("kyiv"), &who, &why)));
    assert_false(who.enrolled);
    assert_true(ok(identity_load_secrets(&who, &secrets, &why)));
    identity_wipe(&secrets);
    identity_wipe(&secrets);
    assert_int_equal(chmod(at("kyiv/sign.key"), 0640), 0);
    assert_int_equal(identity_load_secrets(&who, &secrets, &why).code, RESULT_REFUSED);
    assert_int_equal(chmod(at("kyiv/sign.key"), 0600), 0);
    unsigned char byte = 0;
    int fd = open(at("kyiv/seal.key"), O_RDWR);
    assert_true(fd >= 0 && pread(fd, &byte, 1, 3) == 1);
    byte ^= 1;
    assert_true(pwrite(fd, &byte, 1, 3) == 1);
    close(fd);
    assert_int_equal(identity_load_secrets(&who, &secrets, &why).code, RESULT_REFUSED);
    assert_null(secrets.sign);
    assert_int_equal(truncate(at("kyiv/seal.key"), 31), 0);
    assert_int_equal(identity_load_secrets(&who, &secrets, &why).code, RESULT_INPUT);
    assert_int_equal(identity_load(at("nowhere"), &who, &why).code, RESULT_INPUT);
}

static struct roster_member member_of(const char *name, unsigned char number)
{
    struct roster_member m = {.role = ROLE_SITE, .added_s = 100};
    snprintf(m.name, sizeof m.name, "%s", name);
    m.sign_key[0] = m.seal_key[0] = m.serial[0] = number;
    return m;
}

static void roster_round_trip_and_rules(void **state)
{
    (void)state;
    static struct roster roster, back;
    char *text = NULL;
    size_t n = 0;
    const unsigned char *key = coordinator.self.sign_key;
    struct roster_member rome = member_of("rome", 1), oslo = member_of("oslo", 2);
    snprintf(roster.consortium, sizeof roster.consortium, "demo");
    assert_true(ok(roster_add(&roster, &rome, &why)));
    assert_true(ok(roster_add(&roster, &oslo, &why)));
    assert_int_equal(roster_add(&roster, &rome, &why).code, RESULT_REFUSED);
    struct roster_member stolen = member_of("bern", 1);
    assert_int_equal(roster_add(&roster, &stolen, &why).code, RESULT_REFUSED);
    assert_int_equal(roster.version, 2);
    assert_true(ok(roster_revoke(&roster, "rome", 200, "left \"early\"\n", &why)));
    assert_int_equal(roster_revoke(&roster, "rome", 200, "", &why).code, RESULT_INPUT);
    assert_null(roster_find(&roster, "rome"));
    assert_int_equal(roster_find_any(&roster, "rome")->revoked_s, 200);
    /* The name may come back with other keys, never with the revoked ones. */
    assert_int_equal(roster_add(&roster, &rome, &why).code, RESULT_REFUSED);
    rome = member_of("rome", 3);
    assert_true(ok(roster_add(&roster, &rome, &why)));
    assert_int_equal(roster_find(&roster, "rome")->sign_key[0], 3);
    assert_true(ok(roster_print(&roster, coordinator_secrets.sign, &text, &n, &why)));
    assert_true(ok(roster_parse(&back, text, n, key, &why)));
    assert_memory_equal(&back, &roster, sizeof roster);
    text[n / 2] ^= 1;
    assert_int_equal(roster_parse(&back, text, n, key, &why).code, RESULT_REFUSED);
    text[n / 2] ^= 1;
    assert_int_equal(roster_parse(&back, text, n, rome.sign_key, &why).code, RESULT_REFUSED);
    assert_int_equal(roster_parse(&back, text, 10, key, &why).code, RESULT_INPUT);
    free(text);
}

static void roster_file_is_read_again_when_it_changes(void **state)
{
    (void)state;
    static struct roster roster, seen;
    struct roster_file file = {.path = at("roster")};
    struct roster_member rome = member_of("rome", 1);
    char *text = NULL;
    size_t n = 0;
    bool changed = false;
    memcpy(file.coordinator, coordinator.self.sign_key, sizeof file.coordinator);
    assert_int_equal(roster_refresh(&file, &seen, &changed, &why).code, RESULT_INPUT);
    snprintf(roster.consortium, sizeof roster.consortium, "demo");
    assert_true(ok(roster_add(&roster, &rome, &why)));
    assert_true(ok(roster_print(&roster, coordinator_secrets.sign, &text, &n, &why)));
    assert_true(ok(fs_write_atomic(file.path, text, n, 0600, &why)));
    assert_true(ok(roster_refresh(&file, &seen, &changed, &why)) && changed);
    assert_non_null(roster_find(&seen, "rome"));
    assert_true(ok(roster_refresh(&file, &seen, &changed, &why)) && !changed);
    char *older = text;
    size_t older_n = n;
    assert_true(ok(roster_revoke(&roster, "rome", 5, "gone", &why)));
    assert_true(ok(roster_print(&roster, coordinator_secrets.sign, &text, &n, &why)));
    assert_true(ok(fs_write_atomic(file.path, text, n, 0600, &why)));
    assert_true(ok(roster_refresh(&file, &seen, &changed, &why)) && changed);
    assert_null(roster_find(&seen, "rome"));
    /* An older roster put back, or a wrong one, does not bring the member back. */
    assert_true(ok(fs_write_atomic(file.path, older, older_n, 0600, &why)));
    assert_int_equal(roster_refresh(&file, &seen, &changed, &why).code, RESULT_REFUSED);
    assert_true(ok(fs_write_atomic(file.path, "nonsense", 8, 0600, &why)));
    assert_int_equal(roster_refresh(&file, &seen, &changed, &why).code, RESULT_INPUT);
    assert_null(roster_find(&seen, "rome"));
    free(text);
    free(older);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_enrolment),
        cmocka_unit_test(foreign_bundles_change_nothing),
        cmocka_unit_test(tampered_texts_are_refused),
        cmocka_unit_test(requests_whose_keys_do_not_vouch_are_refused),
        cmocka_unit_test(secrets_must_be_private_and_fit),
        cmocka_unit_test(roster_round_trip_and_rules),
        cmocka_unit_test(roster_file_is_read_again_when_it_changes),
    };
    return cmocka_run_group_tests_name("enrol", tests, prepare, clean);
}
