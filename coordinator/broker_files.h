/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's folder inside a consortium's: its certificate, configuration, lists and process. */
#ifndef CONSILIUM_BROKER_FILES_H
#define CONSILIUM_BROKER_FILES_H

#include "proto/pki.h"
#include "proto/roster.h"

/* Makes FOLDER/broker with key, certificate for host, authority, mosquitto.conf; folder is
 * absolute. Started by root, the broker runs as user mosquitto if that user can reach the folder,
 * else as root; its files belong to that user. */
struct result broker_files_init(const char *folder, const struct pki_authority *authority,
                                const char *host, uint16_t port, struct why *why) MUST_CHECK;

/* Writes the access list and the revocation list from the roster. */
struct result broker_files_update(const char *folder, const struct pki_authority *authority,
                                  const struct roster *roster, struct why *why) MUST_CHECK;

/* Tells a broker that runs on this folder to read its lists again; false when none runs. */
bool broker_files_reload(const char *folder);

#endif
