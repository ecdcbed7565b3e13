/* SPDX-License-Identifier: Apache-2.0 */
/* Rule 9 of a judgement: the sites' reports as the alpha ledger sees them, and pooled paired
 * differences to any model of the set: d = sum w_k d_k, var = sum w_k^2 v_k, capped weights. */
#include "coordinator/entry.h"
#include "coordinator/judge_inner.h"
#include "linalg/stats/pool.h"

#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static const struct evaluation_model *model_named(const struct payload_evaluation *e,
                                                  const char *name)
{
    for (uint32_t m = 1; m < e->models_count; m++)
        if (strcmp(e->models[m].name, name) == 0)
            return &e->models[m];
    return NULL;
}

bool judge_pool(const struct judge_case *in, const char *name, const bool *use, double *d,
                double *se)
{
    double size[PLAN_SITES_MAX], y[PLAN_SITES_MAX], v[PLAN_SITES_MAX], w[PLAN_SITES_MAX];
    size_t k = 0;
    for (size_t i = 0; i < in->n && k < PLAN_SITES_MAX; i++) {
        const struct payload_evaluation *e = &in->inputs[i].evaluation;
        const struct evaluation_model *other = model_named(e, name);
        const struct evaluation_figures *f = &e->models[0].groups[0];
        if (!use[i] || !other || !isfinite(other->difference) ||
            !(other->difference_variance >= 0.0))
            continue;
        size[k] = (double)f->positives + (double)f->negatives;
        y[k] = 0.0 - other->difference; /* the vault reports the later model less the first */
        v[k] = other->difference_variance;
        k++;
    }
    if (k == 0 || !pool_capped_weights(k, size, in->policy->weight_cap, w))
        return false;
    pool_weighted(k, w, y, v, d, se);
    return true;
}

/* What the ledger asks back. */
struct comparing {
    const struct judge_case *in;
    const bool *usable; /* [in->n]: by rule 2 */
};

static bool compare(void *context, const unsigned char *model, const bool *use, double *d,
                    double *se)
{
    const struct comparing *c = context;
    const struct judge_case *in = c->in;
    const char *name = NULL;
    bool both[PLAN_SITES_MAX];
    if (in->incumbent && memcmp(model, in->incumbent, PLAN_HASH_BYTES) == 0)
        name = JUDGE_INCUMBENT;
    for (size_t i = 0; !name && i < in->ledger->n_compared; i++)
        if (memcmp(model, in->ledger->compared[i].model, PLAN_HASH_BYTES) == 0)
            name = in->ledger->compared[i].name;
    for (size_t i = 0; i < in->n; i++)
        both[i] = use[i] && c->usable[i];
    return name && judge_pool(in, name, both, d, se);
}

static bool usable(const struct gate_policy *policy, const struct gate_site *sites, size_t n_sites,
                   const char *name)
{
    for (size_t i = 0; i < n_sites; i++)
        if (strcmp(sites[i].id, name) == 0)
            return gate_unusable(policy, &sites[i], false) == NULL;
    return false;
}

/* A holdout grows: its figures are of all epochs so far unless newer ones alone were asked for. */
static struct ledger_report report_of(const struct judge_case *in,
                                      const struct pooling_input *input)
{
    const struct evaluation_epoch *epoch = &input->evaluation.epoch;
    return (struct ledger_report){
        .site = in->study->members[input->site].name,
        .epoch_first = epoch->first > 0 ? epoch->first : 1,
        .epoch = epoch->number,
    };
}

static json_t *reports_json(const struct judge_case *in)
{
    json_t *list = json_array();
    for (size_t i = 0; i < in->n; i++) {
        struct ledger_report report = report_of(in, &in->inputs[i]);
        json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "site", report.site, "epoch_first",
                                              (json_int_t)report.epoch_first, "epoch",
                                              (json_int_t)report.epoch));
    }
    return list;
}

struct result judge_alpha(const struct judge_case *in, const struct gate_policy *policy,
                          const struct gate_site *sites, size_t n_sites,
                          struct family_ledger *ledger, struct ledger_answer *answer,
                          struct why *why)
{
    bool good[PLAN_SITES_MAX];
    struct ledger_report reports[PLAN_SITES_MAX];
    struct comparing comparing = {.in = in, .usable = good};
    if (in->n > PLAN_SITES_MAX)
        return failed(why, RESULT_INPUT, "more reports than sites");
    for (size_t i = 0; i < in->n; i++) {
        const struct pooling_input *input = &in->inputs[i];
        const char *name = in->study->members[input->site].name;
        good[i] = usable(policy, sites, n_sites, name);
        reports[i] = report_of(in, input);
    }
    struct ledger_event event = {
        .candidate = in->candidate,
        .incumbent = in->incumbent,
        .n_reports = in->n,
        .reports = reports,
        .quorum = gate_quorum(policy, n_sites),
        .margin = policy->ni_margin,
        .compare = compare,
        .context = &comparing,
    };
    return family_ledger_judge(ledger, in->ledger->policy, &event, answer, why);
}

static json_t *compared_json(const struct judge_ledger *l)
{
    json_t *list = json_array();
    for (size_t i = 0; i < l->n_compared; i++) {
        char hash[HEX_HASH_BYTES];
        hex_hash(hash, l->compared[i].model);
        json_array_append_new(list,
                              json_pack("{s:s, s:s}", "name", l->compared[i].name, "model", hash));
    }
    return list;
}

json_t *judge_ledger_json(const struct judge_case *in, const struct ledger_answer *answer,
                          const char *text)
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    char hex[HEX_HASH_BYTES];
    crypto_hash_sha256(hash, (const unsigned char *)text, strlen(text));
    hex_hash(hex, hash);
    return json_pack("{s:o, s:i, s:I, s:b, s:b, s:b, s:I, s:s, s:o, s:o}", "policy",
                     ledger_policy_json(in->ledger->policy), "index", (int)answer->index,
                     "alpha_micro", (json_int_t)answer->rule.alpha, "submitted", answer->submitted,
                     "looked", answer->looked, "static_holdout", answer->static_holdout,
                     "next_alpha_micro",
                     (json_int_t)family_ledger_next(in->ledger->ledger, in->ledger->policy),
                     "state_sha256", hex, "compared", compared_json(in->ledger), "reports",
                     reports_json(in));
}
