/* SPDX-License-Identifier: Apache-2.0 */
/* An append-only, hash-chained file on a held descriptor, synced before it returns.
 *
 * The file is a sequence of records, little-endian:
 *
 *   magic 4 | type 2 | version 2 | length 4 | reserved 4 | sequence 8 | time 8 | previous 32
 *   | body (length) | hash 32
 *
 * hash is BLAKE2b-256 over everything before it in the record; previous is the hash of the record
 * before, zeros for the first. A crash can tear only the last record, since each is synced before
 * the next begins: a torn tail is cut off when the file is opened, and nothing had been built on
 * it. A record that does not fit with more records after it was altered: opening refuses. */
#ifndef CONSILIUM_VAULT_JOURNAL_H
#define CONSILIUM_VAULT_JOURNAL_H

#include "proto/base/result.h"

#include <stddef.h>
#include <stdint.h>

enum {
    JOURNAL_HASH_BYTES = 32,
    JOURNAL_BODY_MAX = 128 * 1024,
    JOURNAL_RECORDS_MAX = 1 << 24,
};

struct journal_record {
    uint16_t type;
    uint64_t sequence; /* from 1 */
    uint64_t time_ms;  /* Unix time */
    unsigned char hash[JOURNAL_HASH_BYTES];
    uint64_t offset;           /* of the body in the file */
    const unsigned char *body; /* borrowed, valid during the call only */
    size_t n;
};

/* Takes each record while the file is read; an error stops the reading and is handed on. */
typedef struct result journal_reader(void *context, const struct journal_record *record,
                                     struct why *why);

struct journal {
    int fd;            /* borrowed */
    const char *name;  /* for messages; borrowed */
    uint64_t end;      /* where the next record goes */
    uint64_t sequence; /* of the last record; 0 = none */
    unsigned char head[JOURNAL_HASH_BYTES];
    uint64_t cut; /* bytes of a torn record that opening left out */
    bool broken;  /* a write failed half-way: nothing more is appended */
};

/* Locks the file against a second writer, reads it through reader, and cuts a torn tail off.
 * fd is open for reading and writing and stays the caller's. Errors: RESULT_AGAIN when another
 * process holds the lock, RESULT_REFUSED when the file was altered, RESULT_SYSTEM. */
struct result journal_open(struct journal *journal, int fd, const char *name,
                           journal_reader *reader, void *context, struct why *why) MUST_CHECK;

/* Reads a journal without lock and without changing it, for those who only look. */
struct result journal_scan(struct journal *journal, int fd, const char *name,
                           journal_reader *reader, void *context, struct why *why) MUST_CHECK;

/* Appends a record and syncs it. On failure nothing was appended, and the journal takes no more
 * records if what is on disk is unknown. ret_record may be NULL; its body is the caller's. */
struct result journal_append(struct journal *journal, uint16_t type, uint64_t time_ms,
                             const unsigned char *body, size_t n, struct journal_record *ret_record,
                             struct why *why) MUST_CHECK;

/* The hash of an earlier record, or of none for 0: sequence <= journal->sequence. */
struct result journal_hash(const struct journal *journal, uint64_t sequence,
                           unsigned char hash[JOURNAL_HASH_BYTES], struct why *why) MUST_CHECK;

/* Reads n bytes of a body again. */
struct result journal_read(const struct journal *journal, uint64_t offset, void *out, size_t n,
                           struct why *why) MUST_CHECK;

#endif
