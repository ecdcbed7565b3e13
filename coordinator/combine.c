/* SPDX-License-Identifier: Apache-2.0 */
/* From the counted updates of a round to the new global model. Updates stay compressed: norms and
 * the rule decode them block by block. */
#include "coordinator/combine.h"

#include "coordinator/aggregate/aggregate.h"
#include "privacy/rng.h"
#include "proto/base/cleanup.h"
#include "proto/compress/codec.h"

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 2 };
/* An update longer than so many times the median of the last round, in the first round of this one,
 * is refused when the plan sets no norm. */
static const double NORM_FACTOR = 10;
enum { NORM_ROWS_MIN = 3 /* fewer have no median that one of them could not move */ };

/* The rows that enter the rule. */
struct rows {
    size_t n, d;
    struct codec_view *views; /* [n] */
    double *norms;            /* [n] */
    double *patients;         /* [n] */
    const struct combine_update **updates;
};

static void free_rows(struct rows *rows)
{
    free(rows->views);
    free(rows->norms);
    free(rows->patients);
    free(rows->updates);
}

static bool decode_row(void *context, size_t row, size_t first, size_t count, float *out)
{
    const struct rows *rows = context;
    codec_decode_blocks(&rows->views[row], first / CODEC_BLOCK,
                        (count + CODEC_BLOCK - 1) / CODEC_BLOCK, out);
    return true;
}

static double row_norm(const struct codec_view *view)
{
    float block[CODEC_BLOCK];
    double sum = 0;
    for (uint64_t b = 0; b < view->blocks; b++) {
        uint64_t left = view->d - b * CODEC_BLOCK;
        codec_decode_blocks(view, b, 1, block);
        for (uint64_t i = 0; i < (left < CODEC_BLOCK ? left : CODEC_BLOCK); i++)
            sum += (double)block[i] * (double)block[i];
    }
    return sqrt(sum);
}

static struct result open_frame(const struct plan *plan, const struct payload_update *update,
                                size_t d, struct codec_view *view, struct why *why)
{
    struct codec planned;
    TRY(codec_parse(plan->compression, &planned, why));
    struct result r = codec_open(update->frame, update->frame_n, d, view, why);
    if (!ok(r))
        return failed_in(why, (struct result){RESULT_REFUSED}, "the update does not decode");
    if (!codec_view_is(view, &planned))
        return failed(why, RESULT_REFUSED, "the update is not compressed by the plan's '%s'",
                      plan->compression);
    return DONE;
}

struct result combine_check(const struct plan *plan, const struct payload_update *update, size_t d,
                            struct why *why)
{
    struct codec_view view;
    if (update->declared_patients == 0)
        return failed(why, RESULT_REFUSED, "the update claims no patients");
    TRY(open_frame(plan, update, d, &view, why));
    double norm = row_norm(&view);
    if (!isfinite(norm))
        return failed(why, RESULT_REFUSED, "the update's norm is not finite");
    if (plan->aggregation.max_norm > 0 && norm > plan->aggregation.max_norm)
        return failed(why, RESULT_REFUSED, "the update's norm is %.3g, the plan's limit %.3g", norm,
                      plan->aggregation.max_norm);
    return DONE;
}

static void refuse(struct combine_outcome *outcome, uint32_t site, const char *reason)
{
    struct study_refusal *refusal = &outcome->refusals[outcome->refusals_count++];
    refusal->site = site;
    reason_set(refusal->reason, reason);
}

static struct result allocate(struct rows *rows, struct combine_outcome *outcome, size_t n,
                              size_t d, struct why *why)
{
    *rows = (struct rows){.d = d};
    rows->views = calloc(n + 1, sizeof *rows->views);
    rows->norms = calloc(n + 1, sizeof *rows->norms);
    rows->patients = calloc(n + 1, sizeof *rows->patients);
    rows->updates = calloc(n + 1, sizeof *rows->updates);
    outcome->refusals = calloc(n + 1, sizeof *outcome->refusals);
    outcome->sites = calloc(n + 1, sizeof *outcome->sites);
    outcome->aggregate = calloc(d, sizeof *outcome->aggregate);
    if (!rows->views || !rows->norms || !rows->patients || !rows->updates || !outcome->refusals ||
        !outcome->sites || !outcome->aggregate)
        return failed(why, RESULT_SYSTEM, "out of memory for %zu updates of %zu parameters", n, d);
    return DONE;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct result median(const double *values, size_t n, double *ret_median, struct why *why)
{
    CLEANUP(free_pointer) double *sorted = malloc((n + 1) * sizeof *sorted);
    if (!sorted)
        return failed(why, RESULT_SYSTEM, "out of memory");
    memcpy(sorted, values, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, ascending);
    *ret_median = n == 0 ? 0 : n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
    return DONE;
}

/* Opens the frames; those that do not decode become refusals. */
static void open_frames(const struct plan *plan, const struct combine_update *updates, size_t n,
                        struct rows *rows, struct combine_outcome *outcome)
{
    for (size_t i = 0; i < n; i++) {
        struct why why;
        struct result r =
            open_frame(plan, &updates[i].update, rows->d, &rows->views[rows->n], &why);
        if (!ok(r)) {
            refuse(outcome, updates[i].site, why.text);
            continue;
        }
        rows->norms[rows->n] = row_norm(&rows->views[rows->n]);
        rows->patients[rows->n] = (double)updates[i].update.declared_patients;
        rows->updates[rows->n++] = &updates[i];
    }
}

static struct result norm_limit(const struct plan *plan, const struct server *server,
                                const struct rows *rows, double *ret_limit, struct why *why)
{
    double middle = server->median_norm;
    *ret_limit = plan->aggregation.max_norm;
    if (*ret_limit > 0)
        return DONE;
    if (!(middle > 0) && rows->n >= NORM_ROWS_MIN)
        TRY(median(rows->norms, rows->n, &middle, why));
    *ret_limit = middle > 0 ? NORM_FACTOR * middle : (double)INFINITY;
    return DONE;
}

static void refuse_long(double limit, struct rows *rows, struct combine_outcome *outcome)
{
    size_t kept = 0;
    for (size_t i = 0; i < rows->n; i++) {
        if (!(rows->norms[i] <= limit)) {
            char text[MESSAGE_REASON_BYTES];
            snprintf(text, sizeof text, "the update's norm is %.3g, the limit of this round %.3g",
                     rows->norms[i], limit);
            refuse(outcome, rows->updates[i]->site, text);
            continue;
        }
        rows->views[kept] = rows->views[i];
        rows->norms[kept] = rows->norms[i];
        rows->patients[kept] = rows->patients[i];
        rows->updates[kept++] = rows->updates[i];
    }
    rows->n = kept;
}

/* Bucketing's permutation: nobody knows it before every update is committed to. */
static struct result set_permutation(struct agg_rule *rule, const struct rows *rows,
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

static struct result configure(const struct plan *plan, const struct rows *rows, size_t f,
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

static struct result run_rule(const struct plan *plan, const struct rows *rows, size_t f,
                              float *aggregate, struct agg_explain *explain, struct why *why)
{
    struct agg_rule rule;
    if (rows->n == 0)
        return failed(why, RESULT_REFUSED, "no update is left to aggregate");
    TRY(agg_rule_parse(plan->aggregation.rule, &rule, why));
    struct result r = configure(plan, rows, f, &rule, why);
    struct agg_source source = {.n = rows->n,
                                .d = rows->d,
                                .decode = decode_row,
                                .context = (void *)(uintptr_t)rows};
    if (ok(r))
        r = agg_run(&rule, &source, THREADS, aggregate, explain, why);
    agg_rule_free(&rule);
    return r;
}

static void describe(const struct rows *rows, const struct agg_explain *explain,
                     struct combine_outcome *outcome)
{
    for (size_t i = 0; i < rows->n; i++) {
        outcome->sites[outcome->sites_count++] = (struct combine_site){
            .site = rows->updates[i]->site,
            .patients = rows->patients[i],
            .norm = rows->norms[i],
            .cosine = explain->cosine ? explain->cosine[i] : (double)NAN,
            .weight = explain->weight ? explain->weight[i] : (double)NAN,
        };
    }
}

struct result combine_round(const struct plan *plan, struct server *server,
                            const struct combine_update *updates, size_t n,
                            struct combine_outcome *outcome, struct why *why)
{
    CLEANUP(free_rows) struct rows rows = {0};
    memset(outcome, 0, sizeof *outcome);
    TRY(allocate(&rows, outcome, n, server->d, why));
    double limit = 0;
    open_frames(plan, updates, n, &rows, outcome);
    TRY(norm_limit(plan, server, &rows, &limit, why));
    refuse_long(limit, &rows, outcome);
    /* A malformed update is a hostile one less to withstand. */
    size_t f = plan->aggregation.byzantine;
    f = f > outcome->refusals_count ? f - outcome->refusals_count : 0;
    outcome->hostile = f;
    double middle = 0;
    TRY(median(rows.norms, rows.n, &middle, why));
    struct agg_explain explain = {0};
    struct result r = run_rule(plan, &rows, f, outcome->aggregate, &explain, why);
    if (ok(r))
        describe(&rows, &explain, outcome);
    agg_explain_free(&explain);
    TRY(r);
    TRY(server_apply(plan, server, outcome->aggregate, why));
    server->median_norm = middle;
    return DONE;
}

void combine_outcome_free(struct combine_outcome *outcome)
{
    free(outcome->refusals);
    free(outcome->sites);
    free(outcome->aggregate);
    memset(outcome, 0, sizeof *outcome);
}
