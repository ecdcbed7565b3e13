/* SPDX-License-Identifier: Apache-2.0 */
/* The choice where only the portable loops exist. */
#include "privacy/clip_kernel.h"

const struct clip_kernel *clip_kernel_choose(void)
{
    return &clip_kernel_portable;
}
