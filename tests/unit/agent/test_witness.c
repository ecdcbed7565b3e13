/* SPDX-License-Identifier: Apache-2.0 */
/* The vault as a witness of the coordinator's log: it holds heads that are proved to grow, and
 * takes no task from a log that was put back, rewritten, or is not proved. */
#include "agent/vault/decisions.h"
#include "tests/hospital.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PLAIN                                                                                      \
    "training: {rounds: 3, epochs: 2, learning_rate: 0.1}\n"                                       \
    "privacy: {mode: none}\n"
#define ALLOW                                                                                      \
    "decision: allow\nprivacy_required: false\nepsilon_per_study: 2\nepsilon_per_year: 4\n"        \
    "epsilon_total: 8\ndelta: 1.0e-5\nmin_patients: 50\n"

enum { LOG = 64 };

static struct hospital h;
static struct merkle_hash honest[LOG], rewritten[LOG];

static void make_logs(void)
{
    for (unsigned char i = 0; i < LOG; i++) {
        unsigned char other[2] = {i, 1};
        honest[i] = merkle_leaf(&i, 1);
        rewritten[i] = i < 7 ? honest[i] : merkle_leaf(other, 2);
    }
}

/* Sends the head of a log's first size entries with the proof from old. */
static struct vault_reply send_head(const struct merkle_hash *log, size_t size, size_t old,
                                    uint64_t ms)
{
    struct message_tree_head *m = &hospital_message(&h, MESSAGE_TREE_HEAD, 0)->tree_head;
    struct tree_head head = {.origin = "demo", .size = size, .ms = ms};
    head.root = merkle_root(size, log);
    m->size = size;
    m->ms = ms;
    m->root = head.root;
    m->old_size = old;
    if (old > 0)
        assert_true(merkle_consistency(size, log, old, &m->proof));
    tree_head_sign(&head, h.coordinator.sign_secret, m->signature);
    size_t n = 0;
    unsigned char *envelope = hospital_sign(&h, &h.coordinator, "coordinator", h.message, &n);
    struct bytes_out body = {0};
    bytes_out_block(&body, envelope, n);
    free(envelope);
    return hospital_ask(&h, (struct ipc_message){.type = IPC_TREE_HEAD,
                                                 .body = body.bytes,
                                                 .n = body.n});
}

static void expect(struct vault_reply reply, enum tree_answer answer, size_t held)
{
    assert_int_equal(reply.type, IPC_SIGNED);
    assert_int_equal(reply.message->kind, MESSAGE_TREE_WITNESS);
    const struct message_tree_witness *w = &reply.message->tree_witness;
    assert_int_equal(w->answer, answer);
    assert_int_equal(w->size, held);
    struct tree_head head = {.origin = "demo", .size = w->size, .root = w->root, .ms = w->ms};
    assert_true(tree_head_witnessed(&head, h.site.sign_public, w->signature));
    assert_false(tree_head_signed(&head, h.site.sign_public, w->signature));
}

/* Whether a task is declined, and with which words. */
static void expect_task(const char *declined)
{
    static uint32_t task;
    struct vault_reply reply =
        hospital_ask(&h, hospital_task(&h, TASK_TRAIN, ++task, 1, 0.0f, false));
    if (!declined) {
        assert_int_equal(reply.type, IPC_NEED_MODEL);
        return;
    }
    assert_int_equal(reply.message->kind, MESSAGE_TASK_DECLINED);
    if (!strstr(reply.message->task_declined.reason, declined))
        fail_msg("'%s'", reply.message->task_declined.reason);
}

static void open_site(void)
{
    make_logs();
    hospital_open(&h, PLAIN, ALLOW);
    struct vault_reply reply = hospital_ask(&h, hospital_offer(&h));
    assert_int_equal(reply.message->study_answer.verdict, STUDY_ALLOWED);
}

static void growing_heads_are_held(void **state)
{
    (void)state;
    open_site();
    expect(send_head(honest, 10, 0, 100), TREE_COSIGNED, 10);
    expect(send_head(honest, 10, 10, 100), TREE_COSIGNED, 10);
    expect(send_head(honest, 25, 7, 200), TREE_BEHIND, 10);
    expect(send_head(honest, 25, 10, 200), TREE_COSIGNED, 25);
    hospital_crash(&h);
    hospital_start(&h);
    assert_int_equal(h.vault.witness.held.head.size, 25);
    expect(send_head(honest, 64, 25, 300), TREE_COSIGNED, 64);
    assert_int_equal(send_head(honest, 25, 10, 200).type, IPC_NOTED); /* old news */
    expect_task(NULL);
    hospital_close(&h);
}

static void a_log_put_back_is_noticed(void **state)
{
    (void)state;
    open_site();
    expect(send_head(honest, 40, 0, 100), TREE_COSIGNED, 40);
    expect(send_head(honest, 20, 10, 200), TREE_SHORTER, 40);
    expect_task("put back to an older state");
    hospital_crash(&h);
    hospital_start(&h);
    expect_task("put back to an older state");
    /* It cannot grow out of it. */
    expect(send_head(honest, 50, 40, 300), TREE_SHORTER, 40);
    struct why why;
    assert_true(ok(decisions_append(h.vault.decisions_fd, true, WITNESS_DECISION,
                                    h.vault.witness.other.head.root.bytes, &why)));
    expect_task(NULL);
    expect(send_head(honest, 50, 20, 400), TREE_COSIGNED, 50);
    hospital_close(&h);
}

static void a_rewritten_log_is_noticed(void **state)
{
    (void)state;
    open_site();
    expect(send_head(honest, 20, 0, 100), TREE_COSIGNED, 20);
    expect(send_head(rewritten, 20, 0, 200), TREE_INCONSISTENT, 20);
    expect_task("rewritten");
    hospital_close(&h);

    open_site();
    expect(send_head(honest, 20, 0, 100), TREE_COSIGNED, 20);
    expect(send_head(rewritten, 30, 20, 200), TREE_INCONSISTENT, 20);
    expect_task("rewritten");
    struct why why;
    assert_true(ok(decisions_append(h.vault.decisions_fd, false, WITNESS_DECISION,
                                    h.vault.witness.other.head.root.bytes, &why)));
    expect_task("rewritten");
    hospital_close(&h);
}

static void proofs_are_demanded(void **state)
{
    (void)state;
    open_site();
    expect(send_head(honest, 20, 0, 100), TREE_COSIGNED, 20);
    for (int i = 0; i < WITNESS_PATIENCE; i++) {
        expect_task(NULL);
        expect(send_head(rewritten, 40, 7, 200), TREE_BEHIND, 20);
    }
    expect_task("does not prove");
    expect(send_head(honest, 40, 20, 300), TREE_COSIGNED, 40);
    expect_task(NULL);
    hospital_close(&h);
}

static void forged_heads_are_refused(void **state)
{
    (void)state;
    open_site();
    struct message *message = hospital_message(&h, MESSAGE_TREE_HEAD, 0);
    struct tree_head head = {.origin = "elsewhere", .size = 3, .ms = 5};
    head.root = merkle_root(3, honest);
    message->tree_head.size = 3;
    message->tree_head.ms = 5;
    message->tree_head.root = head.root;
    tree_head_sign(&head, h.coordinator.sign_secret, message->tree_head.signature);
    size_t n = 0;
    unsigned char *envelope = hospital_sign(&h, &h.coordinator, "coordinator", message, &n);
    struct bytes_out body = {0};
    bytes_out_block(&body, envelope, n);
    free(envelope);
    struct vault_reply reply =
        hospital_ask(&h,
                     (struct ipc_message){.type = IPC_TREE_HEAD, .body = body.bytes, .n = body.n});
    assert_int_equal(reply.type, IPC_REFUSED);
    assert_int_equal(h.vault.witness.held.head.size, 0);
    hospital_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(growing_heads_are_held),     cmocka_unit_test(a_log_put_back_is_noticed),
        cmocka_unit_test(a_rewritten_log_is_noticed), cmocka_unit_test(proofs_are_demanded),
        cmocka_unit_test(forged_heads_are_refused),
    };
    return cmocka_run_group_tests_name("witness", tests, NULL, NULL);
}
