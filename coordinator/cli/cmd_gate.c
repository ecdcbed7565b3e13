/* SPDX-License-Identifier: Apache-2.0 */
/* consilium gate explain and look: every rule of a gate's decision with its numbers, in words. */
#include "coordinator/cli/cmd_gate.h"
#include "coordinator/cli/ask.h"
#include "coordinator/cli/cli.h"
#include "coordinator/cli/cmd_validate.h"

#include <stdio.h>
#include <string.h>

static const char USAGE[] =
    "usage: consilium gate explain STUDY [--as FOLDER] [--json]\n\n"
    "Tells how the gate judged a study's model: the decision, every rule in its order with its\n"
    "numbers, and what each site reported. Exit code 0 for PROMOTE, 1 for HOLD and REJECT.\n";

/* Nothing where there is no number. */
static void print_number(const json_t *value, const char *before, int digits, bool with_sign)
{
    if (!json_is_number(value))
        return;
    if (with_sign)
        printf("%s%+.*f", before, digits, json_number_value(value));
    else
        printf("%s%.*f", before, digits, json_number_value(value));
}

static void print_site(const json_t *site)
{
    printf("  %-20s %-18s", ask_text(site, "id"), ask_text(site, "status"));
    if (strcmp(ask_text(site, "status"), "ok") == 0)
        printf(" %5lld events %6lld others", json_integer_value(json_object_get(site, "n_pos")),
               json_integer_value(json_object_get(site, "n_neg")));
    print_number(json_object_get(site, "auc"), "  AUROC ", 3, false);
    print_number(json_object_get(site, "d"), "  difference ", 3, true);
    print_number(json_object_get(site, "slope"), "  slope ", 2, false);
    print_number(json_object_get(site, "ece"), "  ECE ", 3, false);
    print_number(json_object_get(site, "ece_null"), ", by chance ", 3, false);
    putchar('\n');
}

static void print_rules(const json_t *record)
{
    size_t i;
    json_t *rule;
    json_array_foreach(json_object_get(record, "rules"), i, rule)
    {
        printf("%2lld %-22s %-8s %s\n", json_integer_value(json_object_get(rule, "rule")),
               ask_text(rule, "name"), ask_text(rule, "outcome"), ask_text(rule, "words"));
    }
}

static void print_groups(const json_t *input)
{
    size_t i;
    json_t *group;
    const json_t *groups = json_object_get(input, "groups");
    if (json_array_size(groups) > 0)
        puts("groups, candidate less incumbent:");
    json_array_foreach(groups, i, group)
    {
        printf("  %-30s", ask_text(group, "key"));
        print_number(json_object_get(group, "d"), " ", 4, true);
        print_number(json_object_get(group, "var_d"), "  variance ", 6, false);
        putchar('\n');
    }
}

static void print_ledger(const json_t *entry)
{
    const json_t *ledger = json_object_get(entry, "ledger");
    if (!ledger)
        return;
    printf("alpha ledger: %s; this candidate has alpha %.6f, the next one would get %.6f%s\n",
           ask_text(json_object_get(ledger, "policy"), "policy"),
           (double)json_integer_value(json_object_get(ledger, "alpha_micro")) / 1e6,
           (double)json_integer_value(json_object_get(ledger, "next_alpha_micro")) / 1e6,
           json_is_true(json_object_get(ledger, "static_holdout")) ? "; static holdout reused"
                                                                   : "");
}

static void print_change(const json_t *entry)
{
    const json_t *change = json_object_get(entry, "change");
    if (json_object_get(change, "classes"))
        printf("changes from the model in use %.12s: %s\n", ask_text(change, "before"),
               ask_text(change, "classes"));
}

static void print_range(const json_t *pair, const char *before)
{
    print_number(json_array_get(pair, 0), before, 3, false);
    print_number(json_array_get(pair, 1), " to ", 3, false);
}

/* What a hospital that has not taken part may expect. */
static void print_transport(const json_t *record)
{
    static const char *const METHODS[] = {"dl", "reml"};
    static const char *const NAMES[] = {"DerSimonian-Laird", "REML"};
    const json_t *transport = json_object_get(record, "transport");
    if (!transport)
        return;
    printf("at a new hospital (random effects over %lld sites, modified Hartung-Knapp):\n",
           json_integer_value(json_object_get(transport, "k")));
    for (size_t i = 0; i < sizeof METHODS / sizeof *METHODS; i++) {
        const json_t *o = json_object_get(transport, METHODS[i]);
        printf("  %-18s", NAMES[i]);
        print_number(json_object_get(o, "auc"), "AUROC ", 3, false);
        print_range(json_object_get(o, "ci"), ", 95 % interval of the mean ");
        print_range(json_object_get(o, "pi"), ", of a new hospital ");
        print_number(json_object_get(o, "tau2"), ", tau2 ", 4, false);
        print_number(json_object_get(o, "i2_percent"), ", I2 ", 0, false);
        puts(" %");
    }
}

static void print_explanation(const json_t *entry, const json_t *input, const json_t *record)
{
    size_t i;
    json_t *item;
    printf("study %s, round %lld, model %.12s: %s\n", ask_text(entry, "study"),
           json_integer_value(json_object_get(entry, "round")), ask_text(entry, "candidate"),
           ask_text(entry, "decision"));
    if (ask_text(entry, "incumbent")[0])
        printf("against the model in use, %.12s\n", ask_text(entry, "incumbent"));
    else
        puts("no model of this kind is in use: the absolute rules decide");
    const json_t *reasons = json_object_get(record, "reasons");
    json_array_foreach(reasons, i, item)
    {
        printf("%s%s%s", i == 0 ? "because of " : ", ", json_string_value(item),
               i + 1 == json_array_size(reasons) ? "\n" : "");
    }
    print_change(entry);
    print_rules(record);
    print_ledger(entry);
    puts("sites:");
    json_array_foreach(json_object_get(input, "sites"), i, item) print_site(item);
    json_array_foreach(json_object_get(record, "not_used"), i, item)
    {
        printf("  not used: %s (%s)\n", json_string_value(json_array_get(item, 0)),
               json_string_value(json_array_get(item, 1)));
    }
    print_groups(input);
    print_number(json_object_get(record, "cindex_pooled"), "C-index, pooled as the AUROC is: ", 4,
                 false);
    if (json_object_get(record, "cindex_pooled")) {
        print_number(json_object_get(record, "cindex_se"), ", standard error ", 4, false);
        puts("; no rule asks about it");
    }
    print_transport(record);
}

/* The two texts inside the entry become objects. */
static int show(json_t *entry, bool json)
{
    json_t *input = json_loads(ask_text(entry, "input"), 0, NULL);
    json_t *record = json_loads(ask_text(entry, "record"), 0, NULL);
    bool promote = strcmp(ask_text(entry, "decision"), "PROMOTE") == 0;
    if (json) {
        json_object_set(entry, "input", input);
        json_object_set(entry, "record", record);
        json_dumpf(entry, stdout, JSON_COMPACT | JSON_REAL_PRECISION(17));
        putchar('\n');
    } else {
        print_explanation(entry, input, record);
    }
    json_decref(input);
    json_decref(record);
    return promote ? CLI_OK : CLI_FAILED;
}

static int explain(const char *folder, const char *study, bool json)
{
    json_t *entry = NULL;
    struct why why;
    struct result r = ask_json(folder, "gate", json_pack("{s:s}", "study", study), &entry, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    int code = show(entry, json);
    json_decref(entry);
    return code;
}

static int gate_explain(int argc, char **argv)
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
        return cli_usage("gate explain takes one study; --help tells more");
    return explain(folder, argv[1], json);
}

static const char LOOK_USAGE[] =
    "usage: consilium gate look STUDY [--wait] [--as FOLDER] [--json]\n\n"
    "Under the policies bac and babr a candidate is only submitted by its own study. This asks "
    "its\n"
    "sites to judge it, and the models that it must not be worse than, on patients of holdout "
    "epochs\n"
    "that began after the submission, and nobody else; then the gate decides again. Your signed\n"
    "command stands in the audit log.\n"
    "  --wait   until the gate has decided; exit code 0 for PROMOTE, 1 for HOLD and REJECT\n";

static int gate_look(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(LOOK_USAGE, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json"), wait = cli_take_flag(&argc, argv, "--wait");
    const char *folder = cli_take_option(&argc, argv, "--as");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 2)
        return cli_usage("gate look takes one study; --help tells more");
    json_t *opened = NULL;
    struct why why;
    struct result r = ask_json(folder, "look", json_pack("{s:s}", "study", argv[1]), &opened, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    long long task = json_integer_value(json_object_get(opened, "task"));
    int code = CLI_OK;
    if (wait) {
        code = validate_wait(folder, argv[1], task, VALIDATE_QUIET);
        code = code == CLI_OK ? explain(folder, argv[1], json) : code;
    } else if (json) {
        json_dumpf(opened, stdout, JSON_COMPACT);
        putchar('\n');
    } else {
        printf("model %.12s of study '%s' is looked at again on newer patients (task %lld); "
               "'consilium gate explain %s' tells the outcome\n",
               ask_text(opened, "model"), argv[1], task, argv[1]);
    }
    json_decref(opened);
    return code;
}

static const struct cli_entry GATE_COMMANDS[] = {
    {"explain", gate_explain, "every rule of the decision, its numbers, in words"},
    {"look", gate_look, "judge a submitted candidate on patients who came after its submission"},
    {"policy", gate_policy, "sign the gate's policy, or show the one in force"},
    {"pccp", gate_pccp, "sign the plan for changes agreed beforehand, show or check"},
    {"ledger", gate_ledger, "the alpha that each family of models has spent"},
    {NULL, NULL, NULL},
};

int cmd_gate(int argc, char **argv)
{
    return cli_dispatch(GATE_COMMANDS, "consilium gate COMMAND [ARGUMENT ...]", argc, argv);
}
