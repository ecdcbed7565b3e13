/* SPDX-License-Identifier: Apache-2.0 */
/* The form in which figures leave, who decides about a study, and the humans' file. */
#include "agent/vault/consent.h"
#include "agent/vault/decisions.h"
#include "agent/vault/release.h"

#include <math.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { MIN_CELL = 11 };

struct cell {
    const char *group;
    uint64_t positives, negatives;
};

static struct evaluation_figures groups[8];
static struct evaluation_model model;
static struct payload_evaluation evaluation;

static void set(const struct cell *cells, uint32_t count)
{
    memset(&model, 0, sizeof model);
    memset(groups, 0, sizeof groups);
    for (uint32_t i = 0; i < count; i++) {
        groups[i].status = EVALUATION_OK;
        snprintf(groups[i].group, sizeof groups[i].group, "%s", cells[i].group);
        groups[i].positives = cells[i].positives;
        groups[i].negatives = cells[i].negatives;
        groups[i].auroc = 0.7654321;
        groups[i].auroc_variance = 0.000123456;
        groups[i].loss = NAN;
    }
    model.groups = groups;
    model.groups_count = count;
    model.difference = 0.0123456;
    evaluation = (struct payload_evaluation){.models = &model, .models_count = 1};
}

static bool left_out(uint32_t i)
{
    return groups[i].status == EVALUATION_BELOW_MINIMUM_CELL && groups[i].positives == 0 &&
           groups[i].negatives == 0 && isnan(groups[i].auroc);
}

static void test_rounded(void **state)
{
    (void)state;
    const struct cell cells[] = {{"", 50, 50}};
    set(cells, 1);
    release_shape(&evaluation, METRICS_THRESHOLD, MIN_CELL, false);
    assert_true(groups[0].auroc == 0.765);
    assert_true(fabs(groups[0].auroc_variance - 0.000123) < 1e-12);
    assert_true(isnan(groups[0].loss));
    assert_true(model.difference == 0.012);
    assert_int_equal(groups[0].positives, 50);
}

/* At the smallest cell and one below; and no suppressed cell can be had by subtraction. */
static void test_small_cells(void **state)
{
    (void)state;
    const struct cell all_small[] = {{"", MIN_CELL - 1, 100}, {"sex=F", 5, 50}, {"sex=M", 5, 50}};
    set(all_small, 3);
    release_shape(&evaluation, METRICS_THRESHOLD, MIN_CELL, false);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(left_out(i));

    const struct cell at_bound[] = {{"", 22, 100}, {"sex=F", 11, 50}, {"sex=M", 11, 50}};
    set(at_bound, 3);
    release_shape(&evaluation, METRICS_THRESHOLD, MIN_CELL, false);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(groups[i].status, EVALUATION_OK);

    const struct cell one_small[] = {
        {"", 60, 100},     {"age=a", 10, 30}, {"age=b", 30, 30},
        {"age=c", 20, 30}, {"sex=F", 30, 50}, {"sex=M", 30, 50},
    };
    set(one_small, 6);
    release_shape(&evaluation, METRICS_THRESHOLD, MIN_CELL, false);
    assert_true(left_out(1));
    assert_true(left_out(3)); /* the smallest of its column goes with it */
    assert_int_equal(groups[2].status, EVALUATION_OK);
    assert_int_equal(groups[4].status, EVALUATION_OK);
    assert_int_equal(groups[5].status, EVALUATION_OK);
}

static void test_forms(void **state)
{
    (void)state;
    const struct cell cells[] = {{"", 50, 50}};
    const struct {
        enum policy_metrics metrics;
        bool noised, figures, histogram;
    } cases[] = {
        {METRICS_THRESHOLD, false, true, false},
        {METRICS_HISTOGRAM, false, true, true},
        {METRICS_NOISED_HISTOGRAM, false, false, false},
        {METRICS_NOISED_HISTOGRAM, true, true, true},
        {METRICS_NONE, false, false, false},
        {METRICS_NONE, true, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        set(cells, 1);
        model.bins_count = 2;
        model.positives[0] = model.negatives[0] = 20;
        model.positives[1] = model.negatives[1] = 30;
        release_shape(&evaluation, cases[i].metrics, MIN_CELL, cases[i].noised);
        assert_int_equal(groups[0].status == EVALUATION_OK, cases[i].figures);
        assert_int_equal(model.bins_count > 0, cases[i].histogram);
    }
}

/* Whatever the counts: sums are kept, and no bin tells of 1 to 10 patients. */
static void test_coarse_histograms(void **state)
{
    (void)state;
    for (uint32_t trial = 0; trial < 300; trial++) {
        const struct cell cells[] = {{"", 500, 500}};
        double positives = 0.0, negatives = 0.0;
        set(cells, 1);
        model.bins_count = 32;
        for (uint32_t b = 0; b < 32; b++) {
            model.positives[b] = randombytes_uniform(3) ? randombytes_uniform(30) : 0;
            model.negatives[b] = randombytes_uniform(2) ? randombytes_uniform(5) : 0;
            positives += model.positives[b];
            negatives += model.negatives[b];
        }
        release_shape(&evaluation, METRICS_HISTOGRAM, MIN_CELL, false);
        double p = 0.0, n = 0.0;
        for (uint32_t b = 0; b < model.bins_count; b++) {
            assert_true(model.positives[b] == 0.0 || model.positives[b] >= MIN_CELL);
            assert_true(model.negatives[b] == 0.0 || model.negatives[b] >= MIN_CELL);
            p += model.positives[b];
            n += model.negatives[b];
        }
        if (model.bins_count > 0)
            assert_true(p == positives && n == negatives);
    }
}

/* The table of consent.h, line by line: a later line never overrules an earlier one. */
static void test_consent(void **state)
{
    (void)state;
    const struct result no = {RESULT_REFUSED};
    for (unsigned bits = 0; bits < 64; bits++) {
        for (int human = HUMAN_SILENT; human <= HUMAN_REFUSED; human++) {
            struct consent consent;
            const struct consent_facts facts = {
                .decided_before = bits & 1,
                .reason_before = "before",
                .human = (enum consent_human)human,
                .policy = bits & 2 ? no : DONE,
                .policy_reason = "policy",
                .budget = bits & 4 ? no : DONE,
                .budget_reason = "budget",
                .data = bits & 8 ? no : DONE,
                .data_reason = "data",
                .decision = bits & 16 ? DECISION_ALLOW : DECISION_ASK,
            };
            consent_decide(&facts, &consent);
            enum study_verdict expected =
                facts.decided_before                                          ? STUDY_ALLOWED
                : human == HUMAN_REFUSED || bits & (2 | 4 | 8)                ? STUDY_REFUSED
                : human == HUMAN_APPROVED || facts.decision == DECISION_ALLOW ? STUDY_ALLOWED
                                                                              : STUDY_ASKING;
            assert_int_equal(consent.verdict, expected);
            assert_true(consent.reason[0] != '\0');
            if (expected == STUDY_REFUSED && human != HUMAN_REFUSED && bits & 2)
                assert_string_equal(consent.reason, "policy");
        }
    }
}

static void test_decisions(void **state)
{
    (void)state;
    const struct {
        const char *text;
        enum consent_human expected;
    } cases[] = {
        {"", HUMAN_SILENT},
        {"approve s ab\n", HUMAN_APPROVED},
        {"approve s ab", HUMAN_SILENT}, /* torn */
        {"approve s ab\nrefuse s ab\n", HUMAN_REFUSED},
        {"refuse s ab\n\n\napprove s ab\n", HUMAN_APPROVED},
        {"approve s abc\n", HUMAN_SILENT},
        {"approve ss ab\n", HUMAN_SILENT},
        {"approve s ab \n", HUMAN_SILENT},
        {" approve s ab\n", HUMAN_SILENT},
        {"approves ab\n", HUMAN_SILENT},
        {"refuse s abapprove s ab\n", HUMAN_SILENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "%s", cases[i].text);
        assert_int_equal(decisions_parse(text, strlen(text), "s", "ab"), cases[i].expected);
    }
    char path[] = "/tmp/consilium-decisions-XXXXXX";
    struct why why;
    enum consent_human human;
    const unsigned char hash[PLAN_HASH_BYTES] = {1, 2};
    int fd = mkstemp(path);
    unlink(path);
    assert_int_equal(write(fd, "approve s 01", 12), 12); /* a crash tore this one */
    assert_true(ok(decisions_append(fd, true, "s", hash, &why)));
    assert_true(ok(decisions_find(fd, "s", hash, &human, &why)));
    assert_int_equal(human, HUMAN_APPROVED);
    assert_true(ok(decisions_append(fd, false, "s", hash, &why)));
    assert_true(ok(decisions_find(fd, "s", hash, &human, &why)));
    assert_int_equal(human, HUMAN_REFUSED);
    close(fd);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounded), cmocka_unit_test(test_small_cells),
        cmocka_unit_test(test_forms),   cmocka_unit_test(test_coarse_histograms),
        cmocka_unit_test(test_consent), cmocka_unit_test(test_decisions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
