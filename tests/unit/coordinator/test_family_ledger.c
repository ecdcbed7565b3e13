/* SPDX-License-Identifier: Apache-2.0 */
/* The alpha ledger of a family: who gets how much, which looks count, its text, and how often it
 * lets a worse model pass over whole sequences of candidates. */
#include "coordinator/validate/family_ledger.h"
#include "linalg/special.h"
#include "linalg/stats/prng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SITES = 3, EPOCHS = 24, MODELS = 64 };
static const double MARGIN = 0.02;
static const char *const NAMES[SITES] = {"rome", "oslo", "graz"};

static struct why why;
static struct family_ledger *ledger;

/* What each model does on the patients of each epoch: its quality and chance. */
struct world {
    double quality[MODELS], noise[MODELS][EPOCHS];
    double sd; /* of one model's figure on one epoch */
    uint64_t first, last;
    unsigned candidate;
    bool unknown;
};

static void hash_of(unsigned model, unsigned char hash[LEDGER_HASH_BYTES])
{
    memset(hash, 0, LEDGER_HASH_BYTES);
    hash[0] = (unsigned char)(model + 1);
}

static bool compare(void *context, const unsigned char *model, const bool *use, double *d,
                    double *se)
{
    const struct world *w = context;
    unsigned other = model[0] - 1U;
    double sum = 0;
    size_t n = 0;
    assert_true(use[0]);
    for (uint64_t e = w->first; e <= w->last; e++, n++)
        sum += w->noise[w->candidate][e % EPOCHS] - w->noise[other][e % EPOCHS];
    *d = w->quality[w->candidate] - w->quality[other] + sum / (double)n;
    *se = w->sd * sqrt(2.0 / (double)n);
    return !w->unknown;
}

/* candidate judged against in_use on epochs first..last at each site. */
static struct ledger_answer judge(const struct ledger_policy *policy, struct world *w,
                                  unsigned candidate, unsigned in_use, uint64_t first,
                                  uint64_t last)
{
    unsigned char mine[LEDGER_HASH_BYTES], theirs[LEDGER_HASH_BYTES];
    struct ledger_report reports[SITES];
    struct ledger_answer answer;
    hash_of(candidate, mine);
    hash_of(in_use, theirs);
    for (int i = 0; i < SITES; i++)
        reports[i] = (struct ledger_report){.site = NAMES[i], .epoch_first = first, .epoch = last};
    w->first = first;
    w->last = last;
    w->candidate = candidate;
    struct ledger_event event = {.candidate = mine,
                                 .incumbent = theirs,
                                 .n_reports = SITES,
                                 .reports = reports,
                                 .quorum = SITES,
                                 .margin = MARGIN,
                                 .compare = compare,
                                 .context = w};
    assert_true(ok(family_ledger_judge(ledger, policy, &event, &answer, &why)));
    answer.rule.detail = NULL; /* pointed into the copy that goes away */
    return answer;
}

static int prepare(void **state)
{
    (void)state;
    ledger = calloc(1, sizeof *ledger);
    return ledger ? 0 : -1;
}

static int finish(void **state)
{
    (void)state;
    free(ledger);
    return 0;
}

static struct ledger_policy policy_of(enum alpha_policy kind)
{
    struct ledger_policy p = ledger_policy_default(kind);
    p.used = true;
    return p;
}

static void fixed_and_reset_halve(void **state)
{
    (void)state;
    struct world w = {.sd = 0.01};
    struct ledger_policy p = policy_of(ALPHA_RESET);
    for (unsigned k = 1; k <= 3; k++) {
        struct ledger_answer a = judge(&p, &w, k, 0, 1, k);
        assert_true(a.rule.by_bound && !a.static_holdout);
        assert_int_equal(a.rule.alpha, 50000 >> k);
    }
    assert_true(judge(&p, &w, 4, 0, 1, 3).static_holdout); /* epoch 3 was judged on before */
    /* Model 2 came into use: the budget begins anew; back to model 0 it does not. */
    assert_int_equal(judge(&p, &w, 5, 2, 1, 5).rule.alpha, 25000);
    assert_int_equal(judge(&p, &w, 6, 0, 1, 6).rule.alpha, 12500);
    assert_int_equal(judge(&p, &w, 7, 2, 1, 7).rule.alpha, 6250);
    p = policy_of(ALPHA_FIXED); /* another policy: a new ledger */
    assert_int_equal(judge(&p, &w, 8, 2, 1, 8).rule.alpha, 25000);
    assert_int_equal(judge(&p, &w, 9, 8, 1, 9).rule.alpha, 12500);
    assert_int_equal(family_ledger_next(ledger, &p), 6250);
    assert_int_equal(ledger->spent, 37500);
}

static void looks_need_newer_patients(void **state)
{
    (void)state;
    struct world w = {.sd = 0.0005};
    struct ledger_policy p = policy_of(ALPHA_BAC);
    w.quality[1] = 0.01;
    struct ledger_answer a = judge(&p, &w, 1, 0, 1, 3);
    assert_true(a.submitted && !a.rule.approved && !a.looked);
    assert_int_equal(a.rule.alpha, 10000); /* .2 over 15 + 4, down to a thousandth */
    assert_int_equal(a.index, 1);
    a = judge(&p, &w, 1, 0, 1, 3);
    assert_true(a.static_holdout && !a.looked && !a.rule.approved);
    a = judge(&p, &w, 1, 0, 1, 4); /* new patients, but mixed with those it was submitted on */
    assert_true(a.static_holdout && !a.rule.approved);
    a = judge(&p, &w, 1, 0, 4, 4);
    assert_true(a.looked && a.rule.approved && !a.static_holdout);
    a = judge(&p, &w, 1, 0, 4, 4); /* the same patients again */
    assert_true(!a.looked && !a.rule.approved);
    assert_int_equal(ledger->model[1].looks, 1);
    w.unknown = true;
    assert_false(judge(&p, &w, 1, 0, 4, 5).looked);
    w.unknown = false;
    for (uint64_t e = 5; e < 8; e++)
        assert_true(judge(&p, &w, 1, 0, 4, e).looked);
    assert_false(judge(&p, &w, 1, 0, 4, 9).looked); /* used up */
}

static void sites_without_epochs_never_look(void **state)
{
    (void)state;
    struct world w = {.sd = 0.0005};
    struct ledger_policy p = policy_of(ALPHA_BAC);
    assert_true(judge(&p, &w, 1, 0, 0, 0).static_holdout);
    assert_true(judge(&p, &w, 1, 0, 0, 0).static_holdout);
    assert_int_equal(ledger->model[1].looks, 0);
}

/* Whatever was in use, and what was submitted between then and now, approved or not. */
static void comparators_follow_the_history(void **state)
{
    (void)state;
    struct world w = {.sd = 0.0005};
    struct ledger_policy p = policy_of(ALPHA_BAC);
    unsigned against[LEDGER_COMPARATORS_MAX];
    unsigned char mine[LEDGER_HASH_BYTES], in_use[LEDGER_HASH_BYTES];
    for (unsigned j = 1; j <= 4; j++)
        judge(&p, &w, j, 0, 1, j);
    hash_of(4, mine);
    hash_of(0, in_use);
    assert_int_equal(family_ledger_comparators(ledger, mine, in_use, against), 0);
    hash_of(3, in_use); /* 3 came into use: 4 must also beat 0, and 1 and 2 in between */
    assert_int_equal(family_ledger_comparators(ledger, mine, in_use, against), 3);
    assert_true(against[0] == 0 && against[1] == 1 && against[2] == 2);
    w.quality[2] = 0.1; /* never in use, but it stands between */
    assert_false(judge(&p, &w, 4, 3, 5, 5).rule.approved);
    hash_of(9, mine);
    assert_int_equal(family_ledger_comparators(ledger, mine, in_use, against), 0);
}

static void babr_earns_alpha_back(void **state)
{
    (void)state;
    struct world w = {.sd = 0.0005};
    struct ledger_policy p = policy_of(ALPHA_BABR);
    int64_t first = judge(&p, &w, 1, 0, 1, 1).rule.alpha, next = 0;
    assert_true(first > 0 && first <= p.alpha_cap && first % 1000 == 0);
    for (unsigned j = 2; j < 7; j++)
        next = judge(&p, &w, j, 0, 1, j).rule.alpha;
    w.quality[6] = 0.1;
    assert_true(judge(&p, &w, 6, 0, 7, 7).rule.approved);
    assert_true(ledger->model[6].beats_benchmark);
    int64_t poorer = family_ledger_next(ledger, &p);
    assert_true(judge(&p, &w, 7, 6, 1, 8).rule.alpha >= poorer); /* 6 is the benchmark now */
    assert_int_equal(ledger->benchmark, 6);
    assert_true(next <= first);
}

static void text_and_back(void **state)
{
    (void)state;
    struct world w = {.sd = 0.003};
    struct ledger_policy p = policy_of(ALPHA_BABR);
    for (unsigned j = 1; j <= 5; j++) {
        judge(&p, &w, j, 0, 1, j);
        judge(&p, &w, j, 0, j + 1, j + 1);
    }
    char *text = NULL, *again = NULL;
    struct family_ledger *other = calloc(1, sizeof *other);
    assert_true(ok(family_ledger_text(ledger, &text, &why)));
    assert_true(ok(family_ledger_read(text, strlen(text), other, &why)));
    assert_true(ok(family_ledger_text(other, &again, &why)));
    assert_string_equal(text, again);
    /* Both go on alike. */
    struct ledger_answer a = judge(&p, &w, 6, 0, 1, 9);
    struct family_ledger *mine = ledger;
    ledger = other;
    struct ledger_answer b = judge(&p, &w, 6, 0, 1, 9);
    ledger = mine;
    assert_string_equal(a.detail, b.detail);
    for (size_t cut = 0; cut < strlen(text); cut += 7)
        assert_false(ok(family_ledger_read(text, cut, other, &why)));
    static const char *const BAD[] = {
        "{}",
        "{\"policy\":{\"policy\":\"sometimes\"}}",
        "{\"policy\":{\"policy\":\"bac\"},\"spent\":-1,\"tries\":0,\"in_use\":0,\"benchmark\":0}",
        "{\"policy\":{\"policy\":\"bac\"},\"spent\":0,\"tries\":0,\"in_use\":999,\"benchmark\":0}",
        "{\"policy\":{\"policy\":\"bac\",\"alpha\":1},\"spent\":0}",
        "{\"policy\":{\"policy\":\"bac\",\"wait\":9},\"spent\":0}"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        assert_int_equal(family_ledger_read(BAD[i], strlen(BAD[i]), other, &why).code,
                         RESULT_INPUT);
    free(text);
    free(again);
    free(other);
}

static void a_full_ledger_says_so(void **state)
{
    (void)state;
    struct world w = {.sd = 0.01};
    struct ledger_policy p = policy_of(ALPHA_BAC);
    unsigned char mine[LEDGER_HASH_BYTES], theirs[LEDGER_HASH_BYTES];
    struct ledger_answer a;
    hash_of(0, theirs);
    struct ledger_event event = {.candidate = mine,
                                 .incumbent = theirs,
                                 .margin = MARGIN,
                                 .quorum = SITES,
                                 .compare = compare,
                                 .context = &w};
    struct result r = DONE;
    for (unsigned j = 1; j < LEDGER_MODELS_MAX && ok(r); j++) {
        hash_of(j, mine);
        r = family_ledger_judge(ledger, &p, &event, &a, &why);
    }
    assert_int_equal(r.code, RESULT_INPUT);
    assert_true(ledger->models <= LEDGER_MODELS_MAX);
    event.n_reports = LEDGER_SITES_MAX + 1;
    assert_int_equal(family_ledger_judge(ledger, &p, &event, &a, &why).code, RESULT_INPUT);
}

/* 50 lives of a family, 20 candidates each, every one worse than the first model by the margin: how
 * many lives see one of them pass. One site-epoch has a standard error of .01 per model. */
enum { LIVES = 50, FEW_LIVES = 15, CANDIDATES = 20 };

static unsigned bad_lives(enum alpha_policy kind, int lives)
{
    struct prng prng;
    struct ledger_policy p = policy_of(kind);
    unsigned bad = 0;
    prng_seed(&prng, 20261122);
    for (int life = 0; life < lives; life++) {
        struct world w = {.sd = 0.006};
        bool fooled = false;
        memset(ledger, 0, sizeof *ledger);
        for (unsigned j = 0; j < MODELS; j++) {
            w.quality[j] = j ? -MARGIN : 0.0;
            prng_normals(&prng, EPOCHS, w.noise[j]);
            for (int e = 0; e < EPOCHS; e++)
                w.noise[j][e] *= w.sd;
        }
        for (unsigned t = 1; t <= CANDIDATES && !fooled; t++) {
            unsigned oldest = t > p.max_wait ? t - p.max_wait : 1;
            for (unsigned j = oldest; j < t && kind >= ALPHA_BAC; j++)
                fooled = fooled || judge(&p, &w, j, 0, j + 1, t).rule.approved;
            struct ledger_answer a = judge(&p, &w, t, 0, 1, t);
            if (kind < ALPHA_BAC) { /* the gate's own bound, on all patients so far */
                double d, se;
                bool use[SITES] = {true, true, true};
                unsigned char first[LEDGER_HASH_BYTES];
                hash_of(0, first);
                w.first = t; /* this epoch's patients */
                compare(&w, first, use, &d, &se);
                fooled = d - normal_isf((double)a.rule.alpha / 1e6) * se > -MARGIN;
            }
        }
        bad += fooled;
    }
    return bad;
}

static void worse_models_pass_at_most_at_alpha(void **state)
{
    (void)state;
    unsigned fixed = bad_lives(ALPHA_FIXED, LIVES), reset = bad_lives(ALPHA_RESET, LIVES);
    unsigned bac = bad_lives(ALPHA_BAC, LIVES), babr = bad_lives(ALPHA_BABR, FEW_LIVES);
    print_message("lives of %d candidates worse by the margin in which one passed: fixed %u, reset "
                  "%u of %d (alpha .05), bac %u of %d, babr %u of %d (alpha .2)\n",
                  CANDIDATES, fixed, reset, LIVES, bac, LIVES, babr, FEW_LIVES);
    /* Upper .999 points of the binomials at .05 and .2. */
    assert_true(fixed <= 8 && reset <= 8);
    assert_true(bac <= 19 && babr <= 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fixed_and_reset_halve, prepare, finish),
        cmocka_unit_test_setup_teardown(looks_need_newer_patients, prepare, finish),
        cmocka_unit_test_setup_teardown(sites_without_epochs_never_look, prepare, finish),
        cmocka_unit_test_setup_teardown(comparators_follow_the_history, prepare, finish),
        cmocka_unit_test_setup_teardown(babr_earns_alpha_back, prepare, finish),
        cmocka_unit_test_setup_teardown(text_and_back, prepare, finish),
        cmocka_unit_test_setup_teardown(a_full_ledger_says_so, prepare, finish),
        cmocka_unit_test_setup_teardown(worse_models_pass_at_most_at_alpha, prepare, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
