/* SPDX-License-Identifier: Apache-2.0 */
/* Hidden strata: a planted cluster that the model fails is found with its gap; without one nothing
 * is claimed more often than by chance; bad input has a status. */
#include "linalg/stats/prng.h"
#include "linalg/stats/strata.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 1600, D = 4 };

struct patients {
    double x[N * D];
    unsigned char y[N], right[N], half[N], planted[N];
};

/* Three far groups; of positives in the third the model is right with probability low. */
static void draw(struct patients *p, uint64_t seed, double low)
{
    struct prng prng;
    prng_seed(&prng, seed);
    for (size_t i = 0; i < N; i++) {
        double z[D];
        size_t group = (size_t)prng_bounded(&prng, 6) / 2;
        prng_normals(&prng, D, z);
        for (size_t k = 0; k < D; k++)
            p->x[i * D + k] = 50.0 + 10.0 * (z[k] + (k < 3 && k == group ? 6.0 : 0.0));
        p->y[i] = prng_u01(&prng) < 0.4;
        p->planted[i] = group == 2 && p->y[i] == 1;
        p->right[i] = prng_u01(&prng) < (p->planted[i] ? low : 0.8);
        p->half[i] = (unsigned char)(prng_next(&prng) >> 63);
    }
}

static struct strata_input input_of(const struct patients *p)
{
    return (struct strata_input){.n = N,
                                 .d = D,
                                 .x = p->x,
                                 .y = p->y,
                                 .right = p->right,
                                 .half = p->half,
                                 .cell = 11,
                                 .seed = 5};
}

static void a_planted_stratum_is_found(void **state)
{
    (void)state;
    static struct patients p;
    struct strata s, again;
    draw(&p, 1, 0.45);
    struct strata_input in = input_of(&p);
    assert_int_equal(strata_find(&in, &s), STAT_OK);
    assert_true(s.clusters[0] == 3 && s.clusters[1] == 3 && s.tested == 6);
    assert_true(s.silhouette[1] > 0.5);
    assert_true(s.worst_positive && s.p < 0.001);
    size_t n = 0, right = 0, others = 0, rest = 0;
    for (size_t i = 0; i < N; i++) {
        if (p.half[i] == 0 || p.y[i] == 0)
            continue;
        n += p.planted[i];
        right += p.planted[i] && p.right[i];
        others += !p.planted[i];
        rest += !p.planted[i] && p.right[i];
    }
    assert_int_equal(s.worst_n, n);
    assert_true(fabs(s.gap - ((double)rest / (double)others - (double)right / (double)n)) < 1e-12);
    assert_true(s.low > 0.0 && s.low < s.gap && s.gap < s.high && s.high < 1.0);
    assert_int_equal(strata_find(&in, &again), STAT_OK);
    assert_true(s.gap == again.gap && s.low == again.low && s.high == again.high);
    assert_true(s.p == again.p && s.silhouette[0] == again.silhouette[0]);
}

static void without_one_nothing_is_claimed(void **state)
{
    (void)state;
    static struct patients p;
    int claims = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct strata s;
        draw(&p, 100 + seed, 0.8);
        struct strata_input in = input_of(&p);
        in.n = 600;
        assert_int_equal(strata_find(&in, &s), STAT_OK);
        claims += s.p < 0.05;
        assert_true(s.low <= s.gap && s.gap <= s.high);
    }
    assert_true(claims <= 10); /* 5 expected at most: 10 has probability .97 */
}

static void bad_input_has_a_status(void **state)
{
    (void)state;
    static struct patients p;
    struct strata s;
    draw(&p, 1, 0.5);
    struct strata_input in = input_of(&p);
    in.n = 0;
    assert_int_equal(strata_find(&in, &s), STAT_EMPTY);
    in.n = 12; /* fewer than two cells a class */
    assert_int_equal(strata_find(&in, &s), STAT_EMPTY);
    assert_true(isnan(s.gap) && s.tested == 0);
    in.n = N;
    in.cell = N;
    assert_int_equal(strata_find(&in, &s), STAT_EMPTY);
    in.cell = 11;
    memset(p.half, 0, sizeof p.half); /* nobody to test on */
    assert_int_equal(strata_find(&in, &s), STAT_EMPTY);
    draw(&p, 1, 0.5);
    p.x[77] = NAN;
    assert_int_equal(strata_find(&in, &s), STAT_INVALID_INPUT);
    for (size_t i = 0; i < N * D; i++)
        p.x[i] = 3.0;
    assert_int_equal(strata_find(&in, &s), STAT_DEGENERATE);
    draw(&p, 1, 0.5);
    memset(p.right, 1, sizeof p.right); /* no error anywhere */
    assert_int_equal(strata_find(&in, &s), STAT_OK);
    assert_true(s.gap == 0.0 && s.p == 1.0);
    memset(p.y, 1, sizeof p.y);
    assert_int_equal(strata_find(&in, &s), STAT_OK);
    assert_true(s.clusters[0] == 0 && s.clusters[1] >= 2);
    for (size_t i = 0; i < N; i++) /* two places only: clusters beyond them stay empty */
        for (size_t k = 0; k < D; k++)
            p.x[i * D + k] = (double)(i % 2);
    assert_int_equal(strata_find(&in, &s), STAT_OK);
    assert_true(s.clusters[1] == 2 && s.silhouette[1] == 1.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_planted_stratum_is_found),
        cmocka_unit_test(without_one_nothing_is_claimed),
        cmocka_unit_test(bad_input_has_a_status),
    };
    return cmocka_run_group_tests_name("strata", tests, NULL, NULL);
}
