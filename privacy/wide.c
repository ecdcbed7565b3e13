/* SPDX-License-Identifier: Apache-2.0 */
/* The two functions of 128-bit fractions that are not one line. */
#include "privacy/wide.h"

wide wide_exp_minus(wide t)
{
    wide even = 0, odd = t, term = t; /* e^{-t} = 1 + even - odd */
    for (unsigned k = 2; k < 40 && term != 0; k++) {
        term = wide_mul(term, t) / k;
        if (k % 2 == 0)
            even += term;
        else
            odd += term;
    }
    return odd > even ? even - odd : ~(wide)0; /* 2^128 + even - odd, modulo 2^128 */
}

wide wide_half_inverse(wide s)
{
    /* Long division of 1/2 by s: the remainder stays below s, so 2 r fits 129 bits. */
    wide r = (wide)1 << 127, quotient = 0;
    for (int bit = 0; bit < 128; bit++) {
        int carry = (int)(r >> 127);
        r <<= 1;
        quotient <<= 1;
        if (carry || r >= s) {
            r -= s;
            quotient |= 1;
        }
    }
    return quotient;
}
