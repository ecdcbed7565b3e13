/* SPDX-License-Identifier: Apache-2.0 */
/* consilium model list, show, promote, suspend, resume, retire, rollback: the registry, and its
 * moves under the user's own signature. */
#include "coordinator/cli/ask.h"
#include "coordinator/cli/cmd_model.h"
#include "coordinator/registry_json.h"
#include "coordinator/validate/dsse.h"
#include "proto/base/cleanup.h"
#include "proto/identity.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char LIST_USAGE[] = "usage: consilium model list [--as FOLDER] [--json]\n\n"
                                 "All models that a gate has judged, newest first.\n";
static const char SHOW_USAGE[] =
    "usage: consilium model show MODEL [--as FOLDER] [--json]\n\n"
    "MODEL is a hash, the beginning of one, or a study (its newest model).\n";
static const char MOVE_USAGE[] =
    "usage: consilium model promote|suspend|resume|retire|rollback MODEL [--reason TEXT]\n"
    "                       [--as FOLDER] [--json]\n\n"
    "Signs the move with your key and asks for it.\n"
    "  promote    to the next stage: proposed, shadow, pilot, promoted. Into pilot and into use\n"
    "             only with PROMOTE by the gate and the signatures of two people; the model that\n"
    "             was in use retires\n"
    "  suspend    out of use at once\n"
    "  resume     a suspended model, back to shadow\n"
    "  retire     for good\n"
    "  rollback   suspends the model in use and puts the one before it back\n";

static void print_row(const json_t *m)
{
    char since[ASK_TIME_BYTES];
    printf("%.12s  %-24s round %-4lld gate %-8s %-9s since %s\n", ask_text(m, "model"),
           ask_text(m, "study"), json_integer_value(json_object_get(m, "round")),
           ask_text(m, "gate"), ask_text(m, "stage"),
           ask_time(json_integer_value(json_object_get(m, "since_ms")), since));
}

static void print_json(const json_t *o)
{
    json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(17));
    putchar('\n');
}

int model_list(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(LIST_USAGE, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *folder = cli_take_option(&argc, argv, "--as");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 1)
        return cli_usage("model list takes no argument; --help tells more");
    json_t *answer = NULL;
    struct why why;
    struct result r = ask_json(folder, "models", json_object(), &answer, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    size_t i;
    json_t *model;
    if (json)
        print_json(answer);
    else
        json_array_foreach(json_object_get(answer, "models"), i, model) print_row(model);
    json_decref(answer);
    return CLI_OK;
}

static void print_model(const json_t *m)
{
    size_t i;
    json_t *signer;
    print_row(m);
    printf("  model      %s\n", ask_text(m, "model"));
    if (ask_text(m, "incumbent")[0])
        printf("  judged against %s\n", ask_text(m, "incumbent"));
    if (ask_text(m, "reason")[0])
        printf("  reason     %s\n", ask_text(m, "reason"));
    const json_t *signers = json_object_get(m, "signed_promotion");
    json_array_foreach(signers, i, signer)
        printf("  next promotion signed by %s\n", json_string_value(signer));
}

int model_show(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(SHOW_USAGE, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *folder = cli_take_option(&argc, argv, "--as");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 2)
        return cli_usage("model show takes one model; --help tells more");
    json_t *answer = NULL;
    struct why why;
    struct result r =
        ask_json(folder, "models", json_pack("{s:s}", "model", argv[1]), &answer, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    if (json)
        print_json(answer);
    else
        print_model(answer);
    json_decref(answer);
    return CLI_OK;
}

/* The statement about the model as it stands now, signed. */
static struct result sign_move(const char *folder, const json_t *model,
                               struct move_statement *statement, char **ret_envelope,
                               struct why *why)
{
    struct identity self;
    struct identity_secrets secrets = {0};
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0;
    const char *hash = ask_text(model, "model");
    TRY(identity_load_enrolled(folder, &self, why));
    snprintf(statement->consortium, sizeof statement->consortium, "%s", self.consortium);
    if (sodium_hex2bin(statement->model, PLAN_HASH_BYTES, hash, strlen(hash), NULL, &n, NULL) !=
            0 ||
        n != PLAN_HASH_BYTES || !stage_from_name(ask_text(model, "stage"), &statement->from))
        return failed(why, RESULT_INPUT, "the coordinator's answer names no model");
    TRY(move_text(statement, &text, why));
    TRY(identity_load_secrets(&self, &secrets, why));
    struct dsse_signer signer = {.keyid = self.self.name, .secret = secrets.sign};
    struct result r = dsse_seal(MOVE_TYPE, text, strlen(text), 1, &signer, ret_envelope, why);
    identity_wipe(&secrets);
    return r;
}

static struct result make_move(const char *folder, const char *name,
                               struct move_statement *statement, json_t **ret_answer,
                               struct why *why)
{
    json_t *model = NULL;
    CLEANUP(free_pointer) char *envelope = NULL;
    if (!folder)
        folder = getenv("CONSILIUM_IDENTITY");
    if (!folder)
        return failed(why, RESULT_INPUT, "say who you are: --as FOLDER, or set CONSILIUM_IDENTITY");
    TRY(ask_json(folder, "models", json_pack("{s:s}", "model", name), &model, why));
    struct result r = sign_move(folder, model, statement, &envelope, why);
    json_decref(model);
    TRY(r);
    return ask_json(folder, "stage", json_pack("{s:s}", "envelope", envelope), ret_answer, why);
}

int model_move(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(MOVE_USAGE, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *folder = cli_take_option(&argc, argv, "--as");
    const char *reason = cli_take_option(&argc, argv, "--reason");
    struct move_statement statement = {0};
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 2 || !move_action_from_name(argv[0], &statement.action))
        return cli_usage("model %s takes one model; --help tells more", argv[0]);
    if (reason && strlen(reason) >= sizeof statement.reason)
        return cli_usage("--reason takes at most %zu bytes", sizeof statement.reason - 1);
    snprintf(statement.reason, sizeof statement.reason, "%s", reason ? reason : "");
    json_t *answer = NULL;
    struct why why;
    struct result r = make_move(folder, argv[1], &statement, &answer, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    if (json)
        print_json(answer);
    else
        puts(ask_text(answer, "sentence"));
    json_decref(answer);
    return CLI_OK;
}
