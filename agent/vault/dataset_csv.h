/* SPDX-License-Identifier: Apache-2.0 */
/* A strict, bounded reader of comma-separated records (RFC 4180), one record at a time. */
#ifndef CONSILIUM_VAULT_DATASET_CSV_H
#define CONSILIUM_VAULT_DATASET_CSV_H

#include "proto/base/result.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    CSV_FIELDS_MAX = 2048,
    CSV_RECORD_BYTES_MAX = 1 << 18, /* all fields of one record */
    CSV_FIELD_BYTES_MAX = 4096,
    CSV_BUFFER_BYTES = 1 << 16,
};

/* Reads UTF-8 with LF or CRLF line ends and an optional byte order mark. Fields may be quoted; a
 * doubled quote inside stands for one, and line ends may stand inside. Refused: text around a
 * quoted field, a quote in an unquoted one, control characters, invalid UTF-8, a record with
 * another number of fields than the first, anything past the limits. Messages name the file, the
 * line and the column, never a field's text. */
struct csv {
    FILE *file;       /* borrowed */
    const char *name; /* borrowed; for messages */
    uint64_t line;    /* on which the current record began, from 1 */
    unsigned fields;  /* of the current record */
    unsigned width;   /* fields of the first record */
    uint64_t next_line;
    size_t used; /* bytes of record */
    size_t at, filled;
    uint32_t start[CSV_FIELDS_MAX];
    char record[CSV_RECORD_BYTES_MAX];
    unsigned char buffer[CSV_BUFFER_BYTES];
};

/* The caller owns *ret_csv and ends it with csv_close, which wipes it and leaves file open. */
struct result csv_open(struct csv **ret_csv, FILE *file, const char *name,
                       struct why *why) MUST_CHECK;
void csv_close(struct csv *csv);

/* Reads the next record; *ret_end is set, and no record read, at the end of the file. Blank lines
 * at the end of the file are passed over. */
struct result csv_next(struct csv *csv, bool *ret_end, struct why *why) MUST_CHECK;

/* Field i < csv->fields of the current record, zero-terminated, valid until the next csv_next. */
const char *csv_field(const struct csv *csv, unsigned i);

#endif
