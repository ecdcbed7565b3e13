/* SPDX-License-Identifier: Apache-2.0 */
/* One command with JSON arguments, and its answer as JSON. */
#ifndef CONSILIUM_CLI_ASK_H
#define CONSILIUM_CLI_ASK_H

#include "coordinator/cli/client.h"

#include <jansson.h>

/* Connects as folder, asks, disconnects. arguments are taken over. A reply that says no is
 * RESULT_REFUSED or RESULT_INPUT with its sentence; else reply->text is the caller's (free). */
struct result ask(const char *folder, const char *verb, json_t *arguments,
                  struct client_reply *reply, struct why *why) MUST_CHECK;

/* As ask; the answer parsed (json_decref). */
struct result ask_json(const char *folder, const char *verb, json_t *arguments, json_t **ret_answer,
                       struct why *why) MUST_CHECK;

/* "" where there is no text. */
const char *ask_text(const json_t *object, const char *key);

/* "2026-03-01 12:00 UTC" of Unix milliseconds; "-" for 0. */
enum { ASK_TIME_BYTES = 32 };
const char *ask_time(long long ms, char out[ASK_TIME_BYTES]);

#endif
