/* SPDX-License-Identifier: Apache-2.0 */
/* The vault leaves its updates as they are. */
#include "agent/vault/work.h"

void vault_tamper(float *update, size_t n)
{
    (void)update;
    (void)n;
}
