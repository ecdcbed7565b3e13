/* SPDX-License-Identifier: Apache-2.0 */
/* The store's life, its transactions, and the signed audit log. */
#include "coordinator/store.h"

#include "coordinator/store_inner.h"
#include "coordinator/store_schema.h"

#include <stdlib.h>
#include <string.h>

static struct result read_head(struct store *store, struct why *why)
{
    static const char SQL[] = "SELECT seq, hash FROM log WHERE seq >= ? ORDER BY seq DESC LIMIT 1";
    struct db_rows rows;
    bool row = false;
    struct result r = db_query(store->db, &rows, why, SQL, db_int(0));
    if (ok(r))
        r = db_next(&rows, &row, why);
    if (ok(r) && row) {
        store->head.count = db_column_int(&rows, 0);
        if (!db_column_copy(&rows, 1, store->head.hash, CHAIN_HASH_BYTES))
            r = failed(why, RESULT_INPUT, "the audit log's last entry is damaged");
    }
    db_end(&rows);
    store->committed = store->head;
    return r;
}

struct result store_open(const char *path, const unsigned char *secret, struct store **ret_store,
                         struct why *why)
{
    *ret_store = NULL;
    struct store *store = calloc(1, sizeof *store);
    if (!store)
        return failed(why, RESULT_SYSTEM, "out of memory");
    store->secret = secret;
    struct result r = db_open(path, secret ? DB_READ_WRITE : DB_READ_ONLY, &store->db, why);
    if (ok(r) && secret)
        r = db_migrate(store->db, STORE_MIGRATIONS, STORE_MIGRATIONS_COUNT, why);
    if (ok(r))
        r = read_head(store, why);
    if (!ok(r)) {
        store_close(store);
        return r;
    }
    *ret_store = store;
    return DONE;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    db_close(store->db);
    free(store);
}

struct result store_begin(struct store *store, struct why *why)
{
    return db_begin(store->db, why);
}

struct result store_commit(struct store *store, struct why *why)
{
    TRY(db_commit(store->db, why));
    store->committed = store->head;
    return DONE;
}

void store_rollback(struct store *store)
{
    db_rollback(store->db);
    store->head = store->committed;
}

struct result store_log(struct store *store, uint64_t now_ms, const char *study, const char *kind,
                        const char *entry, size_t n, struct why *why)
{
    static const char SQL[] = "INSERT INTO log(seq, ms, study, kind, entry, hash, signature) "
                              "VALUES (?, ?, ?, ?, ?, ?, ?)";
    if (n > CHAIN_ENTRY_MAX)
        return failed(why, RESULT_SYSTEM, "an audit entry of %zu bytes is too large", n);
    struct chain_head head = store->head;
    unsigned char signature[CHAIN_SIGNATURE_BYTES];
    chain_extend(&head, entry, n);
    chain_sign(&head, store->secret, signature);
    TRY(db_run(store->db, why, SQL, db_int(head.count), db_int(now_ms), db_text(study),
               db_text(kind), db_blob(entry, n), db_blob(head.hash, sizeof head.hash),
               db_blob(signature, sizeof signature)));
    store->head = head;
    return DONE;
}

struct chain_head store_log_head(const struct store *store)
{
    return store->committed;
}

static struct result visit_entries(struct db_rows *rows,
                                   bool (*visit)(void *context, const struct store_entry *entry),
                                   void *context, struct why *why)
{
    for (;;) {
        bool row = false;
        TRY(db_next(rows, &row, why));
        if (!row)
            return DONE;
        struct store_entry entry = {
            .seq = db_column_int(rows, 0),
            .ms = db_column_int(rows, 1),
            .study = db_column_text(rows, 2),
            .kind = db_column_text(rows, 3),
        };
        entry.entry = db_column_blob(rows, 4, &entry.n);
        db_column_copy(rows, 5, entry.hash, sizeof entry.hash);
        db_column_copy(rows, 6, entry.signature, sizeof entry.signature);
        if (!visit(context, &entry))
            return DONE;
    }
}

struct result store_each_entry(struct store *store, const char *study, uint64_t since,
                               bool (*visit)(void *context, const struct store_entry *entry),
                               void *context, struct why *why)
{
    static const char ALL[] = "SELECT seq, ms, study, kind, entry, hash, signature FROM log "
                              "WHERE seq > ? ORDER BY seq";
    static const char ONE[] = "SELECT seq, ms, study, kind, entry, hash, signature FROM log "
                              "WHERE study = ? AND seq > ? ORDER BY seq";
    struct db_rows rows;
    struct result r = study ? db_query(store->db, &rows, why, ONE, db_text(study), db_int(since))
                            : db_query(store->db, &rows, why, ALL, db_int(since));
    if (ok(r))
        r = visit_entries(&rows, visit, context, why);
    db_end(&rows);
    return r;
}

struct result store_put_member(struct store *store, const char *member,
                               const struct store_member *record, struct why *why)
{
    static const char SQL[] =
        "INSERT INTO seen(member, session, sequence, sent_ms, software, peak_memory_kb, "
        "ledger_records, ledger_head, ledger_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT(member) DO UPDATE SET session = excluded.session, "
        "sequence = excluded.sequence, sent_ms = excluded.sent_ms, software = excluded.software, "
        "peak_memory_kb = excluded.peak_memory_kb, ledger_records = excluded.ledger_records, "
        "ledger_head = excluded.ledger_head, ledger_key = excluded.ledger_key";
    return db_run(store->db, why, SQL, db_text(member),
                  db_blob(record->seen.session, SESSION_ID_BYTES), db_int(record->seen.sequence),
                  db_int(record->seen.sent_ms), db_text(record->software),
                  db_int(record->peak_memory_kb), db_int(record->ledger_records),
                  db_blob(record->ledger_head, sizeof record->ledger_head),
                  db_blob(record->ledger_key, sizeof record->ledger_key));
}

struct result store_read_member(struct store *store, const char *member,
                                struct store_member *record, struct why *why)
{
    static const char SQL[] = "SELECT session, sequence, sent_ms, software, peak_memory_kb, "
                              "ledger_records, ledger_head, ledger_key FROM seen WHERE member = ?";
    memset(record, 0, sizeof *record);
    struct db_rows rows;
    bool row = false;
    struct result r = db_query(store->db, &rows, why, SQL, db_text(member));
    if (ok(r))
        r = db_next(&rows, &row, why);
    if (ok(r) && row) {
        db_column_copy(&rows, 0, record->seen.session, SESSION_ID_BYTES);
        record->seen.sequence = db_column_int(&rows, 1);
        record->seen.sent_ms = db_column_int(&rows, 2);
        db_column_string(&rows, 3, record->software, sizeof record->software);
        record->peak_memory_kb = db_column_int(&rows, 4);
        record->ledger_records = db_column_int(&rows, 5);
        db_column_copy(&rows, 6, record->ledger_head, sizeof record->ledger_head);
        db_column_copy(&rows, 7, record->ledger_key, sizeof record->ledger_key);
    }
    db_end(&rows);
    return r;
}
