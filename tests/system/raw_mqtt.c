/* SPDX-License-Identifier: Apache-2.0 */
/* A bare MQTT 3.1.1 client over TLS for hostile tests. */
#include "tests/system/raw_mqtt.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PACKET_MAX = 1 << 20, WAIT_MS = 3000 };

struct raw_mqtt {
    SSL_CTX *context;
    SSL *tls;
    int fd;
};

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int tcp_connect(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval patience = {.tv_sec = WAIT_MS / 1000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool tls_connect(struct raw_mqtt *c, const struct raw_mqtt_options *options)
{
    c->context = SSL_CTX_new(TLS_client_method());
    c->fd = tcp_connect(options->port);
    if (!c->context || c->fd < 0)
        return false;
    SSL_CTX_set_min_proto_version(c->context, TLS1_2_VERSION);
    if (options->tls12)
        SSL_CTX_set_max_proto_version(c->context, TLS1_2_VERSION);
    SSL_CTX_set_verify(c->context, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_load_verify_locations(c->context, options->ca_file, NULL) != 1)
        return false;
    if (options->cert_file &&
        (SSL_CTX_use_certificate_chain_file(c->context, options->cert_file) != 1 ||
         SSL_CTX_use_PrivateKey_file(c->context, options->key_file, SSL_FILETYPE_PEM) != 1))
        return false;
    c->tls = SSL_new(c->context);
    return c->tls && SSL_set_fd(c->tls, c->fd) == 1 && SSL_connect(c->tls) == 1;
}

bool raw_mqtt_send(struct raw_mqtt *c, const void *bytes, size_t n)
{
    size_t written = 0;
    return n == 0 || SSL_write_ex(c->tls, bytes, n, &written) == 1;
}

static bool read_exactly(struct raw_mqtt *c, unsigned char *out, size_t n)
{
    for (size_t got = 0; n > 0; n -= got, out += got) {
        if (SSL_read_ex(c->tls, out, n, &got) != 1)
            return false;
    }
    return true;
}

/* Reads one packet; its type (upper four bits of the first byte), or -1. */
static int read_packet(struct raw_mqtt *c, unsigned char *body, size_t capacity, size_t *ret_n)
{
    unsigned char first = 0, byte = 0x80;
    size_t n = 0;
    if (!read_exactly(c, &first, 1))
        return -1;
    for (unsigned shift = 0; byte & 0x80 && shift <= 21; shift += 7) {
        if (!read_exactly(c, &byte, 1))
            return -1;
        n |= (size_t)(byte & 0x7f) << shift;
    }
    if (n > capacity || !read_exactly(c, body, n))
        return -1;
    *ret_n = n;
    return first >> 4;
}

static size_t put_length(unsigned char *out, size_t n)
{
    size_t used = 0;
    do {
        out[used++] = (unsigned char)((n & 0x7f) | (n > 0x7f ? 0x80 : 0));
        n >>= 7;
    } while (n > 0);
    return used;
}

static size_t put_text(unsigned char *out, const char *text)
{
    size_t n = strlen(text);
    out[0] = (unsigned char)(n >> 8);
    out[1] = (unsigned char)n;
    memcpy(out + 2, text, n);
    return n + 2;
}

static bool mqtt_connect(struct raw_mqtt *c)
{
    static const unsigned char head[] = {0x10, 0, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60};
    unsigned char packet[64], answer[8];
    size_t n = sizeof head, answer_n = 0;
    memcpy(packet, head, n);
    n += put_text(packet + n, "raw");
    packet[1] = (unsigned char)(n - 2);
    return raw_mqtt_send(c, packet, n) && read_packet(c, answer, sizeof answer, &answer_n) == 2 &&
           answer_n == 2 && answer[1] == 0;
}

struct raw_mqtt *raw_mqtt_open(const struct raw_mqtt_options *options)
{
    struct raw_mqtt *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->fd = -1;
    if (tls_connect(c, options) && mqtt_connect(c))
        return c;
    raw_mqtt_close(c);
    return NULL;
}

void raw_mqtt_close(struct raw_mqtt *c)
{
    if (!c)
        return;
    SSL_free(c->tls);
    SSL_CTX_free(c->context);
    if (c->fd >= 0)
        close(c->fd);
    free(c);
}

bool raw_mqtt_publish(struct raw_mqtt *c, const char *topic, const void *payload, size_t n)
{
    size_t topic_n = strlen(topic) + 2;
    unsigned char *packet = malloc(topic_n + n + 16);
    if (!packet)
        return false;
    packet[0] = 0x32;
    size_t used = 1 + put_length(packet + 1, topic_n + 2 + n);
    used += put_text(packet + used, topic);
    packet[used++] = 0;
    packet[used++] = 7;
    memcpy(packet + used, payload, n);
    bool sent = raw_mqtt_send(c, packet, used + n);
    free(packet);
    return sent;
}

int raw_mqtt_subscribe(struct raw_mqtt *c, const char *filter)
{
    unsigned char packet[300] = {0x82, 0, 0, 9}, answer[8];
    size_t n = 4, answer_n = 0;
    if (strlen(filter) > 120)
        return -1;
    n += put_text(packet + n, filter);
    packet[n++] = 1;
    packet[1] = (unsigned char)(n - 2);
    if (!raw_mqtt_send(c, packet, n) || read_packet(c, answer, sizeof answer, &answer_n) != 9 ||
        answer_n != 3)
        return -1;
    return answer[2];
}

static bool readable(struct raw_mqtt *c, int ms)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    return SSL_pending(c->tls) > 0 || poll(&p, 1, ms) == 1;
}

bool raw_mqtt_hears(struct raw_mqtt *c, int ms)
{
    unsigned char *body = malloc(PACKET_MAX);
    size_t n = 0;
    bool heard = false;
    uint64_t end = now_ms() + (uint64_t)ms;
    while (body && !heard && now_ms() < end && readable(c, (int)(end - now_ms()))) {
        int type = read_packet(c, body, PACKET_MAX, &n);
        if (type < 0)
            break;
        heard = type == 3;
    }
    free(body);
    return heard;
}

bool raw_mqtt_closed(struct raw_mqtt *c, int ms)
{
    unsigned char byte = 0;
    size_t got = 0;
    uint64_t end = now_ms() + (uint64_t)ms;
    while (now_ms() < end && readable(c, (int)(end - now_ms()))) {
        if (SSL_read_ex(c->tls, &byte, 1, &got) != 1)
            return true;
    }
    return false;
}
