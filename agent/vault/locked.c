/* SPDX-License-Identifier: Apache-2.0 */
/* Locked memory by libsodium, which sets MADV_DONTDUMP and guard pages and forgives a lock that
 * fails; here it is counted. */
#include "agent/vault/locked.h"

#include <sodium.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

static atomic_size_t missed;

size_t locked_missed(void)
{
    return atomic_load(&missed);
}

void locked_keep(const void *p, size_t bytes)
{
    if (p && bytes > 0 && mlock(p, bytes) != 0)
        atomic_fetch_add(&missed, bytes);
}

void *locked_calloc(size_t count, size_t each)
{
    if (sodium_init() < 0)
        return NULL;
    void *p = sodium_allocarray(count ? count : 1, each ? each : 1);
    if (!p)
        return NULL;
    memset(p, 0, (count ? count : 1) * (each ? each : 1));
    locked_keep(p, count * each);
    return p;
}

void locked_free(void *p)
{
    sodium_free(p);
}
