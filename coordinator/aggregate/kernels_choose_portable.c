/* SPDX-License-Identifier: Apache-2.0 */
/* Which inner loops run on processors other than x86-64: the portable ones. */
#include "coordinator/aggregate/kernels_all.h"

static const struct kernels *const PLAIN[] = {&kernels_portable, NULL};

const struct kernels *const *kernels_here(void)
{
    return PLAIN;
}

const struct kernels *kernels_best(void)
{
    return &kernels_portable;
}
