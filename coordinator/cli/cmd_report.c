/* SPDX-License-Identifier: Apache-2.0 */
/* consilium report: the study's report as JSON, on paper or as a summary. */
#include "coordinator/cli/cli.h"
#include "coordinator/cli/client.h"
#include "coordinator/cli/report_print.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static const char USAGE[] =
    "usage: consilium report STUDY [--out FOLDER] [--as FOLDER] [--json]\n\n"
    "Fetches the study's report. Without --json a summary is printed.\n"
    "  --out FOLDER   writes report.json and report.html there\n"
    "  --as FOLDER    who asks (default: $CONSILIUM_IDENTITY)\n";

static struct result fetch(const char *study, const char *folder, struct client_reply *reply,
                           struct why *why)
{
    struct client *client = NULL;
    struct result r = client_open(folder, &client, why);
    if (ok(r))
        r = client_request(client, "report", study, -1, reply, why);
    client_close(client);
    return r;
}

int cmd_report(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(USAGE, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *folder = cli_take_option(&argc, argv, "--as");
    const char *out = cli_take_option(&argc, argv, "--out");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 2)
        return cli_usage("report takes one study; --help tells more");
    struct client_reply reply = {0};
    struct why why;
    struct result r = fetch(argv[1], folder, &reply, &why);
    json_t *report = ok(r) ? json_loadb((const char *)reply.text, reply.text_n, 0, NULL) : NULL;
    if (ok(r) && !report)
        r = failed(&why, RESULT_INPUT, "the coordinator's report is no JSON");
    if (ok(r) && out)
        r = report_write(out, (const char *)reply.text, reply.text_n, report, &why);
    if (ok(r) && json)
        puts((const char *)reply.text);
    else if (ok(r))
        report_print(report);
    json_decref(report);
    free(reply.text);
    return ok(r) ? CLI_OK : cli_fail(r, &why);
}
