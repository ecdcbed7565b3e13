/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator's process: folder, store, link and roster opened, one loop over their events. */
#include "coordinator/daemon.h"

#include "coordinator/consortium.h"
#include "coordinator/drive.h"
#include "coordinator/paper.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/topic.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_MS_MAX = 60000, LINGER_MS = 5000 /* after the last study, with --once-study */ };

struct daemon {
    struct consortium consortium;
    struct identity_secrets secrets;
    struct roster *roster;
    struct roster_file roster_file;
    struct store *store;
    struct link *link;
    struct drive *drive;
    struct gate_rules gate;
    int lock, signals, changes, poll;
};

static uint64_t unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool find_member(void *context, const char *name, struct drive_member *member)
{
    static const enum drive_role ROLES[] = {
        [ROLE_SITE] = DRIVE_SITE,
        [ROLE_OPERATOR] = DRIVE_OPERATOR,
        [ROLE_RESEARCHER] = DRIVE_RESEARCHER,
        [ROLE_AUDITOR] = DRIVE_AUDITOR,
    };
    const struct daemon *daemon = context;
    const struct roster_member *found = roster_find_any(daemon->roster, name);
    if (!found || found->role == ROLE_COORDINATOR)
        return false;
    memset(member, 0, sizeof *member);
    snprintf(member->name, sizeof member->name, "%s", found->name);
    member->role = ROLES[found->role];
    member->revoked = found->revoked_s != 0;
    memcpy(member->sign_public, found->sign_key, sizeof member->sign_public);
    memcpy(member->seal_public, found->seal_key, sizeof member->seal_public);
    return true;
}

static struct result take_lock(struct daemon *daemon, struct why *why)
{
    char path[FS_PATH_BYTES];
    TRY(fs_join(path, daemon->consortium.folder, "coordinator.lock", why));
    daemon->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (daemon->lock < 0)
        return failed(why, RESULT_SYSTEM, "cannot open %s: %s", path, strerror(errno));
    if (flock(daemon->lock, LOCK_EX | LOCK_NB) != 0)
        return failed(why, RESULT_REFUSED, "a coordinator already runs on %s",
                      daemon->consortium.folder);
    return DONE;
}

static struct result open_link(struct daemon *daemon, struct why *why)
{
    const struct identity *self = &daemon->consortium.identity;
    char up[LINK_TOPIC_BYTES];
    snprintf(up, sizeof up, "cns/1/%s/up/#", self->consortium);
    struct link_options options = {
        .host = self->host,
        .port = self->port,
        .name = self->self.name,
        .ca_file = self->ca_file,
        .cert_file = self->certificate_file,
        .key_file = self->key_file,
        .subscriptions = (const char *const[]){up, NULL},
    };
    return link_mqtt_open(&options, &daemon->link, why);
}

static struct result open_files(struct daemon *daemon, const char *folder, struct why *why)
{
    struct consortium *consortium = &daemon->consortium;
    char path[FS_PATH_BYTES];
    TRY(consortium_open(folder, consortium, why));
    TRY(take_lock(daemon, why));
    TRY(identity_load_secrets(&consortium->identity, &daemon->secrets, why));
    TRY(consortium_roster(consortium, &daemon->roster, why));
    daemon->roster_file.path = consortium->roster_path;
    memcpy(daemon->roster_file.coordinator, consortium->identity.self.sign_key, ROSTER_KEY_BYTES);
    TRY(fs_join(path, consortium->folder, "gate.json", why));
    CLEANUP(free_pointer) char *policy = NULL;
    TRY(gate_rules_load(path, &daemon->gate, &policy, why));
    TRY(fs_join(path, consortium->folder, "coordinator.db", why));
    TRY(store_open(path, daemon->secrets.sign, &daemon->store, why));
    return paper_take_folder(daemon->store, policy, unix_ms(), why);
}

static struct result watch(struct daemon *daemon, struct why *why)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    daemon->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    daemon->changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    daemon->poll = epoll_create1(EPOLL_CLOEXEC);
    if (daemon->signals < 0 || daemon->changes < 0 || daemon->poll < 0 ||
        inotify_add_watch(daemon->changes, daemon->consortium.folder, IN_MOVED_TO) < 0)
        return failed(why, RESULT_SYSTEM, "cannot watch %s: %s", daemon->consortium.folder,
                      strerror(errno));
    int fds[] = {daemon->signals, daemon->changes,
                 daemon->link->operations->descriptor(daemon->link)};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fds[i]};
        if (epoll_ctl(daemon->poll, EPOLL_CTL_ADD, fds[i], &event) != 0)
            return failed(why, RESULT_SYSTEM, "cannot wait for events: %s", strerror(errno));
    }
    return DONE;
}

static struct result start(struct daemon *daemon, const char *folder, struct why *why)
{
    TRY(open_files(daemon, folder, why));
    TRY(open_link(daemon, why));
    const struct identity *self = &daemon->consortium.identity;
    struct drive_options options = {
        .consortium = self->consortium,
        .name = self->self.name,
        .sign_secret = daemon->secrets.sign,
        .sign_public = self->self.sign_key,
        .seal_public = self->self.seal_key,
        .seal_secret = daemon->secrets.seal,
        .store = daemon->store,
        .link = daemon->link,
        .gate = &daemon->gate,
        .find = find_member,
        .context = daemon,
    };
    TRY(drive_open(&options, unix_ms(), &daemon->drive, why));
    return watch(daemon, why);
}

static void read_roster(struct daemon *daemon)
{
    char drain[4096];
    while (read(daemon->changes, drain, sizeof drain) > 0)
        ;
    bool changed = false;
    struct why why;
    if (!ok(roster_refresh(&daemon->roster_file, daemon->roster, &changed, &why)))
        log_warning("the roster is not read again: %s", why.text);
    if (changed) {
        log_info("roster version %llu", (unsigned long long)daemon->roster->version);
        drive_roster_changed(daemon->drive, unix_ms());
    }
}

static int wait_ms(const struct daemon *daemon, bool once)
{
    uint64_t wake = drive_wake(daemon->drive), now = unix_ms();
    uint64_t longest = once ? 1000 : WAIT_MS_MAX;
    if (wake <= now)
        return 0;
    return wake - now > longest ? (int)longest : (int)(wake - now);
}

static void loop(struct daemon *daemon, bool once)
{
    uint64_t idle_since = 0;
    for (;;) {
        struct epoll_event events[4];
        int n = epoll_wait(daemon->poll, events, 4, wait_ms(daemon, once));
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == daemon->signals)
                return;
            if (events[i].data.fd == daemon->changes)
                read_roster(daemon);
        }
        uint64_t now = unix_ms();
        drive_timer(daemon->drive, now);
        drive_run(daemon->drive, now);
        size_t studies = 0, active = 0;
        drive_count(daemon->drive, &studies, &active);
        if (!once || studies == 0 || active > 0)
            idle_since = now;
        else if (now - idle_since > LINGER_MS)
            return;
    }
}

static void stop(struct daemon *daemon)
{
    drive_close(daemon->drive);
    if (daemon->link)
        daemon->link->operations->close(daemon->link);
    store_close(daemon->store);
    identity_wipe(&daemon->secrets);
    free(daemon->roster);
    int *fds[] = {&daemon->poll, &daemon->changes, &daemon->signals, &daemon->lock};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        close_fd(fds[i]);
}

struct result daemon_run(const char *folder, bool once, struct why *why)
{
    struct daemon daemon = {.lock = -1, .signals = -1, .changes = -1, .poll = -1};
    struct result r = start(&daemon, folder, why);
    if (ok(r)) {
        log_info("consortium %s, broker %s:%u", daemon.consortium.identity.consortium,
                 daemon.consortium.identity.host, daemon.consortium.identity.port);
        loop(&daemon, once);
        log_info("stopped");
    }
    stop(&daemon);
    return r;
}
