/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what `consilium stats` is given: CSV columns, parameters, and doubles in JSON. */
#ifndef CONSILIUM_CLI_STATS_INPUT_H
#define CONSILIUM_CLI_STATS_INPUT_H

#include "coordinator/cli/cmd_stats.h"
#include "proto/base/fs.h"

#include <stdint.h>

enum {
    STATS_CSV_BYTES = 1 << 30,
    STATS_CSV_COLUMNS = 1024,
    STATS_CSV_ROWS = 20000000,
    STATS_WHERE_BYTES = FS_PATH_BYTES + 32,
};

/* A CSV file with a header line; cells stay text until a column is asked for. A byte-order mark is
 * passed over, as are empty lines. */
struct stats_table {
    size_t rows, cols;
    char path[FS_PATH_BYTES];
    uint32_t *lines; /* [rows] of the file, from 1 */
    char *text;      /* the file, cut into cells */
    char **names;    /* [cols] */
    char **cells;    /* [rows][cols] */
};

/* Reads the file that inputs[key] names. INPUT when it is missing, ragged, or past a limit. */
struct result stats_table_read(const struct stats_job *job, const char *key,
                               struct stats_table *table, struct why *why) MUST_CHECK;
void stats_table_free(struct stats_table *table);

/* Column number by name, or -1; or RESULT_INPUT with the columns that there are. */
int stats_table_find(const struct stats_table *table, const char *name);
struct result stats_table_need(const struct stats_table *table, const char *name,
                               size_t *ret_column, struct why *why) MUST_CHECK;

/* "FILE line N" of a row. */
const char *stats_table_where(const struct stats_table *table, size_t row,
                              char out[STATS_WHERE_BYTES]);

/* Column as new [rows] doubles (owned by the caller); "nan" and "NA" are NaN. INPUT with file, line
 * and column when the column is missing or a cell holds no number. */
struct result stats_table_column(const struct stats_table *table, const char *name, double **out,
                                 struct why *why) MUST_CHECK;

/* The whole table as new [rows][cols] doubles; INPUT as above. */
struct result stats_table_matrix(const struct stats_table *table, double **out,
                                 struct why *why) MUST_CHECK;

/* Parameters: the value in inputs, or the fallback when absent. INPUT when it is not of that type.
 * A whole number may be given as text (seeds past 2^53). */
struct result stats_real(const json_t *inputs, const char *key, double fallback, double *out,
                         struct why *why) MUST_CHECK;
struct result stats_whole(const json_t *inputs, const char *key, uint64_t fallback, uint64_t *out,
                          struct why *why) MUST_CHECK;
const char *stats_text(const json_t *inputs, const char *key, const char *fallback);

/* inputs[key] as new doubles; INPUT when missing, not an array of numbers, or too long. */
struct result stats_reals(const json_t *inputs, const char *key, double **out, size_t *n,
                          struct why *why) MUST_CHECK;

/* A number that JSON may hold as "inf", "-inf" or "nan". False when it is something else. */
bool stats_number(const json_t *value, double *out);

/* A double as JSON: a real, or the strings above; NULL without memory. */
json_t *stats_json(double value);
json_t *stats_json_pair(const double pair[2]);
json_t *stats_json_reals(size_t n, const double *values);

/* A double that is null when NaN. */
json_t *stats_json_or_null(double value);

#endif
