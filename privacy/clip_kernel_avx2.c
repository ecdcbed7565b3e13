/* SPDX-License-Identifier: Apache-2.0 */
/* The loops for processors with AVX2 and fused multiply-add, and the choice between them. */
#include "privacy/clip_kernel.h"

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,fma")))

AVX2 static inline double total(__m256d v)
{
    __m128d low = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
    return _mm_cvtsd_f64(_mm_add_sd(low, _mm_unpackhi_pd(low, low)));
}

AVX2 static inline double square(size_t n, const double *x)
{
    __m256d a = _mm256_setzero_pd(), b = a, c = a, d = a;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m256d p = _mm256_loadu_pd(x + i), q = _mm256_loadu_pd(x + i + 4);
        __m256d r = _mm256_loadu_pd(x + i + 8), s = _mm256_loadu_pd(x + i + 12);
        a = _mm256_fmadd_pd(p, p, a);
        b = _mm256_fmadd_pd(q, q, b);
        c = _mm256_fmadd_pd(r, r, c);
        d = _mm256_fmadd_pd(s, s, d);
    }
    for (; i + 4 <= n; i += 4) {
        __m256d p = _mm256_loadu_pd(x + i);
        a = _mm256_fmadd_pd(p, p, a);
    }
    double sum = total(_mm256_add_pd(_mm256_add_pd(a, b), _mm256_add_pd(c, d)));
    for (; i < n; i++)
        sum += x[i] * x[i];
    return sum;
}

AVX2 static void squares(size_t rows, size_t n, const double *x, double *out)
{
    for (size_t r = 0; r < rows; r++)
        out[r] = square(n, x + r * n);
}

AVX2 static void four(size_t n, const double *const x[4], double out[6])
{
    __m256d s[6];
    size_t i = 0;
    for (size_t k = 0; k < 6; k++)
        s[k] = _mm256_setzero_pd();
    for (; i + 4 <= n; i += 4) {
        __m256d a = _mm256_loadu_pd(x[0] + i), b = _mm256_loadu_pd(x[1] + i);
        __m256d c = _mm256_loadu_pd(x[2] + i), d = _mm256_loadu_pd(x[3] + i);
        s[0] = _mm256_fmadd_pd(a, b, s[0]);
        s[1] = _mm256_fmadd_pd(a, c, s[1]);
        s[2] = _mm256_fmadd_pd(a, d, s[2]);
        s[3] = _mm256_fmadd_pd(b, c, s[3]);
        s[4] = _mm256_fmadd_pd(b, d, s[4]);
        s[5] = _mm256_fmadd_pd(c, d, s[5]);
    }
    for (size_t k = 0; k < 6; k++)
        out[k] = total(s[k]);
    for (; i < n; i++) {
        double a = x[0][i], b = x[1][i], c = x[2][i], d = x[3][i];
        out[0] += a * b;
        out[1] += a * c;
        out[2] += a * d;
        out[3] += b * c;
        out[4] += b * d;
        out[5] += c * d;
    }
}

AVX2 static void cross(size_t n, const double *const x[2], const double *const y[2], double out[4])
{
    __m256d s[4];
    size_t i = 0;
    for (size_t k = 0; k < 4; k++)
        s[k] = _mm256_setzero_pd();
    for (; i + 4 <= n; i += 4) {
        __m256d a = _mm256_loadu_pd(x[0] + i), b = _mm256_loadu_pd(x[1] + i);
        __m256d c = _mm256_loadu_pd(y[0] + i), d = _mm256_loadu_pd(y[1] + i);
        s[0] = _mm256_fmadd_pd(a, c, s[0]);
        s[1] = _mm256_fmadd_pd(a, d, s[1]);
        s[2] = _mm256_fmadd_pd(b, c, s[2]);
        s[3] = _mm256_fmadd_pd(b, d, s[3]);
    }
    for (size_t k = 0; k < 4; k++)
        out[k] = total(s[k]);
    for (; i < n; i++) {
        out[0] += x[0][i] * y[0][i];
        out[1] += x[0][i] * y[1][i];
        out[2] += x[1][i] * y[0][i];
        out[3] += x[1][i] * y[1][i];
    }
}

static const struct clip_kernel clip_kernel_avx2 = {squares, four, cross};

const struct clip_kernel *clip_kernel_choose(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &clip_kernel_avx2
                                                                           : &clip_kernel_portable;
}
