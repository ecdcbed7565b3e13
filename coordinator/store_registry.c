/* SPDX-License-Identifier: Apache-2.0 */
/* Registry rows: models, signatures on their moves, incidents. */
#include "coordinator/registry.h"

#include "coordinator/store_inner.h"

#include <string.h>

#define MODEL_COLUMNS                                                                              \
    "hash, study, round, task, family, incumbent, decision, stage, previous, since_ms,"            \
    " was_promoted, proposed_ms, reason"

struct result registry_put(struct store *store, const struct registry_model *m, struct why *why)
{
    static const char SQL[] = "INSERT OR REPLACE INTO registry(" MODEL_COLUMNS ")"
                              " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    return db_run(store->db, why, SQL, db_blob(m->hash, PLAN_HASH_BYTES), db_text(m->study),
                  db_int(m->round), db_int(m->task), db_blob(m->family, PLAN_HASH_BYTES),
                  db_blob(m->incumbent, PLAN_HASH_BYTES), db_int(m->decision),
                  db_int(m->stage.stage), db_int(m->stage.previous),
                  db_int((uint64_t)m->stage.since_ms), db_int(m->was_promoted),
                  db_int(m->proposed_ms), db_text(m->stage.reason));
}

static struct result read_row(struct db_rows *rows, struct registry_model *m, struct why *why)
{
    memset(m, 0, sizeof *m);
    uint64_t decision = db_column_int(rows, 6), stage = db_column_int(rows, 7);
    uint64_t previous = db_column_int(rows, 8);
    if (!db_column_copy(rows, 0, m->hash, PLAN_HASH_BYTES) ||
        !db_column_copy(rows, 4, m->family, PLAN_HASH_BYTES) ||
        !db_column_copy(rows, 5, m->incumbent, PLAN_HASH_BYTES) || decision > GATE_REJECT ||
        stage > STAGE_RETIRED || previous > STAGE_RETIRED)
        return failed(why, RESULT_INPUT, "the registry of models is damaged");
    db_column_string(rows, 1, m->study, sizeof m->study);
    m->round = (uint32_t)db_column_int(rows, 2);
    m->task = (uint32_t)db_column_int(rows, 3);
    m->decision = (enum gate_decision)decision;
    m->stage.stage = (enum stage)stage;
    m->stage.previous = (enum stage)previous;
    m->stage.since_ms = (int64_t)db_column_int(rows, 9);
    m->was_promoted = db_column_int(rows, 10) != 0;
    m->proposed_ms = db_column_int(rows, 11);
    db_column_string(rows, 12, m->stage.reason, sizeof m->stage.reason);
    return DONE;
}

/* The first row of a started query; *ret_found tells whether there was one. */
static struct result one_row(struct db_rows *rows, struct result started, struct registry_model *m,
                             bool *ret_found, struct why *why)
{
    bool row = false;
    struct result r = started;
    if (ok(r))
        r = db_next(rows, &row, why);
    if (ok(r) && row)
        r = read_row(rows, m, why);
    db_end(rows);
    *ret_found = row;
    return r;
}

struct result registry_read(struct store *store, const unsigned char hash[PLAN_HASH_BYTES],
                            struct registry_model *model, struct why *why)
{
    static const char SQL[] = "SELECT " MODEL_COLUMNS " FROM registry WHERE hash = ?";
    struct db_rows rows;
    bool found = false;
    struct result r = db_query(store->db, &rows, why, SQL, db_blob(hash, PLAN_HASH_BYTES));
    TRY(one_row(&rows, r, model, &found, why));
    return found ? DONE : failed(why, RESULT_INPUT, "the registry has no such model");
}

struct result registry_promoted(struct store *store, const unsigned char family[PLAN_HASH_BYTES],
                                struct registry_model *model, bool *ret_found, struct why *why)
{
    static const char SQL[] = "SELECT " MODEL_COLUMNS " FROM registry WHERE family = ? AND"
                              " stage = ? ORDER BY since_ms DESC LIMIT 1";
    struct db_rows rows;
    struct result r = db_query(store->db, &rows, why, SQL, db_blob(family, PLAN_HASH_BYTES),
                               db_int(STAGE_PROMOTED));
    return one_row(&rows, r, model, ret_found, why);
}

struct result registry_each(struct store *store,
                            bool (*visit)(void *context, const struct registry_model *model),
                            void *context, struct why *why)
{
    static const char SQL[] = "SELECT " MODEL_COLUMNS " FROM registry"
                              " ORDER BY proposed_ms DESC, hash LIMIT ?";
    struct db_rows rows;
    struct registry_model model;
    bool row = true;
    struct result r = db_query(store->db, &rows, why, SQL, db_int(REGISTRY_LIST_MAX));
    while (ok(r) && row) {
        r = db_next(&rows, &row, why);
        if (ok(r) && row)
            r = read_row(&rows, &model, why);
        if (ok(r) && row && !visit(context, &model))
            break;
    }
    db_end(&rows);
    return r;
}

struct result registry_sign(struct store *store, const unsigned char hash[PLAN_HASH_BYTES],
                            const char *move, const struct registry_signature *s, struct why *why)
{
    static const char SQL[] = "INSERT OR IGNORE INTO stage_signatures(hash, move, signer, ms,"
                              " envelope) VALUES (?, ?, ?, ?, ?)";
    return db_run(store->db, why, SQL, db_blob(hash, PLAN_HASH_BYTES), db_text(move),
                  db_text(s->signer), db_int(s->ms), db_text(s->envelope));
}

struct result registry_unsign(struct store *store, const unsigned char hash[PLAN_HASH_BYTES],
                              const char *move, struct why *why)
{
    static const char SQL[] = "DELETE FROM stage_signatures WHERE hash = ? AND move = ?";
    return db_run(store->db, why, SQL, db_blob(hash, PLAN_HASH_BYTES), db_text(move));
}

struct result registry_signers(struct store *store, const unsigned char hash[PLAN_HASH_BYTES],
                               const char *move, char (*signers)[PLAN_NAME_BYTES],
                               size_t *ret_count, struct why *why)
{
    static const char SQL[] = "SELECT signer FROM stage_signatures WHERE hash = ? AND move = ?"
                              " ORDER BY ms, signer LIMIT ?";
    struct db_rows rows;
    bool row = true;
    *ret_count = 0;
    struct result r = db_query(store->db, &rows, why, SQL, db_blob(hash, PLAN_HASH_BYTES),
                               db_text(move), db_int(REGISTRY_SIGNATURES_MAX));
    while (ok(r) && row) {
        r = db_next(&rows, &row, why);
        if (ok(r) && row)
            db_column_string(&rows, 0, signers[(*ret_count)++], PLAN_NAME_BYTES);
    }
    db_end(&rows);
    return r;
}

struct result registry_put_incident(struct store *store, const struct incident *i,
                                    const unsigned char hash[PLAN_HASH_BYTES], struct why *why)
{
    static const char SQL[] = "INSERT OR REPLACE INTO incidents(id, hash, text, severity, aware_ms,"
                              " acknowledged_ms, contained_ms, reported_ms, closed_ms)"
                              " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    return db_run(store->db, why, SQL, db_text(i->id), db_blob(hash, PLAN_HASH_BYTES),
                  db_text(i->text), db_int(i->severity), db_int((uint64_t)i->aware_ms),
                  db_int((uint64_t)i->done_ms[INCIDENT_ACKNOWLEDGE]),
                  db_int((uint64_t)i->done_ms[INCIDENT_CONTAIN]),
                  db_int((uint64_t)i->done_ms[INCIDENT_REPORT]),
                  db_int((uint64_t)i->done_ms[INCIDENT_CLOSE]));
}

#define INCIDENT_COLUMNS                                                                           \
    "id, hash, text, severity, aware_ms, acknowledged_ms, contained_ms, reported_ms, closed_ms"

static struct result read_incident(struct db_rows *rows, struct incident *i, unsigned char *hash,
                                   struct why *why)
{
    memset(i, 0, sizeof *i);
    uint64_t severity = db_column_int(rows, 3);
    if (!db_column_copy(rows, 1, hash, PLAN_HASH_BYTES) || severity > INCIDENT_MINOR)
        return failed(why, RESULT_INPUT, "the list of incidents is damaged");
    db_column_string(rows, 0, i->id, sizeof i->id);
    db_column_string(rows, 2, i->text, sizeof i->text);
    i->severity = (enum incident_severity)severity;
    i->aware_ms = (int64_t)db_column_int(rows, 4);
    for (int step = 0; step < INCIDENT_STEPS; step++)
        i->done_ms[step] = (int64_t)db_column_int(rows, 5 + step);
    return DONE;
}

struct result registry_read_incident(struct store *store, const char *id, struct incident *incident,
                                     unsigned char hash[PLAN_HASH_BYTES], struct why *why)
{
    static const char SQL[] = "SELECT " INCIDENT_COLUMNS " FROM incidents WHERE id = ?";
    struct db_rows rows;
    bool row = false;
    struct result r = db_query(store->db, &rows, why, SQL, db_text(id));
    if (ok(r))
        r = db_next(&rows, &row, why);
    if (ok(r) && !row)
        r = failed(why, RESULT_INPUT, "there is no incident '%s'", id);
    if (ok(r))
        r = read_incident(&rows, incident, hash, why);
    db_end(&rows);
    return r;
}

struct result registry_each_incident(struct store *store,
                                     bool (*visit)(void *context, const struct incident *incident,
                                                   const unsigned char *hash),
                                     void *context, struct why *why)
{
    static const char SQL[] = "SELECT " INCIDENT_COLUMNS " FROM incidents"
                              " ORDER BY aware_ms DESC, id LIMIT ?";
    struct db_rows rows;
    struct incident incident;
    unsigned char hash[PLAN_HASH_BYTES];
    bool row = true;
    struct result r = db_query(store->db, &rows, why, SQL, db_int(REGISTRY_LIST_MAX));
    while (ok(r) && row) {
        r = db_next(&rows, &row, why);
        if (ok(r) && row)
            r = read_incident(&rows, &incident, hash, why);
        if (ok(r) && row && !visit(context, &incident, hash))
            break;
    }
    db_end(&rows);
    return r;
}

struct result registry_read_ledger(struct store *store, const unsigned char family[PLAN_HASH_BYTES],
                                   char **ret_text, struct why *why)
{
    static const char SQL[] = "SELECT state FROM alpha_ledgers WHERE family = ?";
    struct db_rows rows;
    bool row = false;
    *ret_text = NULL;
    struct result r = db_query(store->db, &rows, why, SQL, db_blob(family, PLAN_HASH_BYTES));
    if (ok(r))
        r = db_next(&rows, &row, why);
    if (ok(r) && row) {
        *ret_text = strdup(db_column_text(&rows, 0));
        if (!*ret_text)
            r = failed(why, RESULT_SYSTEM, "out of memory for the alpha ledger");
    }
    db_end(&rows);
    return r;
}

struct result registry_put_ledger(struct store *store, const unsigned char family[PLAN_HASH_BYTES],
                                  const char *text, struct why *why)
{
    static const char SQL[] = "INSERT OR REPLACE INTO alpha_ledgers(family, state) VALUES (?, ?)";
    return db_run(store->db, why, SQL, db_blob(family, PLAN_HASH_BYTES), db_text(text));
}

struct result registry_each_ledger(struct store *store,
                                   bool (*visit)(void *context, const unsigned char *family,
                                                 const char *text),
                                   void *context, struct why *why)
{
    static const char SQL[] = "SELECT family, state FROM alpha_ledgers ORDER BY family LIMIT ?";
    struct db_rows rows;
    bool row = true, more = true;
    struct result r = db_query(store->db, &rows, why, SQL, db_int(REGISTRY_LIST_MAX));
    while (ok(r) && more) {
        unsigned char family[PLAN_HASH_BYTES];
        r = db_next(&rows, &row, why);
        if (!ok(r) || !row)
            break;
        if (!db_column_copy(&rows, 0, family, sizeof family))
            r = failed(why, RESULT_INPUT, "the alpha ledgers are damaged");
        more = ok(r) && visit(context, family, db_column_text(&rows, 1));
    }
    db_end(&rows);
    return r;
}
