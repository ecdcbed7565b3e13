/* SPDX-License-Identifier: Apache-2.0 */
/* consilium model: its verbs; export writes a study's model as .npz and JSON, with everything
 * needed to apply it. */
#include "coordinator/cli/cmd_model.h"
#include "coordinator/cli/client.h"
#include "coordinator/cli/model_files.h"
#include "coordinator/entry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char USAGE[] =
    "usage: consilium model export STUDY --out BASE [--as FOLDER] [--json]\n\n"
    "Writes the study's best model to BASE.npz (NumPy) and BASE.json: parameters with names and\n"
    "shapes, the inputs with their scaling, the label, the sites that took part.\n"
    "  --out BASE    path without ending\n"
    "  --as FOLDER   who asks (default: $CONSILIUM_IDENTITY)\n";

struct fetched {
    struct plan plan;
    struct client_reply payload;
};

static struct result fetch(struct client *client, const char *study, struct fetched *fetched,
                           struct why *why)
{
    struct client_reply reply = {0};
    TRY(client_request(client, "plan", study, -1, &reply, why));
    struct result r =
        plan_parse(&fetched->plan, "plan", (const char *)reply.text, reply.text_n, why);
    free(reply.text);
    TRY(r);
    return client_request(client, "model", study, -1, &fetched->payload, why);
}

static struct result export_model(const char *study, const char *folder, const char *base,
                                  unsigned char hash[PLAN_HASH_BYTES], struct why *why)
{
    struct client *client = NULL;
    struct fetched fetched = {0};
    struct result r = client_open(folder, &client, why);
    if (ok(r))
        r = fetch(client, study, &fetched, why);
    client_close(client);
    if (ok(r))
        r = model_files_write(&fetched.plan, fetched.payload.text, fetched.payload.text_n, base,
                              hash, why);
    plan_free(&fetched.plan);
    free(fetched.payload.text);
    return r;
}

static int model_export(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(USAGE, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *folder = cli_take_option(&argc, argv, "--as");
    const char *base = cli_take_option(&argc, argv, "--out");
    unsigned char hash[PLAN_HASH_BYTES];
    char text[HEX_HASH_BYTES];
    struct why why;
    if (argc != 2 || !base)
        return cli_usage("model export takes one study and --out BASE; --help tells more");
    struct result r = export_model(argv[1], folder, base, hash, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    hex_hash(text, hash);
    printf(json ? "{\"study\":\"%s\",\"model_hash\":\"%s\",\"base\":\"%s\"}\n"
                : "%s: model %s is in %s.npz and .json\n",
           argv[1], text, base);
    return CLI_OK;
}

static const struct cli_entry MODEL_COMMANDS[] = {
    {"export", model_export, "a study's model as .npz and JSON"},
    {"list", model_list, "all models that a gate has judged"},
    {"show", model_show, "one of them"},
    {"promote", model_move, "sign its promotion to the next stage"},
    {"suspend", model_move, "out of use at once"},
    {"resume", model_move, "a suspended model, back to shadow"},
    {"retire", model_move, "for good"},
    {"rollback", model_move, "suspend it and put the one before it back into use"},
    {"passport", model_passport, "fetch its signed passport, or verify one"},
    {NULL, NULL, NULL},
};

int cmd_model(int argc, char **argv)
{
    return cli_dispatch(MODEL_COMMANDS, "consilium model COMMAND [ARGUMENT ...]", argc, argv);
}
