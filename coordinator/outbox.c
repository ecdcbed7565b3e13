/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that wait for the link. */
#include "coordinator/outbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void outbox_free(struct outbox *outbox)
{
    for (size_t i = 0; i < outbox->count; i++)
        free(outbox->ring[(outbox->first + i) % OUTBOX_PACKETS_MAX].bytes);
    free(outbox->ring);
    memset(outbox, 0, sizeof *outbox);
}

struct result outbox_put(struct outbox *outbox, const char *topic, unsigned char *bytes, size_t n,
                         struct why *why)
{
    if (!outbox->ring)
        outbox->ring = calloc(OUTBOX_PACKETS_MAX, sizeof *outbox->ring);
    if (!outbox->ring || outbox->count == OUTBOX_PACKETS_MAX ||
        n > OUTBOX_BYTES_MAX - outbox->bytes) {
        free(bytes);
        return failed(why, RESULT_AGAIN, "%zu messages (%zu bytes) wait for the broker already",
                      outbox->count, outbox->bytes);
    }
    struct outbox_packet *packet =
        &outbox->ring[(outbox->first + outbox->count) % OUTBOX_PACKETS_MAX];
    snprintf(packet->topic, sizeof packet->topic, "%s", topic);
    packet->bytes = bytes;
    packet->n = n;
    outbox->count++;
    outbox->bytes += n;
    return DONE;
}

bool outbox_flush(struct outbox *outbox, struct link *link)
{
    while (outbox->count > 0) {
        struct outbox_packet *packet = &outbox->ring[outbox->first];
        if (!ok(link->operations->publish(link, packet->topic, packet->bytes, packet->n, NULL)))
            return false;
        outbox->bytes -= packet->n;
        free(packet->bytes);
        *packet = (struct outbox_packet){0};
        outbox->first = (outbox->first + 1) % OUTBOX_PACKETS_MAX;
        outbox->count--;
    }
    return true;
}
