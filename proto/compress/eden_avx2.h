/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the AVX2 kernel share; internal to them. */
#ifndef CONSILIUM_COMPRESS_EDEN_AVX2_H
#define CONSILIUM_COMPRESS_EDEN_AVX2_H

#include "proto/compress/eden_kernel.h"

#define TARGET __attribute__((target("avx2,fma")))
#define INLINE TARGET __attribute__((always_inline)) static inline

enum { WIDTH = 8, VECTORS = CODEC_BLOCK / WIDTH };

/* As the entries of struct eden_kernel say. */
void eden_rotate_avx2(const float *x, float *y, const unsigned char *first,
                      const unsigned char *second, const float *next);
void eden_unrotate_avx2(float *x, const unsigned char *first, const unsigned char *second,
                        const float *next);

#endif
