/* SPDX-License-Identifier: Apache-2.0 */
/* A user's connection to the coordinator: one command at a time, signed; the answer is verified and
 * opened with the user's own keys. */
#ifndef CONSILIUM_CLI_CLIENT_H
#define CONSILIUM_CLI_CLIENT_H

#include "proto/message.h"

enum {
    CLIENT_TIMEOUT_S = 30,
    CLIENT_RETRY_MS =
        1000, /* the same command again until it is answered, each wait twice the last */
    CLIENT_RETRY_MAX_MS = 8000,
    CLIENT_REPLY_MAX = 512 << 20,
};

struct client;

struct client_reply {
    uint32_t exit_code; /* enum cli_exit */
    char sentence[MESSAGE_REASON_BYTES];
    unsigned char *text; /* owned by the caller (free), closed by a zero beyond text_n; or NULL */
    size_t text_n;
};

/* folder: the user's enrolled identity; NULL takes $CONSILIUM_IDENTITY. Connects in the background.
 * Close with client_close. */
struct result client_open(const char *folder, struct client **ret_client,
                          struct why *why) MUST_CHECK;
void client_close(struct client *client);

/* Who the client is; borrowed. */
struct identity;
const struct identity *client_identity(const struct client *client);

/* Sends a command with its text and waits for the answer, at most timeout_s seconds. RESULT_AGAIN
 * with what to look at when there is none. A reply with a non-zero exit code is RESULT_OK here. */
struct result client_ask(struct client *client, const char *verb, const void *text, size_t n,
                         unsigned timeout_s, struct client_reply *reply,
                         struct why *why) MUST_CHECK;

/* As client_ask with {"study": ..., "since": ...} (study NULL or empty, since negative: left out),
 * and a reply that says no is RESULT_REFUSED or RESULT_INPUT with its sentence. */
struct result client_request(struct client *client, const char *verb, const char *study,
                             long long since, struct client_reply *reply,
                             struct why *why) MUST_CHECK;

#endif
