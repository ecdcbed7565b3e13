/* SPDX-License-Identifier: Apache-2.0 */
/* The link over MQTT and TLS 1.3: connects, subscribes, keeps presence, and comes back.
 *
 *   WAITING --timer--> CONNECTING --connected--> SUBSCRIBING --subscribed--> UP
 *      ^                   |                          |                      |
 *      +--failed, lost or no answer in time-----------+----------------------+
 *
 * All of it runs in the owner's thread, inside next and publish. */
#include "privacy/rng.h"
#include "proto/base/cleanup.h"
#include "proto/base/fs.h"
#include "proto/link_queue.h"
#include "proto/link_socket.h"
#include "proto/mqtt_client.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
    ANSWER_TIMEOUT_MS = 20000, /* the library's own timeout has passed long before */
    STABLE_MS = 30000,         /* a connection that lasted so long resets the back-off */
    BACKOFF_MS_MIN = 250,
    BACKOFF_MS_MAX = 60000,
    GOODBYE_MS = 1000,
    KEY_FILE_MAX = 16384,
    URI_BYTES = 300,
};

static const char URI_SCHEME[] = "ssl://";

enum state { STATE_WAITING, STATE_CONNECTING, STATE_SUBSCRIBING, STATE_UP };

struct link_mqtt {
    struct link link;
    enum state state;
    struct mqtt_client *client;
    struct link_queue queue;
    int descriptor; /* epoll: the queue's and the timer */
    int timer;
    unsigned attempts;
    unsigned backoff_ms_min, backoff_ms_max;
    uint64_t up_since_ms;
    char told[MQTT_REASON_BYTES]; /* the last reason the owner got for not being connected */
    struct rng rng;
    char uri[URI_BYTES], identifier[128];
    uint16_t port;
    char *ca_file, *cert_file, *key_file, *will_topic;
    char *subscriptions[MQTT_SUBSCRIPTIONS_MAX];
    int subscriptions_count;
};

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void arm_timer(struct link_mqtt *l, uint64_t ms)
{
    struct itimerspec t = {.it_value = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000}};
    timerfd_settime(l->timer, 0, &t, NULL);
}

/* Half to the whole of min 2^attempts, capped: a broker's restart must not bring everybody back in
 * the same moment. */
static uint64_t backoff_ms(struct link_mqtt *l)
{
    uint64_t ms = l->backoff_ms_min;
    for (unsigned i = 0; i < l->attempts && ms < l->backoff_ms_max; i++)
        ms *= 2;
    if (ms > l->backoff_ms_max)
        ms = l->backoff_ms_max;
    return ms / 2 + rng_below(&l->rng, ms / 2 + 1);
}

/* Waits for the next attempt; true with an event when the owner does not know the reason yet. */
static bool disconnected(struct link_mqtt *l, const char *reason, struct link_event *event)
{
    bool was_up = l->state == STATE_UP;
    if (was_up && now_ms() - l->up_since_ms >= STABLE_MS)
        l->attempts = 0;
    l->state = STATE_WAITING;
    arm_timer(l, backoff_ms(l) + 1);
    if (l->attempts < 31)
        l->attempts++;
    if (!was_up && strcmp(reason, l->told) == 0)
        return false;
    snprintf(l->told, sizeof l->told, "%s", reason);
    *event = (struct link_event){.kind = LINK_DISCONNECTED};
    snprintf(event->reason, sizeof event->reason, "broker %.60s: %.360s",
             l->uri + sizeof URI_SCHEME - 1, reason);
    return true;
}

/* Ends a connection or an attempt from our side. */
static bool abandon(struct link_mqtt *l, const char *reason, struct link_event *event)
{
    mqtt_client_disconnect(l->client);
    return disconnected(l, reason, event);
}

static bool connect_now(struct link_mqtt *l, struct link_event *event)
{
    char reason[MQTT_REASON_BYTES];
    if (!mqtt_client_connect(l->client, reason))
        return disconnected(l, reason, event);
    l->state = STATE_CONNECTING;
    arm_timer(l, ANSWER_TIMEOUT_MS);
    return false;
}

static void tell_presence(struct link_mqtt *l, const char *text)
{
    if (l->will_topic)
        mqtt_client_send(l->client, l->will_topic, text, strlen(text), true);
}

static bool up(struct link_mqtt *l, struct link_event *event)
{
    l->state = STATE_UP;
    l->up_since_ms = now_ms();
    l->told[0] = '\0';
    arm_timer(l, 0);
    tell_presence(l, "online");
    *event = (struct link_event){.kind = LINK_CONNECTED};
    return true;
}

static bool connected(struct link_mqtt *l, struct link_event *event)
{
    link_socket_tune(l->port);
    if (l->subscriptions_count == 0)
        return up(l, event);
    if (!mqtt_client_subscribe(l->client))
        return abandon(l, "it does not take subscriptions", event);
    l->state = STATE_SUBSCRIBING;
    arm_timer(l, ANSWER_TIMEOUT_MS);
    return false;
}

/* The link's own work; true when it gives an event. */
static bool advance(struct link_mqtt *l, struct link_event *event)
{
    uint64_t expirations = 0;
    bool expired = read(l->timer, &expirations, sizeof expirations) == sizeof expirations;
    struct mqtt_notes notes = mqtt_client_notes(l->client);
    if (l->state == STATE_WAITING)
        return expired && connect_now(l, event);
    if (notes.failed || notes.lost) {
        /* Only a refused subscription leaves a connection to end. */
        bool told = abandon(l, notes.reason, event);
        if (notes.failed && notes.other_version)
            mqtt_client_change_version(l->client);
        return told;
    }
    if (notes.connected && l->state == STATE_CONNECTING)
        return connected(l, event);
    if (notes.subscribed && l->state == STATE_SUBSCRIBING)
        return up(l, event);
    if (expired && l->state != STATE_UP)
        return abandon(l, MQTT_NO_ANSWER, event);
    return false;
}

static struct link_mqtt *of(struct link *link)
{
    return (struct link_mqtt *)(void *)((char *)link - offsetof(struct link_mqtt, link));
}

static int mqtt_descriptor(struct link *link)
{
    return of(link)->descriptor;
}

static bool mqtt_next(struct link *link, struct link_event *event)
{
    struct link_mqtt *l = of(link);
    /* An empty queue quiets the descriptor, and with it perhaps a note that came since: look again.
     */
    return advance(l, event) || link_queue_take(&l->queue, event) || advance(l, event);
}

static struct result mqtt_publish(struct link *link, const char *topic,
                                  const unsigned char *payload, size_t n, struct why *why)
{
    struct link_mqtt *l = of(link);
    if (n > LINK_PACKET_MAX)
        return failed(why, RESULT_INPUT, "a packet of %zu bytes; the link takes at most %d", n,
                      LINK_PACKET_MAX);
    if (l->state != STATE_UP)
        return failed(why, RESULT_AGAIN, "not connected to the broker");
    switch (mqtt_client_send(l->client, topic, payload, n, false)) {
    case MQTT_SENT:
        return DONE;
    case MQTT_WINDOW_FULL:
        return failed(why, RESULT_AGAIN, "the broker has not yet taken the packets before");
    case MQTT_BAD_TOPIC:
        return failed(why, RESULT_INPUT, "a topic that is not UTF-8");
    case MQTT_NOT_CONNECTED:
        break;
    }
    return failed(why, RESULT_AGAIN, "not connected to the broker");
}

static void say_goodbye(struct link_mqtt *l)
{
    tell_presence(l, "offline");
    uint64_t start = now_ms();
    while (mqtt_client_in_flight(l->client) > 0 && now_ms() - start < GOODBYE_MS)
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

static void mqtt_close(struct link *link)
{
    struct link_mqtt *l = of(link);
    if (l->state == STATE_UP)
        say_goodbye(l);
    mqtt_client_close(l->client);
    if (l->timer >= 0)
        close(l->timer);
    if (l->descriptor >= 0)
        close(l->descriptor);
    link_queue_close(&l->queue);
    for (int i = 0; i < l->subscriptions_count; i++)
        free(l->subscriptions[i]);
    free(l->ca_file);
    free(l->cert_file);
    free(l->key_file);
    free(l->will_topic);
    rng_wipe(&l->rng);
    free(l);
}

static const struct link_operations OPERATIONS = {mqtt_descriptor, mqtt_next, mqtt_publish,
                                                  mqtt_close};

/* Whoever knows a client identifier can take its connection's place, so it holds what only the
 * key's owner knows. */
static struct result choose_identifier(struct link_mqtt *l, const struct link_options *options,
                                       struct why *why)
{
    unsigned char secret[16];
    char hex[2 * sizeof secret + 1];
    if (options->many) {
        rng_bytes(&l->rng, secret, sizeof secret);
    } else {
        CLEANUP(free_pointer) char *key = NULL;
        size_t n = 0;
        TRY(fs_read(options->key_file, KEY_FILE_MAX, &key, &n, why));
        static const unsigned char label[16] = "client id";
        crypto_generichash(secret, sizeof secret, (const unsigned char *)key, n, label,
                           sizeof label);
        sodium_memzero(key, n);
    }
    sodium_bin2hex(hex, sizeof hex, secret, sizeof secret);
    snprintf(l->identifier, sizeof l->identifier, "%.63s-%s", options->name, hex);
    return DONE;
}

static struct result copy_options(struct link_mqtt *l, const struct link_options *options,
                                  struct why *why)
{
    bool six = strchr(options->host, ':') != NULL;
    int n = snprintf(l->uri, sizeof l->uri, six ? "%s[%s]:%u" : "%s%s:%u", URI_SCHEME,
                     options->host, options->port);
    if (n < 0 || (size_t)n >= sizeof l->uri)
        return failed(why, RESULT_INPUT, "the broker's host name is too long");
    l->port = options->port;
    l->backoff_ms_min = options->backoff_ms_min ? options->backoff_ms_min : BACKOFF_MS_MIN;
    l->backoff_ms_max = options->backoff_ms_max ? options->backoff_ms_max : BACKOFF_MS_MAX;
    l->ca_file = strdup(options->ca_file);
    l->cert_file = strdup(options->cert_file);
    l->key_file = strdup(options->key_file);
    bool complete = l->ca_file && l->cert_file && l->key_file;
    if (options->will_topic) {
        l->will_topic = strdup(options->will_topic);
        complete = complete && l->will_topic;
    }
    for (const char *const *s = options->subscriptions; s && *s; s++) {
        if (l->subscriptions_count == MQTT_SUBSCRIPTIONS_MAX)
            return failed(why, RESULT_INPUT, "more than %d subscriptions", MQTT_SUBSCRIPTIONS_MAX);
        char *copy = strdup(*s);
        l->subscriptions[l->subscriptions_count++] = copy;
        complete = complete && copy;
    }
    return complete ? DONE : failed(why, RESULT_SYSTEM, "no memory for the link");
}

static struct result watch(struct link_mqtt *l, int fd, struct why *why)
{
    struct epoll_event interest = {.events = EPOLLIN};
    if (fd < 0 || l->descriptor < 0 || epoll_ctl(l->descriptor, EPOLL_CTL_ADD, fd, &interest) != 0)
        return failed(why, RESULT_SYSTEM, "no descriptors for the link: %s", strerror(errno));
    return DONE;
}

static struct result prepare(struct link_mqtt *l, const struct link_options *options,
                             struct why *why)
{
    TRY(link_queue_open(&l->queue, why));
    l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    l->descriptor = epoll_create1(EPOLL_CLOEXEC);
    TRY(watch(l, l->timer, why));
    TRY(watch(l, l->queue.wake, why));
    TRY(copy_options(l, options, why));
    TRY(choose_identifier(l, options, why));
    struct mqtt_options mqtt = {
        .uri = l->uri,
        .identifier = l->identifier,
        .ca_file = l->ca_file,
        .cert_file = l->cert_file,
        .key_file = l->key_file,
        .will_topic = l->will_topic,
        .subscriptions = l->subscriptions,
        .subscriptions_count = l->subscriptions_count,
    };
    return mqtt_client_open(&mqtt, &l->queue, &l->client, why);
}

struct result link_mqtt_open(const struct link_options *options, struct link **ret_link,
                             struct why *why)
{
    struct link_mqtt *l = calloc(1, sizeof *l);
    if (!l)
        return failed(why, RESULT_SYSTEM, "no memory for the link");
    l->link.operations = &OPERATIONS;
    l->timer = l->descriptor = l->queue.wake = -1;
    rng_init_system(&l->rng);
    struct result r = prepare(l, options, why);
    if (!ok(r)) {
        mqtt_close(&l->link);
        return r;
    }
    arm_timer(l, 1);
    *ret_link = &l->link;
    return DONE;
}
