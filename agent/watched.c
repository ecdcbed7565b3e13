/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the files that a site reads once were changed, and are right. */
#include "agent/watched.h"

#include "proto/base/log.h"

#include <string.h>

static struct stat look(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        memset(&st, 0, sizeof st);
    return st;
}

void watched_look(struct watched *watched)
{
    for (size_t i = 0; i < WATCHED_FILES; i++)
        watched->seen[i] = look(watched->path[i]);
}

struct result watched_start(struct watched *watched, const struct folder *folder, struct why *why)
{
    TRY(fs_join(watched->path[0], folder->keys, "tls.crt", why));
    memcpy(watched->path[1], folder->policy, FS_PATH_BYTES);
    memcpy(watched->path[2], folder->mapping, FS_PATH_BYTES);
    struct mapping mapping = {0};
    watched->path[WATCHED_DATA][0] = '\0';
    if (fs_exists(folder->mapping) &&
        !ok(folder_mapping(folder, &mapping, watched->path[WATCHED_DATA], NULL)))
        watched->path[WATCHED_DATA][0] = '\0'; /* the vault says what is wrong with it */
    mapping_free(&mapping);
    watched_look(watched);
    return DONE;
}

bool watched_good(const struct folder *folder)
{
    struct policy policy = {0};
    struct mapping mapping = {0};
    char data[FS_PATH_BYTES];
    struct why why;
    struct result r = folder_policy(folder, &policy, &why);
    if (ok(r) && fs_exists(folder->mapping))
        r = folder_mapping(folder, &mapping, data, &why);
    if (ok(r) && mapping.version != 0 && !fs_exists(data))
        r = failed(&why, RESULT_INPUT, "%s: there is no such file", data);
    policy_free(&policy);
    mapping_free(&mapping);
    if (!ok(r))
        log_error("%s; the site goes on as it was", why.text);
    return ok(r);
}

bool watched_changed(const struct watched *watched)
{
    for (size_t i = 0; i < WATCHED_FILES; i++) {
        const struct stat *was = &watched->seen[i], now = look(watched->path[i]);
        bool same = now.st_ino == was->st_ino && now.st_dev == was->st_dev;
        if (same && i == WATCHED_DATA)
            continue;
        if (same && now.st_size == was->st_size && now.st_mtim.tv_sec == was->st_mtim.tv_sec &&
            now.st_mtim.tv_nsec == was->st_mtim.tv_nsec)
            continue;
        log_info("%s was changed", watched->path[i]);
        return true;
    }
    return false;
}
