/* SPDX-License-Identifier: Apache-2.0 */
/* Models: shapes and limits, gradients against central differences, a logistic fit against an
 * independent Newton iteration. */
#include "linalg/blas.h"
#include "linalg/model.h"
#include "linalg/optim.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 7, INPUTS = 5 };

static double pseudo(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) * 0x1p-52 - 1.0;
}

static double loss_at(const struct model *m, const double *w, const double *x, const double *y,
                      const double *weight, struct model_work *work)
{
    memcpy(work->a[0], x, ROWS * INPUTS * sizeof *x);
    model_forward(m, w, ROWS, work);
    return model_backward(m, w, ROWS, y, weight, work);
}

static void check_gradient(const struct model_spec *spec)
{
    struct model m;
    struct model_work work;
    assert_int_equal(model_build(&m, spec), MODEL_OK);
    assert_int_equal(model_work_create(&work, &m, ROWS + 2), MODEL_OK);
    double *w = calloc(m.parameters, sizeof *w), *g = calloc(m.parameters, sizeof *g);
    assert_non_null(w);
    assert_non_null(g);
    uint64_t state = 11;
    double x[ROWS * INPUTS], y[ROWS], weight[ROWS];
    for (size_t i = 0; i < ROWS * INPUTS; i++)
        x[i] = pseudo(&state);
    for (size_t r = 0; r < ROWS; r++) {
        y[r] = (double)(r % (spec->outputs == 1 ? 2 : spec->outputs));
        if (spec->output == OUTPUT_HAZARD) /* follow-up, negative where censored */
            y[r] = (r % 2 ? 1.0 : -1.0) * (0.3 + 0.2 * (double)r);
        weight[r] = 0.5 + (double)r;
    }
    model_initial(&m, 5, w);
    for (size_t i = 0; i < m.parameters; i++)
        w[i] += 0.1 * pseudo(&state);
    loss_at(&m, w, x, y, weight, &work);
    model_gradient(&m, ROWS, &work, g);
    for (size_t i = 0; i < m.parameters; i++) {
        double kept = w[i], h = 1e-6;
        w[i] = kept + h;
        double up = loss_at(&m, w, x, y, weight, &work);
        w[i] = kept - h;
        double down = loss_at(&m, w, x, y, weight, &work);
        w[i] = kept;
        assert_true(fabs((up - down) / (2.0 * h) - g[i]) <= 1e-6 * (1.0 + fabs(g[i])));
    }
    free(w);
    free(g);
    model_work_free(&work);
}

static void gradients_match_differences(void **state)
{
    (void)state;
    const struct model_spec specs[] = {
        {.output = OUTPUT_LINEAR, .inputs = INPUTS, .outputs = 1},
        {.output = OUTPUT_LOGISTIC, .inputs = INPUTS, .outputs = 1},
        {.output = OUTPUT_SOFTMAX, .inputs = INPUTS, .outputs = 3},
        {.output = OUTPUT_HAZARD, .inputs = INPUTS, .outputs = 1},
        {.output = OUTPUT_LOGISTIC,
         .activation = MODEL_TANH,
         .inputs = INPUTS,
         .outputs = 1,
         .hidden_count = 2,
         .hidden = {6, 4}},
        {.output = OUTPUT_SOFTMAX,
         .activation = MODEL_RELU,
         .inputs = INPUTS,
         .outputs = 4,
         .hidden_count = 3,
         .hidden = {8, 1, 7}},
        {.output = OUTPUT_LINEAR,
         .activation = MODEL_RELU,
         .inputs = INPUTS,
         .outputs = 1,
         .hidden_count = 1,
         .hidden = {9}},
    };
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
        check_gradient(&specs[i]);
}

static void tensors_cover_the_block(void **state)
{
    (void)state;
    struct model_spec spec = {
        .output = OUTPUT_SOFTMAX, .inputs = 10, .outputs = 3, .hidden_count = 1, .hidden = {4}};
    struct model m;
    assert_int_equal(model_build(&m, &spec), MODEL_OK);
    assert_int_equal(m.parameters, 10 * 4 + 4 + 4 * 3 + 3);
    assert_int_equal(m.tensors, 4);
    size_t at = 0;
    for (size_t t = 0; t < m.tensors; t++) {
        assert_int_equal(m.tensor[t].offset, at);
        at += m.tensor[t].rows * m.tensor[t].cols;
    }
    assert_int_equal(at, m.parameters);
    assert_string_equal(m.tensor[3].name, "layer2.bias");
    assert_false(m.tensor[3].penalised);
    assert_int_equal(m.intercept_offset, 56);
    assert_int_equal(m.intercepts, 3);
}

static void limits_are_limits(void **state)
{
    (void)state;
    struct model m;
    struct model_work work;
    struct model_spec spec = {.output = OUTPUT_LOGISTIC, .inputs = MODEL_MAX_INPUTS, .outputs = 1};
    assert_int_equal(model_build(&m, &spec), MODEL_OK);
    spec.inputs++;
    assert_int_equal(model_build(&m, &spec), MODEL_BAD_SHAPE);
    spec.inputs = 0;
    assert_int_equal(model_build(&m, &spec), MODEL_BAD_SHAPE);
    spec.inputs = 3;
    spec.outputs = 2;
    assert_int_equal(model_build(&m, &spec), MODEL_BAD_SHAPE);
    spec = (struct model_spec){.output = OUTPUT_SOFTMAX, .inputs = 3, .outputs = 1};
    assert_int_equal(model_build(&m, &spec), MODEL_BAD_SHAPE);
    spec.outputs = MODEL_MAX_CLASSES;
    assert_int_equal(model_build(&m, &spec), MODEL_OK);
    assert_int_equal(model_work_create(&work, &m, 0), MODEL_BAD_SHAPE);
    assert_int_equal(model_work_create(&work, &m, MODEL_MAX_ROWS + 1), MODEL_BAD_SHAPE);
    spec = (struct model_spec){.output = OUTPUT_LOGISTIC,
                               .inputs = MODEL_MAX_INPUTS,
                               .outputs = 1,
                               .hidden_count = 1,
                               .hidden = {MODEL_MAX_UNITS}};
    assert_int_equal(model_build(&m, &spec), MODEL_TOO_LARGE);
    spec.hidden[0] = MODEL_MAX_UNITS + 1;
    assert_int_equal(model_build(&m, &spec), MODEL_BAD_SHAPE);
}

static void extreme_scores_stay_finite(void **state)
{
    (void)state;
    struct model m;
    struct model_work work;
    struct model_spec spec = {.output = OUTPUT_SOFTMAX, .inputs = 1, .outputs = 2};
    assert_int_equal(model_build(&m, &spec), MODEL_OK);
    assert_int_equal(model_work_create(&work, &m, 2), MODEL_OK);
    const double w[] = {5000.0, -5000.0, 0.0, 0.0}, y[] = {1.0, 7.0};
    work.a[0][0] = 1.0;
    work.a[0][1] = -1.0;
    model_forward(&m, w, 2, &work);
    assert_true(work.score[0] == 1.0 && work.score[1] == 0.0);
    assert_true(model_backward(&m, w, 1, y, NULL, &work) == 10000.0);
    /* a class that does not exist spoils its own row only */
    assert_true(isnan(model_backward(&m, w, 2, y, NULL, &work)));
    assert_true(work.d[0][0] == 1.0 && isnan(work.d[0][2]));
    model_work_free(&work);
    spec = (struct model_spec){.output = OUTPUT_LOGISTIC, .inputs = 1, .outputs = 1};
    assert_int_equal(model_build(&m, &spec), MODEL_OK);
    assert_int_equal(model_work_create(&work, &m, 2), MODEL_OK);
    work.a[0][0] = 1.0;
    work.a[0][1] = -1.0;
    const double steep[] = {5000.0, 0.0}, wrong[] = {0.0, 1.0};
    model_forward(&m, steep, 2, &work);
    assert_true(work.score[0] == 1.0 && work.score[1] == 0.0);
    assert_true(model_backward(&m, steep, 2, wrong, NULL, &work) == 10000.0);
    model_work_free(&work);
    spec.output = OUTPUT_HAZARD;
    const double followed[] = {-2.0, 3.0};
    assert_int_equal(model_build(&m, &spec), MODEL_OK);
    assert_int_equal(model_work_create(&work, &m, 2), MODEL_OK);
    work.a[0][0] = 1.0;
    work.a[0][1] = -1.0;
    model_forward(&m, steep, 2, &work);
    assert_true(work.score[0] == 1.0 && work.score[1] == 0.0);
    double loss = model_backward(&m, steep, 2, followed, NULL, &work);
    assert_true(isfinite(loss) && loss > 5000.0);
    model_work_free(&work);
}

enum { FIT_ROWS = 60, FIT_INPUTS = 3 };

static void read_fit(double *expected, double *loglik, double *x, double *y)
{
    char path[512];
    const char *folder = getenv("CONSILIUM_VECTORS");
    assert_non_null(folder);
    snprintf(path, sizeof path, "%s/logistic_ridge.txt", folder);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    int n, d;
    assert_int_equal(fscanf(f, "%d %d", &n, &d), 2);
    assert_int_equal(n, FIT_ROWS);
    assert_int_equal(d, FIT_INPUTS);
    for (size_t j = 0; j <= FIT_INPUTS; j++)
        assert_int_equal(fscanf(f, "%lf", &expected[j]), 1);
    assert_int_equal(fscanf(f, "%lf", loglik), 1);
    for (size_t r = 0; r < FIT_ROWS; r++) {
        for (size_t j = 0; j < FIT_INPUTS; j++)
            assert_int_equal(fscanf(f, "%lf", &x[r * FIT_INPUTS + j]), 1);
        assert_int_equal(fscanf(f, "%lf", &y[r]), 1);
    }
    fclose(f);
}

/* Ridge with penalty |w|^2/2 on the summed loss, intercept free. */
static void logistic_fit_matches_newton(void **state)
{
    (void)state;
    double expected[FIT_INPUTS + 1], loglik, x[FIT_ROWS * FIT_INPUTS], y[FIT_ROWS];
    read_fit(expected, &loglik, x, y);
    struct model m;
    struct model_work work;
    struct optim optim;
    struct model_spec spec = {.output = OUTPUT_LOGISTIC, .inputs = FIT_INPUTS, .outputs = 1};
    assert_int_equal(model_build(&m, &spec), MODEL_OK);
    assert_int_equal(model_work_create(&work, &m, FIT_ROWS), MODEL_OK);
    struct optim_settings settings = optim_defaults();
    settings.rate = 0.5;
    settings.momentum = 0.8;
    settings.l2 = 1.0 / FIT_ROWS;
    assert_int_equal(optim_create(&optim, &m, &settings), OPTIM_OK);
    double w[FIT_INPUTS + 1] = {0}, g[FIT_INPUTS + 1], loss = 0.0;
    memcpy(work.a[0], x, sizeof x);
    for (int step = 0; step < 2000; step++) {
        memset(g, 0, sizeof g);
        model_forward(&m, w, FIT_ROWS, &work);
        loss = model_backward(&m, w, FIT_ROWS, y, NULL, &work);
        model_gradient(&m, FIT_ROWS, &work, g);
        for (size_t i = 0; i <= FIT_INPUTS; i++)
            g[i] /= FIT_ROWS;
        optim_step(&optim, w, g, NULL);
    }
    for (size_t i = 0; i <= FIT_INPUTS; i++)
        assert_true(fabs(w[i] - expected[i]) < 1e-10);
    assert_true(fabs(loss + loglik) < 1e-9);
    optim_free(&optim);
    model_work_free(&work);
}

int main(void)
{
    blas_use_one_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_match_differences), cmocka_unit_test(tensors_cover_the_block),
        cmocka_unit_test(limits_are_limits),           cmocka_unit_test(extreme_scores_stay_finite),
        cmocka_unit_test(logistic_fit_matches_newton),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
