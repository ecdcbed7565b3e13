/* SPDX-License-Identifier: Apache-2.0 */
/* From the counted updates of a round to the new global model. Updates stay compressed: norms and
 * the rule decode them block by block; with momentum per site the rule's rows are its states. */
#include "coordinator/combine_inner.h"

#include "coordinator/aggregate/admit.h"
#include "coordinator/aggregate/momentum.h"
#include "privacy/rng.h"
#include "proto/base/cleanup.h"

#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static bool decode_row(void *context, size_t row, size_t first, size_t count, float *out)
{
    const struct combine_rows *rows = context;
    if (rows->values)
        memcpy(out, rows->values + row * rows->d + first, count * sizeof *out);
    else
        codec_decode_blocks(&rows->views[row], first / CODEC_BLOCK,
                            (count + CODEC_BLOCK - 1) / CODEC_BLOCK, out);
    return true;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Bucketing's permutation: nobody knows it before every update is committed to. */
static struct result set_permutation(struct agg_rule *rule, const struct combine_rows *rows,
                                     struct why *why)
{
    crypto_generichash_state state;
    unsigned char key[RNG_KEY_BYTES];
    crypto_generichash_init(&state, NULL, 0, sizeof key);
    for (size_t i = 0; i < rows->n; i++)
        crypto_generichash_update(&state, rows->updates[i]->digest, PLAN_HASH_BYTES);
    crypto_generichash_final(&state, key, sizeof key);
    CLEANUP(free_pointer) double *order = malloc((rows->n + 1) * sizeof *order);
    if (!order)
        return failed(why, RESULT_SYSTEM, "out of memory");
    struct rng rng;
    rng_init_seeded(&rng, key, 0);
    for (size_t i = 0; i < rows->n; i++) {
        size_t j = (size_t)rng_below(&rng, i + 1);
        order[i] = order[j];
        order[j] = (double)i;
    }
    return agg_rule_set_numbers(rule, "perm", rows->n, order, why);
}

/* Mass that the f heaviest sites hold after the truncation: what the weighted trim must remove. */
static struct result set_trim_mass(struct agg_rule *rule, const double *weights, size_t n, size_t f,
                                   double share, struct why *why)
{
    CLEANUP(free_pointer) double *w = malloc((n + 1) * sizeof *w);
    if (!w)
        return failed(why, RESULT_SYSTEM, "out of memory");
    memcpy(w, weights, n * sizeof *w);
    if (share > 0 && f > 0)
        agg_truncate_weights(n, w, f, share, w);
    qsort(w, n, sizeof *w, ascending);
    double mass = 0;
    for (size_t i = 0; i < f && i < n; i++)
        mass += w[n - 1 - i];
    return agg_rule_set_numbers(rule, "trim_mass", 1, &mass, why);
}

static struct result configure(const struct plan *plan, const struct combine_rows *rows, size_t f,
                               struct agg_rule *rule, struct why *why)
{
    CLEANUP(free_pointer) double *weights = malloc((rows->n + 1) * sizeof *weights);
    if (!weights)
        return failed(why, RESULT_SYSTEM, "out of memory");
    for (size_t i = 0; i < rows->n; i++)
        weights[i] = plan->aggregation.weights == WEIGHTS_EQUAL ? 1 : rows->patients[i];
    agg_rule_set_f(rule, f);
    /* Fewer sites than the plan thought of: less than equal weights is not to be had. */
    double share = fmax(plan->aggregation.max_share, (double)f / (double)rows->n);
    TRY(agg_rule_set_numbers(rule, "w", rows->n, weights, why));
    if (share > 0 && share < 1 && f > 0)
        TRY(agg_rule_set_numbers(rule, "alpha", 1, &share, why));
    if (rule->stage[rule->stages - 1] == AGG_WEIGHTED_TRIMMED_MEAN)
        TRY(set_trim_mass(rule, weights, rows->n, f, share, why));
    TRY(set_permutation(rule, rows, why));
    return agg_rule_check(rule, rows->n, rows->d, why);
}

static bool mixes_neighbours(const struct agg_rule *rule)
{
    for (int i = 0; i < rule->stages; i++)
        if (rule->stage[i] == AGG_NNM)
            return true;
    return false;
}

/* What each site's momentum makes of its update, into rows->values; the states after it wait in
 * rows->momentum until the round has succeeded. */
static struct result apply_momentum(const struct combine_case *round, const struct server *server,
                                    struct combine_rows *rows, struct why *why)
{
    size_t d = rows->d;
    if (!server->momentum)
        return DONE;
    rows->momentum = malloc((rows->n * d + 1) * sizeof *rows->momentum);
    rows->values = malloc((rows->n * d + 1) * sizeof *rows->values);
    if (!rows->momentum || !rows->values)
        return failed(why, RESULT_SYSTEM, "out of memory for the momentum of %zu sites", rows->n);
    for (size_t i = 0; i < rows->n; i++) {
        float *row = rows->values + i * d;
        struct momentum m = {.d = d,
                             .rounds = rows->sites[i].momentum_rounds,
                             .state = rows->momentum + i * d};
        memcpy(m.state, server->momentum + rows->updates[i]->site * d, d * sizeof *m.state);
        for (uint64_t b = 0; b < rows->views[i].blocks; b++)
            codec_decode_blocks(&rows->views[i], b, 1, row + b * CODEC_BLOCK);
        momentum_step(&m, round->plan->aggregation.site_momentum, row, row);
        rows->sites[i].momentum_rounds = m.rounds;
    }
    return DONE;
}

/* n and f for what is left; the rule's own condition is checked, never another rule taken. */
static struct result close_gate(const struct combine_case *round, const struct agg_rule *rule,
                                struct combine_outcome *outcome, struct why *why)
{
    size_t aside = 0, malformed = round->malformed + outcome->refusals_count;
    for (size_t i = 0; i < outcome->sites_count; i++)
        aside += outcome->sites[i].fate == COMBINE_ASIDE;
    return admit_close(rule, round->n + round->malformed, malformed, aside,
                       round->plan->aggregation.byzantine, &outcome->rows, &outcome->hostile, why);
}

static struct result run_rule(const struct combine_case *round, const struct combine_rows *rows,
                              struct agg_rule *rule, struct combine_outcome *outcome,
                              struct why *why)
{
    struct agg_explain explain = {0};
    struct agg_source source = {.n = rows->n,
                                .d = rows->d,
                                .decode = decode_row,
                                .context = (void *)(uintptr_t)rows};
    TRY(configure(round->plan, rows, outcome->hostile, rule, why));
    struct result r = agg_run(rule, &source, round->threads, outcome->aggregate, &explain, why);
    if (ok(r))
        r = combine_describe(round, rows, mixes_neighbours(rule), &explain, outcome, why);
    agg_explain_free(&explain);
    return r;
}

/* What the round leaves at the server beside the model. A quarantined site starts anew. */
static void keep_states(const struct combine_case *round, const struct combine_rows *rows,
                        struct server *server)
{
    size_t d = server->d;
    for (size_t i = 0; i < rows->n; i++) {
        uint32_t site = rows->updates[i]->site;
        server->sites[site] = rows->sites[i];
        if (server->momentum)
            memcpy(server->momentum + site * d, rows->momentum + i * d, d * sizeof(float));
    }
    for (size_t i = 0; i < round->n; i++) {
        uint32_t site = round->updates[i].site;
        if (!round->updates[i].aside)
            continue;
        server->sites[site] = (struct server_site){0};
        if (server->momentum)
            memset(server->momentum + site * d, 0, d * sizeof(float));
    }
    server->median_norm = rows->median_norm;
}

struct result combine_round(const struct combine_case *round, struct server *server,
                            struct combine_outcome *outcome, struct why *why)
{
    CLEANUP(combine_rows_free) struct combine_rows rows = {0};
    struct agg_rule rule;
    memset(outcome, 0, sizeof *outcome);
    TRY(combine_admit(round, server, &rows, outcome, why));
    TRY(agg_rule_parse_study(round->plan->aggregation.rule, &rule, why));
    double bucket = round->plan->aggregation.bucket_size;
    struct result r = bucket > 0 ? agg_rule_set_numbers(&rule, "s", 1, &bucket, why) : DONE;
    if (ok(r))
        r = close_gate(round, &rule, outcome, why);
    if (ok(r))
        r = apply_momentum(round, server, &rows, why);
    if (ok(r))
        r = run_rule(round, &rows, &rule, outcome, why);
    agg_rule_free(&rule);
    TRY(r);
    TRY(server_apply(round->plan, server, outcome->aggregate, why));
    keep_states(round, &rows, server);
    return DONE;
}

void combine_outcome_free(struct combine_outcome *outcome)
{
    free(outcome->refusals);
    free(outcome->sites);
    free(outcome->aggregate);
    memset(outcome, 0, sizeof *outcome);
}
