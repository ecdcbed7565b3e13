/* SPDX-License-Identifier: Apache-2.0 */
/* The bounded queue between a link's delivery threads and its owner, with a descriptor to poll. */
#ifndef CONSILIUM_LINK_QUEUE_H
#define CONSILIUM_LINK_QUEUE_H

#include "proto/link.h"

#include <pthread.h>

struct link_queue_entry;

struct link_queue {
    pthread_mutex_t mutex;
    int wake; /* eventfd, readable while events wait or after link_queue_wake */
    struct link_queue_entry *first, *last;
    size_t packets;   /* waiting, at most LINK_QUEUE_PACKETS */
    uint64_t dropped; /* packets that found it full */
};

struct result link_queue_open(struct link_queue *queue, struct why *why) MUST_CHECK;

/* Frees what waits. No thread may use the queue any more. */
void link_queue_close(struct link_queue *queue);

/* Copies a packet into the queue; false (and counted) when it is full, or the packet or topic is
 * beyond its limit. Any thread. */
bool link_queue_packet(struct link_queue *queue, const char *topic, size_t topic_n,
                       const void *payload, size_t n);

/* Appends an event without a packet, even to a full queue. Any thread. */
void link_queue_event(struct link_queue *queue, enum link_event_kind kind, const char *reason);

/* Makes the descriptor readable until the next link_queue_take. Any thread. */
void link_queue_wake(struct link_queue *queue);

/* Takes the oldest event; false when none waits, and then the descriptor is quiet. */
bool link_queue_take(struct link_queue *queue, struct link_event *event);

#endif
