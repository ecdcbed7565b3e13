/* SPDX-License-Identifier: Apache-2.0 */
/* The only place where the network process does input and output. */
#include "agent/drive.h"

#include "proto/base/cleanup.h"
#include "proto/base/clock.h"
#include "proto/base/log.h"
#include "proto/topic.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum {
    DRIVE_OUTGOING_MAX = 256,   /* signed messages that wait for the link */
    DRIVE_FRAMES_PER_TURN = 64, /* read from the vault before the link is looked at again */
};

/* A packet that the link did not take yet. */
struct outgoing {
    unsigned char *bytes;
    size_t n;
};

struct drive {
    const struct drive_options *options;
    struct link *link;
    struct session session;
    struct session_effects effects;
    struct ipc_reader reader;
    struct ipc_writer writer;
    char up_message[LINK_TOPIC_BYTES], up_chunk[LINK_TOPIC_BYTES];
    struct outgoing outgoing[DRIVE_OUTGOING_MAX];
    size_t outgoing_first, outgoing_count;
    unsigned char packet[TRANSFER_PACKET_MAX]; /* a chunk that the link did not take yet */
    size_t packet_n;
    bool vault_gone;
    unsigned char frame[IPC_FRAME_MAX + 1];
};

static void outgoing_add(struct drive *drive, unsigned char *bytes, size_t n)
{
    if (drive->outgoing_count == DRIVE_OUTGOING_MAX) {
        free(bytes); /* said again by the protocol's own timers */
        return;
    }
    size_t at = (drive->outgoing_first + drive->outgoing_count++) % DRIVE_OUTGOING_MAX;
    drive->outgoing[at] = (struct outgoing){.bytes = bytes, .n = n};
}

static void outgoing_drop_first(struct drive *drive)
{
    free(drive->outgoing[drive->outgoing_first].bytes);
    drive->outgoing_first = (drive->outgoing_first + 1) % DRIVE_OUTGOING_MAX;
    drive->outgoing_count--;
}

static struct result carry_out(struct drive *drive, struct why *why)
{
    for (size_t i = 0; i < drive->effects.count; i++) {
        struct session_effect *effect = &drive->effects.list[i];
        unsigned char *bytes = effect->bytes;
        effect->bytes = NULL;
        switch (effect->kind) {
        case SESSION_ASK:
            TRY(ipc_writer_push(&drive->writer, effect->type, effect->request, bytes, effect->n,
                                why));
            break;
        case SESSION_PUBLISH:
            outgoing_add(drive, bytes, effect->n);
            break;
        case SESSION_NOTE:
            log_line(effect->warning ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "%s", effect->text);
            break;
        }
    }
    drive->effects.count = 0;
    return DONE;
}

static struct result step(struct drive *drive, struct session_event *event, struct why *why)
{
    struct why reason = {{0}};
    struct rusage usage = {0};
    getrusage(RUSAGE_SELF, &usage);
    drive->session.peak_memory_kb = (uint64_t)usage.ru_maxrss;
    event->now_ms = clock_unix_ms();
    struct result r = session_step(&drive->session, event, &drive->effects, &reason);
    if (r.code == RESULT_SYSTEM || r.code == RESULT_INPUT)
        log_warning("%s", reason.text);
    else if (!ok(r))
        log_debug("%s", reason.text);
    return carry_out(drive, why);
}

static struct result on_packet(struct drive *drive, const struct link_event *packet,
                               struct why *why)
{
    struct topic topic;
    struct why reason;
    struct result r = topic_parse(&topic, drive->options->consortium, packet->topic, &reason);
    if (!ok(r) || topic.direction != TOPIC_DOWN || strcmp(topic.member, drive->options->site) != 0)
        return DONE; /* not ours: the broker should not have sent it */
    struct session_event event = {
        .kind = topic.channel == TOPIC_CHUNK ? SESSION_CHUNK : SESSION_MESSAGE,
        .bytes = packet->payload,
        .n = packet->payload_n,
    };
    return step(drive, &event, why);
}

static struct result on_link(struct drive *drive, struct link_event *link_event, struct why *why)
{
    CLEANUP(free_pointer) unsigned char *payload = link_event->payload;
    struct session_event event = {0};
    switch (link_event->kind) {
    case LINK_CONNECTED:
        log_info("connected");
        event.kind = SESSION_CONNECTED;
        return step(drive, &event, why);
    case LINK_DISCONNECTED:
        log_warning("disconnected: %s", link_event->reason);
        /* What was not sent is said anew after the next connection. */
        while (drive->outgoing_count > 0)
            outgoing_drop_first(drive);
        drive->packet_n = 0;
        event.kind = SESSION_DISCONNECTED;
        return step(drive, &event, why);
    case LINK_REFUSED:
        log_warning("the broker refused a packet: %s", link_event->reason);
        return DONE;
    case LINK_PACKET:
        return on_packet(drive, link_event, why);
    }
    return DONE;
}

static struct result read_link(struct drive *drive, struct why *why)
{
    struct link_event event;
    while (memset(&event, 0, sizeof event), drive->link->operations->next(drive->link, &event))
        TRY(on_link(drive, &event, why));
    return DONE;
}

static struct result read_vault(struct drive *drive, struct why *why)
{
    for (int i = 0; i < DRIVE_FRAMES_PER_TURN; i++) {
        size_t n = 0;
        bool complete = false;
        struct ipc_message reply;
        struct result r = ipc_receive(drive->options->vault_fd, drive->frame, &n, why);
        if (r.code == RESULT_AGAIN)
            return DONE;
        TRY(r);
        if (n == 0) {
            drive->vault_gone = true;
            return DONE;
        }
        TRY(ipc_reader_frame(&drive->reader, drive->frame, n, &reply, &complete, why));
        if (!complete)
            continue;
        CLEANUP(free_pointer) unsigned char *body = reply.body;
        struct session_event event = {.kind = SESSION_REPLY, .reply = &reply};
        TRY(step(drive, &event, why));
    }
    return DONE;
}

/* Whether the link took it; a refusal for good drops it. */
static bool send_packet(struct drive *drive, const char *topic, const unsigned char *bytes,
                        size_t n)
{
    struct why reason;
    struct result r = drive->link->operations->publish(drive->link, topic, bytes, n, &reason);
    if (r.code == RESULT_AGAIN)
        return false;
    if (!ok(r))
        log_warning("%s", reason.text);
    return true;
}

/* Messages first, so that acknowledgements never wait behind chunks. */
static void write_link(struct drive *drive)
{
    while (drive->outgoing_count > 0) {
        struct outgoing *first = &drive->outgoing[drive->outgoing_first];
        if (!send_packet(drive, drive->up_message, first->bytes, first->n))
            return;
        outgoing_drop_first(drive);
    }
    for (;;) {
        if (drive->packet_n == 0)
            drive->packet_n = session_next_packet(&drive->session, drive->packet, clock_unix_ms());
        if (drive->packet_n == 0 ||
            !send_packet(drive, drive->up_chunk, drive->packet, drive->packet_n))
            return;
        drive->packet_n = 0;
    }
}

static struct result write_vault(struct drive *drive, struct why *why)
{
    struct result r = ipc_writer_flush(&drive->writer, drive->options->vault_fd, why);
    if (!ok(r) && r.code != RESULT_AGAIN) {
        log_debug("%s", why->text); /* its parent tells that the vault ended, and how */
        drive->vault_gone = true;
    }
    return DONE;
}

static int timeout_ms(const struct drive *drive)
{
    enum { IDLE_MS = 1000 };
    uint64_t wake = session_wake(&drive->session), now = clock_unix_ms();
    if (wake <= now)
        return 0;
    return wake - now < IDLE_MS ? (int)(wake - now) : IDLE_MS;
}

static struct result turn(struct drive *drive, struct why *why)
{
    struct pollfd fds[2] = {
        {.fd = drive->link->operations->descriptor(drive->link), .events = POLLIN},
        {.fd = drive->options->vault_fd,
         .events = (short)(POLLIN | (drive->writer.first ? POLLOUT : 0))},
    };
    if (poll(fds, 2, timeout_ms(drive)) < 0 && errno != EINTR)
        return failed(why, RESULT_SYSTEM, "cannot wait for packets: %s", strerror(errno));
    TRY(read_link(drive, why));
    TRY(read_vault(drive, why));
    if (session_wake(&drive->session) <= clock_unix_ms()) {
        struct session_event event = {.kind = SESSION_TIMER};
        TRY(step(drive, &event, why));
    }
    write_link(drive);
    return write_vault(drive, why);
}

static struct result run(struct drive *drive, const volatile sig_atomic_t *stop, struct why *why)
{
    TRY(ipc_writer_push(&drive->writer, IPC_HELLO, 0, NULL, 0, why));
    while (*stop == DRIVE_GO_ON && !drive->vault_gone)
        TRY(turn(drive, why));
    if (drive->vault_gone || *stop == DRIVE_LEAVE)
        return DONE;
    TRY(ipc_writer_push(&drive->writer, IPC_STOP, 0, NULL, 0, why));
    return write_vault(drive, why);
}

struct result drive_run(const struct drive_options *options, const volatile sig_atomic_t *stop,
                        struct why *why)
{
    CLEANUP(free_pointer) struct drive *drive = calloc(1, sizeof *drive);
    if (!drive)
        return failed(why, RESULT_SYSTEM, "no memory for the agent's loop");
    drive->options = options;
    drive->link = options->link;
    drive->reader = (struct ipc_reader){.object_max = options->session.object_max};
    struct topic up = {.direction = TOPIC_UP, .channel = TOPIC_MESSAGE};
    snprintf(up.member, sizeof up.member, "%s", options->site);
    topic_format(drive->up_message, options->consortium, &up);
    up.channel = TOPIC_CHUNK;
    topic_format(drive->up_chunk, options->consortium, &up);
    if (fcntl(options->vault_fd, F_SETFL, O_NONBLOCK) < 0)
        return failed(why, RESULT_SYSTEM, "cannot set up the vault's socket: %s", strerror(errno));
    TRY(session_start(&drive->session, &options->session, why));
    struct result r = run(drive, stop, why);
    session_effects_free(&drive->effects);
    session_end(&drive->session);
    ipc_reader_free(&drive->reader);
    ipc_writer_free(&drive->writer);
    while (drive->outgoing_count > 0)
        outgoing_drop_first(drive);
    return r;
}
