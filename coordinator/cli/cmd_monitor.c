/* SPDX-License-Identifier: Apache-2.0 */
/* consilium monitor: watch a model in use, look now, and see what the looks found. */
#include "coordinator/cli/ask.h"
#include "coordinator/cli/cli.h"
#include "coordinator/cli/cmd_validate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char START_USAGE[] =
    "usage: consilium monitor start MODEL [--looks NUMBER] [--interval TIME] [--owner NAME]\n"
    "                               [--as FOLDER] [--json]\n\n"
    "Watches a model in shadow, pilot or use. The figures that the gate judged are the baseline; "
    "each\n"
    "look evaluates the model at its sites and applies the rules of gate.json (\"monitor\").\n"
    "  --looks NUMBER    looks in the period, over which alpha is spent (default: gate.json, else "
    "12)\n"
    "  --interval TIME   between scheduled looks: 30d, 12h, 15m, 10s; left out: looks on request "
    "only\n"
    "  --owner NAME      who answers findings within their deadlines (default: you)\n";
static const char LOOK_USAGE[] =
    "usage: consilium monitor look MODEL [--wait] [--as FOLDER] [--json]\n\n"
    "One look now. It counts as one of the period's looks. With --wait, exit code 1 when something "
    "is\n"
    "to be investigated or the model was suspended.\n";
static const char ONE_USAGE[] =
    "usage: consilium monitor stop|show MODEL [--as FOLDER] [--json]\n\n"
    "  stop   ends the looks\n"
    "  show   the terms, and every look with its findings. Exit code 1 when the last look found\n"
    "         something\n";
static const char LIST_USAGE[] = "usage: consilium monitor list [--as FOLDER] [--json]\n\n"
                                 "All watched models: looks done and planned, next look, owner, "
                                 "last severity, deadline. Exit code\n"
                                 "1 when a deadline has passed.\n";

static double figure(const json_t *o, const char *key)
{
    const json_t *value = json_object_get(o, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static long long integer(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static void print_json(const json_t *o)
{
    json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(17));
    putchar('\n');
}

/* "12h" in milliseconds; 0 when it is no time. */
static long long parse_interval(const char *text)
{
    static const struct {
        char unit;
        long long ms;
    } UNITS[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    char *end = NULL;
    long long count = strtoll(text, &end, 10);
    for (size_t i = 0; i < sizeof UNITS / sizeof UNITS[0]; i++)
        if (count > 0 && count <= 31622400 && end[0] == UNITS[i].unit && end[1] == '\0')
            return count * UNITS[i].ms;
    return 0;
}

static bool overdue(const json_t *monitor)
{
    return json_is_true(json_object_get(monitor, "overdue"));
}

static void print_monitor(const json_t *m)
{
    char time[ASK_TIME_BYTES];
    const json_t *terms = json_object_get(m, "terms");
    printf("%.12s  %-24s %-9s %-9s look %lld of %lld  owner %s", ask_text(m, "model"),
           ask_text(m, "study"), ask_text(m, "stage"), ask_text(m, "status"),
           integer(m, "looks_done"), integer(m, "looks_planned"), ask_text(terms, "owner"));
    if (integer(m, "next_ms") > 0)
        printf("  next %s", ask_time(integer(m, "next_ms"), time));
    if (ask_text(m, "severity")[0])
        printf("  last: %s", ask_text(m, "severity"));
    if (integer(m, "deadline_ms") > 0)
        printf("  answer by %s%s", ask_time(integer(m, "deadline_ms"), time),
               overdue(m) ? "  OVERDUE" : "");
    if (ask_text(m, "incident")[0])
        printf("  incident %s", ask_text(m, "incident"));
    putchar('\n');
}

static void print_finding(const json_t *f)
{
    char time[ASK_TIME_BYTES];
    printf("    %-16s %-12s %-12s %s", ask_text(f, "scope"), ask_text(f, "rule"),
           json_is_true(json_object_get(f, "known")) ? ask_text(f, "severity") : "not known",
           ask_text(f, "words"));
    if (integer(f, "deadline_ms") > 0)
        printf("; answer by %s", ask_time(integer(f, "deadline_ms"), time));
    putchar('\n');
}

static void print_look(const json_t *look)
{
    size_t i;
    json_t *finding;
    char time[ASK_TIME_BYTES];
    printf("  look %lld, task %lld, %s: %s\n", integer(look, "look"), integer(look, "task"),
           ask_time(integer(look, "ms"), time), ask_text(look, "severity"));
    json_array_foreach(json_object_get(look, "findings"), i, finding) print_finding(finding);
}

static int show(const char *folder, const char *model, bool json)
{
    size_t i;
    json_t *answer = NULL, *look;
    struct why why;
    struct result r =
        ask_json(folder, "monitors", json_pack("{s:s}", "model", model), &answer, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    const json_t *m = json_array_get(json_object_get(answer, "monitors"), 0);
    const json_t *looks = json_object_get(answer, "looks");
    const json_t *last = json_array_get(looks, json_array_size(looks) - 1);
    const char *severity = ask_text(last, "severity");
    if (json) {
        print_json(answer);
    } else {
        const json_t *terms = json_object_get(m, "terms");
        const json_t *baseline = json_object_get(terms, "baseline");
        print_monitor(m);
        printf("  baseline: task %lld, AUROC %.4f (%.3f to %.3f)\n",
               integer(terms, "baseline_task"), figure(baseline, "auroc"), figure(baseline, "low"),
               figure(baseline, "high"));
        json_array_foreach(looks, i, look) print_look(look);
    }
    bool found = severity[0] && strcmp(severity, "fine") != 0;
    json_decref(answer);
    return found ? CLI_FAILED : CLI_OK;
}

static int monitor_start(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(START_USAGE, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *folder = cli_take_option(&argc, argv, "--as");
    const char *looks = cli_take_option(&argc, argv, "--looks");
    const char *interval = cli_take_option(&argc, argv, "--interval");
    const char *owner = cli_take_option(&argc, argv, "--owner");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 2)
        return cli_usage("monitor start takes one model; --help tells more");
    long long ms = interval ? parse_interval(interval) : 0, number = looks ? atoll(looks) : 0;
    if ((interval && ms == 0) || (looks && number <= 0))
        return cli_usage("--interval takes a time as 30d or 12h, --looks a number from 1");
    json_t *answer = NULL;
    json_t *arguments = json_pack("{s:s, s:s}", "action", "start", "model", argv[1]);
    if (number > 0)
        json_object_set_new(arguments, "looks", json_integer(number));
    if (ms > 0)
        json_object_set_new(arguments, "interval_ms", json_integer(ms));
    if (owner)
        json_object_set_new(arguments, "owner", json_string(owner));
    struct why why;
    struct result r = ask_json(folder, "monitor", arguments, &answer, &why);
    json_decref(answer);
    return ok(r) ? show(folder, argv[1], json) : cli_fail(r, &why);
}

static struct result ask_about(const char *folder, const char *action, const char *model,
                               json_t **ret_answer, struct why *why)
{
    return ask_json(folder, "monitor", json_pack("{s:s, s:s}", "action", action, "model", model),
                    ret_answer, why);
}

static int monitor_stop(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(ONE_USAGE, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *folder = cli_take_option(&argc, argv, "--as");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 2)
        return cli_usage("monitor stop takes one model; --help tells more");
    json_t *answer = NULL;
    struct why why;
    struct result r = ask_about(folder, "stop", argv[1], &answer, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    puts(json ? "{\"status\":\"stopped\"}" : "the model is no longer monitored");
    json_decref(answer);
    return CLI_OK;
}

static int monitor_show(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(ONE_USAGE, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *folder = cli_take_option(&argc, argv, "--as");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 2)
        return cli_usage("monitor show takes one model; --help tells more");
    return show(folder, argv[1], json);
}

static int monitor_look(int argc, char **argv)
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
        return cli_usage("monitor look takes one model; --help tells more");
    json_t *answer = NULL;
    struct why why;
    struct result r = ask_about(folder, "look", argv[1], &answer, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    int code = CLI_OK;
    if (!wait && json)
        print_json(answer);
    else if (!wait)
        printf("study %s task %lld looks\n", ask_text(answer, "study"), integer(answer, "task"));
    if (wait)
        code = validate_wait(folder, ask_text(answer, "study"), integer(answer, "task"),
                             json ? VALIDATE_QUIET : VALIDATE_WORDS);
    json_decref(answer);
    return wait && (code == CLI_OK || code == CLI_FAILED) ? show(folder, argv[1], json) : code;
}

static int monitor_list(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(LIST_USAGE, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json"), late = false;
    const char *folder = cli_take_option(&argc, argv, "--as");
    size_t i;
    json_t *answer = NULL, *monitor;
    struct why why;
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 1)
        return cli_usage("monitor list takes no argument; --help tells more");
    struct result r = ask_json(folder, "monitors", json_object(), &answer, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    if (json)
        print_json(answer);
    json_array_foreach(json_object_get(answer, "monitors"), i, monitor)
    {
        late = late || overdue(monitor);
        if (!json)
            print_monitor(monitor);
    }
    json_decref(answer);
    return late ? CLI_FAILED : CLI_OK;
}

static const struct cli_entry MONITOR_COMMANDS[] = {
    {"start", monitor_start, "watch a model: looks, interval, owner"},
    {"stop", monitor_stop, "end the looks"},
    {"list", monitor_list, "all watched models"},
    {"show", monitor_show, "the terms, every look and its findings"},
    {"look", monitor_look, "one look now"},
    {NULL, NULL, NULL},
};

int cmd_monitor(int argc, char **argv)
{
    return cli_dispatch(MONITOR_COMMANDS, "consilium monitor COMMAND [ARGUMENT ...]", argc, argv);
}
