/* SPDX-License-Identifier: Apache-2.0 */
/* Learning on real patients of several hospitals, where their files stand beside the checkout:
 * federated against pooled, with and without privacy, and coefficients against reference fits. */
#include "agent/vault/dataset.h"
#include "agent/vault/train_gradient.h"
#include "linalg/blas.h"
#include "linalg/optim.h"
#include "proto/plan_model.h"
#include "tests/federation.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* The folder of a data set, or false with a line that says so. */
static bool data_folder(const char *name, char *path, size_t size)
{
    const char *shared = getenv("CONSILIUM_SHARED");
    snprintf(path, size, "%s/data/%s", shared ? shared : ".", name);
    if (access(path, R_OK) == 0)
        return true;
    print_message("no patient data beside the checkout: this part is passed over\n");
    return false;
}

static void load_plan(struct plan *plan, const char *name)
{
    char path[1024];
    struct why why;
    const char *vectors = getenv("CONSILIUM_VECTORS");
    snprintf(path, sizeof path, "%s/../../deploy/plans/%s.yaml",
             vectors ? vectors : "tests/vectors", name);
    if (!ok(plan_load(plan, path, NULL, NULL, &why)))
        fail_msg("%s", why.text);
}

static void run(struct plan *plan, const char *folder, const char *const *folds, size_t count,
                struct federation_outcome *outcome)
{
    struct why why;
    double noise = 0.0;
    if (plan->privacy.mode == PRIVACY_PATIENT && !ok(federation_noise(plan, &noise, &why)))
        fail_msg("%s", why.text);
    if (!ok(federation_run(plan, folder, folds, count, noise, outcome, &why)))
        fail_msg("%s", why.text);
    print_message("%s: AUROC %.4f, calibration slope %.3f\n", plan->study, outcome->auroc,
                  outcome->slope);
}

static const char *const FOLDS[] = {"0", "1", "2", "3", "4"};

/* Pooled training reaches 0.798 on the same folds. */
static void stroke_federated_equals_pooled(void **state)
{
    (void)state;
    char folder[1024];
    struct plan plan;
    struct federation_outcome outcome;
    if (!data_folder("stroke/encoded", folder, sizeof folder))
        return;
    load_plan(&plan, "stroke-encoded");
    run(&plan, folder, FOLDS, 5, &outcome);
    assert_int_equal(outcome.patients, 12788);
    assert_true(outcome.auroc >= 0.796);
    assert_true(outcome.slope > 0.9 && outcome.slope < 1.1);
    plan.model.site_intercept = true;
    run(&plan, folder, FOLDS, 5, &outcome);
    assert_true(outcome.auroc >= 0.812);
    plan_free(&plan);
}

static void stroke_with_privacy(void **state)
{
    (void)state;
    char folder[1024];
    struct plan plan;
    struct federation_outcome outcome;
    if (!data_folder("stroke/encoded", folder, sizeof folder))
        return;
    load_plan(&plan, "stroke-private");
    assert_true(plan.privacy.epsilon == 1.0 && plan.privacy.delta == 1e-5);
    run(&plan, folder, FOLDS, 5, &outcome);
    assert_int_equal(outcome.patients, 12788);
    /* 0.7962 on average with standard deviation 0.0003 */
    assert_true(outcome.auroc >= 0.794);
    plan_free(&plan);
}

/* Published pooled accuracies on the same split: 0.783, 0.764, 0.750, 0.644. */
static void heart_reaches_published_accuracies(void **state)
{
    (void)state;
    static const double published[] = {0.783, 0.764, 0.750, 0.644};
    static const size_t patients[] = {104, 89, 16, 45};
    char folder[1024];
    struct plan plan;
    struct federation_outcome outcome;
    if (!data_folder("heart/encoded", folder, sizeof folder))
        return;
    load_plan(&plan, "heart");
    run(&plan, folder, NULL, 0, &outcome);
    for (size_t i = 0; i < 4; i++) {
        print_message("%s: accuracy %.4f\n", plan.sites[i].name, outcome.site[i].accuracy);
        assert_int_equal(outcome.site[i].patients, patients[i]);
        assert_true(outcome.site[i].accuracy >= published[i]);
    }
    plan_free(&plan);
}

/* A reference fit: standardisation, ridge coefficients and log-likelihood, from tests/vectors. */
struct reference {
    int features, rows;
    double intercept, loglik, coef[PLAN_FEATURES_MAX];
};

/* Sets the plan's features to the reference's names, means and standard deviations. */
static void read_reference(const char *name, struct plan *plan, struct reference *ref)
{
    char path[1024];
    const char *vectors = getenv("CONSILIUM_VECTORS");
    assert_non_null(vectors);
    snprintf(path, sizeof path, "%s/%s_ridge.txt", vectors, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d %d %lf %lf", &ref->features, &ref->rows, &ref->intercept,
                            &ref->loglik),
                     4);
    assert_int_equal(ref->features, plan->features_count);
    for (int i = 0; i < ref->features; i++) {
        struct plan_feature *feature = &plan->features[i];
        feature->type = FEATURE_NUMBER;
        feature->low = -1e6;
        feature->high = 1e6;
        assert_int_equal(fscanf(f, "%63s %lf %lf %lf", feature->name, &feature->centre,
                                &feature->spread, &ref->coef[i]),
                         4);
    }
    fclose(f);
    plan->validation.fold_column[0] = 0;
    plan->validation.holdout = 0.0;
}

static void load_all(const struct plan *plan, const char *folder, struct dataset *sets)
{
    static const unsigned char key[DATASET_KEY_BYTES] = {1};
    for (unsigned i = 0; i < plan->sites_count; i++) {
        char path[1200];
        struct why why;
        snprintf(path, sizeof path, "%s/%s.csv", folder, plan->sites[i].name);
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        if (!ok(dataset_load(&sets[i], plan, NULL, path, file, key, &why)))
            fail_msg("%s", why.text);
        fclose(file);
    }
}

/* Gradient of the mean loss over all sites' patients. */
static void pooled_gradient(struct plain_gradient *plain, const struct dataset *sets,
                            unsigned count, size_t total, const double *w, double *part,
                            double *gradient)
{
    size_t order[8192];
    memset(gradient, 0, plain->model->parameters * sizeof *gradient);
    for (unsigned i = 0; i < count; i++) {
        size_t n = sets[i].train.patients;
        assert_in_range(n, 1, 8192);
        for (size_t p = 0; p < n; p++)
            order[p] = p;
        plain_gradient_mean(plain, &sets[i].train, w, order, n, part);
        blas_add(plain->model->parameters, (double)n / (double)total, part, gradient);
    }
}

static void check_coefficients(const char *study, const char *name, const char *data, int steps)
{
    char folder[1024];
    struct plan plan;
    struct reference ref;
    struct model model;
    struct optim optim;
    struct why why;
    static struct plain_gradient plain;
    struct dataset sets[FEDERATION_SITES_MAX];
    double w[64] = {0}, g[64], part[64];
    if (!data_folder(data, folder, sizeof folder))
        return;
    load_plan(&plan, study);
    read_reference(name, &plan, &ref);
    load_all(&plan, folder, sets);
    size_t total = 0;
    for (unsigned i = 0; i < plan.sites_count; i++)
        total += sets[i].train.patients;
    assert_int_equal(total, ref.rows);
    assert_true(ok(plan_build_model(&plan, &model, &why)));
    assert_int_equal(plain_gradient_create(&plain, &model), MODEL_OK);
    struct optim_settings settings = optim_defaults();
    settings.rate = 1.0;
    settings.momentum = 0.9;
    settings.l2 = 1.0 / ref.rows; /* the reference penalises the summed loss by |w|^2/2 */
    assert_int_equal(optim_create(&optim, &model, &settings), OPTIM_OK);
    for (int step = 0; step < steps; step++) {
        pooled_gradient(&plain, sets, plan.sites_count, total, w, part, g);
        optim_step(&optim, w, g, NULL);
    }
    for (int i = 0; i < ref.features; i++)
        assert_true(fabs(w[i] - ref.coef[i]) < 1e-6);
    assert_true(fabs(w[ref.features] - ref.intercept) < 1e-6);
    optim_free(&optim);
    plain_gradient_free(&plain);
    for (unsigned i = 0; i < plan.sites_count; i++)
        dataset_free(&sets[i]);
    plan_free(&plan);
}

static void coefficients_match_reference_fits(void **state)
{
    (void)state;
    check_coefficients("heart", "heart", "heart/encoded", 400);
    check_coefficients("stroke-encoded", "stroke_6m", "stroke/encoded", 400);
}

int main(void)
{
    blas_use_one_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(coefficients_match_reference_fits),
        cmocka_unit_test(stroke_federated_equals_pooled),
        cmocka_unit_test(stroke_with_privacy),
        cmocka_unit_test(heart_reaches_published_accuracies),
    };
    return cmocka_run_group_tests_name("federated", tests, NULL, NULL);
}
