/* SPDX-License-Identifier: Apache-2.0 */
/* A link without a broker: endpoints in one process exchange packets through a hub, in the hub's
 * own time, with loss, doubling and delay drawn from a seed. For simulation and tests.
 *
 * One thread uses a hub and all its links. With equal seed and equal calls everything repeats. */
#ifndef CONSILIUM_LINK_MEMORY_H
#define CONSILIUM_LINK_MEMORY_H

#include "proto/link.h"

struct link_memory_hub;

/* All zero: every packet arrives once, at once, in order. */
struct link_memory_faults {
    uint64_t seed;
    double loss;                         /* probability that a packet never arrives */
    double duplicate;                    /* probability that it arrives twice */
    uint64_t delay_ms_min, delay_ms_max; /* uniform; reorders when they differ */
};

struct result link_memory_hub_open(const struct link_memory_faults *faults,
                                   struct link_memory_hub **ret_hub, struct why *why) MUST_CHECK;

/* After all its links are closed. NULL is fine. */
void link_memory_hub_close(struct link_memory_hub *hub);

/* Changes the faults from now on; the random stream goes on. */
void link_memory_hub_faults(struct link_memory_hub *hub, const struct link_memory_faults *faults);

/* Moves the hub's time forward and delivers what is due. Time starts at 0 and never goes back. */
void link_memory_hub_advance(struct link_memory_hub *hub, uint64_t now_ms);

/* When the next packet is due; UINT64_MAX when none is on its way. */
uint64_t link_memory_hub_due_ms(const struct link_memory_hub *hub);

/* A connected endpoint, whose first event is LINK_CONNECTED. Of the options name, will_topic and
 * subscriptions (with + and #) count; they are copied. */
struct result link_memory_open(struct link_memory_hub *hub, const struct link_options *options,
                               struct link **ret_link, struct why *why) MUST_CHECK;

/* Cuts an endpoint off (LINK_DISCONNECTED; what is sent to it meanwhile is lost) or connects it
 * again (LINK_CONNECTED). */
void link_memory_cut(struct link *link, bool cut);

/* The topic fits the MQTT filter: + stands for one level, a closing # for all below. */
bool link_memory_matches(const char *filter, const char *topic);

#endif
