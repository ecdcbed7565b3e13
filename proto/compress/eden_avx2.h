/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the AVX2 kernel share; internal to them. */
#ifndef CONSILIUM_COMPRESS_EDEN_AVX2_H
#define CONSILIUM_COMPRESS_EDEN_AVX2_H

#include "proto/compress/eden_kernel.h"

#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma")))
#define INLINE TARGET __attribute__((always_inline)) static inline

enum { WIDTH = 8, VECTORS = CODEC_BLOCK / WIDTH };

/* Stages inside one vector: (a, b) -> (a + b, a - b). The product with +-1 is exact, so the fused
 * operation rounds like a plain addition. */
INLINE __m256 eden_stages_1_2(__m256 x)
{
    const __m256 one = _mm256_setr_ps(1, -1, 1, -1, 1, -1, 1, -1);
    const __m256 two = _mm256_setr_ps(1, 1, -1, -1, 1, 1, -1, -1);
    x = _mm256_fmadd_ps(x, one, _mm256_permute_ps(x, 0xb1));
    return _mm256_fmadd_ps(x, two, _mm256_permute_ps(x, 0x4e));
}

/* As in struct eden_kernel. */
void eden_rotate_avx2(const float *x, float *y, const unsigned char *first,
                      const unsigned char *second, const float *next);

/* The rest of restore when stages 1 and 2 are done. */
void eden_unrotate_avx2(float *x, const unsigned char *first, const unsigned char *second,
                        const float *next);

#endif
