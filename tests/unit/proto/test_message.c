/* SPDX-License-Identifier: Apache-2.0 */
/* Messages survive the wire unchanged; anything cut, altered, oversized or replayed is refused. */
#include "proto/codec.h"
#include "proto/envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

static unsigned char public_key[32], secret_key[64];

static int keys(void **state)
{
    (void)state;
    unsigned char seed[32] = {1};
    return sodium_init() < 0 || crypto_sign_seed_keypair(public_key, secret_key, seed);
}

static struct message *blank(enum message_kind kind)
{
    struct message *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->kind = kind;
    strcpy(m->head.consortium, "north");
    strcpy(m->head.sender, "alpha");
    strcpy(m->head.receiver, "coordinator");
    strcpy(m->head.study, "stroke");
    memset(m->head.session, 7, sizeof m->head.session);
    m->head.sequence = 42;
    m->head.sent_ms = 1234567890123;
    m->head.task = 3;
    return m;
}

static void fill(struct message *m)
{
    switch (m->kind) {
    case MESSAGE_HELLO:
        m->hello = (struct message_hello){1, 2, "consilium 0.1.0", 30000};
        break;
    case MESSAGE_STUDY_OFFER:
        m->study_offer.launch_n = sizeof m->study_offer.launch - 2048;
        memset(m->study_offer.launch, 'p', m->study_offer.launch_n);
        memset(m->study_offer.researcher_key, 7, sizeof m->study_offer.researcher_key);
        break;
    case MESSAGE_STUDY_ANSWER:
        m->study_answer.verdict = STUDY_REFUSED;
        strcpy(m->study_answer.reason, "the policy allows epsilon 1 a study, the plan costs 8");
        m->study_answer.epsilon_budget = 1.5;
        break;
    case MESSAGE_TASK:
        m->task.kind = TASK_TRAIN;
        m->task.round = 9;
        m->task.deadline_ms = 77;
        memset(m->task.seed, 5, sizeof m->task.seed);
        break;
    case MESSAGE_TASK_DECLINED:
        strcpy(m->task_declined.reason, "the budget is spent");
        break;
    case MESSAGE_TASK_CLOSED:
        m->task_closed.completed = true;
        strcpy(m->task_closed.own.site, "alpha");
        strcpy(m->task_closed.own.reason, "norm above the window");
        m->task_closed.counted = 4;
        break;
    case MESSAGE_OBJECT_OFFER:
        m->object_offer.kind = OBJECT_UPDATE;
        m->object_offer.plain_bytes = 2100;
        m->object_offer.packed_bytes = 2099;
        memset(m->object_offer.sealed_key, 3, sizeof m->object_offer.sealed_key);
        break;
    case MESSAGE_OBJECT_ACK:
        m->object_ack.next = 5;
        m->object_ack.granted = 21;
        m->object_ack.missing_count = OBJECT_ACK_RANGES_MAX;
        for (uint32_t i = 0; i < OBJECT_ACK_RANGES_MAX; i++)
            m->object_ack.missing[i] = (struct chunk_range){2 * i, 1};
        break;
    case MESSAGE_OBJECT_DONE:
        m->object_done.accepted = true;
        break;
    case MESSAGE_COMMAND:
        strcpy(m->command.verb, "launch");
        m->command.text_n = sizeof m->command.text;
        memset(m->command.text, 'y', m->command.text_n);
        break;
    case MESSAGE_REPLY:
        m->reply.exit_code = 1;
        strcpy(m->reply.sentence, "no such study");
        m->reply.text_n = 2;
        memcpy(m->reply.text, "{}", 2);
        break;
    case MESSAGE_TREE_HEAD:
        m->tree_head.size = 90;
        m->tree_head.ms = 5;
        m->tree_head.old_size = 40;
        memset(&m->tree_head.root, 6, sizeof m->tree_head.root);
        m->tree_head.proof.count = MERKLE_PROOF_MAX;
        memset(m->tree_head.proof.hash, 9, sizeof m->tree_head.proof.hash);
        break;
    case MESSAGE_TREE_WITNESS:
        m->tree_witness.answer = TREE_INCONSISTENT;
        m->tree_witness.size = 40;
        memset(m->tree_witness.signature, 4, sizeof m->tree_witness.signature);
        break;
    }
}

static void every_kind_survives(void **state)
{
    (void)state;
    for (enum message_kind kind = MESSAGE_HELLO; kind <= MESSAGE_TREE_WITNESS; kind++) {
        struct message *in = blank(kind), *out = calloc(1, sizeof *out);
        fill(in);
        unsigned char *bytes;
        size_t n;
        struct why why;
        assert_true(ok(envelope_seal(in, secret_key, &bytes, &n, &why)));
        assert_true(n <= MESSAGE_BYTES_MAX);
        char sender[PLAN_NAME_BYTES];
        assert_true(ok(envelope_sender(bytes, n, sender, &why)));
        assert_string_equal(sender, "alpha");
        assert_true(ok(envelope_open(bytes, n, public_key, out, &why)));
        assert_memory_equal(in, out, sizeof *in);
        free(bytes);
        free(in);
        free(out);
    }
}

static void cut_or_altered_is_refused(void **state)
{
    (void)state;
    struct message *in = blank(MESSAGE_TASK), *out = calloc(1, sizeof *out);
    fill(in);
    unsigned char *bytes;
    size_t n;
    struct why why;
    assert_true(ok(envelope_seal(in, secret_key, &bytes, &n, &why)));
    for (size_t cut = 0; cut < n; cut++)
        assert_false(ok(envelope_open(bytes, cut, public_key, out, &why)));
    for (size_t i = 0; i < n; i++) {
        for (int bit = 0; bit < 8; bit++) {
            bytes[i] ^= (unsigned char)(1 << bit);
            assert_false(ok(envelope_open(bytes, n, public_key, out, &why)));
            bytes[i] ^= (unsigned char)(1 << bit);
        }
    }
    unsigned char other[32];
    memcpy(other, public_key, sizeof other);
    other[0] ^= 1;
    assert_int_equal(envelope_open(bytes, n, other, out, &why).code, RESULT_REFUSED);
    free(bytes);
    free(in);
    free(out);
}

static void limits_are_refused(void **state)
{
    (void)state;
    struct message *in = blank(MESSAGE_STUDY_OFFER);
    struct why why;
    unsigned char *bytes;
    size_t n;
    in->study_offer.launch_n = sizeof in->study_offer.launch + 1;
    assert_int_equal(message_encode(in, &bytes, &n, &why).code, RESULT_INPUT);
    in->kind = MESSAGE_OBJECT_ACK;
    in->object_ack.missing_count = OBJECT_ACK_RANGES_MAX + 1;
    assert_int_equal(message_encode(in, &bytes, &n, &why).code, RESULT_INPUT);
    unsigned char *big = calloc(1, MESSAGE_BYTES_MAX + 1);
    assert_int_equal(message_decode(in, big, MESSAGE_BYTES_MAX + 1, &why).code, RESULT_INPUT);
    free(big);
    free(in);
}

static void replay_is_refused(void **state)
{
    (void)state;
    struct envelope_seen seen = {0};
    struct message_head head = {.sequence = 1, .sent_ms = 100};
    struct why why;
    strcpy(head.sender, "alpha");
    head.session[0] = 1;
    assert_true(ok(envelope_fresh(&seen, &head, &why)));
    struct envelope_seen before = seen;
    assert_int_equal(envelope_fresh(&seen, &head, &why).code, RESULT_REFUSED);
    assert_memory_equal(&before, &seen, sizeof seen);
    head.sequence = 5;
    head.sent_ms = 200;
    assert_true(ok(envelope_fresh(&seen, &head, &why)));
    head.sequence = 4;
    assert_false(ok(envelope_fresh(&seen, &head, &why)));
    struct message_head old = head;
    old.session[0] = 9;
    old.sequence = 1;
    old.sent_ms = 150;
    assert_false(ok(envelope_fresh(&seen, &old, &why)));
    old.sent_ms = 201;
    assert_true(ok(envelope_fresh(&seen, &old, &why)));
    old.sequence = 0;
    assert_false(ok(envelope_fresh(&seen, &old, &why)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_survives),
        cmocka_unit_test(cut_or_altered_is_refused),
        cmocka_unit_test(limits_are_refused),
        cmocka_unit_test(replay_is_refused),
    };
    return cmocka_run_group_tests_name("message", tests, keys, NULL);
}
