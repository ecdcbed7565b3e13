/* SPDX-License-Identifier: Apache-2.0 */
/* Objects in sealed chunks: sealing, and the sender's and receiver's state machines (pure).
 *
 * Sealing: a fresh 32-byte key per object through crypto_box_seal to the receiver's X25519 key;
 * each chunk XChaCha20-Poly1305 with nonce = object id || little-endian index and associated data =
 * the plaintext's hash || index || chunk count; the offer that carries key and hashes is signed
 * (envelope). Where the offer says so, what is encrypted is the packed form of the plaintext
 * (transfer_pack.h): `carried` bytes below. A chunk on the wire is object id (16) || index (4,
 * little endian) || ciphertext and tag. */
#ifndef CONSILIUM_TRANSFER_H
#define CONSILIUM_TRANSFER_H

#include "proto/message.h"

enum {
    TRANSFER_TAG_BYTES = 16,
    TRANSFER_HEADER_BYTES = OBJECT_ID_BYTES + 4,
    TRANSFER_PACKET_MAX = TRANSFER_HEADER_BYTES + OBJECT_CHUNK_BYTES + TRANSFER_TAG_BYTES,
    TRANSFER_WINDOW = 16, /* chunks in flight beyond the acknowledged ones */
    TRANSFER_ACK_EVERY = 4,
    SEAL_PUBLIC_BYTES = 32,
    SEAL_SECRET_BYTES = 32,
};

/* Bytes of the object that are encrypted. */
static inline uint64_t transfer_carried(const struct message_object_offer *offer)
{
    return offer->packed_bytes ? offer->packed_bytes : offer->plain_bytes;
}

/* Chunks of an object that carries so many bytes; an empty object has one empty chunk. */
uint32_t transfer_chunks(uint64_t carried);

/* Ciphertext bytes of the whole object: all chunks with their tags, in order. */
uint64_t transfer_cipher_bytes(uint64_t carried);

/* Encrypts n bytes for several receivers at once: fills offer (but its sealed_key, kind, model_hash
 * and command) and key, and allocates *ret_cipher (transfer_cipher_bytes(n), owned by the caller).
 */
struct result transfer_seal(const unsigned char *plain, size_t n,
                            struct message_object_offer *offer, unsigned char key[32],
                            unsigned char **ret_cipher, size_t *ret_cipher_n,
                            struct why *why) MUST_CHECK;

/* The same in packed form, for receivers of PROTOCOL_VERSION_PACKED or newer; plain where packing
 * saves nothing. */
struct result transfer_seal_packed(const unsigned char *plain, size_t n,
                                   struct message_object_offer *offer, unsigned char key[32],
                                   unsigned char **ret_cipher, size_t *ret_cipher_n,
                                   struct why *why) MUST_CHECK;

/* Seals the object's key to one receiver: fills offer->sealed_key. */
struct result transfer_seal_key(struct message_object_offer *offer, const unsigned char key[32],
                                const unsigned char receiver[SEAL_PUBLIC_BYTES],
                                struct why *why) MUST_CHECK;

/* Opens a whole object: key, every chunk's tag, the plaintext's hash. Allocates *ret_plain (owned
 * by the caller, free; at least one byte). RESULT_REFUSED when anything does not fit. */
struct result transfer_open(const struct message_object_offer *offer,
                            const unsigned char receiver_public[SEAL_PUBLIC_BYTES],
                            const unsigned char receiver_secret[SEAL_SECRET_BYTES],
                            const unsigned char *cipher, size_t cipher_n, unsigned char **ret_plain,
                            size_t *ret_n, struct why *why) MUST_CHECK;

/* Sender of one object. cipher is borrowed and must outlive it. */
struct transfer_out {
    struct message_object_offer offer;
    const unsigned char *cipher;
    size_t cipher_n;
    uint32_t chunks;
    uint32_t next;    /* first chunk never sent */
    uint32_t granted; /* by the receiver; 0 until its first acknowledgement */
    struct chunk_range resend[OBJECT_ACK_RANGES_MAX];
    size_t resend_count;
    bool done;
};

void transfer_out_start(struct transfer_out *out, const struct message_object_offer *offer,
                        const unsigned char *cipher, size_t cipher_n);

/* Takes the receiver's acknowledgement; after a reconnect the receiver's word decides what is sent
 * again. */
void transfer_out_ack(struct transfer_out *out, const struct message_object_ack *ack);

/* Writes the next packet to send into packet (TRANSFER_PACKET_MAX) and its length; 0 = nothing now.
 */
size_t transfer_out_next(struct transfer_out *out, unsigned char *packet);

/* Receiver of one object. Owns its buffers. */
struct transfer_in {
    struct message_object_offer offer;
    unsigned char *cipher;
    size_t cipher_n;
    unsigned char *have; /* one byte per chunk */
    uint32_t chunks, count, next, granted;
    uint32_t since_ack;
    uint32_t count_at_ack; /* no progress since: what was granted and is missing is lost */
};

/* Allocates for the offer; RESULT_REFUSED when it is larger than limit bytes. */
struct result transfer_in_start(struct transfer_in *in, const struct message_object_offer *offer,
                                uint64_t limit, struct why *why) MUST_CHECK;

void transfer_in_free(struct transfer_in *in);

/* Takes one packet. *ret_ack: an acknowledgement is due. *ret_complete: all chunks are there.
 * Doubles are harmless; foreign or malformed packets are RESULT_REFUSED and change nothing. */
struct result transfer_in_chunk(struct transfer_in *in, const unsigned char *packet, size_t n,
                                bool *ret_ack, bool *ret_complete, struct why *why) MUST_CHECK;

/* The acknowledgement to send now: grants a window and names what is missing below the highest
 * chunk seen; when nothing arrived since the last acknowledgement (a timer fired, the link came
 * back), everything granted that is missing. */
void transfer_in_ack(struct transfer_in *in, struct message_object_ack *ack);

#endif
