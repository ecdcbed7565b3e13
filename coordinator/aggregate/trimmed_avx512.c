/* SPDX-License-Identifier: Apache-2.0 */
/* The unrolled trimmed means and sorts with AVX-512: sixteen floats at a time. */
#include "coordinator/aggregate/kernels_all.h"
#include "coordinator/aggregate/vec_avx512.h"

#define V_BOTH(a, b)                                                                               \
    do {                                                                                           \
        vec least_ = V_MINIMUM(a, b);                                                              \
        b = V_MAXIMUM(a, b);                                                                       \
        a = least_;                                                                                \
    } while (0)
#define K_BOTH(a, b)                                                                               \
    do {                                                                                           \
        keys least_ = K_MINIMUM(a, b);                                                             \
        b = K_MAXIMUM(a, b);                                                                       \
        a = least_;                                                                                \
    } while (0)
#define V_LOW(a, b) a = V_MINIMUM(a, b)
#define V_HIGH(a, b) b = V_MAXIMUM(a, b)

/* Floats by which a sort fetches ahead of what it reads. */
enum { FETCH_AHEAD = 64 };

#include "trimmed_avx512.h"

kernel_trimmed *trimmed_avx512(size_t n, size_t f)
{
    return n <= TRIMMED_ROWS && f >= 1 && 2 * f < n ? TRIMMED[n][f] : NULL;
}

kernel_group *sorted_avx512(size_t m)
{
    return m <= NETWORK_GROUP ? SORTED[m] : NULL;
}

kernel_keyed_group *keyed_avx512(size_t m)
{
    return m <= NETWORK_GROUP ? KEYED[m] : NULL;
}
