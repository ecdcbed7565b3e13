/* SPDX-License-Identifier: Apache-2.0 */
/* One MQTT session over TLS at a time, by the Paho library, without its traps.
 *
 * The library calls back on its own threads while it holds its lock, so a callback only leaves a
 * note, or a packet in the queue, and wakes the owner. Every function here but the callbacks
 * belongs to one thread, the owner's. */
#ifndef CONSILIUM_MQTT_CLIENT_H
#define CONSILIUM_MQTT_CLIENT_H

#include "proto/link_queue.h"

enum { MQTT_SUBSCRIPTIONS_MAX = 8, MQTT_REASON_BYTES = 384 };

/* Why a connection failed when neither the library nor the broker says more. */
#define MQTT_NO_ANSWER "it does not answer: does its name resolve here, is its port open?"

/* What the callbacks have seen since the owner last looked. */
struct mqtt_notes {
    bool connected, subscribed;
    bool failed;        /* the attempt to connect */
    bool lost;          /* the connection, or the right to subscribe */
    bool other_version; /* with failed: the broker may not speak this version of MQTT */
    char reason[MQTT_REASON_BYTES];
};

/* Strings are borrowed and must outlive the client. */
struct mqtt_options {
    const char *uri; /* ssl://host:port */
    const char *identifier;
    const char *ca_file, *cert_file, *key_file;
    const char *will_topic; /* or NULL */
    char **subscriptions;
    int subscriptions_count;
};

struct mqtt_client;

/* Packets go to queue, which is borrowed. */
struct result mqtt_client_open(const struct mqtt_options *options, struct link_queue *queue,
                               struct mqtt_client **ret_client, struct why *why) MUST_CHECK;

/* Starts an attempt to connect; a note tells its end. A failure to start leaves a reason. */
bool mqtt_client_connect(struct mqtt_client *client, char reason[MQTT_REASON_BYTES]);

/* Asks for the subscriptions; a note tells the answer. */
bool mqtt_client_subscribe(struct mqtt_client *client);

enum mqtt_sent { MQTT_SENT, MQTT_WINDOW_FULL, MQTT_NOT_CONNECTED, MQTT_BAD_TOPIC };

/* QoS 1, copied. After MQTT_WINDOW_FULL the queue is woken as soon as there is room. */
enum mqtt_sent mqtt_client_send(struct mqtt_client *client, const char *topic, const void *payload,
                                size_t n, bool retained);

/* Packets that the broker has not acknowledged. */
unsigned mqtt_client_in_flight(struct mqtt_client *client);

/* Ends the connection or the attempt. */
void mqtt_client_disconnect(struct mqtt_client *client);

/* MQTT 3.1.1 instead of 5 from the next attempt on, or back. */
void mqtt_client_change_version(struct mqtt_client *client);

/* Takes the notes and clears them. */
struct mqtt_notes mqtt_client_notes(struct mqtt_client *client);

/* NULL is fine. */
void mqtt_client_close(struct mqtt_client *client);

#endif
