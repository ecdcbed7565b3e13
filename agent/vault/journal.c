/* SPDX-License-Identifier: Apache-2.0 */
/* The append-only, hash-chained file under the ledger. */
#include "agent/vault/journal.h"

#include "proto/base/cleanup.h"
#include "proto/base/endian.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    JOURNAL_MAGIC = 0x4c4e5343, /* "CSNL" */
    JOURNAL_VERSION = 1,
    HEADER_BYTES = 64,
    RECORD_MAX = HEADER_BYTES + JOURNAL_BODY_MAX + JOURNAL_HASH_BYTES,
};

/* Reads up to n bytes at offset; *ret_n is less at the end of the file. */
static struct result read_at(const struct journal *journal, uint64_t offset, void *out, size_t n,
                             size_t *ret_n, struct why *why)
{
    size_t have = 0;
    while (have < n) {
        ssize_t got = pread(journal->fd, (char *)out + have, n - have, (off_t)(offset + have));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failed(why, RESULT_SYSTEM, "%s: cannot read: %s", journal->name,
                          strerror(errno));
        if (got == 0)
            break;
        have += (size_t)got;
    }
    *ret_n = have;
    return DONE;
}

static size_t record_bytes(size_t body_n)
{
    return HEADER_BYTES + body_n + JOURNAL_HASH_BYTES;
}

/* Whether the n bytes in buffer begin with the record that must come next. */
static bool record_fits(const struct journal *journal, const unsigned char *buffer, size_t n)
{
    if (n < record_bytes(0) || little_get(buffer, 4) != JOURNAL_MAGIC ||
        little_get(buffer + 6, 2) != JOURNAL_VERSION)
        return false;
    uint64_t body_n = little_get(buffer + 8, 4);
    if (body_n > JOURNAL_BODY_MAX || n < record_bytes((size_t)body_n))
        return false;
    if (little_get(buffer + 16, 8) != journal->sequence + 1 ||
        memcmp(buffer + 32, journal->head, JOURNAL_HASH_BYTES) != 0)
        return false;
    unsigned char hash[JOURNAL_HASH_BYTES];
    crypto_generichash(hash, sizeof hash, buffer, HEADER_BYTES + body_n, NULL, 0);
    return memcmp(hash, buffer + HEADER_BYTES + body_n, sizeof hash) == 0;
}

/* A torn record is shorter than its header says, or all of what follows is one record's worth. */
static bool tail_torn(const unsigned char *buffer, size_t n)
{
    if (n < HEADER_BYTES || little_get(buffer, 4) != JOURNAL_MAGIC)
        return n < RECORD_MAX && (n < HEADER_BYTES || sodium_is_zero(buffer, n));
    return n <= record_bytes((size_t)little_get(buffer + 8, 4));
}

static struct journal_record record_of(const struct journal *journal, const unsigned char *buffer)
{
    size_t n = (size_t)little_get(buffer + 8, 4);
    struct journal_record record = {
        .type = (uint16_t)little_get(buffer + 4, 2),
        .sequence = little_get(buffer + 16, 8),
        .time_ms = little_get(buffer + 24, 8),
        .offset = journal->end + HEADER_BYTES,
        .body = buffer + HEADER_BYTES,
        .n = n,
    };
    memcpy(record.hash, buffer + HEADER_BYTES + n, JOURNAL_HASH_BYTES);
    return record;
}

static void advance(struct journal *journal, const struct journal_record *record)
{
    journal->sequence = record->sequence;
    memcpy(journal->head, record->hash, JOURNAL_HASH_BYTES);
    journal->end = record->offset + record->n + JOURNAL_HASH_BYTES;
}

struct result journal_scan(struct journal *journal, int fd, const char *name,
                           journal_reader *reader, void *context, struct why *why)
{
    *journal = (struct journal){.fd = fd, .name = name};
    CLEANUP(free_pointer) unsigned char *buffer = malloc(RECORD_MAX);
    if (!buffer)
        return failed(why, RESULT_SYSTEM, "%s: no memory to read it", name);
    for (;;) {
        size_t n = 0;
        TRY(read_at(journal, journal->end, buffer, RECORD_MAX, &n, why));
        if (n == 0)
            return DONE;
        if (!record_fits(journal, buffer, n)) {
            if (!tail_torn(buffer, n))
                return failed(why, RESULT_REFUSED,
                              "%s: record %llu does not fit the chain: the file was altered; "
                              "restore it from a backup",
                              name, (unsigned long long)journal->sequence + 1);
            journal->cut = n;
            return DONE;
        }
        if (journal->sequence == JOURNAL_RECORDS_MAX)
            return failed(why, RESULT_REFUSED, "%s: more than %d records", name,
                          JOURNAL_RECORDS_MAX);
        struct journal_record record = record_of(journal, buffer);
        if (reader)
            TRY(reader(context, &record, why));
        advance(journal, &record);
    }
}

struct result journal_open(struct journal *journal, int fd, const char *name,
                           journal_reader *reader, void *context, struct why *why)
{
    *journal = (struct journal){.fd = fd, .name = name};
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return failed(why, errno == EWOULDBLOCK ? RESULT_AGAIN : RESULT_SYSTEM,
                      "%s: cannot lock it: %s", name,
                      errno == EWOULDBLOCK ? "another vault is at work" : strerror(errno));
    TRY(journal_scan(journal, fd, name, reader, context, why));
    if (journal->cut > 0 && (ftruncate(fd, (off_t)journal->end) < 0 || fsync(fd) < 0))
        return failed(why, RESULT_SYSTEM, "%s: cannot cut a torn record off: %s", name,
                      strerror(errno));
    return DONE;
}

static struct result write_all(struct journal *journal, const unsigned char *bytes, size_t n,
                               struct why *why)
{
    size_t done = 0;
    while (done < n) {
        ssize_t put_n = pwrite(journal->fd, bytes + done, n - done, (off_t)(journal->end + done));
        if (put_n < 0 && errno == EINTR)
            continue;
        if (put_n <= 0)
            return failed(why, RESULT_SYSTEM, "%s: cannot write: %s", journal->name,
                          put_n < 0 ? strerror(errno) : "no space");
        done += (size_t)put_n;
    }
    if (fsync(journal->fd) < 0) {
        /* What a failed sync left on disk is unknown. */
        journal->broken = true;
        return failed(why, RESULT_SYSTEM, "%s: cannot sync: %s", journal->name, strerror(errno));
    }
    return DONE;
}

struct result journal_append(struct journal *journal, uint16_t type, uint64_t time_ms,
                             const unsigned char *body, size_t n, struct journal_record *ret_record,
                             struct why *why)
{
    if (journal->broken)
        return failed(why, RESULT_SYSTEM, "%s: an earlier write failed; restart the vault",
                      journal->name);
    if (n > JOURNAL_BODY_MAX || journal->sequence == JOURNAL_RECORDS_MAX)
        return failed(why, RESULT_REFUSED, "%s: no room for another record of %zu bytes",
                      journal->name, n);
    CLEANUP(free_pointer) unsigned char *buffer = calloc(1, record_bytes(n));
    if (!buffer)
        return failed(why, RESULT_SYSTEM, "%s: no memory for a record", journal->name);
    little_put(buffer, JOURNAL_MAGIC, 4);
    little_put(buffer + 4, type, 2);
    little_put(buffer + 6, JOURNAL_VERSION, 2);
    little_put(buffer + 8, n, 4);
    little_put(buffer + 16, journal->sequence + 1, 8);
    little_put(buffer + 24, time_ms, 8);
    memcpy(buffer + 32, journal->head, JOURNAL_HASH_BYTES);
    if (n > 0)
        memcpy(buffer + HEADER_BYTES, body, n);
    crypto_generichash(buffer + HEADER_BYTES + n, JOURNAL_HASH_BYTES, buffer, HEADER_BYTES + n,
                       NULL, 0);
    struct result r = write_all(journal, buffer, record_bytes(n), why);
    if (!ok(r)) {
        if (ftruncate(journal->fd, (off_t)journal->end) < 0)
            journal->broken = true;
        return r;
    }
    struct journal_record record = record_of(journal, buffer);
    advance(journal, &record);
    if (ret_record) {
        *ret_record = record;
        ret_record->body = body;
    }
    return DONE;
}

/* Each header names the record before it, so the record after the one asked for tells its hash. */
struct result journal_hash(const struct journal *journal, uint64_t sequence,
                           unsigned char hash[JOURNAL_HASH_BYTES], struct why *why)
{
    unsigned char header[HEADER_BYTES];
    uint64_t at = 0;
    if (sequence > journal->sequence)
        return failed(why, RESULT_REFUSED, "%s: has no record %llu", journal->name,
                      (unsigned long long)sequence);
    memcpy(hash, journal->head, JOURNAL_HASH_BYTES);
    for (uint64_t i = 0; i <= sequence && sequence < journal->sequence; i++) {
        TRY(journal_read(journal, at, header, sizeof header, why));
        memcpy(hash, header + 32, JOURNAL_HASH_BYTES);
        at += record_bytes((size_t)little_get(header + 8, 4));
    }
    return DONE;
}

struct result journal_read(const struct journal *journal, uint64_t offset, void *out, size_t n,
                           struct why *why)
{
    size_t have = 0;
    TRY(read_at(journal, offset, out, n, &have, why));
    if (have < n)
        return failed(why, RESULT_SYSTEM, "%s: ends too early", journal->name);
    return DONE;
}
