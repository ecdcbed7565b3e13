/* SPDX-License-Identifier: Apache-2.0 */
/* A study's report as a summary on the terminal and as files. */
#include "coordinator/cli/report_print.h"

#include "coordinator/cli/report_html.h"
#include "proto/base/fs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

void budget_print(const char *site, double spent, double budget)
{
    enum { BAR = 30 };
    if (!(budget > 0))
        return;
    int filled = (int)ceil(BAR * fmin(fmax(spent / budget, 0), 1) - 1e-9);
    printf("  %-20s epsilon [", site);
    for (int i = 0; i < BAR; i++)
        putchar(i < filled ? '#' : '.');
    printf("] %.3f spent, %.3f left of %.3f\n", spent, fmax(budget - spent, 0), budget);
}

void budgets_print(const json_t *sites)
{
    size_t i;
    json_t *site;
    json_array_foreach(sites, i, site)
        budget_print(json_string_value(json_object_get(site, "name")),
                     number_of(site, "epsilon_spent"), number_of(site, "epsilon_budget"));
}

/* Why a site took no part, or why it has no figures. */
static void standings_print(const json_t *report)
{
    size_t i;
    json_t *site;
    const json_t *silent = json_object_get(report, "no_figures");
    json_array_foreach(json_object_get(report, "sites"), i, site)
    {
        const char *name = json_string_value(json_object_get(site, "name"));
        const char *verdict = json_string_value(json_object_get(site, "verdict"));
        const char *reason = json_string_value(json_object_get(site, "reason"));
        const char *status = json_string_value(json_object_get(site, "status"));
        if (!status && name) /* it gave no report at all: "timeout", "budget_exhausted" */
            status = json_string_value(json_object_get(silent, name));
        if (name && verdict && strcmp(verdict, "allowed") != 0)
            printf("  %-20s took no part (%s)%s%s\n", name, verdict, reason && *reason ? ": " : "",
                   reason ? reason : "");
        else if (name && status && strcmp(status, "ok") != 0)
            printf("  %-20s no figures: %s\n", name, status);
    }
}

static double part(const json_t *object, const char *key, size_t at)
{
    return json_number_value(json_array_get(json_object_get(object, key), at));
}

void gaps_print(const json_t *disparity)
{
    size_t i;
    json_t *gap;
    const json_t *pooled = json_object_get(disparity, "pooled");
    json_array_foreach(json_object_get(pooled, "groups"), i, gap)
    {
        printf("  %-20s AUROC %.3f, lower than %s by %+.3f (%+.3f to %+.3f), p (Holm) %.2g\n",
               json_string_value(json_object_get(gap, "group")), number_of(gap, "auroc"),
               json_string_value(json_object_get(gap, "reference")), number_of(gap, "gap"),
               part(gap, "gap_interval", 0), part(gap, "gap_interval", 1),
               number_of(gap, "p_holm"));
    }
}

void expected_print(const char *site, const json_t *drift, const json_t *auroc)
{
    const json_t *expected = json_object_get(drift, "expected_auroc");
    if (!json_is_number(expected))
        return;
    printf("  %-20s AUROC by its scores alone %.3f", site, json_number_value(expected));
    if (json_is_number(auroc))
        printf(", measured %.3f", json_number_value(auroc));
    putchar('\n');
}

void findings_print(const json_t *report)
{
    size_t i;
    json_t *site, *sites = json_object_get(report, "sites");
    standings_print(report);
    gaps_print(json_object_get(report, "disparity"));
    json_array_foreach(sites, i, site)
        expected_print(json_string_value(json_object_get(site, "name")),
                       json_object_get(site, "drift"), json_object_get(site, "auroc"));
}

/* The line of pooled figures; a label that is a number has its error alone. True in that case. */
static bool pooled_print(const json_t *pooled)
{
    char a[16], b[16], c[16];
    const json_t *loss = json_object_get(pooled, "loss");
    static const char *const OTHERS[] = {"auroc", "cindex", "brier"};
    bool others = false;
    for (size_t i = 0; i < sizeof OTHERS / sizeof *OTHERS; i++)
        others = others || json_is_number(json_object_get(pooled, OTHERS[i]));
    if (!others && json_is_number(loss)) {
        printf("pooled loss %s: a root mean square error of %.4f times the label's spread\n",
               figure(a, pooled, "loss"), sqrt(2.0 * json_number_value(loss)));
        return true;
    }
    printf("pooled AUROC %s (%s to %s)", figure(a, pooled, "auroc"), figure(b, pooled, "auroc_low"),
           figure(c, pooled, "auroc_high"));
    if (json_is_number(json_object_get(pooled, "cindex")))
        printf("  C-index %s (%s to %s)", figure(a, pooled, "cindex"),
               figure(b, pooled, "cindex_low"), figure(c, pooled, "cindex_high"));
    printf("  Brier %s  calibration slope %s\n", figure(a, pooled, "brier"),
           figure(b, pooled, "calibration_slope"));
    return false;
}

void report_print(const json_t *report)
{
    char a[16];
    printf("%s: %s, %.0f of %.0f rounds, best round %.0f\n",
           json_string_value(json_object_get(report, "study")),
           json_string_value(json_object_get(report, "phase")),
           number_of(report, "rounds_completed"), number_of(report, "rounds_planned"),
           number_of(report, "best_round"));
    bool loss = pooled_print(json_object_get(report, "pooled"));
    printf("%-20s %9s %8s %8s %9s %9s %8s %11s\n", "site", "patients", "counted", "refused",
           "epsilon", "budget", loss ? "loss" : "AUROC", "bytes sent");
    size_t i;
    json_t *site;
    json_array_foreach(json_object_get(report, "sites"), i, site)
    {
        printf("%-20s %9.0f %8.0f %8.0f %9.4f %9.4f %8s %11.0f\n",
               json_string_value(json_object_get(site, "name")), number_of(site, "patients"),
               number_of(site, "rounds_counted"), number_of(site, "rounds_refused"),
               number_of(site, "epsilon_spent"), number_of(site, "epsilon_budget"),
               figure(a, site, loss ? "loss" : "auroc"), number_of(site, "bytes_sent"));
    }
    findings_print(report);
    printf("model %s\naudit log %s (%.0f entries)\n",
           json_string_value(json_object_get(report, "model_hash")),
           json_is_true(json_object_get(report, "audit_verified")) ? "verified" : "NOT VERIFIED",
           number_of(report, "audit_entries"));
    json_t *note;
    json_array_foreach(json_object_get(report, "notes"), i, note)
        printf("note: %s\n", json_string_value(note));
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

struct result report_write(const char *folder, const char *text, size_t n, const json_t *report,
                           struct why *why)
{
    char path[FS_PATH_BYTES];
    TRY(fs_make_dirs(folder, 0755, why));
    TRY(fs_join(path, folder, "report.json", why));
    TRY(fs_write_atomic(path, text, n, 0644, why));
    return write_page(folder, report, why);
}
