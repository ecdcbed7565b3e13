/* SPDX-License-Identifier: Apache-2.0 */
/* The consortium's folder on the operator's machine. */
#include "coordinator/consortium.h"

#include "coordinator/broker_files.h"
#include "proto/base/cleanup.h"
#include "proto/topic.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct result read_pem(const char *folder, const char *name, struct pki_pem *pem,
                              struct why *why)
{
    char path[FS_PATH_BYTES];
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0;
    TRY(fs_join(path, folder, name, why));
    TRY(fs_read(path, sizeof pem->text - 1, &text, &n, why));
    memset(pem->text, 0, sizeof pem->text);
    memcpy(pem->text, text, n);
    /* It may have been a private key. */
    explicit_bzero(text, n);
    return DONE;
}

static struct result write_text(const char *folder, const char *name, const char *text,
                                struct why *why)
{
    char path[FS_PATH_BYTES];
    TRY(fs_join(path, folder, name, why));
    return fs_write_atomic(path, text, strlen(text), 0600, why);
}

static struct result load_authority(const struct consortium *c, struct pki_authority *authority,
                                    struct why *why)
{
    TRY(read_pem(c->folder, "ca/ca.crt", &authority->certificate, why));
    return read_pem(c->folder, "ca/ca.key", &authority->key, why);
}

static void wipe_authority(struct pki_authority *authority)
{
    pki_wipe(&authority->key);
}

/* One change of the folder at a time: two operators may sit at the same machine. */
static struct result lock(const struct consortium *c, int *ret_fd, struct why *why)
{
    char path[FS_PATH_BYTES];
    TRY(fs_join(path, c->folder, "lock", why));
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) != 0) {
        if (fd >= 0)
            close(fd);
        return failed(why, RESULT_SYSTEM, "cannot lock %s: %s", path, strerror(errno));
    }
    *ret_fd = fd;
    return DONE;
}

static struct result save_roster(const struct consortium *c, const struct roster *roster,
                                 struct why *why)
{
    struct identity_secrets secrets;
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0;
    TRY(identity_load_secrets(&c->identity, &secrets, why));
    struct result r = roster_print(roster, secrets.sign, &text, &n, why);
    identity_wipe(&secrets);
    TRY(r);
    return fs_write_atomic(c->roster_path, text, n, 0600, why);
}

struct result consortium_roster(const struct consortium *c, struct roster **ret_roster,
                                struct why *why)
{
    CLEANUP(free_pointer) struct roster *roster = calloc(1, sizeof *roster);
    struct roster_file file = {.path = c->roster_path};
    bool changed = false;
    if (!roster)
        return failed(why, RESULT_SYSTEM, "no memory for the roster");
    memcpy(file.coordinator, c->identity.self.sign_key, sizeof file.coordinator);
    TRY(roster_refresh(&file, roster, &changed, why));
    *ret_roster = TAKE(roster);
    return DONE;
}

/* Everything of the bundle but the member's part. */
static void start_bundle(const struct consortium *c, const struct pki_pem *ca,
                         struct enrol_bundle *bundle)
{
    *bundle = (struct enrol_bundle){.port = c->identity.port, .ca = *ca};
    memcpy(bundle->consortium, c->identity.consortium, sizeof bundle->consortium);
    memcpy(bundle->host, c->identity.host, sizeof bundle->host);
    bundle->coordinator = c->identity.self;
}

struct result consortium_fingerprint(const struct consortium *c,
                                     unsigned char fingerprint[WORDS_FINGERPRINT_BYTES],
                                     struct why *why)
{
    struct pki_pem ca;
    struct enrol_bundle bundle;
    TRY(read_pem(c->folder, "ca/ca.crt", &ca, why));
    start_bundle(c, &ca, &bundle);
    return enrol_consortium_fingerprint(&bundle, fingerprint, why);
}

/* Issues a certificate for the request and fills the bundle and the roster's entry. */
static struct result admit(const struct consortium *c, const struct pki_authority *authority,
                           const struct enrol_request *request, struct roster_member *member,
                           struct enrol_bundle *bundle, struct why *why)
{
    const struct identity_public *who = &request->who;
    *member = (struct roster_member){.role = who->role, .added_s = (uint64_t)time(NULL)};
    memcpy(member->name, who->name, sizeof member->name);
    memcpy(member->sign_key, who->sign_key, sizeof member->sign_key);
    memcpy(member->seal_key, who->seal_key, sizeof member->seal_key);
    start_bundle(c, &authority->certificate, bundle);
    memcpy(bundle->member, who->name, sizeof bundle->member);
    memcpy(bundle->request, request->fingerprint, sizeof bundle->request);
    return pki_issue(authority, &request->tls_request, time(NULL), member->serial,
                     &bundle->certificate, why);
}

static struct result save_bundle(const struct consortium *c, const struct enrol_bundle *bundle,
                                 const char *path, struct why *why)
{
    struct identity_secrets secrets;
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0;
    TRY(identity_load_secrets(&c->identity, &secrets, why));
    struct result r = enrol_print_bundle(bundle, secrets.sign, &text, &n, why);
    identity_wipe(&secrets);
    TRY(r);
    return fs_write_atomic(path, text, n, 0600, why);
}

static struct result bundle_path_of(const struct consortium *c, const char *name,
                                    char path[FS_PATH_BYTES], struct why *why)
{
    char file[ROSTER_NAME_BYTES + 32];
    snprintf(file, sizeof file, "bundles/%s.bundle", name);
    return fs_join(path, c->folder, file, why);
}

/* The same request was approved before and its bundle is still there. */
static bool already_approved(const struct roster *roster, const struct enrol_request *request,
                             const char *path)
{
    CLEANUP(free_pointer) char *text = NULL;
    struct enrol_bundle bundle;
    struct why why;
    size_t n = 0;
    const struct roster_member *member = roster_find(roster, request->who.name);
    return member &&
           memcmp(member->sign_key, request->who.sign_key, sizeof member->sign_key) == 0 &&
           ok(fs_read(path, ENROL_FILE_MAX, &text, &n, &why)) &&
           ok(enrol_read_bundle(text, n, &bundle, &why)) &&
           memcmp(bundle.request, request->fingerprint, sizeof bundle.request) == 0;
}

/* The bundle is on disk before the roster names the member: an approval that is cut off can simply
 * be repeated. */
static struct result approve(const struct consortium *c, const struct pki_authority *authority,
                             const struct enrol_request *request, const char *bundle_path,
                             struct why *why)
{
    CLEANUP(free_pointer) struct roster *roster = NULL;
    struct roster_member member;
    struct enrol_bundle bundle;
    TRY(consortium_roster(c, &roster, why));
    if (already_approved(roster, request, bundle_path))
        return broker_files_update(c->folder, authority, roster, why);
    TRY(admit(c, authority, request, &member, &bundle, why));
    TRY(roster_add(roster, &member, why));
    TRY(save_bundle(c, &bundle, bundle_path, why));
    TRY(save_roster(c, roster, why));
    return broker_files_update(c->folder, authority, roster, why);
}

struct result consortium_approve(const struct consortium *c, const struct enrol_request *request,
                                 char bundle_path[FS_PATH_BYTES], struct why *why)
{
    CLEANUP(close_fd) int fd = -1;
    CLEANUP(wipe_authority) struct pki_authority authority = {0};
    if (request->who.role == ROLE_COORDINATOR)
        return failed(why, RESULT_REFUSED, "a consortium has one coordinator, made by init");
    /* "all" is the broadcast topic's member. */
    if (strcmp(request->who.name, "all") == 0 ||
        strcmp(request->who.name, CONSORTIUM_COORDINATOR) == 0)
        return failed(why, RESULT_REFUSED, "the name '%s' is reserved", request->who.name);
    TRY(lock(c, &fd, why));
    TRY(bundle_path_of(c, request->who.name, bundle_path, why));
    TRY(load_authority(c, &authority, why));
    TRY(approve(c, &authority, request, bundle_path, why));
    broker_files_reload(c->folder);
    return DONE;
}

struct result consortium_revoke(const struct consortium *c, const char *name, const char *reason,
                                bool *ret_broker_told, struct why *why)
{
    CLEANUP(close_fd) int fd = -1;
    CLEANUP(free_pointer) struct roster *roster = NULL;
    CLEANUP(wipe_authority) struct pki_authority authority = {0};
    if (strcmp(name, CONSORTIUM_COORDINATOR) == 0)
        return failed(why, RESULT_REFUSED, "the coordinator cannot be revoked");
    TRY(lock(c, &fd, why));
    TRY(load_authority(c, &authority, why));
    TRY(consortium_roster(c, &roster, why));
    const struct roster_member *before = roster_find_any(roster, name);
    if (before && before->revoked_s != 0) {
        /* Cut off after the roster was written: finish the rest. */
        TRY(broker_files_update(c->folder, &authority, roster, why));
        *ret_broker_told = broker_files_reload(c->folder);
        return DONE;
    }
    TRY(roster_revoke(roster, name, (uint64_t)time(NULL), reason, why));
    TRY(save_roster(c, roster, why));
    TRY(broker_files_update(c->folder, &authority, roster, why));
    *ret_broker_told = broker_files_reload(c->folder);
    return DONE;
}

struct result consortium_open(const char *folder, struct consortium *c, struct why *why)
{
    char path[FS_PATH_BYTES];
    *c = (struct consortium){0};
    char *absolute = realpath(folder, NULL);
    if (!absolute)
        return failed(why, RESULT_INPUT, "cannot open the consortium in %s: %s", folder,
                      strerror(errno));
    int n = snprintf(c->folder, sizeof c->folder, "%s", absolute);
    free(absolute);
    if (n < 0 || (size_t)n >= sizeof c->folder)
        return failed(why, RESULT_INPUT, "the path of %s is too long", folder);
    TRY(fs_join(c->roster_path, c->folder, "roster", why));
    TRY(fs_join(path, c->folder, CONSORTIUM_COORDINATOR, why));
    if (!fs_exists(c->roster_path))
        return failed(why, RESULT_INPUT,
                      "%s holds no consortium: there is no roster (consilium init makes one)",
                      folder);
    return identity_load_enrolled(path, &c->identity, why);
}

/* Enrols a member whose keys lie in this folder, too. */
static struct result enrol_here(const struct consortium *c, const struct pki_authority *authority,
                                const char *name, enum role role, struct roster *roster,
                                struct why *why)
{
    char folder[FS_PATH_BYTES], file[ROSTER_NAME_BYTES + 16], path[FS_PATH_BYTES];
    unsigned char fingerprint[WORDS_FINGERPRINT_BYTES];
    struct enrol_request request;
    struct enrol_bundle bundle;
    struct roster_member member;
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0;
    TRY(fs_join(folder, c->folder, name, why));
    TRY(enrol_create(folder, name, role, fingerprint, why));
    snprintf(file, sizeof file, "%s.request", name);
    TRY(fs_join(path, folder, file, why));
    TRY(fs_read(path, ENROL_FILE_MAX, &text, &n, why));
    TRY(enrol_read_request(text, n, &request, why));
    TRY(admit(c, authority, &request, &member, &bundle, why));
    if (role == ROLE_COORDINATOR)
        bundle.coordinator = request.who;
    TRY(roster_add(roster, &member, why));
    return enrol_install(folder, &bundle, why);
}

static struct result check_options(const struct consortium_options *options, struct why *why)
{
    size_t n = strnlen(options->host, IDENTITY_HOST_BYTES);
    if (!topic_name_valid(options->name))
        return failed(
            why, RESULT_INPUT,
            "'%.60s' is not a consortium's name (a-z, 0-9, - and _, starting with a letter)",
            options->name);
    if (n == 0 || n == IDENTITY_HOST_BYTES)
        return failed(why, RESULT_INPUT, "the broker's host name has 1 to %d characters",
                      IDENTITY_HOST_BYTES - 1);
    if (options->port == 0)
        return failed(why, RESULT_INPUT, "the broker's port is from 1 to 65535");
    return DONE;
}

/* An empty folder of ours, reachable for the broker's user. */
static struct result make_folder(const char *folder, struct consortium *c, struct why *why)
{
    static const char *const inside[] = {"ca", "bundles"};
    char path[FS_PATH_BYTES];
    TRY(fs_make_dirs(folder, 0755, why));
    char *absolute = realpath(folder, NULL);
    int n = absolute ? snprintf(c->folder, sizeof c->folder, "%s", absolute) : -1;
    free(absolute);
    if (n < 0 || (size_t)n >= sizeof c->folder)
        return failed(why, RESULT_INPUT, "cannot use %s as a folder", folder);
    TRY(fs_join(c->roster_path, c->folder, "roster", why));
    TRY(fs_join(path, c->folder, "ca", why));
    if (fs_exists(path))
        return failed(why, RESULT_INPUT, "%s already holds a consortium; take another folder",
                      folder);
    if (chmod(c->folder, 0711) != 0)
        return failed(why, RESULT_SYSTEM, "cannot set the mode of %s: %s", folder, strerror(errno));
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++) {
        TRY(fs_join(path, c->folder, inside[i], why));
        TRY(fs_make_dirs(path, 0700, why));
    }
    return DONE;
}

static struct result fill_folder(struct consortium *c, const struct consortium_options *options,
                                 struct pki_authority *authority, struct why *why)
{
    char path[FS_PATH_BYTES];
    CLEANUP(free_pointer) struct roster *roster = calloc(1, sizeof *roster);
    if (!roster)
        return failed(why, RESULT_SYSTEM, "no memory for the roster");
    TRY(pki_make_authority(options->name, time(NULL), authority, why));
    TRY(write_text(c->folder, "ca/ca.key", authority->key.text, why));
    TRY(write_text(c->folder, "ca/ca.crt", authority->certificate.text, why));
    snprintf(roster->consortium, sizeof roster->consortium, "%s", options->name);
    snprintf(c->identity.consortium, sizeof c->identity.consortium, "%s", options->name);
    snprintf(c->identity.host, sizeof c->identity.host, "%s", options->host);
    c->identity.port = options->port;
    TRY(enrol_here(c, authority, CONSORTIUM_COORDINATOR, ROLE_COORDINATOR, roster, why));
    TRY(fs_join(path, c->folder, CONSORTIUM_COORDINATOR, why));
    TRY(identity_load_enrolled(path, &c->identity, why));
    TRY(enrol_here(c, authority, CONSORTIUM_OPERATOR, ROLE_OPERATOR, roster, why));
    TRY(broker_files_init(c->folder, authority, options->host, options->port, why));
    TRY(broker_files_update(c->folder, authority, roster, why));
    /* Last: a folder with a roster is whole. */
    return save_roster(c, roster, why);
}

struct result consortium_init(const char *folder, const struct consortium_options *options,
                              struct why *why)
{
    CLEANUP(wipe_authority) struct pki_authority authority = {0};
    struct consortium c = {0};
    TRY(check_options(options, why));
    TRY(make_folder(folder, &c, why));
    return fill_folder(&c, options, &authority, why);
}
