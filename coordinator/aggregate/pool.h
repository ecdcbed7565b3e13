/* SPDX-License-Identifier: Apache-2.0 */
/* A few threads for one piece of work, which ends with the call. */
#ifndef CONSILIUM_AGGREGATE_POOL_H
#define CONSILIUM_AGGREGATE_POOL_H

#include <stddef.h>

/* Runs task(context, worker) for worker 0..workers-1, worker 0 in the calling thread, and returns
 * when all have ended. A thread that cannot be made has its part run by the caller. */
void pool_run(unsigned workers, void (*task)(void *context, unsigned worker), void *context);

/* Part worker of workers of the items 0..count-1, contiguous and in order: *first to *past-1. */
void pool_part(size_t count, unsigned workers, unsigned worker, size_t *first, size_t *past);

#endif
