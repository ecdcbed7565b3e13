/* SPDX-License-Identifier: Apache-2.0 */
/* CSV and parameters of `consilium stats`: everything is bounded, every refusal names file and
 * line. */
#include "coordinator/cli/stats_input.h"

#include "proto/base/cleanup.h"
#include "proto/base/fs.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct result path_of(const struct stats_job *job, const char *key, char path[FS_PATH_BYTES],
                             struct why *why)
{
    const char *name = stats_text(job->inputs, key, NULL);
    if (!name)
        return failed(why, RESULT_INPUT,
                      "a file is missing, for '%s'; --help tells what each kind "
                      "reads",
                      key);
    if (job->folder && name[0] != '/')
        return fs_join(path, job->folder, name, why);
    if (snprintf(path, FS_PATH_BYTES, "%s", name) >= FS_PATH_BYTES)
        return failed(why, RESULT_INPUT, "the path %.60s... is too long", name);
    return DONE;
}

/* Takes the quotes off a cell that begins with one, doubled quotes as one; returns where it ends.
 */
static char *unquote(char *cell)
{
    char *to = cell;
    char *from = cell + 1;
    while (*from && (*from != '"' || from[1] == '"')) {
        from += *from == '"';
        *to++ = *from++;
    }
    char *end = *from ? from + 1 : from;
    *to = '\0';
    return end;
}

/* Cuts one line at its commas outside quotes into at most limit cells; returns how many there
 * were. */
static size_t cut_line(char *line, char **cells, size_t limit)
{
    size_t count = 0;
    while (true) {
        while (*line == ' ' || *line == '\t')
            line++;
        char *end = *line == '"' ? unquote(line) : line;
        char *comma = strchr(end, ',');
        if (comma)
            *comma = '\0';
        if (count < limit)
            cells[count] = line;
        count++;
        if (!comma)
            return count;
        line = comma + 1;
    }
}

/* Next non-empty line, its end cut off; NULL at the end of the text. number counts all lines. */
static char *next_line(char **rest, uint32_t *number)
{
    while (**rest) {
        char *line = *rest;
        ++*number;
        char *end = strchr(line, '\n');
        *rest = end ? end + 1 : line + strlen(line);
        if (end)
            *end = '\0';
        size_t n = strlen(line);
        while (n > 0 && (line[n - 1] == '\r' || line[n - 1] == ' '))
            line[--n] = '\0';
        if (n > 0)
            return line;
    }
    return NULL;
}

static struct result read_header(struct stats_table *t, char **rest, uint32_t *number,
                                 struct why *why)
{
    static const char MARK[] = "\xEF\xBB\xBF";
    const char *path = t->path;
    if (strncmp(*rest, MARK, sizeof MARK - 1) == 0)
        *rest += sizeof MARK - 1;
    char *header = next_line(rest, number);
    if (!header)
        return failed(why, RESULT_INPUT,
                      "%s is empty: its first line names the columns; --help tells which", path);
    char *names[STATS_CSV_COLUMNS];
    t->cols = cut_line(header, names, STATS_CSV_COLUMNS);
    if (t->cols > STATS_CSV_COLUMNS)
        return failed(why, RESULT_INPUT, "%s: more than %d columns", path, STATS_CSV_COLUMNS);
    t->names = calloc(t->cols, sizeof *t->names);
    if (!t->names)
        return failed(why, RESULT_SYSTEM, "no memory for %s", path);
    memcpy(t->names, names, t->cols * sizeof *names);
    return DONE;
}

static struct result read_rows(struct stats_table *t, char *rest, uint32_t number, struct why *why)
{
    const char *path = t->path;
    size_t lines = 0;
    for (const char *c = rest; *c; c++)
        lines += *c == '\n';
    lines += 1;
    if (lines > STATS_CSV_ROWS)
        return failed(why, RESULT_INPUT, "%s: more than %d rows", path, STATS_CSV_ROWS);
    t->cells = calloc(lines * t->cols, sizeof *t->cells);
    t->lines = calloc(lines, sizeof *t->lines);
    if (!t->cells || !t->lines)
        return failed(why, RESULT_SYSTEM, "no memory for %zu rows of %s", lines, path);
    for (char *line; (line = next_line(&rest, &number)); t->rows++) {
        size_t count = cut_line(line, t->cells + t->rows * t->cols, t->cols);
        t->lines[t->rows] = number;
        if (count != t->cols)
            return failed(why, RESULT_INPUT, "%s line %u has %zu cells, its header %zu: %s", path,
                          number, count, t->cols,
                          strchr(t->names[0], ';') ? "commas separate cells, not semicolons, and "
                                                     "numbers have a decimal point"
                                                   : "every line has as many as the header");
    }
    return DONE;
}

struct result stats_table_read(const struct stats_job *job, const char *key,
                               struct stats_table *table, struct why *why)
{
    uint32_t number = 0;
    *table = (struct stats_table){0};
    TRY(path_of(job, key, table->path, why));
    size_t n;
    TRY(fs_read(table->path, STATS_CSV_BYTES, &table->text, &n, why));
    char *rest = table->text;
    struct result r = read_header(table, &rest, &number, why);
    if (ok(r))
        r = read_rows(table, rest, number, why);
    if (!ok(r))
        stats_table_free(table);
    return r;
}

void stats_table_free(struct stats_table *table)
{
    free(table->text);
    free(table->names);
    free(table->cells);
    free(table->lines);
    *table = (struct stats_table){0};
}

int stats_table_find(const struct stats_table *table, const char *name)
{
    for (size_t c = 0; c < table->cols; c++) {
        if (strcmp(table->names[c], name) == 0)
            return (int)c;
    }
    return -1;
}

struct result stats_table_need(const struct stats_table *table, const char *name,
                               size_t *ret_column, struct why *why)
{
    char columns[200] = "";
    size_t used = 0;
    int c = stats_table_find(table, name);
    *ret_column = c < 0 ? 0 : (size_t)c;
    if (c >= 0)
        return DONE;
    for (size_t k = 0; k < table->cols && used < sizeof columns; k++)
        used += (size_t)snprintf(columns + used, sizeof columns - used, "%s%.40s", k ? "," : "",
                                 table->names[k]);
    return failed(why, RESULT_INPUT, "%s line 1 has no column '%s' but '%s': rename one%s",
                  table->path, name, columns,
                  strchr(columns, ';') ? ", and separate them by commas" : "");
}

const char *stats_table_where(const struct stats_table *table, size_t row,
                              char out[STATS_WHERE_BYTES])
{
    snprintf(out, STATS_WHERE_BYTES, "%s line %u", table->path, table->lines[row]);
    return out;
}

static struct result parse_cell(const struct stats_table *table, size_t row, size_t column,
                                double *out, struct why *why)
{
    char *end, where[STATS_WHERE_BYTES];
    const char *text = table->cells[row * table->cols + column];
    *out = strtod(text, &end);
    if (end != text && *end == '\0')
        return DONE;
    *out = (double)NAN;
    if (strcmp(text, "NA") == 0)
        return DONE;
    return failed(why, RESULT_INPUT,
                  "%s, column '%.40s': '%.40s' is no number; leave the row out, or write nan where "
                  "there is none",
                  stats_table_where(table, row, where), table->names[column], text);
}

struct result stats_table_column(const struct stats_table *table, const char *name, double **out,
                                 struct why *why)
{
    size_t c = 0;
    *out = NULL;
    TRY(stats_table_need(table, name, &c, why));
    CLEANUP(free_pointer) double *column = calloc(table->rows ? table->rows : 1, sizeof *column);
    if (!column)
        return failed(why, RESULT_SYSTEM, "no memory for %zu rows", table->rows);
    for (size_t i = 0; i < table->rows; i++)
        TRY(parse_cell(table, i, c, &column[i], why));
    *out = TAKE(column);
    return DONE;
}

struct result stats_table_matrix(const struct stats_table *table, double **out, struct why *why)
{
    size_t n = table->rows * table->cols;
    CLEANUP(free_pointer) double *matrix = calloc(n ? n : 1, sizeof *matrix);
    *out = NULL;
    if (!matrix)
        return failed(why, RESULT_SYSTEM, "no memory for %zu cells", n);
    for (size_t i = 0; i < n; i++)
        TRY(parse_cell(table, i / table->cols, i % table->cols, &matrix[i], why));
    *out = TAKE(matrix);
    return DONE;
}

bool stats_number(const json_t *value, double *out)
{
    if (json_is_number(value)) {
        *out = json_number_value(value);
        return true;
    }
    const char *text = json_string_value(value);
    if (!text ||
        (strcmp(text, "inf") != 0 && strcmp(text, "-inf") != 0 && strcmp(text, "nan") != 0))
        return false;
    *out = strtod(text, NULL);
    return true;
}

struct result stats_real(const json_t *inputs, const char *key, double fallback, double *out,
                         struct why *why)
{
    const json_t *value = json_object_get(inputs, key);
    *out = fallback;
    if (!value || json_is_null(value) || stats_number(value, out))
        return DONE;
    return failed(why, RESULT_INPUT, "'%s' must be a number", key);
}

struct result stats_whole(const json_t *inputs, const char *key, uint64_t fallback, uint64_t *out,
                          struct why *why)
{
    const json_t *value = json_object_get(inputs, key);
    *out = fallback;
    if (!value || json_is_null(value))
        return DONE;
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *out = (uint64_t)json_integer_value(value);
        return DONE;
    }
    const char *text = json_string_value(value);
    if (text && *text >= '0' && *text <= '9') {
        char *end;
        errno = 0;
        unsigned long long parsed = strtoull(text, &end, 10);
        if (errno == 0 && *end == '\0') {
            *out = parsed;
            return DONE;
        }
    }
    return failed(why, RESULT_INPUT, "'%s' must be a whole number, not negative", key);
}

const char *stats_text(const json_t *inputs, const char *key, const char *fallback)
{
    const char *text = json_string_value(json_object_get(inputs, key));
    return text ? text : fallback;
}

struct result stats_reals(const json_t *inputs, const char *key, double **out, size_t *n,
                          struct why *why)
{
    *out = NULL;
    *n = 0;
    const json_t *array = json_object_get(inputs, key);
    /* A single number on the command line is a list of one. */
    size_t size = json_is_number(array) ? 1 : json_array_size(array);
    if (size == 0 || size > STATS_INPUT_ITEMS)
        return failed(why, RESULT_INPUT, "'%s' must be a list of 1 to %d numbers", key,
                      STATS_INPUT_ITEMS);
    CLEANUP(free_pointer) double *values = calloc(size, sizeof *values);
    if (!values)
        return failed(why, RESULT_SYSTEM, "no memory for %zu numbers", size);
    for (size_t i = 0; i < size; i++) {
        const json_t *item = json_is_number(array) ? array : json_array_get(array, i);
        if (!stats_number(item, &values[i]))
            return failed(why, RESULT_INPUT, "'%s' holds something that is no number", key);
    }
    *out = TAKE(values);
    *n = size;
    return DONE;
}

json_t *stats_json(double value)
{
    if (isnan(value))
        return json_string("nan");
    if (isinf(value))
        return json_string(value > 0.0 ? "inf" : "-inf");
    return json_real(value);
}

json_t *stats_json_or_null(double value)
{
    return isnan(value) ? json_null() : stats_json(value);
}

json_t *stats_json_pair(const double pair[2])
{
    return stats_json_reals(2, pair);
}

json_t *stats_json_reals(size_t n, const double *values)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < n; i++)
        json_array_append_new(array, stats_json(values[i]));
    return array;
}
