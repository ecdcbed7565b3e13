/* SPDX-License-Identifier: Apache-2.0 */
/* Sorting and selection networks against qsort, and the weighted rules that read sorted keys where
 * rounding, ties and hostile values meet. */
#include "coordinator/aggregate/network.h"
#include "coordinator/aggregate/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint32_t draw(uint32_t below)
{
    static uint64_t seed = 88172645463325252u;
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 32) % below;
}

static int ascending(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left;
    uint32_t b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

/* A side that is not read again is spoilt. */
static void run_network(const struct network *network, uint32_t *wire)
{
    enum { SPOILT = 0xdead };
    for (size_t k = 0; k < network->count; k++) {
        const struct comparator *c = &network->step[k];
        uint32_t a = wire[c->low];
        uint32_t b = wire[c->high];
        wire[c->low] = c->kind == COMPARATOR_MAX ? SPOILT : a < b ? a : b;
        wire[c->high] = c->kind == COMPARATOR_MIN ? SPOILT : a < b ? b : a;
    }
}

/* Few distinct values, so that ties and blocks of zeros and ones come up. */
static void check_network(const struct network *network, bool sorted, int turns)
{
    uint32_t wire[NETWORK_WIRES_MAX];
    uint32_t want[NETWORK_WIRES_MAX];
    size_t kept = network->past - network->first;
    for (int turn = 0; turn < turns; turn++) {
        uint32_t values = turn % 2 ? 2 : 1000;
        for (size_t i = 0; i < network->n; i++)
            want[i] = wire[i] = draw(values);
        qsort(want, network->n, sizeof *want, ascending);
        run_network(network, wire);
        if (!sorted)
            qsort(wire + network->first, kept, sizeof *wire, ascending);
        assert_memory_equal(wire + network->first, want + network->first, kept * sizeof *want);
    }
}

static void check_both(size_t n, size_t f, int turns)
{
    struct network network;
    bool sorted = f == 0;
    assert_true(network_build(n, f, n - f, sorted, &network));
    check_network(&network, sorted, turns);
    network_free(&network);
    assert_true(network_build_grouped(n, f, n - f, sorted, &network));
    assert_true(network.groups >= 1 && network.group[0] == 0);
    assert_int_equal(network.group[network.groups], n);
    for (size_t g = 0; g < network.groups; g++)
        assert_true(network.group[g] < network.group[g + 1] &&
                    network.group[g + 1] - network.group[g] <= NETWORK_GROUP);
    check_network(&network, sorted, turns);
    network_free(&network);
}

static void networks_sort_and_select(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 66; n++)
        for (size_t f = 0; 2 * f < n; f++)
            check_both(n, f, 60);
    static const size_t LARGE[] = {97, 100, 128, 129, 200, 257, 1000};
    for (size_t k = 0; k < sizeof LARGE / sizeof LARGE[0]; k++) {
        check_both(LARGE[k], 0, 20);
        check_both(LARGE[k], 1, 20);
        check_both(LARGE[k], LARGE[k] / 5, 20);
        check_both(LARGE[k], (LARGE[k] - 1) / 2, 20);
    }
}

/* Dropping more on one side than on the other falls back to a full merge. */
static void uneven_ranks(void **state)
{
    (void)state;
    for (size_t n = 3; n <= 40; n += 3) {
        struct network network;
        assert_true(network_build_grouped(n, 1, n, false, &network));
        check_network(&network, false, 40);
        network_free(&network);
        assert_true(network_build(n, 0, n - 2, false, &network));
        check_network(&network, false, 40);
        network_free(&network);
    }
    struct network network;
    assert_false(network_build(NETWORK_WIRES_MAX + 1, 0, 1, true, &network));
    assert_false(network_build_grouped(4, 2, 2, true, &network));
}

enum { ROWS_MOST = 40, COLUMNS = 70 };

/* Column c of the rule under every set of kernels and in double must be want[c]. */
static void expect_weighted(const char *name, double trim_mass, size_t n, const double *w,
                            float x[ROWS_MOST][COLUMNS], const double *want)
{
    struct agg_rule rule;
    struct why why = {""};
    const float *rows[ROWS_MOST];
    const double *wide_rows[ROWS_MOST];
    static double wide[ROWS_MOST][COLUMNS];
    float got[COLUMNS];
    double plain[COLUMNS];
    assert_true(ok(agg_rule_parse(name, &rule, &why)));
    assert_true(ok(agg_rule_set_numbers(&rule, "w", n, w, &why)));
    if (trim_mass > 0.0)
        assert_true(ok(agg_rule_set_numbers(&rule, "trim_mass", 1, &trim_mass, &why)));
    for (size_t i = 0; i < n; i++) {
        rows[i] = x[i];
        wide_rows[i] = wide[i];
        for (size_t c = 0; c < COLUMNS; c++)
            wide[i][c] = (double)x[i][c];
    }
    struct agg_source source = {.n = n, .d = COLUMNS, .rows = rows};
    assert_true(ok(agg_run_f64(&rule, n, COLUMNS, wide_rows, plain, NULL, &why)));
    for (const struct kernels *const *k = kernels_here(); *k; k++) {
        struct agg_means means = {*k, 1};
        assert_true(ok(agg_run_with(&means, &rule, &source, got, NULL, &why)));
        for (size_t c = 0; c < COLUMNS; c++) {
            assert_float_equal(got[c], want[c], 1e-6);
            assert_float_equal(plain[c], want[c], 1e-6);
        }
    }
    agg_rule_free(&rule);
}

/* Weights of 0.1 sum to half of the total only within rounding; that is a boundary all the same. */
static void half_within_rounding_is_half(void **state)
{
    (void)state;
    for (size_t n = 2; n <= ROWS_MOST; n += 2) {
        static float x[ROWS_MOST][COLUMNS];
        double w[ROWS_MOST];
        double want[COLUMNS];
        for (size_t i = 0; i < n; i++) {
            w[i] = 0.1;
            for (size_t c = 0; c < COLUMNS; c++)
                x[(i + c) % n][c] = (float)i - 3.0f;
        }
        for (size_t c = 0; c < COLUMNS; c++)
            want[c] = (double)(n - 1) / 2.0 - 3.0;
        expect_weighted("weighted-median", 0, n, w, x, want);
    }
}

/* Three rows of weight 0.1 at 1e30 and a trimmed mass of 0.3: what subtraction leaves of them by
 * rounding must not count. */
static void rounding_keeps_no_hostile_mass(void **state)
{
    (void)state;
    for (size_t n = 8; n <= ROWS_MOST; n++) {
        static float x[ROWS_MOST][COLUMNS];
        double w[ROWS_MOST];
        double want[COLUMNS];
        for (size_t i = 0; i < n; i++) {
            w[i] = 0.1;
            for (size_t c = 0; c < COLUMNS; c++)
                x[(i + c) % n][c] = i < 3 ? (c % 2 ? 1e30f : -1e30f) : 2.0f;
        }
        for (size_t c = 0; c < COLUMNS; c++)
            want[c] = 2.0;
        expect_weighted("weighted-trimmed-mean", 0.3, n, w, x, want);
    }
}

/* Equal values keep the order of rows; zeros of both signs are equal; extremes keep their place. */
static void ties_and_extremes(void **state)
{
    (void)state;
    static float x[ROWS_MOST][COLUMNS];
    static const float VALUE[7] = {-0.0f, 0.0f, 1e-45f, -1e-45f, 3e38f, -3e38f, 0.5f};
    static const double W[7] = {1, 2, 4, 8, 16, 32, 64};
    double want[COLUMNS];
    for (size_t i = 0; i < 7; i++)
        for (size_t c = 0; c < COLUMNS; c++)
            x[i][c] = VALUE[i];
    for (size_t c = 0; c < COLUMNS; c++)
        want[c] = 0.5; /* 47 below it, 16 above, 64 its own */
    expect_weighted("weighted-median", 0, 7, W, x, want);
    /* Of 127, 47 are taken at each end: 33 of 0.5's 64 are left and nothing else. */
    expect_weighted("weighted-trimmed-mean", 47, 7, W, x, want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_sort_and_select),
        cmocka_unit_test(uneven_ranks),
        cmocka_unit_test(half_within_rounding_is_half),
        cmocka_unit_test(rounding_keeps_no_hostile_mass),
        cmocka_unit_test(ties_and_extremes),
    };
    return cmocka_run_group_tests_name("networks", tests, NULL, NULL);
}
