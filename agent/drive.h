/* SPDX-License-Identifier: Apache-2.0 */
/* The network process's loop: carries the session's effects out over the link and the vault's
 * socket. It never blocks: the vault may train for minutes meanwhile. */
#ifndef CONSILIUM_AGENT_DRIVE_H
#define CONSILIUM_AGENT_DRIVE_H

#include "agent/session.h"
#include "proto/link.h"

#include <signal.h>

struct drive_options {
    struct session_options session;
    const char *consortium; /* borrowed */
    const char *site;       /* borrowed */
    int vault_fd;           /* our end of the pair */
    struct link *link;      /* borrowed */
};

/* How a loop is asked to end, by a signal handler. */
enum drive_stop {
    DRIVE_GO_ON = 0,
    DRIVE_LEAVE, /* end; the vault finishes the task it is at */
    DRIVE_STOP,  /* end, and the vault at once */
};

/* Runs until the vault is gone or *stop says so. RESULT_SYSTEM when something of the machine
 * failed. */
struct result drive_run(const struct drive_options *options, const volatile sig_atomic_t *stop,
                        struct why *why) MUST_CHECK;

#endif
