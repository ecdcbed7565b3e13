/* SPDX-License-Identifier: Apache-2.0 */
/* A member's folder: who it is, its keys, and the consortium that it belongs to. */
#include "proto/identity.h"

#include "proto/base/cleanup.h"
#include "proto/base/record.h"
#include "proto/pki.h"
#include "proto/topic.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char MEMBER_FORMAT[] = "consilium member 1";
static const char CONSORTIUM_FORMAT[] = "consilium consortium 1";

enum { MEMBER_FIELDS = 5, CONSORTIUM_FIELDS = 5, PUBLIC_FIELDS = 4 };

void identity_binding(const struct identity_public *who,
                      unsigned char binding[IDENTITY_BINDING_BYTES])
{
    static const char label[] = "consilium binding 1";
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, IDENTITY_BINDING_BYTES);
    crypto_generichash_update(&state, (const unsigned char *)label, sizeof label);
    crypto_generichash_update(&state, who->sign_key, sizeof who->sign_key);
    crypto_generichash_update(&state, who->seal_key, sizeof who->seal_key);
    crypto_generichash_final(&state, binding, IDENTITY_BINDING_BYTES);
}

struct result identity_read_public(struct identity_public *who, const struct record *record,
                                   struct why *why)
{
    char role[32];
    TRY(record_text(record, "name", who->name, sizeof who->name, why));
    if (!topic_name_valid(who->name))
        return failed(why, RESULT_INPUT,
                      "'%.60s' is not a valid name (a-z, 0-9, - and _, starting with a letter)",
                      who->name);
    TRY(record_text(record, "role", role, sizeof role, why));
    if (!role_parse(&who->role, role))
        return failed(why, RESULT_INPUT, "'%.30s' is not a role", role);
    TRY(record_bytes(record, "sign_key", who->sign_key, sizeof who->sign_key, why));
    return record_bytes(record, "seal_key", who->seal_key, sizeof who->seal_key, why);
}

void identity_put_public(struct record *record, const struct identity_public *who)
{
    record_put_text(record, "name", who->name);
    record_put_text(record, "role", role_name(who->role));
    record_put_bytes(record, "sign_key", who->sign_key, sizeof who->sign_key);
    record_put_bytes(record, "seal_key", who->seal_key, sizeof who->seal_key);
}

static struct result write_record(const char *folder, const char *name, struct record *record,
                                  struct why *why)
{
    char path[FS_PATH_BYTES];
    CLEANUP(free_pointer) char *text = record_print(record);
    if (!text)
        return failed(why, RESULT_SYSTEM, "no memory for %s", name);
    TRY(fs_join(path, folder, name, why));
    return fs_write_atomic(path, text, strlen(text), 0600, why);
}

static struct result write_file(const char *folder, const char *name, const void *bytes, size_t n,
                                struct why *why)
{
    char path[FS_PATH_BYTES];
    TRY(fs_join(path, folder, name, why));
    return fs_write_atomic(path, bytes, n, 0600, why);
}

static struct result make_keys(const char *folder, struct identity_public *who, struct why *why)
{
    struct pki_pem tls;
    struct result r = pki_make_key(&tls, why);
    if (ok(r))
        r = write_file(folder, "tls.key", tls.text, strlen(tls.text), why);
    pki_wipe(&tls);
    TRY(r);
    unsigned char *secret = sodium_malloc(IDENTITY_SIGN_SECRET_BYTES);
    if (!secret)
        return failed(why, RESULT_SYSTEM, "no locked memory for keys: %s", strerror(errno));
    crypto_sign_keypair(who->sign_key, secret);
    r = write_file(folder, "sign.key", secret, IDENTITY_SIGN_SECRET_BYTES, why);
    if (ok(r)) {
        crypto_box_keypair(who->seal_key, secret);
        r = write_file(folder, "seal.key", secret, IDENTITY_SEAL_SECRET_BYTES, why);
    }
    sodium_free(secret);
    return r;
}

struct result identity_create(const char *folder, const char *name, enum role role, struct why *why)
{
    char path[FS_PATH_BYTES];
    struct identity_public who = {.role = role};
    if (!topic_name_valid(name))
        return failed(why, RESULT_INPUT,
                      "'%.60s' is not a valid name (a-z, 0-9, - and _, starting with a letter)",
                      name);
    if (sodium_init() < 0)
        return failed(why, RESULT_SYSTEM, "libsodium does not start");
    snprintf(who.name, sizeof who.name, "%s", name);
    TRY(fs_join(path, folder, "member.json", why));
    if (fs_exists(path))
        return failed(why, RESULT_INPUT, "%s already holds a member's keys", folder);
    TRY(fs_make_dirs(folder, 0700, why));
    if (chmod(folder, 0700) != 0)
        return failed(why, RESULT_INPUT, "cannot make %s private: %s", folder, strerror(errno));
    TRY(make_keys(folder, &who, why));
    CLEANUP(close_record) struct record *record = record_new();
    record_put_text(record, "format", MEMBER_FORMAT);
    identity_put_public(record, &who);
    return write_record(folder, "member.json", record, why);
}

/* Parses a record file of the folder. */
static struct result read_record(const char *path, struct record **ret_record, struct why *why)
{
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0;
    TRY(fs_read(path, IDENTITY_FILE_MAX, &text, &n, why));
    struct result r = record_parse(text, n, ret_record, why);
    return ok(r) ? r : failed_in(why, r, "%s", path);
}

static struct result read_member(struct identity *identity, const struct record *record,
                                 struct why *why)
{
    TRY(record_fields(record, MEMBER_FIELDS, why));
    TRY(record_exactly(record, "format", MEMBER_FORMAT, why));
    return identity_read_public(&identity->self, record, why);
}

static struct result read_consortium(struct identity *identity, const struct record *record,
                                     struct why *why)
{
    uint64_t port = 0;
    const struct record *coordinator = NULL;
    TRY(record_fields(record, CONSORTIUM_FIELDS, why));
    TRY(record_exactly(record, "format", CONSORTIUM_FORMAT, why));
    TRY(record_text(record, "consortium", identity->consortium, sizeof identity->consortium, why));
    if (!topic_name_valid(identity->consortium))
        return failed(why, RESULT_INPUT, "the consortium's name is not valid");
    TRY(record_text(record, "host", identity->host, sizeof identity->host, why));
    TRY(record_number(record, "port", 1, UINT16_MAX, &port, why));
    identity->port = (uint16_t)port;
    TRY(record_child(record, "coordinator", &coordinator, why));
    TRY(record_fields(coordinator, PUBLIC_FIELDS, why));
    return identity_read_public(&identity->coordinator, coordinator, why);
}

struct result identity_load(const char *folder, struct identity *identity, struct why *why)
{
    char path[FS_PATH_BYTES];
    CLEANUP(close_record) struct record *member = NULL;
    CLEANUP(close_record) struct record *consortium = NULL;
    *identity = (struct identity){0};
    TRY(fs_join(path, folder, "member.json", why));
    snprintf(identity->folder, sizeof identity->folder, "%s", folder);
    TRY(fs_join(identity->key_file, folder, "tls.key", why));
    TRY(fs_join(identity->certificate_file, folder, "tls.crt", why));
    TRY(fs_join(identity->ca_file, folder, "ca.crt", why));
    if (!fs_exists(path))
        return failed(why, RESULT_INPUT, "%s is not a member's folder: it holds no member.json",
                      folder);
    TRY(read_record(path, &member, why));
    struct result r = read_member(identity, member, why);
    if (!ok(r))
        return failed_in(why, r, "%s", path);
    TRY(fs_join(path, folder, "consortium.json", why));
    if (!fs_exists(path))
        return DONE;
    TRY(read_record(path, &consortium, why));
    r = read_consortium(identity, consortium, why);
    if (!ok(r))
        return failed_in(why, r, "%s", path);
    identity->enrolled = true;
    return DONE;
}

struct result identity_load_enrolled(const char *folder, struct identity *identity, struct why *why)
{
    TRY(identity_load(folder, identity, why));
    if (!identity->enrolled)
        return failed(
            why, RESULT_REFUSED,
            "%s is not enrolled yet: send %s/request.json to the operator and install the "
            "bundle that comes back",
            identity->self.name, folder);
    return DONE;
}

static struct result read_secret(const char *folder, const char *name, unsigned char *secret,
                                 size_t n, struct why *why)
{
    char path[FS_PATH_BYTES];
    struct stat st;
    TRY(fs_join(path, folder, name, why));
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0)
        return failed(why, RESULT_INPUT, "cannot read %s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode) || (st.st_mode & 077) != 0)
        return failed(why, RESULT_REFUSED, "%s is open to others; chmod 600 it", path);
    if (st.st_size != (off_t)n || read(fd, secret, n) != (ssize_t)n)
        return failed(why, RESULT_INPUT, "%s does not have %zu bytes", path, n);
    return DONE;
}

static struct result read_secrets(const struct identity *identity,
                                  const struct identity_secrets *secrets, struct why *why)
{
    unsigned char public_key[ROSTER_KEY_BYTES];
    TRY(read_secret(identity->folder, "sign.key", secrets->sign, IDENTITY_SIGN_SECRET_BYTES, why));
    TRY(read_secret(identity->folder, "seal.key", secrets->seal, IDENTITY_SEAL_SECRET_BYTES, why));
    crypto_sign_ed25519_sk_to_pk(public_key, secrets->sign);
    if (memcmp(public_key, identity->self.sign_key, sizeof public_key) != 0)
        return failed(why, RESULT_REFUSED, "%s/sign.key is not the key of %s", identity->folder,
                      identity->self.name);
    crypto_scalarmult_base(public_key, secrets->seal);
    if (memcmp(public_key, identity->self.seal_key, sizeof public_key) != 0)
        return failed(why, RESULT_REFUSED, "%s/seal.key is not the key of %s", identity->folder,
                      identity->self.name);
    return DONE;
}

struct result identity_load_secrets(const struct identity *identity,
                                    struct identity_secrets *secrets, struct why *why)
{
    *secrets = (struct identity_secrets){0};
    if (sodium_init() < 0)
        return failed(why, RESULT_SYSTEM, "libsodium does not start");
    secrets->sign = sodium_malloc(IDENTITY_SIGN_SECRET_BYTES);
    secrets->seal = sodium_malloc(IDENTITY_SEAL_SECRET_BYTES);
    struct result r = DONE;
    if (!secrets->sign || !secrets->seal)
        r = failed(why, RESULT_SYSTEM, "no locked memory for keys: %s", strerror(errno));
    if (ok(r))
        r = read_secrets(identity, secrets, why);
    if (!ok(r))
        identity_wipe(secrets);
    return r;
}

void identity_wipe(struct identity_secrets *secrets)
{
    sodium_free(secrets->sign);
    sodium_free(secrets->seal);
    *secrets = (struct identity_secrets){0};
}

struct result identity_write_consortium(const struct identity *identity, struct why *why)
{
    CLEANUP(close_record) struct record *record = record_new();
    record_put_text(record, "format", CONSORTIUM_FORMAT);
    record_put_text(record, "consortium", identity->consortium);
    record_put_text(record, "host", identity->host);
    record_put_number(record, "port", identity->port);
    identity_put_public(record_put_child(record, "coordinator"), &identity->coordinator);
    return write_record(identity->folder, "consortium.json", record, why);
}
