/* SPDX-License-Identifier: Apache-2.0 */
/* The link and the generated broker configuration against a real mosquitto: honest members get
 * through, hostile ones do not. With "as-nobody", root runs it as an ordinary user. */
#include "proto/topic.h"
#include "proto/transfer.h"
#include "tests/system/broker.h"
#include "tests/system/raw_mqtt.h"

#include <grp.h>
#include <netdb.h>
#include <poll.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 8000, SILENCE_MS = 400, NOBODY = 65534 };

static struct test_broker broker;
static struct link *coordinator; /* hears all that members send */
static struct why why;

static int open_all(void **state)
{
    static const char *const heard[] = {"cns/1/demo/up/#", "cns/1/demo/stat/#", NULL};
    (void)state;
    struct link_event event;
    test_broker_open(&broker);
    test_broker_enrol(&broker, "rome", ROLE_SITE);
    test_broker_enrol(&broker, "oslo", ROLE_SITE);
    test_broker_enrol(&broker, "ann", ROLE_AUDITOR);
    coordinator = test_broker_link(&broker, "coordinator", heard);
    return test_link_wait(coordinator, LINK_CONNECTED, PATIENCE_MS, &event) ? 0 : -1;
}

static int close_all(void **state)
{
    (void)state;
    coordinator->operations->close(coordinator);
    test_broker_close(&broker);
    return 0;
}

/* The coordinator hears nothing for a while. */
static void assert_silence(void)
{
    struct link_event event;
    bool heard = test_link_wait(coordinator, LINK_PACKET, SILENCE_MS, &event);
    if (heard) {
        free(event.payload);
        fail_msg("the coordinator heard %s", event.topic);
    }
}

static struct link *open_member(const char *name)
{
    char filter[LINK_TOPIC_BYTES];
    struct link_event event;
    snprintf(filter, sizeof filter, "cns/1/demo/down/%s/#", name);
    const char *filters[] = {filter, NULL};
    struct link *link = test_broker_link(&broker, name, filters);
    if (!test_link_wait(link, LINK_CONNECTED, PATIENCE_MS, &event))
        fail_msg("%s does not connect", name);
    return link;
}

static void send_text(struct link *link, const char *topic, const char *text)
{
    struct result r =
        link->operations->publish(link, topic, (const unsigned char *)text, strlen(text), &why);
    if (!ok(r))
        fail_msg("%s", why.text);
}

static void assert_hears(struct link *link, const char *topic, const char *text)
{
    struct link_event event;
    assert_true(test_link_wait(link, LINK_PACKET, PATIENCE_MS, &event));
    assert_string_equal(event.topic, topic);
    assert_int_equal(event.payload_n, strlen(text));
    assert_memory_equal(event.payload, text, event.payload_n);
    free(event.payload);
}

static struct raw_mqtt_options raw_options(const char *name)
{
    struct raw_mqtt_options options = {.port = broker.port,
                                       .ca_file = test_broker_file(&broker, "ca", "ca.crt")};
    if (name) {
        options.cert_file = test_broker_file(&broker, name, "tls.crt");
        options.key_file = test_broker_file(&broker, name, "tls.key");
    }
    return options;
}

static struct raw_mqtt *open_raw(const char *name)
{
    struct raw_mqtt_options options = raw_options(name);
    struct raw_mqtt *raw = raw_mqtt_open(&options);
    assert_non_null(raw);
    return raw;
}

static void honest_messages_get_through(void **state)
{
    (void)state;
    struct link *rome = open_member("rome");
    send_text(rome, "cns/1/demo/up/rome/m", "hello");
    assert_hears(coordinator, "cns/1/demo/up/rome/m", "hello");
    send_text(coordinator, "cns/1/demo/down/rome/m", "welcome");
    assert_hears(rome, "cns/1/demo/down/rome/m", "welcome");
    send_text(coordinator, "cns/1/demo/down/oslo/m", "not for rome");
    struct link_event event;
    assert_false(test_link_wait(rome, LINK_PACKET, SILENCE_MS, &event));
    rome->operations->close(rome);
}

/* The broker by its name; a bare root without /etc/hosts knows no name at all. */
static const char *broker_name(void)
{
    struct addrinfo *found = NULL;
    if (getaddrinfo("localhost", NULL, NULL, &found) != 0) {
        puts("this machine does not resolve localhost: connecting by address instead");
        return "127.0.0.1";
    }
    freeaddrinfo(found);
    return "localhost";
}

static void presence_follows_the_connection(void **state)
{
    (void)state;
    struct link *oslo = NULL;
    struct link_options options = {
        .host = broker_name(),
        .port = broker.port,
        .name = "oslo",
        .ca_file = test_broker_file(&broker, "ca", "ca.crt"),
        .cert_file = test_broker_file(&broker, "oslo", "tls.crt"),
        .key_file = test_broker_file(&broker, "oslo", "tls.key"),
        .will_topic = "cns/1/demo/stat/oslo",
    };
    assert_true(ok(link_mqtt_open(&options, &oslo, &why)));
    struct link_event event;
    assert_true(test_link_wait(oslo, LINK_CONNECTED, PATIENCE_MS, &event));
    assert_hears(coordinator, "cns/1/demo/stat/oslo", "online");
    oslo->operations->close(oslo);
    assert_hears(coordinator, "cns/1/demo/stat/oslo", "offline");
}

static void round_trips_are_quick(void **state)
{
    (void)state;
    enum { TRIPS = 50 };
    struct link *rome = open_member("rome");
    uint64_t start = test_now_ms();
    for (int i = 0; i < TRIPS; i++) {
        send_text(rome, "cns/1/demo/up/rome/m", "ping");
        assert_hears(coordinator, "cns/1/demo/up/rome/m", "ping");
        send_text(coordinator, "cns/1/demo/down/rome/m", "pong");
        assert_hears(rome, "cns/1/demo/down/rome/m", "pong");
    }
    uint64_t spent = test_now_ms() - start;
    printf("%d round trips in %llu ms\n", TRIPS, (unsigned long long)spent);
    /* With delayed acknowledgements each would take 40 ms or more. */
    assert_true(spent < TRIPS * 30);
    rome->operations->close(rome);
}

static void strangers_do_not_connect(void **state)
{
    (void)state;
    struct raw_mqtt_options options = raw_options(NULL);
    assert_null(raw_mqtt_open(&options));
    options = raw_options("rome");
    options.tls12 = true;
    assert_null(raw_mqtt_open(&options));
    options.tls12 = false;
    struct raw_mqtt *rome = raw_mqtt_open(&options);
    assert_non_null(rome);
    raw_mqtt_close(rome);
    /* The server's own certificate is not a member's. */
    char cert[FS_PATH_BYTES + 32], key[FS_PATH_BYTES + 32];
    snprintf(cert, sizeof cert, "%s/broker/server.crt", broker.consortium.folder);
    snprintf(key, sizeof key, "%s/broker/server.key", broker.consortium.folder);
    options.cert_file = cert;
    options.key_file = key;
    assert_null(raw_mqtt_open(&options));
}

/* A consortium of the same name elsewhere issues a certificate for "rome". */
static void another_authority_is_refused(void **state)
{
    (void)state;
    struct test_broker other;
    const char *none[] = {NULL};
    struct link_event event;
    test_broker_open(&other);
    test_broker_enrol(&other, "rome", ROLE_SITE);
    struct raw_mqtt_options options = raw_options(NULL);
    options.cert_file = test_broker_file(&other, "rome", "tls.crt");
    options.key_file = test_broker_file(&other, "rome", "tls.key");
    assert_null(raw_mqtt_open(&options));
    /* And our link refuses a broker of another authority. */
    struct test_broker crossed = broker;
    crossed.port = other.port;
    struct link *link = test_broker_link(&crossed, "rome", none);
    assert_true(test_link_wait(link, LINK_DISCONNECTED, PATIENCE_MS, &event));
    print_message("%s\n", event.reason);
    assert_false(test_link_wait(link, LINK_CONNECTED, SILENCE_MS, &event));
    link->operations->close(link);
    test_broker_close(&other);
}

static void foreign_topics_are_closed(void **state)
{
    (void)state;
    static const char *const forbidden[] = {"cns/1/demo/up/oslo/m", "cns/1/demo/stat/oslo",
                                            "cns/1/demo/stat/coordinator", "cns/1/demo/up"};
    struct raw_mqtt *rome = open_raw("rome");
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        assert_true(raw_mqtt_publish(rome, forbidden[i], "forged", 6));
    assert_silence();
    assert_true(raw_mqtt_publish(rome, "cns/1/demo/up/rome/m", "own", 3));
    assert_hears(coordinator, "cns/1/demo/up/rome/m", "own");
    /* Whatever it is told about a subscription, nothing of others arrives. */
    static const char *const filters[] = {"#", "cns/1/demo/down/oslo/#", "cns/1/demo/up/#",
                                          "cns/1/demo/down/+/m", "$SYS/#"};
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        raw_mqtt_subscribe(rome, filters[i]);
    send_text(coordinator, "cns/1/demo/down/oslo/m", "secret");
    assert_false(raw_mqtt_hears(rome, SILENCE_MS));
    raw_mqtt_close(rome);
}

static void wrong_roles_are_closed(void **state)
{
    (void)state;
    struct raw_mqtt *ann = open_raw("ann");
    assert_true(raw_mqtt_publish(ann, "cns/1/demo/down/rome/m", "I am the coordinator", 20));
    assert_true(raw_mqtt_publish(ann, "cns/1/demo/down/all/m", "I am the coordinator", 20));
    assert_true(raw_mqtt_publish(ann, "cns/1/demo/up/rome/m", "I am rome", 9));
    struct link *rome = open_member("rome");
    struct link_event event;
    assert_false(test_link_wait(rome, LINK_PACKET, SILENCE_MS, &event));
    assert_silence();
    raw_mqtt_close(ann);
    rome->operations->close(rome);
}

static void our_link_tells_what_was_refused(void **state)
{
    (void)state;
    struct link_event event;
    struct link *rome = open_member("rome");
    send_text(rome, "cns/1/demo/up/oslo/m", "forged");
    assert_true(test_link_wait(rome, LINK_REFUSED, PATIENCE_MS, &event));
    print_message("%s\n", event.reason);
    rome->operations->close(rome);
}

static void oversize_and_malformed_packets_end_the_connection(void **state)
{
    (void)state;
    static unsigned char big[200000];
    struct link *honest = open_member("oslo");
    assert_int_equal(honest->operations
                         ->publish(honest, "cns/1/demo/up/oslo/m", big, LINK_PACKET_MAX + 1, &why)
                         .code,
                     RESULT_INPUT);
    struct raw_mqtt *rome = open_raw("rome");
    raw_mqtt_publish(rome, "cns/1/demo/up/rome/c", big, sizeof big);
    assert_true(raw_mqtt_closed(rome, PATIENCE_MS));
    raw_mqtt_close(rome);
    /* QoS 2, which is not offered; a length without an end; a CONNECT in a CONNECT's place. */
    static const unsigned char odd[][6] = {{0x34, 3, 0, 1, 'a', 0},
                                           {0x30, 0xff, 0xff, 0xff, 0xff, 0xff},
                                           {0x10, 4, 0, 4, 'M', 'Q'}};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        rome = open_raw("rome");
        raw_mqtt_send(rome, odd[i], sizeof odd[i]);
        assert_true(raw_mqtt_closed(rome, PATIENCE_MS));
        raw_mqtt_close(rome);
    }
    assert_silence();
    /* The largest packet of ours goes through, and the honest member never noticed. */
    assert_true(ok(
        honest->operations->publish(honest, "cns/1/demo/up/oslo/c", big, LINK_PACKET_MAX, &why)));
    struct link_event event;
    assert_true(test_link_wait(coordinator, LINK_PACKET, PATIENCE_MS, &event));
    assert_int_equal(event.payload_n, LINK_PACKET_MAX);
    free(event.payload);
    honest->operations->close(honest);
}

static void links_survive_a_broker_restart(void **state)
{
    (void)state;
    struct link_event event;
    struct link *rome = open_member("rome");
    for (int i = 0; i < 2; i++) {
        test_broker_stop(&broker);
        assert_true(test_link_wait(rome, LINK_DISCONNECTED, PATIENCE_MS, &event));
        assert_true(test_link_wait(coordinator, LINK_DISCONNECTED, PATIENCE_MS, &event));
        assert_int_equal(rome->operations
                             ->publish(rome, "cns/1/demo/up/rome/m", (const unsigned char *)"x", 1,
                                       &why)
                             .code,
                         RESULT_AGAIN);
        test_broker_start(&broker);
        assert_true(test_link_wait(rome, LINK_CONNECTED, PATIENCE_MS, &event));
        assert_true(test_link_wait(coordinator, LINK_CONNECTED, PATIENCE_MS, &event));
        send_text(rome, "cns/1/demo/up/rome/m", "back");
        assert_hears(coordinator, "cns/1/demo/up/rome/m", "back");
    }
    rome->operations->close(rome);
}

/* One pass of both ends of a transfer; the acknowledgement is handed over directly. */
static bool transfer_step(struct link *from, struct transfer_out *out, struct transfer_in *in,
                          unsigned char *packet, size_t *waiting)
{
    struct message_object_ack ack = {0};
    struct link_event event;
    bool due = false, complete = false;
    while (*waiting > 0 || (*waiting = transfer_out_next(out, packet)) > 0) {
        if (!ok(from->operations->publish(from, "cns/1/demo/up/rome/c", packet, *waiting, &why)))
            break;
        *waiting = 0;
    }
    assert_true(test_link_wait(coordinator, LINK_PACKET, PATIENCE_MS, &event));
    assert_true(ok(transfer_in_chunk(in, event.payload, event.payload_n, &due, &complete, &why)));
    free(event.payload);
    if (due || complete) {
        transfer_in_ack(in, &ack);
        transfer_out_ack(out, &ack);
    }
    while (from->operations->next(from, &event))
        free(event.payload);
    return complete;
}

static void a_megabyte_goes_through_in_chunks(void **state)
{
    (void)state;
    enum { BYTES = 1 << 20 };
    struct message_object_offer offer = {.kind = OBJECT_UPDATE};
    struct message_object_ack ack = {0};
    struct transfer_out out;
    struct transfer_in in;
    unsigned char key[32], public_key[32], secret_key[32];
    unsigned char *plain = malloc(BYTES), *cipher = NULL, *opened = NULL;
    static unsigned char packet[TRANSFER_PACKET_MAX];
    size_t cipher_n = 0, opened_n = 0, waiting = 0;
    randombytes_buf(plain, BYTES);
    crypto_box_keypair(public_key, secret_key);
    assert_true(ok(transfer_seal(plain, BYTES, &offer, key, &cipher, &cipher_n, &why)));
    assert_true(ok(transfer_seal_key(&offer, key, public_key, &why)));
    transfer_out_start(&out, &offer, cipher, cipher_n);
    assert_true(ok(transfer_in_start(&in, &offer, 2 * BYTES, &why)));
    transfer_in_ack(&in, &ack);
    transfer_out_ack(&out, &ack);
    struct link *rome = open_member("rome");
    uint64_t start = test_now_ms();
    while (!transfer_step(rome, &out, &in, packet, &waiting))
        ;
    printf("1 MB in chunks in %llu ms\n", (unsigned long long)(test_now_ms() - start));
    assert_true(ok(transfer_open(&offer, public_key, secret_key, in.cipher, in.cipher_n, &opened,
                                 &opened_n, &why)));
    assert_int_equal(opened_n, BYTES);
    assert_memory_equal(opened, plain, BYTES);
    rome->operations->close(rome);
    transfer_in_free(&in);
    free(plain);
    free(cipher);
    free(opened);
}

/* Last: it takes oslo out of the consortium. */
static void revocation_silences_and_locks_out(void **state)
{
    (void)state;
    bool told = false;
    struct link_event event;
    struct link *oslo = open_member("oslo");
    send_text(oslo, "cns/1/demo/up/oslo/m", "before");
    assert_hears(coordinator, "cns/1/demo/up/oslo/m", "before");
    assert_true(ok(consortium_revoke(&broker.consortium, "oslo", "lost laptop", &told, &why)));
    assert_true(told);
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    /* The live connection says and hears nothing more. */
    send_text(oslo, "cns/1/demo/up/oslo/m", "after");
    send_text(coordinator, "cns/1/demo/down/oslo/m", "after");
    assert_silence();
    while (oslo->operations->next(oslo, &event))
        assert_int_not_equal(event.kind, LINK_PACKET);
    oslo->operations->close(oslo);
    /* And a new one is not made. */
    struct raw_mqtt_options options = raw_options("oslo");
    assert_null(raw_mqtt_open(&options));
    const char *none[] = {NULL};
    oslo = test_broker_link(&broker, "oslo", none);
    assert_true(test_link_wait(oslo, LINK_DISCONNECTED, PATIENCE_MS, &event));
    print_message("%s\n", event.reason);
    assert_false(test_link_wait(oslo, LINK_CONNECTED, SILENCE_MS, &event));
    oslo->operations->close(oslo);
    /* Others go on. */
    struct link *rome = open_member("rome");
    send_text(rome, "cns/1/demo/up/rome/m", "still here");
    assert_hears(coordinator, "cns/1/demo/up/rome/m", "still here");
    rome->operations->close(rome);
}

static int run_all(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(honest_messages_get_through),
        cmocka_unit_test(presence_follows_the_connection),
        cmocka_unit_test(round_trips_are_quick),
        cmocka_unit_test(strangers_do_not_connect),
        cmocka_unit_test(another_authority_is_refused),
        cmocka_unit_test(foreign_topics_are_closed),
        cmocka_unit_test(wrong_roles_are_closed),
        cmocka_unit_test(our_link_tells_what_was_refused),
        cmocka_unit_test(oversize_and_malformed_packets_end_the_connection),
        cmocka_unit_test(links_survive_a_broker_restart),
        cmocka_unit_test(a_megabyte_goes_through_in_chunks),
        cmocka_unit_test(revocation_silences_and_locks_out),
    };
    return cmocka_run_group_tests_name("broker", tests, open_all, close_all);
}

int main(int argc, char **argv)
{
    enum { SKIPPED = 77 };
    bool ordinary = argc == 2 && strcmp(argv[1], "as-nobody") == 0;
    if (access("/usr/sbin/mosquitto", X_OK) != 0) {
        puts("mosquitto is not installed: passed over");
        return SKIPPED;
    }
    if (ordinary && geteuid() != 0) {
        puts("not root: the other run was an ordinary user's already");
        return SKIPPED;
    }
    if (ordinary && (setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
        return 1;
    return sodium_init() < 0 ? 1 : run_all();
}
