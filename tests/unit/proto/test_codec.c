/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of every codec: names, exact sizes, tiles, bias, and refusal of damaged ones. */
#include "proto/compress/codec.h"
#include "proto/compress/feedback.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const names[] = {"raw32",
                                    "bf16",
                                    "int8b",
                                    "eden-1",
                                    "eden-2",
                                    "eden-3",
                                    "eden-4",
                                    "eden-8",
                                    "topk-ef:0.01",
                                    "topk-ef:7",
                                    "randk-shared:0.125"};
enum { NAMES = sizeof names / sizeof names[0], D = 2 * CODEC_BLOCK + 101 };

static uint64_t state = 1;

static double uniform(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return ((double)((z ^ z >> 31) >> 11) + 0.5) * 0x1p-53;
}

static void fill(float *x, size_t d)
{
    for (size_t i = 0; i < d; i++)
        x[i] = (float)(sqrt(-2 * log(uniform())) * cos(2 * M_PI * uniform()));
}

static struct codec named(const char *name)
{
    struct codec codec;
    struct why why = {""};
    struct result r = codec_parse(name, &codec, &why);
    if (!ok(r))
        fail_msg("%s", why.text);
    return codec;
}

static size_t encode(const struct codec *codec, uint64_t number, size_t d, const float *x,
                     unsigned char *frame, size_t cap)
{
    static const unsigned char secret[CODEC_SEED_BYTES] = "test";
    unsigned char seed[CODEC_SEED_BYTES];
    struct why why = {""};
    size_t len = 0;
    codec_seed(secret, number, "site-a", seed);
    struct result r = codec_encode(codec, seed, d, x, frame, cap, &len, &why);
    if (!ok(r))
        fail_msg("%s", why.text);
    assert_int_equal(len, codec_frame_bytes(codec, d));
    return len;
}

static void decode(const unsigned char *frame, size_t len, size_t d, float *x)
{
    struct why why = {""};
    struct result r = codec_decode(frame, len, d, x, &why);
    if (!ok(r))
        fail_msg("%s", why.text);
}

static void plan_names(void **unused)
{
    (void)unused;
    static const char *const wrong[] = {"",
                                        "eden",
                                        "eden-",
                                        "eden-5",
                                        "eden-44",
                                        "int8",
                                        "topk-ef",
                                        "topk-ef:",
                                        "topk-ef:0",
                                        "topk-ef:-1",
                                        "topk-ef:1.5",
                                        "topk-ef:x",
                                        "topk-ef:nan",
                                        "topk-ef:1e30",
                                        "randk-shared:1.1",
                                        "randk-shared:2",
                                        "EDEN-4",
                                        "randk-shared:",
                                        "topk-ef:0.1 tail"};
    struct codec codec = named("none");
    char name[CODEC_NAME_BYTES];
    struct why why;
    assert_int_equal(codec.id, CODEC_RAW32);
    for (int i = 0; i < NAMES; i++) {
        codec = named(names[i]);
        codec_name(&codec, name);
        assert_string_equal(name, names[i]);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        why.text[0] = 0;
        assert_int_equal(codec_parse(wrong[i], &codec, &why).code, RESULT_INPUT);
        assert_true(strlen(why.text) > 20);
    }
}

static void exact_sizes(void **unused)
{
    (void)unused;
    struct codec codec = named("eden-4");
    assert_int_equal(codec_frame_bytes(&codec, 4096), 48 + 2052);
    assert_int_equal(codec_frame_bytes(&codec, 4097), 48 + 2 * 2052);
    codec = named("raw32");
    assert_int_equal(codec_frame_bytes(&codec, 10), 48 + 40);
    codec = named("int8b");
    assert_int_equal(codec_frame_bytes(&codec, 4100), 48 + 8 + 4100);
    codec = named("topk-ef:0.01");
    assert_int_equal(codec_frame_bytes(&codec, 8192), 48 + 8 + 8 + 6 * 82);
    codec = named("randk-shared:0.125");
    assert_int_equal(codec_frame_bytes(&codec, 4096 + 9), 48 + 8 + 4 * (512 + 2));
}

static void small_vectors_go_raw(void **unused)
{
    (void)unused;
    struct codec codec = named("eden-4");
    assert_int_equal(codec_for(&codec, 513).id, CODEC_RAW32);
    assert_int_equal(codec_for(&codec, 514).id, CODEC_EDEN);
    codec = named("bf16");
    assert_int_equal(codec_for(&codec, 1).id, CODEC_BF16);
}

static void refused_combinations(void **unused)
{
    (void)unused;
    struct codec codec = named("topk-ef:0.01");
    struct why why = {""};
    assert_int_equal(codec_allowed(&codec, true, true, &why).code, RESULT_REFUSED);
    assert_non_null(strstr(why.text, "noise"));
    assert_int_equal(codec_allowed(&codec, false, false, &why).code, RESULT_REFUSED);
    assert_non_null(strstr(why.text, "robust"));
    assert_true(ok(codec_allowed(&codec, false, true, &why)));
    codec = named("eden-4");
    assert_true(ok(codec_allowed(&codec, true, false, &why)));
    assert_true(ok(codec_allowed(&codec, false, false, &why)));
    codec.rounds = 1;
    assert_int_equal(codec_allowed(&codec, false, false, &why).code, RESULT_REFUSED);
}

/* Relative error of one encoding at most this. */
static double bound(const struct codec *codec)
{
    switch (codec->id) {
    case CODEC_RAW32:
        return 0;
    case CODEC_BF16:
        return 0x1p-16;
    case CODEC_INT8B:
        return 1.5e-4;
    case CODEC_EDEN:
        return codec->bits == 8 ? 4.3e-5 : codec->bits == 4 ? 0.0101 : 0.6;
    case CODEC_TOPK_EF:
        return 1;
    case CODEC_RANDK_SHARED:
        return 8;
    }
    return 0;
}

static void tiles_equal_whole(void **unused)
{
    (void)unused;
    static float x[D], whole[D], tiles[3 * CODEC_BLOCK];
    static unsigned char frame[5 * D];
    fill(x, D);
    for (int i = 0; i < NAMES; i++) {
        struct codec codec = named(names[i]);
        struct codec_view view;
        struct why why;
        size_t len = encode(&codec, 3, D, x, frame, sizeof frame);
        decode(frame, len, D, whole);
        double error = 0, norm = 0;
        for (size_t j = 0; j < D; j++) {
            error += pow((double)whole[j] - (double)x[j], 2);
            norm += pow((double)x[j], 2);
        }
        assert_true(error <= norm * bound(&codec));
        assert_true(ok(codec_open(frame, len, D, &view, &why)));
        assert_int_equal(view.blocks, 3);
        assert_true(codec_view_is(&view, &codec));
        for (uint64_t block = 3; block-- > 0;)
            codec_decode_blocks(&view, block, 1, tiles + block * CODEC_BLOCK);
        assert_memory_equal(whole, tiles, sizeof whole);
        memset(tiles, 0, sizeof tiles);
        codec_decode_blocks(&view, 1, 2, tiles);
        assert_memory_equal(whole + CODEC_BLOCK, tiles, sizeof whole - 4 * CODEC_BLOCK);
    }
}

static void frames_repeat(void **unused)
{
    (void)unused;
    static float x[D];
    static unsigned char a[5 * D], b[5 * D];
    fill(x, D);
    for (int i = 0; i < NAMES; i++) {
        struct codec codec = named(names[i]);
        size_t len = encode(&codec, 3, D, x, a, sizeof a);
        encode(&codec, 3, D, x, b, sizeof b);
        assert_memory_equal(a, b, len);
        encode(&codec, 4, D, x, b, sizeof b);
        bool seeded =
            codec.id == CODEC_INT8B || codec.id == CODEC_EDEN || codec.id == CODEC_RANDK_SHARED;
        assert_int_equal(memcmp(a, b, len) != 0, seeded);
    }
}

static void unbiased_codecs(void **unused)
{
    (void)unused;
    enum { SMALL = 700, SEEDS = 4000 };
    static const char *const which[] = {"int8b", "randk-shared:0.125"};
    static float x[SMALL], y[SMALL];
    static unsigned char frame[8 * SMALL];
    fill(x, SMALL);
    for (size_t w = 0; w < 2; w++) {
        struct codec codec = named(which[w]);
        double mean[SMALL] = {0}, spread = 0, bias = 0, norm = 0;
        for (uint64_t s = 0; s < SEEDS; s++) {
            size_t len = encode(&codec, s, SMALL, x, frame, sizeof frame);
            decode(frame, len, SMALL, y);
            for (size_t i = 0; i < SMALL; i++) {
                mean[i] += (double)y[i] / SEEDS;
                spread += pow((double)y[i] - (double)x[i], 2) / SEEDS;
            }
        }
        for (size_t i = 0; i < SMALL; i++) {
            bias += pow(mean[i] - (double)x[i], 2);
            norm += pow((double)x[i], 2);
        }
        print_message("%s: nmse %.3e, bias^2 %.1e, of chance %.1e\n", which[w], spread / norm,
                      bias / norm, spread / SEEDS / norm);
        assert_true(fabs(bias / (spread / SEEDS) - 1) < 0.3);
        assert_true(codec.id == CODEC_INT8B ? spread / norm < 1.1e-4
                                            : fabs(spread / norm / 7 - 1) < 0.05);
    }
}

static void topk_keeps_the_largest(void **unused)
{
    (void)unused;
    static float x[D], y[D];
    static unsigned char frame[5 * D];
    struct codec codec = named("topk-ef:5");
    for (size_t i = 0; i < D; i++)
        x[i] = 1;
    x[D - 1] = -3;
    x[CODEC_BLOCK] = 2;
    size_t len = encode(&codec, 0, D, x, frame, sizeof frame);
    decode(frame, len, D, y);
    for (size_t i = 0; i < D; i++)
        assert_true(y[i] == (i < 3 || i == CODEC_BLOCK || i == D - 1 ? x[i] : 0));
}

static void shared_seed_shares_coordinates(void **unused)
{
    (void)unused;
    static float x[D], y[D], from_x[D], from_y[D];
    static unsigned char frame[5 * D];
    struct codec codec = named("randk-shared:0.125");
    fill(x, D);
    fill(y, D);
    decode(frame, encode(&codec, 9, D, x, frame, sizeof frame), D, from_x);
    decode(frame, encode(&codec, 9, D, y, frame, sizeof frame), D, from_y);
    for (size_t i = 0; i < D; i++)
        assert_int_equal(from_x[i] == 0, from_y[i] == 0);
}

static void seeds_are_separate(void **unused)
{
    (void)unused;
    static const unsigned char secret[CODEC_SEED_BYTES] = {7};
    unsigned char seed[5][CODEC_SEED_BYTES];
    codec_seed(secret, 1, NULL, seed[0]);
    codec_seed(secret, 2, NULL, seed[1]);
    codec_seed(secret, 1, "a", seed[2]);
    codec_seed(secret, 1, "b", seed[3]);
    codec_seed(secret, 1, "a", seed[4]);
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < i; j++)
            assert_int_equal(memcmp(seed[i], seed[j], CODEC_SEED_BYTES) == 0, i == 4 && j == 2);
}

static void bad_input_is_refused(void **unused)
{
    (void)unused;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    static float x[D];
    static unsigned char frame[5 * D];
    unsigned char seed[CODEC_SEED_BYTES] = {0};
    struct why why;
    size_t len;
    for (int i = 0; i < NAMES; i++) {
        struct codec codec = named(names[i]);
        fill(x, D);
        size_t bytes = (size_t)codec_frame_bytes(&codec, D);
        assert_int_equal(codec_encode(&codec, seed, D, x, frame, bytes - 1, &len, &why).code,
                         RESULT_INPUT);
        assert_int_equal(codec_encode(&codec, seed, 0, x, frame, bytes, &len, &why).code,
                         RESULT_INPUT);
        for (size_t k = 0; k < 3; k++) {
            x[CODEC_BLOCK + 5] = bad[k];
            assert_int_equal(codec_encode(&codec, seed, D, x, frame, bytes, &len, &why).code,
                             RESULT_INPUT);
            assert_string_equal(why.text, "coordinate 4101 is not finite");
        }
        x[CODEC_BLOCK + 5] = 3.4e38F;
        bool scaled = codec.id == CODEC_INT8B || codec.id == CODEC_EDEN;
        bool scaled_or_rounded = scaled || codec.id == CODEC_BF16 || codec.id == CODEC_RANDK_SHARED;
        assert_int_equal(ok(codec_encode(&codec, seed, D, x, frame, bytes, &len, &why)),
                         !scaled_or_rounded);
    }
}

/* Every length but the right one is refused; a flipped bit is refused or decodes to finite. */
static void damaged_frames(void **unused)
{
    (void)unused;
    enum { SMALL = CODEC_BLOCK + 70 };
    static float x[SMALL], y[SMALL];
    static unsigned char frame[5 * SMALL];
    struct codec_view view;
    struct why why;
    fill(x, SMALL);
    for (int i = 0; i < NAMES; i++) {
        struct codec codec = named(names[i]);
        size_t len = encode(&codec, 3, SMALL, x, frame, sizeof frame);
        for (size_t cut = 0; cut < len; cut++) {
            why.text[0] = 0;
            assert_int_equal(codec_open(frame, cut, SMALL, &view, &why).code, RESULT_INPUT);
            assert_true(why.text[0] != 0);
        }
        assert_false(ok(codec_open(frame, len + 1, SMALL, &view, &why)));
        assert_false(ok(codec_open(frame, len, SMALL + 1, &view, &why)));
        assert_false(ok(codec_open(frame, len, 0, &view, &why)));
        for (size_t bit = 0; bit < 8 * len; bit += bit < 8 * 64 ? 1 : 61) {
            frame[bit / 8] ^= (unsigned char)(1u << bit % 8);
            if (ok(codec_decode(frame, len, SMALL, y, &why)))
                for (size_t j = 0; j < SMALL; j++)
                    assert_true(isfinite(y[j]));
            frame[bit / 8] ^= (unsigned char)(1u << bit % 8);
        }
    }
}

static void scale_is(unsigned char *frame, float scale, bool fine)
{
    static float y[CODEC_BLOCK];
    struct codec codec = named("eden-4");
    struct why why;
    memcpy(frame + CODEC_HEADER_BYTES, &scale, sizeof scale);
    size_t len = (size_t)codec_frame_bytes(&codec, CODEC_BLOCK);
    assert_int_equal(ok(codec_decode(frame, len, CODEC_BLOCK, y, &why)), fine);
    for (size_t i = 0; fine && i < CODEC_BLOCK; i++)
        assert_true(isfinite(y[i]));
}

static void hostile_scales(void **unused)
{
    (void)unused;
    static float x[CODEC_BLOCK];
    static unsigned char frame[5 * CODEC_BLOCK];
    struct codec codec = named("eden-4");
    fill(x, CODEC_BLOCK);
    encode(&codec, 3, CODEC_BLOCK, x, frame, sizeof frame);
    scale_is(frame, 0, true);
    scale_is(frame, (float)(CODEC_MAX_NORM / 64 * 0.999), true);
    scale_is(frame, (float)(CODEC_MAX_NORM / 64 * 1.001), false);
    scale_is(frame, -0.0F, false);
    scale_is(frame, -1, false);
    scale_is(frame, NAN, false);
    scale_is(frame, INFINITY, false);
}

/* The mean over rounds of what was sent approaches the mean of what was to be sent, as no
 * coordinate is dropped for ever. */
static void feedback_sends_all_in_time(void **unused)
{
    (void)unused;
    enum { SMALL = 500, ROUNDS = 400 };
    struct feedback feedback = {0};
    struct codec codec = named("topk-ef:0.05");
    static float release[SMALL], y[SMALL];
    static unsigned char frame[8 * SMALL];
    unsigned char seed[CODEC_SEED_BYTES] = {0};
    double sent[SMALL] = {0}, error = 0, norm = 0;
    struct why why;
    size_t len;
    fill(release, SMALL);
    assert_true(ok(feedback_init(&feedback, SMALL, &why)));
    for (int round = 0; round < ROUNDS; round++) {
        assert_true(
            ok(feedback_encode(&feedback, &codec, seed, release, frame, sizeof frame, &len, &why)));
        decode(frame, len, SMALL, y);
        for (size_t i = 0; i < SMALL; i++)
            sent[i] += (double)y[i] / ROUNDS;
    }
    for (size_t i = 0; i < SMALL; i++) {
        error += pow(sent[i] - (double)release[i], 2);
        norm += pow((double)release[i], 2);
    }
    assert_true(error < 0.01 * norm);
    feedback_free(&feedback);
}

/* The residual can be recomputed from the releases and frames alone: nothing un-noised is in it. */
static void feedback_knows_only_releases(void **unused)
{
    (void)unused;
    enum { SMALL = 300 };
    struct feedback feedback = {0};
    struct codec codec = named("topk-ef:11");
    static float release[SMALL], y[SMALL], residual[SMALL];
    static unsigned char frame[8 * SMALL];
    unsigned char seed[CODEC_SEED_BYTES] = {0};
    struct why why;
    size_t len;
    assert_true(ok(feedback_init(&feedback, SMALL, &why)));
    for (int round = 0; round < 5; round++) {
        fill(release, SMALL);
        assert_true(
            ok(feedback_encode(&feedback, &codec, seed, release, frame, sizeof frame, &len, &why)));
        decode(frame, len, SMALL, y);
        for (size_t i = 0; i < SMALL; i++)
            residual[i] = release[i] + residual[i] - y[i];
        assert_memory_equal(residual, feedback.residual, sizeof residual);
    }
    release[3] = NAN;
    assert_false(
        ok(feedback_encode(&feedback, &codec, seed, release, frame, sizeof frame, &len, &why)));
    assert_memory_equal(residual, feedback.residual, sizeof residual);
    feedback_free(&feedback);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plan_names),
        cmocka_unit_test(exact_sizes),
        cmocka_unit_test(small_vectors_go_raw),
        cmocka_unit_test(refused_combinations),
        cmocka_unit_test(tiles_equal_whole),
        cmocka_unit_test(frames_repeat),
        cmocka_unit_test(unbiased_codecs),
        cmocka_unit_test(topk_keeps_the_largest),
        cmocka_unit_test(shared_seed_shares_coordinates),
        cmocka_unit_test(seeds_are_separate),
        cmocka_unit_test(bad_input_is_refused),
        cmocka_unit_test(damaged_frames),
        cmocka_unit_test(hostile_scales),
        cmocka_unit_test(feedback_sends_all_in_time),
        cmocka_unit_test(feedback_knows_only_releases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
