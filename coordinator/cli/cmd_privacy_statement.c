/* SPDX-License-Identifier: Apache-2.0 */
/* consilium privacy statement and ledger: what a plan promises each patient, and what sites have
 * spent. */
#include "coordinator/cli/client.h"
#include "coordinator/cli/cmd_privacy.h"
#include "coordinator/statement.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct result state(const char *path, double patients, const json_t *audit, bool json,
                           struct why *why)
{
    struct plan plan;
    json_t *s = NULL;
    TRY(plan_load(&plan, path, NULL, NULL, why));
    struct result r = statement_of_plan(&plan, (uint64_t)patients, &s, why);
    plan_free(&plan);
    TRY(r);
    statement_add_findings(s, audit, -1, 0);
    if (json) {
        json_dumpf(s, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
        putchar('\n');
    } else {
        statement_print(stdout, s);
    }
    json_decref(s);
    return DONE;
}

/* What "privacy audit-run --json" wrote; NULL file: none. */
static struct result read_audit(const char *file, json_t **ret_audit, struct why *why)
{
    json_error_t error;
    *ret_audit = NULL;
    if (!file)
        return DONE;
    *ret_audit = json_load_file(file, JSON_REJECT_DUPLICATES, &error);
    if (*ret_audit && json_is_number(json_object_get(*ret_audit, "epsilon_audited")))
        return DONE;
    json_decref(*ret_audit);
    *ret_audit = NULL;
    return failed(why, RESULT_INPUT, "%s is not the outcome of privacy audit-run --json", file);
}

int cmd_privacy_statement(int argc, char **argv)
{
    struct why why = {0};
    double patients = 500.0;
    if (cli_take_flag(&argc, argv, "--help") || cli_take_flag(&argc, argv, "-h")) {
        puts("usage: consilium privacy statement PLAN.yaml [--patients N] [--audit FILE] "
             "[--json]\n\n"
             "What the plan promises each patient at each site, and what it does not cover.\n"
             "  --patients N  what the site declares (500)\n"
             "  --audit FILE  outcome of privacy audit-run --json, to stand beside the claim");
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *file = cli_take_option(&argc, argv, "--audit");
    json_t *audit = NULL;
    struct result r = take_number(&argc, argv, "--patients", false, &patients, &why);
    if (ok(r) && !(patients >= 1.0 && patients <= 1e9))
        r = failed(&why, RESULT_INPUT, "--patients is a number from 1 to 1e9, not %g", patients);
    if (ok(r) && cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (ok(r) && argc != 2)
        return cli_usage("privacy statement needs one plan; --help tells more");
    if (ok(r))
        r = read_audit(file, &audit, &why);
    if (ok(r))
        r = state(argv[1], patients, audit, json, &why);
    json_decref(audit);
    return ok(r) ? CLI_OK : cli_fail(r, &why);
}

static void print_ledger(const json_t *report, bool json)
{
    json_t *sites = json_object_get(report, "sites"), *site;
    size_t i;
    if (json) {
        json_dumpf(sites, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
        putchar('\n');
        return;
    }
    printf("%-24s %10s %10s %10s %10s\n", "site", "spent", "left", "budget", "delta");
    json_array_foreach(sites, i, site)
    {
        double spent = json_number_value(json_object_get(site, "epsilon_spent"));
        double budget = json_number_value(json_object_get(site, "epsilon_budget"));
        printf("%-24s %10.4f %10.4f %10.4f %10.1g\n",
               json_string_value(json_object_get(site, "name")), spent, fmax(0.0, budget - spent),
               budget, json_number_value(json_object_get(site, "delta")));
    }
}

int cmd_privacy_ledger(int argc, char **argv)
{
    struct why why = {0};
    if (cli_take_flag(&argc, argv, "--help") || cli_take_flag(&argc, argv, "-h")) {
        puts("usage: consilium privacy ledger STUDY [--as FOLDER] [--json]\n\nWhat each site has "
             "spent of what it granted the study. A hospital's whole ledger, over all\nstudies and "
             "years, is its own: consilium-agent budget.");
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *folder = cli_take_option(&argc, argv, "--as");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 2)
        return cli_usage("privacy ledger needs one study; --help tells more");
    struct client *client = NULL;
    struct client_reply reply = {0};
    struct result r = client_open(folder, &client, &why);
    if (ok(r))
        r = client_request(client, "report", argv[1], -1, &reply, &why);
    client_close(client);
    json_t *report =
        ok(r) ? json_loadb((const char *)reply.text, reply.text_n, JSON_REJECT_DUPLICATES, NULL)
              : NULL;
    if (ok(r) && !report)
        r = failed(&why, RESULT_SYSTEM, "the coordinator's report cannot be read");
    if (ok(r))
        print_ledger(report, json);
    json_decref(report);
    free(reply.text);
    return ok(r) ? CLI_OK : cli_fail(r, &why);
}
