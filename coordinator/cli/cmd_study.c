/* SPDX-License-Identifier: Apache-2.0 */
/* consilium status, stop, resume: where studies stand, and the two levers. */
#include "coordinator/cli/cli.h"
#include "coordinator/cli/client.h"
#include "coordinator/cli/report_print.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char STATUS_USAGE[] =
    "usage: consilium status [STUDY] [--as FOLDER] [--json]\n\n"
    "Shows all studies of the consortium, or one with its sites and their privacy budgets.\n";
static const char STOP_USAGE[] = "usage: consilium stop STUDY [--as FOLDER] [--json]\n\n"
                                 "Ends a study for good; what was learnt so far is kept.\n";
static const char RESUME_USAGE[] = "usage: consilium resume STUDY [--as FOLDER] [--json]\n\n"
                                   "Lets a paused study go on.\n";

static struct result ask(const char *folder, const char *verb, const char *study,
                         struct client_reply *reply, struct why *why)
{
    struct client *client = NULL;
    struct result r = client_open(folder, &client, why);
    if (ok(r))
        r = client_request(client, verb, study, -1, reply, why);
    client_close(client);
    return r;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static long long integer_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* Only of sites that were flagged: the others have nothing to tell. */
static void print_conduct(const json_t *conduct)
{
    if (integer_of(conduct, "flagged") == 0)
        return;
    printf("  %-24s reputation %.2f, flagged in %lld of %lld rounds%s\n", "",
           json_number_value(json_object_get(conduct, "reputation")),
           integer_of(conduct, "flagged"), integer_of(conduct, "judged"),
           json_is_true(json_object_get(conduct, "quarantined")) ? ", QUARANTINED" : "");
    if (text_of(conduct, "reason")[0])
        printf("  %-24s %s\n", "", text_of(conduct, "reason"));
}

static void print_study(const json_t *study, bool with_sites)
{
    printf("%-24s %-12s round %lld of %lld", text_of(study, "study"), text_of(study, "phase"),
           integer_of(study, "round"), integer_of(study, "rounds"));
    const json_t *score = json_object_get(study, "best_score");
    if (score)
        printf("   best %.4f (round %lld)", json_number_value(score),
               integer_of(study, "best_round"));
    putchar('\n');
    if (text_of(study, "reason")[0])
        printf("  %s\n", text_of(study, "reason"));
    size_t i;
    json_t *site;
    json_array_foreach(json_object_get(study, "sites"), i, site)
    {
        if (!with_sites)
            break;
        printf("  %-24s %-8s %-5s %-9s %6lld patients%s%s\n", text_of(site, "name"),
               text_of(site, "verdict"),
               json_is_true(json_object_get(site, "live")) ? "alive" : "away",
               text_of(site, "standing"), integer_of(site, "patients"),
               text_of(site, "reason")[0] ? "  " : "", text_of(site, "reason"));
        print_conduct(json_object_get(site, "conduct"));
    }
}

static void print_incident(const json_t *incident)
{
    printf("incident %s (%s) on model %.12s of %s: %s", text_of(incident, "incident"),
           text_of(incident, "severity"), text_of(incident, "model"), text_of(incident, "study"),
           text_of(incident, "text"));
    if (text_of(incident, "overdue")[0])
        printf("; OVERDUE: %s", text_of(incident, "overdue"));
    putchar('\n');
}

static int print_status(const struct client_reply *reply, const char *study)
{
    json_t *root = json_loadb((const char *)reply->text, reply->text_n, 0, NULL);
    const json_t *studies = json_object_get(root, "studies");
    size_t i, count = json_array_size(studies);
    json_t *one;
    json_array_foreach(studies, i, one) print_study(one, study != NULL);
    json_array_foreach(json_object_get(root, "incidents"), i, one) print_incident(one);
    if (count == 0)
        fprintf(stderr, study ? "consilium: there is no study '%s'\n" : "no study yet\n", study);
    json_decref(root);
    return count == 0 && study ? CLI_USAGE : CLI_OK;
}

/* What the last evaluation found, and bars of what the sites spent of what they granted. */
static void print_report(const char *folder, const char *study)
{
    struct client_reply reply = {0};
    struct why why;
    if (!ok(ask(folder, "report", study, &reply, &why)))
        return;
    json_t *report = json_loadb((const char *)reply.text, reply.text_n, 0, NULL);
    findings_print(report);
    budgets_print(json_object_get(report, "sites"));
    json_decref(report);
    free(reply.text);
}

int cmd_status(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(STATUS_USAGE, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *folder = cli_take_option(&argc, argv, "--as");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc > 2)
        return cli_usage("status takes at most one study; --help tells more");
    const char *study = argc == 2 ? argv[1] : NULL;
    struct client_reply reply = {0};
    struct why why;
    struct result r = ask(folder, "status", study, &reply, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    int code = CLI_OK;
    if (json)
        puts(reply.text ? (const char *)reply.text : "{}");
    else
        code = print_status(&reply, study);
    if (!json && study && code == CLI_OK)
        print_report(folder, study);
    free(reply.text);
    return code;
}

static int change(int argc, char **argv, const char *verb, const char *usage)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(usage, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *folder = cli_take_option(&argc, argv, "--as");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 2)
        return cli_usage("%s takes one study; --help tells more", verb);
    struct client_reply reply = {0};
    struct why why;
    struct result r = ask(folder, verb, argv[1], &reply, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    if (json) {
        json_t *o = json_pack("{s:s, s:s}", "study", argv[1], "sentence", reply.sentence);
        json_dumpf(o, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(o);
    } else {
        puts(reply.sentence);
    }
    free(reply.text);
    return CLI_OK;
}

int cmd_stop(int argc, char **argv)
{
    return change(argc, argv, "stop", STOP_USAGE);
}

int cmd_resume(int argc, char **argv)
{
    return change(argc, argv, "resume", RESUME_USAGE);
}
