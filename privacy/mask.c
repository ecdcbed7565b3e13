/* SPDX-License-Identifier: Apache-2.0 */
/* Streams, seeds and constants of the secure sum, and its opening by the coordinator. */
#include "privacy/mask.h"

#include "privacy/mask_inner.h"

#include <math.h>
#include <sodium.h>
#include <string.h>

enum { WORDS = 512 };

const char *mask_text(enum mask_result result)
{
    switch (result) {
    case MASK_OK:
        return "ok";
    case MASK_BAD_INPUT:
        return "a number is out of range, or a call came out of order";
    case MASK_BAD_KEY:
        return "a site's public key is no key";
    case MASK_BAD_SHARE:
        return "a share does not open, or does not give what its site committed to";
    case MASK_TOO_FEW:
        return "fewer sites than the threshold are left: the sum stays closed";
    case MASK_TWICE:
        return "asked a second time in one round: refused";
    case MASK_NO_MEMORY:
        return "out of memory";
    }
    return "unknown";
}

unsigned mask_threshold(unsigned sites)
{
    return 2 * sites / 3 + 1;
}

int mask_pair_seed(unsigned char seed[MASK_KEY_BYTES], const unsigned char secret[MASK_KEY_BYTES],
                   const unsigned char own[MASK_KEY_BYTES],
                   const unsigned char other[MASK_KEY_BYTES], uint64_t round)
{
    static const char use[] = "consilium pairwise mask 1";
    unsigned char shared[crypto_scalarmult_BYTES];
    if (crypto_scalarmult(shared, secret, other) != 0)
        return -1;
    bool first = memcmp(own, other, MASK_KEY_BYTES) < 0;
    crypto_generichash_state state;
    crypto_generichash_init(&state, (const unsigned char *)use, sizeof use, MASK_KEY_BYTES);
    crypto_generichash_update(&state, shared, sizeof shared);
    crypto_generichash_update(&state, (const unsigned char *)&round, sizeof round);
    crypto_generichash_update(&state, first ? own : other, MASK_KEY_BYTES);
    crypto_generichash_update(&state, first ? other : own, MASK_KEY_BYTES);
    crypto_generichash_final(&state, seed, MASK_KEY_BYTES);
    sodium_memzero(shared, sizeof shared);
    sodium_memzero(&state, sizeof state);
    return 0;
}

void mask_commit(unsigned char commitment[MASK_KEY_BYTES], const unsigned char seed[MASK_KEY_BYTES])
{
    static const char use[] = "consilium self mask 1";
    crypto_generichash(commitment, MASK_KEY_BYTES, seed, MASK_KEY_BYTES, (const unsigned char *)use,
                       sizeof use);
}

void mask_apply(uint64_t *values, size_t n, unsigned bits, const unsigned char seed[MASK_KEY_BYTES],
                bool subtract)
{
    uint64_t words[WORDS], low = bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
    struct rng rng;
    rng_init_seeded(&rng, seed, 0);
    for (size_t at = 0; at < n; at += WORDS) {
        size_t m = n - at < WORDS ? n - at : WORDS;
        rng_bytes(&rng, words, m * sizeof *words);
        for (size_t i = 0; i < m; i++)
            values[at + i] = (values[at + i] + (subtract ? -words[i] : words[i])) & low;
    }
    sodium_memzero(words, sizeof words);
    rng_wipe(&rng);
}

/* Whether a secret is what site j committed to. */
typedef bool is_committed(const struct mask_advert *advert,
                          const unsigned char secret[MASK_KEY_BYTES]);

static bool is_seed(const struct mask_advert *advert, const unsigned char secret[MASK_KEY_BYTES])
{
    unsigned char commitment[MASK_KEY_BYTES];
    mask_commit(commitment, secret);
    return memcmp(commitment, advert->commitment, sizeof commitment) == 0;
}

static bool is_key(const struct mask_advert *advert, const unsigned char secret[MASK_KEY_BYTES])
{
    unsigned char public[MASK_KEY_BYTES];
    return crypto_scalarmult_base(public, secret) == 0 &&
           memcmp(public, advert->mask_public, sizeof public) == 0;
}

/* The secret about site j that the answers give together, all but one of them. */
static enum mask_result join_without(const struct mask_opening *o, unsigned j, unsigned without,
                                     unsigned char secret[MASK_KEY_BYTES])
{
    struct shamir_share shares[MASK_SITES_MAX];
    unsigned have = 0;
    for (unsigned k = 0; k < o->answers && have < o->threshold; k++) {
        const struct mask_reveal *r = &o->reveals[k][j];
        if (k != without && r->survivor == o->survivors[j] && r->share.at != 0)
            shares[have++] = r->share;
    }
    enum mask_result rc = MASK_OK;
    if (have < o->threshold)
        rc = MASK_TOO_FEW;
    else if (shamir_join(shares, o->threshold, secret) != 0)
        rc = MASK_BAD_SHARE;
    sodium_memzero(shares, sizeof shares);
    return rc;
}

/* The secret that site j committed to. Where the first answers do not give it, one of them may be
 * wrong: each is left out in turn, while enough others are there. */
static enum mask_result join(const struct mask_opening *o, unsigned j, is_committed *committed,
                             unsigned char secret[MASK_KEY_BYTES])
{
    enum mask_result rc = join_without(o, j, o->answers, secret);
    bool good = rc == MASK_OK && committed(&o->adverts[j], secret);
    if (rc == MASK_TOO_FEW || good)
        return rc;
    for (unsigned k = 0; k < o->answers && !good; k++)
        good = join_without(o, j, k, secret) == MASK_OK && committed(&o->adverts[j], secret);
    return good ? MASK_OK : MASK_BAD_SHARE;
}

/* Takes a survivor's self mask off the sum. */
static enum mask_result open_survivor(const struct mask_opening *o, unsigned j, uint64_t *total,
                                      size_t n, unsigned bits)
{
    unsigned char seed[MASK_KEY_BYTES];
    enum mask_result rc = join(o, j, is_seed, seed);
    if (rc == MASK_OK)
        mask_apply(total, n, bits, seed, true);
    sodium_memzero(seed, sizeof seed);
    return rc;
}

/* Takes the masks that survivors share with a site that dropped out off the sum. */
static enum mask_result open_dropped(const struct mask_opening *o, unsigned j, uint64_t *total,
                                     size_t n, unsigned bits)
{
    unsigned char secret[MASK_KEY_BYTES], seed[MASK_KEY_BYTES];
    const unsigned char *own = o->adverts[j].mask_public;
    enum mask_result rc = join(o, j, is_key, secret);
    for (unsigned i = 0; i < o->sites && rc == MASK_OK; i++) {
        if (!o->survivors[i])
            continue;
        if (mask_pair_seed(seed, secret, own, o->adverts[i].mask_public, o->round) != 0)
            rc = MASK_BAD_KEY;
        else /* site i added it when i < j, and took it away when i > j */
            mask_apply(total, n, bits, seed, i < j);
    }
    sodium_memzero(secret, sizeof secret);
    sodium_memzero(seed, sizeof seed);
    return rc;
}

enum mask_result mask_open(const struct mask_opening *o, uint64_t *total, size_t n, unsigned bits)
{
    unsigned survivors = 0;
    if (o->sites < MASK_SITES_MIN || o->sites > MASK_SITES_MAX || o->threshold < 2 ||
        o->threshold > o->sites || o->answers > o->sites || bits < 1 || bits > 64)
        return MASK_BAD_INPUT;
    for (unsigned j = 0; j < o->sites; j++) {
        if (o->survivors[j] && !o->present[j])
            return MASK_BAD_INPUT;
        survivors += o->survivors[j];
    }
    if (survivors < o->threshold || o->answers < o->threshold)
        return MASK_TOO_FEW;
    enum mask_result rc = MASK_OK;
    for (unsigned j = 0; j < o->sites && rc == MASK_OK; j++) {
        if (o->survivors[j])
            rc = open_survivor(o, j, total, n, bits);
        else if (o->present[j])
            rc = open_dropped(o, j, total, n, bits);
    }
    return rc;
}

int64_t mask_centred(uint64_t v, unsigned bits)
{
    unsigned shift = 64 - bits;
    return (int64_t)(v << shift) >> shift;
}

double mask_noise_share(double noise, unsigned sites, unsigned missing)
{
    return missing < sites ? noise / sqrt((double)(sites - missing)) : HUGE_VAL;
}

double mask_noise_delta(uint64_t d, uint64_t steps, unsigned sites)
{
    double s = 0x1p24, kl = 1 / (576 * s * s * s * s);
    return (double)steps * ((double)sites + 1) * sqrt((double)d * kl / 2);
}
