/* SPDX-License-Identifier: Apache-2.0 */
/* The files that the site's processes open once, at their start: certificate, policy, mapping, and
 * the patients' file. */
#ifndef CONSILIUM_AGENT_WATCHED_H
#define CONSILIUM_AGENT_WATCHED_H

#include "agent/folder.h"

#include <sys/stat.h>

enum { WATCHED_FILES = 4, WATCHED_DATA = 3 };

struct watched {
    char path[WATCHED_FILES][FS_PATH_BYTES];
    struct stat seen[WATCHED_FILES];
};

struct result watched_start(struct watched *watched, const struct folder *folder,
                            struct why *why) MUST_CHECK;

/* Takes the files as they are now for known. */
void watched_look(struct watched *watched);

/* Whether one is another than when it was last looked at; logs which. Of the patients' file only
 * whether another file has taken its place: the vault sees by itself when the one it holds open has
 * changed. */
bool watched_changed(const struct watched *watched);

/* Whether policy and mapping can be read; logs what is wrong. With an error in them the processes
 * would end for good, so the old ones stay in force. */
bool watched_good(const struct folder *folder);

#endif
