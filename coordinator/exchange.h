/* SPDX-License-Identifier: Apache-2.0 */
/* Objects on their way (no I/O): uploads from members within grants, downloads to members.
 *
 * At most EXCHANGE_ACTIVE_MAX uploads hold a grant and a buffer at a time; the others wait in the
 * order of their offers. The owner sends what exchange_next_ack and exchange_next_chunk give. */
#ifndef CONSILIUM_COORDINATOR_EXCHANGE_H
#define CONSILIUM_COORDINATOR_EXCHANGE_H

#include "proto/transfer.h"

enum {
    EXCHANGE_ACTIVE_MAX = 16,
    EXCHANGE_UPLOADS_MAX = 1024,
    EXCHANGE_DOWNLOADS_MAX = 1024,
    EXCHANGE_STALL_MS = 4000,     /* silent uploads are acknowledged again, */
    EXCHANGE_YIELD_MS = 12000,    /* give their place to those that wait, */
    EXCHANGE_GIVE_UP_MS = 120000, /* and are forgotten */
};

/* One sealed object for any number of receivers; counted references. */
struct parcel {
    unsigned references;
    struct message_object_offer offer;
    unsigned char key[32];
    unsigned char *cipher;
    size_t cipher_n;
};

/* Seals n bytes, packed or as they are; the caller holds one reference. */
struct result parcel_create(const unsigned char *plain, size_t n, enum object_kind kind,
                            bool packed, struct parcel **ret_parcel, struct why *why) MUST_CHECK;
void parcel_release(struct parcel *parcel); /* NULL is fine */

struct upload {
    char member[PLAN_NAME_BYTES];
    char study[PLAN_NAME_BYTES];
    uint32_t task;
    struct message_object_offer offer;
    unsigned char *envelope; /* the signed offer as it came */
    size_t envelope_n;
    uint64_t limit; /* plaintext bytes */
    uint64_t order; /* of waiting */
    uint64_t moved_ms;
    uint64_t nudged_ms;
    bool active;
    bool ack_due;
    struct transfer_in in;
};

struct download {
    char member[PLAN_NAME_BYTES];
    char study[PLAN_NAME_BYTES]; /* "" for replies */
    uint32_t task;
    uint64_t started_ms;
    struct parcel *parcel;
    struct transfer_out out;
};

struct exchange {
    struct upload *uploads[EXCHANGE_UPLOADS_MAX];
    size_t uploads_count;
    struct download *downloads[EXCHANGE_DOWNLOADS_MAX];
    size_t downloads_count;
    size_t turn; /* round robin over downloads */
    uint64_t orders;
};

void exchange_free(struct exchange *exchange);

/* A member offers an object for a task, again perhaps. One upload a member, study and task: a new
 * object replaces the old one. envelope is copied. */
struct result exchange_offer(struct exchange *exchange, const struct message_head *head,
                             const struct message_object_offer *offer,
                             const unsigned char *envelope, size_t envelope_n, uint64_t limit,
                             uint64_t now_ms, struct why *why) MUST_CHECK;

/* A chunk from member. *ret_complete is the upload that is now whole (to be taken and then
 * dropped), or NULL. Foreign or malformed chunks are RESULT_REFUSED. */
struct result exchange_chunk(struct exchange *exchange, const char *member,
                             const unsigned char *packet, size_t n, uint64_t now_ms,
                             struct upload **ret_complete, struct why *why) MUST_CHECK;

/* Ends the upload of that object, if there still is one, and gives its place to the next that
 * waits. */
void exchange_drop(struct exchange *exchange, const char *member,
                   const unsigned char object[OBJECT_ID_BYTES], uint64_t now_ms);

/* The next upload to be acknowledged, with the acknowledgement, or NULL. */
struct upload *exchange_next_ack(struct exchange *exchange, struct message_object_ack *ack);

/* Starts (or restarts) sending the parcel to a member; takes an own reference. The caller sends the
 * offer. */
struct result exchange_send(struct exchange *exchange, struct parcel *parcel, const char *member,
                            const char *study, uint32_t task, uint64_t now_ms,
                            struct why *why) MUST_CHECK;

void exchange_acknowledged(struct exchange *exchange, const char *member,
                           const struct message_object_ack *ack);
void exchange_delivered(struct exchange *exchange, const char *member,
                        const unsigned char object[OBJECT_ID_BYTES]);

/* The next chunk within the grants into packet (TRANSFER_PACKET_MAX): its length and the receiver's
 * name; 0 = none. */
size_t exchange_next_chunk(struct exchange *exchange, unsigned char *packet,
                           char member[PLAN_NAME_BYTES]);

/* Ends everything of the study's tasks up to and including task. */
void exchange_forget(struct exchange *exchange, const char *study, uint32_t task, uint64_t now_ms);

/* When exchange_tick is due; UINT64_MAX = never. */
uint64_t exchange_wake(const struct exchange *exchange);

/* Acknowledges stalled uploads again, and drops what is given up. */
void exchange_tick(struct exchange *exchange, uint64_t now_ms);

#endif
