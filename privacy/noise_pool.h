/* SPDX-License-Identifier: Apache-2.0 */
/* Noise drawn ahead by a background thread, so that the time a sample took cannot be observed. */
#ifndef CONSILIUM_PRIVACY_NOISE_POOL_H
#define CONSILIUM_PRIVACY_NOISE_POOL_H

#include <stddef.h>
#include <stdint.h>

struct noise_pool;

/* Most samples a pool may hold: 1 GB. */
#define NOISE_POOL_MAX ((size_t)1 << 27)

/* Starts a thread that keeps about `capacity` samples ready (it fills the pool up whenever 4096, or
 * half of a small one, are missing), keyed from the system. NULL when the
 * capacity is 0 or above NOISE_POOL_MAX, or the system refuses memory or a thread. */
struct noise_pool *noise_pool_start(size_t capacity);

/* Waits until n samples have been drawn (n may exceed the capacity), hands them over and wipes them
 * in the pool. */
void noise_pool_take(struct noise_pool *pool, int64_t *out, size_t n);

/* Samples ready now. */
size_t noise_pool_ready(struct noise_pool *pool);

/* Stops the thread, wipes and frees. NULL is allowed. */
void noise_pool_stop(struct noise_pool *pool);

#endif
