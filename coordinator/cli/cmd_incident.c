/* SPDX-License-Identifier: Apache-2.0 */
/* consilium incident: open one about a model, list them with their deadlines, tick off the steps.
 */
#include "coordinator/cli/ask.h"
#include "coordinator/cli/cli.h"

#include <stdio.h>
#include <string.h>

static const char OPEN_USAGE[] =
    "usage: consilium incident open MODEL --severity SEVERITY --text TEXT [--as FOLDER] "
    "[--json]\n\n"
    "Opens an incident about a model. Its clocks run from now.\n"
    "  --severity SEVERITY   critical, serious, moderate or minor\n"
    "  --text TEXT           what happened, without anything of a patient\n";
static const char LIST_USAGE[] =
    "usage: consilium incident list [--as FOLDER] [--json]\n\n"
    "All incidents with their steps and deadlines. Exit code 1 when a\n"
    "deadline has passed.\n";
static const char STEP_USAGE[] =
    "usage: consilium incident acknowledge|contain|report|close INCIDENT [--as FOLDER] [--json]\n\n"
    "Ticks off a step, in this order.\n";

static bool print_incident(const json_t *incident)
{
    bool overdue = false;
    const char *name;
    json_t *step;
    char time[ASK_TIME_BYTES];
    printf("%s  %-8s model %.12s  since %s  %s\n", ask_text(incident, "incident"),
           ask_text(incident, "severity"), ask_text(incident, "model"),
           ask_time(json_integer_value(json_object_get(incident, "aware_ms")), time),
           ask_text(incident, "text"));
    json_object_foreach(json_object_get(incident, "steps"), name, step)
    {
        const json_t *done = json_object_get(step, "done_ms");
        const json_t *due = json_object_get(step, "due_ms");
        bool late = json_is_true(json_object_get(step, "overdue"));
        overdue = overdue || late;
        if (done)
            printf("  %-12s done %s\n", name, ask_time(json_integer_value(done), time));
        else if (due)
            printf("  %-12s due %s%s\n", name, ask_time(json_integer_value(due), time),
                   late ? "  OVERDUE" : "");
        else
            printf("  %-12s no deadline\n", name);
    }
    return overdue;
}

static int show(json_t *answer, bool json)
{
    size_t i;
    json_t *incident;
    bool overdue = false;
    const json_t *list = json_object_get(answer, "incidents");
    if (json) {
        json_dumpf(answer, stdout, JSON_COMPACT);
        putchar('\n');
    } else if (list) {
        json_array_foreach(list, i, incident) overdue = print_incident(incident) || overdue;
    } else {
        overdue = print_incident(answer);
    }
    json_decref(answer);
    return overdue ? CLI_FAILED : CLI_OK;
}

static int ask_and_show(const char *folder, const char *verb, json_t *arguments, bool json)
{
    json_t *answer = NULL;
    struct why why;
    if (!arguments)
        return cli_usage("the text is no UTF-8");
    struct result r = ask_json(folder, verb, arguments, &answer, &why);
    return ok(r) ? show(answer, json) : cli_fail(r, &why);
}

static int incident_opened(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(OPEN_USAGE, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *folder = cli_take_option(&argc, argv, "--as");
    const char *severity = cli_take_option(&argc, argv, "--severity");
    const char *text = cli_take_option(&argc, argv, "--text");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 2 || !severity || !text)
        return cli_usage("incident open takes a model, --severity and --text; --help tells more");
    return ask_and_show(folder, "incident",
                        json_pack("{s:s, s:s, s:s, s:s}", "event", "open", "model", argv[1],
                                  "severity", severity, "text", text),
                        json);
}

static int incident_list(int argc, char **argv)
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
        return cli_usage("incident list takes no argument; --help tells more");
    return ask_and_show(folder, "incidents", json_object(), json);
}

static int incident_ticked(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(STEP_USAGE, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *folder = cli_take_option(&argc, argv, "--as");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 2)
        return cli_usage("incident %s takes one incident; --help tells more", argv[0]);
    return ask_and_show(folder, "incident",
                        json_pack("{s:s, s:s}", "event", argv[0], "incident", argv[1]), json);
}

static const struct cli_entry INCIDENT_COMMANDS[] = {
    {"open", incident_opened, "about a model; the clocks start"},
    {"list", incident_list, "all, with their deadlines"},
    {"acknowledge", incident_ticked, "somebody has taken it"},
    {"contain", incident_ticked, "the harm cannot go on"},
    {"report", incident_ticked, "authority and sites are told"},
    {"close", incident_ticked, "the cause is found, the correction in place"},
    {NULL, NULL, NULL},
};

int cmd_incident(int argc, char **argv)
{
    return cli_dispatch(INCIDENT_COMMANDS, "consilium incident COMMAND [ARGUMENT ...]", argc, argv);
}
