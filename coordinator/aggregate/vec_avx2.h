/* SPDX-License-Identifier: Apache-2.0 */
/* Vector macros of AVX2 and FMA: eight floats at a time; only for files compiled for such
 * processors. */
#ifndef CONSILIUM_AGGREGATE_VEC_AVX2_H
#define CONSILIUM_AGGREGATE_VEC_AVX2_H

#include <immintrin.h>

typedef __m256 vec;

#define PAIR_ROWS 3
enum { V_LANES = 8, MIX_VECTORS = 2 };

#define V_LOAD(x) _mm256_loadu_ps(x)
#define V_STORE(x, a) _mm256_storeu_ps(x, a)
#define V_ADD(a, b) _mm256_add_ps(a, b)
#define V_SUBTRACT(a, b) _mm256_sub_ps(a, b)
#define V_MINIMUM(a, b) _mm256_min_ps(a, b)
#define V_MAXIMUM(a, b) _mm256_max_ps(a, b)
#define V_FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define V_DIVIDE(a, by) _mm256_div_ps(a, _mm256_set1_ps(by))
#define V_SPREAD(a) _mm256_set1_ps(a)
#define V_HALVES(a, low, high)                                                                     \
    do {                                                                                           \
        low = (half)(a)[0];                                                                        \
        high = (half)(a)[1];                                                                       \
    } while (0)
#define V_ZERO _mm256_setzero_ps()
#define V_FETCH(x) _mm_prefetch((const char *)(x), _MM_HINT_T0)

typedef __m256d keys;

enum { K_LANES = 4 };

#define K_LOAD(x) _mm256_loadu_pd(x)
#define K_STORE(x, a) _mm256_storeu_pd(x, a)
#define K_MINIMUM(a, b) _mm256_min_pd(a, b)
#define K_MAXIMUM(a, b) _mm256_max_pd(a, b)
#define K_TAKE(table, at) _mm256_setr_pd(table[at[0]], table[at[1]], table[at[2]], table[at[3]])

#endif
