/* SPDX-License-Identifier: Apache-2.0 */
/* The socket options that the MQTT client has no switch for. */
#ifndef CONSILIUM_LINK_SOCKET_H
#define CONSILIUM_LINK_SOCKET_H

#include <stdint.h>

enum { LINK_SOCKET_UNACKNOWLEDGED_MS = 20000 };

/* On every TCP connection of this process to this port of a peer sets TCP_NODELAY, without which a
 * small packet after an acknowledgement waits up to 40 ms for the peer's delayed ACK, and
 * TCP_USER_TIMEOUT, so that a connection whose peer is gone ends after
 * LINK_SOCKET_UNACKNOWLEDGED_MS instead of the system's quarter of an hour. */
void link_socket_tune(uint16_t port);

#endif
