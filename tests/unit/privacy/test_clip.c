/* SPDX-License-Identifier: Apache-2.0 */
/* Clipped sums against explicit per-patient gradients; broken patients, empty slots, limits. */
#include "privacy/clip.h"

#include "linalg/blas.h"
#include "linalg/vec.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { INPUTS = 9, PATIENTS = 37, ROWS_MAX = PATIENTS * 20 };

struct cohort {
    double x[ROWS_MAX * INPUTS], y[ROWS_MAX], weight[ROWS_MAX];
    uint32_t first[PATIENTS + 1];
    size_t chosen[PATIENTS];
    struct clip_rows rows;
};

static double pseudo(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) * 0x1p-52 - 1.0;
}

static struct clip_settings settings_for(const struct model *m, double norm, double noise,
                                         size_t batch_rows, size_t patient_rows)
{
    struct clip_settings s = {.batch_rows = batch_rows, .patient_rows = patient_rows};
    assert_int_equal(release_grid_init(&s.grid, norm, noise, m->parameters, CLIP_SLOT_ROWS_MAX), 0);
    return s;
}

/* Patient p has 1 + p % most rows; the last one repeats the first negated, so that rows cancel. */
static void make_cohort(struct cohort *c, size_t most, size_t classes)
{
    uint64_t state = 3;
    uint32_t at = 0;
    for (size_t p = 0; p < PATIENTS; p++) {
        c->first[p] = at;
        c->chosen[p] = p;
        at += (uint32_t)(1 + p % most);
    }
    c->first[PATIENTS] = at;
    for (size_t i = 0; i < at * INPUTS; i++)
        c->x[i] = 3.0 * pseudo(&state);
    for (size_t r = 0; r < at; r++) {
        c->y[r] = (double)(r % classes);
        c->weight[r] = 1.0 + 0.5 * (double)(r % classes);
    }
    c->rows = (struct clip_rows){
        .x = c->x, .y = c->y, .weight = c->weight, .square = NULL, .first = c->first};
}

/* The mean gradient over one patient's rows, each row cut at limit first when there are several. */
static void patient_gradient(const struct model *m, const double *w, const struct cohort *c,
                             size_t p, double limit, double *g)
{
    struct model_work work;
    size_t from = c->first[p], count = c->first[p + 1] - from;
    double *row = calloc(m->parameters, sizeof *row);
    assert_non_null(row);
    memset(g, 0, m->parameters * sizeof *g);
    for (size_t r = from; r < from + count; r++) {
        assert_int_equal(model_work_create(&work, m, 1), MODEL_OK);
        memcpy(work.a[0], c->x + r * INPUTS, INPUTS * sizeof(double));
        double weight = c->weight[r] / (double)count;
        model_forward(m, w, 1, &work);
        model_backward(m, w, 1, c->y + r, &weight, &work);
        memset(row, 0, m->parameters * sizeof *row);
        model_gradient(m, 1, &work, row);
        double norm = vec_norm(m->parameters, row);
        double factor = count > 1 && norm > limit ? limit / norm : 1.0;
        for (size_t i = 0; i < m->parameters; i++)
            g[i] += factor * row[i];
        model_work_free(&work);
    }
    free(row);
}

static void check_against_explicit(const struct model_spec *spec, size_t most, double norm,
                                   size_t batch_rows)
{
    struct cohort *c = calloc(1, sizeof *c);
    struct model m;
    struct clip clip;
    assert_non_null(c);
    make_cohort(c, most, spec->outputs == 1 ? 2 : spec->outputs);
    assert_int_equal(model_build(&m, spec), MODEL_OK);
    double *w = calloc(m.parameters, sizeof *w), *g = calloc(m.parameters, sizeof *g);
    double *expected = calloc(m.parameters, sizeof *expected);
    assert_true(w && g && expected);
    uint64_t state = 17;
    model_initial(&m, 4, w);
    for (size_t i = 0; i < m.parameters; i++)
        w[i] += 0.3 * pseudo(&state);
    size_t cut = 0;
    for (size_t p = 0; p < PATIENTS; p++) {
        patient_gradient(&m, w, c, p, CLIP_ROW_NORMS_MAX * norm, g);
        double length = vec_norm(m.parameters, g), factor = fmin(1.0, norm / length);
        cut += factor < 1.0;
        for (size_t i = 0; i < m.parameters; i++)
            expected[i] += factor * g[i];
    }
    assert_true(cut > 0 || norm > 1.0);
    struct clip_settings s = settings_for(&m, norm, 1e-3, batch_rows, 20);
    assert_int_equal(clip_create(&clip, &m, &s), CLIP_OK);
    clip_begin(&clip);
    assert_int_equal(clip_add(&clip, w, &c->rows, c->chosen, PATIENTS), CLIP_OK);
    for (size_t i = 0; i < m.parameters; i++) {
        /* half a grid step, and rounding */
        double error = fabs((double)clip.sum[i] * s.grid.step - expected[i]);
        assert_true(error <= 0.5 * s.grid.step + 1e-12 * norm);
    }
    clip_free(&clip);
    free(w);
    free(g);
    free(expected);
    free(c);
}

static void sums_match_explicit_gradients(void **state)
{
    (void)state;
    const struct model_spec specs[] = {
        {.output = OUTPUT_LOGISTIC, .inputs = INPUTS, .outputs = 1},
        {.output = OUTPUT_SOFTMAX, .inputs = INPUTS, .outputs = 3},
        {.output = OUTPUT_LINEAR, .inputs = INPUTS, .outputs = 1},
        {.output = OUTPUT_HAZARD, .inputs = INPUTS, .outputs = 1},
        {.output = OUTPUT_LOGISTIC,
         .activation = MODEL_TANH,
         .inputs = INPUTS,
         .outputs = 1,
         .hidden_count = 2,
         .hidden = {16, 5}},
        {.output = OUTPUT_SOFTMAX,
         .inputs = INPUTS,
         .outputs = 4,
         .hidden_count = 1,
         .hidden = {40}},
    };
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
        for (size_t most = 1; most <= 20; most += most == 1 ? 7 : 12) {
            check_against_explicit(&specs[i], most, 0.7, 20);
            check_against_explicit(&specs[i], most, 4.0, CLIP_BATCH_ROWS_MAX);
        }
}

static void no_patient_exceeds_the_norm(void **state)
{
    (void)state;
    struct cohort *c = calloc(1, sizeof *c);
    assert_non_null(c);
    make_cohort(c, 8, 2);
    for (size_t i = 0; i < c->first[PATIENTS] * INPUTS; i++)
        c->x[i] *= 1e6;
    struct model_spec spec = {.output = OUTPUT_LOGISTIC, .inputs = INPUTS, .outputs = 1};
    struct model m;
    struct clip clip;
    assert_int_equal(model_build(&m, &spec), MODEL_OK);
    struct clip_settings s = settings_for(&m, 1.0, 0.5, 64, 8);
    assert_int_equal(clip_create(&clip, &m, &s), CLIP_OK);
    double w[INPUTS + 1] = {0}, g[INPUTS + 1];
    for (size_t p = 0; p < PATIENTS; p++) {
        clip_begin(&clip);
        assert_int_equal(clip_add(&clip, w, &c->rows, &p, 1), CLIP_OK);
        for (size_t i = 0; i <= INPUTS; i++)
            g[i] = (double)clip.sum[i] * s.grid.step;
        assert_true(vec_norm(INPUTS + 1, g) <= s.grid.clip * (1.0 + s.grid.slack));
    }
    assert_true(s.grid.slack < 1e-5);
    clip_free(&clip);
    free(c);
}

/* One broken patient adds zero and leaves the others' sum as if absent. */
static void broken_patients_add_exactly_zero(void **state)
{
    (void)state;
    struct cohort *c = calloc(1, sizeof *c);
    assert_non_null(c);
    make_cohort(c, 3, 2);
    struct model_spec spec = {.output = OUTPUT_LOGISTIC,
                              .inputs = INPUTS,
                              .outputs = 1,
                              .hidden_count = 1,
                              .hidden = {6}};
    struct model m;
    struct clip clip;
    assert_int_equal(model_build(&m, &spec), MODEL_OK);
    struct clip_settings s = settings_for(&m, 1.0, 1.0, 256, 3);
    assert_int_equal(clip_create(&clip, &m, &s), CLIP_OK);
    double w[128], kept[128];
    model_initial(&m, 1, w);
    size_t others[PATIENTS - 1];
    for (size_t p = 0, at = 0; p < PATIENTS; p++)
        if (p != 5)
            others[at++] = p;
    clip_begin(&clip);
    assert_int_equal(clip_add(&clip, w, &c->rows, others, PATIENTS - 1), CLIP_OK);
    for (size_t i = 0; i < m.parameters; i++)
        kept[i] = (double)clip.sum[i];
    const double broken[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, 1e200};
    for (size_t k = 0; k < sizeof broken / sizeof *broken; k++) {
        c->x[(c->first[5] + 1) * INPUTS + k] = broken[k];
        clip_begin(&clip);
        assert_int_equal(clip_add(&clip, w, &c->rows, c->chosen, PATIENTS), CLIP_OK);
        for (size_t i = 0; i < m.parameters; i++)
            assert_true(fabs((double)clip.sum[i] - kept[i]) <= 1.0);
        c->x[(c->first[5] + 1) * INPUTS + k] = 0.5;
    }
    size_t alone = 5;
    c->x[c->first[5] * INPUTS] = (double)NAN;
    clip_begin(&clip);
    assert_int_equal(clip_add(&clip, w, &c->rows, &alone, 1), CLIP_OK);
    assert_int_equal(clip_add(&clip, w, &c->rows, &alone, 0), CLIP_OK);
    for (size_t i = 0; i < m.parameters; i++)
        assert_int_equal(clip.sum[i], 0);
    clip_free(&clip);
    free(c);
}

/* Integer sums: the order of the slots does not matter, not even in the last bit. */
static void slots_add_in_any_order(void **state)
{
    (void)state;
    struct cohort *c = calloc(1, sizeof *c);
    assert_non_null(c);
    make_cohort(c, 2, 2);
    struct model_spec spec = {.output = OUTPUT_LOGISTIC, .inputs = INPUTS, .outputs = 1};
    struct model m;
    struct clip clip;
    assert_int_equal(model_build(&m, &spec), MODEL_OK);
    struct clip_settings s = settings_for(&m, 1.0, 1.0, 16, 2);
    assert_int_equal(clip_create(&clip, &m, &s), CLIP_OK);
    double w[INPUTS + 1] = {0.1};
    int64_t sum[INPUTS + 1];
    clip_begin(&clip);
    for (size_t p = 0; p < PATIENTS; p++)
        assert_int_equal(clip_add(&clip, w, &c->rows, &p, 1), CLIP_OK);
    memcpy(sum, clip.sum, sizeof sum);
    clip_begin(&clip);
    for (size_t p = PATIENTS; p-- > 0;)
        assert_int_equal(clip_add(&clip, w, &c->rows, &p, 1), CLIP_OK);
    assert_memory_equal(sum, clip.sum, sizeof sum);
    clip_free(&clip);
    free(c);
}

static void limits_are_limits(void **state)
{
    (void)state;
    struct model_spec spec = {.output = OUTPUT_LOGISTIC, .inputs = 2, .outputs = 1};
    struct model m;
    struct clip clip;
    assert_int_equal(model_build(&m, &spec), MODEL_OK);
    const struct clip_settings good = settings_for(&m, 1.0, 1.0, 4, 2);
    struct clip_settings bad[5];
    for (size_t i = 0; i < 5; i++)
        bad[i] = good;
    bad[0].grid.clip = 0.0;
    bad[1].grid.step = (double)NAN;
    bad[2].patient_rows = 5;
    bad[3].batch_rows = CLIP_BATCH_ROWS_MAX + 1;
    bad[4].patient_rows = 0;
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(clip_create(&clip, &m, &bad[i]), CLIP_BAD_SETTING);
    assert_int_equal(clip_create(&clip, &m, &good), CLIP_OK);
    const double x[] = {1, 2, 3, 4, 5, 6}, y[] = {0, 1, 0}, w[3] = {0};
    const uint32_t two[] = {0, 2}, three[] = {0, 3};
    const size_t zero = 0;
    struct clip_rows rows = {.x = x, .y = y, .first = two};
    clip_begin(&clip);
    assert_int_equal(clip_add(&clip, w, &rows, &zero, 1), CLIP_OK);
    rows.first = three;
    assert_int_equal(clip_add(&clip, w, &rows, &zero, 1), CLIP_TOO_MANY_ROWS);
    assert_int_equal(clip_slots(0, 1), 1);
    assert_int_equal(clip_slots(10240, 1), 11);
    assert_int_equal(clip_slots(2560, CLIP_PATIENT_ROWS_MAX), 161);
    clip_free(&clip);
    clip_free(&clip);
}

int main(void)
{
    blas_use_one_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_match_explicit_gradients),
        cmocka_unit_test(no_patient_exceeds_the_norm),
        cmocka_unit_test(broken_patients_add_exactly_zero),
        cmocka_unit_test(slots_add_in_any_order),
        cmocka_unit_test(limits_are_limits),
    };
    return cmocka_run_group_tests_name("clip", tests, NULL, NULL);
}
