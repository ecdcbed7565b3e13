/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile envelopes, messages of every kind (control messages among them) and payloads: refused
 * with a sentence, or read within their limits; what was read is written again without loss. */
#include "proto/codec.h"
#include "proto/envelope.h"
#include "proto/payload.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void envelopes(const uint8_t *data, size_t size)
{
    static struct message message;
    static const unsigned char key[ENVELOPE_SIGN_PUBLIC_BYTES] = {1};
    char sender[PLAN_NAME_BYTES];
    struct why why = {""};
    if (!ok(envelope_sender(data, size, sender, &why)) && !why.text[0])
        abort();
    if (ok(envelope_open(data, size, key, &message, &why)))
        abort(); /* nobody signed it */
}

static void messages(const uint8_t *data, size_t size)
{
    static struct message message, again;
    struct why why = {""};
    unsigned char *bytes;
    size_t n;
    memset(&message, 0, sizeof message);
    memset(&again, 0, sizeof again);
    if (!ok(message_decode(&message, data, size, &why))) {
        if (!why.text[0])
            abort();
        return;
    }
    if (!ok(message_encode(&message, &bytes, &n, &why)))
        return; /* a message near the limit may not leave room for the signature */
    if (!ok(message_decode(&again, bytes, n, &why)) || again.kind != message.kind ||
        memcmp(&again.head, &message.head, sizeof again.head) != 0)
        abort();
    free(bytes);
}

static void payloads(const uint8_t *data, size_t size)
{
    struct payload_model_set set;
    struct payload_update update;
    struct payload_evaluation evaluation;
    struct why why = {""};
    if (ok(payload_model_set_decode(&set, data, size, &why)))
        payload_model_set_free(&set);
    if (ok(payload_update_decode(&update, data, size, &why)))
        payload_update_free(&update);
    if (ok(payload_evaluation_decode(&evaluation, data, size, &why)))
        payload_evaluation_free(&evaluation);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    envelopes(data, size);
    messages(data, size);
    payloads(data, size);
    return 0;
}
