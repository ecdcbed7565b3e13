/* SPDX-License-Identifier: Apache-2.0 */
/* The passport of a model in use, filled from the store and the log, signed by the coordinator. */
#include "coordinator/command_inner.h"

#include "coordinator/entry.h"
#include "coordinator/human_part.h"
#include "coordinator/monitors.h"
#include "coordinator/paper.h"
#include "coordinator/registry_json.h"
#include "coordinator/statement.h"
#include "coordinator/validate/dsse.h"
#include "coordinator/validate/gate_json.h"
#include "coordinator/validate/passport.h"
#include "proto/base/cleanup.h"
#include "proto/plan_model.h"

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TIME_BYTES = 32, LOG_LEAVES_MAX = 1 << 22, REPORT_BYTES = 32 };

/* A site's group with the lowest AUROC: "sex" and "female". */
struct worst {
    char attribute[2 * PLAN_NAME_BYTES], group[2 * PLAN_NAME_BYTES];
    double auc;
};

/* What one site gave over the study's rounds. */
struct given {
    int64_t rounds, refused;
    char fingerprint[HEX_HASH_BYTES];
};

/* Everything the passport's texts point to. */
struct filling {
    struct user_command *c;
    struct registry_model model;
    struct running *running;
    struct given given[PLAN_SITES_MAX];
    struct passport_training_site sites[PLAN_SITES_MAX];
    struct passport_site_figures figures[PLAN_SITES_MAX];
    struct worst worst[PLAN_SITES_MAX];
    char report[PLAN_SITES_MAX][REPORT_BYTES];
    const char *reports[PLAN_SITES_MAX];
    size_t reports_count;
    char *human;
    char human_sha256[PAPER_HASH_BYTES], human_signer[PLAN_NAME_BYTES];
    struct paper changes;
    int64_t alpha; /* micro; -1: no ledger */
    enum evaluation_release release;
    char build[HEX_HASH_BYTES], monitoring[HEX_HASH_BYTES], label[HEX_HASH_BYTES];
    char issued[TIME_BYTES];
    struct gate_parsed gate;
    struct gate_record record;
    struct gate_site_verdict *verdicts;
    struct merkle_hash *leaves;
    size_t leaves_count, leaves_room;
    bool no_memory;
    uint64_t gate_seq; /* 0 = not found */
    char *gate_input;
    double seconds, epsilon;
    json_t *statement; /* owned */
    struct merkle_proof proof;
    struct passport_witness *witnesses; /* [witnesses_count] owned, as are their sites */
    size_t witnesses_count;
    char id[HEX_HASH_BYTES], plan[HEX_HASH_BYTES], schema[HEX_HASH_BYTES], weights[HEX_HASH_BYTES];
    char policy[HEX_HASH_BYTES], incumbent[HEX_HASH_BYTES], head[HEX_HASH_BYTES];
    char version[32], gate_id[48], threshold[32];
    char started[TIME_BYTES], ended[TIME_BYTES], since[TIME_BYTES];
};

static void hex_sha256(char out[HEX_HASH_BYTES], const void *bytes, size_t n)
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(hash, bytes, n);
    hex_hash(out, hash);
}

static void utc(char out[TIME_BYTES], uint64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    out[0] = '\0';
    if (gmtime_r(&seconds, &parts))
        strftime(out, TIME_BYTES, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

static void take_counted(struct filling *f, const json_t *entry, uint64_t seq)
{
    const char *name = json_string_value(json_object_get(entry, "site"));
    const char *kind = json_string_value(json_object_get(entry, "task_kind"));
    uint32_t site = name ? study_find(&f->running->study, name) : PLAN_SITES_MAX;
    if (kind && strcmp(kind, "train") != 0 && f->reports_count < PLAN_SITES_MAX &&
        json_integer_value(json_object_get(entry, "task")) == (json_int_t)f->model.task) {
        char *report = f->report[f->reports_count];
        snprintf(report, REPORT_BYTES, "log entry %llu", (unsigned long long)seq);
        f->reports[f->reports_count++] = report;
    }
    if (!kind || strcmp(kind, "train") != 0 || site >= f->running->study.members_count)
        return;
    const char *what = json_string_value(json_object_get(entry, "kind"));
    f->given[site].rounds += what && strcmp(what, "counted") == 0;
    f->seconds += json_number_value(json_object_get(entry, "seconds"));
    f->epsilon = fmax(f->epsilon, json_number_value(json_object_get(entry, "epsilon_spent")));
}

static void take_refused(struct filling *f, const json_t *entry)
{
    const char *name = json_string_value(json_object_get(entry, "site"));
    uint32_t site = name ? study_find(&f->running->study, name) : PLAN_SITES_MAX;
    if (site < f->running->study.members_count)
        f->given[site].refused++;
}

/* The entry's place and its inputs; the last gate of this model counts. */
static void take_gate(struct filling *f, const json_t *entry, uint64_t seq)
{
    const char *candidate = json_string_value(json_object_get(entry, "candidate"));
    const char *input = json_string_value(json_object_get(entry, "input"));
    if (!candidate || !input || strcmp(candidate, f->id) != 0)
        return;
    free(f->gate_input);
    f->gate_input = strdup(input);
    f->gate_seq = seq;
    const json_t *alpha = json_object_get(json_object_get(entry, "ledger"), "alpha_micro");
    f->alpha = json_is_integer(alpha) ? json_integer_value(alpha) : -1;
}

/* The human part in force: the last one of this model that the log holds. */
static void take_paper(struct filling *f, const json_t *entry)
{
    char kind[PAPER_KIND_BYTES];
    const char *of = json_string_value(json_object_get(entry, "paper"));
    const char *text = json_string_value(json_object_get(entry, "text"));
    const char *signer = json_string_value(json_array_get(json_object_get(entry, "signers"), 0));
    snprintf(kind, sizeof kind, HUMAN_KIND "%s", f->id);
    if (!of || !text || !signer || strcmp(of, kind) != 0)
        return;
    free(f->human);
    f->human = strdup(text);
    paper_hash(text, strlen(text), f->human_sha256);
    snprintf(f->human_signer, sizeof f->human_signer, "%s", signer);
}

static bool take_entry(void *context, const struct store_entry *entry)
{
    struct filling *f = context;
    if (f->leaves_count == f->leaves_room) {
        size_t room = f->leaves_room ? 2 * f->leaves_room : 1024;
        struct merkle_hash *more =
            room > LOG_LEAVES_MAX ? NULL : realloc(f->leaves, room * sizeof *more);
        f->no_memory = !more;
        if (!more)
            return false;
        f->leaves = more;
        f->leaves_room = room;
    }
    f->leaves[f->leaves_count++] = merkle_leaf(entry->entry, entry->n);
    if (strcmp(entry->kind, "paper") == 0) {
        json_t *paper = json_loadb(entry->entry, entry->n, 0, NULL);
        take_paper(f, paper);
        json_decref(paper);
    }
    if (strcmp(entry->study, f->model.study) != 0)
        return true;
    bool counted = strcmp(entry->kind, "counted") == 0 || strcmp(entry->kind, "set-aside") == 0;
    bool refused = strcmp(entry->kind, "refused") == 0;
    bool gate = strcmp(entry->kind, "gate") == 0;
    if (!counted && !refused && !gate)
        return true;
    json_t *o = json_loadb(entry->entry, entry->n, 0, NULL);
    if (counted)
        take_counted(f, o, entry->seq);
    else if (refused)
        take_refused(f, o);
    else
        take_gate(f, o, entry->seq);
    json_decref(o);
    return true;
}

static struct result read_log(struct filling *f, struct why *why)
{
    TRY(store_each_entry(f->c->drive->options.store, NULL, 0, take_entry, f, why));
    if (f->no_memory || (f->gate_seq > 0 && !f->gate_input))
        return failed(why, RESULT_SYSTEM, "out of memory for the log's proof");
    if (f->gate_seq == 0 || f->gate_seq > f->leaves_count)
        return failed(why, RESULT_INPUT, "the log holds no gate decision on this model");
    merkle_inclusion(f->leaves_count, f->leaves, f->gate_seq - 1, &f->proof);
    return DONE;
}

/* In the evaluation that the gate judged; nothing when the site gave none. */
static void find_worst(struct filling *f, const char *name, struct worst *worst)
{
    struct payload_evaluation evaluation = {0};
    struct store_bytes bytes = {0};
    struct why why;
    const struct study *study = &f->running->study;
    worst->auc = (double)NAN;
    if (!ok(store_read_object(f->c->drive->options.store, study->name, f->model.task,
                              study_find(study, name), &bytes, &why)))
        return;
    bool read = ok(payload_evaluation_decode(&evaluation, bytes.bytes, bytes.n, &why));
    free(bytes.bytes);
    for (uint32_t g = 1; read && g < evaluation.models[0].groups_count; g++) {
        const struct evaluation_figures *figures = &evaluation.models[0].groups[g];
        const char *equals = strchr(figures->group, '=');
        if (figures->status != EVALUATION_OK || !equals || !(figures->auroc >= 0) ||
            figures->auroc >= fmin(worst->auc, HUGE_VAL))
            continue;
        worst->auc = figures->auroc;
        snprintf(worst->attribute, sizeof worst->attribute, "%.*s", (int)(equals - figures->group),
                 figures->group);
        snprintf(worst->group, sizeof worst->group, "%s", equals + 1);
    }
    /* Of several forms the one that tells most is named. */
    if (read && evaluation.release != EVALUATION_RELEASE_NONE &&
        (!f->release || evaluation.release == EVALUATION_RELEASE_HISTOGRAM))
        f->release = evaluation.release;
    if (read)
        payload_evaluation_free(&evaluation);
}

static struct result decide_again(struct filling *f, struct why *why)
{
    json_t *root = json_loads(f->gate_input, 0, NULL);
    struct result r = gate_parse(root, &f->gate, why);
    json_t *policy = json_object_get(root, "policy");
    CLEANUP(free_pointer)
    char *text = policy ? json_dumps(policy, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(root);
    TRY(r);
    if (f->gate.input.n_sites > PLAN_SITES_MAX || !text)
        return failed(why, RESULT_INPUT, "the logged gate has no policy or too many sites");
    hex_sha256(f->policy, text, strlen(text));
    f->verdicts = calloc(f->gate.input.n_sites + 1, sizeof *f->verdicts);
    if (!f->verdicts)
        return failed(why, RESULT_SYSTEM, "out of memory for the passport");
    TRY(gate_decide(&f->gate.input, &f->record, f->verdicts, why));
    for (size_t i = 0; i < f->gate.input.n_sites; i++) {
        find_worst(f, f->gate.sites[i].id, &f->worst[i]);
        f->figures[i] = (struct passport_site_figures){
            .ece = f->gate.sites[i].ece,
            .slope = f->gate.sites[i].slope,
            .worst_attribute = f->worst[i].attribute,
            .worst_group = f->worst[i].group[0] ? f->worst[i].group : NULL,
            .worst_auc = f->worst[i].auc,
        };
    }
    return DONE;
}

/* The program that made the decision, as it stands on the disk. */
static void hash_program(char out[HEX_HASH_BYTES])
{
    unsigned char block[1 << 14], hash[crypto_hash_sha256_BYTES];
    size_t n;
    crypto_hash_sha256_state state;
    CLEANUP(close_file) FILE *file = fopen("/proc/self/exe", "re");
    if (!file)
        return;
    crypto_hash_sha256_init(&state);
    while ((n = fread(block, 1, sizeof block, file)) > 0)
        crypto_hash_sha256_update(&state, block, n);
    crypto_hash_sha256_final(&state, hash);
    if (!ferror(file))
        hex_hash(out, hash);
}

/* What counts as the outcome: column, type, levels. */
static void hash_label(const struct plan_label *label, char out[HEX_HASH_BYTES])
{
    unsigned char hash[crypto_hash_sha256_BYTES], type = (unsigned char)label->type;
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, (const unsigned char *)label->column,
                              strlen(label->column) + 1);
    crypto_hash_sha256_update(&state, &type, 1);
    for (unsigned i = 0; i < label->levels_count; i++)
        crypto_hash_sha256_update(&state, (const unsigned char *)label->levels[i].name,
                                  strlen(label->levels[i].name) + 1);
    crypto_hash_sha256_final(&state, hash);
    hex_hash(out, hash);
}

/* What the model is watched under, if it is. */
static void hash_monitoring(struct filling *f)
{
    struct monitor_row row;
    struct why why;
    CLEANUP(free_pointer) char *state = NULL;
    if (!ok(monitors_read(f->c->drive->options.store, f->model.hash, &row, &state, &why)))
        return;
    json_t *o = json_loads(state, 0, NULL);
    CLEANUP(free_pointer)
    char *terms = json_object_get(o, "terms")
                      ? json_dumps(json_object_get(o, "terms"),
                                   JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17))
                      : NULL;
    json_decref(o);
    if (terms)
        hex_sha256(f->monitoring, terms, strlen(terms));
}

static struct result fill_texts(struct filling *f, struct why *why)
{
    struct store *store = f->c->drive->options.store;
    const struct study *study = &f->running->study;
    struct store_bytes bytes = {0};
    char researcher[PLAN_NAME_BYTES];
    TRY(store_read_plan(store, study->name, &bytes, researcher, why));
    hex_sha256(f->plan, bytes.bytes, bytes.n);
    free(bytes.bytes);
    TRY(store_read_model(store, f->model.hash, &bytes, why));
    hex_sha256(f->weights, bytes.bytes, bytes.n);
    free(bytes.bytes);
    TRY(paper_read(store, PAPER_CHANGES, &f->changes, why));
    hash_program(f->build);
    hash_label(&f->running->plan.label, f->label);
    hash_monitoring(f);
    utc(f->issued, f->c->now_ms);
    struct chain_head head = store_log_head(store);
    hex_hash(f->head, head.hash);
    hex_hash(f->schema, f->model.family);
    if (!sodium_is_zero(f->model.incumbent, PLAN_HASH_BYTES))
        hex_hash(f->incumbent, f->model.incumbent);
    snprintf(f->version, sizeof f->version, "round-%u", f->model.round);
    snprintf(f->gate_id, sizeof f->gate_id, "log entry %llu", (unsigned long long)f->gate_seq);
    if (f->running->plan.validation.threshold > 0.0)
        snprintf(f->threshold, sizeof f->threshold, "%g", f->running->plan.validation.threshold);
    utc(f->started, study->started_ms);
    utc(f->ended, study->ended_ms);
    utc(f->since, (uint64_t)f->model.stage.since_ms);
    return DONE;
}

static void fill_sites(struct filling *f, struct passport_training *t)
{
    const struct study *study = &f->running->study;
    for (uint32_t i = 0; i < study->members_count; i++) {
        const struct study_member *m = &study->members[i];
        if (m->verdict != MEMBER_ALLOWED && f->given[i].rounds == 0)
            continue;
        hex_hash(f->given[i].fingerprint, m->fingerprint);
        f->sites[t->n_sites++] = (struct passport_training_site){
            .site = m->name,
            .patients = (int64_t)m->declared_patients,
            .dataset_fingerprint = f->given[i].fingerprint,
            .label_definition_sha256 = f->label,
            .rounds_in = f->given[i].rounds,
            .updates_refused = f->given[i].refused,
        };
    }
    t->sites = f->sites;
}

static void fill_model(const struct filling *f, struct passport_model *m)
{
    static const char *const KINDS[] = {[MODEL_LINEAR] = "linear",
                                        [MODEL_LOGISTIC] = "logistic",
                                        [MODEL_SOFTMAX] = "softmax",
                                        [MODEL_MLP] = "mlp",
                                        [MODEL_HAZARD] = "hazard"};
    const struct plan *plan = &f->running->plan;
    *m = (struct passport_model){
        .id = f->id,
        .name = plan->title[0] ? plan->title : plan->study,
        .version = f->version,
        .kind = KINDS[plan->model.kind],
        .format = "consilium model set",
        .weights_sha256 = f->weights,
        .parent_id = f->incumbent[0] ? f->incumbent : NULL,
        .schema_sha256 = f->schema,
        .task = plan->label.column,
        .threshold = f->threshold[0] ? f->threshold : NULL,
        .parameters = (int64_t)f->running->parameters,
    };
}

static void fill_passport(struct filling *f, struct passport *p)
{
    const struct plan *plan = &f->running->plan;
    bool private = plan->privacy.mode != PRIVACY_NONE;
    memset(p, 0, sizeof *p);
    fill_model(f, &p->model);
    p->training = (struct passport_training){
        .federation = f->c->drive->options.consortium,
        .plan_sha256 = f->plan,
        .algorithm = plan->training.proximal > 0.0 ? "FedProx" : "FedAvg",
        .aggregation = plan->aggregation.rule,
        .rounds = f->model.round,
        .started = f->started,
        .ended = f->ended,
        .coordinator_version = CONSILIUM_VERSION,
        .build_sha256 = f->build[0] ? f->build : NULL,
        .cpu_seconds = f->seconds,
        .energy_kwh = (double)NAN,
    };
    fill_sites(f, &p->training);
    p->privacy = (struct passport_privacy){
        .unit = private ? "patient" : "none",
        .mechanism = private ? "clipped per patient, discrete Gaussian noise" : "none",
        .accountant = private ? "privacy loss distributions" : NULL,
        .delta = private ? plan->privacy.delta : (double)NAN,
        .epsilon_spent_max = private ? f->epsilon : (double)NAN,
        .ledger_head = f->head,
        .metrics_mode = f->release ? evaluation_release_name(f->release)
                        : plan->privacy.metrics_noise > 0.0
                            ? evaluation_release_name(EVALUATION_RELEASE_NOISED_HISTOGRAM)
                            : evaluation_release_name(EVALUATION_RELEASE_THRESHOLD),
        .secure_aggregation = plan->aggregation.secure,
        .metrics_round_to = "0.001",
        .metrics_min_cell = plan->validation.min_cell,
        .metrics_queries_used = -1,
        .metrics_queries_max = -1,
        .statement = f->statement,
    };
    p->validation = (struct passport_validation){
        .gate_id = f->gate_id,
        .policy_sha256 = f->policy,
        .incumbent = f->incumbent[0] ? f->incumbent : NULL,
        .policy = &f->gate.input.policy,
        .record = &f->record,
        .sites = f->gate.sites,
        .verdicts = f->verdicts,
        .figures = f->figures,
        .transport = f->record.transport.k > 1 ? &f->record.transport : NULL,
        .alpha_spent = f->alpha,
        .n_reports = f->reports_count,
        .signed_reports = f->reports,
    };
    p->deployment = (struct passport_deployment){
        .stage = stage_name(f->model.stage.stage),
        .stage_since = f->since,
        .rollback_to = f->incumbent[0] ? f->incumbent : NULL,
        .pccp_sha256 = f->changes.text ? f->changes.sha256 : NULL,
        .monitoring_plan_sha256 = f->monitoring[0] ? f->monitoring : NULL,
    };
    p->human = (struct passport_human){.text = f->human,
                                       .sha256 = f->human_sha256,
                                       .signed_by = f->human_signer};
    p->issued = f->issued;
    p->log = (struct passport_log){
        .origin = f->c->drive->options.consortium,
        .tree_size = f->leaves_count,
        .leaf_index = f->gate_seq - 1,
        .leaf = f->leaves[f->gate_seq - 1],
        .root = merkle_root(f->leaves_count, f->leaves),
        .inclusion = &f->proof,
        .n_witnesses = f->witnesses_count,
        .witnesses = f->witnesses,
    };
    p->supersedes = f->incumbent[0] ? f->incumbent : NULL;
}

/* A site whose signed head can be shown to be part of the log as it stands. */
static bool add_witness(void *context, const struct store_witness *w)
{
    struct filling *f = context;
    const struct drive_options *o = &f->c->drive->options;
    struct drive_member member;
    struct tree_head held = w->head;
    struct passport_witness one = {.size = w->head.size, .ms = w->head.ms, .root = w->head.root};
    snprintf(held.origin, sizeof held.origin, "%s", o->consortium);
    if (held.size == 0 || held.size > f->leaves_count || !o->find(o->context, w->site, &member) ||
        !tree_head_witnessed(&held, member.sign_public, w->signature) ||
        !merkle_consistency(f->leaves_count, f->leaves, held.size, &one.consistency))
        return true;
    struct passport_witness *more =
        realloc(f->witnesses, (f->witnesses_count + 1) * sizeof *f->witnesses);
    if (more)
        f->witnesses = more;
    one.site = strdup(w->site);
    f->no_memory = !more || !one.site;
    if (f->no_memory) {
        free((char *)(uintptr_t)one.site);
        return false;
    }
    memcpy(one.key, member.sign_public, sizeof one.key);
    memcpy(one.signature, w->signature, sizeof one.signature);
    f->witnesses[f->witnesses_count++] = one;
    return true;
}

static void free_witnesses(struct filling *f)
{
    for (size_t i = 0; i < f->witnesses_count; i++)
        free((char *)(uintptr_t)f->witnesses[i].site);
    free(f->witnesses);
}

static struct result seal(const struct filling *f, const struct passport *passport, char **ret_text,
                          struct why *why)
{
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0;
    const struct drive_options *o = &f->c->drive->options;
    struct dsse_signer signer = {.keyid = o->name, .secret = o->sign_secret};
    TRY(passport_text(passport, &text, &n, why));
    return dsse_seal(PASSPORT_TYPE, text, n, 1, &signer, ret_text, why);
}

static struct result make_passport(struct filling *f, char **ret_text, struct why *why)
{
    struct passport passport;
    const char *name = json_string_value(json_object_get(f->c->arguments, "model"));
    if (!name)
        return failed(why, RESULT_INPUT, "name the model");
    TRY(registry_find(f->c->drive->options.store, name, &f->model, why));
    if (f->model.stage.stage != STAGE_PROMOTED)
        return failed(why, RESULT_REFUSED,
                      "a passport is for a model in use; this one is %s (consilium model promote)",
                      stage_name(f->model.stage.stage));
    TRY(drive_load(f->c->drive, f->model.study, &f->running, why));
    hex_hash(f->id, f->model.hash);
    TRY(read_log(f, why));
    TRY(decide_again(f, why));
    TRY(fill_texts(f, why));
    TRY(store_each_witness(f->c->drive->options.store, add_witness, f, why));
    if (f->no_memory)
        return failed(why, RESULT_SYSTEM, "out of memory for the passport");
    f->statement = statement_of_study(&f->running->plan, &f->running->study);
    if (f->statement)
        json_object_set_new(f->statement, "noise_floor",
                            json_string("each update's verdict stands in the study's report"));
    fill_passport(f, &passport);
    return seal(f, &passport, ret_text, why);
}

struct result verb_passport(struct user_command *c, struct why *why)
{
    struct filling *f = calloc(1, sizeof *f);
    char *text = NULL;
    if (!f)
        return failed(why, RESULT_SYSTEM, "out of memory for the passport");
    f->c = c;
    f->alpha = -1;
    struct result r = make_passport(f, &text, why);
    gate_parsed_free(&f->gate);
    free(f->verdicts);
    free_witnesses(f);
    free(f->leaves);
    free(f->gate_input);
    free(f->human);
    paper_free(&f->changes);
    json_decref(f->statement);
    free(f);
    c->text = (unsigned char *)text;
    c->text_n = text ? strlen(text) : 0;
    return r;
}
