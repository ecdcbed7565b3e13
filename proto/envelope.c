/* SPDX-License-Identifier: Apache-2.0 */
/* Signed messages. On the wire: protobuf {body, signature}; the signature is Ed25519 over a domain
 * text and the body's exact bytes, so that no other use of the key can be mistaken for a message.
 */
#include "proto/envelope.h"

#include "proto/base/cleanup.h"
#include "proto/codec.h"
#include "proto/codec_field.h"
#include "proto/schema/consilium.pb-c.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static const unsigned char DOMAIN[] = "consilium message 1";

enum { ENVELOPE_MEMORY_MAX = 4 * MESSAGE_BYTES_MAX };

_Static_assert(ENVELOPE_SIGN_PUBLIC_BYTES == crypto_sign_PUBLICKEYBYTES, "Ed25519 public key");
_Static_assert(ENVELOPE_SIGN_SECRET_BYTES == crypto_sign_SECRETKEYBYTES, "Ed25519 secret key");

static void sign_state(crypto_sign_state *state, const unsigned char *body, size_t n)
{
    crypto_sign_init(state);
    crypto_sign_update(state, DOMAIN, sizeof DOMAIN);
    crypto_sign_update(state, body, n);
}

struct result envelope_seal(const struct message *message,
                            const unsigned char secret[ENVELOPE_SIGN_SECRET_BYTES],
                            unsigned char **ret_bytes, size_t *ret_n, struct why *why)
{
    CLEANUP(free_pointer) unsigned char *body = NULL;
    size_t body_n;
    TRY(message_encode(message, &body, &body_n, why));

    unsigned char signature[crypto_sign_BYTES];
    crypto_sign_state state;
    sign_state(&state, body, body_n);
    if (crypto_sign_final_create(&state, signature, NULL, secret) != 0)
        return failed(why, RESULT_SYSTEM, "the message could not be signed");

    Cns__Envelope envelope;
    cns__envelope__init(&envelope);
    envelope.body = field_view(body, body_n);
    envelope.signature = field_view(signature, sizeof signature);
    size_t n = cns__envelope__get_packed_size(&envelope);
    unsigned char *bytes = malloc(n);
    if (!bytes)
        return failed(why, RESULT_SYSTEM, "out of memory for an envelope of %zu bytes", n);
    cns__envelope__pack(&envelope, bytes);
    *ret_bytes = bytes;
    *ret_n = n;
    return DONE;
}

/* Unpacks the outer layer; the caller frees it with the same budget. */
static struct result unpack(struct field_budget *budget, const unsigned char *bytes, size_t n,
                            Cns__Envelope **ret_envelope, struct why *why)
{
    if (n > MESSAGE_BYTES_MAX)
        return failed(why, RESULT_INPUT, "an envelope of %zu bytes is larger than %d", n,
                      MESSAGE_BYTES_MAX);
    field_budget_start(budget, ENVELOPE_MEMORY_MAX);
    *ret_envelope = cns__envelope__unpack(&budget->allocator, n, bytes);
    if (!*ret_envelope)
        return failed(why, RESULT_INPUT, "the envelope is malformed or truncated");
    return DONE;
}

struct result envelope_sender(const unsigned char *bytes, size_t n, char sender[PLAN_NAME_BYTES],
                              struct why *why)
{
    struct field_budget outer, inner;
    Cns__Envelope *envelope;
    TRY(unpack(&outer, bytes, n, &envelope, why));
    field_budget_start(&inner, ENVELOPE_MEMORY_MAX);
    Cns__Message *m =
        cns__message__unpack(&inner.allocator, envelope->body.len, envelope->body.data);
    struct result r = m ? field_text(sender, PLAN_NAME_BYTES, m->sender, "sender", why)
                        : failed(why, RESULT_INPUT, "the message is malformed or truncated");
    if (m)
        cns__message__free_unpacked(m, &inner.allocator);
    cns__envelope__free_unpacked(envelope, &outer.allocator);
    return r;
}

static struct result open_checked(const Cns__Envelope *envelope,
                                  const unsigned char public_key[ENVELOPE_SIGN_PUBLIC_BYTES],
                                  struct message *message, struct why *why)
{
    unsigned char signature[crypto_sign_BYTES];
    TRY(field_bytes(signature, sizeof signature, envelope->signature, "signature", why));
    crypto_sign_state state;
    sign_state(&state, envelope->body.data, envelope->body.len);
    if (crypto_sign_final_verify(&state, signature, public_key) != 0)
        return failed(why, RESULT_REFUSED,
                      "the signature does not belong to the sender it claims to be from");
    return message_decode(message, envelope->body.data, envelope->body.len, why);
}

struct result envelope_open(const unsigned char *bytes, size_t n,
                            const unsigned char public_key[ENVELOPE_SIGN_PUBLIC_BYTES],
                            struct message *message, struct why *why)
{
    struct field_budget budget;
    Cns__Envelope *envelope;
    TRY(unpack(&budget, bytes, n, &envelope, why));
    struct result r = open_checked(envelope, public_key, message, why);
    cns__envelope__free_unpacked(envelope, &budget.allocator);
    return r;
}

struct result envelope_fresh(struct envelope_seen *seen, const struct message_head *head,
                             struct why *why)
{
    bool same_session = memcmp(seen->session, head->session, SESSION_ID_BYTES) == 0;
    if (head->sequence == 0)
        return failed(why, RESULT_REFUSED, "a message of '%s' carries no sequence number",
                      head->sender);
    if (same_session && head->sequence <= seen->sequence)
        return failed(why, RESULT_REFUSED,
                      "message %llu of '%s' is a replay or out of order: %llu was seen already",
                      (unsigned long long)head->sequence, head->sender,
                      (unsigned long long)seen->sequence);
    if (!same_session && head->sent_ms <= seen->sent_ms)
        return failed(why, RESULT_REFUSED,
                      "a message of an earlier session of '%s' is a replay (or the sender's clock "
                      "went back)",
                      head->sender);
    memcpy(seen->session, head->session, SESSION_ID_BYTES);
    seen->sequence = head->sequence;
    if (head->sent_ms > seen->sent_ms)
        seen->sent_ms = head->sent_ms;
    return DONE;
}
