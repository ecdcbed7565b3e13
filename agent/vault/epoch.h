/* SPDX-License-Identifier: Apache-2.0 */
/* The book of holdout epochs and of frozen drift references: what a site must remember of the
 * patients it was judged on, kept in a journal of its own.
 *
 * Patients stand in it as 64 bits of the hash under the site's secret holdout key, never by
 * identifier. Epochs of one label ("line") are numbered from 1 in the order they were first judged
 * on. A study shares the epochs of its label with every other study of this site, so a new study is
 * no way to new questions about the same patients.
 *
 * Records: CHUNK* then EPOCH or REFERENCE, which takes the chunks before it; CHARGED. Chunks that a
 * crash left without their end count for nothing. */
#ifndef CONSILIUM_VAULT_EPOCH_H
#define CONSILIUM_VAULT_EPOCH_H

#include "agent/vault/journal.h"
#include "proto/plan.h"

#include <stdbool.h>

enum {
    BOOK_CHUNK_BYTES = 96 * 1024,
    BOOK_BLOB_MAX = 1 << 26, /* bytes of one epoch or reference */
    BOOK_EPOCHS_MAX = 1 << 16,
    BOOK_REFERENCES_MAX = 1024,
};

enum book_type { BOOK_CHUNK = 1, BOOK_EPOCH, BOOK_CHARGED, BOOK_REFERENCE };

/* Where a blob lies in the file. */
struct book_blob {
    uint64_t *offset; /* [parts] owned */
    uint32_t *length; /* [parts] owned */
    size_t parts, n;
};

struct epoch {
    char line[PLAN_NAME_BYTES]; /* the plan's label column */
    uint32_t number;
    uint64_t begun_ms;
    uint64_t models;    /* judged on it, over all studies */
    uint32_t tasks;     /* that judged */
    uint64_t *patients; /* [n] ascending, owned */
    size_t n;
    char study[PLAN_NAME_BYTES]; /* of the last charge */
    uint32_t task;
};

/* What the values were when the study was activated; the body is reference.h's. */
struct book_reference {
    char study[PLAN_NAME_BYTES];
    unsigned char plan_hash[PLAN_HASH_BYTES];
    uint64_t frozen_ms;
    struct book_blob blob;
};

struct epoch_book {
    struct journal journal;
    struct epoch *epochs; /* owned */
    size_t epochs_count;
    struct book_reference *references; /* owned */
    size_t references_count;
    struct book_blob pending; /* chunks without their end yet */
};

/* As journal_open and journal_scan. */
struct result epoch_book_open(struct epoch_book *book, int fd, const char *name,
                              struct why *why) MUST_CHECK;
struct result epoch_book_look(struct epoch_book *book, int fd, const char *name,
                              struct why *why) MUST_CHECK;
void epoch_book_free(struct epoch_book *book);

enum epoch_fate {
    EPOCH_KNOWN,     /* exactly the patients of an epoch of the line */
    EPOCH_NEW,       /* at least a cell apart from every one of them */
    EPOCH_TOO_CLOSE, /* neither can be made of these patients */
};

struct epoch_choice {
    enum epoch_fate fate;
    size_t index;    /* EPOCH_KNOWN: in the book */
    uint32_t number; /* it has, or will have */
    uint64_t *kept;  /* [kept_n] ascending: who is judged on; owned by the caller (free) */
    size_t kept_n;
    size_t waiting;  /* patients that came, and wait until they are a cell */
    size_t left_out; /* patients left out so that those who left cannot be found by subtraction */
};

/* Which epoch the patients [n] (ascending, different) of a line make: no two epochs differ by fewer
 * than cell patients. Newcomers fewer than a cell wait. Where fewer than a cell have left, so many
 * of the lowest hashes are left out with them that a cell is missing. RESULT_SYSTEM without memory.
 */
struct result epoch_choose(const struct epoch_book *book, const char *line,
                           const uint64_t *patients, size_t n, unsigned cell,
                           struct epoch_choice *ret_choice, struct why *why) MUST_CHECK;

/* Notes that models of a study's task are judged on the chosen epoch, which is entered first if it
 * is new; on disk before it returns. The same task again costs nothing more. *ret_index is the
 * epoch's place. */
struct result epoch_charge(struct epoch_book *book, const char *line,
                           const struct epoch_choice *choice, uint64_t now_ms, const char *study,
                           uint32_t task, uint32_t models, size_t *ret_index,
                           struct why *why) MUST_CHECK;

/* Whether the last charge of an epoch was this task's. */
bool epoch_charged_for(const struct epoch *epoch, const char *study, uint32_t task);

/* Keeps bytes as the study's reference. */
struct result book_freeze(struct epoch_book *book, uint64_t now_ms, const char *study,
                          const unsigned char plan_hash[PLAN_HASH_BYTES],
                          const unsigned char *bytes, size_t n, struct why *why) MUST_CHECK;

/* NULL: none was frozen for that plan. */
const struct book_reference *book_reference_of(const struct epoch_book *book, const char *study,
                                               const unsigned char plan_hash[PLAN_HASH_BYTES]);

/* The bytes; *ret_bytes is owned by the caller, who wipes it (free). */
struct result book_read(const struct epoch_book *book, const struct book_blob *blob,
                        unsigned char **ret_bytes, struct why *why) MUST_CHECK;

/* Takes one record; the reader of the journal, and fuzz targets. */
struct result epoch_book_apply(struct epoch_book *book, const struct journal_record *record,
                               struct why *why) MUST_CHECK;

#endif
