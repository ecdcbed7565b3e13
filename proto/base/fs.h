/* SPDX-License-Identifier: Apache-2.0 */
/* Files read whole within a limit, and written so that a crash leaves the old or the new one. */
#ifndef CONSILIUM_BASE_FS_H
#define CONSILIUM_BASE_FS_H

#include "proto/base/result.h"

#include <stddef.h>
#include <sys/types.h>

enum { FS_PATH_BYTES = 1024 /* paths that we build; longer ones are refused */ };

/* Reads a whole regular file of at most limit bytes. *ret_text is owned by the caller (free) and
 * has a closing zero beyond *ret_n, which may be NULL. Errors: RESULT_INPUT when the file is
 * missing, not readable, not a regular file or larger than limit; RESULT_SYSTEM for the rest. */
struct result fs_read(const char *path, size_t limit, char **ret_text, size_t *ret_n,
                      struct why *why) MUST_CHECK;

/* Replaces the file at path by n bytes with exactly this mode: temporary file in the same folder,
 * fsync, rename, fsync of the folder. On failure the old file is untouched. */
struct result fs_write_atomic(const char *path, const void *bytes, size_t n, mode_t mode,
                              struct why *why) MUST_CHECK;

/* Makes a folder and its missing parents; only folders made here get the mode (and umask). An
 * existing folder is fine, anything else of that name is RESULT_INPUT. */
struct result fs_make_dirs(const char *path, mode_t mode, struct why *why) MUST_CHECK;

/* Joins folder and name into out; RESULT_INPUT when it does not fit. */
struct result fs_join(char out[FS_PATH_BYTES], const char *folder, const char *name,
                      struct why *why) MUST_CHECK;

/* Anything of that name exists. */
bool fs_exists(const char *path);

#endif
