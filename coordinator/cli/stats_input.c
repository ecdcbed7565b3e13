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
        return failed(why, RESULT_INPUT, "no file given for '%s'", key);
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

/* Next non-empty line, its end cut off; NULL at the end of the text. */
static char *next_line(char **rest)
{
    while (**rest) {
        char *line = *rest;
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

static struct result read_header(struct stats_table *t, char **rest, const char *path,
                                 struct why *why)
{
    char *header = next_line(rest);
    if (!header)
        return failed(why, RESULT_INPUT, "%s: empty, a header line is needed", path);
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

static struct result read_rows(struct stats_table *t, char *rest, const char *path, struct why *why)
{
    size_t lines = 0;
    for (const char *c = rest; *c; c++)
        lines += *c == '\n';
    lines += 1;
    if (lines > STATS_CSV_ROWS)
        return failed(why, RESULT_INPUT, "%s: more than %d rows", path, STATS_CSV_ROWS);
    t->cells = calloc(lines * t->cols, sizeof *t->cells);
    if (!t->cells)
        return failed(why, RESULT_SYSTEM, "no memory for %zu rows of %s", lines, path);
    for (char *line; (line = next_line(&rest)); t->rows++) {
        size_t count = cut_line(line, t->cells + t->rows * t->cols, t->cols);
        if (count != t->cols)
            return failed(why, RESULT_INPUT, "%s: row %zu has %zu cells, the header %zu%s", path,
                          t->rows + 1, count, t->cols,
                          strchr(t->names[0], ';') ? ": commas separate cells, not semicolons, and "
                                                     "numbers have a decimal point"
                                                   : "");
    }
    return DONE;
}

struct result stats_table_read(const struct stats_job *job, const char *key,
                               struct stats_table *table, struct why *why)
{
    *table = (struct stats_table){0};
    char path[FS_PATH_BYTES];
    TRY(path_of(job, key, path, why));
    size_t n;
    TRY(fs_read(path, STATS_CSV_BYTES, &table->text, &n, why));
    char *rest = table->text;
    if (n >= 3 && memcmp(rest, "\xef\xbb\xbf", 3) == 0)
        rest += 3; /* a byte order mark */
    struct result r = read_header(table, &rest, path, why);
    if (ok(r))
        r = read_rows(table, rest, path, why);
    if (!ok(r))
        stats_table_free(table);
    return r;
}

void stats_table_free(struct stats_table *table)
{
    free(table->text);
    free(table->names);
    free(table->cells);
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

static double parse_cell(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    return end == text || *end != '\0' ? (double)NAN : value;
}

struct result stats_table_column(const struct stats_table *table, const char *name, double **out,
                                 struct why *why)
{
    *out = NULL;
    int c = stats_table_find(table, name);
    if (c < 0)
        return failed(why, RESULT_INPUT, "the CSV has no column '%s'", name);
    double *column = calloc(table->rows ? table->rows : 1, sizeof *column);
    if (!column)
        return failed(why, RESULT_SYSTEM, "no memory for %zu rows", table->rows);
    for (size_t i = 0; i < table->rows; i++)
        column[i] = parse_cell(table->cells[i * table->cols + (size_t)c]);
    *out = column;
    return DONE;
}

struct result stats_table_matrix(const struct stats_table *table, double **out, struct why *why)
{
    size_t n = table->rows * table->cols;
    double *matrix = calloc(n ? n : 1, sizeof *matrix);
    if (!matrix)
        return failed(why, RESULT_SYSTEM, "no memory for %zu cells", n);
    for (size_t i = 0; i < n; i++)
        matrix[i] = parse_cell(table->cells[i]);
    *out = matrix;
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
