/* SPDX-License-Identifier: Apache-2.0 */
/* Assembles the passport's text section by section, and checks its proof of being logged. */
#include "coordinator/validate/passport.h"

#include "linalg/special.h"
#include "proto/base/cleanup.h"

#include <jansson.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum { CHECK_MAX = 4 << 20 };

const char *passport_band(int64_t count)
{
    static const struct {
        int64_t below;
        const char *band;
    } BANDS[] = {
        {1, "0"},
        {11, "1-10"},
        {50, "11-49"},
        {100, "50-99"},
        {500, "100-499"},
        {1000, "500-999"},
        {5000, "1000-4999"},
        {10000, "5000-9999"},
        {50000, "10000-49999"},
        {100000, "50000-99999"},
    };
    for (size_t i = 0; i < sizeof BANDS / sizeof *BANDS; i++) {
        if (count < BANDS[i].below)
            return BANDS[i].band;
    }
    return "100000+";
}

static void put_text(json_t *o, const char *key, const char *text)
{
    if (text)
        json_object_set_new(o, key, json_string(text));
}

static void put_count(json_t *o, const char *key, int64_t count)
{
    if (count >= 0)
        json_object_set_new(o, key, json_integer(count));
}

static json_t *decimal(double value, int places)
{
    char text[64];
    snprintf(text, sizeof text, "%.*f", places, value);
    return json_string(text);
}

static void put_decimal(json_t *o, const char *key, double value, int places)
{
    if (isfinite(value))
        json_object_set_new(o, key, decimal(value, places));
}

static void put_texts(json_t *o, const char *key, size_t n, const char *const *texts)
{
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, json_string(texts[i]));
    json_object_set_new(o, key, array);
}

static json_t *model_part(const struct passport_model *m)
{
    json_t *o = json_object();
    put_text(o, "id", m->id);
    put_text(o, "name", m->name);
    put_text(o, "version", m->version);
    put_text(o, "kind", m->kind);
    put_count(o, "parameters", m->parameters);
    put_text(o, "format", m->format);
    put_text(o, "weights_sha256", m->weights_sha256);
    put_text(o, "parent_id", m->parent_id);
    put_text(o, "schema_sha256", m->schema_sha256);
    put_text(o, "task", m->task);
    put_text(o, "threshold", m->threshold);
    return o;
}

static json_t *training_part(const struct passport_training *t)
{
    json_t *o = json_object();
    put_text(o, "federation", t->federation);
    put_text(o, "plan_sha256", t->plan_sha256);
    put_text(o, "algorithm", t->algorithm);
    put_text(o, "aggregation", t->aggregation);
    put_count(o, "rounds", t->rounds);
    put_text(o, "started", t->started);
    put_text(o, "ended", t->ended);
    put_text(o, "seed_commitment", t->seed_commitment);
    json_t *software = json_object();
    put_text(software, "coordinator", t->coordinator_version);
    put_text(software, "build_sha256", t->build_sha256);
    json_object_set_new(o, "software", software);
    json_t *sites = json_array();
    for (size_t i = 0; i < t->n_sites; i++) {
        const struct passport_training_site *s = &t->sites[i];
        json_t *site = json_object();
        put_text(site, "site", s->site);
        put_text(site, "n_band", passport_band(s->patients));
        put_text(site, "dataset_fingerprint", s->dataset_fingerprint);
        put_text(site, "preprocessing_sha256", s->preprocessing_sha256);
        put_text(site, "label_definition_sha256", s->label_definition_sha256);
        put_count(site, "rounds_in", s->rounds_in);
        put_count(site, "updates_refused", s->updates_refused);
        json_array_append_new(sites, site);
    }
    json_object_set_new(o, "sites", sites);
    put_decimal(o, "cpu_seconds", t->cpu_seconds, 1);
    put_decimal(o, "energy_kwh", t->energy_kwh, 4);
    put_text(o, "energy_method", t->energy_method);
    return o;
}

/* The privacy statement's lines, numbers as decimal strings like all others here. */
static json_t *statement_part(const json_t *statement)
{
    json_t *o = json_object(), *value;
    const char *key;
    json_object_foreach((json_t *)(uintptr_t)statement, key, value)
    {
        char text[32];
        if (json_is_string(value))
            json_object_set(o, key, value);
        if (!json_is_number(value))
            continue;
        snprintf(text, sizeof text, "%.10g", json_number_value(value));
        put_text(o, key, text);
    }
    return o;
}

static json_t *privacy_part(const struct passport_privacy *p)
{
    json_t *o = json_object();
    put_text(o, "unit", p->unit);
    put_text(o, "mechanism", p->mechanism);
    put_text(o, "accountant", p->accountant);
    if (isfinite(p->delta)) {
        char text[32];
        snprintf(text, sizeof text, "%.3g", p->delta);
        put_text(o, "delta", text);
    }
    put_decimal(o, "epsilon_spent_max", p->epsilon_spent_max, 4);
    put_text(o, "ledger_head", p->ledger_head);
    json_t *metrics = json_object();
    put_text(metrics, "mode", p->metrics_mode);
    put_count(metrics, "min_cell", p->metrics_min_cell);
    put_text(metrics, "round_to", p->metrics_round_to);
    put_count(metrics, "queries_used", p->metrics_queries_used);
    put_count(metrics, "queries_max", p->metrics_queries_max);
    json_object_set_new(o, "metrics_budget", metrics);
    json_object_set_new(o, "secure_aggregation", json_boolean(p->secure_aggregation));
    if (p->statement)
        json_object_set_new(o, "statement", statement_part(p->statement));
    return o;
}

static json_t *site_part(const struct passport_validation *v, size_t i)
{
    const struct gate_site *s = &v->sites[i];
    json_t *o = json_object();
    put_text(o, "site", s->id);
    put_text(o, "status", v->verdicts[i].used ? "ok" : v->verdicts[i].reason);
    if (!v->verdicts[i].used)
        return o; /* no figure of a site that did not count leaves with the passport */
    put_text(o, "n_pos_band", passport_band((int64_t)s->n_pos));
    put_decimal(o, "auc", s->auc, 3);
    put_decimal(o, "se", sqrt(s->var_auc), 3);
    put_decimal(o, "delta", s->d, 3);
    put_decimal(o, "weight", v->verdicts[i].weight, 3);
    if (!v->figures)
        return o;
    const struct passport_site_figures *f = &v->figures[i];
    put_decimal(o, "ece", f->ece, 3);
    put_decimal(o, "cal_slope", f->slope, 2);
    if (f->worst_group) {
        json_t *worst = json_object();
        put_text(worst, "attr", f->worst_attribute);
        put_text(worst, "value", f->worst_group);
        put_decimal(worst, "auc", f->worst_auc, 3);
        json_object_set_new(o, "worst_group", worst);
    }
    return o;
}

static void put_pool(json_t *o, const struct pool *p)
{
    put_decimal(o, "auc", expit(p->mu), 3);
    put_decimal(o, "tau2", p->tau2, 4);
    put_decimal(o, "i2_percent", p->i2_percent, 1);
    if (isfinite(p->ci_mhksj[0]))
        json_object_set_new(o, "ci95",
                            json_pack("[o, o]", decimal(expit(p->ci_mhksj[0]), 3),
                                      decimal(expit(p->ci_mhksj[1]), 3)));
    if (isfinite(p->pi_mhksj[0]))
        json_object_set_new(o, "pi95",
                            json_pack("[o, o]", decimal(expit(p->pi_mhksj[0]), 3),
                                      decimal(expit(p->pi_mhksj[1]), 3)));
}

static json_t *transport_part(const struct transport *t)
{
    json_t *o = json_object(), *reml = json_object();
    put_text(o, "model",
             "random effects on the logit of AUROC (DerSimonian-Laird), modified Hartung-Knapp");
    put_count(o, "sites", (int64_t)t->k);
    put_pool(o, &t->dl);
    put_pool(reml, &t->reml);
    json_object_set_new(o, "reml", reml);
    return o;
}

static json_t *rules_part(const struct gate_record *r)
{
    static const char *const OUTCOMES[] = {"pass", "hold", "reject", "off", "pending"};
    json_t *array = json_array();
    for (int k = 0; k < GATE_RULES; k++)
        json_array_append_new(array,
                              json_pack("{s:i, s:s, s:s, s:s}", "rule", r->rule[k].number, "name",
                                        r->rule[k].name, "outcome", OUTCOMES[r->rule[k].outcome],
                                        "words", r->rule[k].words));
    return array;
}

static json_t *validation_part(const struct passport_validation *v)
{
    const struct gate_record *r = v->record;
    json_t *o = json_object();
    char estimand[96];
    snprintf(estimand, sizeof estimand, "capped patient-weighted mean over %zu member sites",
             r->n_used);
    put_text(o, "gate_id", v->gate_id);
    put_text(o, "policy_sha256", v->policy_sha256);
    put_text(o, "incumbent", v->incumbent);
    put_text(o, "decision", gate_decision_name(r->decision));
    put_text(o, "estimand", estimand);
    json_t *auc = json_object();
    put_decimal(auc, "pooled", r->auc_pooled, 4);
    put_decimal(auc, "lower_1s", r->auc_lower, 4);
    json_object_set_new(o, "auc", auc);
    json_t *delta = json_object();
    put_decimal(delta, "pooled", r->d_pooled, 4);
    put_decimal(delta, "lower_1s", r->d_lower, 4);
    put_decimal(delta, "margin", v->policy->ni_margin, 4);
    put_decimal(delta, "alpha", v->policy->alpha, 4);
    put_decimal(delta, "power_if_equal", r->power, 2);
    json_object_set_new(o, "delta", delta);
    if (v->transport)
        json_object_set_new(o, "transport", transport_part(v->transport));
    json_t *sites = json_array();
    for (size_t i = 0; i < r->n_sites; i++)
        json_array_append_new(sites, site_part(v, i));
    json_object_set_new(o, "sites", sites);
    json_object_set_new(o, "rules", rules_part(r));
    if (v->alpha_spent >= 0)
        put_decimal(o, "alpha_spent", (double)v->alpha_spent / 1e6, 6);
    put_texts(o, "signed_reports", v->n_reports, v->signed_reports);
    return o;
}

static json_t *deployment_part(const struct passport_deployment *d)
{
    json_t *o = json_object();
    put_text(o, "stage", d->stage);
    put_text(o, "stage_since", d->stage_since);
    put_text(o, "pccp_sha256", d->pccp_sha256);
    put_text(o, "rollback_to", d->rollback_to);
    put_text(o, "monitoring_plan_sha256", d->monitoring_plan_sha256);
    return o;
}

static json_t *hash_json(const struct merkle_hash *hash)
{
    char text[2 * MERKLE_HASH_BYTES + 1];
    sodium_bin2hex(text, sizeof text, hash->bytes, MERKLE_HASH_BYTES);
    return json_string(text);
}

static json_t *log_part(const struct passport_log *l)
{
    json_t *o = json_object();
    put_text(o, "origin", l->origin);
    put_count(o, "tree_size", (int64_t)l->tree_size);
    json_object_set_new(o, "root", hash_json(&l->root));
    put_count(o, "leaf_index", (int64_t)l->leaf_index);
    json_object_set_new(o, "leaf", hash_json(&l->leaf));
    json_t *proof = json_array();
    for (size_t i = 0; i < l->inclusion->count; i++)
        json_array_append_new(proof, hash_json(&l->inclusion->hash[i]));
    json_object_set_new(o, "inclusion", proof);
    json_t *witnesses = json_array();
    for (size_t i = 0; i < l->n_witnesses; i++)
        json_array_append_new(witnesses, passport_witness_json(&l->witnesses[i]));
    json_object_set_new(o, "witnesses", witnesses);
    return o;
}

/* The signed texts stand in the passport as they were signed; their hash refers to the log's entry.
 */
static void put_human(json_t *o, const struct passport_human *h)
{
    json_t *human = h->text ? json_loads(h->text, 0, NULL) : NULL;
    json_t *use = json_object_get(human, "intended_use");
    if (!json_is_object(use)) {
        json_decref(human);
        return;
    }
    put_text(use, "text_sha256", h->sha256);
    put_text(use, "filled_by", "human");
    put_text(use, "signed_by", h->signed_by);
    json_object_set(use, "role", json_object_get(human, "role"));
    json_object_set(use, "clinical_risk_level", json_object_get(human, "clinical_risk_level"));
    put_text(o, "human_sha256", h->sha256);
    json_object_set(o, "intended_use", use);
    json_object_set(o, "limits", json_object_get(human, "warnings"));
    json_decref(human);
}

static struct result check_parts(const struct passport *p, struct why *why)
{
    const struct passport_model *m = &p->model;
    if (!m->id || !m->version || !m->weights_sha256 || !m->schema_sha256)
        return failed(why, RESULT_INPUT,
                      "a passport needs the model's id, version, weights hash and schema hash");
    const struct passport_validation *v = &p->validation;
    if (!v->record || !v->policy || !v->sites || !v->verdicts)
        return failed(why, RESULT_INPUT, "a passport needs the gate's record, policy and sites");
    const struct passport_log *l = &p->log;
    if (!l->inclusion ||
        !merkle_verify_inclusion(&l->leaf, l->leaf_index, l->tree_size, l->inclusion, &l->root))
        return failed(why, RESULT_INPUT, "the log proof of the gate decision does not verify");
    return DONE;
}

static void drop_json(json_t **value)
{
    json_decref(*value);
}

struct result passport_text(const struct passport *p, char **text, size_t *n, struct why *why)
{
    TRY(check_parts(p, why));
    CLEANUP(drop_json) json_t *o = json_object();
    put_text(o, "passport", PASSPORT_FORMAT);
    json_object_set_new(o, "model", model_part(&p->model));
    put_human(o, &p->human);
    json_object_set_new(o, "training", training_part(&p->training));
    json_object_set_new(o, "privacy", privacy_part(&p->privacy));
    json_object_set_new(o, "validation", json_pack("[o]", validation_part(&p->validation)));
    json_object_set_new(o, "deployment", deployment_part(&p->deployment));
    json_object_set_new(o, "log", log_part(&p->log));
    json_t *status = json_object();
    put_text(status, "state", "valid");
    put_text(status, "issued", p->issued);
    put_text(status, "supersedes", p->supersedes);
    json_object_set_new(status, "revoked", json_false());
    json_object_set_new(o, "status", status);
    *text = json_dumps(o, JSON_COMPACT);
    if (!*text)
        return failed(why, RESULT_SYSTEM, "no memory for the passport");
    *n = strlen(*text);
    return DONE;
}

static bool read_hash(const json_t *value, struct merkle_hash *out)
{
    const char *text = json_string_value(value);
    size_t n = 0;
    return text && strlen(text) == 2 * MERKLE_HASH_BYTES &&
           sodium_hex2bin(out->bytes, sizeof out->bytes, text, strlen(text), NULL, &n, NULL) == 0 &&
           n == MERKLE_HASH_BYTES;
}

struct result passport_check(const char *text, size_t n, uint64_t *tree_size,
                             struct merkle_hash *root, struct why *why)
{
    if (n == 0 || n > CHECK_MAX)
        return failed(why, RESULT_INPUT, "a passport has 1 to %d bytes", CHECK_MAX);
    json_error_t error;
    CLEANUP(drop_json) json_t *o = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    const char *format = json_string_value(json_object_get(o, "passport"));
    if (!format || strcmp(format, PASSPORT_FORMAT) != 0)
        return failed(why, RESULT_INPUT, "not a passport of the form " PASSPORT_FORMAT);
    const json_t *log = json_object_get(o, "log");
    const json_t *proof_json = json_object_get(log, "inclusion");
    json_int_t size = json_integer_value(json_object_get(log, "tree_size"));
    json_int_t index = json_integer_value(json_object_get(log, "leaf_index"));
    struct merkle_hash leaf;
    struct merkle_proof proof = {.count = json_array_size(proof_json)};
    bool whole = size > 0 && index >= 0 && proof.count <= MERKLE_PROOF_MAX &&
                 read_hash(json_object_get(log, "leaf"), &leaf) &&
                 read_hash(json_object_get(log, "root"), root);
    for (size_t i = 0; whole && i < proof.count; i++)
        whole = read_hash(json_array_get(proof_json, i), &proof.hash[i]);
    if (!whole)
        return failed(why, RESULT_INPUT, "the passport's log proof is incomplete");
    if (!merkle_verify_inclusion(&leaf, (uint64_t)index, (uint64_t)size, &proof, root))
        return failed(why, RESULT_REFUSED,
                      "the gate decision is not in the log the passport names");
    *tree_size = (uint64_t)size;
    return passport_witnesses_check(json_object_get(log, "witnesses"),
                                    json_string_value(json_object_get(log, "origin")),
                                    (uint64_t)size, root, why);
}
