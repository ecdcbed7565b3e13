/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's folder inside a consortium's. */
#include "coordinator/broker_files.h"

#include "coordinator/broker_config.h"
#include "proto/base/cleanup.h"
#include "proto/base/fs.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char BROKER_USER[] = "mosquitto";

/* Another user can reach what lies in the folder. */
static bool reachable(const char *folder)
{
    char part[FS_PATH_BYTES];
    struct stat st;
    snprintf(part, sizeof part, "%s", folder);
    for (char *slash = part + strlen(part); slash; slash = strrchr(part, '/')) {
        *slash = '\0';
        if (part[0] && (stat(part, &st) != 0 || !(st.st_mode & S_IXOTH)))
            return false;
    }
    return true;
}

/* The user that the broker runs as when root starts it; NULL when we are not root. */
static const struct passwd *broker_user(const char *folder)
{
    if (geteuid() != 0)
        return NULL;
    const struct passwd *user = reachable(folder) ? getpwnam(BROKER_USER) : NULL;
    return user ? user : getpwuid(0);
}

/* Writes a file that belongs to whoever owns the broker's folder. */
static struct result write_file(const char *broker, const char *name, const char *text,
                                struct why *why)
{
    char path[FS_PATH_BYTES];
    struct stat st;
    if (!text)
        return failed(why, RESULT_SYSTEM, "no memory for the broker's %s", name);
    TRY(fs_join(path, broker, name, why));
    TRY(fs_write_atomic(path, text, strlen(text), 0600, why));
    if (stat(broker, &st) != 0 || (geteuid() == 0 && chown(path, st.st_uid, st.st_gid) != 0))
        return failed(why, RESULT_SYSTEM, "cannot give %s to the broker: %s", path,
                      strerror(errno));
    return DONE;
}

static struct result write_certificate(const char *broker, const struct pki_authority *authority,
                                       const char *host, struct why *why)
{
    struct pki_pem key, certificate;
    const char *hosts[4] = {host};
    int count = 1;
    /* The coordinator usually lives on the broker's machine. */
    if (strcmp(host, "localhost") != 0)
        hosts[count++] = "localhost";
    if (strcmp(host, "127.0.0.1") != 0)
        hosts[count++] = "127.0.0.1";
    struct result r = pki_make_key(&key, why);
    if (ok(r))
        r = pki_issue_server(authority, &key, "broker", hosts, time(NULL), &certificate, why);
    if (ok(r))
        r = write_file(broker, "server.key", key.text, why);
    pki_wipe(&key);
    TRY(r);
    TRY(write_file(broker, "server.crt", certificate.text, why));
    return write_file(broker, "ca.crt", authority->certificate.text, why);
}

static bool is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0;
}

struct result broker_files_init(const char *folder, const struct pki_authority *authority,
                                const char *host, uint16_t port, struct why *why)
{
    char broker[FS_PATH_BYTES];
    TRY(fs_join(broker, folder, "broker", why));
    TRY(fs_make_dirs(broker, 0700, why));
    const struct passwd *user = broker_user(folder);
    if (chmod(broker, 0700) != 0 || (user && chown(broker, user->pw_uid, user->pw_gid) != 0))
        return failed(why, RESULT_SYSTEM, "cannot give %s to the broker: %s", broker,
                      strerror(errno));
    struct broker_config config = {
        .folder = broker,
        .bind = is_loopback(host) ? "127.0.0.1" : "",
        .port = port,
        .user = user ? user->pw_name : "",
    };
    CLEANUP(free_pointer) char *text = broker_config_print(&config);
    TRY(write_certificate(broker, authority, host, why));
    return write_file(broker, "mosquitto.conf", text, why);
}

static struct result write_revocations(const char *broker, const struct pki_authority *authority,
                                       const struct roster *roster, struct why *why)
{
    CLEANUP(free_pointer) struct pki_revoked *revoked = calloc(roster->count + 1, sizeof *revoked);
    CLEANUP(free_pointer) char *text = NULL;
    size_t count = 0;
    if (!revoked)
        return failed(why, RESULT_SYSTEM, "no memory for the revocation list");
    for (size_t i = 0; i < roster->count; i++) {
        const struct roster_member *m = &roster->members[i];
        if (m->revoked_s == 0)
            continue;
        memcpy(revoked[count].serial, m->serial, sizeof m->serial);
        revoked[count++].time_s = (int64_t)m->revoked_s;
    }
    TRY(pki_write_revocations(authority, revoked, count, roster->version, time(NULL), &text, why));
    return write_file(broker, "crl.pem", text, why);
}

struct result broker_files_update(const char *folder, const struct pki_authority *authority,
                                  const struct roster *roster, struct why *why)
{
    char broker[FS_PATH_BYTES];
    CLEANUP(free_pointer) char *access = broker_access_print(roster);
    TRY(fs_join(broker, folder, "broker", why));
    TRY(write_revocations(broker, authority, roster, why));
    return write_file(broker, "acl", access, why);
}

/* The process of that number is a mosquitto: its number may have gone to another since. */
static bool is_broker(long pid)
{
    char path[64];
    CLEANUP(close_file) FILE *f = NULL;
    char name[32] = "";
    snprintf(path, sizeof path, "/proc/%ld/comm", pid);
    f = fopen(path, "re");
    return f && fgets(name, sizeof name, f) && strcmp(name, "mosquitto\n") == 0;
}

bool broker_files_reload(const char *folder)
{
    char path[FS_PATH_BYTES];
    CLEANUP(free_pointer) char *text = NULL;
    struct why why;
    if (!ok(fs_join(path, folder, "broker/mosquitto.pid", &why)) ||
        !ok(fs_read(path, 32, &text, NULL, &why)))
        return false;
    long pid = strtol(text, NULL, 10);
    return pid > 1 && is_broker(pid) && kill((pid_t)pid, SIGHUP) == 0;
}
