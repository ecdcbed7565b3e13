/* SPDX-License-Identifier: Apache-2.0 */
/* A user's connection: connect, ask, verify, receive, with a clear sentence when nobody answers. */
#include "coordinator/cli/client.h"

#include "proto/base/cleanup.h"
#include "proto/envelope.h"
#include "proto/identity.h"
#include "proto/topic.h"
#include "proto/transfer.h"

#include <jansson.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct client {
    struct identity self;
    struct identity_secrets secrets;
    struct link *link;
    bool connected;
    char trouble[WHY_BYTES]; /* why there is no connection */
    unsigned char session[SESSION_ID_BYTES];
    uint64_t sequence;
    struct envelope_seen seen;
    struct message *in, *out;
    /* the command that waits */
    unsigned char id[SESSION_ID_BYTES];
    bool answered, complete;
    uint64_t next_send_ms, retry_ms;
    struct transfer_in object;
    bool receiving;
    struct client_reply reply;
};

static uint64_t unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t steady_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct result connect_link(struct client *client, struct why *why)
{
    const struct identity *self = &client->self;
    char messages[LINK_TOPIC_BYTES], chunks[LINK_TOPIC_BYTES];
    struct topic topic = {.direction = TOPIC_DOWN};
    snprintf(topic.member, sizeof topic.member, "%s", self->self.name);
    topic.channel = TOPIC_MESSAGE;
    topic_format(messages, self->consortium, &topic);
    topic.channel = TOPIC_CHUNK;
    topic_format(chunks, self->consortium, &topic);
    struct link_options options = {
        .host = self->host,
        .port = self->port,
        .name = self->self.name,
        .ca_file = self->ca_file,
        .cert_file = self->certificate_file,
        .key_file = self->key_file,
        .subscriptions = (const char *const[]){messages, chunks, NULL},
        .many = true,
    };
    return link_mqtt_open(&options, &client->link, why);
}

struct result client_open(const char *folder, struct client **ret_client, struct why *why)
{
    *ret_client = NULL;
    if (!folder)
        folder = getenv("CONSILIUM_IDENTITY");
    if (!folder)
        return failed(why, RESULT_INPUT, "say who you are: --as FOLDER, or set CONSILIUM_IDENTITY");
    struct client *client = calloc(1, sizeof *client);
    if (!client)
        return failed(why, RESULT_SYSTEM, "out of memory");
    client->in = calloc(1, sizeof *client->in);
    client->out = calloc(1, sizeof *client->out);
    randombytes_buf(client->session, sizeof client->session);
    struct result r =
        client->in && client->out ? DONE : failed(why, RESULT_SYSTEM, "out of memory");
    if (ok(r))
        r = identity_load_enrolled(folder, &client->self, why);
    if (ok(r))
        r = identity_load_secrets(&client->self, &client->secrets, why);
    if (ok(r))
        r = connect_link(client, why);
    if (!ok(r)) {
        client_close(client);
        return r;
    }
    *ret_client = client;
    return DONE;
}

void client_close(struct client *client)
{
    if (!client)
        return;
    if (client->link)
        client->link->operations->close(client->link);
    transfer_in_free(&client->object);
    identity_wipe(&client->secrets);
    free(client->reply.text);
    free(client->in);
    free(client->out);
    free(client);
}

const struct identity *client_identity(const struct client *client)
{
    return &client->self;
}

static struct message *compose(struct client *client, enum message_kind kind)
{
    struct message_head *head = &client->out->head;
    memset(client->out, 0, sizeof *client->out);
    client->out->kind = kind;
    snprintf(head->consortium, sizeof head->consortium, "%s", client->self.consortium);
    snprintf(head->sender, sizeof head->sender, "%s", client->self.self.name);
    snprintf(head->receiver, sizeof head->receiver, "%s", client->self.coordinator.name);
    memcpy(head->session, client->session, sizeof head->session);
    head->sequence = ++client->sequence;
    head->sent_ms = unix_ms();
    return client->out;
}

/* RESULT_AGAIN when the link takes nothing now. */
static struct result post(struct client *client, struct why *why)
{
    CLEANUP(free_pointer) unsigned char *bytes = NULL;
    size_t n = 0;
    char text[LINK_TOPIC_BYTES];
    struct topic topic = {.direction = TOPIC_UP, .channel = TOPIC_MESSAGE};
    snprintf(topic.member, sizeof topic.member, "%s", client->self.self.name);
    topic_format(text, client->self.consortium, &topic);
    TRY(envelope_seal(client->out, client->secrets.sign, &bytes, &n, why));
    return client->link->operations->publish(client->link, text, bytes, n, why);
}

static void acknowledge(struct client *client)
{
    struct message *message = compose(client, MESSAGE_OBJECT_ACK);
    transfer_in_ack(&client->object, &message->object_ack);
    struct why ignored; /* a lost acknowledgement is repeated when the transfer stalls */
    if (!ok(post(client, &ignored)))
        client->object.since_ack = TRANSFER_ACK_EVERY;
}

static struct result take_reply(struct client *client)
{
    const struct message_reply *reply = &client->in->reply;
    if (client->answered || memcmp(reply->id, client->id, SESSION_ID_BYTES) != 0)
        return DONE;
    client->answered = true;
    client->reply.exit_code = reply->exit_code;
    snprintf(client->reply.sentence, sizeof client->reply.sentence, "%s", reply->sentence);
    client->complete = client->complete || !reply->in_object;
    return DONE;
}

static struct result take_offer(struct client *client, struct why *why)
{
    const struct message_object_offer *offer = &client->in->object_offer;
    if (client->receiving || client->complete ||
        memcmp(offer->command, client->id, SESSION_ID_BYTES) != 0)
        return DONE;
    TRY(transfer_in_start(&client->object, offer, CLIENT_REPLY_MAX, why));
    client->receiving = true;
    acknowledge(client);
    return DONE;
}

static struct result take_message(struct client *client, const struct link_event *event,
                                  struct why *why)
{
    TRY(envelope_open(event->payload, event->payload_n, client->self.coordinator.sign_key,
                      client->in, why));
    const struct message_head *head = &client->in->head;
    if (strcmp(head->receiver, client->self.self.name) != 0 ||
        strcmp(head->consortium, client->self.consortium) != 0)
        return failed(why, RESULT_REFUSED, "a message for somebody else");
    TRY(envelope_fresh(&client->seen, head, why));
    if (client->in->kind == MESSAGE_REPLY)
        return take_reply(client);
    if (client->in->kind == MESSAGE_OBJECT_OFFER)
        return take_offer(client, why);
    return DONE;
}

static struct result take_object(struct client *client, struct why *why)
{
    unsigned char *plain = NULL;
    size_t n = 0;
    TRY(transfer_open(&client->object.offer, client->self.self.seal_key, client->secrets.seal,
                      client->object.cipher, client->object.cipher_n, &plain, &n, why));
    CLEANUP(free_pointer) unsigned char *mine = plain;
    client->reply.text = malloc(n + 1);
    if (!client->reply.text)
        return failed(why, RESULT_SYSTEM, "out of memory for the answer");
    memcpy(client->reply.text, plain, n);
    client->reply.text[n] = '\0';
    client->reply.text_n = n;
    client->complete = true;
    struct message *message = compose(client, MESSAGE_OBJECT_DONE);
    memcpy(message->object_done.object, client->object.offer.object, OBJECT_ID_BYTES);
    message->object_done.accepted = true;
    struct result posted = post(client, NULL);
    (void)posted; /* the coordinator forgets the object after a while anyway */
    return DONE;
}

static struct result take_chunk(struct client *client, const struct link_event *event,
                                struct why *why)
{
    bool ack = false, complete = false;
    if (!client->receiving || client->complete)
        return DONE;
    struct why foreign; /* a chunk of an earlier answer */
    if (!ok(transfer_in_chunk(&client->object, event->payload, event->payload_n, &ack, &complete,
                              &foreign)))
        return DONE;
    if (complete)
        return take_object(client, why);
    if (ack)
        acknowledge(client);
    return DONE;
}

static struct result take_event(struct client *client, const struct link_event *event,
                                struct why *why)
{
    struct topic topic;
    struct why ignored;
    switch (event->kind) {
    case LINK_CONNECTED:
        client->connected = true;
        return DONE;
    case LINK_DISCONNECTED:
    case LINK_REFUSED:
        client->connected = client->connected && event->kind == LINK_REFUSED;
        snprintf(client->trouble, sizeof client->trouble, "%s", event->reason);
        return DONE;
    case LINK_PACKET:
        if (!ok(topic_parse(&topic, client->self.consortium, event->topic, &ignored)))
            return DONE;
        if (topic.channel == TOPIC_CHUNK)
            return take_chunk(client, event, why);
        /* What is forged, replayed or late is passed over: the true answer may still come. */
        if (!ok(take_message(client, event, &ignored)))
            snprintf(client->trouble, sizeof client->trouble, "%s", ignored.text);
        return DONE;
    }
    return DONE;
}

static struct result no_answer(const struct client *client, unsigned timeout_s, struct why *why)
{
    if (!client->connected)
        return failed(why, RESULT_AGAIN, "no connection to the broker at %s:%u within %u s%s%s%s",
                      client->self.host, client->self.port, timeout_s,
                      client->trouble[0] ? ": " : "", client->trouble,
                      strstr(client->trouble, "TLS: ")
                          ? ""
                          : "; is it running, and may this machine reach it?");
    return failed(why, RESULT_AGAIN,
                  "the broker answers but the coordinator does not within %u s; is "
                  "consilium-coordinator running?%s%s",
                  timeout_s, client->trouble[0] ? " Last: " : "", client->trouble);
}

static void wait_for_link(struct client *client, uint64_t until_ms)
{
    uint64_t now = steady_ms();
    struct pollfd fd = {.fd = client->link->operations->descriptor(client->link), .events = POLLIN};
    int wait = until_ms > now ? (int)(until_ms - now) : 0;
    poll(&fd, 1, wait > 1000 ? 1000 : wait);
}

/* One turn: take what came, send what is due. */
static struct result turn(struct client *client, const char *verb, const void *text, size_t n,
                          struct why *why)
{
    struct link_event event;
    while (client->link->operations->next(client->link, &event)) {
        struct result r = take_event(client, &event, why);
        free(event.payload);
        TRY(r);
    }
    if (client->complete || !client->connected || steady_ms() < client->next_send_ms)
        return DONE;
    if (client->receiving) {
        client->next_send_ms = steady_ms() + CLIENT_RETRY_MS;
        acknowledge(client);
        return DONE;
    }
    struct message *message = compose(client, MESSAGE_COMMAND);
    memcpy(message->command.id, client->id, SESSION_ID_BYTES);
    snprintf(message->command.verb, sizeof message->command.verb, "%s", verb);
    memcpy(message->command.text, text, n);
    message->command.text_n = n;
    struct result r = post(client, why);
    if (r.code == RESULT_AGAIN)
        return DONE;
    client->next_send_ms = steady_ms() + client->retry_ms;
    client->retry_ms =
        2 * client->retry_ms < CLIENT_RETRY_MAX_MS ? 2 * client->retry_ms : CLIENT_RETRY_MAX_MS;
    return r;
}

struct result client_ask(struct client *client, const char *verb, const void *text, size_t n,
                         unsigned timeout_s, struct client_reply *reply, struct why *why)
{
    memset(reply, 0, sizeof *reply);
    if (n > MESSAGE_TEXT_MAX)
        return failed(why, RESULT_INPUT, "a command of %zu bytes is larger than %d", n,
                      MESSAGE_TEXT_MAX);
    randombytes_buf(client->id, sizeof client->id);
    client->answered = client->complete = client->receiving = false;
    transfer_in_free(&client->object);
    free(client->reply.text);
    memset(&client->reply, 0, sizeof client->reply);
    client->next_send_ms = 0;
    client->retry_ms = CLIENT_RETRY_MS;
    uint64_t until_ms = steady_ms() + 1000ull * timeout_s;
    for (;;) {
        TRY(turn(client, verb, text, n, why));
        if (client->answered && client->complete)
            break;
        if (steady_ms() >= until_ms)
            return no_answer(client, timeout_s, why);
        wait_for_link(client, until_ms);
    }
    *reply = client->reply;
    memset(&client->reply, 0, sizeof client->reply);
    return DONE;
}

struct result client_request(struct client *client, const char *verb, const char *study,
                             long long since, struct client_reply *reply, struct why *why)
{
    json_t *arguments = json_object();
    if (study && study[0])
        json_object_set_new(arguments, "study", json_string(study));
    if (since >= 0)
        json_object_set_new(arguments, "since", json_integer(since));
    CLEANUP(free_pointer) char *text = json_dumps(arguments, JSON_COMPACT);
    json_decref(arguments);
    if (!text)
        return failed(why, RESULT_INPUT, "the study's name is no text");
    TRY(client_ask(client, verb, text, strlen(text), CLIENT_TIMEOUT_S, reply, why));
    if (reply->exit_code == 0)
        return DONE;
    free(reply->text);
    reply->text = NULL;
    return failed(why, reply->exit_code == 2 ? RESULT_INPUT : RESULT_REFUSED, "%s",
                  reply->sentence);
}
