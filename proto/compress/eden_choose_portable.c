/* SPDX-License-Identifier: Apache-2.0 */
/* Which inner loops of eden run on processors other than x86-64. */
#include "proto/compress/eden_kernel.h"

const struct eden_kernel *const *eden_kernels_here(void)
{
    static const struct eden_kernel *const here[] = {&eden_kernel_portable, NULL};
    return here;
}

const struct eden_kernel *eden_kernel_best(void)
{
    return &eden_kernel_portable;
}
