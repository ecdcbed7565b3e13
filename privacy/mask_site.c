/* SPDX-License-Identifier: Apache-2.0 */
/* A site's side of the secure sum.
 *
 *   NEW --peers--> MET --mask--> MASKED --agree--> AGREED --reveal--> DONE
 *                  (shares, receive)
 *
 * Any other order is refused and changes nothing; DONE is left only by freeing. Masking wipes the
 * site's own secrets: what is left to do needs the shares it holds and the keys of its tags. */
#include "privacy/mask.h"

#include "privacy/mask_inner.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

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
    s->held[s->index] = (struct mask_held){true, keys[s->index], seeds[s->index]};
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
        struct mask_held *h = &s->held[from];
        h->have = true;
        h->key.at = h->seed.at = (uint8_t)(s->index + 1);
        memcpy(h->key.value, plain, SHAMIR_SECRET_BYTES);
        memcpy(h->seed.value, plain + SHAMIR_SECRET_BYTES, SHAMIR_SECRET_BYTES);
    }
    sodium_memzero(key, sizeof key);
    sodium_memzero(plain, sizeof plain);
    return bad ? MASK_BAD_SHARE : MASK_OK;
}

/* The keys of the tags to and from each site present: they outlast the secret they are made of. */
static int tag_keys(struct mask_site *s, const bool *present)
{
    int bad = 0;
    for (unsigned j = 0; j < s->sites; j++)
        if (j != s->index && present[j])
            bad |= box_key(s, j, s->index, "ag", s->tag_to[j]) |
                   box_key(s, j, j, "ag", s->tag_from[j]);
    return bad;
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
    if (tag_keys(s, present) != 0)
        return MASK_BAD_KEY;
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
    sodium_memzero(s->mask_secret, sizeof s->mask_secret);
    sodium_memzero(s->box_secret, sizeof s->box_secret);
    sodium_memzero(s->self_seed, sizeof s->self_seed);
    return MASK_OK;
}

/* Tag on the two lists under a key of two sites for one direction. */
static void tag_lists(const struct mask_site *s, const unsigned char key[MASK_KEY_BYTES],
                      struct mask_tag *tag)
{
    unsigned char lists[2 * MASK_SITES_MAX];
    for (unsigned j = 0; j < s->sites; j++) {
        lists[2 * j] = s->present[j];
        lists[2 * j + 1] = s->survivors[j];
    }
    crypto_generichash(tag->bytes, MASK_TAG_BYTES, lists, 2 * s->sites, key, MASK_KEY_BYTES);
}

enum mask_result mask_site_agree(struct mask_site *s, const bool *survivors, struct mask_tag *tags)
{
    unsigned count = 0;
    memset(tags, 0, s->sites * sizeof *tags);
    bool again = s->stage == STAGE_AGREED &&
                 memcmp(survivors, s->survivors, s->sites * sizeof *survivors) == 0;
    if (s->stage > STAGE_MASKED && !again)
        return MASK_TWICE;
    if (s->stage < STAGE_MASKED || !survivors[s->index])
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
    for (unsigned j = 0; j < s->sites; j++)
        if (j != s->index && survivors[j])
            tag_lists(s, s->tag_to[j], &tags[j]);
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
        if (j == s->index || !s->survivors[j])
            continue;
        tag_lists(s, s->tag_from[j], &tag);
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
