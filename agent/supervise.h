/* SPDX-License-Identifier: Apache-2.0 */
/* Starts the site's two processes and starts them again when one dies. */
#ifndef CONSILIUM_AGENT_SUPERVISE_H
#define CONSILIUM_AGENT_SUPERVISE_H

#include "agent/folder.h"

enum { SUPERVISE_BACKOFF_MS_MIN = 500, SUPERVISE_BACKOFF_MS_MAX = 60000 };

struct supervise_options {
    const char *path; /* of the site's folder, for the vault's command line */
    const struct folder *folder;
    const char *vault_program; /* NULL: consilium-vault beside this program, else from PATH */
    bool landlock;
};

/* Starts the pair again, after the vault has finished its task, on SIGHUP and when one of the files
 * it read at its start was replaced: certificate, policy, mapping.
 *
 * Runs until a signal says stop, or one of the two cannot start for a reason that starting again
 * would not change: the process's exit code is then the result, 0 otherwise. The processes form a
 * pair: when one is gone the other is ended, since neither keeps anything that the other needs. */
int supervise_run(const struct supervise_options *options);

#endif
