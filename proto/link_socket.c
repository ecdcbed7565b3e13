/* SPDX-License-Identifier: Apache-2.0 */
/* The socket options that the MQTT client has no switch for. */
#include "proto/link_socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DESCRIPTORS_MAX = 1024 /* the client library watches no higher ones */ };

static uint16_t peer_port(int fd)
{
    struct sockaddr_storage peer = {0};
    socklen_t n = sizeof peer;
    if (getpeername(fd, (struct sockaddr *)&peer, &n) != 0)
        return 0;
    if (peer.ss_family == AF_INET)
        return ntohs(((struct sockaddr_in *)&peer)->sin_port);
    if (peer.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&peer)->sin6_port);
    return 0;
}

void link_socket_tune(uint16_t port)
{
    int yes = 1;
    unsigned patience_ms = LINK_SOCKET_UNACKNOWLEDGED_MS;
    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++) {
        if (peer_port(fd) != port)
            continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms, sizeof patience_ms);
    }
}
