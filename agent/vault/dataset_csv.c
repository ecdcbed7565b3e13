/* SPDX-License-Identifier: Apache-2.0 */
/* The reader is a machine of four states over bytes:
 *
 *            quote            quote
 *   START ----------> QUOTED ------> CLOSED --- quote ---> QUOTED (one quote kept)
 *     | other                          |
 *     v          comma, line end       | comma, line end
 *   PLAIN ---------> field ends <------+
 */
#include "agent/vault/dataset_csv.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum csv_state { CSV_START, CSV_PLAIN, CSV_QUOTED, CSV_CLOSED };
enum { CSV_EOF = -1 };

struct result csv_open(struct csv **ret_csv, FILE *file, const char *name, struct why *why)
{
    struct csv *csv = calloc(1, sizeof *csv);
    *ret_csv = csv;
    if (!csv)
        return failed(why, RESULT_SYSTEM, "%s: not enough memory to read the file", name);
    csv->file = file;
    csv->name = name;
    csv->next_line = 1;
    return DONE;
}

void csv_close(struct csv *csv)
{
    if (!csv)
        return;
    sodium_memzero(csv, sizeof *csv);
    free(csv);
}

const char *csv_field(const struct csv *csv, unsigned i)
{
    return csv->record + csv->start[i];
}

static int peek(struct csv *csv)
{
    if (csv->at == csv->filled) {
        csv->filled = fread(csv->buffer, 1, sizeof csv->buffer, csv->file);
        csv->at = 0;
        if (csv->filled == 0)
            return CSV_EOF;
    }
    return csv->buffer[csv->at];
}

/* Next byte, with CRLF read as LF. A lone CR comes back as itself and is refused as a control
 * character. */
static int next(struct csv *csv)
{
    int c = peek(csv);
    if (c == CSV_EOF)
        return c;
    csv->at++;
    if (c == '\r' && peek(csv) == '\n') {
        csv->at++;
        c = '\n';
    }
    if (c == '\n')
        csv->next_line++;
    return c;
}

static struct result wrong(const struct csv *csv, struct why *why, const char *what)
{
    return failed(why, RESULT_INPUT, "%s, line %llu, field %u: %s", csv->name,
                  (unsigned long long)csv->line, csv->fields + 1, what);
}

static struct result keep(struct csv *csv, int c, struct why *why)
{
    if (csv->used - csv->start[csv->fields] >= CSV_FIELD_BYTES_MAX)
        return wrong(csv, why, "a field is longer than 4096 bytes; a quote may be missing");
    if (csv->used + 1 >= CSV_RECORD_BYTES_MAX)
        return wrong(csv, why, "the record is longer than 262144 bytes; a quote may be missing");
    csv->record[csv->used++] = (char)c;
    return DONE;
}

/* Length of the valid UTF-8 sequence at s (RFC 3629 table 3), 0 when there is none. */
static size_t utf8_length(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

/* The record is zero-terminated here, so that a cut sequence meets a byte that is no tail. */
static bool utf8_valid(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    while (*s) {
        size_t n = utf8_length(s);
        if (n == 0)
            return false;
        s += n;
    }
    return true;
}

static struct result end_field(struct csv *csv, struct why *why)
{
    TRY(keep(csv, 0, why));
    if (!utf8_valid(csv_field(csv, csv->fields)))
        return wrong(csv, why, "the text is not UTF-8; save the file as UTF-8");
    csv->fields++;
    return DONE;
}

static struct result begin_field(struct csv *csv, struct why *why)
{
    if (csv->fields == CSV_FIELDS_MAX)
        return wrong(csv, why, "there are more than 2048 columns");
    csv->start[csv->fields] = (uint32_t)csv->used;
    return DONE;
}

static bool is_control(int c)
{
    return (c < 0x20 && c != '\t' && c != '\n') || c == 0x7f;
}

/* One byte in the middle of a field. */
static struct result consume(struct csv *csv, enum csv_state *state, int c, struct why *why)
{
    if (is_control(c))
        return wrong(csv, why, "a control character; is this a text file in CSV form?");
    switch (*state) {
    case CSV_START:
        *state = c == '"' ? CSV_QUOTED : CSV_PLAIN;
        return c == '"' ? DONE : keep(csv, c, why);
    case CSV_PLAIN:
        if (c == '"')
            return wrong(csv, why,
                         "a quote inside an unquoted field; quote the whole field and "
                         "double the quote");
        return keep(csv, c, why);
    case CSV_QUOTED:
        if (c == '"') {
            *state = CSV_CLOSED;
            return DONE;
        }
        return keep(csv, c, why);
    case CSV_CLOSED:
        if (c != '"')
            return wrong(csv, why, "text after the closing quote of a field");
        *state = CSV_QUOTED;
        return keep(csv, c, why);
    }
    return DONE;
}

/* Reads one record; the file is not at its end. */
static struct result read_record(struct csv *csv, struct why *why)
{
    enum csv_state state = CSV_START;
    csv->line = csv->next_line;
    csv->fields = 0;
    csv->used = 0;
    TRY(begin_field(csv, why));
    for (;;) {
        int c = next(csv);
        bool quoted = state == CSV_QUOTED;
        if (c == CSV_EOF && quoted)
            return wrong(csv, why, "the file ends inside a quoted field");
        if (!quoted && (c == CSV_EOF || c == '\n'))
            return end_field(csv, why);
        if (!quoted && c == ',') {
            TRY(end_field(csv, why));
            TRY(begin_field(csv, why));
            state = CSV_START;
            continue;
        }
        TRY(consume(csv, &state, c, why));
    }
}

static bool blank(const struct csv *csv)
{
    return csv->fields == 1 && csv->record[0] == 0;
}

static void skip_byte_order_mark(struct csv *csv)
{
    if (peek(csv) != 0xef || csv->filled < 3)
        return;
    if (csv->buffer[1] == 0xbb && csv->buffer[2] == 0xbf)
        csv->at = 3;
}

struct result csv_next(struct csv *csv, bool *ret_end, struct why *why)
{
    *ret_end = false;
    bool header = csv->width == 0;
    uint64_t blank_line = 0;
    if (header)
        skip_byte_order_mark(csv);
    for (;;) {
        if (peek(csv) == CSV_EOF) {
            if (ferror(csv->file))
                return failed(why, RESULT_SYSTEM, "%s: cannot be read", csv->name);
            *ret_end = true;
            return DONE;
        }
        TRY(read_record(csv, why));
        if (!blank(csv) || csv->width == 1)
            break;
        blank_line = csv->line;
    }
    if (blank_line != 0 && !header)
        return failed(why, RESULT_INPUT, "%s, line %llu: a blank line between records; remove it",
                      csv->name, (unsigned long long)blank_line);
    if (header)
        csv->width = csv->fields;
    if (csv->fields != csv->width)
        return failed(why, RESULT_INPUT,
                      "%s, line %llu: %u fields where the header has %u; fields are separated by "
                      "commas, and a comma inside a field needs quotes",
                      csv->name, (unsigned long long)csv->line, csv->fields, csv->width);
    return DONE;
}
