/* SPDX-License-Identifier: Apache-2.0 */
/* consilium model: its verbs; export writes a study's model as .npz and JSON, with everything
 * needed to apply it. */
#include "coordinator/cli/cmd_model.h"
#include "coordinator/cli/client.h"
#include "coordinator/cli/model_files.h"
#include "coordinator/entry.h"
#include "coordinator/statement.h"
#include "proto/base/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char USAGE[] =
    "usage: consilium model export STUDY --out BASE [--as FOLDER] [--json]\n\n"
    "Writes the study's best model to BASE.npz (NumPy) and BASE.json: parameters with names and\n"
    "shapes, the inputs with their scaling, the label, the sites that took part. Of a study with\n"
    "privacy BASE.privacy.json holds the privacy statement, which is printed too.\n"
    "  --out BASE    path without ending\n"
    "  --as FOLDER   who asks (default: $CONSILIUM_IDENTITY)\n";

struct fetched {
    struct plan plan;
    struct client_reply payload;
    json_t *statement; /* owned; NULL or null without privacy */
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
    TRY(client_request(client, "report", study, -1, &reply, why));
    json_t *report = json_loadb((const char *)reply.text, reply.text_n, 0, NULL);
    fetched->statement = json_incref(json_object_get(report, "privacy"));
    json_decref(report);
    free(reply.text);
    return client_request(client, "model", study, -1, &fetched->payload, why);
}

/* BASE.privacy.json: what the model's patients were promised. */
static struct result write_statement(const json_t *statement, const char *base, bool quiet,
                                     struct why *why)
{
    char path[FS_PATH_BYTES];
    if (!json_is_object(statement))
        return DONE;
    if (snprintf(path, sizeof path, "%s.privacy.json", base) >= (int)sizeof path)
        return failed(why, RESULT_INPUT, "the path of the model's files is too long");
    char *text = json_dumps(statement, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    if (!text)
        return failed(why, RESULT_SYSTEM, "out of memory");
    struct result r = fs_write_atomic(path, text, strlen(text), 0644, why);
    free(text);
    if (ok(r) && !quiet)
        statement_print(stdout, statement);
    return r;
}

static struct result export_model(const char *study, const char *folder, const char *base,
                                  bool quiet, unsigned char hash[PLAN_HASH_BYTES], struct why *why)
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
    if (ok(r))
        r = write_statement(fetched.statement, base, quiet, why);
    json_decref(fetched.statement);
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
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 2 || !base)
        return cli_usage("model export takes one study and --out BASE; --help tells more");
    struct result r = export_model(argv[1], folder, base, json, hash, &why);
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
