/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of samples between one filling thread and its takers; locked memory, wiped as taken.
 *
 * The thread sleeps until a batch is missing, and then fills the ring to the brim: one sample costs
 * what it costs in bulk, however few are taken at a time, and takers seldom wake anybody. */
#include "privacy/noise_pool.h"

#include "privacy/noise.h"

#include <pthread.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 4096 };

struct noise_pool {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stop, filling;            /* filling: until the ring is full */
    unsigned waiting;              /* takers that found the ring empty */
    size_t capacity, first, ready; /* ring: `ready` samples from `first` */
    size_t batch;                  /* samples missing that wake the thread */
    int64_t *ring;
    struct rng rng; /* the thread's only */
};

static void put(struct noise_pool *pool, const int64_t *samples, size_t n)
{
    size_t at = (pool->first + pool->ready) % pool->capacity, run = pool->capacity - at;
    run = run < n ? run : n;
    memcpy(pool->ring + at, samples, run * sizeof *samples);
    memcpy(pool->ring, samples + run, (n - run) * sizeof *samples);
    pool->ready += n;
}

static void *fill(void *argument)
{
    struct noise_pool *pool = argument;
    int64_t chunk[CHUNK];
    pthread_mutex_lock(&pool->lock);
    while (!pool->stop) {
        size_t room = pool->capacity - pool->ready;
        pool->filling = room > 0 && (pool->filling || room >= pool->batch || pool->waiting > 0);
        if (!pool->filling) {
            pthread_cond_wait(&pool->changed, &pool->lock);
            continue;
        }
        size_t n = room < CHUNK ? room : CHUNK;
        pthread_mutex_unlock(&pool->lock);
        noise_fill(&pool->rng, chunk, n);
        pthread_mutex_lock(&pool->lock);
        put(pool, chunk, n); /* only this thread adds, so the room is still there */
        if (pool->waiting > 0)
            pthread_cond_broadcast(&pool->changed);
    }
    pthread_mutex_unlock(&pool->lock);
    sodium_memzero(chunk, sizeof chunk);
    return NULL;
}

struct noise_pool *noise_pool_start(size_t capacity)
{
    if (capacity == 0 || capacity > NOISE_POOL_MAX)
        return NULL;
    struct noise_pool *pool = calloc(1, sizeof *pool);
    if (!pool || sodium_init() < 0) {
        free(pool);
        return NULL;
    }
    pool->capacity = capacity;
    pool->batch = capacity < 2 * CHUNK ? (capacity + 1) / 2 : CHUNK;
    pool->ring = sodium_allocarray(capacity, sizeof *pool->ring);
    if (!pool->ring) {
        free(pool);
        return NULL;
    }
    rng_init_system(&pool->rng);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->changed, NULL);
    if (pthread_create(&pool->thread, NULL, fill, pool) != 0) {
        rng_wipe(&pool->rng);
        pthread_mutex_destroy(&pool->lock);
        pthread_cond_destroy(&pool->changed);
        sodium_free(pool->ring);
        free(pool);
        return NULL;
    }
    return pool;
}

/* With the lock held. */
static void wait_for_samples(struct noise_pool *pool)
{
    pool->waiting++;
    pthread_cond_broadcast(&pool->changed);
    pthread_cond_wait(&pool->changed, &pool->lock);
    pool->waiting--;
}

void noise_pool_take(struct noise_pool *pool, int64_t *out, size_t n)
{
    pthread_mutex_lock(&pool->lock);
    while (n > 0) {
        while (pool->ready == 0)
            wait_for_samples(pool);
        size_t run = pool->capacity - pool->first;
        run = run < pool->ready ? run : pool->ready;
        run = run < n ? run : n;
        memcpy(out, pool->ring + pool->first, run * sizeof *out);
        sodium_memzero(pool->ring + pool->first, run * sizeof *out);
        pool->first = (pool->first + run) % pool->capacity;
        pool->ready -= run;
        out += run;
        n -= run;
        if (!pool->filling && pool->capacity - pool->ready >= pool->batch)
            pthread_cond_broadcast(&pool->changed);
    }
    pthread_mutex_unlock(&pool->lock);
}

size_t noise_pool_ready(struct noise_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    size_t ready = pool->ready;
    pthread_mutex_unlock(&pool->lock);
    return ready;
}

void noise_pool_stop(struct noise_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    pthread_join(pool->thread, NULL);
    rng_wipe(&pool->rng);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->changed);
    sodium_free(pool->ring);
    free(pool);
}
