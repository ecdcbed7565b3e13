/* SPDX-License-Identifier: Apache-2.0 */
/* Shamir's secret sharing of 32-byte secrets: any `threshold` shares give the secret, fewer
 * nothing. */
#ifndef CONSILIUM_PRIVACY_SHAMIR_H
#define CONSILIUM_PRIVACY_SHAMIR_H

#include "privacy/rng.h"

#include <stdint.h>

enum { SHAMIR_SECRET_BYTES = 32, SHAMIR_SHARES_MAX = 255 };

/* Share number `at` (1 .. 255) of a secret. */
struct shamir_share {
    uint8_t at;
    unsigned char value[SHAMIR_SECRET_BYTES];
};

/* Writes shares[count], at = 1 .. count. Returns -1 unless 1 <= threshold <= count <= 255. */
int shamir_split(struct rng *rng, const unsigned char secret[SHAMIR_SECRET_BYTES],
                 unsigned threshold, unsigned count, struct shamir_share *shares);

/* The secret from exactly `threshold` shares. Returns -1 when two shares have the same number or
 * one has number 0. Wrong shares give a wrong secret: check it against something public. */
int shamir_join(const struct shamir_share *shares, unsigned threshold,
                unsigned char secret[SHAMIR_SECRET_BYTES]);

#endif
