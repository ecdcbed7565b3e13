/* SPDX-License-Identifier: Apache-2.0 */
/* KL, PSI and their chi-square laws on bins of the reference (linalg/stats/drift.h), Kolmogorov and
 * Smirnov's distance, shares of missing cells, and the maximum mean discrepancy over all inputs. */
#include "agent/vault/drift.h"

#include "agent/vault/dataset.h"
#include "agent/vault/dataset_encode.h"
#include "agent/vault/statistic.h"
#include "linalg/stats/calibration.h"
#include "linalg/stats/drift.h"
#include "linalg/stats/mmd.h"

#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { MMD_FEATURES = 256, MMD_PERMUTATIONS = 999 };

/* Values of one column on either side, as they are gathered. */
struct column {
    size_t ref_n, cur_n;
    double *ref, *cur;
};

struct bench {
    const struct plan *plan;
    const struct drift_side *reference, *current;
    size_t inputs, missing_bytes;
    unsigned min_cell;
    struct column column;
};

static void put_divergence(struct evaluation_drift_column *out, size_t bins, const double *cur,
                           const double *ref)
{
    struct drift d;
    out->status = statistic_of(drift_compare(bins, cur, ref, DRIFT_SMOOTHING, &d));
    if (out->status != EVALUATION_STATISTIC_OK)
        return;
    out->kl = d.kl_test_ref;
    out->kl_p = d.kl_p;
    out->psi = d.psi;
    out->psi_p = d.psi_p;
}

/* Numbers: bins of equal mass in the reference. */
static void compare_numbers(struct evaluation_drift_column *out, const struct column *c)
{
    double edges[DRIFT_BINS], ref[DRIFT_BINS], cur[DRIFT_BINS];
    size_t few = c->ref_n < c->cur_n ? c->ref_n : c->cur_n, edges_n = 0;
    struct ks ks;
    if (few < DRIFT_ROWS_MIN) {
        out->status = EVALUATION_STATISTIC_FEW;
        return;
    }
    out->status = statistic_of(
        drift_edges(c->ref_n, c->ref, drift_bins_for(few, DRIFT_BINS), edges, &edges_n));
    if (out->status != EVALUATION_STATISTIC_OK)
        return;
    if (ks_two_sample(c->ref_n, c->ref, c->cur_n, c->cur, &ks) == STAT_OK) {
        out->ks = ks.d;
        out->ks_p = ks.p;
    }
    bool counted = drift_counts(c->ref_n, c->ref, edges_n, edges, ref) == STAT_OK &&
                   drift_counts(c->cur_n, c->cur, edges_n, edges, cur) == STAT_OK;
    if (!counted)
        out->status = EVALUATION_STATISTIC_INVALID;
    else if (edges_n == 0 || (edges_n == 1 && ref[1] == 0.0))
        out->status = EVALUATION_STATISTIC_CONSTANT;
    if (out->status == EVALUATION_STATISTIC_OK)
        put_divergence(out, edges_n + 1, cur, ref);
}

static void compare_levels(struct evaluation_drift_column *out, const struct column *c,
                           size_t levels)
{
    double ref[PLAN_LEVELS_MAX] = {0}, cur[PLAN_LEVELS_MAX] = {0};
    if (c->ref_n < DRIFT_ROWS_MIN || c->cur_n < DRIFT_ROWS_MIN) {
        out->status = EVALUATION_STATISTIC_FEW;
        return;
    }
    for (size_t i = 0; i < c->ref_n; i++)
        ref[(size_t)c->ref[i]] += 1.0;
    for (size_t i = 0; i < c->cur_n; i++)
        cur[(size_t)c->cur[i]] += 1.0;
    put_divergence(out, levels, cur, ref);
}

/* The column's values where they are not missing; returns how many are missing. */
static size_t gather(const struct bench *b, const struct drift_side *side, unsigned i, size_t at,
                     double *out, size_t *ret_n)
{
    const struct plan_feature *feature = &b->plan->features[i];
    size_t n = 0;
    for (size_t r = 0; r < side->rows; r++) {
        if (dataset_missing(side->missing + r * b->missing_bytes, i))
            continue;
        const double *x = side->x + r * b->inputs + at;
        /* The reference is kept to single precision. */
        out[n++] = feature->type == FEATURE_NUMBER ? (double)(float)x[0]
                                                   : (double)encode_level(feature, x);
    }
    *ret_n = n;
    return side->rows - n;
}

static bool tellable(size_t count, unsigned min_cell)
{
    return count == 0 || count >= min_cell;
}

static void compare_feature(struct bench *b, unsigned i, size_t at,
                            struct evaluation_drift_column *out)
{
    const struct plan_feature *feature = &b->plan->features[i];
    struct column *c = &b->column;
    evaluation_drift_column_clear(out, EVALUATION_STATISTIC_OK);
    memcpy(out->name, feature->name, sizeof out->name);
    size_t ref_missing = gather(b, b->reference, i, at, c->ref, &c->ref_n);
    size_t cur_missing = gather(b, b->current, i, at, c->cur, &c->cur_n);
    if (tellable(ref_missing, b->min_cell) && tellable(cur_missing, b->min_cell))
        out->missing_z =
            two_proportion_z(cur_missing, b->current->rows, ref_missing, b->reference->rows);
    if (feature->type == FEATURE_NUMBER)
        compare_numbers(out, c);
    else
        compare_levels(out, c, feature->levels_count);
}

static void compare_scores(struct bench *b, struct evaluation_drift *out)
{
    const struct drift_side *reference = b->reference, *current = b->current;
    if (!reference->score || !current->score) {
        evaluation_drift_column_clear(&out->score, EVALUATION_STATISTIC_REFUSED);
        return;
    }
    struct column *c = &b->column;
    c->ref_n = reference->rows;
    c->cur_n = current->rows;
    memcpy(c->ref, reference->score, c->ref_n * sizeof *c->ref);
    memcpy(c->cur, current->score, c->cur_n * sizeof *c->cur);
    evaluation_drift_column_clear(&out->score, EVALUATION_STATISTIC_OK);
    compare_numbers(&out->score, c);
    if (b->plan->label.type != LABEL_REAL)
        out->expected_auroc = calibration_expected_auroc(current->rows, current->score);
}

/* Seeds from the plan: the verdict can be computed again from the same patients. */
static void compare_inputs(const struct bench *b, struct evaluation_drift *out)
{
    struct mmd_plan plan = {.features = MMD_FEATURES, .permutations = MMD_PERMUTATIONS};
    struct mmd mmd;
    size_t n = b->reference->rows < DRIFT_MMD_ROWS ? b->reference->rows : DRIFT_MMD_ROWS;
    size_t m = b->current->rows < DRIFT_MMD_ROWS ? b->current->rows : DRIFT_MMD_ROWS;
    memcpy(&plan.seed_features, b->plan->hash, sizeof plan.seed_features);
    memcpy(&plan.seed_permutation, b->plan->hash + 8, sizeof plan.seed_permutation);
    if (mmd_test(n, b->reference->x, m, b->current->x, b->inputs, &plan, &mmd) != STAT_OK)
        return;
    out->mmd2 = mmd.mmd2;
    out->mmd_p = mmd.p;
}

static void find_worst(struct evaluation_drift *out)
{
    double most = 0.0;
    for (uint32_t i = 0; i < out->columns_count; i++) {
        const struct evaluation_drift_column *c = &out->columns[i];
        if (c->status != EVALUATION_STATISTIC_OK || !(c->kl > most))
            continue;
        most = c->kl;
        memcpy(out->worst, c->name, sizeof out->worst);
    }
}

static void wipe(double *p, size_t n)
{
    if (p)
        sodium_memzero(p, n * sizeof *p);
    free(p);
}

struct result drift_fill(struct evaluation_drift *out, const struct plan *plan,
                         const struct drift_side *reference, const struct drift_side *current,
                         unsigned min_cell, struct why *why)
{
    struct bench b = {.plan = plan,
                      .reference = reference,
                      .current = current,
                      .inputs = plan_inputs(plan),
                      .missing_bytes = encode_missing_bytes(plan),
                      .min_cell = min_cell};
    if (reference->rows < DRIFT_ROWS_MIN || current->rows < DRIFT_ROWS_MIN) {
        evaluation_drift_clear(out, EVALUATION_STATISTIC_FEW);
        return DONE;
    }
    evaluation_drift_clear(out, EVALUATION_STATISTIC_OK);
    b.column.ref = calloc(reference->rows, sizeof *b.column.ref);
    b.column.cur = calloc(current->rows, sizeof *b.column.cur);
    out->columns = calloc(plan->features_count, sizeof *out->columns);
    bool memory = b.column.ref && b.column.cur && out->columns;
    if (memory) {
        size_t at = 0;
        out->columns_count = plan->features_count;
        for (unsigned i = 0; i < plan->features_count; i++) {
            compare_feature(&b, i, at, &out->columns[i]);
            at += encode_columns(&plan->features[i]);
        }
        compare_scores(&b, out);
        compare_inputs(&b, out);
        find_worst(out);
    }
    wipe(b.column.ref, reference->rows);
    wipe(b.column.cur, current->rows);
    return memory
               ? DONE
               : failed(why, RESULT_SYSTEM, "no memory for the drift of %zu rows", current->rows);
}
