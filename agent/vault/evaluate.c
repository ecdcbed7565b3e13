/* SPDX-License-Identifier: Apache-2.0 */
/* Scores of the holdout, then figures for everybody, for classes and for subgroups. */
#include "agent/vault/evaluate.h"

#include "agent/vault/evaluate_figures.h"
#include "agent/vault/evaluate_noise.h"
#include "linalg/stats/auroc.h"
#include "linalg/stats/multiclass.h"
#include "linalg/stats/permutation.h"
#include "proto/plan_model.h"

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCH_ROWS = 256,
    SMALL_CLASS = 30, /* below it the difference gets a permutation p too */
    PERMUTATIONS = 999,
    PERMUTATION_SEED = 1,
};

struct evaluator {
    const struct plan *plan;
    const struct dataset *dataset;
    const struct dataset_part *part;
    struct model model;
    struct model_work work;
    size_t groups;                 /* of one evaluation */
    double *score;                 /* [rows][outputs] */
    double *y, *p;                 /* [rows] 0/1 and probability of the group at hand */
    double *reference, *candidate; /* [rows] everybody's score: the first model's, this one's */
    double *against;               /* [rows] the first model's score of the group at hand */
    struct rng rng;                /* of noised histograms */
    bool has_reference;
    size_t runs;
};

static size_t classes_of(const struct plan *plan)
{
    return plan->label.type == LABEL_CLASS ? plan->label.levels_count : 0;
}

static size_t count_groups(const struct plan *plan)
{
    size_t groups = 1 + classes_of(plan);
    for (unsigned i = 0; i < plan->subgroups_count; i++)
        groups += plan->subgroups[i].levels_count;
    return groups;
}

static struct result allocate(struct evaluator *e, struct why *why)
{
    size_t rows = e->part->rows + 1;
    e->score = calloc(rows * e->model.spec.outputs, sizeof *e->score);
    e->y = calloc(rows, sizeof *e->y);
    e->p = calloc(rows, sizeof *e->p);
    e->reference = calloc(rows, sizeof *e->reference);
    e->candidate = calloc(rows, sizeof *e->candidate);
    e->against = calloc(rows, sizeof *e->against);
    if (e->score && e->y && e->p && e->reference && e->candidate && e->against &&
        model_work_create(&e->work, &e->model, BATCH_ROWS) == MODEL_OK)
        return DONE;
    return failed(why, RESULT_SYSTEM, "not enough memory to evaluate %zu rows", e->part->rows);
}

struct result evaluator_create(struct evaluator **ret_evaluator, const struct plan *plan,
                               const struct dataset *dataset, struct why *why)
{
    *ret_evaluator = NULL;
    struct evaluator *e = calloc(1, sizeof *e);
    if (!e)
        return failed(why, RESULT_SYSTEM, "not enough memory to evaluate");
    e->plan = plan;
    e->dataset = dataset;
    e->part = &dataset->holdout;
    e->groups = count_groups(plan);
    rng_init_system(&e->rng);
    struct result result = plan_build_model(plan, &e->model, why);
    if (ok(result) && e->groups > EVALUATION_GROUPS_MAX)
        result =
            failed(why, RESULT_INPUT, "the plan asks for figures on %zu groups; at most %d fit",
                   e->groups, EVALUATION_GROUPS_MAX);
    if (ok(result) && dataset->inputs != e->model.spec.inputs)
        result =
            failed(why, RESULT_INPUT, "the data has %zu columns where the model has %zu inputs",
                   dataset->inputs, e->model.spec.inputs);
    if (ok(result))
        result = allocate(e, why);
    if (ok(result))
        *ret_evaluator = e;
    else
        evaluator_free(e);
    return result;
}

static void wipe(double *p, size_t n)
{
    if (p)
        sodium_memzero(p, n * sizeof *p);
    free(p);
}

void evaluator_free(struct evaluator *e)
{
    if (!e)
        return;
    size_t rows = e->part->rows + 1;
    wipe(e->score, rows * e->model.spec.outputs);
    wipe(e->y, rows);
    wipe(e->p, rows);
    wipe(e->reference, rows);
    wipe(e->candidate, rows);
    wipe(e->against, rows);
    if (e->work.block)
        sodium_memzero(e->work.block, model_work_bytes(&e->model, BATCH_ROWS));
    model_work_free(&e->work);
    rng_wipe(&e->rng);
    free(e);
}

/* Fills e->score; returns the mean loss, NaN without rows. */
static double score_holdout(struct evaluator *e, const double *parameters)
{
    const struct dataset_part *part = e->part;
    size_t n = e->model.spec.inputs, outputs = e->model.spec.outputs;
    double loss = 0.0;
    for (size_t from = 0; from < part->rows; from += BATCH_ROWS) {
        size_t rows = part->rows - from < BATCH_ROWS ? part->rows - from : BATCH_ROWS;
        memcpy(e->work.a[0], part->x + from * n, rows * n * sizeof(double));
        model_forward(&e->model, parameters, rows, &e->work);
        memcpy(e->score + from * outputs, e->work.score, rows * outputs * sizeof(double));
        loss += model_backward(&e->model, parameters, rows, part->y + from, NULL, &e->work);
    }
    return part->rows ? loss / (double)part->rows : (double)NAN;
}

void evaluator_scores(struct evaluator *e, const double *parameters, size_t rows, const double *x,
                      double *score)
{
    size_t n = e->model.spec.inputs, outputs = e->model.spec.outputs;
    for (size_t from = 0; from < rows; from += BATCH_ROWS) {
        size_t count = rows - from < BATCH_ROWS ? rows - from : BATCH_ROWS;
        memcpy(e->work.a[0], x + from * n, count * n * sizeof(double));
        model_forward(&e->model, parameters, count, &e->work);
        for (size_t i = 0; i < count; i++) {
            double first = e->work.score[i * outputs];
            score[from + i] = outputs == 1 ? first : 1.0 - first;
        }
    }
}

/* Class k = 0: any class but the first, against the first. Class k + 1: class k against the rest.
 */
static void put_row(struct evaluator *e, size_t row, size_t contrast, size_t to)
{
    size_t outputs = e->model.spec.outputs;
    const double *score = e->score + row * outputs;
    double label = e->part->y[row];
    if (outputs == 1) {
        e->y[to] = label;
        e->p[to] = score[0];
    } else if (contrast == 0) {
        e->y[to] = label > 0.0 ? 1.0 : 0.0;
        e->p[to] = 1.0 - score[0];
    } else {
        e->y[to] = label == (double)(contrast - 1) ? 1.0 : 0.0;
        e->p[to] = score[contrast - 1];
    }
}

static size_t put_all(struct evaluator *e, size_t contrast)
{
    for (size_t r = 0; r < e->part->rows; r++)
        put_row(e, r, contrast, r);
    return e->part->rows;
}

static size_t put_group(struct evaluator *e, size_t subgroup, size_t level)
{
    size_t count = 0, columns = e->dataset->subgroups;
    for (size_t r = 0; r < e->part->rows; r++) {
        if (e->part->groups[r * columns + subgroup] != level)
            continue;
        e->against[count] = e->reference[r];
        put_row(e, r, 0, count++);
    }
    return count;
}

/* Exchanges of the two models within a patient, where a class is too small for the normal law. */
static double permuted(size_t rows, const double *y, const double *s1, const double *s2,
                       const struct auroc_paired *paired)
{
    struct permutation p;
    if ((paired->n_pos >= SMALL_CLASS && paired->n_neg >= SMALL_CLASS) ||
        permutation_paired_auroc(rows, y, s1, s2, PERMUTATIONS, PERMUTATION_SEED, &p) != STAT_OK)
        return (double)NAN;
    return p.p;
}

/* Difference to the first model on the group that put_group has just laid out. */
static void compare_group(const struct evaluator *e, size_t rows, struct evaluation_figures *f)
{
    struct auroc_paired paired;
    if (f->status != EVALUATION_OK || !e->has_reference || e->runs < 2)
        return;
    enum stat_status status = auroc_paired(rows, e->y, e->p, e->against, &paired);
    if (status != STAT_OK && status != STAT_DEGENERATE)
        return;
    f->difference = paired.d;
    f->difference_variance = paired.var_d;
    f->difference_p = permuted(rows, e->y, e->p, e->against, &paired);
}

static void judge_rows(struct evaluator *e, size_t rows, struct evaluation_figures *figures)
{
    const struct plan_validation *v = &e->plan->validation;
    figures_binary(figures, rows, e->y, e->p, v->threshold, v->min_cell);
}

/* Share of rows whose likeliest class is the label. */
static double class_accuracy(const struct evaluator *e)
{
    size_t outputs = e->model.spec.outputs, right = 0;
    for (size_t r = 0; r < e->part->rows; r++) {
        const double *score = e->score + r * outputs;
        size_t best = 0;
        for (size_t k = 1; k < outputs; k++)
            if (score[k] > score[best])
                best = k;
        right += (double)best == e->part->y[r];
    }
    return e->part->rows ? (double)right / (double)e->part->rows : (double)NAN;
}

/* Mean of one class against the rest; every class must be large enough to be told by itself. */
static double macro_auroc(const struct evaluator *e)
{
    struct auroc per_class[PLAN_LEVELS_MAX];
    struct multiclass m;
    size_t outputs = e->model.spec.outputs;
    if (outputs > PLAN_LEVELS_MAX ||
        multiclass_auroc(e->part->rows, outputs, e->part->y, e->score, per_class, &m) != STAT_OK)
        return (double)NAN;
    for (size_t k = 0; k < outputs; k++)
        if (per_class[k].n_pos < e->plan->validation.min_cell ||
            per_class[k].n_neg < e->plan->validation.min_cell)
            return (double)NAN;
    return m.macro;
}

static void everybody(struct evaluator *e, double loss, struct evaluation_figures *figures)
{
    size_t rows = put_all(e, 0);
    if (e->plan->label.type == LABEL_REAL) {
        bool enough = rows > 0 && rows >= e->plan->validation.min_cell;
        figures_clear(figures, rows == 0 ? EVALUATION_NO_LABELS
                               : enough  ? EVALUATION_OK
                                         : EVALUATION_BELOW_MINIMUM_CELL);
        if (e->plan->privacy.metrics_noise > 0.0) {
            figures_clear(figures, EVALUATION_REFUSED);
            return;
        }
        figures->negatives = enough ? rows : 0;
        figures->loss = enough ? loss : (double)NAN;
        return;
    }
    judge_rows(e, rows, figures);
    memcpy(e->candidate, e->p, rows * sizeof *e->candidate);
    if (figures->status != EVALUATION_OK)
        return;
    figures->loss = loss;
    if (e->model.spec.outputs > 1) {
        figures->accuracy = class_accuracy(e);
        figures->macro_auroc = macro_auroc(e);
    }
}

static void subgroup_figures(struct evaluator *e, unsigned i, struct evaluation_figures *figures)
{
    const struct plan_subgroup *subgroup = &e->plan->subgroups[i];
    size_t counts[PLAN_LEVELS_MAX] = {0}, known = 0;
    for (unsigned level = 0; level < subgroup->levels_count && level < PLAN_LEVELS_MAX; level++) {
        snprintf(figures[level].group, sizeof figures[level].group, "%s=%s", subgroup->column,
                 subgroup->levels[level].name);
        counts[level] = put_group(e, i, level);
        known += counts[level];
        if (e->plan->label.type == LABEL_REAL)
            figures_clear(&figures[level], EVALUATION_REFUSED);
        else
            judge_rows(e, counts[level], &figures[level]);
        compare_group(e, counts[level], &figures[level]);
    }
    figures_suppress(figures, counts, subgroup->levels_count, e->part->rows - known,
                     e->plan->validation.min_cell);
}

static void class_figures(struct evaluator *e, struct evaluation_figures *figures)
{
    const struct plan_label *label = &e->plan->label;
    size_t counts[PLAN_LEVELS_MAX] = {0}, classes = classes_of(e->plan);
    for (size_t k = 0; k < classes && k < PLAN_LEVELS_MAX; k++) {
        snprintf(figures[k].group, sizeof figures[k].group, "%s=%s", label->column,
                 label->levels[k].name);
        size_t rows = put_all(e, k + 1);
        for (size_t r = 0; r < rows; r++)
            counts[k] += e->y[r] == 1.0;
        judge_rows(e, rows, &figures[k]);
    }
    figures_suppress(figures, counts, classes, 0, e->plan->validation.min_cell);
}

static void all_groups(struct evaluator *e, double loss, struct evaluation_figures *figures)
{
    size_t at = 1;
    everybody(e, loss, &figures[0]);
    class_figures(e, &figures[at]);
    at += classes_of(e->plan);
    for (unsigned i = 0; i < e->plan->subgroups_count; i++) {
        subgroup_figures(e, i, &figures[at]);
        at += e->plan->subgroups[i].levels_count;
    }
}

/* Counts of everybody's scores by class on equal bins. */
static void histogram(struct evaluator *e, struct evaluation_model *out)
{
    size_t rows = put_all(e, 0);
    out->bins_count = EVALUATE_BINS;
    for (size_t r = 0; r < rows; r++) {
        double at = e->p[r] * EVALUATE_BINS; /* NaN goes to the lowest bin */
        size_t bin = at > 0.0 ? (size_t)at : 0;
        bin = bin < EVALUATE_BINS ? bin : EVALUATE_BINS - 1;
        *(e->y[r] == 1.0 ? &out->positives[bin] : &out->negatives[bin]) += 1.0;
    }
}

/* The first model, if it has figures, is the reference of the paired differences. */
static void compare(struct evaluator *e, struct evaluation_model *out)
{
    struct auroc_paired paired;
    size_t rows = put_all(e, 0);
    if (e->runs == 1) {
        memcpy(e->reference, e->candidate, rows * sizeof *e->reference);
        e->has_reference = true;
        return;
    }
    if (!e->has_reference)
        return;
    enum stat_status status = auroc_paired(rows, e->y, e->candidate, e->reference, &paired);
    if (status != STAT_OK && status != STAT_DEGENERATE)
        return;
    out->difference = paired.d;
    out->difference_variance = paired.var_d;
    out->groups[0].difference = paired.d;
    out->groups[0].difference_variance = paired.var_d;
    out->groups[0].difference_p = permuted(rows, e->y, e->candidate, e->reference, &paired);
}

struct result evaluator_run(struct evaluator *e, const char *name, const double *parameters,
                            struct evaluation_model *out, struct why *why)
{
    memset(out, 0, sizeof *out);
    snprintf(out->name, sizeof out->name, "%s", name);
    out->difference = out->difference_variance = (double)NAN;
    out->groups = calloc(e->groups, sizeof *out->groups);
    if (!out->groups)
        return failed(why, RESULT_SYSTEM, "not enough memory for the figures of %zu groups",
                      e->groups);
    out->groups_count = (uint32_t)e->groups;
    e->runs++;
    double loss = score_holdout(e, parameters);
    all_groups(e, loss, out->groups);
    if (e->plan->label.type == LABEL_REAL)
        return DONE;
    if (e->plan->privacy.metrics_noise > 0.0) {
        histogram(e, out);
        evaluation_noise(out, e->plan->privacy.metrics_noise, &e->rng);
        return DONE;
    }
    if (out->groups[0].status != EVALUATION_OK)
        return DONE;
    histogram(e, out);
    compare(e, out);
    return DONE;
}
