/* SPDX-License-Identifier: Apache-2.0 */
/* The last head of the log that each site holds, with its signature. */
#include "coordinator/store_inner.h"

#include <string.h>

#define WITNESS_COLUMNS "site, size, root, ms, signature, answer, heard_ms"

struct result store_put_witness(struct store *store, const struct store_witness *w, struct why *why)
{
    static const char SQL[] =
        "INSERT OR REPLACE INTO witnesses(" WITNESS_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?)";
    return db_run(store->db, why, SQL, db_text(w->site), db_int(w->head.size),
                  db_blob(w->head.root.bytes, MERKLE_HASH_BYTES), db_int(w->head.ms),
                  db_blob(w->signature, sizeof w->signature), db_int(w->answer),
                  db_int(w->heard_ms));
}

static struct result read_row(struct db_rows *rows, struct store_witness *w, struct why *why)
{
    memset(w, 0, sizeof *w);
    uint64_t answer = db_column_int(rows, 5);
    if (!db_column_copy(rows, 2, w->head.root.bytes, MERKLE_HASH_BYTES) ||
        !db_column_copy(rows, 4, w->signature, sizeof w->signature) || answer < TREE_COSIGNED ||
        answer > TREE_INCONSISTENT)
        return failed(why, RESULT_INPUT, "the witnesses of the log are damaged");
    db_column_string(rows, 0, w->site, sizeof w->site);
    w->head.size = db_column_int(rows, 1);
    w->head.ms = db_column_int(rows, 3);
    w->answer = (enum tree_answer)answer;
    w->heard_ms = db_column_int(rows, 6);
    return DONE;
}

struct result store_read_witness(struct store *store, const char *site, struct store_witness *w,
                                 struct why *why)
{
    static const char SQL[] = "SELECT " WITNESS_COLUMNS " FROM witnesses WHERE site = ?";
    struct db_rows rows;
    bool row = false;
    memset(w, 0, sizeof *w);
    struct result r = db_query(store->db, &rows, why, SQL, db_text(site));
    if (ok(r))
        r = db_next(&rows, &row, why);
    if (ok(r) && row)
        r = read_row(&rows, w, why);
    db_end(&rows);
    return r;
}

struct result store_each_witness(struct store *store,
                                 bool (*visit)(void *context, const struct store_witness *witness),
                                 void *context, struct why *why)
{
    static const char SQL[] = "SELECT " WITNESS_COLUMNS " FROM witnesses WHERE size > ?"
                              " ORDER BY site";
    struct db_rows rows;
    bool row = true;
    struct result r = db_query(store->db, &rows, why, SQL, db_int(0));
    while (ok(r) && row) {
        struct store_witness witness;
        r = db_next(&rows, &row, why);
        if (ok(r) && row)
            r = read_row(&rows, &witness, why);
        if (ok(r) && row && !visit(context, &witness))
            break;
    }
    db_end(&rows);
    return r;
}
