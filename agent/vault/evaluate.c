/* SPDX-License-Identifier: Apache-2.0 */
/* Scores of the holdout, then figures for everybody, for classes and for subgroups. All rows of a
 * patient are judged; variances and counts are those of patients (linalg/stats/cluster.h). */
#include "agent/vault/evaluate.h"

#include "agent/vault/evaluate_figures.h"
#include "agent/vault/evaluate_noise.h"
#include "agent/vault/evaluate_strata.h"
#include "linalg/stats/cluster.h"
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
    size_t groups;     /* of one evaluation */
    double *score;     /* [rows][outputs] */
    double *risk;      /* [rows] linear predictor; one output only */
    double *reference; /* [rows] the first model's score */
    /* The rows of the group at hand: 0/1, probability, follow-up, the first model's score. */
    double *y, *p, *time, *against;
    uint32_t *patient; /* dense number of the row's patient in the group */
    size_t patients;   /* of the group */
    struct rng rng;    /* of noised histograms */
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
    e->risk = calloc(rows, sizeof *e->risk);
    e->time = calloc(rows, sizeof *e->time);
    e->reference = calloc(rows, sizeof *e->reference);
    e->against = calloc(rows, sizeof *e->against);
    e->patient = calloc(rows, sizeof *e->patient);
    if (e->score && e->y && e->p && e->risk && e->time && e->reference && e->against &&
        e->patient && model_work_create(&e->work, &e->model, BATCH_ROWS) == MODEL_OK)
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
    wipe(e->risk, rows);
    wipe(e->time, rows);
    wipe(e->reference, rows);
    wipe(e->against, rows);
    free(e->patient);
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
        if (outputs == 1)
            memcpy(e->risk + from, e->work.z, rows * sizeof(double));
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

/* Whether the row's outcome is known: not where follow-up ended before the horizon. */
static bool labelled(const struct evaluator *e, size_t row)
{
    return !e->part->time || !(e->plan->label.horizon > 0.0) || e->part->time[row] > 0.0 ||
           e->part->time[row] <= -1.0;
}

/* Contrast 0: any class but the first, against the first; with a horizon: an event before it.
 * Contrast k + 1: class k against the rest. */
static void put_row(struct evaluator *e, size_t row, size_t contrast, size_t to)
{
    size_t outputs = e->model.spec.outputs;
    const double *score = e->score + row * outputs;
    double label = e->part->y[row];
    if (outputs == 1) {
        bool timed = e->part->time && e->plan->label.horizon > 0.0;
        double within = timed ? e->part->time[row] : 0.0;
        e->y[to] = !timed ? label : within > 0.0 && within <= 1.0 ? 1.0 : 0.0;
        e->p[to] = score[0];
    } else if (contrast == 0) {
        e->y[to] = label > 0.0 ? 1.0 : 0.0;
        e->p[to] = 1.0 - score[0];
    } else {
        e->y[to] = label == (double)(contrast - 1) ? 1.0 : 0.0;
        e->p[to] = score[contrast - 1];
    }
}

/* A level of a subgroup; column beyond the last: everybody. */
struct group {
    size_t column, level;
};

static const struct group EVERYBODY = {.column = SIZE_MAX};

static bool belongs(const struct evaluator *e, const struct group *group, size_t row)
{
    size_t columns = e->dataset->subgroups;
    return group->column >= columns ||
           e->part->groups[row * columns + group->column] == group->level;
}

/* Lays the group's rows of known outcome out; returns how many. */
static size_t put_rows(struct evaluator *e, const struct group *group, size_t contrast)
{
    const struct dataset_part *part = e->part;
    size_t count = 0;
    e->patients = 0;
    for (size_t i = 0; i < part->patients; i++) {
        bool met = false;
        for (size_t r = part->first[i]; r < part->first[i + 1]; r++) {
            if (!belongs(e, group, r) || !labelled(e, r))
                continue;
            e->patients += met ? 0 : 1;
            met = true;
            e->patient[count] = (uint32_t)(e->patients - 1);
            e->against[count] = e->reference[r];
            put_row(e, r, contrast, count++);
        }
    }
    return count;
}

/* The group's patients, whether their outcome is known or not. */
static size_t count_patients(const struct evaluator *e, const struct group *group)
{
    const struct dataset_part *part = e->part;
    size_t count = 0;
    for (size_t i = 0; i < part->patients; i++) {
        size_t r = part->first[i];
        while (r < part->first[i + 1] && !belongs(e, group, r))
            r++;
        count += r < part->first[i + 1];
    }
    return count;
}

/* Exchanges of the two models within a patient, where a class is too small for the normal law. */
static double permuted(const struct evaluator *e, size_t rows, const struct auroc_paired *paired)
{
    struct permutation p;
    if ((paired->n_pos >= SMALL_CLASS && paired->n_neg >= SMALL_CLASS) ||
        permutation_paired_auroc(rows, e->y, e->p, e->against, e->patient, PERMUTATIONS,
                                 PERMUTATION_SEED, &p) != STAT_OK)
        return (double)NAN;
    return p.p;
}

/* Difference to the first model on the rows that have just been laid out. */
static void compare_group(const struct evaluator *e, size_t rows, struct evaluation_figures *f)
{
    struct auroc_paired paired;
    if (f->status != EVALUATION_OK || !e->has_reference || e->runs < 2)
        return;
    enum stat_status status =
        cluster_auroc_paired(rows, e->y, e->p, e->against, e->patient, e->patients, &paired);
    if (status != STAT_OK && status != STAT_DEGENERATE)
        return;
    f->difference = paired.d;
    f->difference_variance = paired.var_d;
    f->difference_p = permuted(e, rows, &paired);
}

static void judge_rows(struct evaluator *e, size_t n, struct evaluation_figures *figures)
{
    const struct plan_validation *v = &e->plan->validation;
    const struct figures_rows rows = {n, e->y, e->p, e->patient, e->patients};
    figures_binary(figures, &rows, v->threshold, v->min_cell);
}

/* Harrell's C of the linear predictor over the group's whole follow-up; uses the room of the rows
 * laid out. */
static void judge_survival(struct evaluator *e, const struct group *group,
                           struct evaluation_figures *figures)
{
    const struct dataset_part *part = e->part;
    size_t n = 0, patients = 0;
    if (!part->time || figures->status != EVALUATION_OK)
        return;
    for (size_t i = 0; i < part->patients; i++) {
        bool met = false;
        for (size_t r = part->first[i]; r < part->first[i + 1]; r++) {
            if (!belongs(e, group, r))
                continue;
            patients += met ? 0 : 1;
            met = true;
            e->patient[n] = (uint32_t)(patients - 1);
            e->time[n] = fabs(part->time[r]);
            e->y[n] = part->time[r] > 0.0 ? 1.0 : 0.0;
            e->p[n++] = e->risk[r];
        }
    }
    const struct figures_rows rows = {n, e->y, e->p, e->patient, patients};
    figures_survival(figures, &rows, e->time);
}

static bool likeliest_is_label(const struct evaluator *e, size_t row)
{
    size_t outputs = e->model.spec.outputs, best = 0;
    const double *score = e->score + row * outputs;
    for (size_t k = 1; k < outputs; k++)
        if (score[k] > score[best])
            best = k;
    return (double)best == e->part->y[row];
}

/* Share of rows whose likeliest class is the label, each patient counting as one. */
static double class_accuracy(const struct evaluator *e)
{
    const struct dataset_part *part = e->part;
    double sum = 0.0;
    for (size_t i = 0; i < part->patients; i++) {
        size_t right = 0, rows = part->first[i + 1] - part->first[i];
        for (size_t r = part->first[i]; r < part->first[i + 1]; r++)
            right += likeliest_is_label(e, r);
        sum += (double)right / (double)rows;
    }
    return part->patients ? sum / (double)part->patients : (double)NAN;
}

/* Patients who have a row of the class, or one of another class. */
static size_t patients_of_class(const struct evaluator *e, double class, bool of_another)
{
    const struct dataset_part *part = e->part;
    size_t count = 0;
    for (size_t i = 0; i < part->patients; i++) {
        bool met = false;
        for (size_t r = part->first[i]; r < part->first[i + 1]; r++)
            met = met || (part->y[r] == class) != of_another;
        count += met;
    }
    return count;
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
        if (patients_of_class(e, (double)k, false) < e->plan->validation.min_cell ||
            patients_of_class(e, (double)k, true) < e->plan->validation.min_cell)
            return (double)NAN;
    return m.macro;
}

static void real_figures(const struct evaluator *e, double loss, struct evaluation_figures *figures)
{
    size_t patients = e->part->patients;
    bool enough = patients > 0 && patients >= e->plan->validation.min_cell;
    figures_clear(figures, patients == 0 ? EVALUATION_NO_LABELS
                           : enough      ? EVALUATION_OK
                                         : EVALUATION_BELOW_MINIMUM_CELL);
    if (e->plan->privacy.metrics_noise > 0.0) {
        figures_clear(figures, EVALUATION_REFUSED);
        return;
    }
    figures->negatives = enough ? patients : 0;
    figures->loss = enough ? loss : (double)NAN;
}

static void everybody(struct evaluator *e, double loss, struct evaluation_figures *figures)
{
    if (e->plan->label.type == LABEL_REAL) {
        real_figures(e, loss, figures);
        return;
    }
    judge_rows(e, put_rows(e, &EVERYBODY, 0), figures);
    if (figures->status != EVALUATION_OK)
        return;
    figures->loss = loss;
    if (e->model.spec.outputs > 1) {
        figures->accuracy = class_accuracy(e);
        figures->macro_auroc = macro_auroc(e);
    }
    judge_survival(e, &EVERYBODY, figures);
}

static void subgroup_figures(struct evaluator *e, unsigned i, struct evaluation_figures *figures)
{
    const struct plan_subgroup *subgroup = &e->plan->subgroups[i];
    size_t counts[PLAN_LEVELS_MAX] = {0};
    const struct group none = {i, ENCODE_NO_GROUP};
    for (unsigned level = 0; level < subgroup->levels_count && level < PLAN_LEVELS_MAX; level++) {
        struct evaluation_figures *f = &figures[level];
        const struct group group = {i, level};
        snprintf(f->group, sizeof f->group, "%s=%s", subgroup->column,
                 subgroup->levels[level].name);
        counts[level] = count_patients(e, &group);
        size_t rows = put_rows(e, &group, 0);
        if (e->plan->label.type == LABEL_REAL)
            figures_clear(f, EVALUATION_REFUSED);
        else
            judge_rows(e, rows, f);
        compare_group(e, rows, f);
        judge_survival(e, &group, f);
    }
    figures_suppress(figures, counts, subgroup->levels_count, count_patients(e, &none),
                     e->plan->validation.min_cell);
}

static void class_figures(struct evaluator *e, struct evaluation_figures *figures)
{
    const struct plan_label *label = &e->plan->label;
    size_t counts[PLAN_LEVELS_MAX] = {0}, classes = classes_of(e->plan);
    for (size_t k = 0; k < classes && k < PLAN_LEVELS_MAX; k++) {
        snprintf(figures[k].group, sizeof figures[k].group, "%s=%s", label->column,
                 label->levels[k].name);
        judge_rows(e, put_rows(e, &EVERYBODY, k + 1), &figures[k]);
        counts[k] = patients_of_class(e, (double)k, false);
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

/* Counts of scores by class on equal bins: of each patient the first row, so that a patient is in
 * one bin. */
static void histogram(struct evaluator *e, struct evaluation_model *out)
{
    out->bins_count = EVALUATE_BINS;
    for (size_t i = 0; i < e->part->patients; i++) {
        if (!labelled(e, e->part->first[i]))
            continue;
        put_row(e, e->part->first[i], 0, 0);
        double at = e->p[0] * EVALUATE_BINS; /* NaN goes to the lowest bin */
        size_t bin = at > 0.0 ? (size_t)at : 0;
        bin = bin < EVALUATE_BINS ? bin : EVALUATE_BINS - 1;
        *(e->y[0] == 1.0 ? &out->positives[bin] : &out->negatives[bin]) += 1.0;
    }
}

static void remember(struct evaluator *e)
{
    for (size_t r = 0; r < e->part->rows; r++) {
        put_row(e, r, 0, 0);
        e->reference[r] = e->p[0];
    }
    e->has_reference = true;
}

/* The first model, if it has figures, is the reference of the paired differences. */
static void compare(struct evaluator *e, struct evaluation_model *out)
{
    if (e->runs == 1) {
        remember(e);
        return;
    }
    compare_group(e, put_rows(e, &EVERYBODY, 0), &out->groups[0]);
    out->difference = out->groups[0].difference;
    out->difference_variance = out->groups[0].difference_variance;
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

/* One row a patient: values, label, whether the decision at the threshold is right, and the half.
 */
static size_t gather_strata(struct evaluator *e, double *x, unsigned char *y, unsigned char *right,
                            unsigned char *half)
{
    const struct dataset_part *part = e->part;
    size_t n = 0, inputs = e->dataset->inputs;
    for (size_t i = 0; i < part->patients; i++) {
        size_t r = part->first[i];
        if (!labelled(e, r))
            continue;
        put_row(e, r, 0, 0);
        memcpy(x + n * inputs, part->x + r * inputs, inputs * sizeof *x);
        y[n] = e->y[0] == 1.0;
        right[n] = (e->p[0] >= e->plan->validation.threshold) == (e->y[0] == 1.0);
        half[n++] = part->patient[i] >> 17 & 1;
    }
    return n;
}

struct result evaluator_strata(struct evaluator *e, unsigned cell, struct evaluation_strata *out,
                               struct why *why)
{
    size_t patients = e->part->patients, inputs = e->dataset->inputs;
    double *x = calloc(patients * inputs + 1, sizeof *x);
    unsigned char *marks = calloc(patients + 1, 3);
    bool memory = x && marks;
    if (memory) {
        unsigned char *right = marks + patients, *half = right + patients;
        size_t n = gather_strata(e, x, marks, right, half);
        const struct strata_input in = {n, inputs, x, marks, right, half, cell, e->dataset->seed};
        memory = strata_fill(out, &in);
        sodium_memzero(marks, patients * 3);
    }
    wipe(x, patients * inputs);
    free(marks);
    return memory ? DONE
                  : failed(why, RESULT_SYSTEM, "not enough memory for strata of %zu patients",
                           patients);
}
