/* SPDX-License-Identifier: Apache-2.0 */
/* A link without a broker: endpoints in one process exchange packets through a hub. */
#include "proto/link_memory.h"

#include "privacy/rng.h"
#include "proto/base/cleanup.h"
#include "proto/link_queue.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SUBSCRIPTIONS_MAX = 8,
    LINKS_MAX = 4096,
    TRANSIT_MAX = 1 << 16, /* packets on their way; more are lost */
};

struct link_memory {
    struct link link;
    struct link_memory_hub *hub;
    struct link_queue queue;
    bool cut;
    char *subscriptions[SUBSCRIPTIONS_MAX];
    size_t subscriptions_count;
    char *will_topic;
};

/* A packet on its way, to whoever subscribes to its topic when it is due. */
struct transit {
    uint64_t due_ms, order;
    size_t n;
    char topic[LINK_TOPIC_BYTES];
    unsigned char payload[];
};

struct link_memory_hub {
    struct link_memory_faults faults;
    struct rng rng;
    uint64_t now_ms, order;
    struct link_memory *links[LINKS_MAX];
    size_t links_count;
    struct transit **heap; /* earliest first */
    size_t heap_count, heap_capacity;
};

bool link_memory_matches(const char *filter, const char *topic)
{
    while (*filter) {
        if (strcmp(filter, "#") == 0)
            return true;
        size_t level = strcspn(topic, "/");
        if (*filter == '+') {
            filter++;
        } else {
            size_t n = strcspn(filter, "/");
            if (n != level || memcmp(filter, topic, n) != 0)
                return false;
            filter += n;
        }
        topic += level;
        /* "a/#" also fits "a". */
        if (*topic == '\0')
            return *filter == '\0' || strcmp(filter, "/#") == 0;
        if (*filter == '\0')
            return false;
        filter++;
        topic++;
    }
    return *topic == '\0';
}

static bool earlier(const struct transit *a, const struct transit *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->order < b->order;
}

static void swap(struct transit **a, struct transit **b)
{
    struct transit *held = *a;
    *a = *b;
    *b = held;
}

static bool heap_push(struct link_memory_hub *hub, struct transit *t)
{
    if (hub->heap_count == hub->heap_capacity) {
        size_t capacity = hub->heap_capacity ? 2 * hub->heap_capacity : 64;
        struct transit **bigger = NULL;
        if (capacity <= TRANSIT_MAX)
            bigger = realloc(hub->heap, capacity * sizeof(struct transit *));
        if (!bigger)
            return false;
        hub->heap = bigger;
        hub->heap_capacity = capacity;
    }
    size_t i = hub->heap_count++;
    hub->heap[i] = t;
    for (; i > 0 && earlier(hub->heap[i], hub->heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&hub->heap[i], &hub->heap[(i - 1) / 2]);
    return true;
}

static struct transit *heap_pop(struct link_memory_hub *hub)
{
    struct transit *first = hub->heap[0];
    hub->heap[0] = hub->heap[--hub->heap_count];
    for (size_t i = 0;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < hub->heap_count; child++) {
            if (earlier(hub->heap[child], hub->heap[least]))
                least = child;
        }
        if (least == i)
            return first;
        swap(&hub->heap[i], &hub->heap[least]);
        i = least;
    }
}

static bool subscribed(const struct link_memory *l, const char *topic)
{
    for (size_t i = 0; i < l->subscriptions_count; i++) {
        if (link_memory_matches(l->subscriptions[i], topic))
            return true;
    }
    return false;
}

static void deliver(struct link_memory_hub *hub, const struct transit *t)
{
    for (size_t i = 0; i < hub->links_count; i++) {
        struct link_memory *l = hub->links[i];
        if (!l->cut && subscribed(l, t->topic))
            link_queue_packet(&l->queue, t->topic, strlen(t->topic), t->payload, t->n);
    }
}

void link_memory_hub_advance(struct link_memory_hub *hub, uint64_t now_ms)
{
    if (now_ms > hub->now_ms)
        hub->now_ms = now_ms;
    while (hub->heap_count > 0 && hub->heap[0]->due_ms <= hub->now_ms) {
        CLEANUP(free_pointer) struct transit *t = heap_pop(hub);
        deliver(hub, t);
    }
}

uint64_t link_memory_hub_due_ms(const struct link_memory_hub *hub)
{
    return hub->heap_count > 0 ? hub->heap[0]->due_ms : UINT64_MAX;
}

static void put_on_its_way(struct link_memory_hub *hub, const char *topic, const void *payload,
                           size_t n)
{
    struct transit *t = malloc(sizeof *t + n);
    if (!t)
        return;
    uint64_t spread = hub->faults.delay_ms_max - hub->faults.delay_ms_min;
    t->due_ms = hub->now_ms + hub->faults.delay_ms_min;
    if (spread > 0)
        t->due_ms += rng_below(&hub->rng, spread + 1);
    t->order = hub->order++;
    t->n = n;
    snprintf(t->topic, sizeof t->topic, "%s", topic);
    if (n)
        memcpy(t->payload, payload, n);
    if (!heap_push(hub, t))
        free(t);
}

static void send_packet(struct link_memory_hub *hub, const char *topic, const void *payload,
                        size_t n)
{
    bool lost = hub->faults.loss > 0 && rng_uniform(&hub->rng) < hub->faults.loss;
    bool twice = hub->faults.duplicate > 0 && rng_uniform(&hub->rng) < hub->faults.duplicate;
    if (!lost)
        put_on_its_way(hub, topic, payload, n);
    if (twice)
        put_on_its_way(hub, topic, payload, n);
    link_memory_hub_advance(hub, hub->now_ms);
}

void link_memory_hub_faults(struct link_memory_hub *hub, const struct link_memory_faults *faults)
{
    hub->faults = *faults;
    if (hub->faults.delay_ms_max < hub->faults.delay_ms_min)
        hub->faults.delay_ms_max = hub->faults.delay_ms_min;
}

struct result link_memory_hub_open(const struct link_memory_faults *faults,
                                   struct link_memory_hub **ret_hub, struct why *why)
{
    struct link_memory_hub *hub = calloc(1, sizeof *hub);
    if (!hub)
        return failed(why, RESULT_SYSTEM, "no memory for the hub");
    unsigned char key[RNG_KEY_BYTES] = {0};
    memcpy(key, &faults->seed, sizeof faults->seed);
    rng_init_seeded(&hub->rng, key, 0);
    link_memory_hub_faults(hub, faults);
    *ret_hub = hub;
    return DONE;
}

void link_memory_hub_close(struct link_memory_hub *hub)
{
    if (!hub)
        return;
    for (size_t i = 0; i < hub->heap_count; i++)
        free(hub->heap[i]);
    free(hub->heap);
    free(hub);
}

static struct link_memory *of(struct link *link)
{
    return (struct link_memory *)(void *)((char *)link - offsetof(struct link_memory, link));
}

static void tell_presence(struct link_memory *l, const char *text)
{
    if (l->will_topic)
        send_packet(l->hub, l->will_topic, text, strlen(text));
}

void link_memory_cut(struct link *link, bool cut)
{
    struct link_memory *l = of(link);
    if (l->cut == cut)
        return;
    l->cut = cut;
    link_queue_event(&l->queue, cut ? LINK_DISCONNECTED : LINK_CONNECTED, cut ? "cut off" : "");
    tell_presence(l, cut ? "offline" : "online");
}

static int memory_descriptor(struct link *link)
{
    return of(link)->queue.wake;
}

static bool memory_next(struct link *link, struct link_event *event)
{
    return link_queue_take(&of(link)->queue, event);
}

static struct result memory_publish(struct link *link, const char *topic,
                                    const unsigned char *payload, size_t n, struct why *why)
{
    struct link_memory *l = of(link);
    if (n > LINK_PACKET_MAX)
        return failed(why, RESULT_INPUT, "a packet of %zu bytes; the link takes at most %d", n,
                      LINK_PACKET_MAX);
    if (strlen(topic) >= LINK_TOPIC_BYTES)
        return failed(why, RESULT_INPUT, "a topic of more than %d bytes", LINK_TOPIC_BYTES - 1);
    if (l->cut)
        return failed(why, RESULT_AGAIN, "cut off");
    send_packet(l->hub, topic, payload, n);
    return DONE;
}

static void memory_close(struct link *link)
{
    struct link_memory *l = of(link);
    struct link_memory_hub *hub = l->hub;
    size_t i = 0;
    while (i < hub->links_count && hub->links[i] != l)
        i++;
    if (i < hub->links_count) {
        hub->links_count--;
        memmove(&hub->links[i], &hub->links[i + 1],
                (hub->links_count - i) * sizeof(struct link_memory *));
        if (!l->cut)
            tell_presence(l, "offline");
    }
    for (size_t s = 0; s < l->subscriptions_count; s++)
        free(l->subscriptions[s]);
    free(l->will_topic);
    link_queue_close(&l->queue);
    free(l);
}

static const struct link_operations OPERATIONS = {memory_descriptor, memory_next, memory_publish,
                                                  memory_close};

static struct result copy_options(struct link_memory *l, const struct link_options *options,
                                  struct why *why)
{
    bool complete = true;
    for (const char *const *s = options->subscriptions; s && *s; s++) {
        if (l->subscriptions_count == SUBSCRIPTIONS_MAX)
            return failed(why, RESULT_INPUT, "more than %d subscriptions", SUBSCRIPTIONS_MAX);
        char *copy = strdup(*s);
        l->subscriptions[l->subscriptions_count++] = copy;
        complete = complete && copy;
    }
    if (options->will_topic) {
        l->will_topic = strdup(options->will_topic);
        complete = complete && l->will_topic;
    }
    return complete ? DONE : failed(why, RESULT_SYSTEM, "no memory for the link");
}

struct result link_memory_open(struct link_memory_hub *hub, const struct link_options *options,
                               struct link **ret_link, struct why *why)
{
    if (hub->links_count == LINKS_MAX)
        return failed(why, RESULT_REFUSED, "the hub has %d links already", LINKS_MAX);
    struct link_memory *l = calloc(1, sizeof *l);
    if (!l)
        return failed(why, RESULT_SYSTEM, "no memory for the link");
    l->link.operations = &OPERATIONS;
    l->hub = hub;
    struct result r = link_queue_open(&l->queue, why);
    if (ok(r))
        r = copy_options(l, options, why);
    if (!ok(r)) {
        memory_close(&l->link);
        return r;
    }
    hub->links[hub->links_count++] = l;
    link_queue_event(&l->queue, LINK_CONNECTED, "");
    tell_presence(l, "online");
    *ret_link = &l->link;
    return DONE;
}
