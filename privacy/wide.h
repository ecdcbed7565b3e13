/* SPDX-License-Identifier: Apache-2.0 */
/* Fractions in [0, 1) with 128 bits after the point, for the exact sampler and its table. */
#ifndef CONSILIUM_PRIVACY_WIDE_H
#define CONSILIUM_PRIVACY_WIDE_H

#include <stdint.h>

/* v stands for v 2^-128. */
__extension__ typedef unsigned __int128 wide;

static inline wide wide_make(uint64_t high, uint64_t low)
{
    return ((wide)high << 64) | low;
}

/* a b, rounded down: the error is below 2^-127. */
static inline wide wide_mul(wide a, wide b)
{
    uint64_t a1 = (uint64_t)(a >> 64), a0 = (uint64_t)a;
    uint64_t b1 = (uint64_t)(b >> 64), b0 = (uint64_t)b;
    wide cross = (wide)a1 * b0, other = (wide)a0 * b1;
    wide low = ((wide)a0 * b0) >> 64;
    wide middle = (uint64_t)cross + (wide)(uint64_t)other + low;
    return (wide)a1 * b1 + (cross >> 64) + (other >> 64) + (middle >> 64);
}

/* e^{-t} for t in (0, 3/4), by its Taylor series; the error is below 2^-121. For t = 0 the answer,
 * 1, does not fit: the largest fraction is returned. */
wide wide_exp_minus(wide t);

/* 1 / s for s in (1/2, 1) given as 2^128 s, halved so that it fits: 1 / (2 s). */
wide wide_half_inverse(wide s);

#endif
