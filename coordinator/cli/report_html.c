/* SPDX-License-Identifier: Apache-2.0 */
/* The report's page: header, key figures, pictures, tables. */
#include "coordinator/cli/report_html.h"

#include "coordinator/cli/html.h"
#include "coordinator/cli/report_pictures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char style[] =
    ":root{color-scheme:light}"
    "*{box-sizing:border-box}"
    "body{margin:0;background:#f4f6f8;color:#1d2733;font:16px/1.5 system-ui,-apple-system,"
    "'Segoe UI',Roboto,'Noto Sans','DejaVu Sans',sans-serif}"
    "main{max-width:1080px;margin:0 auto;padding:28px 20px 60px}"
    "header{border-bottom:3px solid #0072B2;padding-bottom:14px;margin-bottom:22px}"
    "h1{font-size:30px;line-height:1.2;margin:0 0 4px}"
    "h2{font-size:19px;margin:0 0 12px}"
    "p{margin:6px 0}"
    ".quiet{color:#4b5663;font-size:14px}"
    ".name{color:#0b5394;font-weight:600;letter-spacing:.06em;text-transform:uppercase;"
    "font-size:13px}"
    ".chips{margin-top:10px}"
    ".chip{display:inline-block;border:1px solid #b7c0ca;border-radius:999px;padding:2px 12px;"
    "margin:0 6px 6px 0;background:#fff;font-size:14px}"
    ".good{border-color:#00725a;color:#00543f;background:#e6f5f0}"
    ".bad{border-color:#a63206;color:#8a2a05;background:#fdeee8}"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(145px,1fr));gap:12px;"
    "margin-bottom:22px}"
    ".tile,figure,section{background:#fff;border:1px solid #dde3e9;border-radius:10px}"
    ".tile{padding:12px 14px}"
    ".tile b{display:block;font-size:25px;line-height:1.25;font-variant-numeric:tabular-nums}"
    ".tile span{color:#4b5663;font-size:14px}"
    "figure,section{margin:0 0 22px;padding:18px 20px;break-inside:avoid}"
    "svg{display:block;width:100%;height:auto;font-family:inherit}"
    "figcaption{color:#4b5663;font-size:14px;margin-top:10px}"
    ".rule{stroke:#d5dbe2}.tick,.axis,.small{fill:#4b5663;font-size:13px}.tick{font-size:12px}"
    ".strong{fill:#1d2733;font-size:14px;font-weight:600}.value{fill:#1d2733;font-size:13.5px}"
    ".cell{font-size:13px}.tiny{font-size:10px}"
    ".wide{overflow-x:auto}"
    "table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}"
    "th,td{padding:6px 8px;text-align:right;border-bottom:1px solid #e4e9ee;white-space:nowrap}"
    "th{color:#4b5663;font-weight:600;vertical-align:bottom}"
    "td.text,th.text{text-align:left;white-space:normal}td.why{white-space:normal;text-align:left}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 18px;margin:0;font-size:14px}"
    "dt{color:#4b5663}dd{margin:0;overflow-wrap:anywhere}"
    "@media print{body{background:#fff}main{max-width:none;padding:0}"
    ".wide{overflow:visible}table{font-size:12px}th,td{padding:4px 6px}"
    "figure,section,.tile{border-color:#c6ced6}*{print-color-adjust:exact}}";

static bool has(const json_t *o, const char *key)
{
    const json_t *value = json_object_get(o, key);
    return value && !json_is_null(value);
}

static void put_paragraph(FILE *out, const char *class, const char *text)
{
    if (!text[0])
        return;
    fprintf(out, "<p class=\"%s\">", class);
    html_text(out, text);
    fputs("</p>\n", out);
}

static void put_chips(FILE *out, const json_t *report)
{
    bool verified = json_is_true(json_object_get(report, "audit_verified"));
    fprintf(out, "<div class=\"chips\"><span class=\"chip %s\">%s</span>",
            verified ? "good" : "bad",
            verified ? "&#10003; audit log verified" : "&#10007; audit log not verified");
    fputs("<span class=\"chip\">", out);
    html_number(out, number_at(report, "rounds_completed"), 0);
    if (has(report, "rounds_planned")) {
        fputs(" of ", out);
        html_number(out, number_at(report, "rounds_planned"), 0);
    }
    fputs(" rounds</span>", out);
    fprintf(out, "<span class=\"chip\">%zu sites</span>",
            json_array_size(json_object_get(report, "sites")));
    if (string_at(report, "phase")[0]) {
        fputs("<span class=\"chip\">", out);
        html_text(out, string_at(report, "phase"));
        fputs("</span>", out);
    }
    fputs("</div>\n", out);
}

static void put_header(FILE *out, const json_t *report)
{
    const char *title = string_at(report, "title"), *study = string_at(report, "study");
    fputs("<header>\n<p class=\"name\">Consilium study ", out);
    html_text(out, study);
    fputs("</p>\n<h1>", out);
    html_text(out, title[0] ? title : study[0] ? study : "Study report");
    fputs("</h1>\n", out);
    put_paragraph(out, "quiet", string_at(report, "purpose"));
    put_chips(out, report);
    fputs("</header>\n", out);
}

static void open_tile(FILE *out)
{
    fputs("<div class=\"tile\"><b>", out);
}

static void close_tile(FILE *out, const char *meaning)
{
    fprintf(out, "</b><span>%s</span></div>\n", meaning);
}

static void number_tile(FILE *out, const json_t *o, const char *key, int decimals,
                        const char *meaning)
{
    if (!has(o, key))
        return;
    open_tile(out);
    html_number(out, number_at(o, key), decimals);
    close_tile(out, meaning);
}

/* The largest epsilon that any site spent, NAN where none is told. */
static double largest_epsilon(const json_t *sites)
{
    double largest = NAN;
    size_t i;
    const json_t *site;
    json_array_foreach(sites, i, site) largest = fmax(largest, number_at(site, "epsilon_spent"));
    return largest;
}

/* A figure with its interval: KEY, KEY_low and KEY_high of the pooled figures. */
static void put_interval_tile(FILE *out, const json_t *pooled, const char *key, const char *name)
{
    char bound[32];
    if (!has(pooled, key))
        return;
    open_tile(out);
    html_number(out, number_at(pooled, key), 3);
    fprintf(out, "</b><span>%s, pooled<br/>95 %% interval ", name);
    snprintf(bound, sizeof bound, "%s_low", key);
    html_number(out, number_at(pooled, bound), 3);
    fputs(" to ", out);
    snprintf(bound, sizeof bound, "%s_high", key);
    html_number(out, number_at(pooled, bound), 3);
    fputs("</span></div>\n", out);
}

static void put_tiles(FILE *out, const json_t *report)
{
    const json_t *pooled = json_object_get(report, "pooled");
    double epsilon = largest_epsilon(json_object_get(report, "sites"));
    fputs("<div class=\"tiles\">\n", out);
    put_interval_tile(out, pooled, "auroc", "AUROC");
    put_interval_tile(out, pooled, "cindex", "C-index");
    number_tile(out, pooled, "brier", 4, "Brier score<br/>0 is perfect");
    number_tile(out, pooled, "calibration_slope", 2, "calibration slope<br/>1 is perfect");
    if (isfinite(epsilon)) {
        open_tile(out);
        html_number(out, epsilon, 2);
        close_tile(out, "privacy loss &#949;<br/>of the site that spent most");
    }
    if (has(report, "bytes_per_update")) {
        open_tile(out);
        html_bytes(out, number_at(report, "bytes_per_update"));
        close_tile(out, "sent by a site<br/>for one update");
    }
    if (has(report, "bytes_per_model")) {
        open_tile(out);
        html_bytes(out, number_at(report, "bytes_per_model"));
        close_tile(out, "sent to a site<br/>with the model");
    }
    if (has(report, "seconds_per_round")) {
        open_tile(out);
        html_seconds(out, number_at(report, "seconds_per_round"));
        fputs("</b><span>a round; all in all<br/>", out);
        html_seconds(out, number_at(report, "seconds_total"));
        fputs("</span></div>\n", out);
    }
    fputs("</div>\n", out);
}

static void put_cell(FILE *out, const json_t *o, const char *key, int decimals)
{
    fputs("<td>", out);
    html_number(out, number_at(o, key), decimals);
    fputs("</td>", out);
}

static void put_site(FILE *out, const json_t *site)
{
    fputs("<tr><td class=\"text\">", out);
    html_text(out, string_at(site, "name"));
    fputs("</td>", out);
    put_cell(out, site, "patients", 0);
    put_cell(out, site, "rounds_counted", 0);
    put_cell(out, site, "rounds_refused", 0);
    put_cell(out, site, "rounds_missed", 0);
    fputs("<td>", out);
    html_number(out, number_at(site, "epsilon_spent"), 3);
    fputs(" / ", out);
    html_number(out, number_at(site, "epsilon_budget"), 2);
    fprintf(out, "</td><td>%.3g</td><td>",
            number_at(site, "delta") > 0 ? number_at(site, "delta") : 0);
    html_number(out, number_at(site, "auroc"), 3);
    fputs("<br/><span class=\"quiet\">", out);
    html_number(out, number_at(site, "auroc_low"), 3);
    fputs(" to ", out);
    html_number(out, number_at(site, "auroc_high"), 3);
    fputs("</span></td>", out);
    put_cell(out, site, "brier", 3);
    fputs("<td>", out);
    html_bytes(out, number_at(site, "bytes_sent"));
    fputs("</td>", out);
    put_cell(out, site, "peak_memory_mb", 0);
    fputs("</tr>\n", out);
}

static void put_sites(FILE *out, const json_t *report)
{
    size_t i;
    const json_t *site, *sites = json_object_get(report, "sites");
    if (!json_array_size(sites))
        return;
    fputs("<section>\n<h2>The sites</h2>\n<div class=\"wide\"><table>\n<thead><tr>"
          "<th class=\"text\">site</th><th>patients</th><th>rounds<br/>counted</th>"
          "<th>refused</th><th>missed</th><th>&#949; spent<br/>of budget</th><th>&#948;</th>"
          "<th>AUROC<br/>95 % interval</th><th>Brier</th><th>sent</th>"
          "<th>peak<br/>memory, MB</th></tr></thead>\n<tbody>\n",
          out);
    json_array_foreach(sites, i, site)
    {
        if (i < REPORT_TABLE_MAX)
            put_site(out, site);
    }
    fputs("</tbody></table></div>\n", out);
    if (i > REPORT_TABLE_MAX)
        fprintf(out, "<p class=\"quiet\">%zu more sites are in report.json.</p>\n",
                i - REPORT_TABLE_MAX);
    fputs("</section>\n", out);
}

static void put_refusal(FILE *out, const json_t *line, const json_t *refusal)
{
    fputs("<tr>", out);
    put_cell(out, line, "round", 0);
    fputs("<td class=\"text\">", out);
    html_text(out, string_at(refusal, "site"));
    fputs("</td><td class=\"text\">", out);
    html_text(out, string_at(refusal, "standing"));
    fputs("</td><td class=\"why\">", out);
    html_text(out, string_at(refusal, "reason"));
    fputs("</td></tr>\n", out);
}

static size_t count_refusals(const json_t *rounds)
{
    size_t i, n = 0;
    const json_t *line;
    json_array_foreach(rounds, i, line) n += json_array_size(json_object_get(line, "refused"));
    return n;
}

static void put_refusals(FILE *out, const json_t *report)
{
    const json_t *rounds = json_object_get(report, "rounds"), *line, *refusal;
    size_t i, k, shown = 0, all = count_refusals(rounds);
    if (!json_array_size(rounds))
        return;
    fputs("<section>\n<h2>Who did not count, and why</h2>\n", out);
    if (all) {
        fputs("<div class=\"wide\"><table>\n<thead><tr><th>round</th><th class=\"text\">site</th>"
              "<th class=\"text\">what</th><th class=\"text\">why</th></tr></thead>\n<tbody>\n",
              out);
        json_array_foreach(rounds, i, line)
        {
            json_array_foreach(json_object_get(line, "refused"), k, refusal)
            {
                if (shown < REPORT_REFUSALS_MAX) {
                    put_refusal(out, line, refusal);
                    shown++;
                }
            }
        }
        fputs("</tbody></table></div>\n", out);
    } else {
        fputs("<p>Every site counted in every round it was asked.</p>\n", out);
    }
    if (all > shown)
        fprintf(out, "<p class=\"quiet\">%zu more are in report.json.</p>\n", all - shown);
    fputs("</section>\n", out);
}

static void put_notes(FILE *out, const json_t *report)
{
    size_t i;
    const json_t *note, *notes = json_object_get(report, "notes");
    if (!json_array_size(notes))
        return;
    fputs("<section>\n<h2>Notes</h2>\n<ul>\n", out);
    json_array_foreach(notes, i, note)
    {
        if (!json_is_string(note) || i >= REPORT_REFUSALS_MAX)
            continue;
        fputs("<li>", out);
        html_text(out, json_string_value(note));
        fputs("</li>\n", out);
    }
    fputs("</ul>\n</section>\n", out);
}

static void put_term(FILE *out, const json_t *report, const char *key, const char *name)
{
    const json_t *value = json_object_get(report, key);
    if (!json_is_string(value) && !json_is_integer(value))
        return;
    fprintf(out, "<dt>%s</dt><dd>", name);
    if (json_is_string(value))
        html_text(out, json_string_value(value));
    else
        fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    fputs("</dd>\n", out);
}

static void put_provenance(FILE *out, const json_t *report)
{
    fputs("<section>\n<h2>How it was made, to check it</h2>\n<dl>\n", out);
    put_term(out, report, "researcher", "researcher");
    put_term(out, report, "rule", "aggregation rule");
    put_term(out, report, "byzantine", "hostile sites it stands");
    put_term(out, report, "compression", "compression");
    put_term(out, report, "min_cell", "smallest group shown");
    put_term(out, report, "best_round", "round of the model kept");
    put_term(out, report, "model_hash", "model");
    put_term(out, report, "plan_hash", "plan");
    put_term(out, report, "audit_entries", "audit entries");
    put_term(out, report, "audit_head", "audit log's head");
    fputs("</dl>\n</section>\n", out);
}

static void put_page(FILE *out, const json_t *report)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
          "<meta http-equiv=\"Content-Security-Policy\" "
          "content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>",
          out);
    html_text(out, string_at(report, "study"));
    fprintf(out, " - Consilium report</title>\n<style>%s</style>\n</head>\n<body>\n<main>\n",
            style);
    put_header(out, report);
    put_tiles(out, report);
    picture_rounds(out, report);
    section_gate(out, report);
    picture_forest(out, report);
    picture_groups(out, report);
    section_gaps(out, report);
    section_expected(out, report);
    section_transport(out, report);
    section_survival(out, report);
    section_strata(out, report);
    picture_budget(out, report);
    picture_spending(out, report);
    picture_matrix(out, report);
    section_contributions(out, report);
    picture_calibration(out, report);
    picture_slopes(out, report);
    picture_monitor(out, report);
    table_monitor(out, report);
    picture_updates(out, report);
    put_sites(out, report);
    table_updates(out, report);
    put_refusals(out, report);
    put_notes(out, report);
    table_statement(out, report);
    put_provenance(out, report);
    fputs("</main>\n</body>\n</html>\n", out);
}

struct result report_html(const json_t *report, char **ret_html, struct why *why)
{
    size_t bytes = 0;
    *ret_html = NULL;
    if (!json_is_object(report))
        return failed(why, RESULT_INPUT, "a report is a JSON object");
    FILE *out = open_memstream(ret_html, &bytes);
    if (!out)
        return failed(why, RESULT_SYSTEM, "out of memory for the report's page");
    put_page(out, report);
    bool bad = ferror(out) != 0;
    if (fclose(out) != 0 || bad) {
        free(*ret_html);
        *ret_html = NULL;
        return failed(why, RESULT_SYSTEM, "out of memory for the report's page");
    }
    return DONE;
}
