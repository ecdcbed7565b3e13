/* SPDX-License-Identifier: Apache-2.0 */
/* Sites' figures as the gate's sites and groups; groups are pooled over sites by capped counts:
 * d = sum w_k d_k, var = sum w_k^2 v_k. */
#include "coordinator/judge.h"

#include "coordinator/entry.h"
#include "coordinator/judge_inner.h"
#include "coordinator/validate/gate_json.h"
#include "linalg/stats/pool.h"
#include "linalg/stats/subgroup.h"
#include "proto/base/cleanup.h"

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The margin of monitoring, where figures are of unpaired histograms. */
static const double UNPAIRED_MARGIN = 0.05;

/* Everything that the gate's input points to. */
struct bench {
    struct gate_site sites[PLAN_SITES_MAX];
    struct gate_group groups[GATE_GROUPS_MAX];
    struct gate_site_verdict verdicts[PLAN_SITES_MAX];
    struct gate_integrity integrity;
    struct gate_input input;
    struct ledger_answer answer;
    struct family_ledger ledger; /* moved; taken over once rule 9 was reached */
    char detail[JUDGE_DETAIL_BYTES];
};

/* The incumbent's figures in a site's evaluation, or NULL. */
static const struct evaluation_model *incumbent_of(const struct payload_evaluation *e)
{
    const struct evaluation_model *last = &e->models[e->models_count - 1];
    return e->models_count > 1 && strcmp(last->name, JUDGE_INCUMBENT) == 0 ? last : NULL;
}

static const struct pooling_input *report_of(const struct judge_case *in, uint32_t site)
{
    for (size_t i = 0; i < in->n; i++)
        if (in->inputs[i].site == site)
            return &in->inputs[i];
    return NULL;
}

/* A column or the score far from the reference, and not by chance (Holm over all of them). A site
 * that tells nothing vetoes nothing. */
static void fill_drift(const struct judge_case *in, const struct evaluation_drift *drift,
                       struct gate_site *site)
{
    if (drift->status != EVALUATION_STATISTIC_OK)
        return;
    CLEANUP(free_pointer) double *p = calloc(2 * ((size_t)drift->columns_count + 1), sizeof *p);
    size_t n = (size_t)drift->columns_count + 1;
    if (!p)
        return;
    for (size_t i = 0; i < n; i++) {
        const struct evaluation_drift_column *c = i > 0 ? &drift->columns[i - 1] : &drift->score;
        bool known = c->status == EVALUATION_STATISTIC_OK && c->kl_p >= 0.0 && c->kl_p <= 1.0;
        p[i] = known && c->kl > in->policy->drift_kl_max ? c->kl_p : 1.0;
    }
    adjust_holm(n, p, p + n);
    site->drift_reported = true;
    for (size_t i = 0; i < n; i++)
        site->drift_veto = site->drift_veto || p[n + i] < in->policy->alpha;
}

/* A site that tells noised histograms only has no paired difference: the two histograms stand for
 * two samples, which overstates the variance. */
static bool is_unpaired(const struct pooling_input *report)
{
    return report->evaluation.release == EVALUATION_RELEASE_NOISED_HISTOGRAM;
}

static bool any_unpaired(const struct judge_case *in)
{
    for (size_t i = 0; i < in->n; i++)
        if (is_unpaired(&in->inputs[i]))
            return true;
    return false;
}

/* The vault reports each later model less the first, which is the candidate: the gate wants the
 * opposite sign. */
static void fill_site(const struct judge_case *in, uint32_t member, struct gate_site *site)
{
    const double nan = (double)NAN;
    const struct pooling_input *report = report_of(in, member);
    *site = (struct gate_site){
        .id = in->study->members[member].name,
        .status = study_absence(in->study, member),
        .auc = nan,
        .var_auc = nan,
        .d = nan,
        .var_d = nan,
        .ece = nan,
        .ece_null = nan,
        .slope = nan,
        .slope_se = nan,
        .spiegelhalter_z = nan,
        .rows_per_patient = nan,
        .cindex = nan,
        .cindex_var = nan,
    };
    if (!report)
        return;
    const struct evaluation_figures *f = &report->evaluation.models[0].groups[0];
    site->status = pooling_status_word(f->status);
    site->n_pos = (size_t)f->positives;
    site->n_neg = (size_t)f->negatives;
    site->auc = f->auroc;
    site->var_auc = f->auroc_variance;
    site->ece = f->ece;
    site->ece_null = f->ece_null;
    site->slope = f->calibration_slope;
    site->slope_se = f->calibration_slope_se;
    site->spiegelhalter_z = f->spiegelhalter_z;
    double rows = pooling_rows_per_patient(f);
    site->rows_per_patient = rows > 1.0 ? rows : nan;
    site->cindex = f->cindex;
    site->cindex_var = f->cindex_variance;
    fill_drift(in, &report->evaluation.drift, site);
    const struct evaluation_model *other = in->incumbent ? incumbent_of(&report->evaluation) : NULL;
    if (!other)
        return;
    site->d = 0.0 - other->difference; /* never minus nought */
    site->var_d = other->difference_variance;
    if (is_unpaired(report)) {
        site->d = f->auroc - other->groups[0].auroc;
        site->var_d = f->auroc_variance + other->groups[0].auroc_variance;
    }
}

static const struct evaluation_figures *group_of(const struct evaluation_model *model,
                                                 const char *key)
{
    for (uint32_t g = 1; g < model->groups_count; g++)
        if (strcmp(model->groups[g].group, key) == 0)
            return &model->groups[g];
    return NULL;
}

static void pool_group(const struct judge_case *in, const char *key, struct gate_group *group)
{
    double size[PLAN_SITES_MAX], d[PLAN_SITES_MAX], v[PLAN_SITES_MAX], w[PLAN_SITES_MAX];
    size_t k = 0;
    for (size_t i = 0; i < in->n && k < PLAN_SITES_MAX; i++) {
        const struct payload_evaluation *e = &in->inputs[i].evaluation;
        const struct evaluation_model *other = incumbent_of(e);
        const struct evaluation_figures *mine = group_of(&e->models[0], key);
        const struct evaluation_figures *theirs = other ? group_of(other, key) : NULL;
        if (!mine || !theirs || mine->status != EVALUATION_OK || theirs->status != EVALUATION_OK ||
            !isfinite(theirs->difference) || !(theirs->difference_variance >= 0.0))
            continue;
        size[k] = (double)mine->positives + (double)mine->negatives;
        d[k] = 0.0 - theirs->difference;
        v[k] = theirs->difference_variance;
        k++;
    }
    *group = (struct gate_group){.key = key, .d = (double)NAN, .var_d = (double)NAN};
    double se;
    if (k == 0 || !pool_capped_weights(k, size, in->policy->weight_cap, w))
        return;
    pool_weighted(k, w, d, v, &group->d, &se);
    group->var_d = se * se;
}

/* Classes of the label stand among the groups too; they are no groups of patients. */
static bool is_label(const struct plan *plan, const char *key)
{
    size_t n = strlen(plan->label.column);
    return strncmp(key, plan->label.column, n) == 0 && key[n] == '=';
}

static size_t fill_groups(const struct judge_case *in, struct gate_group *groups)
{
    size_t count = 0;
    if (!in->incumbent || in->n == 0)
        return 0;
    const struct evaluation_model *first = &in->inputs[0].evaluation.models[0];
    for (uint32_t g = 1; g < first->groups_count && count < GATE_GROUPS_MAX; g++) {
        const char *key = first->groups[g].group;
        if (is_label(in->plan, key))
            continue;
        pool_group(in, key, &groups[count]);
        count += isfinite(groups[count].d);
    }
    return count;
}

static void set_policy(const struct judge_case *in, struct gate_policy *policy)
{
    *policy = *in->policy;
    policy->min_cell = in->plan->validation.min_cell;
    if (in->plan->validation.margin > 0.0)
        policy->ni_margin = in->plan->validation.margin;
    if (in->incumbent && any_unpaired(in))
        policy->ni_margin = fmax(policy->ni_margin, UNPAIRED_MARGIN);
    policy->fairness_used = policy->fairness_used && in->plan->subgroups_count > 0;
}

static void put_hash(json_t *o, const char *key, const unsigned char *hash)
{
    char text[HEX_HASH_BYTES];
    if (!hash)
        return;
    hex_hash(text, hash);
    json_object_set_new(o, key, json_string(text));
}

static struct result write_entry(const struct judge_case *in, const struct bench *bench,
                                 struct judgement *out, struct why *why)
{
    json_t *o = json_object();
    unsigned char family[PLAN_HASH_BYTES];
    judge_family(in->plan, family);
    json_object_set_new(o, "kind", json_string("gate"));
    json_object_set_new(o, "ms", json_integer((json_int_t)in->now_ms));
    json_object_set_new(o, "study", json_string_nocheck(in->study->name));
    json_object_set_new(o, "task", json_integer(in->study->task.task));
    json_object_set_new(o, "round", json_integer(in->study->round));
    put_hash(o, "plan", in->study->plan_hash);
    put_hash(o, "candidate", in->candidate);
    put_hash(o, "incumbent", in->incumbent);
    put_hash(o, "family", family);
    json_t *change = judge_change_json(in);
    if (change)
        json_object_set_new(o, "change", change);
    if (out->ledger_moved)
        json_object_set_new(o, "ledger", judge_ledger_json(in, &bench->answer, out->ledger));
    json_object_set_new(o, "decision", json_string(gate_decision_name(out->decision)));
    json_object_set_new(o, "input", json_string_nocheck(out->input));
    json_object_set_new(o, "record", json_string_nocheck(out->record));
    out->entry = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    return out->entry ? DONE : failed(why, RESULT_SYSTEM, "out of memory for an audit entry");
}

static struct result fill_input(const struct judge_case *in, struct bench *bench, struct why *why)
{
    struct gate_input *input = &bench->input;
    for (uint32_t i = 0; i < in->study->members_count; i++)
        if (in->study->members[i].verdict == MEMBER_ALLOWED)
            fill_site(in, i, &bench->sites[input->n_sites++]);
    set_policy(in, &input->policy);
    judge_scope(in, &input->policy, bench->sites, input->n_sites, &bench->integrity, bench->detail);
    input->first = in->incumbent == NULL;
    input->integrity = &bench->integrity;
    input->sites = bench->sites;
    input->n_groups = fill_groups(in, bench->groups);
    input->groups = bench->groups;
    if (!in->ledger || !in->ledger->policy->used || input->first)
        return DONE;
    if (memcmp(in->candidate, in->incumbent, PLAN_HASH_BYTES) == 0)
        return DONE; /* the same model again: nothing is tried */
    bench->ledger = *in->ledger->ledger;
    TRY(judge_alpha(in, &input->policy, bench->sites, input->n_sites, &bench->ledger,
                    &bench->answer, why));
    input->ledger = &bench->answer.rule;
    return DONE;
}

/* Alpha is spent by a judgement that looks at the figures: rules 1 and 2 stop before that. */
static struct result move_ledger(const struct judge_case *in, const struct bench *bench,
                                 const struct gate_record *record, struct judgement *out,
                                 struct why *why)
{
    out->ledger_moved = bench->input.ledger && record->quorum;
    if (!out->ledger_moved)
        return DONE;
    *in->ledger->ledger = bench->ledger;
    return family_ledger_text(&bench->ledger, &out->ledger, why);
}

struct result judge(const struct judge_case *in, struct judgement *out, struct why *why)
{
    memset(out, 0, sizeof *out);
    CLEANUP(free_pointer) struct bench *bench = calloc(1, sizeof *bench);
    struct gate_record record;
    if (!bench)
        return failed(why, RESULT_SYSTEM, "out of memory for the gate");
    TRY(fill_input(in, bench, why));
    struct result r = gate_decide(&bench->input, &record, bench->verdicts, why);
    out->decision = record.decision;
    if (ok(r))
        r = move_ledger(in, bench, &record, out, why);
    if (ok(r))
        r = gate_input_text(&bench->input, &out->input, why);
    if (ok(r))
        r = gate_record_text(&record, bench->sites, bench->verdicts, &out->record, why);
    if (ok(r))
        r = write_entry(in, bench, out, why);
    if (!ok(r))
        judgement_free(out);
    return r;
}

void judgement_free(struct judgement *judgement)
{
    free(judgement->input);
    free(judgement->record);
    free(judgement->ledger);
    free(judgement->entry);
    memset(judgement, 0, sizeof *judgement);
}

static void add_bytes(crypto_hash_sha256_state *state, const void *bytes, size_t n)
{
    if (n > 0)
        crypto_hash_sha256_update(state, bytes, n);
}

static void add_name(crypto_hash_sha256_state *state, const char *name)
{
    add_bytes(state, name, strlen(name) + 1);
}

static void add_levels(crypto_hash_sha256_state *state, const struct plan_level *levels, unsigned n)
{
    add_bytes(state, &n, sizeof n);
    for (unsigned i = 0; i < n; i++)
        add_name(state, levels[i].name);
}

static void add_feature(crypto_hash_sha256_state *state, const struct plan_feature *f)
{
    const int type = f->type, missing = f->missing, indicator = f->indicator;
    add_name(state, f->name);
    add_bytes(state, &type, sizeof type);
    add_name(state, f->unit);
    add_bytes(state, &f->low, sizeof f->low);
    add_bytes(state, &f->high, sizeof f->high);
    add_bytes(state, &f->centre, sizeof f->centre);
    add_bytes(state, &f->spread, sizeof f->spread);
    add_levels(state, f->levels, f->levels_count);
    add_bytes(state, f->shares, f->shares_count * sizeof *f->shares);
    add_bytes(state, &missing, sizeof missing);
    add_name(state, f->missing_value);
    add_bytes(state, &indicator, sizeof indicator);
}

void judge_family(const struct plan *plan, unsigned char out[PLAN_HASH_BYTES])
{
    static const char DOMAIN[] = "consilium model family 1";
    crypto_hash_sha256_state state;
    const int label = plan->label.type, kind = plan->model.kind;
    const int activation = plan->model.activation, own = plan->model.site_intercept;
    crypto_hash_sha256_init(&state);
    add_name(&state, DOMAIN);
    add_name(&state, plan->label.column);
    add_bytes(&state, &label, sizeof label);
    add_levels(&state, plan->label.levels, plan->label.levels_count);
    add_bytes(&state, &plan->features_count, sizeof plan->features_count);
    for (unsigned i = 0; i < plan->features_count; i++)
        add_feature(&state, &plan->features[i]);
    add_bytes(&state, &kind, sizeof kind);
    add_bytes(&state, &activation, sizeof activation);
    add_bytes(&state, &own, sizeof own);
    add_bytes(&state, &plan->model.hidden_count, sizeof plan->model.hidden_count);
    add_bytes(&state, plan->model.hidden, plan->model.hidden_count * sizeof *plan->model.hidden);
    crypto_hash_sha256_final(&state, out);
}
