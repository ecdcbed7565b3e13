/* SPDX-License-Identifier: Apache-2.0 */
/* Finite means an exponent that is not all ones. */
#include "coordinator/aggregate/finite.h"

#include <stdint.h>
#include <string.h>

size_t finite_first_bad_f32(size_t d, const float *x)
{
    enum { STRIDE = 1024 };
    const uint32_t exponent = UINT32_C(0x7f800000);
    for (size_t first = 0; first < d; first += STRIDE) {
        size_t past = d - first < STRIDE ? d : first + STRIDE;
        uint32_t bad = 0;
        for (size_t i = first; i < past; i++) {
            uint32_t bits = 0;
            memcpy(&bits, x + i, sizeof bits);
            bad |= (uint32_t)((bits & exponent) == exponent);
        }
        if (!bad)
            continue;
        for (size_t i = first; i < past; i++) {
            uint32_t bits = 0;
            memcpy(&bits, x + i, sizeof bits);
            if ((bits & exponent) == exponent)
                return i;
        }
    }
    return d;
}

size_t finite_first_bad_f64(size_t d, const double *x)
{
    const uint64_t exponent = UINT64_C(0x7ff0000000000000);
    for (size_t i = 0; i < d; i++) {
        uint64_t bits = 0;
        memcpy(&bits, x + i, sizeof bits);
        if ((bits & exponent) == exponent)
            return i;
    }
    return d;
}
