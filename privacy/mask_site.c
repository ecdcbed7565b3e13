/* SPDX-License-Identifier: Apache-2.0 */
/* A site's side of the secure sum.
 *
 *   NEW --peers--> MET --mask--> MASKED --agree--> AGREED --reveal--> DONE
 *                  (shares, receive)
 *
 * Any other order is refused and changes nothing; DONE is left only by freeing. */
#include "privacy/mask.h"

#include "privacy/mask_inner.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum stage { STAGE_NEW, STAGE_MET, STAGE_MASKED, STAGE_AGREED, STAGE_DONE };

/* What a peer shared with this site. */
struct held {
    bool have;
    struct shamir_share key, seed;
};

struct mask_site {
    enum stage stage;
    unsigned index, sites, threshold;
    uint64_t round;
    unsigned char mask_secret[MASK_KEY_BYTES], box_secret[MASK_KEY_BYTES];
    unsigned char self_seed[MASK_KEY_BYTES];
    struct mask_advert advert;
    struct mask_advert peers[MASK_SITES_MAX];
    struct held held[MASK_SITES_MAX];
    bool present[MASK_SITES_MAX], survivors[MASK_SITES_MAX];
};

struct mask_site *mask_site_new(struct rng *rng, unsigned index, unsigned sites, unsigned threshold,
                                uint64_t round)
{
    if (sites < MASK_SITES_MIN || sites > MASK_SITES_MAX || index >= sites || threshold > sites ||
        2 * threshold <= sites + 1)
        return NULL;
    struct mask_site *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->index = index;
    s->sites = sites;
    s->threshold = threshold;
    s->round = round;
    rng_bytes(rng, s->mask_secret, sizeof s->mask_secret);
    rng_bytes(rng, s->box_secret, sizeof s->box_secret);
    rng_bytes(rng, s->self_seed, sizeof s->self_seed);
    crypto_scalarmult_base(s->advert.mask_public, s->mask_secret);
    crypto_scalarmult_base(s->advert.box_public, s->box_secret);
    mask_commit(s->advert.commitment, s->self_seed);
    return s;
}

void mask_site_free(struct mask_site *site)
{
    if (!site)
        return;
    sodium_memzero(site, sizeof *site);
    free(site);
}

void mask_site_advert(const struct mask_site *site, struct mask_advert *advert)
{
    *advert = site->advert;
}

/* A site that sent no advert has no shares and takes no part. */
static bool is_absent(const struct mask_advert *advert)
{
    return sodium_is_zero((const unsigned char *)advert, sizeof *advert);
}

enum mask_result mask_site_peers(struct mask_site *s, const struct mask_advert *adverts)
{
    unsigned char seed[MASK_KEY_BYTES];
    unsigned there = 0;
    if (s->stage != STAGE_NEW || memcmp(&adverts[s->index], &s->advert, sizeof s->advert) != 0)
        return MASK_BAD_INPUT;
    for (unsigned j = 0; j < s->sites; j++) {
        there += !is_absent(&adverts[j]);
        if (j == s->index || is_absent(&adverts[j]))
            continue;
        /* Neither a point of small order nor a copy of another site's key. */
        int bad = mask_pair_seed(seed, s->mask_secret, s->advert.mask_public,
                                 adverts[j].mask_public, s->round) |
                  mask_pair_seed(seed, s->box_secret, s->advert.box_public, adverts[j].box_public,
                                 s->round);
        for (unsigned i = 0; i < j; i++)
            bad |= memcmp(adverts[i].mask_public, adverts[j].mask_public, MASK_KEY_BYTES) == 0;
        sodium_memzero(seed, sizeof seed);
        if (bad)
            return MASK_BAD_KEY;
    }
    if (there < s->threshold)
        return MASK_TOO_FEW;
    memcpy(s->peers, adverts, s->sites * sizeof *adverts);
    s->stage = STAGE_MET;
    return MASK_OK;
}

/* Key between two sites for one use, bound to the round and to who sends. */
static int box_key(const struct mask_site *s, unsigned peer, unsigned sender, const char *use,
                   unsigned char key[crypto_secretbox_KEYBYTES])
{
    unsigned char seed[MASK_KEY_BYTES];
    if (mask_pair_seed(seed, s->box_secret, s->advert.box_public, s->peers[peer].box_public,
                       s->round) != 0)
        return -1;
    unsigned char label[8] = {(unsigned char)use[0], (unsigned char)use[1], (unsigned char)sender};
    crypto_generichash(key, crypto_secretbox_KEYBYTES, label, sizeof label, seed, sizeof seed);
    sodium_memzero(seed, sizeof seed);
    return 0;
}

static enum mask_result seal(const struct mask_site *s, struct rng *rng, unsigned to,
                             const struct shamir_share *key_share,
                             const struct shamir_share *seed_share, struct mask_sealed *sealed)
{
    unsigned char key[crypto_secretbox_KEYBYTES], plain[2 * SHAMIR_SECRET_BYTES];
    if (box_key(s, to, s->index, "sh", key) != 0)
        return MASK_BAD_KEY;
    memcpy(plain, key_share->value, SHAMIR_SECRET_BYTES);
    memcpy(plain + SHAMIR_SECRET_BYTES, seed_share->value, SHAMIR_SECRET_BYTES);
    unsigned char *bytes = sealed->bytes;
    rng_bytes(rng, bytes, crypto_secretbox_NONCEBYTES);
    crypto_secretbox_easy(bytes + crypto_secretbox_NONCEBYTES, plain, sizeof plain, bytes, key);
    sodium_memzero(key, sizeof key);
    sodium_memzero(plain, sizeof plain);
    return MASK_OK;
}

enum mask_result mask_site_shares(struct mask_site *s, struct rng *rng, struct mask_sealed *sealed)
{
    struct shamir_share keys[MASK_SITES_MAX], seeds[MASK_SITES_MAX];
    /* Once: two sharings of one secret would give away points of two polynomials. */
    if (s->stage != STAGE_MET || s->held[s->index].have)
        return s->stage == STAGE_MET ? MASK_TWICE : MASK_BAD_INPUT;
    if (shamir_split(rng, s->mask_secret, s->threshold, s->sites, keys) != 0 ||
        shamir_split(rng, s->self_seed, s->threshold, s->sites, seeds) != 0)
        return MASK_BAD_INPUT;
    memset(sealed, 0, s->sites * sizeof *sealed);
    enum mask_result rc = MASK_OK;
    for (unsigned j = 0; j < s->sites && rc == MASK_OK; j++) {
        if (j != s->index && !is_absent(&s->peers[j]))
            rc = seal(s, rng, j, &keys[j], &seeds[j], &sealed[j]);
    }
    s->held[s->index] = (struct held){true, keys[s->index], seeds[s->index]};
    sodium_memzero(keys, sizeof keys);
    sodium_memzero(seeds, sizeof seeds);
    return rc;
}

enum mask_result mask_site_receive(struct mask_site *s, unsigned from,
                                   const struct mask_sealed *sealed)
{
    unsigned char key[crypto_secretbox_KEYBYTES], plain[2 * SHAMIR_SECRET_BYTES];
    if (s->stage != STAGE_MET || from >= s->sites || from == s->index || s->held[from].have ||
        is_absent(&s->peers[from]))
        return MASK_BAD_INPUT;
    if (box_key(s, from, from, "sh", key) != 0)
        return MASK_BAD_KEY;
    const unsigned char *bytes = sealed->bytes;
    int bad =
        crypto_secretbox_open_easy(plain, bytes + crypto_secretbox_NONCEBYTES,
                                   MASK_SEALED_BYTES - crypto_secretbox_NONCEBYTES, bytes, key);
    if (!bad) {
        struct held *h = &s->held[from];
        h->have = true;
        h->key.at = h->seed.at = (uint8_t)(s->index + 1);
        memcpy(h->key.value, plain, SHAMIR_SECRET_BYTES);
        memcpy(h->seed.value, plain + SHAMIR_SECRET_BYTES, SHAMIR_SECRET_BYTES);
    }
    sodium_memzero(key, sizeof key);
    sodium_memzero(plain, sizeof plain);
    return bad ? MASK_BAD_SHARE : MASK_OK;
}

enum mask_result mask_site_mask(struct mask_site *s, const bool *present, uint64_t *values,
                                size_t n, unsigned bits)
{
    unsigned char seed[MASK_KEY_BYTES];
    unsigned count = 0;
    if (s->stage > STAGE_MET)
        return MASK_TWICE;
    if (s->stage != STAGE_MET || bits < 1 || bits > 64 || !present[s->index])
        return MASK_BAD_INPUT;
    for (unsigned j = 0; j < s->sites; j++) {
        if (present[j] && !s->held[j].have)
            return MASK_BAD_INPUT; /* its drop-out could not be repaired */
        count += present[j];
    }
    if (count < s->threshold)
        return MASK_TOO_FEW;
    s->stage = STAGE_MASKED;
    memcpy(s->present, present, s->sites * sizeof *present);
    mask_apply(values, n, bits, s->self_seed, false);
    for (unsigned j = 0; j < s->sites; j++) {
        if (j == s->index || !present[j])
            continue;
        if (mask_pair_seed(seed, s->mask_secret, s->advert.mask_public, s->peers[j].mask_public,
                           s->round) != 0)
            return MASK_BAD_KEY;
        mask_apply(values, n, bits, seed, s->index > j);
    }
    sodium_memzero(seed, sizeof seed);
    return MASK_OK;
}

/* Tag on the two lists from `sender` for the other of the two sites. */
static int tag_lists(const struct mask_site *s, unsigned peer, unsigned sender,
                     struct mask_tag *tag)
{
    unsigned char key[crypto_secretbox_KEYBYTES], lists[2 * MASK_SITES_MAX];
    if (box_key(s, peer, sender, "ag", key) != 0)
        return -1;
    for (unsigned j = 0; j < s->sites; j++) {
        lists[2 * j] = s->present[j];
        lists[2 * j + 1] = s->survivors[j];
    }
    crypto_generichash(tag->bytes, MASK_TAG_BYTES, lists, 2 * s->sites, key, sizeof key);
    sodium_memzero(key, sizeof key);
    return 0;
}

enum mask_result mask_site_agree(struct mask_site *s, const bool *survivors, struct mask_tag *tags)
{
    unsigned count = 0;
    memset(tags, 0, s->sites * sizeof *tags);
    if (s->stage > STAGE_MASKED)
        return MASK_TWICE;
    if (s->stage != STAGE_MASKED || !survivors[s->index])
        return MASK_BAD_INPUT;
    for (unsigned j = 0; j < s->sites; j++) {
        if (survivors[j] && !s->present[j])
            return MASK_BAD_INPUT;
        count += survivors[j];
    }
    if (count < s->threshold)
        return MASK_TOO_FEW;
    s->stage = STAGE_AGREED;
    memcpy(s->survivors, survivors, s->sites * sizeof *survivors);
    for (unsigned j = 0; j < s->sites; j++) {
        if (j != s->index && survivors[j] && tag_lists(s, j, s->index, &tags[j]) != 0)
            return MASK_BAD_KEY;
    }
    return MASK_OK;
}

enum mask_result mask_site_reveal(struct mask_site *s, const struct mask_tag *tags,
                                  struct mask_reveal *reveals)
{
    struct mask_tag tag;
    unsigned agreed = 1;
    memset(reveals, 0, s->sites * sizeof *reveals);
    if (s->stage == STAGE_DONE)
        return MASK_TWICE;
    if (s->stage != STAGE_AGREED)
        return MASK_BAD_INPUT;
    for (unsigned j = 0; j < s->sites; j++) {
        if (j != s->index && s->survivors[j] && tag_lists(s, j, j, &tag) == 0)
            agreed += sodium_memcmp(tag.bytes, tags[j].bytes, sizeof tag) == 0;
    }
    if (agreed < s->threshold)
        return MASK_TOO_FEW;
    s->stage = STAGE_DONE;
    for (unsigned j = 0; j < s->sites; j++) {
        if (!s->present[j])
            continue;
        reveals[j].survivor = s->survivors[j];
        reveals[j].share = s->survivors[j] ? s->held[j].seed : s->held[j].key;
    }
    return MASK_OK;
}
