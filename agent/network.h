/* SPDX-License-Identifier: Apache-2.0 */
/* The network process: one outbound connection, the vault's socket, and nothing else of the site.
 */
#ifndef CONSILIUM_AGENT_NETWORK_H
#define CONSILIUM_AGENT_NETWORK_H

#include "agent/folder.h"

/* Gives up everything but its TLS files, then runs until the vault is gone or a signal says stop
 * (SIGHUP: but let the vault finish its task).
 * Called in a process of its own, before any other thread. */
struct result network_run(const struct folder *folder, int vault_fd, bool landlock,
                          struct why *why) MUST_CHECK;

/* What the network process gives up; tests call it in a child and try to break out. tls_files:
 * three paths (key, certificate, CA). */
struct result network_shut_in(const char *const tls_files[3], int vault_fd, bool landlock,
                              struct why *why) MUST_CHECK;

#endif
