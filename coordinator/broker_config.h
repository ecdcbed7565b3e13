/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of a mosquitto broker for one consortium: text only, no files. */
#ifndef CONSILIUM_BROKER_CONFIG_H
#define CONSILIUM_BROKER_CONFIG_H

#include "proto/roster.h"

struct broker_config {
    const char *folder; /* absolute: holds server.key, server.crt, ca.crt, crl.pem, acl */
    const char *bind;   /* address to listen on, "" = all */
    uint16_t port;
    const char *user; /* to run as when started by root, "" = leave it to the broker */
};

/* mosquitto.conf; owned by the caller (free), NULL when out of memory. */
char *broker_config_print(const struct broker_config *config);

/* The access list: each member that is not revoked reads and writes its own topics only. Somebody
 * who is not in it can connect, if the certificate is good, but neither read nor write. Owned by
 * the caller (free), NULL when out of memory. */
char *broker_access_print(const struct roster *roster);

#endif
