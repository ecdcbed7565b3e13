/* SPDX-License-Identifier: Apache-2.0 */
/* Objects arrive whole over a lossy, doubling, reordering wire; altered ones and foreign receivers
 * fail. */
#include "privacy/rng.h"
#include "proto/transfer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

struct sealed {
    unsigned char *plain, *cipher;
    size_t n, cipher_n;
    unsigned char receiver_public[32], receiver_secret[32];
    struct message_object_offer offer;
};

static void seal(struct sealed *s, size_t n, uint64_t seed)
{
    struct rng rng;
    unsigned char key[32] = {0}, object_key[32];
    struct why why;
    rng_init_seeded(&rng, key, seed);
    memset(s, 0, sizeof *s);
    s->n = n;
    s->plain = malloc(n + 1);
    rng_bytes(&rng, s->plain, n);
    crypto_box_keypair(s->receiver_public, s->receiver_secret);
    assert_true(
        ok(transfer_seal(s->plain, n, &s->offer, object_key, &s->cipher, &s->cipher_n, &why)));
    assert_true(ok(transfer_seal_key(&s->offer, object_key, s->receiver_public, &why)));
}

static void unseal(struct sealed *s)
{
    free(s->plain);
    free(s->cipher);
}

/* Carries the object over a wire that loses, doubles and reorders packets; returns the packets
 * used. */
static size_t carry(struct sealed *s, uint64_t seed, unsigned loss_percent)
{
    struct rng rng;
    unsigned char key[32] = {2};
    struct transfer_out out;
    struct transfer_in in;
    struct message_object_ack ack;
    struct why why;
    size_t used = 0;
    bool complete = false, due;
    unsigned char *packet = malloc(TRANSFER_PACKET_MAX), *held = malloc(TRANSFER_PACKET_MAX);
    size_t held_n = 0;
    rng_init_seeded(&rng, key, seed);
    transfer_out_start(&out, &s->offer, s->cipher, s->cipher_n);
    assert_true(ok(transfer_in_start(&in, &s->offer, OBJECT_BYTES_MAX, &why)));
    assert_int_equal(transfer_out_next(&out, packet), 0); /* nothing before the grant */
    while (!complete) {
        transfer_in_ack(&in, &ack);
        if (rng_below(&rng, 100) >= loss_percent)
            transfer_out_ack(&out, &ack);
        for (size_t n; (n = transfer_out_next(&out, packet)) > 0 && !complete; used++) {
            assert_true(used < 100000);
            if (rng_below(&rng, 100) < loss_percent)
                continue;
            if (held_n == 0 && rng_below(&rng, 4) == 0) {
                memcpy(held, packet, n);
                held_n = n;
                continue;
            }
            assert_true(ok(transfer_in_chunk(&in, packet, n, &due, &complete, &why)));
            if (held_n > 0 && rng_below(&rng, 2) == 0) {
                assert_true(ok(transfer_in_chunk(&in, held, held_n, &due, &complete, &why)));
                held_n = 0;
            }
        }
    }
    assert_memory_equal(in.cipher, s->cipher, s->cipher_n);
    transfer_in_free(&in);
    free(packet);
    free(held);
    return used;
}

static void objects_arrive_whole(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, OBJECT_CHUNK_BYTES, OBJECT_CHUNK_BYTES + 1,
                            40 * OBJECT_CHUNK_BYTES};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct sealed s;
        unsigned char *plain;
        size_t n;
        struct why why;
        seal(&s, sizes[i], i);
        for (unsigned loss = 0; loss <= 30; loss += 15)
            carry(&s, i, loss);
        assert_true(ok(transfer_open(&s.offer, s.receiver_public, s.receiver_secret, s.cipher,
                                     s.cipher_n, &plain, &n, &why)));
        assert_int_equal(n, s.n);
        assert_memory_equal(plain, s.plain, n);
        free(plain);
        unseal(&s);
    }
}

static void alterations_are_refused(void **state)
{
    (void)state;
    struct sealed s;
    unsigned char *plain, public_key[32], secret_key[32];
    size_t n;
    struct why why;
    seal(&s, 3 * OBJECT_CHUNK_BYTES / 2, 1);
    s.cipher[70000] ^= 1;
    assert_int_equal(transfer_open(&s.offer, s.receiver_public, s.receiver_secret, s.cipher,
                                   s.cipher_n, &plain, &n, &why)
                         .code,
                     RESULT_REFUSED);
    /* even when the signed hash of the ciphertext were forged, the chunk's tag holds */
    crypto_generichash(s.offer.cipher_hash, 32, s.cipher, s.cipher_n, NULL, 0);
    assert_int_equal(transfer_open(&s.offer, s.receiver_public, s.receiver_secret, s.cipher,
                                   s.cipher_n, &plain, &n, &why)
                         .code,
                     RESULT_REFUSED);
    s.cipher[70000] ^= 1;
    crypto_generichash(s.offer.cipher_hash, 32, s.cipher, s.cipher_n, NULL, 0);
    assert_false(ok(transfer_open(&s.offer, s.receiver_public, s.receiver_secret, s.cipher,
                                  s.cipher_n - 1, &plain, &n, &why)));
    crypto_box_keypair(public_key, secret_key);
    assert_false(ok(
        transfer_open(&s.offer, public_key, secret_key, s.cipher, s.cipher_n, &plain, &n, &why)));
    unseal(&s);
}

/* What a model's plaintext looks like: neighbouring weights of one size, behind a few other bytes.
 */
static void fill_model(unsigned char *plain, size_t n, uint64_t seed)
{
    struct rng rng;
    unsigned char key[32] = {3};
    rng_init_seeded(&rng, key, seed);
    memset(plain, 0, n);
    for (size_t at = 5; at + sizeof(float) <= n; at += sizeof(float)) {
        float weight = 0.05F * (float)(rng_uniform(&rng) - 0.5);
        memcpy(plain + at, &weight, sizeof weight);
    }
}

static void models_are_packed(void **state)
{
    (void)state;
    const size_t sizes[] = {4000, 200001, 200002, 200003};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct sealed s, as_it_is;
        unsigned char *plain, key[32], *cipher;
        size_t n, cipher_n;
        struct why why;
        seal(&as_it_is, sizes[i], i);
        seal(&s, sizes[i], i);
        fill_model(s.plain, s.n, i);
        free(s.cipher);
        assert_true(
            ok(transfer_seal_packed(s.plain, s.n, &s.offer, key, &s.cipher, &s.cipher_n, &why)));
        assert_true(ok(transfer_seal_key(&s.offer, key, s.receiver_public, &why)));
        assert_int_equal(s.offer.plain_bytes, s.n);
        assert_in_range(s.offer.packed_bytes, 1, s.n * 9 / 10);
        assert_true(s.cipher_n < as_it_is.cipher_n);
        for (unsigned loss = 0; loss <= 30; loss += 15)
            carry(&s, i, loss);
        assert_true(ok(transfer_open(&s.offer, s.receiver_public, s.receiver_secret, s.cipher,
                                     s.cipher_n, &plain, &n, &why)));
        assert_int_equal(n, s.n);
        assert_memory_equal(plain, s.plain, n);
        free(plain);
        /* The name of the object is that of its plaintext, packed or not. */
        unsigned char named[PLAN_HASH_BYTES];
        memcpy(named, s.offer.plain_hash, sizeof named);
        assert_true(ok(transfer_seal(s.plain, s.n, &s.offer, key, &cipher, &cipher_n, &why)));
        assert_memory_equal(named, s.offer.plain_hash, sizeof named);
        assert_int_equal(s.offer.packed_bytes, 0);
        free(cipher);
        /* What does not shrink goes as it is. */
        assert_true(ok(transfer_seal_packed(as_it_is.plain, as_it_is.n, &s.offer, key, &cipher,
                                            &cipher_n, &why)));
        assert_int_equal(s.offer.packed_bytes, 0);
        free(cipher);
        unseal(&s);
        unseal(&as_it_is);
    }
}

/* A sender that holds the keys and lies about what it packed. */
static void lying_packers_are_refused(void **state)
{
    (void)state;
    enum { N = 40000 };
    struct sealed s;
    unsigned char *plain = NULL, key[32];
    size_t n;
    struct why why;
    seal(&s, N, 9);
    fill_model(s.plain, N, 9);
    for (int lie = 0; lie < 4; lie++) {
        free(s.cipher);
        assert_true(
            ok(transfer_seal_packed(s.plain, N, &s.offer, key, &s.cipher, &s.cipher_n, &why)));
        assert_true(ok(transfer_seal_key(&s.offer, key, s.receiver_public, &why)));
        s.offer.plain_bytes = lie == 0 ? N - 4 : lie == 1 ? N + 4 : lie == 2 ? N - 1 : N;
        if (lie == 3)
            s.offer.packed_bytes = N + 1;
        assert_false(ok(transfer_open(&s.offer, s.receiver_public, s.receiver_secret, s.cipher,
                                      s.cipher_n, &plain, &n, &why)));
    }
    unseal(&s);
}

static void hostile_packets_change_nothing(void **state)
{
    (void)state;
    struct sealed s;
    struct transfer_in in;
    struct why why;
    bool due, complete;
    unsigned char packet[TRANSFER_HEADER_BYTES + TRANSFER_TAG_BYTES + 5] = {0};
    seal(&s, 5, 3);
    assert_int_equal(transfer_in_start(&in, &s.offer, 4, &why).code, RESULT_REFUSED);
    assert_true(ok(transfer_in_start(&in, &s.offer, 5, &why)));
    for (size_t n = 0; n <= sizeof packet; n++) /* wrong object */
        assert_false(ok(transfer_in_chunk(&in, packet, n, &due, &complete, &why)));
    memcpy(packet, s.offer.object, OBJECT_ID_BYTES);
    packet[OBJECT_ID_BYTES] = 1; /* index beyond */
    assert_false(ok(transfer_in_chunk(&in, packet, sizeof packet, &due, &complete, &why)));
    packet[OBJECT_ID_BYTES] = 0;
    assert_false(ok(transfer_in_chunk(&in, packet, sizeof packet - 1, &due, &complete, &why)));
    assert_int_equal(in.count, 0);
    transfer_in_free(&in);
    unseal(&s);
}

static void acknowledgements_are_bounded(void **state)
{
    (void)state;
    struct sealed s;
    struct transfer_out out;
    unsigned char *packet = malloc(TRANSFER_PACKET_MAX);
    seal(&s, 10 * OBJECT_CHUNK_BYTES, 4);
    transfer_out_start(&out, &s.offer, s.cipher, s.cipher_n);
    struct message_object_ack ack = {.next = UINT32_MAX, .granted = UINT32_MAX, .missing_count = 2};
    memcpy(ack.object, s.offer.object, OBJECT_ID_BYTES);
    ack.missing[0] = (struct chunk_range){0, UINT32_MAX};
    ack.missing[1] = (struct chunk_range){UINT32_MAX, UINT32_MAX};
    transfer_out_ack(&out, &ack);
    size_t sent = 0;
    while (transfer_out_next(&out, packet) > 0)
        assert_true(++sent <= 10);
    transfer_out_ack(&out, &ack);
    while (transfer_out_next(&out, packet) > 0)
        assert_true(++sent <= 20);
    free(packet);
    unseal(&s);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_arrive_whole),
        cmocka_unit_test(alterations_are_refused),
        cmocka_unit_test(models_are_packed),
        cmocka_unit_test(lying_packers_are_refused),
        cmocka_unit_test(hostile_packets_change_nothing),
        cmocka_unit_test(acknowledgements_are_bounded),
    };
    return cmocka_run_group_tests_name("transfer", tests, NULL, NULL);
}
