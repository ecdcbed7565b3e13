/* SPDX-License-Identifier: Apache-2.0 */
/* Objects on their way: places, grants and fairness between members. */
#include "coordinator/exchange.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct result parcel_create(const unsigned char *plain, size_t n, enum object_kind kind,
                            bool packed, struct parcel **ret_parcel, struct why *why)
{
    *ret_parcel = NULL;
    struct parcel *parcel = calloc(1, sizeof *parcel);
    if (!parcel)
        return failed(why, RESULT_SYSTEM, "out of memory");
    parcel->references = 1;
    parcel->offer.kind = kind;
    struct result r =
        (packed ? transfer_seal_packed : transfer_seal)(plain, n, &parcel->offer, parcel->key,
                                                        &parcel->cipher, &parcel->cipher_n, why);
    if (!ok(r)) {
        free(parcel);
        return r;
    }
    *ret_parcel = parcel;
    return DONE;
}

void parcel_release(struct parcel *parcel)
{
    if (!parcel || --parcel->references > 0)
        return;
    sodium_memzero(parcel->key, sizeof parcel->key);
    free(parcel->cipher);
    free(parcel);
}

static void free_upload(struct upload *upload)
{
    transfer_in_free(&upload->in);
    free(upload->envelope);
    free(upload);
}

static void free_download(struct download *download)
{
    parcel_release(download->parcel);
    free(download);
}

void exchange_free(struct exchange *exchange)
{
    for (size_t i = 0; i < exchange->uploads_count; i++)
        free_upload(exchange->uploads[i]);
    for (size_t i = 0; i < exchange->downloads_count; i++)
        free_download(exchange->downloads[i]);
    memset(exchange, 0, sizeof *exchange);
}

static size_t active_uploads(const struct exchange *exchange)
{
    size_t n = 0;
    for (size_t i = 0; i < exchange->uploads_count; i++)
        n += exchange->uploads[i]->active;
    return n;
}

static struct upload *longest_waiting(const struct exchange *exchange)
{
    struct upload *first = NULL;
    for (size_t i = 0; i < exchange->uploads_count; i++) {
        struct upload *upload = exchange->uploads[i];
        if (!upload->active && (!first || upload->order < first->order))
            first = upload;
    }
    return first;
}

/* Gives free places to those that wait. Without memory the next tick tries again. */
static void admit(struct exchange *exchange, uint64_t now_ms)
{
    for (size_t active = active_uploads(exchange); active < EXCHANGE_ACTIVE_MAX; active++) {
        struct upload *upload = longest_waiting(exchange);
        if (!upload || !ok(transfer_in_start(&upload->in, &upload->offer, upload->limit, NULL)))
            return;
        upload->active = true;
        upload->ack_due = true;
        upload->moved_ms = now_ms;
        upload->nudged_ms = now_ms;
    }
}

static void remove_upload(struct exchange *exchange, size_t i)
{
    free_upload(exchange->uploads[i]);
    exchange->uploads[i] = exchange->uploads[--exchange->uploads_count];
}

void exchange_drop(struct exchange *exchange, const char *member,
                   const unsigned char object[OBJECT_ID_BYTES], uint64_t now_ms)
{
    for (size_t i = exchange->uploads_count; i-- > 0;)
        if (memcmp(exchange->uploads[i]->offer.object, object, OBJECT_ID_BYTES) == 0 &&
            strcmp(exchange->uploads[i]->member, member) == 0)
            remove_upload(exchange, i);
    admit(exchange, now_ms);
}

/* Index, or uploads_count. */
static size_t find_upload(const struct exchange *exchange, const char *member, const char *study,
                          uint32_t task)
{
    size_t i = 0;
    while (i < exchange->uploads_count && (exchange->uploads[i]->task != task ||
                                           strcmp(exchange->uploads[i]->member, member) != 0 ||
                                           strcmp(exchange->uploads[i]->study, study) != 0))
        i++;
    return i;
}

struct result exchange_offer(struct exchange *exchange, const struct message_head *head,
                             const struct message_object_offer *offer,
                             const unsigned char *envelope, size_t envelope_n, uint64_t limit,
                             uint64_t now_ms, struct why *why)
{
    if (offer->packed_bytes > 0)
        return failed(why, RESULT_REFUSED, "a site's object does not come packed");
    if (offer->plain_bytes > limit)
        return failed(why, RESULT_REFUSED, "an object of %llu bytes is larger than the %llu agreed",
                      (unsigned long long)offer->plain_bytes, (unsigned long long)limit);
    size_t at = find_upload(exchange, head->sender, head->study, head->task);
    if (at < exchange->uploads_count) {
        struct upload *known = exchange->uploads[at];
        if (memcmp(known->offer.object, offer->object, OBJECT_ID_BYTES) == 0) {
            known->ack_due = known->active;
            known->moved_ms = known->active ? known->moved_ms : now_ms; /* it still waits */
            return DONE;
        }
        remove_upload(exchange, at);
    }
    if (exchange->uploads_count == EXCHANGE_UPLOADS_MAX)
        return failed(why, RESULT_AGAIN, "%d uploads wait already", EXCHANGE_UPLOADS_MAX);
    struct upload *upload = calloc(1, sizeof *upload);
    unsigned char *copy = malloc(envelope_n ? envelope_n : 1);
    if (!upload || !copy) {
        free(upload);
        free(copy);
        return failed(why, RESULT_SYSTEM, "out of memory");
    }
    memcpy(copy, envelope, envelope_n);
    upload->envelope = copy;
    upload->envelope_n = envelope_n;
    snprintf(upload->member, sizeof upload->member, "%s", head->sender);
    snprintf(upload->study, sizeof upload->study, "%s", head->study);
    upload->task = head->task;
    upload->offer = *offer;
    upload->limit = limit;
    upload->order = exchange->orders++;
    upload->moved_ms = now_ms;
    upload->nudged_ms = now_ms;
    exchange->uploads[exchange->uploads_count++] = upload;
    admit(exchange, now_ms);
    return DONE;
}

struct result exchange_chunk(struct exchange *exchange, const char *member,
                             const unsigned char *packet, size_t n, uint64_t now_ms,
                             struct upload **ret_complete, struct why *why)
{
    *ret_complete = NULL;
    if (n < TRANSFER_HEADER_BYTES)
        return failed(why, RESULT_REFUSED, "a chunk of %zu bytes is malformed", n);
    for (size_t i = 0; i < exchange->uploads_count; i++) {
        struct upload *upload = exchange->uploads[i];
        if (!upload->active || strcmp(upload->member, member) != 0 ||
            memcmp(upload->offer.object, packet, OBJECT_ID_BYTES) != 0)
            continue;
        bool ack = false, complete = false;
        TRY(transfer_in_chunk(&upload->in, packet, n, &ack, &complete, why));
        upload->moved_ms = now_ms;
        upload->nudged_ms = now_ms;
        upload->ack_due = upload->ack_due || ack;
        if (complete)
            *ret_complete = upload;
        return DONE;
    }
    return failed(why, RESULT_REFUSED, "a chunk of no object that is being received");
}

struct upload *exchange_next_ack(struct exchange *exchange, struct message_object_ack *ack)
{
    for (size_t i = 0; i < exchange->uploads_count; i++) {
        struct upload *upload = exchange->uploads[i];
        if (!upload->ack_due)
            continue;
        upload->ack_due = false;
        transfer_in_ack(&upload->in, ack);
        return upload;
    }
    return NULL;
}

static void remove_download(struct exchange *exchange, size_t i)
{
    free_download(exchange->downloads[i]);
    exchange->downloads[i] = exchange->downloads[--exchange->downloads_count];
}

struct result exchange_send(struct exchange *exchange, struct parcel *parcel, const char *member,
                            const char *study, uint32_t task, uint64_t now_ms, struct why *why)
{
    for (size_t i = 0; i < exchange->downloads_count; i++) {
        const struct download *d = exchange->downloads[i];
        if (d->parcel == parcel && strcmp(d->member, member) == 0)
            return DONE; /* under way: the receiver's acknowledgements drive it */
    }
    if (exchange->downloads_count == EXCHANGE_DOWNLOADS_MAX)
        return failed(why, RESULT_AGAIN, "%d downloads are under way already",
                      EXCHANGE_DOWNLOADS_MAX);
    struct download *download = calloc(1, sizeof *download);
    if (!download)
        return failed(why, RESULT_SYSTEM, "out of memory");
    snprintf(download->member, sizeof download->member, "%s", member);
    snprintf(download->study, sizeof download->study, "%s", study);
    download->task = task;
    download->started_ms = now_ms;
    download->parcel = parcel;
    parcel->references++;
    transfer_out_start(&download->out, &parcel->offer, parcel->cipher, parcel->cipher_n);
    exchange->downloads[exchange->downloads_count++] = download;
    return DONE;
}

static size_t find_download(const struct exchange *exchange, const char *member,
                            const unsigned char object[OBJECT_ID_BYTES])
{
    size_t i = 0;
    while (i < exchange->downloads_count &&
           (memcmp(exchange->downloads[i]->out.offer.object, object, OBJECT_ID_BYTES) != 0 ||
            strcmp(exchange->downloads[i]->member, member) != 0))
        i++;
    return i;
}

void exchange_acknowledged(struct exchange *exchange, const char *member,
                           const struct message_object_ack *ack)
{
    size_t i = find_download(exchange, member, ack->object);
    if (i < exchange->downloads_count)
        transfer_out_ack(&exchange->downloads[i]->out, ack);
}

void exchange_delivered(struct exchange *exchange, const char *member,
                        const unsigned char object[OBJECT_ID_BYTES])
{
    size_t i = find_download(exchange, member, object);
    if (i < exchange->downloads_count)
        remove_download(exchange, i);
}

size_t exchange_next_chunk(struct exchange *exchange, unsigned char *packet,
                           char member[PLAN_NAME_BYTES])
{
    for (size_t tried = 0; tried < exchange->downloads_count; tried++) {
        struct download *download =
            exchange->downloads[exchange->turn++ % exchange->downloads_count];
        size_t n = transfer_out_next(&download->out, packet);
        if (n > 0) {
            memcpy(member, download->member, PLAN_NAME_BYTES);
            return n;
        }
    }
    return 0;
}

void exchange_forget(struct exchange *exchange, const char *study, uint32_t task, uint64_t now_ms)
{
    for (size_t i = exchange->uploads_count; i-- > 0;)
        if (exchange->uploads[i]->task <= task && strcmp(exchange->uploads[i]->study, study) == 0)
            remove_upload(exchange, i);
    for (size_t i = exchange->downloads_count; i-- > 0;)
        if (exchange->downloads[i]->task <= task &&
            strcmp(exchange->downloads[i]->study, study) == 0)
            remove_download(exchange, i);
    admit(exchange, now_ms);
}

uint64_t exchange_wake(const struct exchange *exchange)
{
    uint64_t wake = UINT64_MAX;
    for (size_t i = 0; i < exchange->uploads_count; i++) {
        uint64_t due = exchange->uploads[i]->nudged_ms + EXCHANGE_STALL_MS;
        wake = due < wake ? due : wake;
    }
    for (size_t i = 0; i < exchange->downloads_count; i++) {
        uint64_t due = exchange->downloads[i]->started_ms + EXCHANGE_GIVE_UP_MS;
        if (exchange->downloads[i]->study[0] == '\0')
            wake = due < wake ? due : wake;
    }
    return wake;
}

/* Back into the queue: what has arrived is dropped, the sender begins again when its turn comes. */
static void yield_place(struct exchange *exchange, struct upload *upload)
{
    transfer_in_free(&upload->in);
    upload->active = false;
    upload->ack_due = false;
    upload->order = exchange->orders++;
}

void exchange_tick(struct exchange *exchange, uint64_t now_ms)
{
    for (size_t i = exchange->uploads_count; i-- > 0;) {
        struct upload *upload = exchange->uploads[i];
        if (now_ms < upload->nudged_ms + EXCHANGE_STALL_MS)
            continue;
        upload->nudged_ms = now_ms;
        upload->ack_due = upload->active;
        if (now_ms >= upload->moved_ms + EXCHANGE_GIVE_UP_MS)
            remove_upload(exchange, i);
        else if (upload->active && now_ms >= upload->moved_ms + EXCHANGE_YIELD_MS &&
                 longest_waiting(exchange))
            yield_place(exchange, upload);
    }
    /* A user who went away; a site's model is dropped when its task closes. */
    for (size_t i = exchange->downloads_count; i-- > 0;)
        if (exchange->downloads[i]->study[0] == '\0' &&
            now_ms >= exchange->downloads[i]->started_ms + EXCHANGE_GIVE_UP_MS)
            remove_download(exchange, i);
    admit(exchange, now_ms);
}
