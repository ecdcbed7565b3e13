/* SPDX-License-Identifier: Apache-2.0 */
/* A bare MQTT 3.1.1 client over TLS for hostile tests: sends what our own client never would. */
#ifndef CONSILIUM_RAW_MQTT_H
#define CONSILIUM_RAW_MQTT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct raw_mqtt;

struct raw_mqtt_options {
    uint16_t port;
    const char *ca_file;
    const char *cert_file, *key_file; /* NULL = no certificate */
    bool tls12;                       /* speak nothing newer */
};

/* Connects to 127.0.0.1, CONNECT included. NULL when the broker does not admit us. */
struct raw_mqtt *raw_mqtt_open(const struct raw_mqtt_options *options);

void raw_mqtt_close(struct raw_mqtt *client);

/* Sends a PUBLISH at QoS 1 of n bytes; false when the connection broke on the way. */
bool raw_mqtt_publish(struct raw_mqtt *client, const char *topic, const void *payload, size_t n);

/* The code in the SUBACK: 0 or 1 granted, 0x80 refused; -1 when the connection broke. */
int raw_mqtt_subscribe(struct raw_mqtt *client, const char *filter);

/* Sends bytes as they are. */
bool raw_mqtt_send(struct raw_mqtt *client, const void *bytes, size_t n);

/* Waits up to ms for a PUBLISH; true when one came. */
bool raw_mqtt_hears(struct raw_mqtt *client, int ms);

/* The broker has closed the connection, within ms. */
bool raw_mqtt_closed(struct raw_mqtt *client, int ms);

#endif
