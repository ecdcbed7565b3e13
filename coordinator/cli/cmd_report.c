/* SPDX-License-Identifier: Apache-2.0 */
/* consilium report: the study's report as JSON, on paper or as a summary. */
#include "coordinator/cli/cli.h"
#include "coordinator/cli/client.h"
#include "coordinator/cli/report_html.h"
#include "proto/base/fs.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char USAGE[] =
    "usage: consilium report STUDY [--out FOLDER] [--as FOLDER] [--json]\n\n"
    "Fetches the study's report. Without --json a summary is printed.\n"
    "  --out FOLDER   writes report.json and report.html there\n"
    "  --as FOLDER    who asks (default: $CONSILIUM_IDENTITY)\n";

static double number_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static const char *figure(char out[16], const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_number(value))
        snprintf(out, 16, "%.4f", json_number_value(value));
    else
        snprintf(out, 16, "-");
    return out;
}

static void print_summary(const json_t *report)
{
    char a[16], b[16], c[16];
    const json_t *pooled = json_object_get(report, "pooled");
    printf("%s: %s, %.0f of %.0f rounds, best round %.0f\n",
           json_string_value(json_object_get(report, "study")),
           json_string_value(json_object_get(report, "phase")),
           number_of(report, "rounds_completed"), number_of(report, "rounds_planned"),
           number_of(report, "best_round"));
    printf("pooled AUROC %s (%s to %s)", figure(a, pooled, "auroc"), figure(b, pooled, "auroc_low"),
           figure(c, pooled, "auroc_high"));
    printf("  Brier %s  calibration slope %s\n", figure(a, pooled, "brier"),
           figure(b, pooled, "calibration_slope"));
    printf("%-20s %9s %8s %8s %9s %9s %8s %11s\n", "site", "patients", "counted", "refused",
           "epsilon", "budget", "AUROC", "bytes sent");
    size_t i;
    json_t *site;
    json_array_foreach(json_object_get(report, "sites"), i, site)
    {
        printf("%-20s %9.0f %8.0f %8.0f %9.4f %9.4f %8s %11.0f\n",
               json_string_value(json_object_get(site, "name")), number_of(site, "patients"),
               number_of(site, "rounds_counted"), number_of(site, "rounds_refused"),
               number_of(site, "epsilon_spent"), number_of(site, "epsilon_budget"),
               figure(a, site, "auroc"), number_of(site, "bytes_sent"));
    }
    printf("model %s\naudit log %s (%.0f entries)\n",
           json_string_value(json_object_get(report, "model_hash")),
           json_is_true(json_object_get(report, "audit_verified")) ? "verified" : "NOT VERIFIED",
           number_of(report, "audit_entries"));
    json_t *note;
    json_array_foreach(json_object_get(report, "notes"), i, note)
        printf("note: %s\n", json_string_value(note));
}

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

static struct result write_page(const char *folder, const json_t *report, struct why *why)
{
    char path[FS_PATH_BYTES], *html = NULL;
    TRY(fs_join(path, folder, "report.html", why));
    TRY(report_html(report, &html, why));
    struct result r = fs_write_atomic(path, html, strlen(html), 0644, why);
    free(html);
    return r;
}

static struct result write_files(const char *folder, const struct client_reply *reply,
                                 const json_t *report, struct why *why)
{
    char path[FS_PATH_BYTES];
    TRY(fs_make_dirs(folder, 0755, why));
    TRY(fs_join(path, folder, "report.json", why));
    TRY(fs_write_atomic(path, reply->text, reply->text_n, 0644, why));
    return write_page(folder, report, why);
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
    if (argc != 2)
        return cli_usage("report takes one study; --help tells more");
    struct client_reply reply = {0};
    struct why why;
    struct result r = fetch(argv[1], folder, &reply, &why);
    json_t *report = ok(r) ? json_loadb((const char *)reply.text, reply.text_n, 0, NULL) : NULL;
    if (ok(r) && !report)
        r = failed(&why, RESULT_INPUT, "the coordinator's report is no JSON");
    if (ok(r) && out)
        r = write_files(out, &reply, report, &why);
    if (ok(r) && json)
        puts((const char *)reply.text);
    else if (ok(r))
        print_summary(report);
    json_decref(report);
    free(reply.text);
    return ok(r) ? CLI_OK : cli_fail(r, &why);
}
