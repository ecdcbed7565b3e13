/* SPDX-License-Identifier: Apache-2.0 */
/* Inner loops with AVX2 and FMA: eight floats at a time. */
#include "coordinator/aggregate/kernels_all.h"
#include "coordinator/aggregate/vec_avx2.h"
#include "coordinator/aggregate/weights.h"

#include <stdint.h>
#include <string.h>

#define V_GROUP_SORT sorted_avx2
#define K_GROUP_SORT keyed_avx2

#include "coordinator/aggregate/kernels_body.inc"

#include "coordinator/aggregate/kernels_keyed.inc"

const struct kernels kernels_avx2 = {
    "avx2",    centre,     products,        products_wide,    mix,     combine, sort_groups,
    sort_rest, sort_keyed, weighted_middle, weighted_trimmed, average, around,  trimmed_avx2,
};
