/* SPDX-License-Identifier: Apache-2.0 */
/* Studies, members, tasks and parts as rows: what changed is written, a whole study is read. */
#include "coordinator/store_inner.h"

#include <stdio.h>
#include <string.h>

static struct result write_study_row(struct store *store, const struct study *s, struct why *why)
{
    static const char SQL[] =
        "UPDATE studies SET phase = ?, round = ?, tasks = ?, aborts = ?, best_round = ?,"
        " best_score = ?, model = ?, candidate = ?, evaluation = ?, best = ?, reason = ?,"
        " started_ms = ?, ended_ms = ?, gather_ms = ?, nudge_ms = ?, closed = ?, input = ?"
        " WHERE name = ?";
    return db_run(store->db, why, SQL, db_int(s->phase), db_int(s->round), db_int(s->tasks),
                  db_int(s->aborts), db_int(s->best_round), db_real(s->best_score),
                  db_blob(s->model, PLAN_HASH_BYTES), db_blob(s->candidate, PLAN_HASH_BYTES),
                  db_blob(s->evaluation, PLAN_HASH_BYTES), db_blob(s->best, PLAN_HASH_BYTES),
                  db_text(s->reason), db_int(s->started_ms), db_int(s->ended_ms),
                  db_int(s->gather_ms), db_int(s->nudge_ms), db_int(s->closed.task),
                  db_blob(s->input, PLAN_HASH_BYTES), db_text(s->name));
}

static struct result write_member(struct store *store, const struct study *s, uint32_t i,
                                  struct why *why)
{
    static const char SQL[] =
        "INSERT INTO members(study, position, name, verdict, live, reason, declared_patients,"
        " epsilon_budget, fingerprint, misses, ask_from, stage, reputation, judged, flagged,"
        " open_flags, quarantined, quarantine)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT(study, position) DO UPDATE SET verdict = excluded.verdict,"
        " live = excluded.live, reason = excluded.reason,"
        " declared_patients = excluded.declared_patients,"
        " epsilon_budget = excluded.epsilon_budget, fingerprint = excluded.fingerprint,"
        " misses = excluded.misses, ask_from = excluded.ask_from, stage = excluded.stage,"
        " reputation = excluded.reputation, judged = excluded.judged,"
        " flagged = excluded.flagged, open_flags = excluded.open_flags,"
        " quarantined = excluded.quarantined, quarantine = excluded.quarantine";
    const struct study_member *m = &s->members[i];
    return db_run(store->db, why, SQL, db_text(s->name), db_int(i), db_text(m->name),
                  db_int(m->verdict), db_int(m->live), db_text(m->reason),
                  db_int(m->declared_patients), db_real(m->epsilon_budget),
                  db_blob(m->fingerprint, PLAN_HASH_BYTES), db_int(m->misses), db_int(m->ask_from),
                  db_int(m->stage), db_real(m->conduct.reputation), db_int(m->conduct.rounds),
                  db_int(m->conduct.flagged), db_int(m->conduct.open),
                  db_int(m->conduct.quarantined), db_text(m->quarantine));
}

static struct result write_task_row(struct store *store, const char *study, const struct round *t,
                                    struct why *why)
{
    static const char SQL[] =
        "INSERT INTO tasks(study, task, kind, round, phase, quorum, extensions, opened_ms,"
        " deadline_ms, nudge_ms, closed_ms, allowance_ms, reason)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT(study, task) DO UPDATE SET phase = excluded.phase,"
        " extensions = excluded.extensions, deadline_ms = excluded.deadline_ms,"
        " nudge_ms = excluded.nudge_ms, closed_ms = excluded.closed_ms, reason = excluded.reason";
    return db_run(store->db, why, SQL, db_text(study), db_int(t->task), db_int(t->kind),
                  db_int(t->round), db_int(t->phase), db_int(t->quorum), db_int(t->extensions),
                  db_int(t->opened_ms), db_int(t->deadline_ms), db_int(t->nudge_ms),
                  db_int(t->closed_ms), db_int(t->allowance_ms), db_text(t->reason));
}

static struct result write_part(struct store *store, const char *study, const struct round *t,
                                uint32_t i, struct why *why)
{
    static const char SQL[] =
        "INSERT INTO parts(study, task, position, standing, digest, reason, decline, epochs_after)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(study, task, position) DO UPDATE SET"
        " standing = excluded.standing, digest = excluded.digest, reason = excluded.reason,"
        " decline = excluded.decline";
    const struct round_site *p = &t->sites[i];
    return db_run(store->db, why, SQL, db_text(study), db_int(t->task), db_int(i),
                  db_int(p->standing), db_blob(p->digest, PLAN_HASH_BYTES), db_text(p->reason),
                  db_int(p->decline), db_int(p->epochs_after));
}

/* Writes what differs from the state in which the same task was written last (NULL: everything). */
static struct result write_task(struct store *store, const char *study, const struct round *was,
                                const struct round *is, struct why *why)
{
    if (is->task == 0)
        return DONE;
    if (was && was->task != is->task)
        was = NULL;
    TRY(write_task_row(store, study, is, why));
    for (uint32_t i = 0; i < is->sites_count; i++)
        if (!was || memcmp(&was->sites[i], &is->sites[i], sizeof is->sites[i]) != 0)
            TRY(write_part(store, study, is, i, why));
    return DONE;
}

struct result store_study(struct store *store, const struct study *before,
                          const struct study *after, struct why *why)
{
    TRY(write_study_row(store, after, why));
    for (uint32_t i = 0; i < after->members_count; i++)
        if (memcmp(&before->members[i], &after->members[i], sizeof after->members[i]) != 0)
            TRY(write_member(store, after, i, why));
    if (after->closed.task != before->closed.task && after->closed.task != after->task.task)
        TRY(write_task(store, after->name, &before->task, &after->closed, why));
    return write_task(store, after->name, &before->task, &after->task, why);
}

struct result store_launch(struct store *store, const struct study *s,
                           const struct store_launch *launch, struct why *why)
{
    static const char SQL[] =
        "INSERT INTO studies(name, plan_hash, researcher, plan, launch, phase, rounds, every,"
        " quorum, allowance_ms, round, tasks, aborts, best_round, best_score, model, candidate,"
        " evaluation, best, reason, launched_ms, started_ms, ended_ms, gather_ms, nudge_ms, closed,"
        " threshold, quarantine, counting)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, ?, ?, ?, ?, ?, '', ?, 0, 0, ?, ?, 0, "
        "?, ?, ?)";
    TRY(db_run(store->db, why, SQL, db_text(s->name), db_blob(s->plan_hash, PLAN_HASH_BYTES),
               db_text(launch->researcher), db_blob(launch->plan, launch->plan_n),
               db_blob(launch->envelope, launch->envelope_n), db_int(s->phase), db_int(s->rounds),
               db_int(s->every), db_int(s->quorum), db_int(s->allowance_ms), db_real(s->best_score),
               db_blob(s->model, PLAN_HASH_BYTES), db_blob(s->candidate, PLAN_HASH_BYTES),
               db_blob(s->evaluation, PLAN_HASH_BYTES), db_blob(s->best, PLAN_HASH_BYTES),
               db_int(s->launched_ms), db_int(s->gather_ms), db_int(s->nudge_ms),
               db_int(s->threshold), db_int(s->quarantine), db_int(s->counting)));
    for (uint32_t i = 0; i < s->members_count; i++)
        TRY(write_member(store, s, i, why));
    return DONE;
}

static struct result read_study_row(struct store *store, const char *name, struct study *s,
                                    uint32_t *ret_closed, struct why *why)
{
    static const char SQL[] =
        "SELECT name, plan_hash, phase, rounds, every, quorum, allowance_ms, round, tasks, aborts,"
        " best_round, best_score, model, candidate, evaluation, best, reason, launched_ms,"
        " started_ms, ended_ms, gather_ms, nudge_ms, closed, threshold, input, quarantine,"
        " counting FROM studies WHERE name = ?";
    struct db_rows rows;
    bool row = false;
    struct result r = db_query(store->db, &rows, why, SQL, db_text(name));
    if (ok(r))
        r = db_next(&rows, &row, why);
    if (ok(r) && !row)
        r = failed(why, RESULT_INPUT, "there is no study '%s'", name);
    if (ok(r)) {
        db_column_string(&rows, 0, s->name, sizeof s->name);
        db_column_copy(&rows, 1, s->plan_hash, PLAN_HASH_BYTES);
        s->phase = (enum study_phase)db_column_int(&rows, 2);
        s->rounds = (uint32_t)db_column_int(&rows, 3);
        s->every = (uint32_t)db_column_int(&rows, 4);
        s->quorum = (uint32_t)db_column_int(&rows, 5);
        s->allowance_ms = db_column_int(&rows, 6);
        s->round = (uint32_t)db_column_int(&rows, 7);
        s->tasks = (uint32_t)db_column_int(&rows, 8);
        s->aborts = (uint32_t)db_column_int(&rows, 9);
        s->best_round = (uint32_t)db_column_int(&rows, 10);
        s->best_score = db_column_real(&rows, 11);
        db_column_copy(&rows, 12, s->model, PLAN_HASH_BYTES);
        db_column_copy(&rows, 13, s->candidate, PLAN_HASH_BYTES);
        db_column_copy(&rows, 14, s->evaluation, PLAN_HASH_BYTES);
        db_column_copy(&rows, 15, s->best, PLAN_HASH_BYTES);
        db_column_string(&rows, 16, s->reason, sizeof s->reason);
        s->launched_ms = db_column_int(&rows, 17);
        s->started_ms = db_column_int(&rows, 18);
        s->ended_ms = db_column_int(&rows, 19);
        s->gather_ms = db_column_int(&rows, 20);
        s->nudge_ms = db_column_int(&rows, 21);
        *ret_closed = (uint32_t)db_column_int(&rows, 22);
        s->threshold = (uint32_t)db_column_int(&rows, 23);
        db_column_copy(&rows, 24, s->input, PLAN_HASH_BYTES);
        s->quarantine = (uint32_t)db_column_int(&rows, 25);
        s->counting = (uint32_t)db_column_int(&rows, 26);
    }
    db_end(&rows);
    return r;
}

static struct result read_members(struct store *store, struct study *s, struct why *why)
{
    static const char SQL[] =
        "SELECT position, name, verdict, live, reason, declared_patients,"
        " epsilon_budget, fingerprint, misses, ask_from, stage, reputation, judged, flagged,"
        " open_flags, quarantined, quarantine FROM members WHERE study = ? "
        "ORDER BY position";
    struct db_rows rows;
    bool row = true;
    struct result r = db_query(store->db, &rows, why, SQL, db_text(s->name));
    while (ok(r) && row) {
        r = db_next(&rows, &row, why);
        if (!ok(r) || !row)
            break;
        if (db_column_int(&rows, 0) != s->members_count || s->members_count >= PLAN_SITES_MAX) {
            r = failed(why, RESULT_INPUT, "the members of study '%s' are damaged", s->name);
            break;
        }
        struct study_member *m = &s->members[s->members_count++];
        db_column_string(&rows, 1, m->name, sizeof m->name);
        m->verdict = (enum member_verdict)db_column_int(&rows, 2);
        m->live = db_column_int(&rows, 3) != 0;
        db_column_string(&rows, 4, m->reason, sizeof m->reason);
        m->declared_patients = db_column_int(&rows, 5);
        m->epsilon_budget = db_column_real(&rows, 6);
        db_column_copy(&rows, 7, m->fingerprint, PLAN_HASH_BYTES);
        m->misses = (uint32_t)db_column_int(&rows, 8);
        m->ask_from = (uint32_t)db_column_int(&rows, 9);
        m->stage = (uint32_t)db_column_int(&rows, 10);
        m->conduct.reputation = db_column_real(&rows, 11);
        m->conduct.rounds = db_column_int(&rows, 12);
        m->conduct.flagged = db_column_int(&rows, 13);
        m->conduct.open = (unsigned)db_column_int(&rows, 14);
        m->conduct.quarantined = db_column_int(&rows, 15) != 0;
        db_column_string(&rows, 16, m->quarantine, sizeof m->quarantine);
    }
    db_end(&rows);
    return r;
}

static void read_task_row(struct db_rows *rows, struct round *t)
{
    memset(t, 0, sizeof *t);
    t->task = (uint32_t)db_column_int(rows, 0);
    t->kind = (enum task_kind)db_column_int(rows, 1);
    t->round = (uint32_t)db_column_int(rows, 2);
    t->phase = (enum round_phase)db_column_int(rows, 3);
    t->quorum = (uint32_t)db_column_int(rows, 4);
    t->extensions = (uint32_t)db_column_int(rows, 5);
    t->opened_ms = db_column_int(rows, 6);
    t->deadline_ms = db_column_int(rows, 7);
    t->nudge_ms = db_column_int(rows, 8);
    t->closed_ms = db_column_int(rows, 9);
    t->allowance_ms = db_column_int(rows, 10);
    db_column_string(rows, 11, t->reason, sizeof t->reason);
}

static struct result read_parts(struct store *store, const char *study, struct round *t,
                                struct why *why)
{
    static const char SQL[] = "SELECT position, standing, digest, reason, decline, epochs_after"
                              " FROM parts WHERE study = ? AND task = ? ORDER BY position";
    struct db_rows rows;
    bool row = true;
    struct result r = db_query(store->db, &rows, why, SQL, db_text(study), db_int(t->task));
    while (ok(r) && row) {
        r = db_next(&rows, &row, why);
        if (!ok(r) || !row)
            break;
        if (db_column_int(&rows, 0) != t->sites_count || t->sites_count >= PLAN_SITES_MAX) {
            r = failed(why, RESULT_INPUT, "task %u of study '%s' is damaged", t->task, study);
            break;
        }
        struct round_site *p = &t->sites[t->sites_count++];
        p->standing = (enum round_standing)db_column_int(&rows, 1);
        db_column_copy(&rows, 2, p->digest, PLAN_HASH_BYTES);
        db_column_string(&rows, 3, p->reason, sizeof p->reason);
        uint64_t decline = db_column_int(&rows, 4);
        p->decline = decline <= DECLINE_LAST ? (enum decline)decline : DECLINE_OTHER;
        p->epochs_after = (uint32_t)db_column_int(&rows, 5);
    }
    db_end(&rows);
    return r;
}

#define TASK_COLUMNS                                                                               \
    "task, kind, round, phase, quorum, extensions, opened_ms, deadline_ms, nudge_ms, closed_ms,"   \
    " allowance_ms, reason"

static struct result read_task(struct store *store, const char *study, uint32_t number,
                               struct round *t, struct why *why)
{
    static const char SQL[] = "SELECT " TASK_COLUMNS " FROM tasks WHERE study = ? AND task = ?";
    if (number == 0)
        return DONE;
    struct db_rows rows;
    bool row = false;
    struct result r = db_query(store->db, &rows, why, SQL, db_text(study), db_int(number));
    if (ok(r))
        r = db_next(&rows, &row, why);
    if (ok(r) && !row)
        r = failed(why, RESULT_INPUT, "task %u of study '%s' is missing", number, study);
    if (ok(r))
        read_task_row(&rows, t);
    db_end(&rows);
    TRY(r);
    return read_parts(store, study, t, why);
}

/* The secure round under way began with the last KEYS task. */
static struct result read_keys(struct store *store, struct study *s, struct why *why)
{
    static const char SQL[] =
        "SELECT coalesce(max(task), 0) FROM tasks WHERE study = ? AND kind = ?";
    struct db_rows rows;
    bool row = false;
    if (s->threshold == 0)
        return DONE;
    struct result r = db_query(store->db, &rows, why, SQL, db_text(s->name), db_int(TASK_KEYS));
    if (ok(r))
        r = db_next(&rows, &row, why);
    if (ok(r) && row)
        s->keys = (uint32_t)db_column_int(&rows, 0);
    db_end(&rows);
    return r;
}

struct result store_load(struct store *store, const char *name, struct study *study,
                         struct why *why)
{
    memset(study, 0, sizeof *study);
    uint32_t closed = 0;
    TRY(read_study_row(store, name, study, &closed, why));
    TRY(read_members(store, study, why));
    TRY(read_keys(store, study, why));
    TRY(read_task(store, name, study->tasks, &study->task, why));
    return read_task(store, name, closed, &study->closed, why);
}

struct result store_each_task(struct store *store, const char *study,
                              bool (*visit)(void *context, const struct round *task), void *context,
                              struct why *why)
{
    static const char SQL[] = "SELECT " TASK_COLUMNS " FROM tasks WHERE study = ? ORDER BY task";
    struct db_rows rows;
    bool row = true;
    struct round task;
    struct result r = db_query(store->db, &rows, why, SQL, db_text(study));
    while (ok(r) && row) {
        r = db_next(&rows, &row, why);
        if (!ok(r) || !row)
            break;
        read_task_row(&rows, &task);
        r = read_parts(store, study, &task, why);
        if (ok(r) && !visit(context, &task))
            break;
    }
    db_end(&rows);
    return r;
}

struct result store_names(struct store *store, char (*names)[PLAN_NAME_BYTES], size_t *ret_count,
                          struct why *why)
{
    static const char SQL[] = "SELECT name FROM studies ORDER BY launched_ms DESC, name LIMIT ?";
    struct db_rows rows;
    bool row = true;
    *ret_count = 0;
    struct result r = db_query(store->db, &rows, why, SQL, db_int(STORE_STUDIES_MAX));
    while (ok(r) && row) {
        r = db_next(&rows, &row, why);
        if (ok(r) && row)
            db_column_string(&rows, 0, names[(*ret_count)++], PLAN_NAME_BYTES);
    }
    db_end(&rows);
    return r;
}
