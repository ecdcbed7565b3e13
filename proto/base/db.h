/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite as this house uses it: WAL, synchronous=FULL, one writer, append-only migrations. */
#ifndef CONSILIUM_BASE_DB_H
#define CONSILIUM_BASE_DB_H

#include "proto/base/result.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DB_STATEMENTS_MAX = 96 /* different SQL texts of one process */ };

struct db;

enum db_mode { DB_READ_WRITE, DB_READ_ONLY };

/* Opens (and with DB_READ_WRITE creates, mode 0600) the database at path; ":memory:" is a private
 * one for tests. RESULT_SYSTEM with the reason. Close with db_close, which accepts NULL. */
struct result db_open(const char *path, enum db_mode mode, struct db **ret_db,
                      struct why *why) MUST_CHECK;
void db_close(struct db *db);

/* Brings the schema to version n by running migrations[have..n), each in its own transaction. A
 * database of a newer version is RESULT_INPUT. Migrations are only ever appended. */
struct result db_migrate(struct db *db, const char *const *migrations, unsigned n,
                         struct why *why) MUST_CHECK;

/* One write transaction. db_rollback without one is harmless. */
struct result db_begin(struct db *db, struct why *why) MUST_CHECK;
struct result db_commit(struct db *db, struct why *why) MUST_CHECK;
void db_rollback(struct db *db);

/* A value bound to a "?" of the SQL; texts and blobs are borrowed until the call returns (db_run)
 * or db_end (db_query). */
struct db_value {
    enum db_type { DB_TYPE_NULL, DB_TYPE_INT, DB_TYPE_REAL, DB_TYPE_TEXT, DB_TYPE_BLOB } type;
    int64_t integer;
    double real;
    const void *bytes;
    size_t n;
};

static inline struct db_value db_int(uint64_t v)
{
    return (struct db_value){.type = DB_TYPE_INT, .integer = (int64_t)v};
}

static inline struct db_value db_real(double v)
{
    return (struct db_value){.type = DB_TYPE_REAL, .real = v};
}

static inline struct db_value db_text(const char *v)
{
    return (struct db_value){.type = v ? DB_TYPE_TEXT : DB_TYPE_NULL, .bytes = v};
}

static inline struct db_value db_blob(const void *v, size_t n)
{
    return (struct db_value){.type = v ? DB_TYPE_BLOB : DB_TYPE_NULL, .bytes = v, .n = n};
}

/* Runs one statement that returns no rows. sql is a literal: statements are kept by its address. */
struct result db_run_values(struct db *db, const char *sql, const struct db_value *values, size_t n,
                            struct why *why) MUST_CHECK;
#define db_run(db, why, sql, ...)                                                                  \
    db_run_values(db, sql, (struct db_value[]){__VA_ARGS__},                                       \
                  sizeof((struct db_value[]){__VA_ARGS__}) / sizeof(struct db_value), why)

/* Rows of a SELECT. Every started query is ended with db_end, also after an error. */
struct db_rows {
    struct db *db;
    void *statement;
};
struct result db_query_values(struct db *db, struct db_rows *rows, const char *sql,
                              const struct db_value *values, size_t n, struct why *why) MUST_CHECK;
#define db_query(db, rows, why, sql, ...)                                                          \
    db_query_values(db, rows, sql, (struct db_value[]){__VA_ARGS__},                               \
                    sizeof((struct db_value[]){__VA_ARGS__}) / sizeof(struct db_value), why)

/* Moves to the next row; *ret_row is false at the end. */
struct result db_next(struct db_rows *rows, bool *ret_row, struct why *why) MUST_CHECK;
void db_end(struct db_rows *rows);

/* Columns of the current row, from 0; valid until the next db_next or db_end. A NULL text is "". */
uint64_t db_column_int(struct db_rows *rows, int column);
double db_column_real(struct db_rows *rows, int column);
const char *db_column_text(struct db_rows *rows, int column);
const void *db_column_blob(struct db_rows *rows, int column, size_t *ret_n);

/* Copies a blob of exactly n bytes; false, and zeroes, when it has another size. */
bool db_column_copy(struct db_rows *rows, int column, void *out, size_t n);
void db_column_string(struct db_rows *rows, int column, char *out, size_t size);

#endif
