/* SPDX-License-Identifier: Apache-2.0 */
/* The only user of sqlite3.h: open, migrate, transactions, kept statements, values in and out. */
#include "proto/base/db.h"

#include "proto/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUSY_WAIT_MS = 5000 };

struct db {
    sqlite3 *handle;
    bool in_transaction;
    size_t count;
    const char *sql[DB_STATEMENTS_MAX];
    sqlite3_stmt *statement[DB_STATEMENTS_MAX];
};

static struct result broken(struct db *db, const char *what, struct why *why)
{
    return failed(why, RESULT_SYSTEM, "database: %s: %s", what, sqlite3_errmsg(db->handle));
}

static struct result execute(struct db *db, const char *sql, struct why *why)
{
    if (sqlite3_exec(db->handle, sql, NULL, NULL, NULL) != SQLITE_OK)
        return broken(db, sql, why);
    return DONE;
}

/* SQLite would create the file readable for everybody that the umask lets. */
static struct result create_private(const char *path, struct why *why)
{
    if (strcmp(path, ":memory:") == 0)
        return DONE;
    CLEANUP(close_fd) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return failed(why, RESULT_SYSTEM, "cannot open the database %s: %s", path, strerror(errno));
    return DONE;
}

static struct result configure(struct db *db, enum db_mode mode, struct why *why)
{
    sqlite3_busy_timeout(db->handle, BUSY_WAIT_MS);
    sqlite3_extended_result_codes(db->handle, 1);
    TRY(execute(db, "PRAGMA foreign_keys=ON", why));
    TRY(execute(db, "PRAGMA cache_size=-2048", why)); /* KiB */
    if (mode == DB_READ_ONLY)
        return DONE;
    TRY(execute(db, "PRAGMA journal_mode=WAL", why));
    TRY(execute(db, "PRAGMA journal_size_limit=4194304", why));
    return execute(db, "PRAGMA synchronous=FULL", why);
}

struct result db_open(const char *path, enum db_mode mode, struct db **ret_db, struct why *why)
{
    *ret_db = NULL;
    if (mode == DB_READ_WRITE)
        TRY(create_private(path, why));
    struct db *db = calloc(1, sizeof *db);
    if (!db)
        return failed(why, RESULT_SYSTEM, "out of memory");
    int flags =
        mode == DB_READ_ONLY ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    if (sqlite3_open_v2(path, &db->handle, flags, NULL) != SQLITE_OK) {
        struct result r = failed(why, RESULT_SYSTEM, "cannot open the database %s: %s", path,
                                 sqlite3_errmsg(db->handle));
        db_close(db);
        return r;
    }
    struct result r = configure(db, mode, why);
    if (!ok(r)) {
        db_close(db);
        return failed_in(why, r, "%s", path);
    }
    *ret_db = db;
    return DONE;
}

void db_close(struct db *db)
{
    if (!db)
        return;
    for (size_t i = 0; i < db->count; i++)
        sqlite3_finalize(db->statement[i]);
    sqlite3_close(db->handle);
    free(db);
}

static struct result schema_version(struct db *db, unsigned *ret_version, struct why *why)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db->handle, "PRAGMA user_version", -1, &statement, NULL) != SQLITE_OK)
        return broken(db, "schema version", why);
    bool found = sqlite3_step(statement) == SQLITE_ROW;
    *ret_version = found ? (unsigned)sqlite3_column_int(statement, 0) : 0;
    sqlite3_finalize(statement);
    return found ? DONE : broken(db, "schema version", why);
}

struct result db_migrate(struct db *db, const char *const *migrations, unsigned n, struct why *why)
{
    unsigned have = 0;
    TRY(schema_version(db, &have, why));
    if (have > n)
        return failed(why, RESULT_INPUT,
                      "the database has schema version %u, this program knows %u; use the newer "
                      "program",
                      have, n);
    for (unsigned i = have; i < n; i++) {
        char stamp[64];
        snprintf(stamp, sizeof stamp, "PRAGMA user_version=%u", i + 1);
        TRY(db_begin(db, why));
        struct result r = execute(db, migrations[i], why);
        if (ok(r))
            r = execute(db, stamp, why);
        if (ok(r))
            r = db_commit(db, why);
        if (!ok(r)) {
            db_rollback(db);
            return r;
        }
    }
    return DONE;
}

struct result db_begin(struct db *db, struct why *why)
{
    TRY(execute(db, "BEGIN IMMEDIATE", why));
    db->in_transaction = true;
    return DONE;
}

struct result db_commit(struct db *db, struct why *why)
{
    TRY(execute(db, "COMMIT", why));
    db->in_transaction = false;
    return DONE;
}

void db_rollback(struct db *db)
{
    if (db->in_transaction)
        sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
    db->in_transaction = false;
}

static struct result find_statement(struct db *db, const char *sql, sqlite3_stmt **ret,
                                    struct why *why)
{
    for (size_t i = 0; i < db->count; i++) {
        if (db->sql[i] == sql) {
            *ret = db->statement[i];
            return DONE;
        }
    }
    if (db->count == DB_STATEMENTS_MAX)
        return failed(why, RESULT_SYSTEM, "database: more than %d statements", DB_STATEMENTS_MAX);
    if (sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL) != SQLITE_OK)
        return broken(db, sql, why);
    db->sql[db->count] = sql;
    db->statement[db->count++] = *ret;
    return DONE;
}

static int bind_value(sqlite3_stmt *statement, int at, const struct db_value *value)
{
    switch (value->type) {
    case DB_TYPE_NULL:
        return sqlite3_bind_null(statement, at);
    case DB_TYPE_INT:
        return sqlite3_bind_int64(statement, at, value->integer);
    case DB_TYPE_REAL:
        return sqlite3_bind_double(statement, at, value->real);
    case DB_TYPE_TEXT:
        return sqlite3_bind_text(statement, at, value->bytes, -1, SQLITE_STATIC);
    case DB_TYPE_BLOB:
        return sqlite3_bind_blob64(statement, at, value->bytes, value->n, SQLITE_STATIC);
    }
    return SQLITE_MISUSE;
}

static struct result prepare(struct db *db, const char *sql, const struct db_value *values,
                             size_t n, sqlite3_stmt **ret, struct why *why)
{
    TRY(find_statement(db, sql, ret, why));
    if (sqlite3_bind_parameter_count(*ret) != (int)n)
        return failed(why, RESULT_SYSTEM, "database: wrong number of values for: %s", sql);
    for (size_t i = 0; i < n; i++)
        if (bind_value(*ret, (int)i + 1, &values[i]) != SQLITE_OK)
            return broken(db, sql, why);
    return DONE;
}

static void release(sqlite3_stmt *statement)
{
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

struct result db_run_values(struct db *db, const char *sql, const struct db_value *values, size_t n,
                            struct why *why)
{
    sqlite3_stmt *statement = NULL;
    TRY(prepare(db, sql, values, n, &statement, why));
    struct result r = DONE;
    if (sqlite3_step(statement) != SQLITE_DONE)
        r = broken(db, sql, why);
    release(statement);
    return r;
}

struct result db_query_values(struct db *db, struct db_rows *rows, const char *sql,
                              const struct db_value *values, size_t n, struct why *why)
{
    *rows = (struct db_rows){.db = db};
    sqlite3_stmt *statement = NULL;
    TRY(prepare(db, sql, values, n, &statement, why));
    rows->statement = statement;
    return DONE;
}

struct result db_next(struct db_rows *rows, bool *ret_row, struct why *why)
{
    int code = sqlite3_step(rows->statement);
    *ret_row = code == SQLITE_ROW;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return broken(rows->db, sqlite3_sql(rows->statement), why);
    return DONE;
}

void db_end(struct db_rows *rows)
{
    if (rows->statement)
        release(rows->statement);
    rows->statement = NULL;
}

uint64_t db_column_int(struct db_rows *rows, int column)
{
    return (uint64_t)sqlite3_column_int64(rows->statement, column);
}

double db_column_real(struct db_rows *rows, int column)
{
    return sqlite3_column_double(rows->statement, column);
}

const char *db_column_text(struct db_rows *rows, int column)
{
    const char *text = (const char *)sqlite3_column_text(rows->statement, column);
    return text ? text : "";
}

const void *db_column_blob(struct db_rows *rows, int column, size_t *ret_n)
{
    const void *bytes = sqlite3_column_blob(rows->statement, column);
    *ret_n = (size_t)sqlite3_column_bytes(rows->statement, column);
    return bytes;
}

bool db_column_copy(struct db_rows *rows, int column, void *out, size_t n)
{
    size_t have = 0;
    const void *bytes = db_column_blob(rows, column, &have);
    if (have != n || !bytes) {
        memset(out, 0, n);
        return false;
    }
    memcpy(out, bytes, n);
    return true;
}

void db_column_string(struct db_rows *rows, int column, char *out, size_t size)
{
    const char *text = db_column_text(rows, column);
    size_t n = strnlen(text, size - 1);
    memcpy(out, text, n);
    memset(out + n, 0, size - n);
}
