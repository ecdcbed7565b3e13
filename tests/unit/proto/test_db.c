/* SPDX-License-Identifier: Apache-2.0 */
/* Values survive, transactions are all or nothing, migrations run once, newer files are refused. */
#include "proto/base/db.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const MIGRATIONS[] = {
    "CREATE TABLE a(x INTEGER, y REAL, z TEXT, b BLOB) STRICT",
    "CREATE TABLE c(x INTEGER) STRICT; INSERT INTO c VALUES (1)",
};

static const char INSERT[] = "INSERT INTO a VALUES (?, ?, ?, ?)";
static const char COUNT[] = "SELECT count(*) FROM a WHERE x >= ?";

static uint64_t count(struct db *db)
{
    struct db_rows rows;
    bool row = false;
    assert_true(ok(db_query(db, &rows, NULL, COUNT, db_int(0))));
    assert_true(ok(db_next(&rows, &row, NULL)));
    uint64_t n = db_column_int(&rows, 0);
    db_end(&rows);
    return n;
}

static void values_survive(void **state)
{
    (void)state;
    struct db *db = NULL;
    struct why why;
    assert_true(ok(db_open(":memory:", DB_READ_WRITE, &db, &why)));
    assert_true(ok(db_migrate(db, MIGRATIONS, 2, &why)));
    assert_true(
        ok(db_run(db, &why, INSERT, db_int(7), db_real(.1), db_text("ä"), db_blob("\0\1", 2))));
    struct db_rows rows;
    bool row = false;
    assert_true(ok(db_query(db, &rows, &why, "SELECT x, y, z, b FROM a WHERE x = ?", db_int(7))));
    assert_true(ok(db_next(&rows, &row, &why)) && row);
    assert_int_equal(db_column_int(&rows, 0), 7);
    assert_true(db_column_real(&rows, 1) == .1);
    char text[3];
    db_column_string(&rows, 2, text, sizeof text);
    assert_string_equal(text, "ä");
    unsigned char blob[3];
    assert_true(db_column_copy(&rows, 3, blob, 2));
    assert_int_equal(blob[1], 1);
    assert_false(db_column_copy(&rows, 3, blob, 3));
    assert_true(ok(db_next(&rows, &row, &why)) && !row);
    db_end(&rows);
    assert_int_equal(db_run(db, &why, INSERT, db_int(7)).code, RESULT_SYSTEM);
    assert_int_equal(db_run(db, &why, "INSERT INTO nowhere VALUES (?)", db_int(7)).code,
                     RESULT_SYSTEM);
    db_close(db);
}

static void transactions_are_whole(void **state)
{
    (void)state;
    char folder[] = "/tmp/consilium-db-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char path[64], side[80];
    snprintf(path, sizeof path, "%s/x.db", folder);
    struct db *db = NULL;
    struct why why;
    assert_true(ok(db_open(path, DB_READ_WRITE, &db, &why)));
    assert_true(ok(db_migrate(db, MIGRATIONS, 1, &why)));
    assert_true(ok(db_begin(db, &why)));
    assert_true(
        ok(db_run(db, &why, INSERT, db_int(1), db_real(0), db_text(NULL), db_blob(NULL, 0))));
    db_rollback(db);
    assert_int_equal(count(db), 0);
    assert_true(ok(db_begin(db, &why)));
    assert_true(
        ok(db_run(db, &why, INSERT, db_int(1), db_real(0), db_text(NULL), db_blob(NULL, 0))));
    assert_true(ok(db_commit(db, &why)));
    db_close(db);
    assert_true(ok(db_open(path, DB_READ_WRITE, &db, &why)));
    assert_true(ok(db_migrate(db, MIGRATIONS, 2, &why)));
    assert_int_equal(count(db), 1);
    assert_int_equal(db_migrate(db, MIGRATIONS, 1, &why).code, RESULT_INPUT);
    db_close(db);
    assert_true(ok(db_open(path, DB_READ_ONLY, &db, &why)));
    assert_int_equal(db_run(db, &why, "DELETE FROM a WHERE x = ?", db_int(1)).code, RESULT_SYSTEM);
    db_close(db);
    unlink(path);
    snprintf(side, sizeof side, "%s-wal", path);
    unlink(side);
    snprintf(side, sizeof side, "%s-shm", path);
    unlink(side);
    rmdir(folder);
    assert_int_equal(db_open("/nonexistent/x.db", DB_READ_WRITE, &db, &why).code, RESULT_SYSTEM);
    assert_null(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_survive),
        cmocka_unit_test(transactions_are_whole),
    };
    return cmocka_run_group_tests_name("db", tests, NULL, NULL);
}
