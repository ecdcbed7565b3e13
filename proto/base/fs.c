/* SPDX-License-Identifier: Apache-2.0 */
/* Files read whole within a limit, and written so that a crash leaves the old or the new one. */
#include "proto/base/fs.h"

#include "proto/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum result_code code_of_errno(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case EACCES:
    case EPERM:
    case EISDIR:
    case ENAMETOOLONG:
    case ELOOP:
        return RESULT_INPUT;
    default:
        return RESULT_SYSTEM;
    }
}

static struct result failed_errno(struct why *why, const char *action, const char *path)
{
    int error = errno;
    return failed(why, code_of_errno(error), "cannot %s %s: %s", action, path, strerror(error));
}

struct result fs_read(const char *path, size_t limit, char **ret_text, size_t *ret_n,
                      struct why *why)
{
    /* O_NONBLOCK: a fifo in the file's place must not hang us. */
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return failed_errno(why, "read", path);
    struct stat st;
    if (fstat(fd, &st) != 0)
        return failed_errno(why, "read", path);
    if (!S_ISREG(st.st_mode))
        return failed(why, RESULT_INPUT, "cannot read %s: not a regular file", path);
    if (st.st_size < 0 || (unsigned long long)st.st_size > limit)
        return failed(why, RESULT_INPUT, "%s has %lld bytes, at most %zu are allowed", path,
                      (long long)st.st_size, limit);
    size_t capacity = (size_t)st.st_size;
    CLEANUP(free_pointer) char *text = malloc(capacity + 1);
    if (!text)
        return failed(why, RESULT_SYSTEM, "no memory to read %s", path);
    size_t n = 0;
    while (n < capacity) {
        ssize_t got = read(fd, text + n, capacity - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failed_errno(why, "read", path);
        if (got == 0)
            break;
        n += (size_t)got;
    }
    text[n] = '\0';
    if (ret_n)
        *ret_n = n;
    *ret_text = TAKE(text);
    return DONE;
}

static struct result write_all(int fd, const char *bytes, size_t n, const char *path,
                               struct why *why)
{
    while (n > 0) {
        ssize_t put = write(fd, bytes, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return failed_errno(why, "write", path);
        bytes += put;
        n -= (size_t)put;
    }
    return DONE;
}

static struct result sync_folder_of(const char *path, struct why *why)
{
    char folder[FS_PATH_BYTES];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (!slash)
        strcpy(folder, ".");
    else if (slash == folder)
        folder[1] = '\0';
    else
        *slash = '\0';
    CLEANUP(close_fd) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return failed_errno(why, "sync the folder", folder);
    return DONE;
}

static struct result write_and_rename(int fd, const char *temporary, const char *path,
                                      const void *bytes, size_t n, mode_t mode, struct why *why)
{
    TRY(write_all(fd, bytes, n, path, why));
    if (fchmod(fd, mode) != 0)
        return failed_errno(why, "set the mode of", path);
    if (fsync(fd) != 0)
        return failed_errno(why, "sync", path);
    if (rename(temporary, path) != 0)
        return failed_errno(why, "replace", path);
    return DONE;
}

struct result fs_write_atomic(const char *path, const void *bytes, size_t n, mode_t mode,
                              struct why *why)
{
    static atomic_uint counter;
    char temporary[FS_PATH_BYTES];
    int length = snprintf(temporary, sizeof temporary, "%s.new-%ld-%u", path, (long)getpid(),
                          atomic_fetch_add(&counter, 1));
    if (length < 0 || (size_t)length >= sizeof temporary)
        return failed(why, RESULT_INPUT, "the path %.60s... is too long", path);
    CLEANUP(close_fd) int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST) {
        /* Left by a process of the same number that was killed. */
        unlink(temporary);
        fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    }
    if (fd < 0)
        return failed_errno(why, "write", path);
    struct result r = write_and_rename(fd, temporary, path, bytes, n, mode, why);
    if (!ok(r)) {
        unlink(temporary);
        return r;
    }
    return sync_folder_of(path, why);
}

static struct result make_dir(const char *path, mode_t mode, struct why *why)
{
    if (mkdir(path, mode) == 0)
        return DONE;
    if (errno != EEXIST)
        return failed_errno(why, "make the folder", path);
    struct stat st;
    if (stat(path, &st) != 0)
        return failed_errno(why, "make the folder", path);
    if (!S_ISDIR(st.st_mode))
        return failed(why, RESULT_INPUT, "%s exists and is not a folder", path);
    return DONE;
}

struct result fs_make_dirs(const char *path, mode_t mode, struct why *why)
{
    char part[FS_PATH_BYTES];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof part)
        return failed(why, RESULT_INPUT, "the path of a folder has 1 to %zu characters",
                      sizeof part - 1);
    memcpy(part, path, n + 1);
    for (size_t i = 1; i < n; i++) {
        if (part[i] != '/')
            continue;
        part[i] = '\0';
        TRY(make_dir(part, mode, why));
        part[i] = '/';
    }
    return make_dir(part, mode, why);
}

struct result fs_join(char out[FS_PATH_BYTES], const char *folder, const char *name,
                      struct why *why)
{
    int n = snprintf(out, FS_PATH_BYTES, "%s/%s", folder, name);
    if (n < 0 || n >= FS_PATH_BYTES)
        return failed(why, RESULT_INPUT, "the path %.60s.../%.60s is too long", folder, name);
    return DONE;
}

bool fs_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}
