/* SPDX-License-Identifier: Apache-2.0 */
/* The in-process link: filters, order, faults from a seed, cut and presence. */
#include "proto/link_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct why why;

static struct link *open_link(struct link_memory_hub *hub, const char *name, const char *filter)
{
    const char *filters[] = {filter, NULL};
    char presence[64];
    snprintf(presence, sizeof presence, "stat/%s", name);
    struct link_options options = {.name = name, .subscriptions = filters, .will_topic = presence};
    struct link *link = NULL;
    struct link_event event;
    assert_true(ok(link_memory_open(hub, &options, &link, &why)));
    assert_true(link->operations->next(link, &event));
    assert_int_equal(event.kind, LINK_CONNECTED);
    return link;
}

static struct result publish(struct link *link, const char *topic, const char *text)
{
    return link->operations->publish(link, topic, (const unsigned char *)text, strlen(text), &why);
}

/* Takes all packets and joins their payloads. */
static void drain(struct link *link, char *out, size_t capacity)
{
    struct link_event event;
    size_t used = 0;
    out[0] = '\0';
    while (link->operations->next(link, &event)) {
        if (event.kind == LINK_PACKET)
            used += (size_t)snprintf(out + used, capacity - used, "%.*s ", (int)event.payload_n,
                                     (const char *)event.payload);
        free(event.payload);
        assert_true(used < capacity);
    }
}

static void filters(void **state)
{
    (void)state;
    static const struct {
        const char *filter, *topic;
        bool fits;
    } cases[] = {
        {"a/b", "a/b", true},      {"a/b", "a/c", false},     {"a/b", "a", false},
        {"a", "a/b", false},       {"a/+", "a/b", true},      {"a/+", "a/b/c", false},
        {"a/+/c", "a/b/c", true},  {"a/#", "a/b/c", true},    {"a/#", "a", true},
        {"a/#", "ab/c", false},    {"#", "a/b", true},        {"+/b", "a/b", true},
        {"a/+/c", "a/b/d", false}, {"a/b/#", "a/c/d", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(link_memory_matches(cases[i].filter, cases[i].topic), cases[i].fits);
}

static void perfect_hub_delivers_in_order(void **state)
{
    (void)state;
    struct link_memory_hub *hub = NULL;
    char got[64];
    assert_true(ok(link_memory_hub_open(&(struct link_memory_faults){0}, &hub, &why)));
    struct link *all = open_link(hub, "all", "#");
    struct link *rome = open_link(hub, "rome", "down/rome/+");
    drain(all, got, sizeof got);
    assert_string_equal(got, "online online ");
    assert_true(ok(publish(all, "down/rome/m", "1")));
    assert_true(ok(publish(all, "down/oslo/m", "2")));
    assert_true(ok(publish(rome, "down/rome/m", "3")));
    drain(rome, got, sizeof got);
    assert_string_equal(got, "1 3 ");
    drain(all, got, sizeof got);
    assert_string_equal(got, "1 2 3 ");
    unsigned char big[LINK_PACKET_MAX + 1] = {0};
    assert_int_equal(all->operations->publish(all, "t", big, sizeof big, &why).code, RESULT_INPUT);
    link_memory_cut(rome, true);
    assert_int_equal(publish(rome, "t", "x").code, RESULT_AGAIN);
    assert_true(ok(publish(all, "down/rome/m", "lost")));
    link_memory_cut(rome, false);
    drain(rome, got, sizeof got);
    assert_string_equal(got, "");
    rome->operations->close(rome);
    drain(all, got, sizeof got);
    assert_string_equal(got, "offline lost online offline ");
    all->operations->close(all);
    link_memory_hub_close(hub);
}

/* What 200 numbered packets look like on the other side. */
static void run_with_faults(uint64_t seed, char *got, size_t capacity)
{
    struct link_memory_faults faults = {
        .seed = seed, .loss = 0.1, .duplicate = 0.1, .delay_ms_min = 5, .delay_ms_max = 50};
    struct link_memory_hub *hub = NULL;
    assert_true(ok(link_memory_hub_open(&faults, &hub, &why)));
    struct link *a = open_link(hub, "a", "none"), *b = open_link(hub, "b", "t");
    for (int i = 0; i < 200; i++) {
        char text[8];
        snprintf(text, sizeof text, "%d", i);
        assert_true(ok(publish(a, "t", text)));
    }
    drain(b, got, capacity);
    assert_string_equal(got, "");
    assert_in_range(link_memory_hub_due_ms(hub), 5, 50);
    link_memory_hub_advance(hub, 4);
    drain(b, got, capacity);
    assert_string_equal(got, "");
    link_memory_hub_advance(hub, 50);
    assert_true(link_memory_hub_due_ms(hub) == UINT64_MAX);
    drain(b, got, capacity);
    a->operations->close(a);
    b->operations->close(b);
    link_memory_hub_close(hub);
}

static void faults_repeat_from_the_seed(void **state)
{
    (void)state;
    static char first[4096], again[4096], other[4096];
    run_with_faults(1, first, sizeof first);
    run_with_faults(1, again, sizeof again);
    run_with_faults(2, other, sizeof other);
    assert_string_equal(first, again);
    assert_string_not_equal(first, other);
    int arrived = 0;
    for (const char *p = first; *p; p++)
        arrived += *p == ' ';
    assert_in_range(arrived, 160, 240);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters),
        cmocka_unit_test(perfect_hub_delivers_in_order),
        cmocka_unit_test(faults_repeat_from_the_seed),
    };
    return cmocka_run_group_tests_name("link_memory", tests, NULL, NULL);
}
