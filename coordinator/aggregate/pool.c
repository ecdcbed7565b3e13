/* SPDX-License-Identifier: Apache-2.0 */
/* Threads for one piece of work. */
#include "coordinator/aggregate/pool.h"

#include "coordinator/aggregate/aggregate.h"

#include <pthread.h>

struct part {
    void (*task)(void *context, unsigned worker);
    void *context;
    unsigned worker;
};

static void *run_part(void *argument)
{
    struct part *part = argument;
    part->task(part->context, part->worker);
    return NULL;
}

void pool_run(unsigned workers, void (*task)(void *context, unsigned worker), void *context)
{
    pthread_t thread[AGG_THREADS_MAX];
    struct part part[AGG_THREADS_MAX];
    bool started[AGG_THREADS_MAX] = {false};
    if (workers > AGG_THREADS_MAX)
        workers = AGG_THREADS_MAX;
    for (unsigned w = 1; w < workers; w++) {
        part[w] = (struct part){task, context, w};
        started[w] = pthread_create(&thread[w], NULL, run_part, &part[w]) == 0;
    }
    task(context, 0);
    for (unsigned w = 1; w < workers; w++) {
        if (started[w])
            pthread_join(thread[w], NULL);
        else
            task(context, w);
    }
}

void pool_part(size_t count, unsigned workers, unsigned worker, size_t *first, size_t *past)
{
    size_t each = count / workers;
    size_t more = count % workers;
    *first = each * worker + (worker < more ? worker : more);
    *past = *first + each + (worker < more ? 1 : 0);
}
