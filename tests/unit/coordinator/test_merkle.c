/* SPDX-License-Identifier: Apache-2.0 */
/* Merkle proofs: every proof of small trees verifies, and no altered one does; signed documents
 * likewise. */
#include "coordinator/human_part.h"
#include "coordinator/merkle_log.h"
#include "coordinator/validate/dsse.h"
#include "coordinator/validate/passport.h"
#include "proto/merkle.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LEAVES = 70 };

static void make_leaves(struct merkle_hash *leaves)
{
    for (unsigned char i = 0; i < LEAVES; i++)
        leaves[i] = merkle_leaf(&i, 1);
}

/* The recursive definition of RFC 6962, straight. */
static struct merkle_hash plain_root(size_t n, const struct merkle_hash *leaves)
{
    if (n == 1)
        return leaves[0];
    size_t k = 1;
    while (2 * k < n)
        k *= 2;
    struct merkle_hash left = plain_root(k, leaves);
    struct merkle_hash right = plain_root(n - k, leaves + k);
    return merkle_node(&left, &right);
}

/* The tree that keeps its subtrees gives the same roots and proofs, at every size on its way. */
static void kept_subtrees_agree(void **state)
{
    (void)state;
    struct merkle_hash leaves[LEAVES];
    struct merkle_log log = {0};
    make_leaves(leaves);
    for (size_t i = 0; i < LEAVES; i++)
        assert_true(merkle_log_add(&log, &leaves[i]));
    for (size_t n = 0; n <= LEAVES; n++) {
        struct merkle_hash a = merkle_root(n, leaves), b = merkle_log_root(&log, n);
        assert_memory_equal(&a, &b, sizeof a);
        for (size_t i = 0; i <= n; i++) {
            struct merkle_proof p = {0}, q = {0};
            assert_int_equal(merkle_inclusion(n, leaves, i, &p),
                             merkle_log_inclusion(&log, n, i, &q));
            assert_int_equal(p.count, q.count);
            assert_memory_equal(p.hash, q.hash, p.count * sizeof p.hash[0]);
            assert_int_equal(merkle_consistency(n, leaves, i, &p),
                             merkle_log_consistency(&log, n, i, &q));
            assert_int_equal(p.count, q.count);
            assert_memory_equal(p.hash, q.hash, p.count * sizeof p.hash[0]);
        }
    }
    struct merkle_proof none;
    assert_false(merkle_log_consistency(&log, LEAVES + 1, 3, &none));
    assert_false(merkle_log_inclusion(&log, LEAVES + 1, 3, &none));
    merkle_log_free(&log);
}

static void every_inclusion_verifies(void **state)
{
    (void)state;
    struct merkle_hash leaves[LEAVES];
    make_leaves(leaves);
    for (size_t n = 1; n <= LEAVES; n++) {
        struct merkle_hash root = merkle_root(n, leaves);
        struct merkle_hash plain = plain_root(n, leaves);
        assert_memory_equal(&root, &plain, sizeof root);
        for (size_t i = 0; i < n; i++) {
            struct merkle_proof proof;
            assert_true(merkle_inclusion(n, leaves, i, &proof));
            assert_true(merkle_verify_inclusion(&leaves[i], i, n, &proof, &root));
            assert_false(merkle_verify_inclusion(&leaves[(i + 1) % LEAVES], i, n, &proof, &root));
            if (n > 1)
                assert_false(merkle_verify_inclusion(&leaves[i], (i + 1) % n, n, &proof, &root));
            for (size_t k = 0; k < proof.count; k++) {
                struct merkle_proof bad = proof;
                bad.hash[k].bytes[7] ^= 1;
                assert_false(merkle_verify_inclusion(&leaves[i], i, n, &bad, &root));
            }
            struct merkle_proof longer = proof;
            longer.hash[longer.count++] = root;
            assert_false(merkle_verify_inclusion(&leaves[i], i, n, &longer, &root));
        }
    }
    struct merkle_proof proof;
    assert_false(merkle_inclusion(3, leaves, 3, &proof));
    assert_false(merkle_inclusion(0, leaves, 0, &proof));
}

static void every_consistency_verifies(void **state)
{
    (void)state;
    struct merkle_hash leaves[LEAVES];
    make_leaves(leaves);
    for (size_t n = 1; n <= LEAVES; n++) {
        struct merkle_hash new_root = merkle_root(n, leaves);
        for (size_t m = 1; m <= n; m++) {
            struct merkle_hash old_root = merkle_root(m, leaves);
            struct merkle_proof proof;
            assert_true(merkle_consistency(n, leaves, m, &proof));
            assert_true(merkle_verify_consistency(m, n, &old_root, &new_root, &proof));
            struct merkle_hash other = old_root;
            other.bytes[0] ^= 1;
            assert_false(merkle_verify_consistency(m, n, &other, &new_root, &proof));
            assert_false(merkle_verify_consistency(m, n, &old_root, &other, &proof));
            for (size_t k = 0; k < proof.count; k++) {
                struct merkle_proof bad = proof;
                bad.hash[k].bytes[31] ^= 128;
                assert_false(merkle_verify_consistency(m, n, &old_root, &new_root, &bad));
            }
        }
    }
    struct merkle_proof proof;
    assert_false(merkle_consistency(3, leaves, 0, &proof));
    assert_false(merkle_consistency(3, leaves, 4, &proof));
}

struct keys {
    unsigned char public_key[2][DSSE_PUBLIC_BYTES];
    unsigned char secret[2][DSSE_SECRET_BYTES];
};

static void make_keys(struct keys *k)
{
    for (unsigned char i = 0; i < 2; i++) {
        unsigned char seed[crypto_sign_SEEDBYTES] = {i};
        crypto_sign_seed_keypair(k->public_key[i], k->secret[i], seed);
    }
}

static void envelopes_open_only_when_signed(void **state)
{
    (void)state;
    struct keys k;
    struct why why;
    char *envelope = NULL;
    char *both = NULL;
    char *payload = NULL;
    size_t n;
    bool by[2];
    make_keys(&k);
    const struct dsse_signer first = {"one", k.secret[0]};
    const struct dsse_signer second = {"two", k.secret[1]};
    const struct dsse_key known[] = {{"one", k.public_key[0]}, {"two", k.public_key[1]}};
    const struct dsse_key twice[] = {{"one", k.public_key[0]}, {"alias", k.public_key[0]}};
    assert_true(ok(dsse_seal("t/x", "hello", 5, 1, &first, &envelope, &why)));
    size_t length = strlen(envelope);
    assert_true(ok(dsse_open(envelope, length, "t/x", 2, known, 1, &payload, &n, by, &why)));
    assert_int_equal(n, 5);
    assert_string_equal(payload, "hello");
    assert_true(by[0] && !by[1]);
    free(payload);
    assert_int_equal(dsse_open(envelope, length, "t/x", 2, known, 2, &payload, &n, NULL, &why).code,
                     RESULT_REFUSED);
    assert_int_equal(dsse_open(envelope, length, "t/x", 2, twice, 2, &payload, &n, NULL, &why).code,
                     RESULT_REFUSED);
    assert_int_equal(dsse_open(envelope, length, "t/y", 2, known, 1, &payload, &n, NULL, &why).code,
                     RESULT_INPUT);
    assert_true(ok(dsse_countersign(envelope, length, &second, &both, &why)));
    assert_true(ok(dsse_open(both, strlen(both), "t/x", 2, known, 2, &payload, &n, by, &why)));
    assert_true(by[0] && by[1]);
    free(payload);
    /* Any changed byte of the envelope is noticed, or makes no difference to what was signed. */
    for (size_t i = 0; i < length; i++) {
        char *broken = strdup(envelope);
        broken[i] = broken[i] == 'A' ? 'B' : 'A';
        if (ok(dsse_open(broken, length, "t/x", 2, known, 1, &payload, &n, NULL, &why))) {
            assert_string_equal(payload, "hello");
            free(payload);
        }
        free(broken);
    }
    assert_int_equal(dsse_open("{}", 2, "t/x", 2, known, 1, &payload, &n, NULL, &why).code,
                     RESULT_INPUT);
    assert_int_equal(dsse_seal("t/x", "", 0, 1, &first, &both, &why).code, RESULT_INPUT);
    free(envelope);
    free(both);
}

/* Keys that the reference schema of passports requires. */
static void assert_required_keys(const char *text, size_t n)
{
    static const char *const TOP[] = {"passport",   "model",      "training", "privacy",
                                      "validation", "deployment", "log",      "status"};
    static const char *const MODEL[] = {"id", "weights_sha256", "schema_sha256", "version"};
    static const char *const LOG[] = {"tree_size", "root", "leaf_index", "inclusion"};
    json_t *o = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    for (size_t i = 0; i < sizeof TOP / sizeof *TOP; i++)
        assert_non_null(json_object_get(o, TOP[i]));
    for (size_t i = 0; i < sizeof MODEL / sizeof *MODEL; i++)
        assert_true(json_is_string(json_object_get(json_object_get(o, "model"), MODEL[i])));
    for (size_t i = 0; i < sizeof LOG / sizeof *LOG; i++)
        assert_non_null(json_object_get(json_object_get(o, "log"), LOG[i]));
    assert_true(json_is_array(json_object_get(o, "validation")));
    const json_t *use = json_object_get(o, "intended_use");
    assert_string_equal(json_string_value(json_object_get(use, "filled_by")), "human");
    assert_string_equal(json_string_value(json_object_get(use, "clinical_risk_level")), "high");
    assert_non_null(json_object_get(json_object_get(o, "limits"), "biases"));
    json_decref(o);
}

static const char HUMAN[] =
    "{\"model\":\"m\",\"role\":\"clinical lead\",\"clinical_risk_level\":\"high\",\"intended_use\":"
    "{\"text\":\"t\",\"population\":\"p\",\"users\":\"u\",\"how_to_use\":\"h\",\"out_of_scope\":"
    "\"o\"},\"warnings\":{\"risks\":\"r\",\"biases\":\"b\"}}";

static void human_parts_are_read_strictly(void **state)
{
    (void)state;
    struct why why;
    assert_true(ok(human_part_check("human:m", HUMAN, strlen(HUMAN), &why)));
    assert_int_equal(human_part_check("human:x", HUMAN, strlen(HUMAN), &why).code, RESULT_INPUT);
    static const char *const GONE[] = {"\"role\"", "\"users\"", "\"biases\"", "\"high\"",
                                       "\"warnings\""};
    for (size_t i = 0; i < sizeof GONE / sizeof *GONE; i++) {
        char text[sizeof HUMAN];
        memcpy(text, HUMAN, sizeof text);
        strstr(text, GONE[i])[1] = 'Z'; /* a key or level that nobody knows */
        assert_int_equal(human_part_check("human:m", text, strlen(text), &why).code, RESULT_INPUT);
    }
    assert_int_equal(human_part_check("human:m", "[]", 2, &why).code, RESULT_INPUT);
    assert_int_equal(human_part_check("human:m", "{", 1, &why).code, RESULT_INPUT);
}

/* A site that signed a head of the first entries. */
static struct passport_witness witness_of(size_t size, const struct merkle_hash *leaves)
{
    unsigned char secret[TREE_HEAD_SECRET_BYTES];
    struct passport_witness w = {.site = "x", .size = size, .ms = 9};
    struct tree_head held = {.origin = "o", .size = size, .ms = 9};
    crypto_sign_keypair(w.key, secret);
    held.root = w.root = merkle_root(size, leaves);
    tree_head_witness(&held, secret, w.signature);
    assert_true(merkle_consistency(20, leaves, size, &w.consistency));
    return w;
}

/* The text with one character behind the n-th place of a key changed is refused, whatever it was.
 */
static void refuse_changed(const char *text, size_t n, const char *key, size_t behind)
{
    struct why why;
    struct merkle_hash root;
    uint64_t size;
    char *copy = strdup(text), *at = copy ? strstr(copy, key) : NULL;
    assert_non_null(at);
    at += strlen(key) + behind;
    *at = *at == '1' ? '2' : '1';
    assert_int_equal(passport_check(copy, n, &size, &root, &why).code, RESULT_REFUSED);
    free(copy);
}

static void passport_round_trip(void **state)
{
    (void)state;
    struct merkle_hash leaves[LEAVES];
    struct merkle_proof proof;
    struct why why;
    make_leaves(leaves);
    assert_true(merkle_inclusion(20, leaves, 13, &proof));
    struct gate_policy policy = gate_policy_default();
    struct gate_site sites[3];
    struct gate_site_verdict verdicts[3];
    const char *const ids[] = {"x", "y", "z"};
    for (int i = 0; i < 3; i++)
        sites[i] = (struct gate_site){.id = ids[i],
                                      .status = "ok",
                                      .n_pos = 100,
                                      .n_neg = 400,
                                      .auc = 0.86,
                                      .var_auc = 0.0004,
                                      .d = 0.01,
                                      .var_d = 1e-5};
    struct gate_record record;
    struct gate_input in = {.policy = policy, .n_sites = 3, .sites = sites};
    assert_true(ok(gate_decide(&in, &record, verdicts, &why)));
    json_t *statement =
        json_pack("{s:s, s:f, s:i}", "unit", "patient", "epsilon_upper", 1.5, "steps", 30);
    assert_non_null(statement);
    struct passport p = {
        .model = {.id = "m", .version = "1.0", .weights_sha256 = "aa", .schema_sha256 = "bb"},
        .training = {.cpu_seconds = NAN, .energy_kwh = NAN},
        .privacy = {.delta = 1e-6, .epsilon_spent_max = 2.5, .statement = statement},
        .validation = {.policy = &policy,
                       .record = &record,
                       .sites = sites,
                       .verdicts = verdicts,
                       .transport = &record.transport,
                       .alpha_spent = -1},
        .human = {.text = HUMAN, .sha256 = "cc", .signed_by = "ada"},
        .issued = "2026-11-22T00:00:00Z",
        .log = {.origin = "o",
                .tree_size = 20,
                .leaf_index = 13,
                .leaf = leaves[13],
                .root = merkle_root(20, leaves),
                .inclusion = &proof},
    };
    char *text = NULL;
    size_t n;
    const struct passport_witness witnesses[] = {witness_of(14, leaves), witness_of(20, leaves)};
    p.log.witnesses = witnesses;
    p.log.n_witnesses = 2;
    assert_true(ok(passport_text(&p, &text, &n, &why)));
    assert_non_null(strstr(text, "\"decision\":\"PROMOTE\""));
    assert_non_null(strstr(text, "\"n_pos_band\":\"100-499\""));
    assert_non_null(strstr(text, "\"statement\":{\"unit\":\"patient\","
                                 "\"epsilon_upper\":\"1.5\",\"steps\":\"30\"}"));
    json_decref(statement);
    p.privacy.statement = NULL;
    assert_required_keys(text, n);
    uint64_t size;
    struct merkle_hash root;
    assert_true(ok(passport_check(text, n, &size, &root, &why)));
    assert_int_equal(size, 20);
    assert_memory_equal(&root, &p.log.root, sizeof root);
    refuse_changed(text, n, "\"signature\":\"", 5);
    refuse_changed(text, n, "\"consistency\":[\"", 7);
    refuse_changed(text, n, "\"site\":\"x\",\"key\":\"", 3);
    refuse_changed(text, n, "\"ms\":", 0);
    char *index = strstr(text, "\"leaf_index\":13");
    assert_non_null(index);
    index[14] = '2';
    assert_int_equal(passport_check(text, n, &size, &root, &why).code, RESULT_REFUSED);
    free(text);
    p.log.leaf_index = 12;
    assert_int_equal(passport_text(&p, &text, &n, &why).code, RESULT_INPUT);
    p.log.leaf_index = 13;
    p.model.id = NULL;
    assert_int_equal(passport_text(&p, &text, &n, &why).code, RESULT_INPUT);
    assert_string_equal(passport_band(0), "0");
    assert_string_equal(passport_band(10), "1-10");
    assert_string_equal(passport_band(11), "11-49");
    assert_string_equal(passport_band(INT64_MAX), "100000+");
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_inclusion_verifies),
        cmocka_unit_test(kept_subtrees_agree),
        cmocka_unit_test(every_consistency_verifies),
        cmocka_unit_test(envelopes_open_only_when_signed),
        cmocka_unit_test(human_parts_are_read_strictly),
        cmocka_unit_test(passport_round_trip),
    };
    return cmocka_run_group_tests_name("merkle", tests, NULL, NULL);
}
