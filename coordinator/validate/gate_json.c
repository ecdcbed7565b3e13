/* SPDX-License-Identifier: Apache-2.0 */
/* Gate inputs from and to JSON, and replay. A table per struct keeps reading and writing the same.
 */
#include "coordinator/validate/gate_json.h"

#include "proto/base/cleanup.h"
#include "proto/base/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A number of a struct: its key and where it stands. */
struct real_field {
    const char *key;
    size_t offset;
};

#define REAL(type, member)                                                                         \
    {                                                                                              \
#member, offsetof(struct type, member)                                                     \
    }

static const struct real_field POLICY_REALS[] = {
    REAL(gate_policy, var_ratio_max),
    REAL(gate_policy, quorum_frac),
    REAL(gate_policy, weight_cap),
    REAL(gate_policy, alpha),
    REAL(gate_policy, ni_margin),
    REAL(gate_policy, site_margin),
    REAL(gate_policy, site_catastrophe),
    REAL(gate_policy, auc_floor),
    REAL(gate_policy, ece_excess_max),
    REAL(gate_policy, slope_min),
    REAL(gate_policy, slope_max),
    REAL(gate_policy, group_margin),
    REAL(gate_policy, drift_veto_max),
    REAL(gate_policy, drift_kl_max),
    {NULL, 0},
};
static const struct real_field SITE_REALS[] = {
    REAL(gate_site, auc),
    REAL(gate_site, var_auc),
    REAL(gate_site, d),
    REAL(gate_site, var_d),
    REAL(gate_site, ece),
    REAL(gate_site, ece_null),
    REAL(gate_site, slope),
    REAL(gate_site, slope_se),
    REAL(gate_site, spiegelhalter_z),
    {NULL, 0},
};
/* Only where there are any. */
static const struct real_field SITE_EXTRAS[] = {
    REAL(gate_site, rows_per_patient),
    REAL(gate_site, cindex),
    REAL(gate_site, cindex_var),
    {NULL, 0},
};
static const struct real_field GROUP_REALS[] = {REAL(gate_group, d),
                                                REAL(gate_group, var_d),
                                                {NULL, 0}};

static void put_reals(json_t *o, const struct real_field *fields, const void *from)
{
    for (; fields->key; fields++) {
        double value;
        memcpy(&value, (const char *)from + fields->offset, sizeof value);
        json_object_set_new(o, fields->key, number_or_null(value));
    }
}

static void put_finite(json_t *o, const struct real_field *fields, const void *from)
{
    for (; fields->key; fields++) {
        double value;
        memcpy(&value, (const char *)from + fields->offset, sizeof value);
        if (isfinite(value))
            json_object_set_new(o, fields->key, json_real(value));
    }
}

/* Reads the numbers that are there; a null becomes NaN. "nan", "inf" and "-inf" stand for
 * themselves. */
static struct result get_reals(const json_t *o, const struct real_field *fields, void *to,
                               struct why *why)
{
    for (; fields->key; fields++) {
        const json_t *value = json_object_get(o, fields->key);
        if (!value)
            continue;
        const char *text = json_string_value(value);
        double real = json_number_value(value);
        if (text &&
            (strcmp(text, "nan") == 0 || strcmp(text, "inf") == 0 || strcmp(text, "-inf") == 0))
            real = strtod(text, NULL);
        else if (json_is_null(value))
            real = NAN;
        else if (!json_is_number(value))
            return failed(why, RESULT_INPUT, "'%s' must be a number", fields->key);
        memcpy((char *)to + fields->offset, &real, sizeof real);
    }
    return DONE;
}

static struct result get_count(const json_t *o, const char *key, size_t *out, struct why *why)
{
    const json_t *value = json_object_get(o, key);
    if (!value)
        return DONE;
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return failed(why, RESULT_INPUT, "'%s' must be a whole number, not negative", key);
    *out = (size_t)json_integer_value(value);
    return DONE;
}

static bool get_flag(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

static struct result parse_policy(const json_t *o, struct gate_policy *p, struct why *why)
{
    size_t signatures = 0;
    *p = gate_policy_default();
    TRY(get_reals(o, POLICY_REALS, p, why));
    TRY(get_count(o, "min_cell", &p->min_cell, why));
    TRY(get_count(o, "quorum_min", &p->quorum_min, why));
    TRY(get_count(o, "signatures_needed", &signatures, why));
    if (signatures > 100)
        return failed(why, RESULT_INPUT, "'signatures_needed' is at most 100");
    p->signatures_needed = (unsigned)signatures;
    p->calibration_used = get_flag(o, "calibration_used");
    p->fairness_used = get_flag(o, "fairness_used");
    p->group_shown = get_flag(o, "group_shown");
    p->superiority = get_flag(o, "superiority");
    p->drift_used = get_flag(o, "drift_used");
    return DONE;
}

static struct result parse_site(const json_t *o, struct gate_site *s, struct why *why)
{
    *s = (struct gate_site){
        .id = json_string_value(json_object_get(o, "id")),
        .status = json_string_value(json_object_get(o, "status")),
        .auc = NAN,
        .var_auc = NAN,
        .d = NAN,
        .var_d = NAN,
        .ece = NAN,
        .ece_null = NAN,
        .slope = NAN,
        .slope_se = NAN,
        .spiegelhalter_z = NAN,
        .rows_per_patient = NAN,
        .cindex = NAN,
        .cindex_var = NAN,
        .drift_reported = get_flag(o, "drift_reported"),
        .drift_veto = get_flag(o, "drift_veto"),
    };
    if (!s->id || !s->status)
        return failed(why, RESULT_INPUT, "every site needs an id and a status");
    TRY(get_count(o, "n_pos", &s->n_pos, why));
    TRY(get_count(o, "n_neg", &s->n_neg, why));
    TRY(get_reals(o, SITE_EXTRAS, s, why));
    return get_reals(o, SITE_REALS, s, why);
}

static struct result parse_lists(struct gate_parsed *out, struct why *why)
{
    const json_t *sites = json_object_get(out->root, "sites");
    const json_t *groups = json_object_get(out->root, "groups");
    size_t n = json_array_size(sites);
    size_t g = json_array_size(groups);
    if (!json_is_array(sites) || n > GATE_SITES_MAX || g > GATE_GROUPS_MAX)
        return failed(why, RESULT_INPUT, "\"sites\" must list at most %d sites, \"groups\" %d",
                      GATE_SITES_MAX, GATE_GROUPS_MAX);
    out->sites = calloc(n + 1, sizeof *out->sites);
    out->groups = calloc(g + 1, sizeof *out->groups);
    if (!out->sites || !out->groups)
        return failed(why, RESULT_SYSTEM, "no memory for %zu sites", n);
    for (size_t i = 0; i < n; i++)
        TRY(parse_site(json_array_get(sites, i), &out->sites[i], why));
    for (size_t i = 0; i < g; i++) {
        const json_t *o = json_array_get(groups, i);
        out->groups[i] = (struct gate_group){.key = json_string_value(json_object_get(o, "key")),
                                             .d = NAN,
                                             .var_d = NAN};
        if (!out->groups[i].key)
            return failed(why, RESULT_INPUT, "every group needs a key");
        TRY(get_reals(o, GROUP_REALS, &out->groups[i], why));
    }
    out->input.n_sites = n;
    out->input.sites = out->sites;
    out->input.n_groups = g;
    out->input.groups = out->groups;
    return DONE;
}

static void parse_findings(struct gate_parsed *out)
{
    const json_t *integrity = json_object_get(out->root, "integrity");
    const json_t *ledger = json_object_get(out->root, "ledger");
    if (json_is_object(integrity)) {
        out->integrity = (struct gate_integrity){
            .signatures_ok = get_flag(integrity, "signatures_ok"),
            .hashes_ok = get_flag(integrity, "hashes_ok"),
            .in_scope = get_flag(integrity, "in_scope"),
            .detail = json_string_value(json_object_get(integrity, "detail")),
        };
        out->input.integrity = &out->integrity;
    }
    if (json_is_object(ledger)) {
        const char *policy = json_string_value(json_object_get(ledger, "policy"));
        out->ledger = (struct gate_ledger){
            .used = get_flag(ledger, "used"),
            .by_bound = get_flag(ledger, "by_bound"),
            .approved = get_flag(ledger, "approved"),
            .alpha = json_integer_value(json_object_get(ledger, "alpha")),
            .policy = policy ? policy : "?",
            .detail = json_string_value(json_object_get(ledger, "detail")),
        };
        out->input.ledger = &out->ledger;
    }
}

struct result gate_parse(const json_t *root, struct gate_parsed *out, struct why *why)
{
    *out = (struct gate_parsed){.root = json_deep_copy(root)};
    size_t signatures = 0;
    struct result r = DONE;
    if (!json_is_object(out->root))
        r = failed(why, RESULT_INPUT, "a gate's input is an object of \"policy\" and \"sites\"");
    if (ok(r))
        r = parse_policy(json_object_get(out->root, "policy"), &out->input.policy, why);
    if (ok(r))
        r = parse_lists(out, why);
    if (ok(r))
        r = get_count(out->root, "signatures", &signatures, why);
    if (!ok(r)) {
        gate_parsed_free(out);
        return r;
    }
    out->input.signatures = signatures > 1000 ? 1000 : (unsigned)signatures;
    out->input.first = get_flag(out->root, "first");
    parse_findings(out);
    return DONE;
}

void gate_parsed_free(struct gate_parsed *parsed)
{
    free(parsed->sites);
    free(parsed->groups);
    json_decref(parsed->root);
    *parsed = (struct gate_parsed){0};
}

static json_t *policy_json(const struct gate_policy *p)
{
    json_t *o = json_pack("{s:I, s:I, s:I, s:b, s:b, s:b, s:b}", "min_cell",
                          (json_int_t)p->min_cell, "quorum_min", (json_int_t)p->quorum_min,
                          "signatures_needed", (json_int_t)p->signatures_needed, "calibration_used",
                          p->calibration_used, "fairness_used", p->fairness_used, "group_shown",
                          p->group_shown, "drift_used", p->drift_used);
    if (p->superiority)
        json_object_set_new(o, "superiority", json_true());
    put_reals(o, POLICY_REALS, p);
    return o;
}

static json_t *site_json(const struct gate_site *s)
{
    json_t *o =
        json_pack("{s:s, s:s, s:I, s:I, s:b}", "id", s->id, "status", s->status, "n_pos",
                  (json_int_t)s->n_pos, "n_neg", (json_int_t)s->n_neg, "drift_veto", s->drift_veto);
    if (s->drift_reported)
        json_object_set_new(o, "drift_reported", json_true());
    put_reals(o, SITE_REALS, s);
    put_finite(o, SITE_EXTRAS, s);
    return o;
}

json_t *gate_input_json(const struct gate_input *in)
{
    json_t *sites = json_array();
    json_t *groups = json_array();
    for (size_t i = 0; i < in->n_sites; i++)
        json_array_append_new(sites, site_json(&in->sites[i]));
    for (size_t i = 0; i < in->n_groups; i++) {
        json_t *o = json_pack("{s:s}", "key", in->groups[i].key);
        put_reals(o, GROUP_REALS, &in->groups[i]);
        json_array_append_new(groups, o);
    }
    json_t *root = json_pack("{s:o, s:o, s:o, s:I}", "policy", policy_json(&in->policy), "sites",
                             sites, "groups", groups, "signatures", (json_int_t)in->signatures);
    if (in->first)
        json_object_set_new(root, "first", json_true());
    if (in->integrity)
        json_object_set_new(root, "integrity",
                            json_pack("{s:b, s:b, s:b, s:s?}", "signatures_ok",
                                      in->integrity->signatures_ok, "hashes_ok",
                                      in->integrity->hashes_ok, "in_scope", in->integrity->in_scope,
                                      "detail", in->integrity->detail));
    if (in->ledger)
        json_object_set_new(root, "ledger",
                            json_pack("{s:b, s:b, s:b, s:I, s:s, s:s?}", "used", in->ledger->used,
                                      "by_bound", in->ledger->by_bound, "approved",
                                      in->ledger->approved, "alpha", (json_int_t)in->ledger->alpha,
                                      "policy", in->ledger->policy, "detail", in->ledger->detail));
    return root;
}

static json_t *pair_or_null(const double pair[2])
{
    return isfinite(pair[0]) && isfinite(pair[1]) ? json_pack("[f, f]", pair[0], pair[1])
                                                  : json_null();
}

static json_t *rules_json(const struct gate_record *r)
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

/* What exists only past the quorum. */
static void put_pooled(json_t *o, const struct gate_record *r, const struct gate_site *sites,
                       const struct gate_site_verdict *verdicts)
{
    const struct pool *re = &r->random;
    json_t *weights = json_array();
    json_t *harm = json_array();
    json_t *drop = json_array();
    for (size_t i = 0; i < r->n_sites; i++) {
        if (verdicts[i].used)
            json_array_append_new(weights, json_real(verdicts[i].weight));
        if (verdicts[i].harm)
            json_array_append_new(harm, json_string(sites[i].id));
        if (verdicts[i].large_drop)
            json_array_append_new(drop, json_string(sites[i].id));
    }
    json_object_set_new(o, "weights", weights);
    json_object_set_new(o, "site_harm", harm);
    json_object_set_new(o, "site_large_drop", drop);
    json_object_set_new(o, "d_pooled", number_or_null(r->d_pooled));
    json_object_set_new(o, "se_pooled", number_or_null(r->se_pooled));
    json_object_set_new(o, "d_lower", number_or_null(r->d_lower));
    json_object_set_new(o, "d_upper", number_or_null(r->d_upper));
    json_object_set_new(o, "auc_pooled", number_or_null(r->auc_pooled));
    json_object_set_new(o, "auc_lower", number_or_null(r->auc_lower));
    if (isfinite(r->cindex_pooled)) {
        json_object_set_new(o, "cindex_pooled", json_real(r->cindex_pooled));
        json_object_set_new(o, "cindex_se", number_or_null(r->cindex_se));
    }
    json_object_set_new(o, "power_if_equal", number_or_null(r->power));
    json_object_set_new(o, "patients_factor", number_or_null(r->patients_more));
    json_object_set_new(o, "detectable", number_or_null(r->detectable));
    json_t *transport = transport_json(&r->transport);
    if (transport)
        json_object_set_new(o, "transport", transport);
    json_object_set_new(o, "re_report",
                        json_pack("{s:o, s:o, s:o, s:o, s:o}", "mu", number_or_null(re->mu), "tau2",
                                  number_or_null(re->tau2), "se_mhksj",
                                  number_or_null(re->se_mhksj), "ci_mhksj",
                                  pair_or_null(re->ci_mhksj), "pi_mhksj",
                                  pair_or_null(re->pi_mhksj)));
}

json_t *gate_record_json(const struct gate_record *r, const struct gate_site *sites,
                         const struct gate_site_verdict *verdicts)
{
    const char *reasons[2 * GATE_RULES];
    size_t count = gate_reasons(r, reasons);
    json_t *used = json_array();
    json_t *not_used = json_array();
    json_t *why_not = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(why_not, json_string(reasons[i]));
    for (size_t i = 0; i < r->n_sites; i++) {
        if (verdicts[i].used)
            json_array_append_new(used, json_string(sites[i].id));
        else
            json_array_append_new(not_used, json_pack("[s, s]", sites[i].id, verdicts[i].reason));
    }
    json_t *o =
        json_pack("{s:s, s:o, s:o, s:o, s:o}", "decision", gate_decision_name(r->decision),
                  "reasons", why_not, "used", used, "not_used", not_used, "rules", rules_json(r));
    if (r->quorum)
        put_pooled(o, r, sites, verdicts);
    else
        json_object_set_new(o, "quorum_needed", json_integer((json_int_t)r->quorum_needed));
    return o;
}

/* Dumps and releases. */
static struct result dump(json_t *root, char **text, struct why *why)
{
    *text = root ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(root);
    return *text ? DONE : failed(why, RESULT_SYSTEM, "no memory for the gate's text");
}

struct result gate_input_text(const struct gate_input *input, char **text, struct why *why)
{
    return dump(gate_input_json(input), text, why);
}

struct result gate_record_text(const struct gate_record *record, const struct gate_site *sites,
                               const struct gate_site_verdict *verdicts, char **text,
                               struct why *why)
{
    return dump(gate_record_json(record, sites, verdicts), text, why);
}

struct result gate_replay(const char *input, const char *record, struct why *why)
{
    size_t n = strlen(input);
    json_error_t error;
    if (n > GATE_TEXT_MAX)
        return failed(why, RESULT_INPUT, "a gate's input has at most %d bytes", GATE_TEXT_MAX);
    json_t *root = json_loadb(input, n, JSON_REJECT_DUPLICATES, &error);
    CLEANUP(gate_parsed_free) struct gate_parsed parsed = {0};
    struct result r = gate_parse(root, &parsed, why);
    json_decref(root);
    TRY(r);
    CLEANUP(free_pointer)
    struct gate_site_verdict *verdicts = calloc(parsed.input.n_sites + 1, sizeof *verdicts);
    CLEANUP(free_pointer) char *again = NULL;
    struct gate_record decided;
    if (!verdicts)
        return failed(why, RESULT_SYSTEM, "no memory to replay the gate");
    TRY(gate_decide(&parsed.input, &decided, verdicts, why));
    TRY(gate_record_text(&decided, parsed.sites, verdicts, &again, why));
    if (strcmp(again, record) != 0)
        return failed(why, RESULT_REFUSED, "the gate's inputs give %s, the log has another record",
                      gate_decision_name(decided.decision));
    return DONE;
}
