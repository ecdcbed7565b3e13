/* SPDX-License-Identifier: Apache-2.0 */
/* The network process, from its sandbox to its loop. */
#include "agent/network.h"

#include "agent/drive.h"
#include "agent/sandbox.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/identity.h"
#include "proto/topic.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
    stop_asked = number == SIGHUP ? DRIVE_LEAVE : DRIVE_STOP;
}

/* What name resolution, OpenSSL and late-loaded parts of the C library read. */
static const char *const SYSTEM_FILES[] = {
    "/usr/lib",      "/usr/lib32",          "/usr/lib64",           "/lib",
    "/lib64",        "/usr/share/zoneinfo", "/etc/ld.so.cache",     "/etc/resolv.conf",
    "/etc/hosts",    "/etc/host.conf",      "/etc/nsswitch.conf",   "/etc/gai.conf",
    "/etc/services", "/etc/localtime",      "/etc/ssl/openssl.cnf", "/run/systemd/resolve",
    "/dev/null",     "/dev/urandom",        "/dev/random",
};

struct result network_shut_in(const char *const tls_files[3], int vault_fd, bool landlock,
                              struct why *why)
{
    enum { SYSTEM = sizeof SYSTEM_FILES / sizeof SYSTEM_FILES[0] };
    struct sandbox_path paths[SYSTEM + 3];
    for (size_t i = 0; i < SYSTEM; i++)
        paths[i] = (struct sandbox_path){SYSTEM_FILES[i], SANDBOX_READ};
    for (size_t i = 0; i < 3; i++)
        paths[SYSTEM + i] = (struct sandbox_path){tls_files[i], SANDBOX_READ};
    TRY(sandbox_harden(why));
    TRY(sandbox_close_others(&vault_fd, 1, why));
    if (landlock)
        TRY(sandbox_files(paths, SYSTEM + 3, why));
    else
        log_warning("without Landlock: file permissions alone keep the agent from patient data");
    return sandbox_agent_calls(why);
}

static struct result open_link(const struct identity *identity, struct link **ret_link,
                               struct why *why)
{
    char message[LINK_TOPIC_BYTES], chunk[LINK_TOPIC_BYTES], presence[LINK_TOPIC_BYTES];
    struct topic topic = {.direction = TOPIC_DOWN, .channel = TOPIC_MESSAGE};
    snprintf(topic.member, sizeof topic.member, "%s", identity->self.name);
    topic_format(message, identity->consortium, &topic);
    topic.channel = TOPIC_CHUNK;
    topic_format(chunk, identity->consortium, &topic);
    topic.direction = TOPIC_PRESENCE;
    topic_format(presence, identity->consortium, &topic);
    const char *const subscriptions[] = {message, chunk, NULL};
    const struct link_options options = {
        .host = identity->host,
        .port = identity->port,
        .name = identity->self.name,
        .ca_file = identity->ca_file,
        .cert_file = identity->certificate_file,
        .key_file = identity->key_file,
        .will_topic = presence,
        .subscriptions = subscriptions,
    };
    return link_mqtt_open(&options, ret_link, why);
}

struct result network_run(const struct folder *folder, int vault_fd, bool landlock, struct why *why)
{
    CLEANUP(free_pointer) struct identity *identity = malloc(sizeof *identity);
    if (!identity)
        return failed(why, RESULT_SYSTEM, "no memory for the site's identity");
    TRY(identity_load_enrolled(folder->keys, identity, why));
    const char *const tls_files[3] = {identity->key_file, identity->certificate_file,
                                      identity->ca_file};
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    TRY(network_shut_in(tls_files, vault_fd, landlock, why));
    struct link *link = NULL;
    TRY(open_link(identity, &link, why));
    struct drive_options options = {
        .consortium = identity->consortium,
        .site = identity->self.name,
        .vault_fd = vault_fd,
        .link = link,
        .session.object_max = OBJECT_BYTES_MAX,
    };
    memcpy(options.session.coordinator_public, identity->coordinator.sign_key,
           sizeof options.session.coordinator_public);
    memcpy(options.session.coordinator, identity->coordinator.name,
           sizeof options.session.coordinator);
    memcpy(options.session.site_public, identity->self.sign_key,
           sizeof options.session.site_public);
    struct result r = drive_run(&options, &stop_asked, why);
    link->operations->close(link);
    return r;
}
