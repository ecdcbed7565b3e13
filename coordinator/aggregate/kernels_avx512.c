/* SPDX-License-Identifier: Apache-2.0 */
/* Inner loops with AVX-512: sixteen floats at a time. */
#include "coordinator/aggregate/kernels_all.h"
#include "coordinator/aggregate/vec_avx512.h"

#include <stdint.h>
#include <string.h>

#define V_GROUP_SORT sorted_avx512

#include "coordinator/aggregate/kernels_body.inc"

const struct kernels kernels_avx512 = {
    "avx512",   centre,  products, products_wide,  mix, combine, sort,
    sort_keyed, average, around,   trimmed_avx512,
};
