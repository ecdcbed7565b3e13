/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of the holdout: against the statistics themselves, by class and subgroup, suppressed
 * where small, and with a reason where there are none. */
#include "agent/vault/evaluate.h"
#include "agent/vault/evaluate_figures.h"
#include "linalg/blas.h"
#include "linalg/stats/cindex.h"
#include "linalg/stats/cluster.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct plan_level no_yes[] = {{"0"}, {"1"}};
static struct plan_level three[] = {{"0"}, {"1"}, {"2"}};
static struct plan_level sites[] = {{"u"}, {"v"}, {"w"}};
static struct plan_feature features[] = {
    {.name = "a", .type = FEATURE_NUMBER, .low = -9, .high = 9, .centre = 0, .spread = 1}};
static struct plan_subgroup subgroups[] = {{.column = "g", .levels = sites, .levels_count = 3}};

static struct plan small_plan(void)
{
    return (struct plan){
        .patient_id = "id",
        .label = {.column = "y", .type = LABEL_BINARY, .levels = no_yes, .levels_count = 2},
        .features = features,
        .features_count = 1,
        .subgroups = subgroups,
        .subgroups_count = 1,
        .model = {.kind = MODEL_LOGISTIC},
        .validation = {.holdout = 0.5, .threshold = 0.5, .min_cell = 11},
    };
}

/* 600 patients; group w has every 40th patient, the others u and v. */
static void load(struct dataset *d, const struct plan *plan, int classes)
{
    static const unsigned char key[DATASET_KEY_BYTES] = {5};
    struct why why;
    FILE *file = tmpfile();
    assert_non_null(file);
    fprintf(file, "id,a,y,g\n");
    for (int i = 0; i < 600; i++) {
        double a = (double)((i * 37) % 601) / 150.0 - 2.0;
        int y = (int)fmin(classes - 1.0, fmax(0.0, floor(a + 0.2 * (i % 7) + 0.4)));
        fprintf(file, "p%d,%.6f,%d,%c\n", i, a, y, i % 40 == 0 ? 'w' : i % 3 ? 'u' : 'v');
    }
    rewind(file);
    if (!ok(dataset_load(d, plan, NULL, "a.csv", file, key, &why)))
        fail_msg("%s", why.text);
    fclose(file);
}

static struct evaluator *make(const struct plan *plan, const struct dataset *d)
{
    struct evaluator *e;
    struct why why;
    if (!ok(evaluator_create(&e, plan, d, &why)))
        fail_msg("%s", why.text);
    return e;
}

static void evaluate(struct evaluator *e, const double *parameters, struct evaluation_model *out)
{
    struct why why;
    memset(out, 0, sizeof *out);
    if (!ok(evaluator_run(e, "global", parameters, out, &why)))
        fail_msg("%s", why.text);
}

static void figures_are_those_of_the_holdout(void **state)
{
    (void)state;
    struct plan plan = small_plan();
    struct dataset d;
    struct evaluation_model out;
    struct auroc auroc;
    load(&d, &plan, 2);
    struct evaluator *e = make(&plan, &d);
    const double w[] = {1.3, -0.4};
    evaluate(e, w, &out);
    auroc_delong(d.holdout.rows, d.holdout.y, d.holdout.x, NULL, &auroc);
    const struct evaluation_figures *all = &out.groups[0];
    assert_int_equal(out.groups_count, 4);
    assert_int_equal(all->status, EVALUATION_OK);
    assert_string_equal(all->group, "");
    assert_true(fabs(all->auroc - auroc.auc) < 1e-12);
    assert_true(fabs(all->auroc_variance - auroc.var) < 1e-12);
    assert_true(all->auroc_low < all->auroc && all->auroc < all->auroc_high);
    assert_true(all->positives == auroc.n_pos && all->negatives == auroc.n_neg);
    double loss = 0.0, brier = 0.0, right = 0.0, n = (double)d.holdout.rows, counted = 0.0;
    for (size_t r = 0; r < d.holdout.rows; r++) {
        double p = 1.0 / (1.0 + exp(-1.3 * d.holdout.x[r] + 0.4)), y = d.holdout.y[r];
        loss -= log(y == 1.0 ? p : 1.0 - p);
        brier += (p - y) * (p - y);
        right += (p >= 0.5) == (y == 1.0);
    }
    assert_true(fabs(all->loss - loss / n) < 1e-12 && fabs(all->brier - brier / n) < 1e-12);
    assert_true(fabs(all->accuracy - right / n) < 1e-12);
    assert_true(isfinite(all->calibration_slope) && isfinite(all->calibration_intercept));
    assert_int_equal(out.bins_count, EVALUATE_BINS);
    for (size_t b = 0; b < EVALUATE_BINS; b++)
        counted += out.positives[b] + out.negatives[b];
    assert_true(counted == n);
    assert_true(isnan(out.difference));
    free(out.groups);
    evaluator_free(e);
    dataset_free(&d);
}

/* As if each row were a patient of its own. */
static void binary(struct evaluation_figures *f, size_t n, const double *y, const double *p,
                   unsigned min_cell)
{
    uint32_t who[64];
    for (uint32_t i = 0; i < n; i++)
        who[i] = i;
    const struct figures_rows rows = {n, y, p, who, n};
    figures_binary(f, &rows, 0.5, min_cell);
}

static void small_groups_are_suppressed(void **state)
{
    (void)state;
    struct plan plan = small_plan();
    struct dataset d;
    struct evaluation_model out;
    load(&d, &plan, 2);
    struct evaluator *e = make(&plan, &d);
    const double w[] = {1.0, 0.0};
    evaluate(e, w, &out);
    /* w is small; alone it could be had by difference, so the smaller of u and v goes too */
    assert_string_equal(out.groups[3].group, "g=w");
    assert_int_equal(out.groups[1].status, EVALUATION_OK);
    for (size_t g = 2; g < 4; g++) {
        assert_int_equal(out.groups[g].status, EVALUATION_BELOW_MINIMUM_CELL);
        assert_int_equal(out.groups[g].positives + out.groups[g].negatives, 0);
        assert_true(isnan(out.groups[g].auroc) && isnan(out.groups[g].brier));
    }
    free(out.groups);
    evaluator_free(e);
    plan.validation.min_cell = 1000;
    e = make(&plan, &d);
    evaluate(e, w, &out);
    assert_int_equal(out.groups[0].status, EVALUATION_BELOW_MINIMUM_CELL);
    assert_int_equal(out.groups[0].positives, 0);
    assert_int_equal(out.bins_count, 0);
    free(out.groups);
    evaluator_free(e);
    dataset_free(&d);
}

static void suppression_rules(void **state)
{
    (void)state;
    struct evaluation_figures f[4];
    memset(f, 0, sizeof f);
    for (size_t g = 0; g < 4; g++)
        f[g].status = EVALUATION_OK;
    /* nothing hidden: nothing more to hide */
    const size_t rows[] = {40, 50, 30, 60};
    figures_suppress(f, rows, 4, 0, 11);
    for (size_t g = 0; g < 4; g++)
        assert_int_equal(f[g].status, EVALUATION_OK);
    /* five rows in no level: told by difference unless a level hides with them */
    figures_suppress(f, rows, 4, 5, 11);
    assert_int_equal(f[2].status, EVALUATION_BELOW_MINIMUM_CELL);
    assert_int_equal(f[0].status, EVALUATION_OK);
    /* two hidden levels of three rows each are too few together */
    const size_t few[] = {3, 3, 30, 60};
    for (size_t g = 0; g < 4; g++)
        f[g].status = g < 2 ? EVALUATION_BELOW_MINIMUM_CELL : EVALUATION_OK;
    figures_suppress(f, few, 4, 0, 11);
    assert_int_equal(f[2].status, EVALUATION_BELOW_MINIMUM_CELL);
    assert_int_equal(f[3].status, EVALUATION_OK);
}

static void reasons_stand_for_figures(void **state)
{
    (void)state;
    struct plan plan = small_plan();
    struct dataset d;
    struct evaluation_model out;
    load(&d, &plan, 2);
    struct evaluator *e = make(&plan, &d);
    const double constant[] = {0.0, 0.3}, broken[] = {(double)NAN, 0.0}, good[] = {1.0, 0.0};
    evaluate(e, constant, &out);
    assert_int_equal(out.groups[0].status, EVALUATION_DEGENERATE_SCORES);
    free(out.groups);
    evaluate(e, broken, &out);
    assert_int_equal(out.groups[0].status, EVALUATION_INVALID_INPUT);
    free(out.groups);
    /* the first model had no figures, so there is nothing to compare to */
    evaluate(e, good, &out);
    assert_int_equal(out.groups[0].status, EVALUATION_OK);
    assert_true(isnan(out.difference));
    free(out.groups);
    evaluator_free(e);
    struct evaluation_figures f;
    const double ones[] = {1, 1, 1}, p[] = {0.1, 0.2, 0.3};
    memset(&f, 0, sizeof f);
    binary(&f, 3, ones, p, 1);
    assert_int_equal(f.status, EVALUATION_SINGLE_CLASS);
    binary(&f, 0, ones, p, 1);
    assert_int_equal(f.status, EVALUATION_NO_LABELS);
    dataset_free(&d);
}

/* Rows that no figure can be made of: a status each, never a number and never a crash. */
static void bad_rows_have_reasons(void **state)
{
    (void)state;
    enum { N = 60 };
    static const struct {
        const char *what;
        enum evaluation_status status;
        unsigned rows, min_cell;
    } CASES[] = {{"one score for all", EVALUATION_DEGENERATE_SCORES, N, 11},
                 {"more than half tied", EVALUATION_DEGENERATE_SCORES, N, 11},
                 {"two scores", EVALUATION_DEGENERATE_SCORES, N, 11},
                 {"a score that is no number", EVALUATION_INVALID_INPUT, N, 11},
                 {"an infinite score", EVALUATION_INVALID_INPUT, N, 11},
                 {"a label that is none", EVALUATION_INVALID_INPUT, N, 11},
                 {"one class", EVALUATION_SINGLE_CLASS, N, 11},
                 {"one patient", EVALUATION_BELOW_MINIMUM_CELL, 1, 11},
                 {"one patient, no minimum", EVALUATION_SINGLE_CLASS, 1, 1},
                 {"nobody", EVALUATION_NO_LABELS, 0, 11},
                 {"ten of a class", EVALUATION_BELOW_MINIMUM_CELL, N, 11}};
    for (size_t k = 0; k < sizeof CASES / sizeof CASES[0]; k++) {
        double y[N], p[N];
        struct evaluation_figures f;
        memset(&f, 0, sizeof f);
        for (int i = 0; i < N; i++) {
            y[i] = k == 6 ? 1.0 : k == 10 ? i < 10 : i % 2;
            p[i] = k == 0                 ? 0.5
                   : k == 1 && i <= N / 2 ? 0.25
                   : k == 2               ? 0.3 + 0.1 * (i % 3 == 0)
                                          : 0.01 + i / 70.0;
        }
        if (k == 3)
            p[7] = NAN;
        if (k == 4)
            p[7] = INFINITY;
        if (k == 5)
            y[7] = 2.0;
        binary(&f, CASES[k].rows, y, p, CASES[k].min_cell);
        if (f.status != CASES[k].status)
            fail_msg("%s: status %d", CASES[k].what, f.status);
        assert_true(isnan(f.auroc) && isnan(f.brier) && isnan(f.ece) && isnan(f.ppv));
    }
}

static void later_models_are_compared(void **state)
{
    (void)state;
    struct plan plan = small_plan();
    struct dataset d;
    struct evaluation_model first, second;
    load(&d, &plan, 2);
    struct evaluator *e = make(&plan, &d);
    const double up[] = {1.0, 0.0}, down[] = {-1.0, 0.0};
    evaluate(e, up, &first);
    evaluate(e, down, &second);
    assert_true(fabs(second.difference - (second.groups[0].auroc - first.groups[0].auroc)) < 1e-12);
    assert_true(second.difference < 0.0 && second.difference_variance >= 0.0);
    assert_true(isnan(second.groups[0].difference_p)); /* both classes are large */
    const struct evaluation_figures *small = NULL;
    for (uint32_t g = 1; g < second.groups_count; g++)
        if (second.groups[g].status == EVALUATION_OK &&
            (second.groups[g].positives < 30 || second.groups[g].negatives < 30))
            small = &second.groups[g];
    if (small)
        assert_true(small->difference_p > 0.0 && small->difference_p <= 1.0);
    const struct evaluation_figures *all = &first.groups[0];
    assert_true(all->ppv >= 0.0 && all->alert_rate > 0.0 && all->sensitivity_fixed > 0.0);
    free(first.groups);
    free(second.groups);
    evaluator_free(e);
    dataset_free(&d);
}

static void classes_are_judged_one_by_one(void **state)
{
    (void)state;
    struct plan plan = small_plan();
    struct dataset d;
    struct evaluation_model out;
    plan.label.type = LABEL_CLASS;
    plan.label.levels = three;
    plan.label.levels_count = 3;
    plan.model.kind = MODEL_SOFTMAX;
    load(&d, &plan, 3);
    struct evaluator *e = make(&plan, &d);
    const double w[] = {-2.0, 0.0, 2.0, 0.0, 0.5, -0.5};
    evaluate(e, w, &out);
    assert_int_equal(out.groups_count, 7);
    double mean = (out.groups[1].auroc + out.groups[2].auroc + out.groups[3].auroc) / 3.0;
    assert_true(fabs(out.groups[0].macro_auroc - mean) < 1e-12);
    assert_string_equal(out.groups[3].group, "y=2");
    for (size_t g = 0; g < 4; g++) {
        assert_int_equal(out.groups[g].status, EVALUATION_OK);
        assert_true(out.groups[g].auroc > 0.3);
    }
    assert_true(out.groups[0].positives == out.groups[2].positives + out.groups[3].positives);
    assert_true(out.groups[0].accuracy > 0.4 && isfinite(out.groups[0].loss));
    free(out.groups);
    evaluator_free(e);
    dataset_free(&d);
}

static void noised_histograms_replace_figures(void **state)
{
    (void)state;
    struct plan plan = small_plan();
    struct dataset d;
    struct evaluation_model clear, noised;
    load(&d, &plan, 2);
    const double w[] = {1.3, -0.4};
    struct evaluator *e = make(&plan, &d);
    evaluate(e, w, &clear);
    evaluator_free(e);
    plan.privacy.metrics_noise = 0.5;
    e = make(&plan, &d);
    double sum = 0.0, squares = 0.0;
    enum { DRAWS = 200 };
    for (int k = 0; k < DRAWS; k++) {
        evaluate(e, w, &noised);
        assert_true(fabs(noised.groups[0].auroc - clear.groups[0].auroc) < 0.06);
        assert_int_equal(noised.groups[1].status, EVALUATION_REFUSED);
        assert_true(isnan(noised.difference) && isnan(noised.groups[0].sensitivity));
        for (size_t b = 0; b < EVALUATE_BINS; b++) {
            double off = noised.positives[b] - clear.positives[b];
            assert_true(off == rint(off));
            sum += off;
            squares += off * off;
        }
        free(noised.groups);
    }
    double n = (double)DRAWS * EVALUATE_BINS;
    assert_true(fabs(sum / n) < 0.05 && fabs(sqrt(squares / n) - 0.5) < 0.03);
    /* a model that would have no figures is no exception: that, too, would tell something */
    const double constant[] = {0.0, 0.3};
    evaluate(e, constant, &noised);
    assert_int_equal(noised.groups[0].status, EVALUATION_OK);
    free(noised.groups);
    free(clear.groups);
    evaluator_free(e);
    dataset_free(&d);
}

/* 300 patients of 1 to 4 rows; row 0 of each tells most. */
static void load_visits(struct dataset *d, const struct plan *plan, int most)
{
    static const unsigned char key[DATASET_KEY_BYTES] = {5};
    struct why why;
    FILE *file = tmpfile();
    assert_non_null(file);
    fprintf(file, "id,a,y,g\n");
    for (int turn = 0; turn < most; turn++)
        for (int i = 0; i < 300; i++) {
            double a = (double)((i * 37) % 301) / 75.0 - 2.0 + 0.01 * turn * (i % 13);
            if (turn <= i % 4)
                fprintf(file, "p%d,%.6f,%d,%c\n", i, a, a + 0.3 * (i % 7) > 0.8,
                        i % 30 == 0      ? 'w'
                        : (i + turn) % 3 ? 'u'
                                         : 'v');
        }
    rewind(file);
    if (!ok(dataset_load(d, plan, NULL, "a.csv", file, key, &why)))
        fail_msg("%s", why.text);
    fclose(file);
}

static void repeated_rows_count_as_one_patient(void **state)
{
    (void)state;
    struct plan plan = small_plan();
    struct dataset d;
    struct evaluation_model first, second;
    struct auroc rows, patients;
    struct auroc_paired paired;
    load_visits(&d, &plan, 4);
    const struct dataset_part *h = &d.holdout;
    assert_true(h->rows > 2 * h->patients);
    struct evaluator *e = make(&plan, &d);
    const double up[] = {1.3, -0.4}, down[] = {-0.2, 0.1};
    evaluate(e, up, &first);
    evaluate(e, down, &second);
    const struct evaluation_figures *all = &first.groups[0];
    uint32_t *who = calloc(h->rows, sizeof *who);
    double *minus = calloc(h->rows, sizeof *minus);
    for (uint32_t i = 0; i < h->patients; i++)
        for (size_t r = h->first[i]; r < h->first[i + 1]; r++) {
            who[r] = i;
            minus[r] = -h->x[r];
        }
    auroc_delong(h->rows, h->y, h->x, NULL, &rows);
    cluster_auroc(h->rows, h->y, h->x, who, h->patients, &patients);
    assert_true(fabs(all->auroc - rows.auc) < 1e-12);
    assert_true(fabs(all->auroc_variance - patients.var) < 1e-12);
    assert_true(all->auroc_variance > 1.2 * rows.var);
    assert_true(all->positives == patients.n_pos && all->negatives == patients.n_neg);
    assert_true(all->positives + all->negatives < h->rows);
    assert_true(all->rows_per_patient == (double)h->rows / (double)h->patients);
    cluster_auroc_paired(h->rows, h->y, minus, h->x, who, h->patients, &paired);
    assert_true(fabs(second.difference - paired.d) < 1e-12);
    assert_true(fabs(second.difference_variance - paired.var_d) < 1e-12);
    double right = 0.0, counted = 0.0; /* shares at the threshold: each patient counts as one */
    for (size_t i = 0; i < h->patients; i++) {
        double rows_right = 0.0, of = (double)(h->first[i + 1] - h->first[i]);
        for (size_t r = h->first[i]; r < h->first[i + 1]; r++)
            rows_right += (1.3 * h->x[r] - 0.4 >= 0.0) == (h->y[r] == 1.0);
        right += rows_right / of / (double)h->patients;
    }
    assert_true(fabs(all->accuracy - right) < 1e-12);
    assert_true(all->sensitivity > 0.0 && all->specificity > 0.0 && all->ppv > 0.0);
    for (size_t b = 0; b < EVALUATE_BINS; b++)
        counted += first.positives[b] + first.negatives[b];
    assert_true(counted == (double)h->patients); /* a patient is in one bin */
    /* the rows of a few patients are no group, however many they are */
    size_t few = 0;
    for (size_t i = 0; i < h->patients; i++)
        few += h->groups[h->first[i]] == 2;
    plan.validation.min_cell = (unsigned)few + 1;
    free(second.groups);
    evaluate(e, up, &second);
    assert_string_equal(second.groups[3].group, "g=w");
    assert_int_equal(second.groups[3].status, EVALUATION_BELOW_MINIMUM_CELL);
    free(first.groups);
    free(second.groups);
    free(who);
    free(minus);
    evaluator_free(e);
    dataset_free(&d);
}

/* 600 patients with a hazard that doubles with each unit of a; those with i % 5 == 0 leave early.
 */
static void load_followed(struct dataset *d, const struct plan *plan)
{
    static const unsigned char key[DATASET_KEY_BYTES] = {5};
    struct why why;
    FILE *file = tmpfile();
    assert_non_null(file);
    fprintf(file, "id,a,y,g,days\n");
    for (int i = 0; i < 600; i++) {
        double a = (double)((i * 37) % 601) / 150.0 - 2.0, u = ((i * 7919) % 599 + 0.5) / 599.0;
        double days = -1000.0 * log(u) / exp2(a), until = i % 5 == 0 ? 150.0 : 1500.0;
        bool event = days < until;
        fprintf(file, "p%d,%.6f,%d,%c,%.3f\n", i, a, event, i % 3 ? 'u' : 'v',
                event ? days : until);
    }
    rewind(file);
    if (!ok(dataset_load(d, plan, NULL, "a.csv", file, key, &why)))
        fail_msg("%s", why.text);
    fclose(file);
}

static void follow_up_gives_a_cindex(void **state)
{
    (void)state;
    struct plan plan = small_plan();
    struct dataset d;
    struct evaluation_model out;
    struct cindex c;
    snprintf(plan.label.time, sizeof plan.label.time, "days");
    load_followed(&d, &plan); /* a logistic model of the event: C over the same scores */
    const struct dataset_part *h = &d.holdout;
    double time[600], event[600];
    assert_true(h->rows <= 600);
    for (size_t r = 0; r < h->rows; r++) {
        time[r] = fabs(h->time[r]);
        event[r] = h->time[r] > 0.0;
        assert_true(h->y[r] == event[r]);
    }
    cindex_harrell(h->rows, time, event, h->x, NULL, 0, &c);
    struct evaluator *e = make(&plan, &d);
    const double w[] = {0.7, -0.1};
    evaluate(e, w, &out);
    assert_true(fabs(out.groups[0].cindex - c.c) < 1e-12 && c.c > 0.65);
    assert_true(fabs(out.groups[0].cindex_variance - c.var) < 1e-12);
    assert_int_equal(out.groups[1].status, EVALUATION_OK);
    assert_true(isfinite(out.groups[1].cindex) && isfinite(out.groups[2].cindex));
    free(out.groups);
    evaluator_free(e);
    dataset_free(&d);

    plan.model.kind = MODEL_HAZARD;
    plan.label.horizon = 500.0;
    load_followed(&d, &plan);
    h = &d.holdout;
    size_t known = 0, within = 0;
    double loss = 0.0;
    for (size_t r = 0; r < h->rows; r++) {
        double t = fabs(h->time[r]), z = 0.7 * h->x[r] - 0.4;
        bool dead = h->time[r] > 0.0;
        assert_true(h->y[r] == h->time[r]);
        known += dead || t >= 1.0;
        within += dead && t <= 1.0;
        loss += t * exp(z) - (dead ? z : 0.0);
    }
    e = make(&plan, &d);
    const double hazard[] = {0.7, -0.4};
    evaluate(e, hazard, &out);
    const struct evaluation_figures *all = &out.groups[0];
    assert_true(known < h->rows && all->positives == within);
    assert_true(all->positives + all->negatives == known);
    assert_true(fabs(all->cindex - c.c) < 1e-12 && fabs(all->cindex_variance - c.var) < 1e-12);
    assert_true(fabs(all->loss - loss / (double)h->rows) < 1e-9);
    assert_true(all->auroc > 0.65 && fabs(all->calibration_slope - 1.0) < 0.5);
    free(out.groups);
    evaluator_free(e);
    dataset_free(&d);
}

static void real_labels_have_a_loss(void **state)
{
    (void)state;
    struct plan plan = small_plan();
    struct dataset d;
    struct evaluation_model out;
    plan.label = (struct plan_label){
        .column = "y", .type = LABEL_REAL, .low = -9, .high = 9, .centre = 0, .spread = 1};
    plan.model.kind = MODEL_LINEAR;
    load(&d, &plan, 2);
    struct evaluator *e = make(&plan, &d);
    const double w[] = {0.0, 0.0};
    evaluate(e, w, &out);
    double expected = 0.0;
    for (size_t r = 0; r < d.holdout.rows; r++)
        expected += 0.5 * d.holdout.y[r] * d.holdout.y[r] / (double)d.holdout.rows;
    assert_int_equal(out.groups[0].status, EVALUATION_OK);
    assert_true(fabs(out.groups[0].loss - expected) < 1e-12);
    assert_true(isnan(out.groups[0].auroc));
    free(out.groups);
    evaluator_free(e);
    dataset_free(&d);
}

int main(void)
{
    blas_use_one_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_those_of_the_holdout),
        cmocka_unit_test(small_groups_are_suppressed),
        cmocka_unit_test(suppression_rules),
        cmocka_unit_test(reasons_stand_for_figures),
        cmocka_unit_test(bad_rows_have_reasons),
        cmocka_unit_test(later_models_are_compared),
        cmocka_unit_test(classes_are_judged_one_by_one),
        cmocka_unit_test(noised_histograms_replace_figures),
        cmocka_unit_test(repeated_rows_count_as_one_patient),
        cmocka_unit_test(follow_up_gives_a_cindex),
        cmocka_unit_test(real_labels_have_a_loss),
    };
    return cmocka_run_group_tests_name("evaluate", tests, NULL, NULL);
}
