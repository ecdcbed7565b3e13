/* SPDX-License-Identifier: Apache-2.0 */
/* The socket option that the MQTT client has no switch for. */
#ifndef CONSILIUM_LINK_SOCKET_H
#define CONSILIUM_LINK_SOCKET_H

#include <stdint.h>

/* Sets TCP_NODELAY on every TCP connection of this process to this port of a peer: without it a
 * small packet after an acknowledgement waits up to 40 ms for the peer's delayed ACK. */
void link_socket_no_delay(uint16_t port);

#endif
