/* SPDX-License-Identifier: Apache-2.0 */
/* The sender's and the receiver's state machines of one object, without keys or I/O. */
#include "proto/transfer.h"

#include "proto/base/endian.h"

#include <stdlib.h>
#include <string.h>

uint32_t transfer_chunks(uint64_t carried)
{
    if (carried == 0)
        return 1;
    return (uint32_t)((carried + OBJECT_CHUNK_BYTES - 1) / OBJECT_CHUNK_BYTES);
}

uint64_t transfer_cipher_bytes(uint64_t carried)
{
    return carried + (uint64_t)transfer_chunks(carried) * TRANSFER_TAG_BYTES;
}

/* Where chunk index lies in the ciphertext, and its length. */
static size_t chunk_at(uint32_t index, size_t cipher_n, size_t *ret_n)
{
    size_t stride = OBJECT_CHUNK_BYTES + TRANSFER_TAG_BYTES;
    size_t start = (size_t)index * stride;
    size_t left = cipher_n - start;
    *ret_n = left < stride ? left : stride;
    return start;
}

void transfer_out_start(struct transfer_out *out, const struct message_object_offer *offer,
                        const unsigned char *cipher, size_t cipher_n)
{
    *out = (struct transfer_out){
        .offer = *offer,
        .cipher = cipher,
        .cipher_n = cipher_n,
        .chunks = transfer_chunks(transfer_carried(offer)),
    };
}

void transfer_out_ack(struct transfer_out *out, const struct message_object_ack *ack)
{
    if (memcmp(ack->object, out->offer.object, OBJECT_ID_BYTES) != 0)
        return;
    out->granted = ack->granted < out->chunks ? ack->granted : out->chunks;
    if (out->next < ack->next && ack->next <= out->chunks)
        out->next = ack->next;
    out->resend_count = 0;
    for (size_t i = 0; i < ack->missing_count; i++) {
        struct chunk_range range = ack->missing[i];
        if (range.first >= out->next) /* never sent yet: comes in its turn */
            continue;
        if (range.count > out->next - range.first)
            range.count = out->next - range.first;
        if (range.count > 0)
            out->resend[out->resend_count++] = range;
    }
}

size_t transfer_out_next(struct transfer_out *out, unsigned char *packet)
{
    uint32_t index;
    if (out->done)
        return 0;
    if (out->resend_count > 0) {
        struct chunk_range *range = &out->resend[out->resend_count - 1];
        index = range->first++;
        if (--range->count == 0)
            out->resend_count--;
    } else if (out->next < out->granted) {
        index = out->next++;
    } else {
        return 0;
    }
    size_t n;
    size_t start = chunk_at(index, out->cipher_n, &n);
    memcpy(packet, out->offer.object, OBJECT_ID_BYTES);
    little_put(packet + OBJECT_ID_BYTES, index, 4);
    memcpy(packet + TRANSFER_HEADER_BYTES, out->cipher + start, n);
    return TRANSFER_HEADER_BYTES + n;
}

struct result transfer_in_start(struct transfer_in *in, const struct message_object_offer *offer,
                                uint64_t limit, struct why *why)
{
    memset(in, 0, sizeof *in);
    if (offer->plain_bytes > limit || offer->plain_bytes > OBJECT_BYTES_MAX ||
        offer->packed_bytes > offer->plain_bytes)
        return failed(why, RESULT_REFUSED, "an object of %llu bytes is larger than the %llu agreed",
                      (unsigned long long)offer->plain_bytes, (unsigned long long)limit);
    in->offer = *offer;
    in->chunks = transfer_chunks(transfer_carried(offer));
    in->cipher_n = (size_t)transfer_cipher_bytes(transfer_carried(offer));
    in->cipher = malloc(in->cipher_n);
    in->have = calloc(in->chunks, 1);
    if (!in->cipher || !in->have) {
        transfer_in_free(in);
        return failed(why, RESULT_SYSTEM, "out of memory for an object of %llu bytes",
                      (unsigned long long)offer->plain_bytes);
    }
    return DONE;
}

void transfer_in_free(struct transfer_in *in)
{
    free(in->cipher);
    free(in->have);
    memset(in, 0, sizeof *in);
}

struct result transfer_in_chunk(struct transfer_in *in, const unsigned char *packet, size_t n,
                                bool *ret_ack, bool *ret_complete, struct why *why)
{
    *ret_ack = false;
    *ret_complete = false;
    if (!in->cipher)
        return failed(why, RESULT_REFUSED, "no object is being received");
    if (n < TRANSFER_HEADER_BYTES + TRANSFER_TAG_BYTES || n > TRANSFER_PACKET_MAX)
        return failed(why, RESULT_REFUSED, "a chunk of %zu bytes is malformed", n);
    if (memcmp(packet, in->offer.object, OBJECT_ID_BYTES) != 0)
        return failed(why, RESULT_REFUSED, "a chunk belongs to another object");
    uint32_t index = (uint32_t)little_get(packet + OBJECT_ID_BYTES, 4);
    if (index >= in->chunks)
        return failed(why, RESULT_REFUSED, "chunk %u is beyond the object's %u", index, in->chunks);
    size_t expected;
    size_t start = chunk_at(index, in->cipher_n, &expected);
    if (n - TRANSFER_HEADER_BYTES != expected)
        return failed(why, RESULT_REFUSED, "chunk %u has %zu bytes, not %zu", index,
                      n - TRANSFER_HEADER_BYTES, expected);
    if (!in->have[index]) {
        memcpy(in->cipher + start, packet + TRANSFER_HEADER_BYTES, expected);
        in->have[index] = 1;
        in->count++;
        while (in->next < in->chunks && in->have[in->next])
            in->next++;
    }
    *ret_complete = in->count == in->chunks;
    if (++in->since_ack >= TRANSFER_ACK_EVERY || *ret_complete)
        *ret_ack = true;
    return DONE;
}

void transfer_in_ack(struct transfer_in *in, struct message_object_ack *ack)
{
    memset(ack, 0, sizeof *ack);
    memcpy(ack->object, in->offer.object, OBJECT_ID_BYTES);
    ack->next = in->next;
    bool stalled = in->count == in->count_at_ack;
    uint32_t highest = stalled ? in->granted : in->chunks;
    in->count_at_ack = in->count;
    uint32_t window = in->next + TRANSFER_WINDOW;
    in->granted = window < in->chunks ? window : in->chunks;
    ack->granted = in->granted;
    in->since_ack = 0;

    while (!stalled && highest > in->next && !in->have[highest - 1])
        highest--;
    for (uint32_t i = in->next; i < highest && ack->missing_count < OBJECT_ACK_RANGES_MAX; i++) {
        if (in->have[i])
            continue;
        struct chunk_range *range = &ack->missing[ack->missing_count++];
        range->first = i;
        while (i < highest && !in->have[i])
            i++;
        range->count = i - range->first;
    }
}
