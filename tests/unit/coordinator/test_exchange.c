/* SPDX-License-Identifier: Apache-2.0 */
/* Objects on their way: grants for sixteen at a time, fairness, stalls, replacements, replies. */
#include "coordinator/exchange.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct exchange exchange;
static struct why why;
static unsigned char public_key[SEAL_PUBLIC_BYTES], secret_key[SEAL_SECRET_BYTES];

/* An object of n bytes at a site. */
struct made {
    struct parcel *parcel;
    struct message_head head;
    struct transfer_out out;
};

static struct made make(const char *site, uint32_t task, size_t n)
{
    struct made made = {.head = {.task = task, .study = "s"}};
    unsigned char *plain = calloc(1, n + 1);
    memset(plain, (int)task, n);
    assert_true(ok(parcel_create(plain, n, OBJECT_UPDATE, false, &made.parcel, &why)));
    free(plain);
    assert_true(ok(transfer_seal_key(&made.parcel->offer, made.parcel->key, public_key, &why)));
    snprintf(made.head.sender, sizeof made.head.sender, "%s", site);
    transfer_out_start(&made.out, &made.parcel->offer, made.parcel->cipher, made.parcel->cipher_n);
    return made;
}

static struct result offer(const struct made *made, uint64_t limit, uint64_t now_ms)
{
    return exchange_offer(&exchange, &made->head, &made->parcel->offer,
                          (const unsigned char *)"envelope", 8, limit, now_ms, &why);
}

static int setup(void **state)
{
    (void)state;
    memset(&exchange, 0, sizeof exchange);
    crypto_box_keypair(public_key, secret_key);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    exchange_free(&exchange);
    return 0;
}

static void an_upload_arrives_whole(void **state)
{
    (void)state;
    struct made made = make("uk", 1, 5 * OBJECT_CHUNK_BYTES + 7);
    struct message_object_ack ack;
    struct upload *complete = NULL;
    unsigned char packet[TRANSFER_PACKET_MAX];
    assert_int_equal(offer(&made, 1000, 1).code, RESULT_REFUSED); /* larger than agreed */
    assert_true(ok(offer(&made, 1 << 20, 1)));
    assert_true(ok(offer(&made, 1 << 20, 1))); /* twice */
    assert_int_equal(exchange.uploads_count, 1);
    assert_non_null(exchange_next_ack(&exchange, &ack));
    assert_null(exchange_next_ack(&exchange, &ack));
    transfer_out_ack(&made.out, &ack);
    for (size_t n = transfer_out_next(&made.out, packet); n > 0;
         n = transfer_out_next(&made.out, packet)) {
        assert_int_equal(exchange_chunk(&exchange, "italy", packet, n, 2, &complete, &why).code,
                         RESULT_REFUSED); /* nobody sends in another one's name */
        assert_true(ok(exchange_chunk(&exchange, "uk", packet, n, 2, &complete, &why)));
        if (complete)
            break;
        assert_true(ok(exchange_chunk(&exchange, "uk", packet, n, 2, &complete, &why)));
    }
    assert_non_null(complete);
    unsigned char *plain = NULL;
    size_t n = 0;
    assert_true(ok(transfer_open(&complete->offer, public_key, secret_key, complete->in.cipher,
                                 complete->in.cipher_n, &plain, &n, &why)));
    assert_int_equal(n, 5 * OBJECT_CHUNK_BYTES + 7);
    free(plain);
    exchange_drop(&exchange, "uk", made.parcel->offer.object, 3);
    assert_int_equal(exchange.uploads_count, 0);
    assert_int_equal(exchange_chunk(&exchange, "uk", packet, 3, 2, &complete, &why).code,
                     RESULT_REFUSED);
    parcel_release(made.parcel);
}

static size_t active(void)
{
    size_t n = 0;
    for (size_t i = 0; i < exchange.uploads_count; i++)
        n += exchange.uploads[i]->active;
    return n;
}

static void sixteen_at_a_time(void **state)
{
    (void)state;
    struct made made[EXCHANGE_ACTIVE_MAX + 3];
    for (size_t i = 0; i < EXCHANGE_ACTIVE_MAX + 3; i++) {
        char site[16];
        snprintf(site, sizeof site, "site%zu", i);
        made[i] = make(site, 1, 100);
        assert_true(ok(offer(&made[i], 1000, i)));
    }
    assert_int_equal(active(), EXCHANGE_ACTIVE_MAX);
    exchange_drop(&exchange, "site3", made[3].parcel->offer.object, 50);
    assert_int_equal(active(), EXCHANGE_ACTIVE_MAX);
    assert_true(exchange.uploads_count == EXCHANGE_ACTIVE_MAX + 2);
    /* Silent ones give their places to the two that wait. */
    uint64_t now = 50 + EXCHANGE_YIELD_MS;
    assert_true(exchange_wake(&exchange) <= now);
    exchange_tick(&exchange, now);
    bool waited_longest = false;
    for (size_t i = 0; i < exchange.uploads_count; i++)
        waited_longest = waited_longest || (exchange.uploads[i]->active &&
                                            strcmp(exchange.uploads[i]->member, "site18") == 0);
    assert_true(waited_longest);
    assert_int_equal(active(), EXCHANGE_ACTIVE_MAX);
    exchange_tick(&exchange, now + 2 * EXCHANGE_GIVE_UP_MS);
    assert_int_equal(exchange.uploads_count, 0);
    for (size_t i = 0; i < EXCHANGE_ACTIVE_MAX + 3; i++)
        parcel_release(made[i].parcel);
}

static void a_new_object_replaces_the_old(void **state)
{
    (void)state;
    struct made first = make("uk", 1, 100), second = make("uk", 1, 200), other = make("uk", 2, 50);
    assert_true(ok(offer(&first, 1000, 1)));
    assert_true(ok(offer(&second, 1000, 2)));
    assert_int_equal(exchange.uploads_count, 1);
    assert_true(ok(offer(&other, 1000, 3)));
    exchange_forget(&exchange, "s", 1, 4);
    assert_int_equal(exchange.uploads_count, 1);
    assert_int_equal(exchange.uploads[0]->task, 2);
    exchange_forget(&exchange, "another study", 9, 4);
    assert_int_equal(exchange.uploads_count, 1);
    parcel_release(first.parcel);
    parcel_release(second.parcel);
    parcel_release(other.parcel);
}

static void downloads_follow_the_grants(void **state)
{
    (void)state;
    struct made model = make("", 1, 3 * OBJECT_CHUNK_BYTES);
    struct transfer_in in;
    unsigned char packet[TRANSFER_PACKET_MAX];
    char member[PLAN_NAME_BYTES];
    assert_true(ok(exchange_send(&exchange, model.parcel, "uk", "s", 1, 1, &why)));
    assert_true(ok(exchange_send(&exchange, model.parcel, "uk", "s", 1, 1, &why)));
    assert_true(ok(exchange_send(&exchange, model.parcel, "italy", "s", 1, 1, &why)));
    assert_int_equal(exchange.downloads_count, 2);
    assert_int_equal(exchange_next_chunk(&exchange, packet, member), 0); /* no grant yet */
    assert_true(ok(transfer_in_start(&in, &model.parcel->offer, 1 << 20, &why)));
    struct message_object_ack ack;
    transfer_in_ack(&in, &ack);
    exchange_acknowledged(&exchange, "poland", &ack); /* a stranger's word */
    assert_int_equal(exchange_next_chunk(&exchange, packet, member), 0);
    exchange_acknowledged(&exchange, "uk", &ack);
    bool due = false, whole = false;
    for (int i = 0; i < 3; i++) {
        size_t n = exchange_next_chunk(&exchange, packet, member);
        assert_string_equal(member, "uk");
        assert_true(ok(transfer_in_chunk(&in, packet, n, &due, &whole, &why)));
    }
    assert_true(whole);
    exchange_delivered(&exchange, "uk", model.parcel->offer.object);
    assert_int_equal(exchange.downloads_count, 1);
    exchange_forget(&exchange, "s", 1, 2);
    assert_int_equal(exchange.downloads_count, 0);
    assert_int_equal(model.parcel->references, 1);
    /* Replies to users who went away are forgotten by time. */
    assert_true(ok(exchange_send(&exchange, model.parcel, "researcher", "", 0, 5, &why)));
    exchange_tick(&exchange, exchange_wake(&exchange));
    assert_int_equal(exchange.downloads_count, 0);
    transfer_in_free(&in);
    parcel_release(model.parcel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_upload_arrives_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(sixteen_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_object_replaces_the_old, setup, teardown),
        cmocka_unit_test_setup_teardown(downloads_follow_the_grants, setup, teardown),
    };
    return cmocka_run_group_tests_name("exchange", tests, NULL, NULL);
}
