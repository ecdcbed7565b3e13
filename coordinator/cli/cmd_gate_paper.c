/* SPDX-License-Identifier: Apache-2.0 */
/* consilium gate policy, pccp, ledger: documents that people sign for the consortium, what a change
 * between two plans is under them, and the alpha that is left. */
#include "coordinator/change.h"
#include "coordinator/cli/ask.h"
#include "coordinator/cli/cli.h"
#include "coordinator/cli/cmd_gate.h"
#include "coordinator/paper.h"
#include "coordinator/validate/dsse.h"
#include "proto/base/cleanup.h"
#include "proto/base/fs.h"
#include "proto/identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char POLICY_USAGE[] =
    "usage: consilium gate policy set FILE [--as FOLDER] [--json]\n"
    "       consilium gate policy show [--as FOLDER] [--json]\n\n"
    "Signs the gate's thresholds, stages and alpha ledger (docs/gate.md), or shows those in "
    "force.\n"
    "A policy comes into force when as many people as it asks for signed the same file, an\n"
    "operator among them; until then the coordinator's gate.json counts.\n";
static const char PCCP_USAGE[] =
    "usage: consilium gate pccp set FILE [--as FOLDER] [--json]\n"
    "       consilium gate pccp show [--as FOLDER] [--json]\n"
    "       consilium gate pccp check PLAN [--before PLAN] [--json]\n\n"
    "The predetermined change control plan: which changes to a model were agreed beforehand.\n"
    "  set    signs FILE; in force once enough people signed it, an operator among them\n"
    "  show   the one in force\n"
    "  check  offline: the classes of change from the plan --before, and the hash of PLAN's test\n"
    "         set, for \"test_set_sha256\"\n";
static const char LEDGER_USAGE[] =
    "usage: consilium gate ledger [--as FOLDER] [--json]\n\n"
    "The alpha ledger of each family of models: policy, alpha spent, each candidate.\n";

static void print_json(const json_t *o)
{
    json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(17));
    putchar('\n');
}

static struct result seal_file(const char *folder, const char *kind, const char *path,
                               char **ret_envelope, struct why *why)
{
    struct identity self;
    struct identity_secrets secrets = {0};
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0;
    TRY(fs_read(path, PAPER_BYTES_MAX, &text, &n, why));
    struct result r = paper_check(kind, text, n, why);
    if (!ok(r))
        return failed_in(why, r, "%s", path);
    TRY(identity_load_enrolled(folder, &self, why));
    TRY(identity_load_secrets(&self, &secrets, why));
    struct dsse_signer signer = {.keyid = self.self.name, .secret = secrets.sign};
    r = dsse_seal(paper_type(kind), text, n, 1, &signer, ret_envelope, why);
    identity_wipe(&secrets);
    return r;
}

static int set(const char *kind, const char *path, const char *folder, bool json)
{
    CLEANUP(free_pointer) char *envelope = NULL;
    json_t *answer = NULL;
    struct why why;
    if (!folder)
        folder = getenv("CONSILIUM_IDENTITY");
    struct result r = folder ? seal_file(folder, kind, path, &envelope, &why)
                             : failed(&why, RESULT_INPUT,
                                      "say who you are: --as FOLDER, or set CONSILIUM_IDENTITY");
    if (ok(r))
        r = ask_json(folder, "paper", json_pack("{s:s, s:s}", "kind", kind, "envelope", envelope),
                     &answer, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    if (json)
        print_json(answer);
    else
        puts(ask_text(answer, "sentence"));
    json_decref(answer);
    return CLI_OK;
}

static int show(const char *kind, const char *folder, bool json)
{
    json_t *answer = NULL;
    struct why why;
    struct result r = ask_json(folder, "papers", json_object(), &answer, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    const json_t *paper = json_object_get(answer, kind);
    long long signers = json_integer_value(json_object_get(paper, "signers"));
    char since[ASK_TIME_BYTES];
    ask_time(json_integer_value(json_object_get(paper, "ms")), since);
    if (json)
        print_json(paper ? paper : json_null());
    else if (!paper)
        printf("no %s is in force\n", kind);
    else if (signers == 0)
        printf("%s %.12s, the coordinator's own file, since %s\n%s\n", kind,
               ask_text(paper, "sha256"), since, ask_text(paper, "text"));
    else
        printf("%s %.12s, signed by %lld people, since %s\n%s\n", kind, ask_text(paper, "sha256"),
               signers, since, ask_text(paper, "text"));
    json_decref(answer);
    return CLI_OK;
}

/* `set FILE` and `show` of a kind; anything else is the caller's. */
static int set_or_show(int argc, char **argv, const char *kind, const char *usage)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(usage, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *folder = cli_take_option(&argc, argv, "--as");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc == 3 && strcmp(argv[1], "set") == 0)
        return set(kind, argv[2], folder, json);
    if (argc == 2 && strcmp(argv[1], "show") == 0)
        return show(kind, folder, json);
    return cli_usage("gate %s takes 'set FILE' or 'show'; --help tells more", argv[0]);
}

int gate_policy(int argc, char **argv)
{
    return set_or_show(argc, argv, PAPER_POLICY, POLICY_USAGE);
}

static int check(const char *path, const char *before_path, bool json)
{
    struct plan plan, before;
    struct why why;
    char test_set[PCCP_HASH_TEXT], words[160] = "none";
    struct result r = plan_load(&plan, path, NULL, NULL, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    change_test_set(&plan, test_set);
    if (before_path) {
        r = plan_load(&before, before_path, NULL, NULL, &why);
        if (ok(r)) {
            pccp_words(change_classes(&before, &plan), words, sizeof words);
            plan_free(&before);
        }
    }
    plan_free(&plan);
    if (!ok(r))
        return cli_fail(r, &why);
    if (json)
        printf("{\"changes\":\"%s\",\"test_set_sha256\":\"%s\"}\n", words, test_set);
    else
        printf("changes: %s\ntest_set_sha256: %s\n", words, test_set);
    return CLI_OK;
}

int gate_pccp(int argc, char **argv)
{
    bool help = false, json = false;
    const char *before = cli_take_option(&argc, argv, "--before");
    if (argc >= 2 && strcmp(argv[1], "check") == 0) {
        help = cli_take_flag(&argc, argv, "--help");
        json = cli_take_flag(&argc, argv, "--json");
        if (!help && cli_odd_option(argc, argv))
            return CLI_USAGE;
        if (!help && argc == 3)
            return check(argv[2], before, json);
        fputs(PCCP_USAGE, help ? stdout : stderr);
        return help ? CLI_OK : CLI_USAGE;
    }
    return set_or_show(argc, argv, PAPER_CHANGES, PCCP_USAGE);
}

static void print_ledger(const char *family, const json_t *ledger)
{
    size_t i;
    json_t *model;
    const json_t *policy = json_object_get(ledger, "policy");
    printf("family %.12s: policy %s, %.6f of alpha spent (total %.6f)\n", family,
           ask_text(policy, "policy"),
           (double)json_integer_value(json_object_get(ledger, "spent")) / 1e6,
           (double)json_integer_value(json_object_get(policy, "alpha_micro")) / 1e6);
    json_array_foreach(json_object_get(ledger, "models"), i, model)
    {
        printf("  %2zu %.12s  alpha %.6f  looks %zu%s%s\n", i, ask_text(model, "model"),
               (double)json_integer_value(json_object_get(model, "alpha")) / 1e6,
               json_array_size(json_object_get(model, "looks")),
               json_is_true(json_object_get(model, "in_use_once")) ? "  was in use" : "",
               json_integer_value(json_object_get(ledger, "in_use")) == (json_int_t)i
                   ? "  (at the last judgement)"
                   : "");
    }
}

int gate_ledger(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(LEDGER_USAGE, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *folder = cli_take_option(&argc, argv, "--as");
    json_t *answer = NULL, *ledger;
    const char *family;
    struct why why;
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 1)
        return cli_usage("gate ledger takes no argument; --help tells more");
    struct result r = ask_json(folder, "papers", json_object(), &answer, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    json_t *ledgers = json_object_get(answer, "ledgers");
    if (json)
        print_json(ledgers);
    else if (json_object_size(ledgers) == 0)
        puts("no candidate was judged under an alpha ledger yet");
    else
        json_object_foreach(ledgers, family, ledger) print_ledger(family, ledger);
    json_decref(answer);
    return CLI_OK;
}
