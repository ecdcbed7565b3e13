/* SPDX-License-Identifier: Apache-2.0 */
/* Topics survive a round trip and nothing else parses; the link's queue is bounded and wakes. */
#include "proto/link_queue.h"
#include "proto/topic.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void names(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "rome", "st-anna_2",
                                       "abcdefghijklmnopqrstuvwxyz0123456789"};
    static const char *const bad[] = {"",    "2a", "-a", "_a",  "A", "a b",
                                      "a/b", "a+", "#",  "a.b", "é"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(topic_name_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(topic_name_valid(bad[i]));
    char longest[TOPIC_NAME_MAX + 2];
    memset(longest, 'a', sizeof longest);
    longest[TOPIC_NAME_MAX] = '\0';
    assert_true(topic_name_valid(longest));
    longest[TOPIC_NAME_MAX] = 'a';
    longest[TOPIC_NAME_MAX + 1] = '\0';
    assert_false(topic_name_valid(longest));
}

static void round_trip(void **state)
{
    (void)state;
    static const struct {
        struct topic topic;
        const char *text;
    } cases[] = {
        {{TOPIC_UP, "rome", TOPIC_MESSAGE}, "cns/1/demo/up/rome/m"},
        {{TOPIC_UP, "rome", TOPIC_CHUNK}, "cns/1/demo/up/rome/c"},
        {{TOPIC_DOWN, "all", TOPIC_CHUNK}, "cns/1/demo/down/all/c"},
        {{TOPIC_PRESENCE, "rome", TOPIC_MESSAGE}, "cns/1/demo/stat/rome"},
    };
    struct why why;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[LINK_TOPIC_BYTES];
        struct topic parsed;
        topic_format(text, "demo", &cases[i].topic);
        assert_string_equal(text, cases[i].text);
        assert_true(ok(topic_parse(&parsed, "demo", text, &why)));
        assert_int_equal(parsed.direction, cases[i].topic.direction);
        assert_int_equal(parsed.channel, cases[i].topic.channel);
        assert_string_equal(parsed.member, cases[i].topic.member);
    }
}

static void foreign_topics_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "cns/1/demo",
        "cns/2/demo/up/rome/m",
        "cns/1/other/up/rome/m",
        "cns/1/demo2/up/rome/m",
        "cns/1/demo/side/rome/m",
        "cns/1/demo/up//m",
        "cns/1/demo/up/Rome/m",
        "cns/1/demo/up/rome",
        "cns/1/demo/up/rome/",
        "cns/1/demo/up/rome/x",
        "cns/1/demo/up/rome/m/",
        "cns/1/demo/up/rome/m/m",
        "cns/1/demo/stat/rome/",
        "cns/1/demo/stat/rome/m",
        "cns/1/demo/up/+/m",
        "/cns/1/demo/up/rome/m",
    };
    struct why why;
    struct topic topic = {.member = "untouched"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(topic_parse(&topic, "demo", bad[i], &why).code, RESULT_INPUT);
        assert_string_equal(topic.member, "untouched");
    }
    char longer[2 * LINK_TOPIC_BYTES];
    memset(longer, 'a', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(topic_parse(&topic, "demo", longer, &why).code, RESULT_INPUT);
}

static bool readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static void queue_is_bounded_and_wakes(void **state)
{
    (void)state;
    struct link_queue queue;
    struct link_event event;
    struct why why;
    unsigned char big[LINK_PACKET_MAX + 1] = {0};
    assert_true(ok(link_queue_open(&queue, &why)));
    assert_false(readable(queue.wake));
    assert_false(link_queue_packet(&queue, "t", 1, big, LINK_PACKET_MAX + 1));
    for (int i = 0; i < LINK_QUEUE_PACKETS; i++)
        assert_true(link_queue_packet(&queue, "t", 1, "x", 1));
    assert_false(link_queue_packet(&queue, "t", 1, "x", 1));
    assert_int_equal(queue.dropped, 2);
    link_queue_event(&queue, LINK_DISCONNECTED, "gone");
    assert_true(readable(queue.wake));
    for (int i = 0; i < LINK_QUEUE_PACKETS; i++) {
        assert_true(link_queue_take(&queue, &event));
        assert_int_equal(event.kind, LINK_PACKET);
        assert_string_equal(event.topic, "t");
        free(event.payload);
    }
    assert_true(link_queue_packet(&queue, "u", 1, big, LINK_PACKET_MAX));
    assert_true(link_queue_take(&queue, &event));
    assert_string_equal(event.reason, "gone");
    assert_true(link_queue_take(&queue, &event));
    assert_int_equal(event.payload_n, LINK_PACKET_MAX);
    free(event.payload);
    assert_false(link_queue_take(&queue, &event));
    assert_false(readable(queue.wake));
    link_queue_wake(&queue);
    assert_true(readable(queue.wake));
    assert_false(link_queue_take(&queue, &event));
    assert_false(readable(queue.wake));
    assert_true(link_queue_packet(&queue, "left", 4, "", 0));
    link_queue_close(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(foreign_topics_are_refused),
        cmocka_unit_test(queue_is_bounded_and_wakes),
    };
    return cmocka_run_group_tests_name("topic", tests, NULL, NULL);
}
