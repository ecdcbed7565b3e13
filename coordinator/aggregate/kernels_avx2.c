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

static void gather(const double *table, const wide_mask *index, wide *taken)
{
    __m256i half_index[2];
    __m256d part[2];
    memcpy(half_index, index, sizeof half_index);
    part[0] = _mm256_i64gather_pd(table, half_index[0], 8);
    part[1] = _mm256_i64gather_pd(table, half_index[1], 8);
    memcpy(taken, part, sizeof part);
}

#include "coordinator/aggregate/kernels_keyed.inc"

const struct kernels kernels_avx2 = {
    "avx2",    centre,     products,        products_wide,    mix,     combine, sort_groups,
    sort_rest, sort_keyed, weighted_middle, weighted_trimmed, average, around,  trimmed_avx2,
};
