/* SPDX-License-Identifier: Apache-2.0 */
/* The accountant against the reference table, closed forms, and its own invariants. */
#include "privacy/accountant.h"
#include "privacy/normal.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { COLUMNS = 9, LINE_BYTES = 1024 };

static struct event_list *parse(const char *text)
{
    char error[EVENT_ERROR_MAX];
    struct event_list *list = malloc(sizeof *list);
    assert_non_null(list);
    if (event_list_parse(list, text, error) != 0)
        fail_msg("%s", error);
    return list;
}

static struct accountant_bound epsilon_of(const char *text, double delta, double grid)
{
    struct accountant_options options = {.grid = grid};
    struct accountant_bound bound;
    struct event_list *list = parse(text);
    assert_int_equal(accountant_epsilon(list, delta, &options, &bound), ACCOUNTANT_OK);
    assert_true(bound.lower <= bound.upper);
    if (!isnan(bound.renyi))
        assert_true(bound.upper <= bound.renyi + 1e-9);
    free(list);
    return bound;
}

/* Splits a line in place; empty cells stay empty. */
static int cells(char *line, char *cell[COLUMNS])
{
    int n = 0;
    line[strcspn(line, "\r\n")] = '\0';
    while (n < COLUMNS) {
        cell[n++] = line;
        char *comma = strchr(line, ',');
        if (!comma)
            break;
        *comma = '\0';
        line = comma + 1;
    }
    return n;
}

static double answer(char *cell[COLUMNS])
{
    struct accountant_options options = {0};
    if (strcmp(cell[5], "REPLACE_ONE") == 0)
        options.adjacency = ADJACENCY_REPLACE;
    struct accountant_bound bound = {0};
    struct event_list *list = parse(cell[2]);
    double delta = atof(cell[3]), epsilon = atof(cell[4]), noise = 0, truth = atof(cell[6]);
    if (strcmp(cell[1], "eps") == 0) {
        assert_int_equal(accountant_epsilon(list, delta, &options, &bound), ACCOUNTANT_OK);
        assert_true(bound.lower <= truth * (1 + 1e-8));
        assert_true(isnan(bound.renyi) || bound.upper <= bound.renyi + 1e-9);
    } else if (strcmp(cell[1], "delta") == 0) {
        assert_int_equal(accountant_delta(list, epsilon, &options, &bound), ACCOUNTANT_OK);
        assert_true(bound.lower <= truth * (1 + 1e-8));
    } else {
        assert_int_equal(accountant_calibrate(list, epsilon, delta, &options, &noise),
                         ACCOUNTANT_OK);
        bound.upper = noise;
    }
    free(list);
    return bound.upper;
}

static void reference_table(void **state)
{
    (void)state;
    char path[4096], line[LINE_BYTES], *cell[COLUMNS] = {0};
    snprintf(path, sizeof path, "%s/privacy/accountant.csv", getenv("CONSILIUM_VECTORS"));
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    int rows = 0;
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#' || strncmp(line, "row,", 4) == 0)
            continue;
        assert_int_equal(cells(line, cell), COLUMNS);
        double value = answer(cell), low = atof(cell[7]), high = atof(cell[8]);
        print_message("%s %-50s %.10g in [%.10g, %.10g], estimate %.10g\n", cell[0], cell[2], value,
                      low, high, atof(cell[6]));
        assert_true(value >= low && value <= high);
        rows++;
    }
    fclose(file);
    assert_int_equal(rows, 37);
}

static void full_batch_has_a_closed_form(void **state)
{
    (void)state;
    assert_true(fabs(epsilon_of("g:1:10:1", 1e-5, 0).upper - 0.3406693647) < 1e-9);
    assert_true(fabs(epsilon_of("g:1:20:100", 1e-6, 0).upper - 2.25408465) < 1e-8);
    assert_true(fabs(epsilon_of("g:1:40:1600", 1e-20, 0).upper - 9.5109) < 1e-4);
    /* Very little noise and very much. */
    assert_true(fabs(normal_delta(0.5, normal_epsilon(0.5, 1e-200)) / 1e-200 - 1) < 1e-7);
    assert_true(epsilon_of("g:1:1e6:1", 1e-5, 0).upper == 0);
}

/* A delta below the smallest double is not said to be nothing, but where it is nothing. */
static void a_delta_is_never_rounded_to_nothing(void **state)
{
    static const struct {
        const char *events;
        double epsilon;
        bool nothing;
    } cases[] = {
        {"g:1:1:1", 38, false},         {"g:1:1:1", 40, false},      {"g:0.02:1:5", 150, false},
        {"g:0.02:1:5", 170, false},     {"g:0.02:1:5", 1000, false}, {"lap:1:2", 2.5, true},
        {"lap:1:2|g:1:1:1", 60, false}, {"ed:1:0:2", 2.5, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct accountant_bound bound;
        struct event_list *list = parse(cases[i].events);
        assert_int_equal(accountant_delta(list, cases[i].epsilon, NULL, &bound), ACCOUNTANT_OK);
        assert_true(cases[i].nothing ? bound.upper == 0 : bound.upper > 0);
        assert_true(bound.lower <= bound.upper);
        free(list);
    }
}

/* Nearly every patient in every step: the grid must meet the closed form far out. */
static void small_delta_on_the_grid(void **state)
{
    (void)state;
    static const double deltas[] = {1e-5, 1e-14, 1e-20, 1e-60};
    for (size_t i = 0; i < sizeof deltas / sizeof *deltas; i++) {
        double closed = normal_epsilon(1, deltas[i]);
        struct accountant_bound b = epsilon_of("g:0.9999999999:40:1600", deltas[i], 1e-4);
        assert_true(b.upper >= closed - 1e-6 && b.upper <= closed + 1e-3);
        assert_true(b.lower <= closed && b.lower >= closed - 0.06);
    }
    /* An importance-sampled truth: delta(11.3585) is about 2.8e-14, so 1e-14 needs more. */
    struct accountant_bound b = epsilon_of("g:0.025:1.3:3600", 1e-14, 3e-5);
    assert_true(fabs(b.upper - 11.5487) < 1e-3 && b.lower > 11.51);
    struct event_list *list = parse("g:0.025:1.3:3600");
    assert_int_equal(accountant_delta(list, 11.3585, NULL, &b), ACCOUNTANT_OK);
    assert_true(b.upper > 2.4e-14 && b.upper < 3.2e-14);
    free(list);
}

static void order_and_splitting_do_not_matter(void **state)
{
    (void)state;
    double a = epsilon_of("g:0.02:1:500|g:1:10:5|lap:20:3|ed:0.01:1e-9:4", 1e-5, 1e-4).upper;
    double b = epsilon_of("ed:0.01:1e-9:4|g:1:10:2|g:0.02:1:100|lap:20:1|g:1:10:3|g:0.02:1:400|"
                          "lap:20:2",
                          1e-5, 1e-4)
                   .upper;
    assert_true(fabs(a - b) < 1e-9);
}

static void more_costs_more(void **state)
{
    (void)state;
    double before = 0;
    static const char *const lists[] = {"g:0.01:1.5:100", "g:0.01:1.5:1000",
                                        "g:0.01:1.5:1000|lap:50:2",
                                        "g:0.01:1.5:1000|lap:50:2|g:1:12:3", "g:0.02:1.5:20000"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        double now = epsilon_of(lists[i], 1e-6, 0).upper;
        assert_true(now > before);
        before = now;
    }
}

/* Most of the loss within a few grid points of zero, or all of it in atoms: the tilt must still be
 * found, and both questions agree. */
static void narrow_and_lumpy_losses(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        double delta, low, high; /* where both bounds must lie */
    } cases[] = {
        {"g:0.000369:5.907:1128|g:0.001751:1.312:411", 2.8e-13, 0.366, 0.3746},
        {"lap:21.88:14|lap:2.267:8", 8.6e-10, 4.164, 4.1691},
        {"lap:0.01:2", 1e-6, 199.99, 200},
        {"g:0.01:0.5:1", 1e-5, 3.024, 3.0254},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct accountant_bound e = epsilon_of(cases[i].list, cases[i].delta, 0), d;
        assert_true(e.lower >= cases[i].low && e.upper <= cases[i].high);
        struct event_list *list = parse(cases[i].list);
        assert_int_equal(accountant_delta(list, 0.999 * e.lower, NULL, &d), ACCOUNTANT_OK);
        assert_true(d.upper > cases[i].delta && d.lower > 0);
        assert_int_equal(accountant_delta(list, 1.001 * e.upper, NULL, &d), ACCOUNTANT_OK);
        assert_true(d.upper < cases[i].delta);
        free(list);
    }
}

/* Rates, steps and noise at the edges of what may be asked answer within the memory bound. */
static void edges(void **state)
{
    (void)state;
    static const char *const lists[] = {
        "g:1e-9:1:1",  "g:1e-6:0.8:1e6", "g:0.3:0.05:10", "g:0.999999:5:100", "ed:0.1:0:3",
        "ed:0:1e-9:1", "lap:1e6:1000",   "lap:0.5:1",     "lap:0.01:2",       "g:0.01:1e6:1000",
    };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct accountant_bound b = epsilon_of(lists[i], 1e-6, 0);
        print_message("%-22s [%.6g, %.6g] renyi %.6g grid %.3g\n", lists[i], b.lower, b.upper,
                      b.renyi, b.grid);
        assert_true(isfinite(b.upper));
    }
    assert_true(isinf(epsilon_of("ed:0.1:1e-3:1", 1e-5, 0).upper));
    assert_true(fabs(epsilon_of("ed:0.1:0:3", 1e-12, 0).upper - 0.3) < 1e-4);
}

static void bad_input_is_refused(void **state)
{
    (void)state;
    char error[EVENT_ERROR_MAX];
    struct event_list *list = malloc(sizeof *list);
    struct accountant_bound b;
    static const char *const unreadable[] = {"",
                                             "g",
                                             "g:0.1",
                                             "g:0.1:1",
                                             "g:a:1:1",
                                             "g:0.1:1:1.5",
                                             "g:0.1:1:-1",
                                             "x:1:1:1",
                                             "g:0.1:nan:1",
                                             "g:0.1:1:1|",
                                             "g:0.1:1:2e12",
                                             "g:0.1:-1:1",
                                             "trunc:1:2:3",
                                             "g:1:1:1:1:1:1:1:1"};
    for (size_t i = 0; i < sizeof unreadable / sizeof *unreadable; i++) {
        assert_int_equal(event_list_parse(list, unreadable[i], error), -1);
        assert_true(strlen(error) > 5);
    }
    static const char *const senseless[] = {"g:0:1:1",         "g:1.1:1:1",    "g:0.1:?:1",
                                            "g:0.1:1:0",       "g:0.1:1e-9:1", "ed:-1:0:1",
                                            "ed:1:1:1",        "ed:1:-1:1",    "trunc:1:.5:1:1:1",
                                            "trunc:9:.5:0:1:1"};
    for (size_t i = 0; i < sizeof senseless / sizeof *senseless; i++) {
        assert_int_equal(event_list_parse(list, senseless[i], error), 0);
        assert_int_equal(event_list_check(list, error), -1);
        assert_int_equal(accountant_epsilon(list, 1e-5, NULL, &b), ACCOUNTANT_BAD_INPUT);
    }
    assert_int_equal(event_list_parse(list, "g:0.1:1:1", error), 0);
    assert_int_equal(accountant_epsilon(list, 0, NULL, &b), ACCOUNTANT_BAD_INPUT);
    assert_int_equal(accountant_epsilon(list, NAN, NULL, &b), ACCOUNTANT_BAD_INPUT);
    assert_int_equal(accountant_epsilon(list, 1, NULL, &b), ACCOUNTANT_BAD_INPUT);
    assert_int_equal(accountant_delta(list, -1, NULL, &b), ACCOUNTANT_BAD_INPUT);
    double noise;
    assert_int_equal(event_list_parse(list, "g:0.1:?:10|g:1:1:50", error), 0);
    assert_int_equal(accountant_calibrate(list, 1, 1e-5, NULL, &noise), ACCOUNTANT_UNREACHABLE);
    free(list);
}

static void text_round_trip(void **state)
{
    (void)state;
    char text[1024], again[1024];
    struct event_list *list = parse(
        " g:0.004266666666666667:1.1:14062 | lap:10:3|ed:0.1:1e-08:3|trunc:10000:0.02:250:1:5");
    assert_true(event_list_text(list, text, sizeof text) > 0);
    struct event_list *second = parse(text);
    assert_true(event_list_text(second, again, sizeof again) > 0);
    assert_string_equal(text, again);
    assert_int_equal(event_list_text(list, text, 20), -1);
    assert_memory_equal(&list->events[0], &second->events[0], sizeof list->events[0]);
    free(list);
    free(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_table),
        cmocka_unit_test(full_batch_has_a_closed_form),
        cmocka_unit_test(a_delta_is_never_rounded_to_nothing),
        cmocka_unit_test(small_delta_on_the_grid),
        cmocka_unit_test(order_and_splitting_do_not_matter),
        cmocka_unit_test(more_costs_more),
        cmocka_unit_test(narrow_and_lumpy_losses),
        cmocka_unit_test(edges),
        cmocka_unit_test(bad_input_is_refused),
        cmocka_unit_test(text_round_trip),
    };
    return cmocka_run_group_tests_name("accountant", tests, NULL, NULL);
}
