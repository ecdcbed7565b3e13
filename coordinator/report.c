/* SPDX-License-Identifier: Apache-2.0 */
/* The study's report: tasks, audit entries and records of the store put together. */
#include "coordinator/report.h"

#include "coordinator/entry.h"
#include "coordinator/judge.h"
#include "coordinator/report_after.h"
#include "coordinator/report_dissimilarity.h"
#include "coordinator/statement.h"
#include "coordinator/status.h"
#include "proto/base/clock.h"
#include "proto/base/json.h"
#include "proto/transfer.h"
#include "proto/transfer_pack.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the log says of one site over the whole study. */
struct site_sum {
    uint32_t counted, refused, missed;
    double epsilon_spent, epsilon_budget;
    uint64_t bytes, peak_memory_kb;
    json_t *spent; /* owned: [ms, epsilon spent] by result */
};

struct builder {
    struct store *store;
    struct study study;
    struct plan plan;
    char researcher[PLAN_NAME_BYTES];
    struct site_sum sums[PLAN_SITES_MAX];
    uint64_t update_bytes, updates;
    uint64_t model_bytes, model_plain_bytes; /* the model to one site, as sent and unpacked */
    double round_seconds;
    uint32_t rounds_timed;
    json_t *rounds;
    json_t *figures; /* owned: by task, what the aggregation saw of each update */
    json_t *matrix;  /* owned */
    json_t *curve;   /* pooled figures by round, owned */
    json_t *kept;    /* owned: the best record */
    json_t *gate;    /* owned: how the last evaluation was judged */
};

static json_t *integer(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *names_of(const struct builder *b, const struct round *task,
                        enum round_standing standing)
{
    json_t *names = json_array();
    for (uint32_t i = 0; i < task->sites_count; i++)
        if (task->sites[i].standing == standing)
            json_array_append_new(names, json_string_nocheck(b->study.members[i].name));
    return names;
}

static json_t *reasons_of(const struct builder *b, const struct round *task)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < task->sites_count; i++) {
        const struct round_site *part = &task->sites[i];
        if (part->standing != STANDING_REFUSED && part->standing != STANDING_DECLINED &&
            part->standing != STANDING_MISSED)
            continue;
        json_t *o = json_object();
        json_object_set_new(o, "site", json_string_nocheck(b->study.members[i].name));
        json_object_set_new(o, "standing", json_string(standing_name(part->standing)));
        json_object_set_new(o, "reason", json_string_nocheck(part->reason));
        json_array_append_new(list, o);
    }
    return list;
}

static bool visit_task(void *context, const struct round *task)
{
    struct builder *b = context;
    if (task->kind != TASK_TRAIN)
        return true;
    for (uint32_t i = 0; i < task->sites_count; i++) {
        b->sums[i].counted +=
            task->sites[i].standing == STANDING_COUNTED && task->phase == ROUND_COMPLETE;
        b->sums[i].refused += task->sites[i].standing == STANDING_REFUSED;
        b->sums[i].missed += task->sites[i].standing == STANDING_MISSED;
    }
    double seconds = (double)(task->closed_ms - task->opened_ms) / 1000;
    json_t *o = json_object();
    json_object_set_new(o, "round", integer(task->round));
    json_object_set_new(o, "task", integer(task->task));
    json_object_set_new(o, "completed", json_boolean(task->phase == ROUND_COMPLETE));
    json_object_set_new(o, "counted", names_of(b, task, STANDING_COUNTED));
    json_object_set_new(o, "set_aside", names_of(b, task, STANDING_ASIDE));
    json_object_set_new(o, "refused", reasons_of(b, task));
    if (task->phase == ROUND_ABORTED)
        json_object_set_new(o, "reason", json_string_nocheck(task->reason));
    if (task->closed_ms > 0) {
        json_object_set_new(o, "seconds", json_real(seconds));
        b->round_seconds += seconds;
        b->rounds_timed++;
    }
    json_array_append_new(b->rounds, o);
    return true;
}

static void put_point(struct site_sum *sum, uint64_t ms)
{
    if (sum->epsilon_budget <= 0)
        return;
    if (!sum->spent)
        sum->spent = json_array();
    json_t *point = json_array();
    json_array_append_new(point, integer(ms));
    json_array_append_new(point, number_or_null(sum->epsilon_spent));
    json_array_append_new(sum->spent, point);
}

static bool visit_entry(void *context, const struct store_entry *entry)
{
    struct builder *b = context;
    if (strcmp(entry->kind, "counted") != 0 && strcmp(entry->kind, "set-aside") != 0)
        return true;
    json_t *o = json_loadb((const char *)entry->entry, entry->n, 0, NULL);
    const char *site = json_string_value(json_object_get(o, "site"));
    uint32_t i = site ? study_find(&b->study, site) : b->study.members_count;
    if (i < b->study.members_count) {
        struct site_sum *sum = &b->sums[i];
        const json_t *spent = json_object_get(o, "epsilon_spent");
        uint64_t bytes = (uint64_t)json_integer_value(json_object_get(o, "bytes"));
        uint64_t peak = (uint64_t)json_integer_value(json_object_get(o, "peak_memory_kb"));
        sum->bytes += bytes;
        if (spent) {
            sum->epsilon_spent = fmax(sum->epsilon_spent, json_number_value(spent));
            sum->epsilon_budget = json_number_value(json_object_get(o, "epsilon_budget"));
            put_point(sum, entry->ms);
            b->update_bytes += bytes;
            b->updates++;
        }
        if (peak > sum->peak_memory_kb)
            sum->peak_memory_kb = peak;
    }
    json_decref(o);
    return true;
}

/* The decision with its rules in words; the figures behind it are in the log and in gate explain.
 */
static json_t *gate_object(const char *text)
{
    json_t *entry = json_loads(text, 0, NULL);
    const char *inner = json_string_value(json_object_get(entry, "record"));
    json_t *record = inner ? json_loads(inner, 0, NULL) : NULL;
    json_t *gate = json_object();
    static const char *const OF_ENTRY[] = {"round",    "candidate", "incumbent",
                                           "decision", "ledger",    "change"};
    static const char *const OF_RECORD[] = {"reasons",        "used",       "not_used",
                                            "rules",          "auc_pooled", "auc_lower",
                                            "d_pooled",       "d_lower",    "d_upper",
                                            "power_if_equal", "detectable", "transport",
                                            "cindex_pooled",  "cindex_se"};
    for (size_t i = 0; i < sizeof OF_ENTRY / sizeof OF_ENTRY[0]; i++)
        json_object_set(gate, OF_ENTRY[i], json_object_get(entry, OF_ENTRY[i]));
    for (size_t i = 0; i < sizeof OF_RECORD / sizeof OF_RECORD[0]; i++)
        json_object_set(gate, OF_RECORD[i], json_object_get(record, OF_RECORD[i]));
    json_decref(record);
    json_decref(entry);
    return gate;
}

static bool visit_record(void *context, const struct store_record *record)
{
    struct builder *b = context;
    if (strcmp(record->kind, GATE_RECORD) == 0) {
        json_decref(b->gate);
        b->gate = gate_object(record->json);
    }
    if (strcmp(record->kind, "aggregate") == 0) {
        char task[16];
        snprintf(task, sizeof task, "%u", record->task);
        json_object_set_new(b->figures, task, json_loads(record->json, 0, NULL));
    }
    if (strcmp(record->kind, "pooled") != 0)
        return true;
    json_t *o = json_loads(record->json, 0, NULL);
    json_t *matrix = json_object_get(o, "matrix");
    if (matrix) {
        json_decref(b->matrix);
        b->matrix = json_incref(matrix);
    }
    json_t *point = json_object();
    json_object_set(point, "round", json_object_get(o, "round"));
    json_object_update(point, json_object_get(o, "pooled"));
    json_array_append_new(b->curve, point);
    if (json_integer_value(json_object_get(o, "round")) == (json_int_t)b->study.best_round) {
        json_decref(b->kept);
        b->kept = json_incref(o);
    }
    json_decref(o);
    return true;
}

/* Puts the evaluation's figures of a round into its line. */
static void join_curve(struct builder *b)
{
    size_t i, k;
    json_t *point, *line;
    json_array_foreach(b->curve, i, point)
    {
        json_array_foreach(b->rounds, k, line)
        {
            if (!json_equal(json_object_get(line, "round"), json_object_get(point, "round")))
                continue;
            json_object_set(line, "auroc", json_object_get(point, "auroc"));
            json_object_set(line, "loss", json_object_get(point, "loss"));
        }
    }
}

/* Puts what the aggregation saw of each update into its round's line. */
static void join_figures(struct builder *b)
{
    size_t k;
    json_t *line;
    json_array_foreach(b->rounds, k, line)
    {
        char task[16];
        snprintf(task, sizeof task, "%lld",
                 (long long)json_integer_value(json_object_get(line, "task")));
        const json_t *record = json_object_get(b->figures, task);
        if (!record)
            continue;
        json_object_set(line, "rows", json_object_get(record, "rows"));
        json_object_set(line, "withstands", json_object_get(record, "withstands"));
        json_object_set(line, "updates", json_object_get(record, "updates"));
        json_object_set(line, "spread", json_object_get(record, "spread"));
        json_object_set(line, "mean_norm", json_object_get(record, "mean_norm"));
        json_object_set(line, "noise", json_object_get(record, "noise"));
    }
}

/* What the noise-floor test found of the updates so far, into the privacy statement. */
static void put_noise_floor(const struct builder *b, json_t *statement)
{
    long long looked = 0, flagged = 0;
    size_t k, i;
    json_t *line, *update;
    json_array_foreach(b->rounds, k, line)
    {
        json_array_foreach(json_object_get(line, "updates"), i, update)
        {
            const json_t *noise = json_object_get(update, "noise");
            const char *verdict = json_string_value(json_object_get(noise, "verdict"));
            looked += verdict != NULL;
            flagged += verdict && strcmp(verdict, "ok") != 0;
        }
    }
    if (statement && looked > 0)
        statement_add_findings(statement, NULL, looked, flagged);
}

static json_t *evaluated_site(const struct builder *b, const char *name)
{
    size_t i;
    json_t *o;
    json_array_foreach(json_object_get(b->kept, "sites"), i, o)
    {
        const char *site = json_string_value(json_object_get(o, "name"));
        if (site && strcmp(site, name) == 0)
            return o;
    }
    return NULL;
}

static json_t *site_object(struct builder *b, uint32_t i)
{
    const struct study_member *m = &b->study.members[i];
    const struct site_sum *sum = &b->sums[i];
    struct store_member record;
    json_t *o = json_object();
    uint64_t peak = sum->peak_memory_kb;
    if (ok(store_read_member(b->store, m->name, &record, NULL)) && record.peak_memory_kb > peak)
        peak = record.peak_memory_kb;
    json_object_set_new(o, "name", json_string_nocheck(m->name));
    json_object_set_new(o, "patients", integer(m->declared_patients));
    json_object_set_new(o, "verdict", json_string(member_verdict_name(m->verdict)));
    if (m->reason[0])
        json_object_set_new(o, "reason", json_string_nocheck(m->reason));
    json_object_set_new(o, "conduct", status_conduct(m));
    json_object_set_new(o, "rounds_counted", integer(sum->counted));
    json_object_set_new(o, "rounds_refused", integer(sum->refused));
    json_object_set_new(o, "rounds_missed", integer(sum->missed));
    json_object_set_new(o, "epsilon_spent", number_or_null(sum->epsilon_spent));
    json_object_set_new(o, "epsilon_budget",
                        number_or_null(sum->epsilon_budget > 0 ? sum->epsilon_budget
                                                               : m->epsilon_budget));
    json_object_set_new(o, "delta",
                        number_or_null(
                            b->plan.privacy.mode == PRIVACY_NONE ? 0 : b->plan.privacy.delta));
    if (sum->spent)
        json_object_set(o, "spent", sum->spent);
    json_object_set_new(o, "bytes_sent", integer(sum->bytes));
    json_object_set_new(o, "peak_memory_mb", number_or_null((double)peak / 1024));
    json_object_update_missing(o, evaluated_site(b, m->name));
    if (!json_object_get(o, "auroc")) {
        json_object_set_new(o, "auroc", json_null());
        json_object_set_new(o, "auroc_low", json_null());
        json_object_set_new(o, "auroc_high", json_null());
    }
    return o;
}

struct chain_check {
    struct chain_head head;
    const unsigned char *public_key;
    bool good;
};

static bool check_entry(void *context, const struct store_entry *entry)
{
    struct chain_check *check = context;
    chain_extend(&check->head, entry->entry, entry->n);
    check->good = entry->seq == check->head.count &&
                  memcmp(entry->hash, check->head.hash, CHAIN_HASH_BYTES) == 0 &&
                  chain_signed_by(&check->head, entry->signature, check->public_key);
    return check->good;
}

static void put_audit(struct builder *b, const unsigned char *public_key, json_t *report)
{
    char hash[HEX_HASH_BYTES];
    struct chain_check check = {.public_key = public_key, .good = true};
    bool read = ok(store_each_entry(b->store, NULL, 0, check_entry, &check, NULL));
    hex_hash(hash, check.head.hash);
    json_object_set_new(report, "audit_verified", json_boolean(read && check.good));
    json_object_set_new(report, "audit_entries", integer(check.head.count));
    json_object_set_new(report, "audit_head", json_string(hash));
}

static void put_plan(const struct builder *b, json_t *report)
{
    char hash[HEX_HASH_BYTES];
    hex_hash(hash, b->study.plan_hash);
    json_object_set_new(report, "title", json_string_nocheck(b->plan.title));
    json_object_set_new(report, "purpose", json_string_nocheck(b->plan.purpose));
    json_object_set_new(report, "researcher", json_string_nocheck(b->researcher));
    json_object_set_new(report, "plan_hash", json_string(hash));
    json_object_set_new(report, "rule", json_string_nocheck(b->plan.aggregation.rule));
    json_object_set_new(report, "byzantine", integer(b->plan.aggregation.byzantine));
    json_object_set_new(report, "compression", json_string_nocheck(b->plan.compression));
    json_object_set_new(report, "min_cell", integer(b->plan.validation.min_cell));
}

static void put_times(const struct builder *b, json_t *report)
{
    const struct study *s = &b->study;
    uint64_t end = s->ended_ms ? s->ended_ms : s->closed.closed_ms;
    double total = end > s->launched_ms ? (double)(end - s->launched_ms) / 1000 : 0;
    json_object_set_new(report, "seconds_total", json_real(total));
    json_object_set_new(report, "seconds_per_round",
                        number_or_null(b->rounds_timed ? b->round_seconds / b->rounds_timed
                                                       : (double)NAN));
    json_object_set_new(report, "bytes_per_update",
                        integer(b->updates ? b->update_bytes / b->updates : 0));
    json_object_set_new(report, "bytes_per_model", integer(b->model_bytes));
    json_object_set_new(report, "bytes_per_model_unpacked", integer(b->model_plain_bytes));
}

/* What the cross-site matrix gives reason to ask about. */
static void note_flags(const struct builder *b, json_t *notes)
{
    size_t i;
    json_t *site;
    const json_t *fit = json_object_get(b->matrix, "fit");
    json_array_foreach(json_object_get(fit, "sites"), i, site)
    {
        const char *name = json_string_value(json_object_get(site, "site"));
        if (name && json_is_true(json_object_get(site, "free_rider")))
            json_array_append_new(
                notes, json_sprintf("site %s: its update changes no ranking anywhere, or its model "
                                    "is far below the others (free rider?)",
                                    name));
        if (name && json_is_true(json_object_get(site, "self_inflated")))
            json_array_append_new(
                notes, json_sprintf("site %s: its model is far better at home than elsewhere "
                                    "(overfitted, or figures that are too good?)",
                                    name));
    }
}

static json_t *build(struct builder *b, const unsigned char *public_key)
{
    char hash[HEX_HASH_BYTES];
    const struct study *s = &b->study;
    json_t *report = json_object(), *sites = json_array(), *notes = json_array();
    json_object_set_new(report, "study", json_string_nocheck(s->name));
    json_object_set_new(report, "phase", json_string(study_phase_name(s->phase)));
    json_object_set_new(report, "rounds_completed", integer(s->round));
    json_object_set_new(report, "rounds_planned", integer(s->rounds));
    hex_hash(hash, s->best_round > 0 ? s->best : s->model);
    json_object_set_new(report, "model_hash", json_string(hash));
    json_object_set_new(report, "best_round", integer(s->best_round));
    put_plan(b, report);
    put_audit(b, public_key, report);
    json_t *pooled = json_object_get(b->kept, "pooled");
    json_object_set(report, "pooled", pooled ? pooled : json_null());
    for (uint32_t i = 0; i < s->members_count; i++)
        json_array_append_new(sites, site_object(b, i));
    json_object_set_new(report, "sites", sites);
    json_t *statement = statement_of_study(&b->plan, s);
    put_noise_floor(b, statement);
    json_object_set_new(report, "privacy", statement ? statement : json_null());
    json_object_set(report, "rounds", b->rounds);
    json_t *apart =
        report_dissimilarity(b->rounds, b->plan.sites_count, b->plan.aggregation.byzantine);
    if (json_is_false(json_object_get(apart, "holds")))
        json_array_append_new(notes, json_string("the sites differ more than any robust rule can "
                                                 "stand with so many hostile ones (dissimilarity "
                                                 "b is not below b_most): robustness is not "
                                                 "claimed"));
    json_object_set_new(report, "dissimilarity", apart);
    json_t *subgroups = json_object_get(b->kept, "subgroups");
    json_object_set_new(report, "subgroups", subgroups ? json_incref(subgroups) : json_array());
    static const char *const KEPT[] = {"groups",    "calibration", "transport", "cindex_transport",
                                       "disparity", "histogram",   "paired",    "no_figures"};
    for (size_t i = 0; i < sizeof KEPT / sizeof *KEPT; i++)
        json_object_set(report, KEPT[i], json_object_get(b->kept, KEPT[i]));
    json_object_set(report, "matrix", b->matrix ? b->matrix : json_null());
    json_object_set(report, "gate", b->gate ? b->gate : json_null());
    put_times(b, report);
    if (s->reason[0])
        json_array_append_new(notes, json_string_nocheck(s->reason));
    if (!pooled)
        json_array_append_new(notes, json_string("no evaluation was pooled"));
    note_flags(b, notes);
    json_object_set_new(report, "notes", notes);
    return report;
}

/* What the best model weighs on its way to one site; 0 while there is none. */
static void weigh_model(struct builder *b)
{
    const struct study *s = &b->study;
    struct store_bytes plain = {0};
    unsigned char *packed = NULL;
    size_t n = 0;
    struct why why;
    if (!ok(store_read_model(b->store, s->best_round > 0 ? s->best : s->model, &plain, &why)))
        return;
    if (ok(transfer_pack(plain.bytes, plain.n, &packed, &n, &why))) {
        b->model_bytes = transfer_cipher_bytes(packed ? n : plain.n);
        b->model_plain_bytes = transfer_cipher_bytes(plain.n);
    }
    free(packed);
    free(plain.bytes);
}

static struct result gather(struct builder *b, const char *study, struct why *why)
{
    struct store_bytes plan = {0};
    TRY(store_load(b->store, study, &b->study, why));
    TRY(store_read_plan(b->store, study, &plan, b->researcher, why));
    struct result r = plan_parse(&b->plan, study, (const char *)plan.bytes, plan.n, why);
    free(plan.bytes);
    TRY(r);
    TRY(store_each_task(b->store, study, visit_task, b, why));
    TRY(store_each_entry(b->store, study, 0, visit_entry, b, why));
    TRY(store_each_record(b->store, study, visit_record, b, why));
    join_curve(b);
    join_figures(b);
    weigh_model(b);
    return DONE;
}

struct result report_text(struct store *store, const char *study,
                          const unsigned char public_key[CHAIN_PUBLIC_BYTES], char **ret_text,
                          struct why *why)
{
    struct builder *b = calloc(1, sizeof *b);
    *ret_text = NULL;
    if (!b)
        return failed(why, RESULT_SYSTEM, "out of memory for the report");
    b->store = store;
    b->rounds = json_array();
    b->curve = json_array();
    b->figures = json_object();
    struct result r = gather(b, study, why);
    if (ok(r)) {
        json_t *report = build(b, public_key);
        r = report_after(store, study, clock_unix_ms(), report, why);
        *ret_text = json_dumps(report, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
        json_decref(report);
        if (ok(r) && !*ret_text)
            r = failed(why, RESULT_SYSTEM, "out of memory for the report");
        if (!ok(r)) {
            free(*ret_text);
            *ret_text = NULL;
        }
    }
    plan_free(&b->plan);
    for (uint32_t i = 0; i < PLAN_SITES_MAX; i++)
        json_decref(b->sums[i].spent);
    json_decref(b->rounds);
    json_decref(b->curve);
    json_decref(b->figures);
    json_decref(b->matrix);
    json_decref(b->kept);
    json_decref(b->gate);
    free(b);
    return r;
}
