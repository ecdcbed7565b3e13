/* SPDX-License-Identifier: Apache-2.0 */
/* What both sides of the secure sum compute alike, and a site's state. */
#ifndef CONSILIUM_PRIVACY_MASK_INNER_H
#define CONSILIUM_PRIVACY_MASK_INNER_H

#include "privacy/mask.h"

/* Seed of the mask between two sites: BLAKE2b(X25519, round, both mask keys in order). -1 when the
 * other key is no key. */
int mask_pair_seed(unsigned char seed[MASK_KEY_BYTES], const unsigned char secret[MASK_KEY_BYTES],
                   const unsigned char own[MASK_KEY_BYTES],
                   const unsigned char other[MASK_KEY_BYTES], uint64_t round);

/* Commitment to a self-mask seed. */
void mask_commit(unsigned char commitment[MASK_KEY_BYTES],
                 const unsigned char seed[MASK_KEY_BYTES]);

/* values += (or -=) the stream of a seed, modulo 2^bits. */
void mask_apply(uint64_t *values, size_t n, unsigned bits, const unsigned char seed[MASK_KEY_BYTES],
                bool subtract);

enum mask_stage { STAGE_NEW, STAGE_MET, STAGE_MASKED, STAGE_AGREED, STAGE_DONE };

/* What a peer shared with this site. */
struct mask_held {
    bool have;
    struct shamir_share key, seed;
};

struct mask_site {
    enum mask_stage stage;
    unsigned index, sites, threshold;
    uint64_t round;
    /* until MASKED */
    unsigned char mask_secret[MASK_KEY_BYTES], box_secret[MASK_KEY_BYTES];
    unsigned char self_seed[MASK_KEY_BYTES];
    struct mask_advert advert;
    struct mask_advert peers[MASK_SITES_MAX];
    struct mask_held held[MASK_SITES_MAX];
    bool present[MASK_SITES_MAX], survivors[MASK_SITES_MAX];
    unsigned char tag_to[MASK_SITES_MAX][MASK_KEY_BYTES], tag_from[MASK_SITES_MAX][MASK_KEY_BYTES];
};

#endif
