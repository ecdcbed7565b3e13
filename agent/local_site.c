/* SPDX-License-Identifier: Apache-2.0 */
/* A site in the simulator's process: the session on a link in memory, the vault called directly.
 * The seam that consilium-agent has between its two processes is a queue here. */
#include "proto/local_site.h"

#include "agent/local_data.h"
#include "agent/session.h"
#include "agent/vault/room.h"
#include "agent/vault/speak.h"
#include "agent/vault/work.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/topic.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { QUEUE_MAX = 64, OUTGOING_MAX = 256 };

struct outgoing {
    unsigned char *bytes;
    size_t n;
};

struct local_site {
    struct local_site_options options;
    char name[PLAN_NAME_BYTES], consortium[PLAN_NAME_BYTES];
    struct vault vault;
    struct speaker speaker;
    struct session session;
    struct session_effects effects;
    struct link *link;
    struct ipc_message queue[QUEUE_MAX]; /* for the vault */
    size_t queued;
    struct outgoing outgoing[OUTGOING_MAX]; /* for the link */
    size_t outgoing_first, outgoing_count;
    unsigned char packet[TRANSFER_PACKET_MAX]; /* a chunk that the link did not take yet */
    size_t packet_n;
    char up_message[LINK_TOPIC_BYTES], up_chunk[LINK_TOPIC_BYTES];
    unsigned char poisoned_plan[PLAN_HASH_BYTES];
};

/* The site whose vault is at work: one thread uses all of them. */
static struct local_site *at_work;

void vault_tamper(float *update, size_t n)
{
    if (at_work && at_work->options.tamper)
        at_work->options.tamper(at_work->options.context, at_work->name, update, n);
}

/* ---- the session ---- */

static struct result step(struct local_site *site, struct session_event *event, uint64_t now_ms,
                          struct why *why);

static struct result reply_to_session(struct local_site *site, uint32_t request,
                                      struct speech *speech, uint64_t now_ms, struct why *why)
{
    if (speech->body.bad) {
        free(speech->body.bytes);
        return failed(why, RESULT_SYSTEM, "no memory for a reply");
    }
    struct ipc_message reply = {
        .type = speech->type,
        .request = request,
        .body = speech->body.bytes,
        .n = speech->body.n,
    };
    struct session_event event = {.kind = SESSION_REPLY, .reply = &reply};
    struct result r = step(site, &event, now_ms, why);
    free(reply.body);
    return r;
}

static struct result ask(struct local_site *site, struct ipc_message *request, uint64_t now_ms,
                         struct why *why)
{
    struct speech speech;
    if (request->type == IPC_CONTROL || request->type == IPC_OFFER_AGAIN) {
        struct result r = speaker_request(&site->speaker, request, &speech, why);
        free(request->body);
        TRY(r);
        return reply_to_session(site, request->request, &speech, now_ms, why);
    }
    if (site->queued < QUEUE_MAX) {
        site->queue[site->queued++] = *request;
        return DONE;
    }
    free(request->body);
    speaker_refuse("the vault has too many requests waiting", &speech);
    return reply_to_session(site, request->request, &speech, now_ms, why);
}

static void publish_later(struct local_site *site, unsigned char *bytes, size_t n)
{
    if (site->outgoing_count == OUTGOING_MAX) {
        free(bytes); /* said again by the protocol's own timers */
        return;
    }
    size_t at = (site->outgoing_first + site->outgoing_count++) % OUTGOING_MAX;
    site->outgoing[at] = (struct outgoing){.bytes = bytes, .n = n};
}

/* Effects of a step may lead to further steps: they are taken over first. */
static struct result step(struct local_site *site, struct session_event *event, uint64_t now_ms,
                          struct why *why)
{
    struct why reason = {{0}};
    event->now_ms = now_ms;
    struct result r = session_step(&site->session, event, &site->effects, &reason);
    if (r.code == RESULT_SYSTEM)
        return failed(why, r.code, "%s", reason.text);
    size_t count = site->effects.count, asked = 0;
    struct ipc_message asks[SESSION_EFFECTS_MAX];
    for (size_t i = 0; i < count; i++) {
        struct session_effect *effect = &site->effects.list[i];
        switch (effect->kind) {
        case SESSION_ASK:
            asks[asked++] = (struct ipc_message){.type = effect->type,
                                                 .request = effect->request,
                                                 .body = effect->bytes,
                                                 .n = effect->n};
            break;
        case SESSION_PUBLISH:
            publish_later(site, effect->bytes, effect->n);
            break;
        case SESSION_NOTE:
            log_line(effect->warning ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG, "%s: %s", site->name,
                     effect->text);
            break;
        }
        effect->bytes = NULL;
    }
    site->effects.count = 0;
    struct result result = DONE;
    for (size_t i = 0; i < asked; i++) {
        if (ok(result))
            result = ask(site, &asks[i], now_ms, why);
        else
            free(asks[i].body);
    }
    return result;
}

static struct result on_link(struct local_site *site, const struct link_event *link_event,
                             uint64_t now_ms, struct why *why)
{
    struct session_event event = {.bytes = link_event->payload, .n = link_event->payload_n};
    struct topic topic;
    struct why reason;
    switch (link_event->kind) {
    case LINK_CONNECTED:
        event.kind = SESSION_CONNECTED;
        break;
    case LINK_DISCONNECTED:
        event.kind = SESSION_DISCONNECTED;
        break;
    case LINK_REFUSED:
        return DONE;
    case LINK_PACKET:
        if (!ok(topic_parse(&topic, site->consortium, link_event->topic, &reason)))
            return DONE;
        event.kind = topic.channel == TOPIC_CHUNK ? SESSION_CHUNK : SESSION_MESSAGE;
        break;
    }
    return step(site, &event, now_ms, why);
}

static bool send_packet(struct local_site *site, const char *topic, const unsigned char *bytes,
                        size_t n)
{
    struct why reason;
    return site->link->operations->publish(site->link, topic, bytes, n, &reason).code !=
           RESULT_AGAIN;
}

static void send_all(struct local_site *site, uint64_t now_ms)
{
    while (site->outgoing_count > 0) {
        struct outgoing *first = &site->outgoing[site->outgoing_first];
        if (!send_packet(site, site->up_message, first->bytes, first->n))
            return;
        free(first->bytes);
        site->outgoing_first = (site->outgoing_first + 1) % OUTGOING_MAX;
        site->outgoing_count--;
    }
    for (;;) {
        if (site->packet_n == 0)
            site->packet_n = session_next_packet(&site->session, site->packet, now_ms);
        if (site->packet_n == 0 || !send_packet(site, site->up_chunk, site->packet, site->packet_n))
            return;
        site->packet_n = 0;
    }
}

static struct result local_run(struct local_site *site, uint64_t now_ms, struct why *why)
{
    struct link_event event;
    while (memset(&event, 0, sizeof event), site->link->operations->next(site->link, &event)) {
        struct result r = on_link(site, &event, now_ms, why);
        free(event.payload);
        TRY(r);
    }
    if (session_wake(&site->session) <= now_ms) {
        struct session_event timer = {.kind = SESSION_TIMER};
        TRY(step(site, &timer, now_ms, why));
    }
    send_all(site, now_ms);
    return DONE;
}

static uint64_t local_wake(const struct local_site *site)
{
    return session_wake(&site->session);
}

/* ---- the vault ---- */

/* A hostile site spoils its patients as soon as they are read, before anything is trained. */
static void poison(struct local_site *site)
{
    const struct room *room = site->vault.room;
    if (site->options.poison == POISON_NONE || !room || !room->loaded ||
        memcmp(site->poisoned_plan, room->plan.hash, PLAN_HASH_BYTES) == 0)
        return;
    memcpy(site->poisoned_plan, room->plan.hash, PLAN_HASH_BYTES);
    local_data_poison(&site->vault.room->data, site->options.poison,
                      room->plan.label.levels_count ? room->plan.label.levels_count : 1);
}

static struct result local_work(struct local_site *site, uint64_t now_ms, bool *ret_worked,
                                struct why *why)
{
    *ret_worked = site->queued > 0;
    if (site->queued == 0)
        return DONE;
    struct ipc_message request = site->queue[0];
    memmove(site->queue, site->queue + 1, --site->queued * sizeof *site->queue);
    struct vault_reply reply = {0};
    struct result r = DONE;
    at_work = site;
    if (request.type == IPC_HELLO)
        reply = speaker_welcome(&site->vault);
    else
        r = vault_handle(&site->vault, &request, &reply, why);
    at_work = NULL;
    poison(site);
    free(request.body);
    TRY(r);
    struct speech speech;
    TRY(speaker_reply(&site->speaker, &reply, &speech, why));
    return reply_to_session(site, request.request, &speech, now_ms, why);
}

/* ---- its life ---- */

static struct result make_keys(struct vault_keys *keys, const struct local_site_options *options,
                               struct identity_public *ret_self, struct why *why)
{
    const struct identity_public *coordinator = options->coordinator;
    *ret_self = (struct identity_public){.role = ROLE_SITE};
    snprintf(ret_self->name, sizeof ret_self->name, "%s", options->name);
    keys->secrets.sign = sodium_malloc(IDENTITY_SIGN_SECRET_BYTES);
    keys->secrets.seal = sodium_malloc(IDENTITY_SEAL_SECRET_BYTES);
    if (!keys->secrets.sign || !keys->secrets.seal)
        return failed(why, RESULT_SYSTEM, "no memory for the site's keys");
    crypto_sign_keypair(ret_self->sign_key, keys->secrets.sign);
    crypto_box_keypair(ret_self->seal_key, keys->secrets.seal);
    snprintf(keys->site, sizeof keys->site, "%s", options->name);
    snprintf(keys->consortium, sizeof keys->consortium, "%s", options->consortium);
    snprintf(keys->coordinator, sizeof keys->coordinator, "%s", coordinator->name);
    memcpy(keys->sign_public, ret_self->sign_key, sizeof keys->sign_public);
    memcpy(keys->seal_public, ret_self->seal_key, sizeof keys->seal_public);
    memcpy(keys->coordinator_sign, coordinator->sign_key, sizeof keys->coordinator_sign);
    memcpy(keys->coordinator_seal, coordinator->seal_key, sizeof keys->coordinator_seal);
    return DONE;
}

/* What the vault keeps on disk elsewhere. */
static struct result open_memory(struct vault *vault, struct why *why)
{
    int *const fds[] = {&vault->ledger_fd,    &vault->outbox_fd, &vault->record_fd,
                        &vault->decisions_fd, &vault->epochs_fd, &vault->heads_fd,
                        &vault->secure_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        *fds[i] = memfd_create("consilium", MFD_CLOEXEC);
        if (*fds[i] < 0)
            return failed(why, RESULT_SYSTEM, "no memory for a simulated site's files");
    }
    return DONE;
}

static struct result open_link(struct local_site *site, struct why *why)
{
    char message[LINK_TOPIC_BYTES], chunk[LINK_TOPIC_BYTES];
    struct topic topic = {.direction = TOPIC_DOWN, .channel = TOPIC_MESSAGE};
    snprintf(topic.member, sizeof topic.member, "%s", site->name);
    topic_format(message, site->consortium, &topic);
    topic.channel = TOPIC_CHUNK;
    topic_format(chunk, site->consortium, &topic);
    topic.direction = TOPIC_UP;
    topic_format(site->up_chunk, site->consortium, &topic);
    topic.channel = TOPIC_MESSAGE;
    topic_format(site->up_message, site->consortium, &topic);
    const char *const subscriptions[] = {message, chunk, NULL};
    const struct link_options options = {.name = site->name, .subscriptions = subscriptions};
    return link_memory_open(site->options.hub, &options, &site->link, why);
}

static struct result open_parts(struct local_site *site, const struct local_site_options *options,
                                struct identity_public *ret_self, struct why *why)
{
    TRY(make_keys(&site->vault.keys, options, ret_self, why));
    TRY(local_data_open(options->folder, options->name, &site->vault, why));
    site->vault.mapping.declared_patients *= options->declares ? options->declares : 1;
    TRY(open_memory(&site->vault, why));
    TRY(vault_start(&site->vault, why));
    TRY(speaker_open(&site->speaker, &site->vault.keys, why));
    struct session_options session = {.object_max = OBJECT_BYTES_MAX};
    memcpy(session.coordinator_public, options->coordinator->sign_key,
           sizeof session.coordinator_public);
    memcpy(session.coordinator, options->coordinator->name, sizeof session.coordinator);
    memcpy(session.site_public, ret_self->sign_key, sizeof session.site_public);
    TRY(session_start(&site->session, &session, why));
    TRY(open_link(site, why));
    site->queue[site->queued++] = (struct ipc_message){.type = IPC_HELLO};
    return DONE;
}

static void local_close(struct local_site *site)
{
    if (!site)
        return;
    const int fds[] = {site->vault.ledger_fd,    site->vault.outbox_fd, site->vault.record_fd,
                       site->vault.decisions_fd, site->vault.epochs_fd, site->vault.heads_fd,
                       site->vault.secure_fd,    site->vault.data_fd};
    session_end(&site->session);
    vault_end(&site->vault);
    speaker_close(&site->speaker);
    if (site->link)
        site->link->operations->close(site->link);
    for (size_t i = 0; i < site->queued; i++)
        free(site->queue[i].body);
    for (; site->outgoing_count > 0; site->outgoing_count--) {
        free(site->outgoing[site->outgoing_first].bytes);
        site->outgoing_first = (site->outgoing_first + 1) % OUTGOING_MAX;
    }
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(site);
}

static struct result local_open(const struct local_site_options *options,
                                struct local_site **ret_site, struct identity_public *ret_self,
                                struct why *why)
{
    *ret_site = NULL;
    struct local_site *site = calloc(1, sizeof *site);
    if (!site)
        return failed(why, RESULT_SYSTEM, "no memory for site '%s'", options->name);
    site->options = *options;
    snprintf(site->name, sizeof site->name, "%s", options->name);
    snprintf(site->consortium, sizeof site->consortium, "%s", options->consortium);
    site->vault.ledger_fd = site->vault.outbox_fd = site->vault.record_fd =
        site->vault.decisions_fd = site->vault.epochs_fd = site->vault.heads_fd =
            site->vault.secure_fd = site->vault.data_fd = -1;
    struct result r = open_parts(site, options, ret_self, why);
    if (ok(r))
        *ret_site = site;
    else
        local_close(site);
    return r;
}

const struct local_site_operations local_site_operations = {
    .open = local_open,
    .run = local_run,
    .work = local_work,
    .wake = local_wake,
    .close = local_close,
};
