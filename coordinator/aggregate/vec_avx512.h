/* SPDX-License-Identifier: Apache-2.0 */
/* Vector macros of AVX-512: sixteen floats at a time; only for files compiled for such processors.
 */
#ifndef CONSILIUM_AGGREGATE_VEC_AVX512_H
#define CONSILIUM_AGGREGATE_VEC_AVX512_H

#include <immintrin.h>

typedef __m512 vec;

#define PAIR_ROWS 4
enum { V_LANES = 16, MIX_VECTORS = 4 };

#define V_LOAD(x) _mm512_loadu_ps(x)
#define V_STORE(x, a) _mm512_storeu_ps(x, a)
#define V_ADD(a, b) _mm512_add_ps(a, b)
#define V_SUBTRACT(a, b) _mm512_sub_ps(a, b)
#define V_MINIMUM(a, b) _mm512_min_ps(a, b)
#define V_MAXIMUM(a, b) _mm512_max_ps(a, b)
#define V_FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define V_DIVIDE(a, by) _mm512_div_ps(a, _mm512_set1_ps(by))
#define V_SPREAD(a) _mm512_set1_ps(a)
#define V_HALVES(a, low, high)                                                                     \
    do {                                                                                           \
        low = (half)_mm512_castps512_ps256((a)[0]);                                                \
        high = (half)_mm512_extractf32x8_ps((a)[0], 1);                                            \
    } while (0)
#define V_ZERO _mm512_setzero_ps()
#define V_FETCH(x) _mm_prefetch((const char *)(x), _MM_HINT_T0)

typedef __m512d keys;

enum { K_LANES = 8 };

#define K_LOAD(x) _mm512_loadu_pd(x)
#define K_STORE(x, a) _mm512_storeu_pd(x, a)
#define K_MINIMUM(a, b) _mm512_min_pd(a, b)
#define K_MAXIMUM(a, b) _mm512_max_pd(a, b)
#define K_TAKE(table, at)                                                                          \
    _mm512_setr_pd(table[at[0]], table[at[1]], table[at[2]], table[at[3]], table[at[4]],           \
                   table[at[5]], table[at[6]], table[at[7]])

#endif
