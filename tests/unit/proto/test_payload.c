/* SPDX-License-Identifier: Apache-2.0 */
/* Models, updates and evaluations survive the wire; cut and non-finite ones are refused. */
#include "proto/payload.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void model_sets(void **state)
{
    (void)state;
    float a[] = {1.0f, -2.5f, 0.0f}, b[] = {3.0f, 4.0f, 5.0f};
    struct payload_model models[] = {{"global", a}, {"alpha", b}};
    struct payload_model_set in = {7, 3, 2, models}, out;
    unsigned char *bytes;
    size_t n;
    struct why why;
    assert_true(ok(payload_model_set_encode(&in, &bytes, &n, &why)));
    assert_true(ok(payload_model_set_decode(&out, bytes, n, &why)));
    assert_int_equal(out.models_count, 2);
    assert_string_equal(out.models[1].name, "alpha");
    assert_memory_equal(out.models[1].parameters, b, sizeof b);
    payload_model_set_free(&out);
    for (size_t cut = 0; cut < n; cut++) {
        if (ok(payload_model_set_decode(&out, bytes, cut, &why))) {
            assert_true(out.models_count < 2); /* cut between two whole models */
            payload_model_set_free(&out);
        }
    }
    free(bytes);
    b[1] = NAN;
    assert_true(ok(payload_model_set_encode(&in, &bytes, &n, &why)));
    assert_int_equal(payload_model_set_decode(&out, bytes, n, &why).code, RESULT_INPUT);
    assert_non_null(strstr(why.text, "alpha"));
    free(bytes);
}

static void updates(void **state)
{
    (void)state;
    unsigned char frame[] = {1, 2, 3};
    struct payload_update in = {3, 700, 0.5, 1.0, 0.01, 9000, frame, sizeof frame}, out;
    unsigned char *bytes;
    size_t n;
    struct why why;
    assert_true(ok(payload_update_encode(&in, &bytes, &n, &why)));
    assert_true(ok(payload_update_decode(&out, bytes, n, &why)));
    assert_int_equal(out.declared_patients, 700);
    assert_int_equal(out.frame_n, 3);
    assert_memory_equal(out.frame, frame, 3);
    payload_update_free(&out);
    free(bytes);
    in.epsilon_spent = -1.0;
    assert_true(ok(payload_update_encode(&in, &bytes, &n, &why)));
    assert_false(ok(payload_update_decode(&out, bytes, n, &why)));
    free(bytes);
}

static void evaluations(void **state)
{
    (void)state;
    struct evaluation_figures groups[2] = {{.status = EVALUATION_OK, .auroc = 0.8, .loss = NAN},
                                           {.status = EVALUATION_BELOW_MINIMUM_CELL}};
    strcpy(groups[1].group, "sex=F");
    struct evaluation_model model = {.name = "global", .groups_count = 2, .groups = groups};
    model.bins_count = 2;
    model.positives[1] = 4.0;
    struct payload_evaluation in = {5, 1, &model, 0.25}, out;
    unsigned char *bytes;
    size_t n;
    struct why why;
    assert_true(ok(payload_evaluation_encode(&in, &bytes, &n, &why)));
    assert_true(ok(payload_evaluation_decode(&out, bytes, n, &why)));
    assert_true(out.models[0].groups[0].auroc == 0.8);
    assert_true(isnan(out.models[0].groups[0].loss));
    assert_int_equal(out.models[0].groups[1].status, EVALUATION_BELOW_MINIMUM_CELL);
    assert_string_equal(out.models[0].groups[1].group, "sex=F");
    assert_true(out.models[0].positives[1] == 4.0);
    payload_evaluation_free(&out);
    for (size_t cut = 1; cut < n; cut++) {
        if (ok(payload_evaluation_decode(&out, bytes, cut, &why)))
            payload_evaluation_free(&out);
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model_sets),
        cmocka_unit_test(updates),
        cmocka_unit_test(evaluations),
    };
    return cmocka_run_group_tests_name("payload", tests, NULL, NULL);
}
