/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the coordinator one thing. */
#include "coordinator/cli/ask.h"

#include "proto/base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct result ask(const char *folder, const char *verb, json_t *arguments,
                  struct client_reply *reply, struct why *why)
{
    struct client *client = NULL;
    CLEANUP(free_pointer) char *text = json_dumps(arguments, JSON_COMPACT);
    json_decref(arguments);
    memset(reply, 0, sizeof *reply);
    if (!text)
        return failed(why, RESULT_INPUT, "the arguments are no text");
    TRY(client_open(folder, &client, why));
    struct result r = client_ask(client, verb, text, strlen(text), CLIENT_TIMEOUT_S, reply, why);
    client_close(client);
    if (!ok(r) || reply->exit_code == 0)
        return r;
    free(reply->text);
    reply->text = NULL;
    return failed(why, reply->exit_code == 2 ? RESULT_INPUT : RESULT_REFUSED, "%s",
                  reply->sentence);
}

struct result ask_json(const char *folder, const char *verb, json_t *arguments, json_t **ret_answer,
                       struct why *why)
{
    struct client_reply reply;
    TRY(ask(folder, verb, arguments, &reply, why));
    *ret_answer =
        reply.text ? json_loadb((const char *)reply.text, reply.text_n, 0, NULL) : json_object();
    free(reply.text);
    return *ret_answer ? DONE : failed(why, RESULT_INPUT, "the coordinator's answer is no JSON");
}

const char *ask_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

const char *ask_time(long long ms, char out[ASK_TIME_BYTES])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    snprintf(out, ASK_TIME_BYTES, "-");
    if (ms > 0 && gmtime_r(&seconds, &parts))
        strftime(out, ASK_TIME_BYTES, "%Y-%m-%d %H:%M UTC", &parts);
    return out;
}
