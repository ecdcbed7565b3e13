/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of a mosquitto broker for one consortium. */
#include "coordinator/broker_config.h"

#include "proto/link.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PACKET_ROOM = 4096, /* topic and header beside a packet's payload */
    PACKETS_IN_FLIGHT = 64,
    PACKETS_QUEUED = 8192, /* more than sites times the window of a transfer */
    BYTES_QUEUED = 256 << 20,
    CONNECTIONS = 4096,
};

char *broker_config_print(const struct broker_config *config)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    if (!f)
        return NULL;
    fprintf(f, "# mosquitto configuration of a Consilium consortium, written by consilium init.\n"
               "# Members only, by certificate; the access list says who may use which topic.\n");
    if (config->user[0])
        fprintf(f, "user %s\n", config->user);
    fprintf(f, "pid_file %s/mosquitto.pid\n", config->folder);
    fprintf(f, "persistence false\n"
               "log_dest stderr\n"
               "log_type error\n"
               "log_type warning\n"
               "log_type notice\n"
               "sys_interval 0\n\n");
    fprintf(f, "listener %u%s%s\n", config->port, config->bind[0] ? " " : "", config->bind);
    fprintf(f, "max_connections %d\n", CONNECTIONS);
    fprintf(f, "cafile %s/ca.crt\n", config->folder);
    fprintf(f, "certfile %s/server.crt\n", config->folder);
    fprintf(f, "keyfile %s/server.key\n", config->folder);
    fprintf(f,
            "# Read again on SIGHUP, for new connections; the access list silences live ones.\n"
            "crlfile %s/crl.pem\n",
            config->folder);
    fprintf(f, "require_certificate true\n"
               "use_identity_as_username true\n"
               "tls_version tlsv1.3\n\n");
    fprintf(f,
            "allow_anonymous false\n"
            "acl_file %s/acl\n\n",
            config->folder);
    fprintf(f, "max_qos 1\n"
               "max_keepalive 120\n"
               "persistent_client_expiration 1d\n");
    fprintf(f, "max_packet_size %d\n", LINK_PACKET_MAX + PACKET_ROOM);
    fprintf(f, "max_inflight_messages %d\n", PACKETS_IN_FLIGHT);
    fprintf(f, "max_queued_messages %d\n", PACKETS_QUEUED);
    fprintf(f, "max_queued_bytes %d\n", BYTES_QUEUED);
    fprintf(f, "set_tcp_nodelay true\n");
    return fclose(f) == 0 ? text : (free(text), NULL);
}

static void print_coordinator(FILE *f, const char *consortium, const char *name)
{
    fprintf(f, "\nuser %s\n", name);
    fprintf(f, "topic read cns/1/%s/up/#\n", consortium);
    fprintf(f, "topic write cns/1/%s/down/#\n", consortium);
    fprintf(f, "topic read cns/1/%s/stat/#\n", consortium);
    fprintf(f, "topic write cns/1/%s/stat/%s\n", consortium, name);
}

static void print_member(FILE *f, const char *consortium, const char *name)
{
    fprintf(f, "\nuser %s\n", name);
    fprintf(f, "topic write cns/1/%s/up/%s/#\n", consortium, name);
    fprintf(f, "topic read cns/1/%s/down/%s/#\n", consortium, name);
    fprintf(f, "topic read cns/1/%s/down/all/#\n", consortium);
    fprintf(f, "topic write cns/1/%s/stat/%s\n", consortium, name);
    fprintf(f, "topic read cns/1/%s/stat/coordinator\n", consortium);
}

char *broker_access_print(const struct roster *roster)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    if (!f)
        return NULL;
    fprintf(f, "# Access list of consortium %s, written from its roster, version %llu.\n",
            roster->consortium, (unsigned long long)roster->version);
    for (size_t i = 0; i < roster->count; i++) {
        const struct roster_member *m = &roster->members[i];
        if (m->revoked_s != 0)
            continue;
        if (m->role == ROLE_COORDINATOR)
            print_coordinator(f, roster->consortium, m->name);
        else
            print_member(f, roster->consortium, m->name);
    }
    return fclose(f) == 0 ? text : (free(text), NULL);
}
