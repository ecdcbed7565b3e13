/* SPDX-License-Identifier: Apache-2.0 */
/* From evaluations to a gate's decision and back; the registry of models, signed moves, incidents
 * and tree heads. */
#include "coordinator/judge.h"

#include "coordinator/entry.h"
#include "coordinator/gate_policy.h"
#include "coordinator/registry_json.h"
#include "coordinator/tree_head.h"
#include "coordinator/validate/dsse.h"
#include "coordinator/validate/gate_json.h"

#include <math.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SITES = 4, REPORTS = 3, GROUPS = 3 };

static struct why why;
static struct study study;
static struct plan plan;
static struct pooling_input inputs[REPORTS];
static struct evaluation_model models[REPORTS][2];
static struct evaluation_figures figures[REPORTS][2][GROUPS];
static struct gate_rules rules;
static unsigned char candidate[PLAN_HASH_BYTES] = {1}, incumbent[PLAN_HASH_BYTES] = {2};

static void fill_figures(struct evaluation_figures *f, const char *group, bool second)
{
    memset(f, 0, sizeof *f);
    f->status = EVALUATION_OK;
    snprintf(f->group, sizeof f->group, "%s", group);
    f->positives = 200;
    f->negatives = 300;
    f->auroc = 0.85;
    f->auroc_variance = 0.0003;
    f->calibration_slope = 1.0;
    f->calibration_slope_se = 0.1;
    f->ece = 0.03;
    f->ece_null = 0.03;
    /* The later model is worse by .01: the candidate gains .01. */
    f->cindex = f->cindex_variance = (double)NAN;
    f->difference = second ? -0.01 : (double)NAN;
    f->difference_variance = second ? 2.5e-5 : (double)NAN;
}

/* Four sites allowed the study, three reported on candidate and incumbent. */
static int prepare(void **state)
{
    (void)state;
    memset(&study, 0, sizeof study);
    memset(&plan, 0, sizeof plan);
    snprintf(study.name, sizeof study.name, "s");
    snprintf(plan.label.column, sizeof plan.label.column, "event");
    study.members_count = SITES + 1;
    study.task.sites_count = SITES + 1;
    for (uint32_t i = 0; i <= SITES; i++) {
        snprintf(study.members[i].name, PLAN_NAME_BYTES, "site%u", i);
        study.members[i].verdict = i < SITES ? MEMBER_ALLOWED : MEMBER_REFUSED;
        study.task.sites[i].standing = i < REPORTS ? STANDING_COUNTED : STANDING_DECLINED;
    }
    plan.validation.min_cell = 11;
    plan.validation.margin = 0.02;
    plan.subgroups_count = 1;
    rules = gate_rules_default();
    for (uint32_t i = 0; i < REPORTS; i++) {
        inputs[i] = (struct pooling_input){.site = i};
        inputs[i].evaluation.models_count = 2;
        inputs[i].evaluation.models = models[i];
        for (int m = 0; m < 2; m++) {
            memset(&models[i][m], 0, sizeof models[i][m]);
            snprintf(models[i][m].name, PLAN_NAME_BYTES, "%s", m ? JUDGE_INCUMBENT : "global");
            models[i][m].groups_count = GROUPS;
            models[i][m].groups = figures[i][m];
            models[i][m].difference = m ? -0.01 : (double)NAN;
            models[i][m].difference_variance = m ? 1e-5 : (double)NAN;
            fill_figures(&figures[i][m][0], "", m == 1);
            fill_figures(&figures[i][m][1], "event=yes", m == 1);
            fill_figures(&figures[i][m][2], "sex=female", m == 1);
        }
    }
    return 0;
}

static struct judge_case the_case(const unsigned char *against)
{
    return (struct judge_case){.study = &study,
                               .plan = &plan,
                               .inputs = inputs,
                               .n = REPORTS,
                               .policy = &rules.gate,
                               .candidate = candidate,
                               .incumbent = against,
                               .now_ms = 5};
}

static void candidate_less_incumbent(void **state)
{
    (void)state;
    struct judge_case in = the_case(incumbent);
    struct judgement out;
    assert_true(ok(judge(&in, &out, &why)));
    assert_int_equal(out.decision, GATE_PROMOTE);
    assert_true(ok(gate_replay(out.input, out.record, &why)));
    json_t *input = json_loads(out.input, 0, NULL);
    json_t *sites = json_object_get(input, "sites");
    assert_int_equal(json_array_size(sites), SITES);
    json_t *first = json_array_get(sites, 0);
    assert_true(json_real_value(json_object_get(first, "d")) == 0.01);
    assert_string_equal(json_string_value(
                            json_object_get(json_array_get(sites, REPORTS), "status")),
                        "declined");
    json_t *groups = json_object_get(input, "groups"); /* classes of the label are none */
    assert_int_equal(json_array_size(groups), 1);
    assert_true(fabs(json_real_value(json_object_get(json_array_get(groups, 0), "d")) - 0.01) <
                1e-15);
    json_t *entry = json_loads(out.entry, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(entry, "record")), out.record);
    assert_string_equal(json_string_value(json_object_get(entry, "input")), out.input);
    json_decref(entry);
    json_decref(input);
    judgement_free(&out);
}

static double record_number(const struct judgement *j, const char *key)
{
    json_t *record = json_loads(j->record, 0, NULL);
    json_t *value = json_object_get(record, key);
    double number = json_is_array(value)    ? (double)json_array_size(value)
                    : json_is_number(value) ? json_number_value(value)
                                            : (double)NAN;
    json_decref(record);
    return number;
}

/* C is pooled for the reader with the gate's weights; no rule asks about it. */
static void cindex_is_told(void **state)
{
    (void)state;
    struct judge_case in = the_case(incumbent);
    struct judgement without, with;
    assert_true(ok(judge(&in, &without, &why)));
    assert_true(isnan(record_number(&without, "cindex_pooled")));
    for (int i = 0; i < REPORTS; i++) {
        figures[i][0][0].cindex = 0.6 + 0.05 * i;
        figures[i][0][0].cindex_variance = 0.0004;
    }
    assert_true(ok(judge(&in, &with, &why)));
    assert_int_equal(with.decision, without.decision);
    assert_true(fabs(record_number(&with, "cindex_pooled") - 0.65) < 1e-12);
    assert_true(fabs(record_number(&with, "cindex_se") - sqrt(0.0004 / 3.0)) < 1e-12);
    assert_true(ok(gate_replay(with.input, with.record, &why)));
    judgement_free(&without);
    judgement_free(&with);
}

/* Rows that repeat may make a variance smaller, but no more than they are. */
static void repeated_rows_are_plausible(void **state)
{
    (void)state;
    struct judge_case in = the_case(incumbent);
    struct judgement out;
    for (int i = 0; i < REPORTS; i++)
        figures[i][0][0].auroc_variance = 0.0003 / 6.0;
    assert_true(ok(judge(&in, &out, &why)));
    assert_true(record_number(&out, "used") == 0.0);
    judgement_free(&out);
    for (int i = 0; i < REPORTS; i++)
        figures[i][0][0].rows_per_patient = 3.0;
    assert_true(ok(judge(&in, &out, &why)));
    assert_true(record_number(&out, "used") == REPORTS);
    assert_true(ok(gate_replay(out.input, out.record, &why)));
    judgement_free(&out);
    for (int i = 0; i < REPORTS; i++) {
        figures[i][0][0].auroc_variance = 1e-9; /* whatever a site says of its rows */
        figures[i][0][0].rows_per_patient = 1e9;
    }
    assert_true(ok(judge(&in, &out, &why)));
    assert_true(record_number(&out, "used") == 0.0);
    judgement_free(&out);
}

static void worse_candidate_is_rejected(void **state)
{
    (void)state;
    struct judge_case in = the_case(incumbent);
    struct judgement out;
    for (int i = 0; i < REPORTS; i++)
        models[i][1].difference = 0.06;
    assert_true(ok(judge(&in, &out, &why)));
    assert_int_equal(out.decision, GATE_REJECT);
    assert_true(ok(gate_replay(out.input, out.record, &why)));
    judgement_free(&out);
}

static void incumbent_that_nobody_compared_holds(void **state)
{
    (void)state;
    struct judge_case in = the_case(incumbent);
    struct judgement out;
    for (int i = 0; i < REPORTS; i++)
        inputs[i].evaluation.models_count = 1;
    assert_true(ok(judge(&in, &out, &why)));
    assert_int_equal(out.decision, GATE_HOLD);
    assert_non_null(strstr(out.record, "invalid_difference"));
    judgement_free(&out);
}

static void first_model_is_held_to_the_floor(void **state)
{
    (void)state;
    struct judge_case in = the_case(NULL);
    struct judgement out;
    assert_true(ok(judge(&in, &out, &why)));
    assert_int_equal(out.decision, GATE_PROMOTE);
    assert_non_null(strstr(out.record, "nothing to compare with"));
    assert_true(ok(gate_replay(out.input, out.record, &why)));
    judgement_free(&out);
    rules.gate.auc_floor = 0.9;
    assert_true(ok(judge(&in, &out, &why)));
    assert_int_equal(out.decision, GATE_HOLD);
    assert_true(ok(gate_replay(out.input, out.record, &why)));
    assert_int_equal(gate_replay(out.input, "{}", &why).code, RESULT_REFUSED);
    judgement_free(&out);
}

static char *text_in(const char *text, const char *object, const char *key)
{
    json_t *root = json_loads(text, 0, NULL);
    const json_t *o = object ? json_object_get(root, object) : root;
    const char *found = json_string_value(json_object_get(o, key));
    char *copy = found ? strdup(found) : NULL;
    json_decref(root);
    return copy;
}

/* The ledger moves with a judgement that looked at figures, and only then. */
static void alpha_is_spent_once(void **state)
{
    (void)state;
    struct judge_case in = the_case(incumbent);
    struct judgement out;
    struct family_ledger *family = calloc(1, sizeof *family);
    struct ledger_policy policy = ledger_policy_default(ALPHA_FIXED);
    policy.used = true;
    struct judge_ledger ledger = {.ledger = family, .policy = &policy};
    in.ledger = &ledger;
    assert_true(ok(judge(&in, &out, &why)));
    assert_true(out.ledger_moved && out.decision == GATE_PROMOTE);
    assert_int_equal(family->spent, 25000);
    assert_non_null(strstr(out.record, "policy fixed gave this candidate alpha 0.025000"));
    assert_true(ok(gate_replay(out.input, out.record, &why)));
    char *before = text_in(out.entry, "ledger", "state_sha256");
    judgement_free(&out);
    rules.gate.quorum_min = 9; /* nobody looks at figures */
    assert_true(ok(judge(&in, &out, &why)));
    assert_true(!out.ledger_moved && !out.ledger);
    assert_int_equal(family->spent, 25000);
    judgement_free(&out);
    rules.gate.quorum_min = 3;
    in.candidate = incumbent; /* the model in use against itself */
    assert_true(ok(judge(&in, &out, &why)));
    assert_false(out.ledger_moved);
    judgement_free(&out);
    in.candidate = candidate;
    assert_true(ok(judge(&in, &out, &why)));
    char *after = text_in(out.entry, "ledger", "state_sha256");
    assert_true(before && after && strcmp(before, after) != 0);
    assert_int_equal(family->spent, 37500);
    judgement_free(&out);
    policy = ledger_policy_default(ALPHA_BAC);
    policy.used = true;
    for (int again = 0; again < 2; again++) { /* sites judge the same holdout */
        assert_true(ok(judge(&in, &out, &why)));
        assert_int_equal(out.decision, GATE_HOLD);
        assert_non_null(strstr(out.record, again ? "static holdout reused" : "submitted as model"));
        judgement_free(&out);
    }
    assert_int_equal(family->spent, 10000);
    free(before);
    free(after);
    free(family);
}

/* Rule 1 under a change control plan: what it covers passes, one class beyond it is rejected. */
static void changes_beyond_the_plan_are_rejected(void **state)
{
    (void)state;
    struct judge_case in = the_case(incumbent);
    struct judgement out;
    struct plan_subgroup sex = {.column = "sex"};
    plan.subgroups = &sex;
    struct plan old = plan;
    struct pccp pccp;
    static const char TEXT[] = "{\"allowed\":[\"retrain\"],\"patients_min\":1000}";
    assert_true(ok(pccp_read(TEXT, strlen(TEXT), &pccp, &why)));
    struct judge_change change = {.pccp = &pccp,
                                  .sha256 = "abcdef0123456789",
                                  .before = &old,
                                  .model = incumbent};
    in.change = &change;
    assert_true(ok(judge(&in, &out, &why)));
    assert_int_equal(out.decision, GATE_PROMOTE);
    assert_non_null(strstr(out.record, "within the change control plan abcdef012345: retrain"));
    char *classes = text_in(out.entry, "change", "classes");
    assert_string_equal(classes, "retrain");
    free(classes);
    judgement_free(&out);
    old.training.rounds = 9;
    assert_true(ok(judge(&in, &out, &why)));
    assert_int_equal(out.decision, GATE_REJECT);
    assert_non_null(strstr(out.record, "does not allow 'hyperparameters'"));
    judgement_free(&out);
    old.training.rounds = plan.training.rounds;
    pccp.patients_min = 1501; /* three sites of 500 */
    assert_true(ok(judge(&in, &out, &why)));
    assert_int_equal(out.decision, GATE_REJECT);
    judgement_free(&out);
    change.before = NULL; /* a first model of its kind changes nothing */
    assert_true(ok(judge(&in, &out, &why)));
    assert_int_equal(out.decision, GATE_PROMOTE);
    judgement_free(&out);
}

/* Two of three sites find a column drifted: more than a third of them hold the candidate. */
static void drifted_patients_hold(void **state)
{
    (void)state;
    struct judge_case in = the_case(incumbent);
    struct judgement out;
    struct evaluation_drift_column columns[2] = {
        {.name = "age", .status = EVALUATION_STATISTIC_OK, .kl = 0.01, .kl_p = 0.4},
        {.name = "marker", .status = EVALUATION_STATISTIC_OK, .kl = 0.5, .kl_p = 1e-6}};
    for (int i = 0; i < REPORTS; i++) {
        inputs[i].evaluation.drift = (struct evaluation_drift){.status = EVALUATION_STATISTIC_OK,
                                                               .columns = columns,
                                                               .columns_count = i < 2 ? 2 : 1};
        inputs[i].evaluation.drift.score.status = EVALUATION_STATISTIC_OK;
        inputs[i].evaluation.drift.score.kl_p = 1.0;
    }
    assert_true(ok(judge(&in, &out, &why)));
    assert_int_equal(out.decision, GATE_HOLD);
    assert_non_null(strstr(out.record, "2 of 3 used sites find their patients drifted"));
    assert_non_null(strstr(out.record, "3 reported it"));
    assert_true(ok(gate_replay(out.input, out.record, &why)));
    judgement_free(&out);
    columns[1].kl_p = 0.03; /* far, but chance cannot be ruled out over three columns */
    assert_true(ok(judge(&in, &out, &why)));
    assert_int_equal(out.decision, GATE_PROMOTE);
    judgement_free(&out);
    for (int i = 0; i < REPORTS; i++)
        inputs[i].evaluation.drift.status = EVALUATION_STATISTIC_REFUSED;
    assert_true(ok(judge(&in, &out, &why)));
    assert_int_equal(out.decision, GATE_PROMOTE);
    assert_non_null(strstr(out.record, "0 reported it"));
    judgement_free(&out);
}

static void family_follows_features_and_label(void **state)
{
    (void)state;
    unsigned char a[PLAN_HASH_BYTES], b[PLAN_HASH_BYTES];
    judge_family(&plan, a);
    plan.training.rounds = 77; /* how it was trained does not matter */
    judge_family(&plan, b);
    assert_memory_equal(a, b, sizeof a);
    snprintf(plan.label.column, sizeof plan.label.column, "other");
    judge_family(&plan, b);
    assert_memory_not_equal(a, b, sizeof a);
}

static void registry_keeps_models(void **state)
{
    (void)state;
    unsigned char secret[CHAIN_SECRET_BYTES], public_key[CHAIN_PUBLIC_BYTES];
    struct store *store = NULL;
    struct registry_model model = {.study = "s", .round = 3, .task = 4, .proposed_ms = 9}, read;
    char signers[REGISTRY_SIGNATURES_MAX][PLAN_NAME_BYTES];
    bool found = true;
    size_t n = 0;
    crypto_sign_keypair(public_key, secret);
    assert_true(ok(store_open(":memory:", secret, &store, &why)));
    memset(model.hash, 0xab, sizeof model.hash);
    stage_init(&model.stage, 9);
    assert_true(ok(registry_promoted(store, model.family, &read, &found, &why)));
    assert_false(found);
    assert_true(ok(registry_put(store, &model, &why)));
    assert_true(ok(registry_find(store, "s", &read, &why)));
    assert_int_equal(read.round, 3);
    assert_true(ok(registry_find(store, "ababab", &read, &why)));
    assert_int_equal(registry_find(store, "ab", &read, &why).code, RESULT_INPUT);
    assert_int_equal(registry_find(store, "zz", &read, &why).code, RESULT_INPUT);
    model.stage.stage = STAGE_PROMOTED;
    assert_true(ok(registry_put(store, &model, &why)));
    assert_true(ok(registry_promoted(store, model.family, &read, &found, &why)));
    assert_true(found);
    assert_memory_equal(read.hash, model.hash, sizeof model.hash);
    struct registry_signature signature = {.signer = "ada", .ms = 1, .envelope = "{}"};
    for (int twice = 0; twice < 2; twice++)
        assert_true(ok(registry_sign(store, model.hash, "shadow>promote", &signature, &why)));
    assert_true(ok(registry_signers(store, model.hash, "shadow>promote", signers, &n, &why)));
    assert_int_equal(n, 1);
    assert_true(ok(registry_unsign(store, model.hash, "shadow>promote", &why)));
    assert_true(ok(registry_signers(store, model.hash, "shadow>promote", signers, &n, &why)));
    assert_int_equal(n, 0);
    store_close(store);
}

static void incidents_read_back(void **state)
{
    (void)state;
    unsigned char secret[CHAIN_SECRET_BYTES], public_key[CHAIN_PUBLIC_BYTES];
    unsigned char hash[PLAN_HASH_BYTES];
    struct store *store = NULL;
    struct incident incident, read;
    crypto_sign_keypair(public_key, secret);
    assert_true(ok(store_open(":memory:", secret, &store, &why)));
    assert_true(ok(incident_open(&incident, "i1", "alerts doubled", INCIDENT_SERIOUS, 7, &why)));
    assert_true(ok(incident_mark(&incident, INCIDENT_ACKNOWLEDGE, 8, &why)));
    assert_true(ok(registry_put_incident(store, &incident, candidate, &why)));
    assert_true(ok(registry_read_incident(store, "i1", &read, hash, &why)));
    assert_memory_equal(hash, candidate, sizeof hash);
    assert_int_equal(read.done_ms[INCIDENT_ACKNOWLEDGE], 8);
    assert_int_equal(read.severity, INCIDENT_SERIOUS);
    assert_int_equal(registry_read_incident(store, "i2", &read, hash, &why).code, RESULT_INPUT);
    store_close(store);
}

static void only_the_signer_moves_a_model(void **state)
{
    (void)state;
    unsigned char secret[DSSE_SECRET_BYTES], mine[DSSE_PUBLIC_BYTES], other[DSSE_PUBLIC_BYTES];
    unsigned char unused[DSSE_SECRET_BYTES];
    struct move_statement statement = {.consortium = "c",
                                       .action = MOVE_ROLLBACK,
                                       .from = STAGE_PROMOTED,
                                       .reason = "why"},
                          read;
    char *text = NULL, *envelope = NULL;
    memcpy(statement.model, candidate, sizeof candidate);
    crypto_sign_keypair(mine, secret);
    crypto_sign_keypair(other, unused);
    assert_true(ok(move_text(&statement, &text, &why)));
    struct dsse_signer signer = {.keyid = "me", .secret = secret};
    assert_true(ok(dsse_seal(MOVE_TYPE, text, strlen(text), 1, &signer, &envelope, &why)));
    assert_true(ok(move_open(envelope, strlen(envelope), mine, &read, &why)));
    assert_int_equal(read.action, MOVE_ROLLBACK);
    assert_int_equal(read.from, STAGE_PROMOTED);
    assert_memory_equal(read.model, candidate, sizeof candidate);
    assert_int_equal(move_open(envelope, strlen(envelope), other, &read, &why).code,
                     RESULT_REFUSED);
    free(text);
    free(envelope);
}

static void tree_heads_are_signed(void **state)
{
    (void)state;
    unsigned char secret[DSSE_SECRET_BYTES], key[DSSE_PUBLIC_BYTES];
    struct tree_head head = {.origin = "c", .size = 3, .ms = 4}, read;
    char *envelope = NULL;
    crypto_sign_keypair(key, secret);
    head.root = merkle_leaf("x", 1);
    assert_true(ok(tree_head_seal(&head, "coordinator", secret, &envelope, &why)));
    assert_true(ok(tree_head_open(envelope, strlen(envelope), key, &read, &why)));
    assert_int_equal(read.size, 3);
    assert_memory_equal(&read.root, &head.root, sizeof head.root);
    key[0] ^= 1;
    assert_false(ok(tree_head_open(envelope, strlen(envelope), key, &read, &why)));
    free(envelope);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(cindex_is_told, prepare),
        cmocka_unit_test_setup(repeated_rows_are_plausible, prepare),
        cmocka_unit_test_setup(candidate_less_incumbent, prepare),
        cmocka_unit_test_setup(worse_candidate_is_rejected, prepare),
        cmocka_unit_test_setup(incumbent_that_nobody_compared_holds, prepare),
        cmocka_unit_test_setup(first_model_is_held_to_the_floor, prepare),
        cmocka_unit_test_setup(alpha_is_spent_once, prepare),
        cmocka_unit_test_setup(changes_beyond_the_plan_are_rejected, prepare),
        cmocka_unit_test_setup(drifted_patients_hold, prepare),
        cmocka_unit_test_setup(family_follows_features_and_label, prepare),
        cmocka_unit_test(registry_keeps_models),
        cmocka_unit_test(incidents_read_back),
        cmocka_unit_test(only_the_signer_moves_a_model),
        cmocka_unit_test(tree_heads_are_signed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
