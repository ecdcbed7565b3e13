/* SPDX-License-Identifier: Apache-2.0 */
/* Frames between agent and vault: every bound at it and one past it, order, and both ends of a real
 * socket pair. */
#include "agent/ipc_body.h"
#include "proto/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { OBJECT_MAX = 200000 };

static void put(unsigned char *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

/* A frame as the header's comment in ipc.h says. */
static size_t frame(unsigned char *out, unsigned type, unsigned flags, uint32_t request,
                    uint32_t length, uint64_t total)
{
    memset(out, 0, IPC_HEADER_BYTES);
    memcpy(out, "CNSV", 4);
    put(out + 4, type, 2);
    put(out + 6, flags, 2);
    put(out + 8, request, 4);
    put(out + 12, length, 4);
    put(out + 16, total, 8);
    memset(out + IPC_HEADER_BYTES, 'b', length);
    return IPC_HEADER_BYTES + length;
}

static unsigned char buffer[IPC_FRAME_MAX + 1];

static enum result_code feed(struct ipc_reader *reader, size_t n, bool *complete,
                             struct ipc_message *message)
{
    struct why why;
    return ipc_reader_frame(reader, buffer, n, message, complete, &why).code;
}

static void test_bounds(void **state)
{
    (void)state;
    const struct {
        unsigned type;
        bool from_agent;
        uint64_t most;
    } types[] = {
        {IPC_HELLO, true, 0},
        {IPC_CONTROL, true, IPC_SMALL_MAX},
        {IPC_STUDY, true, 4 + MESSAGE_BYTES_MAX},
        {IPC_TASK, true, 16 + 2 * MESSAGE_BYTES_MAX + OBJECT_MAX},
        {IPC_FETCH, true, IPC_SMALL_MAX},
        {IPC_STOP, true, 0},
        {IPC_WELCOME, false, IPC_SMALL_MAX},
        {IPC_RESULT, false, 4 + MESSAGE_BYTES_MAX + OBJECT_MAX},
        {IPC_REFUSED, false, IPC_SMALL_MAX},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct ipc_message message;
        bool complete = false;
        for (unsigned past = 0; past < 2; past++) {
            struct ipc_reader reader = {.from_agent = types[i].from_agent,
                                        .object_max = OBJECT_MAX};
            uint64_t total = types[i].most + past;
            uint32_t length = total < 100 ? (uint32_t)total : 100;
            unsigned flags = length == total ? 3 : 1;
            size_t n = frame(buffer, types[i].type, flags, 7, length, total);
            assert_int_equal(feed(&reader, n, &complete, &message),
                             past ? RESULT_INPUT : RESULT_OK);
            if (complete)
                free(message.body);
            ipc_reader_free(&reader);
        }
        struct ipc_reader other = {.from_agent = !types[i].from_agent, .object_max = OBJECT_MAX};
        size_t n = frame(buffer, types[i].type, 3, 7, 0, 0);
        assert_int_equal(feed(&other, n, &complete, &message), RESULT_INPUT);
    }
}

static void test_malformed(void **state)
{
    (void)state;
    struct ipc_message message;
    bool complete;
    const struct {
        unsigned type, flags;
        uint32_t length;
        uint64_t total;
        size_t n; /* 0 = as the header says */
    } cases[] = {
        {0, 3, 0, 0, 0}, /* no type */
        {IPC_REQUESTS_END, 3, 0, 0, 0},
        {IPC_REPLIES_END, 3, 0, 0, 0},
        {IPC_CONTROL, 4, 1, 1, 0},                    /* unknown flag */
        {IPC_CONTROL, 2, 1, 1, 0},                    /* not first */
        {IPC_CONTROL, 1, 1, 1, 0},                    /* whole, but not last */
        {IPC_CONTROL, 3, 1, 2, 0},                    /* last, but not whole */
        {IPC_CONTROL, 3, 2, 1, 0},                    /* longer than the total */
        {IPC_CONTROL, 1, 0, 5, 0},                    /* empty part */
        {IPC_CONTROL, 3, 5, 5, IPC_HEADER_BYTES + 4}, /* length and datagram differ */
        {IPC_CONTROL, 3, 5, 5, IPC_HEADER_BYTES + 6},
        {IPC_CONTROL, 3, 0, 0, IPC_HEADER_BYTES - 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ipc_reader reader = {.from_agent = true, .object_max = OBJECT_MAX};
        size_t n = frame(buffer, cases[i].type, cases[i].flags, 1, cases[i].length, cases[i].total);
        enum result_code code = feed(&reader, cases[i].n ? cases[i].n : n, &complete, &message);
        assert_int_equal(code, RESULT_INPUT);
        assert_false(complete);
        ipc_reader_free(&reader);
    }
    struct ipc_reader reader = {.from_agent = true, .object_max = OBJECT_MAX};
    size_t n = frame(buffer, IPC_CONTROL, 3, 1, 1, 1);
    buffer[0] ^= 1;
    assert_int_equal(feed(&reader, n, &complete, &message), RESULT_INPUT);
}

/* A second message inside the first, or another number or type in the middle. */
static void test_interleaved(void **state)
{
    (void)state;
    const struct {
        unsigned type, flags;
        uint32_t request;
        uint64_t total;
    } second[] = {
        {IPC_STUDY, 3, 1, 10},
        {IPC_TASK, 2, 1, 20},
        {IPC_STUDY, 2, 2, 20},
        {IPC_STUDY, 2, 1, 21},
    };
    for (size_t i = 0; i < sizeof second / sizeof second[0]; i++) {
        struct ipc_reader reader = {.from_agent = true, .object_max = OBJECT_MAX};
        struct ipc_message message;
        bool complete;
        size_t n = frame(buffer, IPC_STUDY, 1, 1, 10, 20);
        assert_int_equal(feed(&reader, n, &complete, &message), RESULT_OK);
        n = frame(buffer, second[i].type, second[i].flags, second[i].request, 10, second[i].total);
        assert_int_equal(feed(&reader, n, &complete, &message), RESULT_INPUT);
        ipc_reader_free(&reader);
    }
}

/* Several messages, some of many frames, through a real pair that fills up on the way. */
static void test_pair(void **state)
{
    (void)state;
    int ends[2];
    struct why why;
    struct ipc_writer writer = {0};
    struct ipc_reader reader = {.object_max = 4 << 20};
    const size_t sizes[] = {0, 1, IPC_FRAME_BODY_MAX, IPC_FRAME_BODY_MAX + 1, 3 << 20, 5};
    enum { COUNT = sizeof sizes / sizeof sizes[0] };
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
    for (size_t i = 0; i < COUNT; i++) {
        unsigned char *body = sizes[i] ? malloc(sizes[i]) : NULL;
        for (size_t k = 0; k < sizes[i]; k++)
            body[k] = (unsigned char)(k * 31 + i);
        enum ipc_type type = sizes[i] ? IPC_RESULT : IPC_NOTED;
        assert_true(ok(ipc_writer_push(&writer, type, (uint32_t)i, body, sizes[i], &why)));
    }
    size_t got = 0;
    bool waited = false;
    while (got < COUNT) {
        struct result r = ipc_writer_flush(&writer, ends[0], &why);
        assert_true(ok(r) || r.code == RESULT_AGAIN);
        waited |= r.code == RESULT_AGAIN;
        size_t n;
        while (ok(ipc_receive(ends[1], buffer, &n, &why)) && n > 0) {
            struct ipc_message message;
            bool complete;
            assert_true(ok(ipc_reader_frame(&reader, buffer, n, &message, &complete, &why)));
            if (!complete)
                continue;
            assert_int_equal(message.request, got);
            assert_int_equal(message.n, sizes[got]);
            for (size_t k = 0; k < message.n; k++)
                assert_int_equal(message.body[k], (unsigned char)(k * 31 + got));
            free(message.body);
            got++;
        }
    }
    assert_true(waited);
    close(ends[0]);
    size_t n = 1;
    assert_true(ok(ipc_receive(ends[1], buffer, &n, &why)));
    assert_int_equal(n, 0);
    close(ends[1]);
    ipc_reader_free(&reader);
    ipc_writer_free(&writer);
}

static void test_control(void **state)
{
    (void)state;
    struct why why;
    struct ipc_control in, out = {.kind = MESSAGE_OBJECT_ACK, .study = "stroke", .task = 9};
    out.ack.next = 3;
    out.ack.granted = 19;
    out.ack.missing_count = OBJECT_ACK_RANGES_MAX;
    for (uint32_t i = 0; i < OBJECT_ACK_RANGES_MAX; i++)
        out.ack.missing[i] = (struct chunk_range){i, i + 1};
    struct bytes_out bytes = {0};
    ipc_control_write(&bytes, &out);
    assert_true(ok(ipc_control_read(&in, bytes.bytes, bytes.n, &why)));
    assert_string_equal(in.study, "stroke");
    assert_int_equal(in.ack.missing[31].count, 32);
    for (size_t n = 0; n < bytes.n; n++)
        assert_false(ok(ipc_control_read(&in, bytes.bytes, n, &why)));
    free(bytes.bytes);

    /* What the vault never signs on the agent's word. */
    const enum message_kind forbidden[] = {
        MESSAGE_STUDY_OFFER,  MESSAGE_STUDY_ANSWER, MESSAGE_TASK,  MESSAGE_TASK_CLOSED,
        MESSAGE_OBJECT_OFFER, MESSAGE_COMMAND,      MESSAGE_REPLY, (enum message_kind)0,
    };
    for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++) {
        struct bytes_out body = {0};
        bytes_out_u32(&body, forbidden[i]);
        bytes_out_text(&body, "stroke");
        bytes_out_u32(&body, 1);
        assert_int_equal(ipc_control_read(&in, body.bytes, body.n, &why).code, RESULT_REFUSED);
        free(body.bytes);
    }
}

static void test_texts(void **state)
{
    (void)state;
    char text[5];
    const struct {
        unsigned char bytes[12];
        size_t n;
        bool good;
    } cases[] = {
        {{4, 0, 0, 0, 'a', 'b', 'c', 'd'}, 8, true},
        {{5, 0, 0, 0, 'a', 'b', 'c', 'd', 'e'}, 9, false}, /* one too long */
        {{4, 0, 0, 0, 'a', 'b', 'c'}, 7, false},           /* cut */
        {{3, 0, 0, 0, 'a', 0, 'c'}, 7, false},             /* a zero inside */
        {{0xff, 0xff, 0xff, 0xff, 'a'}, 5, false},
        {{0}, 4, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bytes_in in = {.at = cases[i].bytes, .left = cases[i].n};
        bytes_in_text(&in, text, sizeof text);
        assert_int_equal(!in.bad, cases[i].good);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),      cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_interleaved), cmocka_unit_test(test_pair),
        cmocka_unit_test(test_control),     cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
