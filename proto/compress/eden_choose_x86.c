/* SPDX-License-Identifier: Apache-2.0 */
/* Which inner loops of eden this x86-64 processor runs. */
#include "proto/compress/eden_kernel.h"

static const struct eden_kernel *const all[] = {&eden_kernel_portable, &eden_kernel_avx2,
                                                &eden_kernel_avx512, NULL};
static const struct eden_kernel *const up_to_avx2[] = {&eden_kernel_portable, &eden_kernel_avx2,
                                                       NULL};
static const struct eden_kernel *const plain[] = {&eden_kernel_portable, NULL};

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

const struct eden_kernel *const *eden_kernels_here(void)
{
    return has_avx512() ? all : has_avx2() ? up_to_avx2 : plain;
}

const struct eden_kernel *eden_kernel_best(void)
{
    return has_avx512() ? &eden_kernel_avx512
           : has_avx2() ? &eden_kernel_avx2
                        : &eden_kernel_portable;
}
