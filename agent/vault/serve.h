/* SPDX-License-Identifier: Apache-2.0 */
/* The vault's loop: one thread owns the socket and the signing key and always answers at once; one
 * other does the work, which may take minutes. */
#ifndef CONSILIUM_VAULT_SERVE_H
#define CONSILIUM_VAULT_SERVE_H

#include "agent/vault/vault.h"

enum { SERVE_QUEUE_MAX = 64, SERVE_TICK_MS = 500 };

struct serve;

/* Takes what the loop needs from the system, before the sandbox closes. The vault must outlive
 * *ret_serve and belongs to it from here on. fd: the vault's end of the pair. */
struct result serve_open(struct serve **ret_serve, struct vault *vault, int fd, uint64_t object_max,
                         struct why *why) MUST_CHECK;

/* Serves until the network process is gone or says stop. When it is gone in the middle of a task,
 * the task is finished first, so that its result waits in the outbox. */
struct result serve_run(struct serve *serve, struct why *why) MUST_CHECK;

void serve_close(struct serve *serve);

/* Descriptors that must stay open, into keep; returns their number (at most 2). */
size_t serve_descriptors(const struct serve *serve, int keep[2]);

#endif
