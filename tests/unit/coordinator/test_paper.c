/* SPDX-License-Identifier: Apache-2.0 */
/* Documents of the consortium in the store, gate policies read strictly, and the classes of change
 * between two plans. */
#include "coordinator/change.h"
#include "coordinator/paper.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct why why;

static const char PLAN[] =
    "version: 1\nstudy: s\ntitle: t\npurpose: p\nsites: [a, b]\npatient_id: id\n"
    "label: {column: event, type: binary, levels: [\"no\", \"yes\"]}\n"
    "features:\n  - {name: age, type: number, unit: years, range: [18, 100], missing: centre}\n"
    "model: {kind: logistic}\ntraining: {rounds: 5, epochs: 1, batch: 32, learning_rate: 0.5, "
    "seed: 7}\nprivacy: {mode: none}\n"
    "aggregation: {rule: weighted-mean, quorum: 2, deadline_s: 30}\n"
    "validation: {every: 0, holdout: 0.4, min_cell: 11, margin: 0.02, threshold: 0.5}\n";

/* The classes between the plan and the same with one text replaced by another. */
static unsigned classes(const char *from, const char *to, bool *ret_same_test_set)
{
    struct plan before, after;
    char text[2 * sizeof PLAN], a[PCCP_HASH_TEXT], b[PCCP_HASH_TEXT];
    const char *at = strstr(PLAN, from);
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - PLAN), PLAN, to, at + strlen(from));
    assert_true(ok(plan_parse(&before, "plan", PLAN, strlen(PLAN), &why)));
    if (!ok(plan_parse(&after, "plan", text, strlen(text), &why)))
        fail_msg("%s", why.text);
    unsigned changes = change_classes(&before, &after);
    change_test_set(&before, a);
    change_test_set(&after, b);
    *ret_same_test_set = strcmp(a, b) == 0;
    plan_free(&before);
    plan_free(&after);
    return changes;
}

static void changes_are_told_apart(void **state)
{
    (void)state;
    bool same;
    assert_int_equal(classes("study: s", "study: r", &same), PCCP_RETRAIN);
    assert_true(same);
    assert_int_equal(classes("seed: 7", "seed: 8", &same), PCCP_RETRAIN);
    assert_int_equal(classes("rounds: 5", "rounds: 6", &same), PCCP_RETRAIN | PCCP_HYPERPARAMETERS);
    assert_int_equal(classes("weighted-mean", "trimmed-mean", &same),
                     PCCP_RETRAIN | PCCP_HYPERPARAMETERS);
    assert_int_equal(classes("threshold: 0.5", "threshold: 0.4", &same),
                     PCCP_RETRAIN | PCCP_THRESHOLD);
    assert_true(same);
    assert_int_equal(classes("sites: [a, b]", "sites: [a, b, c]", &same),
                     PCCP_RETRAIN | PCCP_NEW_SITE);
    assert_false(same);
    assert_int_equal(classes("[18, 100]", "[18, 90]", &same), PCCP_RETRAIN | PCCP_FEATURES);
    assert_int_equal(classes("{kind: logistic}", "{kind: mlp, hidden: [4]}", &same),
                     PCCP_RETRAIN | PCCP_ARCHITECTURE);
    assert_int_equal(classes("purpose: p", "purpose: triage", &same),
                     PCCP_RETRAIN | PCCP_INTENDED_USE);
    assert_int_equal(classes("holdout: 0.4", "holdout: 0.3", &same), PCCP_RETRAIN);
    assert_false(same);
    char words[64];
    pccp_words(PCCP_RETRAIN | PCCP_NEW_SITE, words, sizeof words);
    assert_string_equal(words, "retrain, new_site");
    pccp_words(0, words, sizeof words);
    assert_string_equal(words, "none");
    pccp_words(~0U, words, 8); /* cut, not past the end */
}

static void policies_are_read_strictly(void **state)
{
    (void)state;
    static const char GOOD[] =
        "{\"policy\":{\"auc_floor\":0.7,\"superiority\":true},"
        "\"stages\":{\"pilot_min_days\":1},"
        "\"ledger\":{\"policy\":\"bac\",\"alpha_micro\":100000,\"window\":10,\"wait\":3}}";
    static const char *const BAD[] = {"",
                                      "[]",
                                      "{\"polices\":{}}",
                                      "{\"policy\":[]}",
                                      "{\"ledger\":{}}",
                                      "{\"ledger\":{\"policy\":\"bac\",\"wait\":99}}",
                                      "{\"ledger\":{\"policy\":\"bac\",\"alpha_micro\":0.05}}",
                                      "{\"ledger\":{\"policy\":\"fixed\",\"alpha_micro\":600000}}",
                                      "{\"ledger\":{\"policy\":\"fixed\",\"alfa_micro\":1}}",
                                      "{\"stages\":{\"signatures_needed\":0}}"};
    struct gate_rules rules;
    assert_true(ok(gate_rules_parse(GOOD, strlen(GOOD), &rules, &why)));
    assert_true(rules.gate.superiority && rules.gate.auc_floor == 0.7);
    assert_true(rules.ledger.used && rules.ledger.kind == ALPHA_BAC);
    assert_true(rules.ledger.alpha_total == 100000 && rules.ledger.max_wait == 3);
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        assert_int_equal(gate_rules_parse(BAD[i], strlen(BAD[i]), &rules, &why).code, RESULT_INPUT);
    assert_true(ok(gate_rules_parse("{}", 2, &rules, &why)));
    assert_false(rules.ledger.used);
}

static uint64_t entries(struct store *store)
{
    return store_log_head(store).count;
}

static void a_signed_policy_outranks_the_folder(void **state)
{
    (void)state;
    unsigned char secret[CHAIN_SECRET_BYTES], key[CHAIN_PUBLIC_BYTES];
    struct store *store = NULL;
    struct gate_rules rules;
    char names[PAPER_SIGNERS_MAX][PLAN_NAME_BYTES];
    bool has_operator = true;
    size_t n = 9;
    crypto_sign_keypair(key, secret);
    assert_true(ok(store_open(":memory:", secret, &store, &why)));
    assert_true(ok(paper_take_folder(store, NULL, 1, &why)));
    assert_int_equal(entries(store), 0);
    assert_true(ok(paper_take_folder(store, "{\"policy\":{\"alpha\":0.01}}", 2, &why)));
    assert_true(ok(paper_take_folder(store, "{\"policy\":{\"alpha\":0.01}}", 3, &why)));
    assert_int_equal(entries(store), 1);
    assert_true(ok(paper_rules(store, NULL, &rules, &why)));
    assert_true(rules.gate.alpha == 0.01);
    struct paper paper = {.text = strdup("{\"policy\":{\"alpha\":0.03}}"), .signers = 2, .ms = 4};
    paper_hash(paper.text, strlen(paper.text), paper.sha256);
    assert_true(ok(paper_put(store, PAPER_POLICY, &paper, &why)));
    assert_true(ok(paper_take_folder(store, "{\"policy\":{\"alpha\":0.2}}", 5, &why)));
    assert_true(ok(paper_rules(store, NULL, &rules, &why)));
    assert_true(rules.gate.alpha == 0.03);
    struct paper_signature ada = {.signer = "ada", .ms = 1, .envelope = "{}"};
    struct paper_signature bob = {.signer = "bob",
                                  .operator_role = true,
                                  .ms = 2,
                                  .envelope = "{}"};
    for (int twice = 0; twice < 2; twice++)
        assert_true(ok(paper_sign(store, PAPER_CHANGES, paper.sha256, &ada, &why)));
    assert_true(
        ok(paper_signers(store, PAPER_CHANGES, paper.sha256, names, &n, &has_operator, &why)));
    assert_true(n == 1 && !has_operator);
    assert_true(ok(paper_sign(store, PAPER_CHANGES, paper.sha256, &bob, &why)));
    assert_true(
        ok(paper_signers(store, PAPER_CHANGES, paper.sha256, names, &n, &has_operator, &why)));
    assert_true(n == 2 && has_operator);
    assert_true(ok(paper_unsign(store, PAPER_CHANGES, &why)));
    assert_true(
        ok(paper_signers(store, PAPER_CHANGES, paper.sha256, names, &n, &has_operator, &why)));
    assert_int_equal(n, 0);
    paper_free(&paper);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_told_apart),
        cmocka_unit_test(policies_are_read_strictly),
        cmocka_unit_test(a_signed_policy_outranks_the_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
