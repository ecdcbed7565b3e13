/* SPDX-License-Identifier: Apache-2.0 */
/* Ten thousand sites in secret random groups of a hundred, against hostile fractions and attacks;
 * and what forged updates look like. */
#include "coordinator/aggregate/attack.h"
#include "coordinator/aggregate/group.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const unsigned char KEY[RNG_KEY_BYTES] = "groups of a hundred";

static double gaussian(struct rng *rng)
{
    double u = 1.0 - rng_uniform(rng);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * rng_uniform(rng));
}

static void dealt(void **state)
{
    (void)state;
    struct rng rng;
    rng_init_seeded(&rng, KEY, 1);
    struct groups groups;
    struct why why = {""};
    assert_true(ok(group_draw(1234, 100, &rng, &groups, &why)));
    assert_int_equal(groups.count, 13);
    assert_int_equal(group_first(&groups, 13), 1234);
    bool seen[1234] = {false};
    for (size_t i = 0; i < 1234; i++) {
        assert_false(seen[groups.order[i]]);
        seen[groups.order[i]] = true;
    }
    for (size_t k = 0; k < 13; k++) {
        size_t members = group_first(&groups, k + 1) - group_first(&groups, k);
        assert_true(members == 94 || members == 95);
    }
    group_free(&groups);
    assert_int_equal(group_draw(0, 100, &rng, &groups, &why).code, RESULT_INPUT);
    assert_int_equal(group_draw(GROUP_SITES_MAX + 1, 2000, &rng, &groups, &why).code, RESULT_INPUT);
    assert_int_equal(group_draw(10, AGG_ROWS_MAX + 1, &rng, &groups, &why).code, RESULT_INPUT);
    /* delta 0.05: 5 expected, 12 planned for; more than 12 is rarer than Hoeffding says. */
    assert_int_equal(group_hostile(100, 10000, 500), 12);
    assert_int_equal(group_hostile(100, 10000, 0), 0);
    assert_true(group_failure_log10(100, 10000, 500) < -0.4);
}

/* Distance of the result from the honest truth (zero), in units of what the honest mean itself
 * misses it by. */
static double loss(const char *inner_rule, const char *outer_rule, double attack_mean)
{
    enum { SITES = 10000, HOSTILE = 500, D = 32 };
    struct rng rng;
    rng_init_seeded(&rng, KEY, 2);
    float *x = calloc((size_t)SITES * D, sizeof *x);
    const float **rows = calloc(SITES, sizeof *rows);
    float out[D];
    for (size_t i = 0; i < SITES; i++) {
        rows[i] = x + i * D;
        for (size_t c = 0; c < D; c++)
            x[i * D + c] = (float)(i % 20 == 7 ? attack_mean : gaussian(&rng));
    }
    struct groups groups;
    struct agg_rule inner;
    struct agg_rule outer;
    struct why why = {""};
    struct agg_source source = {.n = SITES, .d = D, .rows = rows};
    assert_true(ok(group_draw(SITES, GROUP_SIZE, &rng, &groups, &why)));
    assert_true(ok(agg_rule_parse(inner_rule, &inner, &why)));
    assert_true(ok(agg_rule_parse(outer_rule, &outer, &why)));
    agg_rule_set_f(&outer, 10);
    struct result r = group_run(&groups, &inner, HOSTILE, &outer, &source, 2, out, &why);
    if (!ok(r))
        fail_msg("%s", why.text);
    double square = 0.0;
    for (size_t c = 0; c < D; c++)
        square += (double)out[c] * (double)out[c];
    group_free(&groups);
    free(x);
    free(rows);
    return sqrt(square / D) * sqrt((double)(SITES - HOSTILE));
}

static void ten_thousand_sites(void **state)
{
    (void)state;
    /* Attacks at -1.5 (hidden among honest values), 10 and 1e6 standard deviations. */
    static const double ATTACK[] = {-1.5, 10.0, 1e6};
    for (int k = 0; k < 3; k++) {
        double trimmed = loss("trimmed-mean", "trimmed-mean", ATTACK[k]);
        double median = loss("median", "median", ATTACK[k]);
        double mixed = loss("nnm+trimmed-mean", "median", ATTACK[k]);
        print_message("attack %g: trimmed mean %.2f, median %.2f, nnm+trimmed mean %.2f\n",
                      ATTACK[k], trimmed, median, mixed);
        assert_true(trimmed < 13.0 && median < 9.0 && mixed < 13.0);
    }
    assert_true(loss("trimmed-mean", "mean", 1e6) < 13.0);
    assert_true(loss("mean", "mean", 10.0) > 40.0);
}

enum { HONEST = 8, COORDINATES = 50 };

static struct attack_view view_of(float x[HONEST][COORDINATES], const float **rows, float *own)
{
    struct rng rng;
    rng_init_seeded(&rng, KEY, 3);
    for (int i = 0; i < HONEST; i++) {
        rows[i] = x[i];
        for (int c = 0; c < COORDINATES; c++)
            x[i][c] = (float)(1.0 + 0.2 * gaussian(&rng));
    }
    for (int c = 0; c < COORDINATES; c++)
        own[c] = x[0][c];
    return (struct attack_view){
        .n = 10, .f = 2, .d = COORDINATES, .honest_count = HONEST, .honest = rows, .own = own};
}

static double distance(const float *a, const float *b)
{
    double sum = 0.0;
    for (int c = 0; c < COORDINATES; c++)
        sum += ((double)a[c] - (double)b[c]) * ((double)a[c] - (double)b[c]);
    return sqrt(sum);
}

static void forged(void **state)
{
    (void)state;
    float x[HONEST][COORDINATES];
    const float *rows[HONEST];
    float own[COORDINATES];
    float out[COORDINATES];
    float zero[COORDINATES] = {0};
    struct attack_view view = view_of(x, rows, own);
    struct rng rng;
    rng_init_seeded(&rng, KEY, 4);
    for (size_t k = 0; k < ATTACK_METHODS; k++) {
        struct attack_choice choice;
        struct why why = {""};
        assert_true(ok(attack_parse(ATTACK_GALLERY[k].name, &choice, &why)));
        assert_int_equal(choice.method, k);
        assert_true(attack_forge(&choice, &view, &rng, out));
        bool finite = true;
        for (int c = 0; c < COORDINATES; c++)
            finite = finite && isfinite(out[c]);
        assert_true(finite == (k != ATTACK_NAN && k != ATTACK_INFINITE));
        double norm = distance(out, zero);
        if (k == ATTACK_SIGN_FLIP)
            assert_true(out[0] < -0.5f && out[1] < -0.5f);
        if (k == ATTACK_SCALE)
            assert_true(norm > 8.5 * distance(x[0], zero) * 0.9);
        if (k == ATTACK_FREE_RIDER)
            assert_true(norm == 0.0);
        if (k == ATTACK_MIMIC) {
            double nearest = 1e9;
            for (int i = 0; i < HONEST; i++)
                nearest = fmin(nearest, distance(out, x[i]));
            assert_true(nearest == 0.0);
        }
        if (k == ATTACK_MIN_MAX) {
            double diameter = 0.0;
            double reach = 0.0;
            for (int i = 0; i < HONEST; i++) {
                reach = fmax(reach, distance(out, x[i]));
                for (int j = 0; j < i; j++)
                    diameter = fmax(diameter, distance(x[i], x[j]));
            }
            assert_true(reach <= diameter && reach > 0.9 * diameter);
        }
    }
    struct attack_choice choice;
    struct why why = {""};
    assert_true(ok(attack_parse("alie:0", &choice, &why)));
    assert_true(attack_forge(&choice, &view, &rng, out));
    assert_int_equal(attack_parse("alie:x", &choice, &why).code, RESULT_INPUT);
    assert_int_equal(attack_parse("alie:inf", &choice, &why).code, RESULT_INPUT);
    static const struct {
        const char *said;
        enum attack_method method;
    } ALSO[] = {{"Sign flip", ATTACK_SIGN_FLIP},
                {"scaled:4", ATTACK_SCALE},
                {"FOE", ATTACK_IPM},
                {"one_coordinate", ATTACK_ONE_COORDINATE},
                {"Inf", ATTACK_INFINITE},
                {"1e30", ATTACK_HUGE}};
    for (size_t k = 0; k < sizeof ALSO / sizeof *ALSO; k++) {
        assert_true(ok(attack_parse(ALSO[k].said, &choice, &why)));
        assert_int_equal(choice.method, ALSO[k].method);
    }
    assert_int_equal(attack_parse("allie", &choice, &why).code, RESULT_INPUT);
    assert_non_null(strstr(why.text, "min-max"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dealt),
        cmocka_unit_test(ten_thousand_sites),
        cmocka_unit_test(forged),
    };
    return cmocka_run_group_tests_name("group", tests, NULL, NULL);
}
