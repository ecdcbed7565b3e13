/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that wait for the link, in order, bounded in number and bytes. */
#ifndef CONSILIUM_COORDINATOR_OUTBOX_H
#define CONSILIUM_COORDINATOR_OUTBOX_H

#include "proto/link.h"

enum { OUTBOX_PACKETS_MAX = 4096, OUTBOX_BYTES_MAX = 16 << 20 };

struct outbox_packet {
    char topic[LINK_TOPIC_BYTES];
    unsigned char *bytes;
    size_t n;
};

/* A ring; zero-initialised: empty. */
struct outbox {
    struct outbox_packet *ring; /* [OUTBOX_PACKETS_MAX], allocated at the first packet */
    size_t first, count, bytes;
};

void outbox_free(struct outbox *outbox);

/* Takes bytes (malloced) over, also on failure. RESULT_AGAIN when it is full. */
struct result outbox_put(struct outbox *outbox, const char *topic, unsigned char *bytes, size_t n,
                         struct why *why) MUST_CHECK;

/* Publishes until empty or until the link takes no more; false in the latter case. */
bool outbox_flush(struct outbox *outbox, struct link *link);

#endif
