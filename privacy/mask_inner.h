/* SPDX-License-Identifier: Apache-2.0 */
/* What both sides of the secure sum compute alike. */
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

#endif
