/* SPDX-License-Identifier: Apache-2.0 */
/* Validation and monitor rows. */
#include "coordinator/monitors.h"

#include "coordinator/store_inner.h"

#include <stdlib.h>
#include <string.h>

#define VALIDATION_COLUMNS                                                                         \
    "study, task, model, asker, command, look, opened_ms, closed_ms, record, gate"

struct result validations_open(struct store *store, const struct validation_row *row,
                               struct why *why)
{
    static const char SQL[] = "INSERT INTO validations(" VALIDATION_COLUMNS ")"
                              " VALUES (?, ?, ?, ?, ?, ?, ?, 0, '', ?)";
    return db_run(store->db, why, SQL, db_text(row->study), db_int(row->task),
                  db_blob(row->model, PLAN_HASH_BYTES), db_text(row->asker),
                  db_blob(row->command, SESSION_ID_BYTES), db_int(row->look),
                  db_int(row->opened_ms), db_int(row->gate));
}

struct result validations_close(struct store *store, const char *study, uint32_t task,
                                uint64_t now_ms, const char *record, struct why *why)
{
    static const char SQL[] = "UPDATE validations SET closed_ms = ?, record = ?"
                              " WHERE study = ? AND task = ?";
    return db_run(store->db, why, SQL, db_int(now_ms), db_text(record), db_text(study),
                  db_int(task));
}

static struct result read_validation(struct db_rows *rows, struct validation_row *row,
                                     struct why *why)
{
    memset(row, 0, sizeof *row);
    db_column_string(rows, 0, row->study, sizeof row->study);
    row->task = (uint32_t)db_column_int(rows, 1);
    if (!db_column_copy(rows, 2, row->model, PLAN_HASH_BYTES) ||
        !db_column_copy(rows, 4, row->command, SESSION_ID_BYTES))
        return failed(why, RESULT_INPUT, "the list of validations is damaged");
    db_column_string(rows, 3, row->asker, sizeof row->asker);
    row->look = db_column_int(rows, 5) != 0;
    row->opened_ms = db_column_int(rows, 6);
    row->closed_ms = db_column_int(rows, 7);
    row->gate = db_column_int(rows, 9) != 0;
    return DONE;
}

static struct result copy_text(struct db_rows *rows, int column, char **ret_text, struct why *why)
{
    *ret_text = strdup(db_column_text(rows, column));
    return *ret_text ? DONE : failed(why, RESULT_SYSTEM, "out of memory for a record");
}

struct result validations_read(struct store *store, const char *study, uint32_t task,
                               struct validation_row *row, char **ret_record, struct why *why)
{
    static const char SQL[] =
        "SELECT " VALIDATION_COLUMNS " FROM validations WHERE study = ? AND task = ?";
    struct db_rows rows;
    bool found = false;
    struct result r = db_query(store->db, &rows, why, SQL, db_text(study), db_int(task));
    if (ok(r))
        r = db_next(&rows, &found, why);
    if (ok(r) && !found)
        r = failed(why, RESULT_INPUT, "task %u of study '%s' is no validation", task, study);
    if (ok(r))
        r = read_validation(&rows, row, why);
    if (ok(r) && ret_record)
        r = copy_text(&rows, 8, ret_record, why);
    db_end(&rows);
    return r;
}

struct result validations_by_command(struct store *store,
                                     const unsigned char command[SESSION_ID_BYTES],
                                     struct validation_row *row, bool *ret_found, struct why *why)
{
    static const char SQL[] =
        "SELECT " VALIDATION_COLUMNS " FROM validations WHERE command = ? LIMIT 1";
    struct db_rows rows;
    *ret_found = false;
    struct result r = db_query(store->db, &rows, why, SQL, db_blob(command, SESSION_ID_BYTES));
    if (ok(r))
        r = db_next(&rows, ret_found, why);
    if (ok(r) && *ret_found)
        r = read_validation(&rows, row, why);
    db_end(&rows);
    return r;
}

static struct result visit_validations(struct db_rows *rows,
                                       bool (*visit)(void *context,
                                                     const struct validation_row *row,
                                                     const char *record),
                                       void *context, struct why *why)
{
    struct validation_row row;
    for (;;) {
        bool more = false;
        TRY(db_next(rows, &more, why));
        if (!more)
            return DONE;
        TRY(read_validation(rows, &row, why));
        if (!visit(context, &row, db_column_text(rows, 8)))
            return DONE;
    }
}

struct result validations_each(struct store *store, const char *study,
                               bool (*visit)(void *context, const struct validation_row *row,
                                             const char *record),
                               void *context, struct why *why)
{
    static const char ALL[] = "SELECT " VALIDATION_COLUMNS " FROM validations"
                              " ORDER BY opened_ms DESC, study, task DESC LIMIT ?";
    static const char ONE[] = "SELECT " VALIDATION_COLUMNS " FROM validations WHERE study = ?"
                              " ORDER BY task DESC LIMIT ?";
    struct db_rows rows;
    struct result r =
        study ? db_query(store->db, &rows, why, ONE, db_text(study), db_int(MONITORS_LIST_MAX))
              : db_query(store->db, &rows, why, ALL, db_int(MONITORS_LIST_MAX));
    if (ok(r))
        r = visit_validations(&rows, visit, context, why);
    db_end(&rows);
    return r;
}

#define MONITOR_COLUMNS "model, study, running, next_ms, state"

struct result monitors_put(struct store *store, const struct monitor_row *row, const char *state,
                           struct why *why)
{
    static const char SQL[] =
        "INSERT OR REPLACE INTO monitors(" MONITOR_COLUMNS ") VALUES (?, ?, ?, ?, ?)";
    return db_run(store->db, why, SQL, db_blob(row->model, PLAN_HASH_BYTES), db_text(row->study),
                  db_int(row->running), db_int(row->next_ms), db_text(state));
}

struct result monitors_schedule(struct store *store, const unsigned char model[PLAN_HASH_BYTES],
                                bool running, uint64_t next_ms, struct why *why)
{
    static const char SQL[] = "UPDATE monitors SET running = ?, next_ms = ? WHERE model = ?";
    return db_run(store->db, why, SQL, db_int(running), db_int(next_ms),
                  db_blob(model, PLAN_HASH_BYTES));
}

static struct result read_monitor(struct db_rows *rows, struct monitor_row *row, struct why *why)
{
    memset(row, 0, sizeof *row);
    if (!db_column_copy(rows, 0, row->model, PLAN_HASH_BYTES))
        return failed(why, RESULT_INPUT, "the list of monitors is damaged");
    db_column_string(rows, 1, row->study, sizeof row->study);
    row->running = db_column_int(rows, 2) != 0;
    row->next_ms = db_column_int(rows, 3);
    return DONE;
}

struct result monitors_read(struct store *store, const unsigned char model[PLAN_HASH_BYTES],
                            struct monitor_row *row, char **ret_state, struct why *why)
{
    static const char SQL[] = "SELECT " MONITOR_COLUMNS " FROM monitors WHERE model = ?";
    struct db_rows rows;
    bool found = false;
    struct result r = db_query(store->db, &rows, why, SQL, db_blob(model, PLAN_HASH_BYTES));
    if (ok(r))
        r = db_next(&rows, &found, why);
    if (ok(r) && !found)
        r = failed(why, RESULT_INPUT, "this model is not monitored; 'consilium monitor start'");
    if (ok(r))
        r = read_monitor(&rows, row, why);
    if (ok(r))
        r = copy_text(&rows, 4, ret_state, why);
    db_end(&rows);
    return r;
}

struct result monitors_each(struct store *store,
                            bool (*visit)(void *context, const struct monitor_row *row,
                                          const char *state),
                            void *context, struct why *why)
{
    static const char SQL[] =
        "SELECT " MONITOR_COLUMNS " FROM monitors ORDER BY study, model LIMIT ?";
    struct db_rows rows;
    struct monitor_row row;
    bool more = true;
    struct result r = db_query(store->db, &rows, why, SQL, db_int(MONITORS_LIST_MAX));
    while (ok(r) && more) {
        r = db_next(&rows, &more, why);
        if (ok(r) && more)
            r = read_monitor(&rows, &row, why);
        if (ok(r) && more && !visit(context, &row, db_column_text(&rows, 4)))
            break;
    }
    db_end(&rows);
    return r;
}

struct result monitors_due(struct store *store, uint64_t *ret_ms, struct why *why)
{
    static const char SQL[] =
        "SELECT next_ms FROM monitors WHERE running = ? ORDER BY next_ms LIMIT 1";
    struct db_rows rows;
    bool found = false;
    *ret_ms = UINT64_MAX;
    struct result r = db_query(store->db, &rows, why, SQL, db_int(1));
    if (ok(r))
        r = db_next(&rows, &found, why);
    if (ok(r) && found)
        *ret_ms = db_column_int(&rows, 0);
    db_end(&rows);
    return r;
}

struct result monitors_put_look(struct store *store, const unsigned char model[PLAN_HASH_BYTES],
                                uint32_t task, uint64_t now_ms, const char *record, struct why *why)
{
    static const char SQL[] = "INSERT INTO looks(model, task, ms, record) VALUES (?, ?, ?, ?)";
    return db_run(store->db, why, SQL, db_blob(model, PLAN_HASH_BYTES), db_int(task),
                  db_int(now_ms), db_text(record));
}

struct result monitors_each_look(struct store *store, const unsigned char model[PLAN_HASH_BYTES],
                                 bool (*visit)(void *context, uint64_t ms, const char *record),
                                 void *context, struct why *why)
{
    static const char SQL[] = "SELECT ms, record FROM looks WHERE model = ? ORDER BY task LIMIT ?";
    struct db_rows rows;
    bool more = true;
    struct result r = db_query(store->db, &rows, why, SQL, db_blob(model, PLAN_HASH_BYTES),
                               db_int(MONITORS_LIST_MAX));
    while (ok(r) && more) {
        r = db_next(&rows, &more, why);
        if (ok(r) && more && !visit(context, db_column_int(&rows, 0), db_column_text(&rows, 1)))
            break;
    }
    db_end(&rows);
    return r;
}
