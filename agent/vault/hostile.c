/* SPDX-License-Identifier: Apache-2.0 */
/* The hostile site of tests and demonstrations: updates turned round and scaled, everything else as
 * the honest vault does it. It is linked into a program of its own and never installed. */
#include "agent/vault/work.h"

#include <stdlib.h>

/* CONSILIUM_HOSTILE_FACTOR tells by what each update is multiplied. */
void vault_tamper(float *update, size_t n)
{
    const char *text = getenv("CONSILIUM_HOSTILE_FACTOR");
    float factor = text ? strtof(text, NULL) : -4.0f;
    for (size_t i = 0; i < n; i++)
        update[i] *= factor;
}
