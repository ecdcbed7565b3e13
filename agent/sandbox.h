/* SPDX-License-Identifier: Apache-2.0 */
/* What a process gives up, by its own act, once it holds everything it needs. */
#ifndef CONSILIUM_AGENT_SANDBOX_H
#define CONSILIUM_AGENT_SANDBOX_H

#include "proto/base/result.h"

#include <stddef.h>

enum sandbox_access {
    SANDBOX_READ,       /* a file, or everything below a folder */
    SANDBOX_READ_WRITE, /* the same, and making and removing files there */
};

struct sandbox_path {
    const char *path; /* passed over when it does not exist */
    enum sandbox_access access;
};

/* No core dumps, no ptrace by others of the same user, no new privileges through exec. */
struct result sandbox_harden(struct why *why) MUST_CHECK;

/* Closes every descriptor from 3 on but those listed (sorted or not). */
struct result sandbox_close_others(const int *keep, size_t keep_count, struct why *why) MUST_CHECK;

/* Landlock: from here on only the listed paths can be opened, by this thread and the threads and
 * processes it starts later. No path at all: nothing can be opened. RESULT_REFUSED when the kernel
 * has no Landlock. Needs sandbox_harden first. */
struct result sandbox_files(const struct sandbox_path *paths, size_t count,
                            struct why *why) MUST_CHECK;

/* seccomp for all threads of the vault: no socket, no connection, no exec, no ptrace, no opening or
 * renaming of files, no new process; such a call fails with EPERM, one of another architecture
 * ends the process. Read, write, memory, clocks, threads' synchronisation stay. */
struct result sandbox_vault_calls(struct why *why) MUST_CHECK;

/* seccomp for the network process: no exec, no ptrace, no mount, no keyrings, no bpf; sockets and
 * files (those that sandbox_files leaves) stay. */
struct result sandbox_agent_calls(struct why *why) MUST_CHECK;

#endif
