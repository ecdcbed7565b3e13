/* SPDX-License-Identifier: Apache-2.0 */
/* consilium launch: signs a plan and offers it to its sites through the coordinator. */
#include "coordinator/cli/cli.h"
#include "coordinator/cli/client.h"
#include "proto/base/cleanup.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static const char USAGE[] =
    "usage: consilium launch PLAN.yaml [--as FOLDER] [--json]\n\n"
    "Checks the plan, signs it and launches the study. The same plan twice is one study.\n"
    "  --as FOLDER   who launches (default: $CONSILIUM_IDENTITY)\n";

static void print_json(const char *study, const struct client_reply *reply)
{
    json_t *o = json_object();
    json_object_set_new(o, "study", json_string(study));
    json_object_set_new(o, "launched", json_boolean(reply->exit_code == 0));
    json_object_set_new(o, "sentence", json_string_nocheck(reply->sentence));
    json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(o);
}

static struct result launch(const char *path, const char *folder, bool json,
                            struct client_reply *reply, struct why *why)
{
    struct plan plan;
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0;
    struct client *client = NULL;
    TRY(plan_load(&plan, path, &text, &n, why));
    struct result r = client_open(folder, &client, why);
    if (ok(r))
        r = client_ask(client, "launch", text, n, CLIENT_TIMEOUT_S, reply, why);
    if (ok(r) && json)
        print_json(plan.study, reply);
    client_close(client);
    plan_free(&plan);
    return r;
}

int cmd_launch(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(USAGE, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *folder = cli_take_option(&argc, argv, "--as");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 2)
        return cli_usage("launch takes one plan file; --help tells more");
    struct client_reply reply = {0};
    struct why why;
    struct result r = launch(argv[1], folder, json, &reply, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    free(reply.text);
    if (!json)
        fprintf(reply.exit_code == 0 ? stdout : stderr, "%s%s\n",
                reply.exit_code == 0 ? "" : "consilium: ", reply.sentence);
    return (int)reply.exit_code;
}
