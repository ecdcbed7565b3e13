/* SPDX-License-Identifier: Apache-2.0 */
/* Which inner loops this x86-64 processor runs. */
#include "coordinator/aggregate/kernels_all.h"

static const struct kernels *const ALL[] = {&kernels_portable, &kernels_avx2, &kernels_avx512,
                                            NULL};
static const struct kernels *const UP_TO_AVX2[] = {&kernels_portable, &kernels_avx2, NULL};
static const struct kernels *const PLAIN[] = {&kernels_portable, NULL};

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
}

const struct kernels *const *kernels_here(void)
{
    return has_avx512() ? ALL : has_avx2() ? UP_TO_AVX2 : PLAIN;
}

const struct kernels *kernels_best(void)
{
    return has_avx512() ? &kernels_avx512 : has_avx2() ? &kernels_avx2 : &kernels_portable;
}
