/* SPDX-License-Identifier: Apache-2.0 */
/* A consortium's folder: made whole, approvals and revocations, and the broker's texts, which are
 * also kept as an example in deploy/. */
#include "coordinator/broker_config.h"
#include "coordinator/consortium.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char top[] = "/tmp/consilium-consortium-XXXXXX";
static struct consortium consortium;
static struct why why;

static const char *at(const char *name)
{
    static char paths[4][FS_PATH_BYTES];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, FS_PATH_BYTES, "%s/%s", top, name);
    return path;
}

static char *read_whole(const char *path)
{
    char *text = NULL;
    if (!ok(fs_read(path, 1 << 20, &text, NULL, &why)))
        fail_msg("%s", why.text);
    return text;
}

static int prepare(void **state)
{
    (void)state;
    struct consortium_options options = {.name = "demo", .host = "127.0.0.1", .port = 8883};
    if (!mkdtemp(top) || !ok(consortium_init(at("c"), &options, &why)) ||
        !ok(consortium_open(at("c"), &consortium, &why)))
        return -1;
    return 0;
}

static int clean(void **state)
{
    (void)state;
    char command[FS_PATH_BYTES];
    snprintf(command, sizeof command, "rm -r %s", top);
    return system(command);
}

static void make_request(const char *name, enum role role, struct enrol_request *request)
{
    unsigned char fingerprint[WORDS_FINGERPRINT_BYTES];
    char file[128];
    char *text = NULL;
    size_t n = 0;
    assert_true(ok(enrol_create(at(name), name, role, fingerprint, &why)));
    snprintf(file, sizeof file, "%s/%s.request", name, name);
    assert_true(ok(fs_read(at(file), ENROL_FILE_MAX, &text, &n, &why)));
    assert_true(ok(enrol_read_request(text, n, request, &why)));
    free(text);
}

static void folder_is_whole_and_private(void **state)
{
    (void)state;
    static const char *const private_files[] = {"c/ca/ca.key", "c/coordinator/sign.key",
                                                "c/operator/tls.key", "c/broker/server.key",
                                                "c/roster"};
    struct roster *roster = NULL;
    struct identity operator_;
    struct stat st;
    for (size_t i = 0; i < sizeof private_files / sizeof *private_files; i++) {
        assert_int_equal(stat(at(private_files[i]), &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    assert_int_equal(stat(at("c/ca"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_true(ok(consortium_roster(&consortium, &roster, &why)));
    assert_int_equal(roster->count, 2);
    assert_int_equal(roster_find(roster, "coordinator")->role, ROLE_COORDINATOR);
    assert_int_equal(roster_find(roster, "operator")->role, ROLE_OPERATOR);
    assert_true(ok(identity_load_enrolled(at("c/operator"), &operator_, &why)));
    assert_memory_equal(&operator_.coordinator, &consortium.identity.self,
                        sizeof operator_.coordinator);
    free(roster);
}

static void init_refuses_what_it_cannot_do(void **state)
{
    (void)state;
    struct consortium other;
    struct consortium_options options = {.name = "demo", .host = "localhost", .port = 1};
    assert_int_equal(consortium_init(at("c"), &options, &why).code, RESULT_INPUT);
    options.name = "De mo";
    assert_int_equal(consortium_init(at("d"), &options, &why).code, RESULT_INPUT);
    options.name = "demo";
    options.host = "";
    assert_int_equal(consortium_init(at("d"), &options, &why).code, RESULT_INPUT);
    options.host = "x";
    options.port = 0;
    assert_int_equal(consortium_init(at("d"), &options, &why).code, RESULT_INPUT);
    assert_false(fs_exists(at("d")));
    assert_int_equal(consortium_open(at("d"), &other, &why).code, RESULT_INPUT);
    assert_int_equal(consortium_open(top, &other, &why).code, RESULT_INPUT);
}

static void approval_can_be_repeated_and_is_bound(void **state)
{
    (void)state;
    struct enrol_request rome, again, coordinator;
    char path[FS_PATH_BYTES];
    make_request("rome", ROLE_SITE, &rome);
    assert_true(ok(consortium_approve(&consortium, &rome, path, &why)));
    char *first = read_whole(path);
    assert_true(ok(consortium_approve(&consortium, &rome, path, &why)));
    char *second = read_whole(path);
    assert_string_equal(first, second);
    free(first);
    free(second);
    /* Another request in the same name, with other keys. */
    assert_int_equal(rename(at("rome"), at("rome-old")), 0);
    make_request("rome", ROLE_SITE, &again);
    assert_int_equal(consortium_approve(&consortium, &again, path, &why).code, RESULT_REFUSED);
    make_request("all", ROLE_SITE, &again);
    assert_int_equal(consortium_approve(&consortium, &again, path, &why).code, RESULT_REFUSED);
    make_request("boss", ROLE_COORDINATOR, &coordinator);
    assert_int_equal(consortium_approve(&consortium, &coordinator, path, &why).code,
                     RESULT_REFUSED);
}

static void revocation_reaches_every_list(void **state)
{
    (void)state;
    struct enrol_request oslo;
    struct roster *roster = NULL;
    char path[FS_PATH_BYTES];
    bool told = true;
    make_request("oslo", ROLE_SITE, &oslo);
    assert_true(ok(consortium_approve(&consortium, &oslo, path, &why)));
    char *acl = read_whole(at("c/broker/acl"));
    char *crl = read_whole(at("c/broker/crl.pem"));
    assert_non_null(strstr(acl, "user oslo\n"));
    assert_true(ok(consortium_revoke(&consortium, "oslo", "left", &told, &why)));
    assert_false(told);
    char *acl_after = read_whole(at("c/broker/acl"));
    char *crl_after = read_whole(at("c/broker/crl.pem"));
    assert_null(strstr(acl_after, "oslo"));
    assert_true(strlen(crl_after) > strlen(crl));
    assert_true(ok(consortium_roster(&consortium, &roster, &why)));
    assert_null(roster_find(roster, "oslo"));
    assert_string_equal(roster_find_any(roster, "oslo")->reason, "left");
    /* Again is harmless; who never was a member, or the coordinator, cannot be revoked. */
    assert_true(ok(consortium_revoke(&consortium, "oslo", "left", &told, &why)));
    assert_int_equal(consortium_revoke(&consortium, "nobody", "x", &told, &why).code, RESULT_INPUT);
    assert_int_equal(consortium_revoke(&consortium, "coordinator", "x", &told, &why).code,
                     RESULT_REFUSED);
    /* A revoked member's keys never come back. */
    assert_int_equal(consortium_approve(&consortium, &oslo, path, &why).code, RESULT_REFUSED);
    free(acl);
    free(crl);
    free(acl_after);
    free(crl_after);
    free(roster);
}

static void compare_with_example(const char *name, char *text)
{
    char path[FS_PATH_BYTES];
    const char *vectors = getenv("CONSILIUM_VECTORS");
    assert_non_null(vectors);
    assert_non_null(text);
    snprintf(path, sizeof path, "%s/../../deploy/%s", vectors, name);
    /* To renew the examples: CONSILIUM_RENEW=1 and this test. */
    if (getenv("CONSILIUM_RENEW"))
        assert_true(ok(fs_write_atomic(path, text, strlen(text), 0644, &why)));
    char *example = read_whole(path);
    assert_string_equal(text, example);
    free(example);
    free(text);
}

static void generated_texts_are_the_examples(void **state)
{
    (void)state;
    static struct roster roster = {.consortium = "demo", .version = 4, .count = 4};
    static const struct {
        const char *name;
        enum role role;
        uint64_t revoked_s;
    } members[] = {{"coordinator", ROLE_COORDINATOR, 0},
                   {"operator", ROLE_OPERATOR, 0},
                   {"rome", ROLE_SITE, 0},
                   {"oslo", ROLE_SITE, 1}};
    for (size_t i = 0; i < 4; i++) {
        struct roster_member *m = &roster.members[i];
        snprintf(m->name, sizeof m->name, "%s", members[i].name);
        m->role = members[i].role;
        m->revoked_s = members[i].revoked_s;
    }
    struct broker_config config = {.folder = "/var/lib/consilium/demo/broker",
                                   .bind = "",
                                   .port = 8883,
                                   .user = "mosquitto"};
    compare_with_example("mosquitto.conf", broker_config_print(&config));
    compare_with_example("mosquitto.acl", broker_access_print(&roster));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folder_is_whole_and_private),
        cmocka_unit_test(init_refuses_what_it_cannot_do),
        cmocka_unit_test(approval_can_be_repeated_and_is_bound),
        cmocka_unit_test(revocation_reaches_every_list),
        cmocka_unit_test(generated_texts_are_the_examples),
    };
    return cmocka_run_group_tests_name("consortium", tests, prepare, clean);
}
