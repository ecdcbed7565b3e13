/* SPDX-License-Identifier: Apache-2.0 */
/* The humans' decisions, read again through a held descriptor. */
#include "agent/vault/decisions.h"

#include "proto/base/cleanup.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HASH_HEX_BYTES = 2 * PLAN_HASH_BYTES + 1 };

enum consent_human decisions_parse(char *text, size_t n, const char *study, const char *hash_hex)
{
    enum consent_human human = HUMAN_SILENT;
    char *line = text;
    for (char *end; (end = memchr(line, '\n', (size_t)(text + n - line))); line = end + 1) {
        *end = '\0';
        if (strlen(line) != (size_t)(end - line))
            continue;
        bool approve = strncmp(line, "approve ", 8) == 0;
        bool refuse = strncmp(line, "refuse ", 7) == 0;
        if (!approve && !refuse)
            continue;
        const char *name = line + (approve ? 8 : 7);
        size_t name_n = strlen(study);
        if (strncmp(name, study, name_n) == 0 && name[name_n] == ' ' &&
            strcmp(name + name_n + 1, hash_hex) == 0)
            human = approve ? HUMAN_APPROVED : HUMAN_REFUSED;
    }
    return human;
}

struct result decisions_find(int fd, const char *study,
                             const unsigned char plan_hash[PLAN_HASH_BYTES],
                             enum consent_human *ret_human, struct why *why)
{
    struct stat st;
    *ret_human = HUMAN_SILENT;
    if (fstat(fd, &st) < 0)
        return failed(why, RESULT_SYSTEM, "decisions: cannot read: %s", strerror(errno));
    if (st.st_size > DECISIONS_BYTES_MAX)
        return failed(why, RESULT_INPUT, "decisions: larger than %d bytes", DECISIONS_BYTES_MAX);
    size_t n = (size_t)st.st_size, have = 0;
    CLEANUP(free_pointer) char *text = malloc(n + 1);
    if (!text)
        return failed(why, RESULT_SYSTEM, "decisions: no memory to read them");
    while (have < n) {
        ssize_t got = pread(fd, text + have, n - have, (off_t)have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failed(why, RESULT_SYSTEM, "decisions: cannot read: %s", strerror(errno));
        if (got == 0)
            break;
        have += (size_t)got;
    }
    char hex[HASH_HEX_BYTES];
    sodium_bin2hex(hex, sizeof hex, plan_hash, PLAN_HASH_BYTES);
    *ret_human = decisions_parse(text, have, study, hex);
    return DONE;
}

struct result decisions_append(int fd, bool approve, const char *study,
                               const unsigned char plan_hash[PLAN_HASH_BYTES], struct why *why)
{
    char hex[HASH_HEX_BYTES], line[PLAN_NAME_BYTES + HASH_HEX_BYTES + 32];
    sodium_bin2hex(hex, sizeof hex, plan_hash, PLAN_HASH_BYTES);
    /* The leading newline ends a line that a crash may have torn. */
    int n = snprintf(line, sizeof line, "\n%s %s %s\n", approve ? "approve" : "refuse", study, hex);
    if (flock(fd, LOCK_EX) < 0 || lseek(fd, 0, SEEK_END) < 0 || write(fd, line, (size_t)n) != n ||
        fsync(fd) < 0)
        return failed(why, RESULT_SYSTEM, "decisions: cannot write: %s", strerror(errno));
    return DONE;
}
