/* SPDX-License-Identifier: Apache-2.0 */
/* The bounded queue between a link's delivery threads and its owner. */
#include "proto/link_queue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct link_queue_entry {
    struct link_queue_entry *next;
    struct link_event event;
};

struct result link_queue_open(struct link_queue *queue, struct why *why)
{
    *queue = (struct link_queue){.mutex = PTHREAD_MUTEX_INITIALIZER};
    queue->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (queue->wake < 0)
        return failed(why, RESULT_SYSTEM, "no event descriptor: %s", strerror(errno));
    return DONE;
}

void link_queue_close(struct link_queue *queue)
{
    while (queue->first) {
        struct link_queue_entry *entry = queue->first;
        queue->first = entry->next;
        free(entry->event.payload);
        free(entry);
    }
    if (queue->wake >= 0)
        close(queue->wake);
    queue->wake = -1;
    pthread_mutex_destroy(&queue->mutex);
}

/* An eventfd's write fails only when its counter is full, and then it is readable already. */
static void signal_wake(struct link_queue *queue)
{
    uint64_t one = 1;
    ssize_t written = write(queue->wake, &one, sizeof one);
    (void)written;
}

static void quiet_wake(struct link_queue *queue)
{
    uint64_t count = 0;
    ssize_t got = read(queue->wake, &count, sizeof count);
    (void)got;
}

/* With the mutex held; takes the entry over. */
static void append(struct link_queue *queue, struct link_queue_entry *entry)
{
    if (queue->last)
        queue->last->next = entry;
    else
        queue->first = entry;
    queue->last = entry;
    signal_wake(queue);
}

static struct link_queue_entry *packet_entry(const char *topic, size_t topic_n, const void *payload,
                                             size_t n)
{
    struct link_queue_entry *entry = calloc(1, sizeof *entry);
    unsigned char *copy = malloc(n ? n : 1);
    if (!entry || !copy) {
        free(entry);
        free(copy);
        return NULL;
    }
    if (n)
        memcpy(copy, payload, n);
    memcpy(entry->event.topic, topic, topic_n);
    entry->event.kind = LINK_PACKET;
    entry->event.payload = copy;
    entry->event.payload_n = n;
    return entry;
}

bool link_queue_packet(struct link_queue *queue, const char *topic, size_t topic_n,
                       const void *payload, size_t n)
{
    struct link_queue_entry *entry = NULL;
    if (topic_n < LINK_TOPIC_BYTES && n <= LINK_PACKET_MAX)
        entry = packet_entry(topic, topic_n, payload, n);
    pthread_mutex_lock(&queue->mutex);
    bool taken = entry && queue->packets < LINK_QUEUE_PACKETS;
    if (taken) {
        queue->packets++;
        append(queue, entry);
    } else {
        queue->dropped++;
    }
    pthread_mutex_unlock(&queue->mutex);
    if (!taken && entry) {
        free(entry->event.payload);
        free(entry);
    }
    return taken;
}

void link_queue_event(struct link_queue *queue, enum link_event_kind kind, const char *reason)
{
    struct link_queue_entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return;
    entry->event.kind = kind;
    snprintf(entry->event.reason, sizeof entry->event.reason, "%s", reason);
    pthread_mutex_lock(&queue->mutex);
    append(queue, entry);
    pthread_mutex_unlock(&queue->mutex);
}

void link_queue_wake(struct link_queue *queue)
{
    signal_wake(queue);
}

bool link_queue_take(struct link_queue *queue, struct link_event *event)
{
    pthread_mutex_lock(&queue->mutex);
    struct link_queue_entry *entry = queue->first;
    if (entry) {
        queue->first = entry->next;
        if (!queue->first)
            queue->last = NULL;
        if (entry->event.kind == LINK_PACKET)
            queue->packets--;
    } else {
        quiet_wake(queue);
    }
    pthread_mutex_unlock(&queue->mutex);
    if (!entry)
        return false;
    *event = entry->event;
    free(entry);
    return true;
}
