/* SPDX-License-Identifier: Apache-2.0 */
/* The seam to the message broker: a small table of functions with two implementations, MQTT over
 * TLS 1.3 (link_mqtt) and an in-process one for tests and simulation (link_memory).
 *
 * Delivery is at least once, in any order between topics; nothing depends on retained messages or
 * on exactly-once. Incoming packets wait in a bounded queue; the owner polls the descriptor. */
#ifndef CONSILIUM_LINK_H
#define CONSILIUM_LINK_H

#include "proto/base/result.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LINK_TOPIC_BYTES = 256,
    LINK_PACKET_MAX = 64 * 1024, /* payload of one packet; larger ones are never sent */
    LINK_QUEUE_PACKETS = 512,    /* beyond it incoming packets are dropped and asked for again */
};

enum link_event_kind {
    LINK_CONNECTED = 1, /* and subscribed */
    LINK_DISCONNECTED,  /* or could not connect, with a reason not told before */
    LINK_PACKET,
    LINK_REFUSED, /* the broker refused a packet of ours, with the reason */
};

struct link_event {
    enum link_event_kind kind;
    char topic[LINK_TOPIC_BYTES];
    unsigned char *payload; /* owned by the receiver of the event, free; NULL unless LINK_PACKET */
    size_t payload_n;
    char reason[512]; /* LINK_DISCONNECTED, LINK_REFUSED: what the human should know */
};

struct link;

struct link_operations {
    /* Descriptor that is readable while events wait. */
    int (*descriptor)(struct link *link);
    /* Takes the next event; false when none waits. Also does the link's own work (reconnecting), so
     * call it until false whenever the descriptor is readable; it may be readable for that alone,
     * or because a full window has room again. */
    bool (*next)(struct link *link, struct link_event *event);
    /* Queues a packet for delivery at QoS 1. RESULT_AGAIN when the window is full or there is no
     * connection: keep it and try when the descriptor was readable. The bytes are copied. */
    struct result (*publish)(struct link *link, const char *topic, const unsigned char *payload,
                             size_t n, struct why *why);
    /* Gives packets in flight up to a second, says goodbye and frees the link. */
    void (*close)(struct link *link);
};

struct link {
    const struct link_operations *operations;
};

struct link_options {
    const char *host;
    uint16_t port;
    const char *name;       /* the certificate's common name */
    const char *ca_file;    /* trusts this CA only */
    const char *cert_file;  /* own certificate */
    const char *key_file;   /* own private key, readable by the owner only */
    const char *will_topic; /* presence, or NULL: the link keeps "online" or "offline" there */
    const char *const *subscriptions;        /* closed by NULL */
    unsigned backoff_ms_min, backoff_ms_max; /* jittered exponential; 0, 0 = 250 ms to 60 s */
    bool many; /* several processes may be connected under this name at once (command line);
                  otherwise a second one takes the first one's place */
};

/* Connects in the background and reconnects for ever. Options are copied; the files are read at
 * every connect. All operations of one link belong to one thread, its owner. The broker must show
 * a certificate of this CA for options->host, over TLS 1.3. */
struct result link_mqtt_open(const struct link_options *options, struct link **ret_link,
                             struct why *why) MUST_CHECK;

#endif
