/* SPDX-License-Identifier: Apache-2.0 */
/* One MQTT session over TLS at a time: the only file that speaks to the Paho library. */
#include "proto/mqtt_client.h"

#include "proto/tls_floor.h"

#include <MQTTAsync.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WINDOW_MAX = 64,   /* packets not yet acknowledged by the broker */
    KEEP_ALIVE_S = 15, /* a dead connection is noticed within 2.5 times this */
    CONNECT_TIMEOUT_S = 10,
};

/* One client of the library per protocol version, since none can change its own. */
struct session {
    struct mqtt_client *client;
    MQTTAsync handle;   /* NULL until first used */
    bool five;          /* MQTT 5 */
    unsigned in_flight; /* under the mutex */
};

struct mqtt_client {
    struct mqtt_options options;
    struct link_queue *queue;
    struct session sessions[2]; /* MQTT 5, MQTT 3.1.1 */
    struct session *session;    /* in use */
    pthread_mutex_t mutex;      /* of all below, shared with the library's threads */
    struct mqtt_notes notes;
    char tls_reason[MQTT_REASON_BYTES - 64];
    unsigned window;
    bool starved;      /* a packet found the window full */
    bool refusal_told; /* in this connection */
};

/* Why the library says a connection failed, as far as it knows. */
static const char *failure_text(const struct session *s, int code, const char *message)
{
    static const char *const refusals[] = {
        [1] = "it does not speak this version of MQTT",
        [2] = "it refuses the client identifier",
        [3] = "it is not available",
        [4] = "it refuses the name",
        [5] = "it does not admit this member",
    };
    if (code >= 1 && code <= 5)
        return refusals[code];
    const char *text = NULL;
    if (s->five && code >= MQTTREASONCODE_UNSPECIFIED_ERROR)
        text = MQTTReasonCode_toString((enum MQTTReasonCodes)code);
    if (!text && s->client->tls_reason[0])
        text = s->client->tls_reason;
    if (!text && message && strstr(message, "completion"))
        text = "it closes the connection: it may not accept this member's certificate any more";
    return text ? text : MQTT_NO_ANSWER;
}

static void note_failure(struct session *s, int code, const char *message)
{
    struct mqtt_client *c = s->client;
    pthread_mutex_lock(&c->mutex);
    c->notes.failed = true;
    /* Before the broker has seen MQTT, another version of it would not help. */
    c->notes.other_version =
        message && !strstr(message, "TLS connect failure") && !strstr(message, "timeout");
    snprintf(c->notes.reason, sizeof c->notes.reason, "%s", failure_text(s, code, message));
    pthread_mutex_unlock(&c->mutex);
    link_queue_wake(c->queue);
}

static void on_connect_failure(void *context, MQTTAsync_failureData *data)
{
    note_failure(context, data ? data->code : 0, data ? data->message : NULL);
}

static void on_connect_failure5(void *context, MQTTAsync_failureData5 *data)
{
    int code = !data ? 0 : data->reasonCode ? (int)data->reasonCode : data->code;
    note_failure(context, code, data ? data->message : NULL);
}

static void note_connected(struct session *s, unsigned window)
{
    struct mqtt_client *c = s->client;
    pthread_mutex_lock(&c->mutex);
    c->notes.connected = true;
    c->window = window;
    c->refusal_told = false;
    pthread_mutex_unlock(&c->mutex);
    link_queue_wake(c->queue);
}

static void on_connect(void *context, MQTTAsync_successData *data)
{
    (void)data;
    note_connected(context, WINDOW_MAX);
}

/* The library holds packets beyond the broker's receive maximum back and is slow to send them, so
 * the window never goes beyond it. */
static void on_connect5(void *context, MQTTAsync_successData5 *data)
{
    unsigned window = WINDOW_MAX;
    if (data && MQTTProperties_hasProperty(&data->properties, MQTTPROPERTY_CODE_RECEIVE_MAXIMUM)) {
        int most = (int)MQTTProperties_getNumericValue(&data->properties,
                                                       MQTTPROPERTY_CODE_RECEIVE_MAXIMUM);
        if (most > 0 && most < WINDOW_MAX)
            window = (unsigned)most;
    }
    note_connected(context, window);
}

static void note_lost(struct mqtt_client *c, const char *reason)
{
    pthread_mutex_lock(&c->mutex);
    c->notes.lost = true;
    if (!c->notes.reason[0]) {
        const char *text = c->tls_reason[0] ? c->tls_reason : "the connection was lost";
        snprintf(c->notes.reason, sizeof c->notes.reason, "%s", reason ? reason : text);
    }
    pthread_mutex_unlock(&c->mutex);
    link_queue_wake(c->queue);
}

static void on_lost(void *context, char *cause)
{
    (void)cause;
    note_lost(((struct session *)context)->client, NULL);
}

static void on_disconnected(void *context, MQTTProperties *properties, enum MQTTReasonCodes code)
{
    (void)properties;
    note_lost(((struct session *)context)->client, MQTTReasonCode_toString(code));
}

static void note_subscribed(struct session *s, bool granted)
{
    struct mqtt_client *c = s->client;
    if (!granted) {
        note_lost(c, "it does not let this member read its topics");
        return;
    }
    pthread_mutex_lock(&c->mutex);
    c->notes.subscribed = true;
    pthread_mutex_unlock(&c->mutex);
    link_queue_wake(c->queue);
}

static void on_subscribed(void *context, MQTTAsync_successData *data)
{
    struct session *s = context;
    int count = s->client->options.subscriptions_count;
    bool granted = true;
    for (int i = 0; data && i < count; i++)
        granted = granted && (count == 1 ? data->alt.qos : data->alt.qosList[i]) < 0x80;
    note_subscribed(s, granted);
}

static void on_subscribed5(void *context, MQTTAsync_successData5 *data)
{
    int count = data ? data->alt.sub.reasonCodeCount : 0;
    bool granted = true;
    for (int i = 0; count > 1 && i < count; i++)
        granted = granted && (int)data->alt.sub.reasonCodes[i] < 0x80;
    note_subscribed(context, granted);
}

static void on_subscribe_failure(void *context, MQTTAsync_failureData *data)
{
    (void)data;
    note_subscribed(context, false);
}

static void on_subscribe_failure5(void *context, MQTTAsync_failureData5 *data)
{
    (void)data;
    note_subscribed(context, false);
}

/* One packet less is in flight; code is MQTT 5's reason when the broker refused it. */
static void note_sent(struct session *s, int code)
{
    struct mqtt_client *c = s->client;
    pthread_mutex_lock(&c->mutex);
    if (s->in_flight > 0)
        s->in_flight--;
    bool wake = c->starved;
    c->starved = false;
    bool tell = code >= MQTTREASONCODE_UNSPECIFIED_ERROR && !c->refusal_told;
    c->refusal_told = c->refusal_told || tell;
    pthread_mutex_unlock(&c->mutex);
    if (tell) {
        char reason[MQTT_REASON_BYTES];
        const char *text = MQTTReasonCode_toString((enum MQTTReasonCodes)code);
        snprintf(reason, sizeof reason, "the broker refused a packet: %s",
                 text ? text : "no reason given");
        link_queue_event(c->queue, LINK_REFUSED, reason);
    } else if (wake) {
        link_queue_wake(c->queue);
    }
}

static void on_sent(void *context, MQTTAsync_successData *data)
{
    (void)data;
    note_sent(context, 0);
}

static void on_sent5(void *context, MQTTAsync_successData5 *data)
{
    (void)data;
    note_sent(context, 0);
}

static void on_send_failure(void *context, MQTTAsync_failureData *data)
{
    (void)data;
    note_sent(context, 0);
}

static void on_send_failure5(void *context, MQTTAsync_failureData5 *data)
{
    note_sent(context, data ? (int)data->reasonCode : 0);
}

static int on_packet(void *context, char *topic, int topic_n, MQTTAsync_message *message)
{
    struct session *s = context;
    /* The length is sometimes 0 for a topic that a zero ends; one with a zero inside is not ours.
     */
    size_t n = topic_n > 0 ? (size_t)topic_n : strlen(topic);
    if (!memchr(topic, 0, n) && message->payloadlen >= 0)
        link_queue_packet(s->client->queue, topic, n, message->payload,
                          (size_t)message->payloadlen);
    MQTTAsync_freeMessage(&message);
    MQTTAsync_free(topic);
    return 1;
}

/* What most likely stands behind a reason of OpenSSL's. */
static const char *tls_remedy(const char *reason)
{
    if (strstr(reason, "certificate verify failed"))
        return " (who answers there is not this consortium's broker: another address, or a "
               "firewall "
               "or antivirus that opens TLS and must let this connection pass unopened)";
    if (strstr(reason, "protocol version"))
        return " (who answers there speaks no TLS 1.3: another program, or a firewall that opens "
               "TLS)";
    return "";
}

/* OpenSSL's line "thread:error:code:library:function:reason:...": keeps the reason. */
static int on_tls_error(const char *text, size_t n, void *context)
{
    struct mqtt_client *c = ((struct session *)context)->client;
    size_t start = 0;
    for (int colons = 0; start < n && colons < 5; start++)
        colons += text[start] == ':';
    size_t length = 0;
    while (start + length < n && text[start + length] != ':' && text[start + length] != '\n')
        length++;
    pthread_mutex_lock(&c->mutex);
    if (length > 0) {
        char reason[64];
        snprintf(reason, sizeof reason, "%.*s", (int)length, text + start);
        snprintf(c->tls_reason, sizeof c->tls_reason, "TLS: %s%s", reason, tls_remedy(reason));
    }
    pthread_mutex_unlock(&c->mutex);
    return 1;
}

static int session_create(struct session *s)
{
    if (s->handle)
        return MQTTASYNC_SUCCESS;
    MQTTAsync_createOptions options = MQTTAsync_createOptions_initializer;
    options.MQTTVersion = s->five ? MQTTVERSION_5 : MQTTVERSION_3_1_1;
    MQTTAsync handle = NULL;
    int rc =
        MQTTAsync_createWithOptions(&handle, s->client->options.uri, s->client->options.identifier,
                                    MQTTCLIENT_PERSISTENCE_NONE, NULL, &options);
    if (rc != MQTTASYNC_SUCCESS)
        return rc;
    rc = MQTTAsync_setCallbacks(handle, s, on_lost, on_packet, NULL);
    if (rc == MQTTASYNC_SUCCESS && s->five)
        rc = MQTTAsync_setDisconnected(handle, s, on_disconnected);
    if (rc == MQTTASYNC_SUCCESS)
        s->handle = handle;
    else
        MQTTAsync_destroy(&handle);
    return rc;
}

static int session_connect(struct session *s)
{
    const struct mqtt_options *o = &s->client->options;
    MQTTAsync_connectOptions three = MQTTAsync_connectOptions_initializer;
    MQTTAsync_connectOptions five = MQTTAsync_connectOptions_initializer5;
    MQTTAsync_connectOptions options = s->five ? five : three;
    MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;
    MQTTAsync_willOptions will = MQTTAsync_willOptions_initializer;
    tls.trustStore = o->ca_file;
    tls.keyStore = o->cert_file;
    tls.privateKey = o->key_file;
    tls.enableServerCertAuth = 1;
    tls.verify = 1;
    tls.disableDefaultTrustStore = 1;
    tls.ssl_error_cb = on_tls_error;
    tls.ssl_error_context = s;
    will.topicName = o->will_topic;
    will.message = "offline";
    will.retained = 1;
    will.qos = 1;
    options.ssl = &tls;
    options.will = o->will_topic ? &will : NULL;
    options.keepAliveInterval = KEEP_ALIVE_S;
    options.connectTimeout = CONNECT_TIMEOUT_S;
    options.maxInflight = WINDOW_MAX;
    options.context = s;
    if (s->five) {
        options.cleanstart = 1;
        options.onSuccess5 = on_connect5;
        options.onFailure5 = on_connect_failure5;
    } else {
        options.MQTTVersion = MQTTVERSION_3_1_1;
        options.cleansession = 1;
        options.onSuccess = on_connect;
        options.onFailure = on_connect_failure;
    }
    /* The library starts its threads here: signals stay with ours. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = MQTTAsync_connect(s->handle, &options);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

bool mqtt_client_connect(struct mqtt_client *c, char reason[MQTT_REASON_BYTES])
{
    pthread_mutex_lock(&c->mutex);
    c->notes = (struct mqtt_notes){0};
    c->tls_reason[0] = '\0';
    pthread_mutex_unlock(&c->mutex);
    int rc = session_create(c->session);
    if (rc == MQTTASYNC_SUCCESS)
        rc = session_connect(c->session);
    if (rc == MQTTASYNC_SUCCESS)
        return true;
    const char *text = MQTTAsync_strerror(rc);
    snprintf(reason, MQTT_REASON_BYTES, "%s", text ? text : "the MQTT library failed");
    return false;
}

bool mqtt_client_subscribe(struct mqtt_client *c)
{
    MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;
    options.context = c->session;
    if (c->session->five) {
        options.onSuccess5 = on_subscribed5;
        options.onFailure5 = on_subscribe_failure5;
    } else {
        options.onSuccess = on_subscribed;
        options.onFailure = on_subscribe_failure;
    }
    int qos[MQTT_SUBSCRIPTIONS_MAX];
    for (int i = 0; i < MQTT_SUBSCRIPTIONS_MAX; i++)
        qos[i] = 1;
    return MQTTAsync_subscribeMany(c->session->handle, c->options.subscriptions_count,
                                   c->options.subscriptions, qos, &options) == MQTTASYNC_SUCCESS;
}

enum mqtt_sent mqtt_client_send(struct mqtt_client *c, const char *topic, const void *payload,
                                size_t n, bool retained)
{
    struct session *s = c->session;
    MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;
    options.context = s;
    if (s->five) {
        options.onSuccess5 = on_sent5;
        options.onFailure5 = on_send_failure5;
    } else {
        options.onSuccess = on_sent;
        options.onFailure = on_send_failure;
    }
    pthread_mutex_lock(&c->mutex);
    bool full = s->in_flight >= c->window;
    c->starved = c->starved || full;
    s->in_flight += !full;
    pthread_mutex_unlock(&c->mutex);
    if (full)
        return MQTT_WINDOW_FULL;
    int rc = MQTTAsync_send(s->handle, topic, (int)n, payload, 1, retained, &options);
    if (rc == MQTTASYNC_SUCCESS)
        return MQTT_SENT;
    pthread_mutex_lock(&c->mutex);
    s->in_flight--;
    pthread_mutex_unlock(&c->mutex);
    return rc == MQTTASYNC_BAD_UTF8_STRING ? MQTT_BAD_TOPIC : MQTT_NOT_CONNECTED;
}

unsigned mqtt_client_in_flight(struct mqtt_client *c)
{
    pthread_mutex_lock(&c->mutex);
    unsigned n = c->session->in_flight;
    pthread_mutex_unlock(&c->mutex);
    return n;
}

void mqtt_client_disconnect(struct mqtt_client *c)
{
    MQTTAsync_disconnectOptions three = MQTTAsync_disconnectOptions_initializer;
    MQTTAsync_disconnectOptions five = MQTTAsync_disconnectOptions_initializer5;
    if (c->session->handle)
        MQTTAsync_disconnect(c->session->handle, c->session->five ? &five : &three);
}

void mqtt_client_change_version(struct mqtt_client *c)
{
    c->session = &c->sessions[c->session == &c->sessions[0]];
}

struct mqtt_notes mqtt_client_notes(struct mqtt_client *c)
{
    pthread_mutex_lock(&c->mutex);
    struct mqtt_notes notes = c->notes;
    c->notes = (struct mqtt_notes){0};
    pthread_mutex_unlock(&c->mutex);
    return notes;
}

/* The library stops its threads, waiting for up to seconds, with its last client; so one client
 * that never connects stays until the process ends. */
static void keep_library(void)
{
    static MQTTAsync anchor;
    MQTTAsync_create(&anchor, "tcp://localhost:1", "anchor", MQTTCLIENT_PERSISTENCE_NONE, NULL);
}

struct result mqtt_client_open(const struct mqtt_options *options, struct link_queue *queue,
                               struct mqtt_client **ret_client, struct why *why)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    TRY(tls_floor(why));
    struct mqtt_client *c = calloc(1, sizeof *c);
    if (!c)
        return failed(why, RESULT_SYSTEM, "no memory for the MQTT client");
    c->options = *options;
    c->queue = queue;
    c->window = WINDOW_MAX;
    c->sessions[0] = (struct session){.client = c, .five = true};
    c->sessions[1] = (struct session){.client = c};
    c->session = &c->sessions[0];
    pthread_mutex_init(&c->mutex, NULL);
    pthread_once(&once, keep_library);
    *ret_client = c;
    return DONE;
}

void mqtt_client_close(struct mqtt_client *c)
{
    if (!c)
        return;
    for (int i = 0; i < 2; i++) {
        if (c->sessions[i].handle)
            MQTTAsync_destroy(&c->sessions[i].handle);
    }
    pthread_mutex_destroy(&c->mutex);
    free(c);
}
