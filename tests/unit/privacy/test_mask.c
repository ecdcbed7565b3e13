/* SPDX-License-Identifier: Apache-2.0 */
/* Secure sums with every pattern of drop-outs, and a coordinator that tries to learn one input. */
#include "privacy/mask.h"
#include "privacy/mask_inner.h"
#include "privacy/noise.h"

#include <math.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 7, LENGTH = 700, BITS = 48, ROUND = 12 };

/* A round with all sites and the coordinator between them. */
struct world {
    struct rng rng;
    unsigned n, t;
    struct mask_site *site[MOST];
    struct mask_advert advert[MOST];
    struct mask_sealed sealed[MOST][MOST]; /* [from][to] */
    struct mask_tag tag[MOST][MOST];       /* [from][to] */
    int64_t x[MOST][LENGTH];
    uint64_t y[MOST][LENGTH];
    bool present[MOST];
    struct mask_reveal reveal[MOST][MOST];
};

static struct world w;

static void world_free(void)
{
    for (unsigned i = 0; i < w.n; i++)
        mask_site_free(w.site[i]);
    memset(&w, 0, sizeof w);
}

/* Everyone is met, has shared, and has masked a random input. */
static void world_until_masked(unsigned n, uint64_t stream)
{
    static const unsigned char key[RNG_KEY_BYTES] = {33};
    memset(&w, 0, sizeof w);
    w.n = n;
    w.t = mask_threshold(n);
    rng_init_seeded(&w.rng, key, stream);
    for (unsigned i = 0; i < n; i++) {
        w.site[i] = mask_site_new(&w.rng, i, n, w.t, ROUND);
        assert_non_null(w.site[i]);
        mask_site_advert(w.site[i], &w.advert[i]);
        w.present[i] = true;
    }
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(mask_site_peers(w.site[i], w.advert), MASK_OK);
        assert_int_equal(mask_site_shares(w.site[i], &w.rng, w.sealed[i]), MASK_OK);
    }
    for (unsigned i = 0; i < n; i++) {
        for (unsigned from = 0; from < n; from++) {
            if (from != i)
                assert_int_equal(mask_site_receive(w.site[i], from, &w.sealed[from][i]), MASK_OK);
        }
        for (int k = 0; k < LENGTH; k++) {
            w.x[i][k] = (int64_t)rng_below(&w.rng, 1 << 30) - (1 << 29);
            w.y[i][k] = (uint64_t)w.x[i][k];
        }
        assert_int_equal(mask_site_mask(w.site[i], w.present, w.y[i], LENGTH, BITS), MASK_OK);
    }
}

/* Tags that the agreeing sites sent to site i. */
static void tags_for(unsigned i, struct mask_tag *tags)
{
    for (unsigned j = 0; j < w.n; j++)
        tags[j] = w.tag[j][i];
}

/* Opens the sum over survivors with the answers of those in `answering`. */
static enum mask_result open_sum(const bool *survivors, const bool *answering, uint64_t *total)
{
    const struct mask_reveal *answers[MOST];
    struct mask_opening o = {w.n, w.t, 0, ROUND, w.advert, w.present, survivors, answers};
    memset(total, 0, LENGTH * sizeof *total);
    for (unsigned i = 0; i < w.n; i++) {
        for (int k = 0; survivors[i] && k < LENGTH; k++)
            total[k] += w.y[i][k];
        if (answering[i])
            answers[o.answers++] = w.reveal[i];
    }
    return mask_open(&o, total, LENGTH, BITS);
}

static void agree_and_reveal(const bool *survivors)
{
    struct mask_tag tags[MOST];
    for (unsigned i = 0; i < w.n; i++) {
        if (survivors[i])
            assert_int_equal(mask_site_agree(w.site[i], survivors, w.tag[i]), MASK_OK);
    }
    for (unsigned i = 0; i < w.n; i++) {
        tags_for(i, tags);
        if (survivors[i])
            assert_int_equal(mask_site_reveal(w.site[i], tags, w.reveal[i]), MASK_OK);
    }
}

static void sums_survive_every_pattern_of_drop_outs(void **state)
{
    (void)state;
    uint64_t total[LENGTH];
    for (unsigned pattern = 0; pattern < 32; pattern++) {
        bool survivors[MOST];
        unsigned left = 0;
        world_until_masked(5, pattern);
        for (unsigned i = 0; i < 5; i++)
            left += survivors[i] = !(pattern >> i & 1);
        if (left < w.t) {
            struct mask_tag tags[MOST];
            for (unsigned i = 0; i < 5; i++)
                assert_int_not_equal(mask_site_agree(w.site[i], survivors, tags), MASK_OK);
            assert_int_equal(open_sum(survivors, survivors, total), MASK_TOO_FEW);
        } else {
            agree_and_reveal(survivors);
            assert_int_equal(open_sum(survivors, survivors, total), MASK_OK);
            for (int k = 0; k < LENGTH; k++) {
                int64_t want = 0;
                for (unsigned i = 0; i < 5; i++)
                    want += survivors[i] ? w.x[i][k] : 0;
                assert_true(mask_centred(total[k], BITS) == want);
            }
        }
        world_free();
    }
}

/* Share of coordinates of `total` that equal site i's input. */
static double learned(unsigned i, const uint64_t *total)
{
    int same = 0;
    for (int k = 0; k < LENGTH; k++)
        same += mask_centred(total[k], BITS) == w.x[i][k];
    return (double)same / LENGTH;
}

/* The late drop: an input that arrived is declared missing, so that its site's key is rebuilt. */
static void late_drop_leaves_the_self_mask(void **state)
{
    (void)state;
    uint64_t total[LENGTH];
    bool survivors[MOST] = {false, true, true, true, true}, only[MOST] = {true};
    world_until_masked(5, 100);
    agree_and_reveal(survivors);
    /* With the answers about the others, its own sum stays closed: its seed was never revealed. */
    assert_int_equal(open_sum(only, survivors, total), MASK_TOO_FEW);
    for (unsigned i = 1; i < 5; i++)
        assert_false(w.reveal[i][0].survivor);
    assert_true(learned(0, w.y[0]) == 0);
    /* Asking again for the other half is refused, whatever the list. */
    struct mask_tag tags[MOST];
    struct mask_reveal again[MOST];
    bool everyone[MOST] = {true, true, true, true, true};
    assert_int_equal(mask_site_agree(w.site[1], everyone, tags), MASK_TWICE);
    assert_int_equal(mask_site_reveal(w.site[1], tags, again), MASK_TWICE);
    for (unsigned j = 0; j < 5; j++)
        assert_int_equal(again[j].share.at, 0);
    world_free();
}

/* Different survivors told to different sites: no list finds enough sites that agree. */
static void split_views_reveal_nothing(void **state)
{
    (void)state;
    struct mask_tag tags[MOST];
    world_until_masked(7, 200);
    for (unsigned i = 0; i < 7; i++) { /* each is told that its neighbour dropped out */
        bool survivors[MOST] = {true, true, true, true, true, true, true};
        survivors[(i + 1) % 7] = false;
        assert_int_equal(mask_site_agree(w.site[i], survivors, w.tag[i]), MASK_OK);
    }
    for (unsigned i = 0; i < 7; i++) {
        tags_for(i, tags);
        assert_int_equal(mask_site_reveal(w.site[i], tags, w.reveal[i]), MASK_TOO_FEW);
        for (unsigned j = 0; j < 7; j++)
            assert_int_equal(w.reveal[i][j].share.at, 0);
    }
    world_free();
    /* Two camps of three. */
    world_until_masked(7, 201);
    bool with[MOST] = {true, true, true, true, true, true, true};
    bool without[MOST] = {false, true, true, true, true, true, true};
    unsigned revealed[2] = {0};
    for (unsigned i = 1; i < 7; i++)
        assert_int_equal(mask_site_agree(w.site[i], i < 4 ? with : without, w.tag[i]), MASK_OK);
    for (unsigned i = 1; i < 7; i++) {
        tags_for(i, tags);
        revealed[i >= 4] += mask_site_reveal(w.site[i], tags, w.reveal[i]) == MASK_OK;
    }
    assert_int_equal(revealed[0] + revealed[1], 0);
    world_free();
}

/* All sites are stopped and made again of what they kept: the same words, and nothing else. */
static void kept_sites_say_the_same(void **state)
{
    (void)state;
    enum { KEPT = 4096 };
    static unsigned char kept[KEPT], other[KEPT];
    struct mask_tag tags[MOST], once[MOST];
    uint64_t total[LENGTH];
    bool survivors[MOST] = {true, true, true, false, true}, everyone[MOST] = {1, 1, 1, 1, 1};
    size_t n = mask_kept_bytes(5);
    world_until_masked(5, 600);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(mask_site_keep(w.site[i], kept), MASK_OK);
        struct mask_site *again = mask_site_again(kept, n);
        assert_non_null(again);
        assert_int_equal(mask_site_mask(again, w.present, total, 4, BITS), MASK_TWICE);
        assert_int_equal(mask_site_shares(again, &w.rng, w.sealed[i]), MASK_BAD_INPUT);
        if (survivors[i]) {
            assert_int_equal(mask_site_agree(w.site[i], survivors, once), MASK_OK);
            assert_int_equal(mask_site_agree(again, survivors, tags), MASK_OK);
            assert_memory_equal(tags, once, 5 * sizeof *tags);
            assert_int_equal(mask_site_keep(again, kept), MASK_OK);
            mask_site_free(again);
            again = mask_site_again(kept, n);
            assert_non_null(again);
            /* The list it agreed on, and no other. */
            assert_int_equal(mask_site_agree(again, everyone, tags), MASK_TWICE);
            assert_int_equal(mask_site_agree(again, survivors, w.tag[i]), MASK_OK);
            assert_memory_equal(w.tag[i], once, 5 * sizeof *once);
        }
        mask_site_free(w.site[i]);
        w.site[i] = again;
    }
    agree_and_reveal(survivors);
    assert_int_equal(open_sum(survivors, survivors, total), MASK_OK);
    for (int k = 0; k < LENGTH; k++)
        assert_true(mask_centred(total[k], BITS) == w.x[0][k] + w.x[1][k] + w.x[2][k] + w.x[4][k]);
    assert_int_equal(mask_site_keep(w.site[0], other), MASK_BAD_INPUT); /* nothing is left to do */
    world_free();
}

/* A thief of one site's disk has none of its secrets, nor what opens anything. */
static void what_is_kept_holds_no_secret_of_its_own(void **state)
{
    (void)state;
    static unsigned char kept[4096], bad[4096];
    size_t n = mask_kept_bytes(5);
    unsigned char public[MASK_KEY_BYTES], commitment[MASK_KEY_BYTES];
    world_until_masked(5, 601);
    assert_true(n < sizeof kept);
    assert_int_equal(mask_site_keep(w.site[2], kept), MASK_OK);
    for (size_t at = 0; at + MASK_KEY_BYTES <= n; at++) {
        mask_commit(commitment, kept + at);
        assert_memory_not_equal(commitment, w.advert[2].commitment, sizeof commitment);
        if (crypto_scalarmult_base(public, kept + at) != 0)
            continue;
        assert_memory_not_equal(public, w.advert[2].mask_public, sizeof public);
        assert_memory_not_equal(public, w.advert[2].box_public, sizeof public);
    }
    /* Bytes that no site kept. */
    assert_null(mask_site_again(kept, n - 1));
    assert_null(mask_site_again(kept, 0));
    for (unsigned at = 0; at < 4; at++) {
        memcpy(bad, kept, n);
        bad[at] = 0xff;
        assert_null(mask_site_again(bad, n));
    }
    memcpy(bad, kept, n);
    bad[12] &= 0xfe; /* present, without shares */
    assert_null(mask_site_again(bad, n));
    struct mask_site *new = mask_site_new(&w.rng, 0, 5, 4, ROUND);
    assert_int_equal(mask_site_keep(new, kept), MASK_BAD_INPUT);
    mask_site_free(new);
    world_free();
}

static void a_list_must_name_the_site_and_enough_others(void **state)
{
    (void)state;
    struct mask_tag tags[MOST];
    world_until_masked(5, 300);
    bool alone[MOST] = {true}, others[MOST] = {false, true, true, true, true};
    assert_int_equal(mask_site_agree(w.site[0], alone, tags), MASK_TOO_FEW);
    assert_int_equal(mask_site_agree(w.site[0], others, tags), MASK_BAD_INPUT);
    uint64_t again[4] = {0};
    assert_int_equal(mask_site_mask(w.site[0], w.present, again, 4, BITS), MASK_TWICE);
    assert_int_equal(again[0], 0);
    world_free();
}

static void forged_messages_are_refused(void **state)
{
    (void)state;
    static const unsigned char key[RNG_KEY_BYTES] = {34};
    struct rng rng;
    struct mask_site *site[3];
    struct mask_advert advert[3], altered[3];
    struct mask_sealed sealed[3], refused[3];
    rng_init_seeded(&rng, key, 0);
    for (unsigned i = 0; i < 3; i++) {
        site[i] = mask_site_new(&rng, i, 3, 3, ROUND);
        assert_non_null(site[i]);
        mask_site_advert(site[i], &advert[i]);
    }
    memcpy(altered, advert, sizeof altered);
    memset(altered[1].mask_public, 0, MASK_KEY_BYTES); /* a point of small order */
    assert_int_equal(mask_site_peers(site[0], altered), MASK_BAD_KEY);
    memcpy(altered, advert, sizeof altered);
    memcpy(altered[2].mask_public, altered[1].mask_public, MASK_KEY_BYTES); /* a copied key */
    assert_int_equal(mask_site_peers(site[0], altered), MASK_BAD_KEY);
    memcpy(altered, advert, sizeof altered);
    altered[0].commitment[0] ^= 1; /* its own advert changed on the way */
    assert_int_equal(mask_site_peers(site[0], altered), MASK_BAD_INPUT);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(mask_site_peers(site[i], advert), MASK_OK);
    assert_int_equal(mask_site_shares(site[1], &rng, sealed), MASK_OK);
    assert_int_equal(mask_site_shares(site[1], &rng, refused), MASK_TWICE);
    sealed[0].bytes[50] ^= 1;
    assert_int_equal(mask_site_receive(site[0], 1, &sealed[0]), MASK_BAD_SHARE);
    sealed[0].bytes[50] ^= 1;
    assert_int_equal(mask_site_receive(site[0], 2, &sealed[0]),
                     MASK_BAD_SHARE); /* another's name */
    assert_int_equal(mask_site_receive(site[2], 1, &sealed[0]),
                     MASK_BAD_SHARE); /* another's post */
    assert_int_equal(mask_site_receive(site[0], 1, &sealed[0]), MASK_OK);
    assert_int_equal(mask_site_receive(site[0], 1, &sealed[0]), MASK_BAD_INPUT);
    assert_int_equal(mask_site_receive(site[0], 0, &sealed[0]), MASK_BAD_INPUT);
    assert_int_equal(mask_site_receive(site[0], 9, &sealed[0]), MASK_BAD_INPUT);
    for (unsigned i = 0; i < 3; i++)
        mask_site_free(site[i]);
    assert_null(mask_site_new(&rng, 0, 2, 2, 1));
    assert_null(mask_site_new(&rng, 5, 5, 4, 1));
    assert_null(mask_site_new(&rng, 0, 5, 3, 1)); /* 2 t <= n + 1 */
    assert_null(mask_site_new(&rng, 0, 5, 6, 1));
}

/* A wrong share is noticed, not silently summed. */
static void wrong_shares_are_noticed(void **state)
{
    (void)state;
    uint64_t total[LENGTH];
    bool survivors[MOST] = {true, true, true, true, false};
    world_until_masked(5, 400);
    agree_and_reveal(survivors);
    w.reveal[2][1].share.value[3] ^= 1;
    assert_int_equal(open_sum(survivors, survivors, total), MASK_BAD_SHARE);
    w.reveal[2][1].share.value[3] ^= 1;
    w.reveal[0][4].share.value[0] ^= 1;
    assert_int_equal(open_sum(survivors, survivors, total), MASK_BAD_SHARE);
    w.reveal[0][4].share.value[0] ^= 1;
    assert_int_equal(open_sum(survivors, survivors, total), MASK_OK);
    world_free();
}

/* One answer too many makes up for one that lies, about survivors and about drop-outs. */
static void one_liar_is_found_out(void **state)
{
    (void)state;
    uint64_t total[LENGTH], lied[LENGTH];
    bool survivors[MOST] = {true, true, true, true, true, true, false};
    world_until_masked(7, 401);
    assert_int_equal(w.t, 5);
    agree_and_reveal(survivors);
    assert_int_equal(open_sum(survivors, survivors, total), MASK_OK);
    for (unsigned liar = 0; liar < 6; liar++) {
        for (unsigned j = 0; j < 7; j++)
            w.reveal[liar][j].share.value[7] ^= 0x55;
        assert_int_equal(open_sum(survivors, survivors, lied), MASK_OK);
        assert_memory_equal(lied, total, sizeof total);
        /* Two liars among six answers, five of which are needed. */
        w.reveal[(liar + 1) % 6][3].share.value[0] ^= 1;
        assert_int_equal(open_sum(survivors, survivors, lied), MASK_BAD_SHARE);
        w.reveal[(liar + 1) % 6][3].share.value[0] ^= 1;
        for (unsigned j = 0; j < 7; j++)
            w.reveal[liar][j].share.value[7] ^= 0x55;
    }
    world_free();
}

static void masked_inputs_look_uniform(void **state)
{
    (void)state;
    world_until_masked(3, 500);
    unsigned count[16] = {0};
    for (unsigned i = 0; i < 3; i++) {
        for (int k = 0; k < LENGTH; k++) {
            assert_true(w.y[i][k] < UINT64_C(1) << BITS);
            count[w.y[i][k] >> (BITS - 4)]++;
        }
    }
    double chi = 0, want = 3 * LENGTH / 16.0;
    for (int c = 0; c < 16; c++)
        chi += (count[c] - want) * (count[c] - want) / want;
    assert_true(chi < 45);
    world_free();
}

/* Four of five noise shares already carry the planned noise. */
static void shared_noise_adds_up(void **state)
{
    (void)state;
    enum { N = 20000 };
    static const unsigned char key[RNG_KEY_BYTES] = {35};
    static int64_t k[N], sum[N];
    struct rng rng;
    rng_init_seeded(&rng, key, 0);
    assert_true(fabs(mask_noise_share(2, 5, 1) - 1) < 1e-15);
    assert_true(isinf(mask_noise_share(2, 5, 5)));
    double square = 0;
    for (int site = 0; site < 4; site++) {
        noise_fill(&rng, k, N);
        for (int i = 0; i < N; i++)
            sum[i] += k[i];
    }
    for (int i = 0; i < N; i++)
        square += ldexp((double)sum[i], -NOISE_BITS) * ldexp((double)sum[i], -NOISE_BITS);
    /* In units of one share: variance 4, so noise 2. */
    assert_true(fabs(square / N - 4) < 4 * 4 * sqrt(2.0 / N));
    assert_true(mask_noise_delta(1000000, 1000, 10) < 1e-8);
}

static void centred(void **state)
{
    (void)state;
    assert_true(mask_centred(5, 8) == 5);
    assert_true(mask_centred(251, 8) == -5);
    assert_true(mask_centred(128, 8) == -128);
    assert_true(mask_centred(UINT64_MAX, 64) == -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_survive_every_pattern_of_drop_outs),
        cmocka_unit_test(late_drop_leaves_the_self_mask),
        cmocka_unit_test(split_views_reveal_nothing),
        cmocka_unit_test(kept_sites_say_the_same),
        cmocka_unit_test(what_is_kept_holds_no_secret_of_its_own),
        cmocka_unit_test(a_list_must_name_the_site_and_enough_others),
        cmocka_unit_test(forged_messages_are_refused),
        cmocka_unit_test(wrong_shares_are_noticed),
        cmocka_unit_test(one_liar_is_found_out),
        cmocka_unit_test(masked_inputs_look_uniform),
        cmocka_unit_test(shared_noise_adds_up),
        cmocka_unit_test(centred),
    };
    return cmocka_run_group_tests_name("mask", tests, NULL, NULL);
}
