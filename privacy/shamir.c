/* SPDX-License-Identifier: Apache-2.0 */
/* Byte by byte over GF(2^8) modulo x^8 + x^4 + x^3 + x + 1 (Shamir 1979); no branch and no table
 * index depends on a secret. */
#include "privacy/shamir.h"

#include <sodium.h>
#include <string.h>

static uint8_t multiply(uint8_t a, uint8_t b)
{
    uint8_t product = 0;
    for (int i = 0; i < 8; i++) {
        product ^= (uint8_t)(a & -(b & 1));
        uint8_t carry = (uint8_t) - (a >> 7);
        a = (uint8_t)((uint8_t)(a << 1) ^ (carry & 0x1b));
        b >>= 1;
    }
    return product;
}

/* a^254, the inverse of a; 0 for 0. */
static uint8_t invert(uint8_t a)
{
    uint8_t power = a, result = 1;
    for (int i = 1; i < 8; i++) {
        power = multiply(power, power);
        result = multiply(result, power);
    }
    return result;
}

int shamir_split(struct rng *rng, const unsigned char secret[SHAMIR_SECRET_BYTES],
                 unsigned threshold, unsigned count, struct shamir_share *shares)
{
    if (threshold < 1 || threshold > count || count > SHAMIR_SHARES_MAX)
        return -1;
    unsigned char coefficient[SHAMIR_SHARES_MAX];
    for (unsigned s = 0; s < count; s++)
        shares[s].at = (uint8_t)(s + 1);
    for (int i = 0; i < SHAMIR_SECRET_BYTES; i++) {
        coefficient[0] = secret[i];
        rng_bytes(rng, coefficient + 1, threshold - 1);
        for (unsigned s = 0; s < count; s++) {
            uint8_t y = 0; /* Horner */
            for (unsigned k = threshold; k-- > 0;)
                y = multiply(y, shares[s].at) ^ coefficient[k];
            shares[s].value[i] = y;
        }
    }
    sodium_memzero(coefficient, sizeof coefficient);
    return 0;
}

int shamir_join(const struct shamir_share *shares, unsigned threshold,
                unsigned char secret[SHAMIR_SECRET_BYTES])
{
    unsigned char seen[SHAMIR_SHARES_MAX + 1] = {0};
    memset(secret, 0, SHAMIR_SECRET_BYTES);
    if (threshold < 1 || threshold > SHAMIR_SHARES_MAX)
        return -1;
    for (unsigned s = 0; s < threshold; s++) {
        if (shares[s].at == 0 || seen[shares[s].at])
            return -1;
        seen[shares[s].at] = 1;
    }
    for (unsigned s = 0; s < threshold; s++) {
        /* Lagrange's weight at 0: prod_o at_o / (at_o - at_s); subtraction is xor. */
        uint8_t above = 1, below = 1;
        for (unsigned o = 0; o < threshold; o++) {
            if (o == s)
                continue;
            above = multiply(above, shares[o].at);
            below = multiply(below, shares[o].at ^ shares[s].at);
        }
        uint8_t weight = multiply(above, invert(below));
        for (int i = 0; i < SHAMIR_SECRET_BYTES; i++)
            secret[i] ^= multiply(weight, shares[s].value[i]);
    }
    return 0;
}
