/* SPDX-License-Identifier: Apache-2.0 */
/* The large things: plans, signed envelopes, admitted objects, models, the server's state, and the
 * records for people. */
#include "coordinator/store_inner.h"

#include <stdlib.h>
#include <string.h>

/* A zero-closed copy of the blob in a column. */
static struct result copy_blob(struct db_rows *rows, int column, struct store_bytes *out,
                               struct why *why)
{
    const void *bytes = db_column_blob(rows, column, &out->n);
    out->bytes = malloc(out->n + 1);
    if (!out->bytes)
        return failed(why, RESULT_SYSTEM, "out of memory for %zu bytes", out->n);
    if (out->n > 0)
        memcpy(out->bytes, bytes, out->n);
    out->bytes[out->n] = '\0';
    return DONE;
}

struct result store_read_bytes(struct store *store, const char *sql, const struct db_value *values,
                               size_t n, const char *what, struct store_bytes *out, struct why *why)
{
    *out = (struct store_bytes){0};
    struct db_rows rows;
    bool row = false;
    struct result r = db_query_values(store->db, &rows, sql, values, n, why);
    if (ok(r))
        r = db_next(&rows, &row, why);
    if (ok(r) && !row)
        r = failed(why, RESULT_INPUT, "the store has no %s", what);
    if (ok(r))
        r = copy_blob(&rows, 0, out, why);
    db_end(&rows);
    return r;
}

struct result store_read_plan(struct store *store, const char *study, struct store_bytes *plan,
                              char researcher[PLAN_NAME_BYTES], struct why *why)
{
    static const char SQL[] = "SELECT plan, researcher FROM studies WHERE name = ?";
    *plan = (struct store_bytes){0};
    struct db_rows rows;
    bool row = false;
    struct result r = db_query(store->db, &rows, why, SQL, db_text(study));
    if (ok(r))
        r = db_next(&rows, &row, why);
    if (ok(r) && !row)
        r = failed(why, RESULT_INPUT, "there is no study '%s'", study);
    if (ok(r)) {
        db_column_string(&rows, 1, researcher, PLAN_NAME_BYTES);
        r = copy_blob(&rows, 0, plan, why);
    }
    db_end(&rows);
    return r;
}

struct result store_read_envelope(struct store *store, const char *study,
                                  struct store_bytes *envelope, struct why *why)
{
    static const char SQL[] = "SELECT launch FROM studies WHERE name = ?";
    return store_read_bytes(store, SQL, (struct db_value[]){db_text(study)}, 1, "such study",
                            envelope, why);
}

struct result store_put_object(struct store *store, const char *study, const struct store_object *o,
                               struct why *why)
{
    static const char SQL[] = "INSERT INTO objects(study, task, position, digest, payload, offer,"
                              " cipher_bytes, received_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    return db_run(store->db, why, SQL, db_text(study), db_int(o->task), db_int(o->position),
                  db_blob(o->digest, PLAN_HASH_BYTES), db_blob(o->payload, o->payload_n),
                  db_blob(o->offer, o->offer_n), db_int(o->cipher_bytes), db_int(o->received_ms));
}

struct result store_read_object(struct store *store, const char *study, uint32_t task,
                                uint32_t position, struct store_bytes *payload, struct why *why)
{
    static const char SQL[] =
        "SELECT payload FROM objects WHERE study = ? AND task = ? AND position = ?";
    return store_read_bytes(store, SQL,
                            (struct db_value[]){db_text(study), db_int(task), db_int(position)}, 3,
                            "such object", payload, why);
}

struct result store_read_offer(struct store *store, const char *study, uint32_t task,
                               uint32_t position, struct store_bytes *offer, struct why *why)
{
    static const char SQL[] =
        "SELECT offer FROM objects WHERE study = ? AND task = ? AND position = ?";
    return store_read_bytes(store, SQL,
                            (struct db_value[]){db_text(study), db_int(task), db_int(position)}, 3,
                            "such object", offer, why);
}

struct result store_put_model(struct store *store, const char *study, uint32_t number,
                              const unsigned char hash[PLAN_HASH_BYTES], const void *payload,
                              size_t n, struct why *why)
{
    static const char SQL[] = "INSERT INTO models(hash, study, round, payload) VALUES (?, ?, ?, ?) "
                              "ON CONFLICT(hash) DO NOTHING";
    return db_run(store->db, why, SQL, db_blob(hash, PLAN_HASH_BYTES), db_text(study),
                  db_int(number), db_blob(payload, n));
}

struct result store_read_model(struct store *store, const unsigned char hash[PLAN_HASH_BYTES],
                               struct store_bytes *payload, struct why *why)
{
    static const char SQL[] = "SELECT payload FROM models WHERE hash = ?";
    return store_read_bytes(store, SQL, (struct db_value[]){db_blob(hash, PLAN_HASH_BYTES)}, 1,
                            "such model", payload, why);
}

struct result store_put_server(struct store *store, const char *study, uint32_t number,
                               const void *state, size_t n, struct why *why)
{
    static const char SQL[] = "INSERT INTO servers(study, round, state) VALUES (?, ?, ?) "
                              "ON CONFLICT(study) DO UPDATE SET round = excluded.round,"
                              " state = excluded.state";
    return db_run(store->db, why, SQL, db_text(study), db_int(number), db_blob(state, n));
}

struct result store_read_server(struct store *store, const char *study, uint32_t *ret_number,
                                struct store_bytes *state, struct why *why)
{
    static const char SQL[] = "SELECT state, round FROM servers WHERE study = ?";
    *state = (struct store_bytes){0};
    struct db_rows rows;
    bool row = false;
    struct result r = db_query(store->db, &rows, why, SQL, db_text(study));
    if (ok(r))
        r = db_next(&rows, &row, why);
    if (ok(r) && !row)
        r = failed(why, RESULT_INPUT, "study '%s' has no server state", study);
    if (ok(r)) {
        *ret_number = (uint32_t)db_column_int(&rows, 1);
        r = copy_blob(&rows, 0, state, why);
    }
    db_end(&rows);
    return r;
}

struct result store_put_record(struct store *store, const char *study, uint32_t task,
                               const char *kind, const char *json, struct why *why)
{
    static const char SQL[] = "INSERT INTO records(study, task, kind, json) VALUES (?, ?, ?, ?) "
                              "ON CONFLICT(study, task, kind) DO UPDATE SET json = excluded.json";
    return db_run(store->db, why, SQL, db_text(study), db_int(task), db_text(kind), db_text(json));
}

struct result store_each_record(struct store *store, const char *study,
                                bool (*visit)(void *context, const struct store_record *record),
                                void *context, struct why *why)
{
    static const char SQL[] =
        "SELECT task, kind, json FROM records WHERE study = ? ORDER BY task, kind";
    struct db_rows rows;
    bool row = true;
    struct result r = db_query(store->db, &rows, why, SQL, db_text(study));
    while (ok(r) && row) {
        r = db_next(&rows, &row, why);
        if (!ok(r) || !row)
            break;
        struct store_record record = {
            .task = (uint32_t)db_column_int(&rows, 0),
            .kind = db_column_text(&rows, 1),
            .json = db_column_text(&rows, 2),
        };
        if (!visit(context, &record))
            break;
    }
    db_end(&rows);
    return r;
}
