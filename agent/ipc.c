/* SPDX-License-Identifier: Apache-2.0 */
/* Frames between the network process and the vault: reassembly, queue, sending. */
#include "agent/ipc.h"

#include "proto/base/endian.h"
#include "proto/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { IPC_MAGIC = 0x56534e43 /* "CNSV" */, FLAG_FIRST = 1, FLAG_LAST = 2 };

struct ipc_outgoing {
    struct ipc_outgoing *next;
    enum ipc_type type;
    uint32_t request;
    unsigned char *body;
    size_t n, sent;
    bool started;
};

struct header {
    uint32_t magic, type, flags, request, length;
    uint64_t total;
};

static void header_write(unsigned char *at, const struct header *h)
{
    little_put(at, h->magic, 4);
    little_put(at + 4, h->type, 2);
    little_put(at + 6, h->flags, 2);
    little_put(at + 8, h->request, 4);
    little_put(at + 12, h->length, 4);
    little_put(at + 16, h->total, 8);
}

static struct header header_read(const unsigned char *at)
{
    return (struct header){
        .magic = (uint32_t)little_get(at, 4),
        .type = (uint32_t)little_get(at + 4, 2),
        .flags = (uint32_t)little_get(at + 6, 2),
        .request = (uint32_t)little_get(at + 8, 4),
        .length = (uint32_t)little_get(at + 12, 4),
        .total = little_get(at + 16, 8),
    };
}

uint64_t ipc_body_max(unsigned type, uint64_t object_max, bool *ret_known)
{
    const uint64_t block = 4 + (uint64_t)MESSAGE_BYTES_MAX;
    *ret_known = true;
    switch (type) {
    case IPC_HELLO:
    case IPC_STOP:
    case IPC_NEED_MODEL:
    case IPC_NOTED:
        return 0;
    case IPC_CONTROL:
    case IPC_FETCH:
    case IPC_WELCOME:
    case IPC_REFUSED:
        return IPC_SMALL_MAX;
    case IPC_STUDY:
    case IPC_OFFER_AGAIN:
    case IPC_OBJECT_DONE:
    case IPC_TASK_CLOSED:
    case IPC_TREE_HEAD:
    case IPC_SIGNED:
        return block;
    case IPC_TASK:
        return 8 + 2 * block + object_max;
    case IPC_RESULT:
        return block + object_max;
    default:
        *ret_known = false;
        return 0;
    }
}

static struct result header_check(const struct ipc_reader *reader, const struct header *h,
                                  size_t frame_n, struct why *why)
{
    if (h->magic != IPC_MAGIC || h->flags > (FLAG_FIRST | FLAG_LAST))
        return failed(why, RESULT_INPUT, "a frame between agent and vault has a wrong header");
    bool request = h->type < IPC_REQUESTS_END;
    bool known = false;
    uint64_t most = ipc_body_max(h->type, reader->object_max, &known);
    if (!known || request != reader->from_agent)
        return failed(why, RESULT_INPUT, "a frame of type %u is not expected here", h->type);
    if (h->length != frame_n - IPC_HEADER_BYTES || h->total > most || h->length > h->total)
        return failed(why, RESULT_INPUT, "a frame of type %u has a wrong length", h->type);
    if (h->total > 0 && h->length == 0)
        return failed(why, RESULT_INPUT, "a frame of type %u is empty", h->type);
    return DONE;
}

static struct result body_append(struct ipc_reader *reader, const unsigned char *bytes, size_t n,
                                 struct why *why)
{
    struct ipc_message *m = &reader->partial;
    if (n == 0)
        return DONE;
    if (m->n + n > reader->capacity) {
        size_t wanted = 2 * reader->capacity < m->n + n ? m->n + n : 2 * reader->capacity;
        size_t capacity = wanted > reader->total ? (size_t)reader->total : wanted;
        unsigned char *grown = realloc(m->body, capacity);
        if (!grown)
            return failed(why, RESULT_SYSTEM, "no memory for a message of %llu bytes",
                          (unsigned long long)reader->total);
        m->body = grown;
        reader->capacity = capacity;
    }
    memcpy(m->body + m->n, bytes, n);
    m->n += n;
    return DONE;
}

struct result ipc_reader_frame(struct ipc_reader *reader, const unsigned char *frame, size_t n,
                               struct ipc_message *ret_message, bool *ret_complete, struct why *why)
{
    *ret_complete = false;
    if (n < IPC_HEADER_BYTES || n > IPC_FRAME_MAX)
        return failed(why, RESULT_INPUT, "a frame of %zu bytes between agent and vault", n);
    struct header h = header_read(frame);
    TRY(header_check(reader, &h, n, why));
    struct ipc_message *m = &reader->partial;
    bool first = h.flags & FLAG_FIRST;
    if (first == reader->open)
        return failed(why, RESULT_INPUT, "frames between agent and vault are out of order");
    if (first) {
        *m = (struct ipc_message){.type = (enum ipc_type)h.type, .request = h.request};
        reader->total = h.total;
        reader->capacity = 0;
        reader->open = true;
    }
    if (h.type != m->type || h.request != m->request || h.total != reader->total ||
        h.length > reader->total - m->n)
        return failed(why, RESULT_INPUT, "frames between agent and vault do not fit together");
    TRY(body_append(reader, frame + IPC_HEADER_BYTES, h.length, why));
    bool last = h.flags & FLAG_LAST;
    if (last != (m->n == reader->total))
        return failed(why, RESULT_INPUT, "a message between agent and vault ends at a wrong place");
    if (last) {
        *ret_message = *m;
        *ret_complete = true;
        *m = (struct ipc_message){0};
        reader->open = false;
    }
    return DONE;
}

void ipc_reader_free(struct ipc_reader *reader)
{
    free(reader->partial.body);
    reader->partial = (struct ipc_message){0};
    reader->open = false;
}

struct result ipc_writer_push(struct ipc_writer *writer, enum ipc_type type, uint32_t request,
                              unsigned char *body, size_t n, struct why *why)
{
    struct ipc_outgoing *out = malloc(sizeof *out);
    if (!out) {
        free(body);
        return failed(why, RESULT_SYSTEM, "no memory for a message between agent and vault");
    }
    *out = (struct ipc_outgoing){.type = type, .request = request, .body = body, .n = n};
    if (writer->last)
        writer->last->next = out;
    else
        writer->first = out;
    writer->last = out;
    writer->waiting_bytes += n;
    return DONE;
}

static void drop_first(struct ipc_writer *writer)
{
    struct ipc_outgoing *out = writer->first;
    writer->first = out->next;
    if (!writer->first)
        writer->last = NULL;
    writer->waiting_bytes -= out->n;
    free(out->body);
    free(out);
}

/* Sends the next frame of the first message. */
static struct result send_frame(struct ipc_outgoing *out, int fd, struct why *why)
{
    unsigned char header[IPC_HEADER_BYTES];
    size_t rest = out->n - out->sent;
    size_t length = rest < IPC_FRAME_BODY_MAX ? rest : IPC_FRAME_BODY_MAX;
    struct header h = {
        .magic = IPC_MAGIC,
        .type = out->type,
        .flags = (out->started ? 0 : FLAG_FIRST) | (length == rest ? FLAG_LAST : 0),
        .request = out->request,
        .length = (uint32_t)length,
        .total = out->n,
    };
    header_write(header, &h);
    struct iovec parts[2] = {
        {.iov_base = header, .iov_len = sizeof header},
        {.iov_base = out->body ? out->body + out->sent : NULL, .iov_len = length},
    };
    struct msghdr msg = {.msg_iov = parts, .msg_iovlen = length ? 2 : 1};
    ssize_t sent;
    do
        sent = sendmsg(fd, &msg, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS))
        return (struct result){RESULT_AGAIN};
    if (sent < 0)
        return failed(why, RESULT_SYSTEM, "cannot send between agent and vault: %s",
                      strerror(errno));
    out->started = true;
    out->sent += length;
    return DONE;
}

struct result ipc_writer_flush(struct ipc_writer *writer, int fd, struct why *why)
{
    while (writer->first) {
        TRY(send_frame(writer->first, fd, why));
        if (writer->first->sent == writer->first->n)
            drop_first(writer);
    }
    return DONE;
}

void ipc_writer_free(struct ipc_writer *writer)
{
    while (writer->first)
        drop_first(writer);
}

struct result ipc_receive(int fd, unsigned char frame[IPC_FRAME_MAX + 1], size_t *ret_n,
                          struct why *why)
{
    ssize_t got;
    do
        got = recv(fd, frame, IPC_FRAME_MAX + 1, 0);
    while (got < 0 && errno == EINTR);
    *ret_n = 0;
    if (got < 0 && errno == EAGAIN)
        return (struct result){RESULT_AGAIN};
    if (got < 0 && errno == ECONNRESET)
        return DONE;
    if (got < 0)
        return failed(why, RESULT_SYSTEM, "cannot receive between agent and vault: %s",
                      strerror(errno));
    *ret_n = (size_t)got;
    return DONE;
}
