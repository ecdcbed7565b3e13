/* SPDX-License-Identifier: Apache-2.0 */
/* Inner loops with AVX2 and FMA: eight floats at a time. */
#include "coordinator/aggregate/kernels_all.h"
#include "coordinator/aggregate/vec_avx2.h"

#include <stdint.h>
#include <string.h>

/* No unrolled sorts of groups: the table does it all. */
#define V_GROUP_SORT(m) ((void)(m), (kernel_group *)NULL)

#include "coordinator/aggregate/kernels_body.inc"

const struct kernels kernels_avx2 = {
    "avx2", centre,     products, products_wide, mix,          combine,
    sort,   sort_keyed, average,  around,        trimmed_avx2,
};
