/* SPDX-License-Identifier: Apache-2.0 */
/* A study read back is the study written; a step is whole or absent; the log's chain holds. */
#include "coordinator/store.h"

#include "privacy/rng.h"

#include <math.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static unsigned char secret[CHAIN_SECRET_BYTES];
static unsigned char public_key[CHAIN_PUBLIC_BYTES];
static struct study study, before, loaded;
static struct why why;

static struct store *open_store(void)
{
    struct store *store = NULL;
    crypto_sign_keypair(public_key, secret);
    assert_true(ok(store_open(":memory:", secret, &store, &why)));
    return store;
}

static void step(struct store *store, struct study_event event)
{
    static struct effects effects;
    before = study;
    assert_true(ok(study_step(&study, &event, &effects, &why)));
    assert_true(ok(store_begin(store, &why)));
    if (event.kind == STUDY_EVENT_LAUNCH) {
        struct store_launch launch = {
            .researcher = "r", .plan = "p", .plan_n = 1, .envelope = "e", .envelope_n = 1};
        assert_true(ok(store_launch(store, &study, &launch, &why)));
    }
    assert_true(ok(store_study(store, &before, &study, &why)));
    assert_true(ok(store_commit(store, &why)));
    assert_true(ok(store_load(store, "s", &loaded, &why)));
    assert_memory_equal(&loaded, &study, sizeof study);
}

static void every_step_reads_back(void **state)
{
    (void)state;
    struct store *store = open_store();
    static struct plan_site sites[2] = {{"a"}, {"b"}};
    struct plan plan = {.study = "s", .sites = sites, .sites_count = 2};
    plan.training.rounds = 2;
    plan.validation.every = 2;
    plan.aggregation.quorum = 1;
    plan.aggregation.deadline_s = 5;
    unsigned char hash[PLAN_HASH_BYTES] = {5};
    memset(&study, 0, sizeof study);
    step(store, (struct study_event){
                    .kind = STUDY_EVENT_LAUNCH, .plan = &plan, .model = hash, .now_ms = 10});
    for (uint32_t i = 0; i < 2; i++)
        step(store, (struct study_event){.kind = STUDY_EVENT_VERDICT,
                                         .site = i,
                                         .verdict = STUDY_ALLOWED,
                                         .declared_patients = 3,
                                         .epsilon_budget = .1,
                                         .fingerprint = hash,
                                         .reason = "",
                                         .now_ms = 20});
    step(store,
         (struct study_event){
             .kind = STUDY_EVENT_DELIVERED, .site = 0, .task = 1, .digest = hash, .now_ms = 30});
    step(store, (struct study_event){.kind = STUDY_EVENT_TIMER, .now_ms = 6000});
    step(store, (struct study_event){.kind = STUDY_EVENT_AGGREGATED,
                                     .task = 1,
                                     .model = hash,
                                     .candidate = hash,
                                     .evaluation = hash,
                                     .now_ms = 6100});
    for (uint64_t now = 20000; study.phase != STUDY_PAUSED; now += 10000) {
        step(store, (struct study_event){.kind = STUDY_EVENT_HELLO, .site = 0, .now_ms = now});
        step(store, (struct study_event){.kind = STUDY_EVENT_TIMER, .now_ms = now});
    }
    assert_int_equal(store_load(store, "t", &loaded, &why).code, RESULT_INPUT);
    char names[STORE_STUDIES_MAX][PLAN_NAME_BYTES];
    size_t count = 0;
    assert_true(ok(store_names(store, names, &count, &why)));
    assert_int_equal(count, 1);
    store_close(store);
}

static bool check_entry(void *context, const struct store_entry *entry)
{
    struct chain_head *head = context;
    chain_extend(head, entry->entry, entry->n);
    assert_int_equal(head->count, entry->seq);
    assert_memory_equal(head->hash, entry->hash, CHAIN_HASH_BYTES);
    assert_true(chain_signed_by(head, entry->signature, public_key));
    head->count++;
    assert_false(chain_signed_by(head, entry->signature, public_key));
    head->count--;
    return true;
}

static void the_log_is_a_chain(void **state)
{
    (void)state;
    struct store *store = open_store();
    for (int i = 0; i < 3; i++) {
        assert_true(ok(store_begin(store, &why)));
        assert_true(ok(store_log(store, 1, "s", "note", "{\"n\":1}", 7, &why)));
        if (i == 1)
            store_rollback(store);
        else
            assert_true(ok(store_commit(store, &why)));
    }
    assert_int_equal(store_log_head(store).count, 2);
    struct chain_head head = {0};
    assert_true(ok(store_each_entry(store, NULL, 0, check_entry, &head, &why)));
    assert_int_equal(head.count, 2);
    head = (struct chain_head){0};
    assert_true(ok(store_each_entry(store, "other", 0, check_entry, &head, &why)));
    assert_int_equal(head.count, 0);
    store_close(store);
}

static void objects_read_back(void **state)
{
    (void)state;
    struct store *store = open_store();
    struct store_bytes bytes;
    struct store_object object = {.task = 1,
                                  .position = 2,
                                  .payload = "abc",
                                  .payload_n = 3,
                                  .offer = "o",
                                  .offer_n = 1,
                                  .cipher_bytes = 19};
    assert_true(ok(store_put_object(store, "s", &object, &why)));
    assert_false(ok(store_put_object(store, "s", &object, &why))); /* exactly once */
    assert_true(ok(store_read_object(store, "s", 1, 2, &bytes, &why)));
    assert_int_equal(bytes.n, 3);
    assert_memory_equal(bytes.bytes, "abc", 4);
    free(bytes.bytes);
    assert_int_equal(store_read_object(store, "s", 1, 1, &bytes, &why).code, RESULT_INPUT);
    assert_true(ok(store_read_offer(store, "s", 1, 2, &bytes, &why)));
    assert_memory_equal(bytes.bytes, "o", 2);
    free(bytes.bytes);
    unsigned char hash[PLAN_HASH_BYTES] = {1};
    assert_true(ok(store_put_model(store, "s", 1, hash, "m", 1, &why)));
    assert_true(ok(store_put_model(store, "s", 1, hash, "m", 1, &why)));
    assert_true(ok(store_read_model(store, hash, &bytes, &why)));
    free(bytes.bytes);
    assert_true(ok(store_put_server(store, "s", 1, "x", 1, &why)));
    assert_true(ok(store_put_server(store, "s", 2, "yz", 2, &why)));
    uint32_t number = 0;
    assert_true(ok(store_read_server(store, "s", &number, &bytes, &why)));
    assert_int_equal(number, 2);
    assert_int_equal(bytes.n, 2);
    free(bytes.bytes);
    struct store_member member = {.peak_memory_kb = 7, .software = "v"}, again;
    member.seen.sequence = 9;
    member.ledger_records = 11;
    memset(member.ledger_head, 3, sizeof member.ledger_head);
    memset(member.ledger_key, 4, sizeof member.ledger_key);
    assert_true(ok(store_put_member(store, "a", &member, &why)));
    assert_true(ok(store_read_member(store, "a", &again, &why)));
    assert_memory_equal(&member, &again, sizeof member);
    assert_true(ok(store_read_member(store, "b", &again, &why)));
    assert_int_equal(again.seen.sequence, 0);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_reads_back),
        cmocka_unit_test(the_log_is_a_chain),
        cmocka_unit_test(objects_read_back),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
