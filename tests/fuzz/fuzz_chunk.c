/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile chunk streams and acknowledgements: the input is cut into packets and fed to a receiver
 * of three chunks, whose counts must stay true; then its bytes steer a sender, which must stay
 * within its object. */
#include "proto/transfer.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { PLAIN = 2 * OBJECT_CHUNK_BYTES + 5 };

static void receive(const uint8_t *data, size_t size)
{
    struct message_object_offer offer = {.plain_bytes = PLAIN};
    struct transfer_in in;
    struct message_object_ack ack;
    struct why why = {""};
    static unsigned char packet[TRANSFER_PACKET_MAX];
    bool due, complete;
    if (!ok(transfer_in_start(&in, &offer, PLAIN, &why)))
        abort();
    while (size >= 3) {
        size_t n = (size_t)data[0] << 8 | data[1];
        if (n > sizeof packet)
            n = sizeof packet;
        memset(packet, 0, sizeof packet);
        packet[OBJECT_ID_BYTES] = data[2];
        size_t take = size - 3 < n ? size - 3 : n;
        if (take > TRANSFER_HEADER_BYTES)
            memcpy(packet + TRANSFER_HEADER_BYTES, data + 3, take - TRANSFER_HEADER_BYTES);
        data += 3 + take;
        size -= 3 + take;
        (void)transfer_in_chunk(&in, packet, n, &due, &complete, &why).code;
        transfer_in_ack(&in, &ack);
        if (in.count > in.chunks || in.next > in.count || ack.granted > in.chunks ||
            ack.missing_count > OBJECT_ACK_RANGES_MAX)
            abort();
    }
    transfer_in_free(&in);
}

static void send(const uint8_t *data, size_t size)
{
    static unsigned char cipher[PLAIN + 3 * TRANSFER_TAG_BYTES], packet[TRANSFER_PACKET_MAX];
    struct message_object_offer offer = {.plain_bytes = PLAIN};
    struct transfer_out out;
    transfer_out_start(&out, &offer, cipher, sizeof cipher);
    while (size >= 16) {
        struct message_object_ack ack = {.missing_count = 2};
        memcpy(&ack.next, data, 4);
        memcpy(&ack.granted, data + 4, 4);
        memcpy(&ack.missing[0], data + 8, 8);
        memcpy(&ack.missing[1].first, data + 4, 4);
        ack.missing[1].count = ack.next;
        data += 16;
        size -= 16;
        transfer_out_ack(&out, &ack);
        for (int sent = 0; transfer_out_next(&out, packet) > 0; sent++) {
            if (sent > 16)
                abort(); /* more than the object and what was asked for again */
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    receive(data, size);
    send(data, size);
    return 0;
}
