/* SPDX-License-Identifier: Apache-2.0 */
/* What the aggregation saw: a picture of every site's flags by round, and its figures as a table.
 */
#include "coordinator/cli/html.h"
#include "coordinator/cli/report_html.h"
#include "coordinator/cli/report_pictures.h"

#include <math.h>
#include <string.h>

enum { WIDTH = 920, LABEL_X = 8, LEFT = 200, RIGHT = 900, ROW = 24, TOP = 30 };

/* The update of a site in a round's line, or NULL. */
static const json_t *update_of(const json_t *line, const char *site)
{
    size_t i;
    const json_t *update;
    json_array_foreach(json_object_get(line, "updates"), i, update)
    {
        if (!strcmp(string_at(update, "site"), site))
            return update;
    }
    return NULL;
}

static bool any_update(const json_t *rounds)
{
    size_t i;
    const json_t *line;
    json_array_foreach(rounds, i, line)
    {
        if (json_array_size(json_object_get(line, "updates")))
            return true;
    }
    return false;
}

static const char *colour_of(const json_t *update)
{
    if (!update)
        return REPORT_RULE;
    if (!strcmp(string_at(update, "fate"), "refused"))
        return REPORT_RED;
    if (!strcmp(string_at(update, "fate"), "set-aside"))
        return REPORT_GREY;
    return json_array_size(json_object_get(update, "flags")) ? REPORT_ORANGE : REPORT_GREEN;
}

static void draw_cell(FILE *out, const json_t *line, const char *site, double x, double y,
                      double width)
{
    const json_t *update = update_of(line, site);
    fprintf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"%s\"><title>", x,
            y, fmax(width - 1, 0.5), ROW - 6, colour_of(update));
    html_text(out, site);
    fputs(", round ", out);
    html_number(out, number_at(line, "round"), 0);
    fputs(": ", out);
    html_text(out, update ? string_at(update, "fate") : "no update");
    if (update) {
        fputs(", norm ", out);
        html_number(out, number_at(update, "norm"), 4);
        fputs(", cosine ", out);
        html_number(out, number_at(update, "cosine"), 2);
        fputs(". ", out);
        html_text(out, string_at(update, "reason"));
    }
    fputs("</title></rect>\n", out);
}

void picture_updates(FILE *out, const json_t *report)
{
    const json_t *rounds = json_object_get(report, "rounds"), *sites, *site, *line;
    size_t i, k, shown = json_array_size(rounds);
    sites = json_object_get(report, "sites");
    size_t count = json_array_size(sites);
    if (!any_update(rounds) || count == 0)
        return;
    shown = shown < REPORT_ROUNDS_MAX ? shown : REPORT_ROUNDS_MAX;
    count = count < REPORT_TABLE_MAX ? count : REPORT_TABLE_MAX;
    double width = (double)(RIGHT - LEFT) / (double)shown;
    picture_open(
        out, "What the aggregation saw of each update",
        "For every site and round, whether its update counted, was flagged, refused or set "
        "aside",
        WIDTH, TOP + (int)count * ROW + 12);
    fprintf(
        out,
        "<text class=\"axis\" x=\"%d\" y=\"16\"><tspan fill=\"%s\">&#9632;</tspan> counted "
        "<tspan fill=\"%s\">&#9632;</tspan> counted, flagged <tspan fill=\"%s\">&#9632;</tspan> "
        "refused <tspan fill=\"%s\">&#9632;</tspan> set aside</text>\n",
        LEFT, REPORT_GREEN, REPORT_ORANGE, REPORT_RED, REPORT_GREY);
    json_array_foreach(sites, i, site)
    {
        if (i >= count)
            break;
        double y = TOP + (double)i * ROW;
        fprintf(out, "<text class=\"tick\" x=\"%d\" y=\"%.1f\">", LABEL_X, y + ROW - 10);
        html_label(out, string_at(site, "name"), 24);
        fputs("</text>\n", out);
        json_array_foreach(rounds, k, line)
        {
            if (k < shown)
                draw_cell(out, line, string_at(site, "name"), LEFT + (double)k * width, y, width);
        }
    }
    picture_close(out,
                  "A flag is for people to look at: hospitals with other patients raise some of "
                  "them every round. The figures of each update are below and in report.json.");
}

/* Means over the rounds in which the site's update has the figure. */
struct means {
    double sum[6];
    unsigned count[6];
    unsigned updates, flagged, refused, aside;
    const json_t *last; /* its last update */
};

static const char *const MEAN_KEYS[] = {"norm",      "norm_ratio",  "cosine",
                                        "inclusion", "clip_factor", "weight"};

static struct means means_of(const json_t *rounds, const char *site)
{
    struct means m = {0};
    size_t i;
    const json_t *line;
    json_array_foreach(rounds, i, line)
    {
        const json_t *update = update_of(line, site);
        if (!update)
            continue;
        m.last = update;
        m.updates++;
        m.flagged += json_array_size(json_object_get(update, "flags")) > 0;
        m.refused += !strcmp(string_at(update, "fate"), "refused");
        m.aside += !strcmp(string_at(update, "fate"), "set-aside");
        for (size_t k = 0; k < 6; k++) {
            double value = number_at(update, MEAN_KEYS[k]);
            if (isfinite(value)) {
                m.sum[k] += value;
                m.count[k]++;
            }
        }
    }
    return m;
}

static void put_noise(FILE *out, const json_t *noise)
{
    fputs("<td class=\"why\">", out);
    if (json_is_true(json_object_get(noise, "tested"))) {
        html_text(out, string_at(noise, "verdict"));
        fputs("; window ", out);
        html_number(out, number_at(noise, "low"), 3);
        fputs(" to ", out);
        html_number(out, number_at(noise, "high"), 3);
        fputs(", noise ", out);
        html_number(out, number_at(noise, "noise"), 3);
    } else {
        fputs("not tested: ", out);
        html_text(out, string_at(noise, "reason"));
    }
    fputs("</td>", out);
}

static void put_site(FILE *out, const json_t *rounds, const json_t *site)
{
    static const int DECIMALS[] = {4, 2, 2, 2, 2, 3};
    struct means m = means_of(rounds, string_at(site, "name"));
    const json_t *conduct = json_object_get(site, "conduct");
    fputs("<tr><td class=\"text\">", out);
    html_text(out, string_at(site, "name"));
    fputs("</td>", out);
    for (size_t k = 0; k < 6; k++) {
        fputs("<td>", out);
        html_number(out, m.count[k] ? m.sum[k] / m.count[k] : (double)NAN, DECIMALS[k]);
        fputs("</td>", out);
    }
    fprintf(out, "<td>%u of %u</td><td>%u</td><td>%u</td><td>", m.flagged, m.updates, m.refused,
            m.aside);
    html_number(out, number_at(conduct, "reputation"), 2);
    fputs("</td>", out);
    put_noise(out, json_object_get(m.last, "noise"));
    fputs("<td class=\"why\">", out);
    if (json_is_true(json_object_get(conduct, "quarantined")))
        fputs("<b>quarantined</b> ", out);
    html_text(out, string_at(conduct, "reason"));
    fputs("</td></tr>\n", out);
}

static void put_dissimilarity(FILE *out, const json_t *o)
{
    if (!json_is_object(o))
        return;
    fputs("<p>Measured over the rounds, the sites' updates lie apart by at most G = ", out);
    html_number(out, number_at(o, "g"), 3);
    fputs(" and B = ", out);
    html_number(out, number_at(o, "b"), 2);
    fputs(" times the length of their mean", out);
    if (json_is_number(json_object_get(o, "b_most"))) {
        fputs("; any rule can stand the plan's hostile sites only while B is below ", out);
        html_number(out, number_at(o, "b_most"), 2);
    }
    fputs(".</p>\n", out);
}

void table_updates(FILE *out, const json_t *report)
{
    const json_t *rounds = json_object_get(report, "rounds"), *site;
    const json_t *sites = json_object_get(report, "sites");
    size_t i;
    if (!any_update(rounds))
        return;
    fputs("<section>\n<h2>The updates, site by site</h2>\n<div class=\"wide\"><table>\n<thead><tr>"
          "<th class=\"text\">site</th><th>norm</th><th>to the<br/>usual</th>"
          "<th>cosine to<br/>aggregate</th><th>neighbour-<br/>hoods</th><th>clipped<br/>to</th>"
          "<th>weight</th><th>flagged<br/>rounds</th><th>refused</th><th>set<br/>aside</th>"
          "<th>repu-<br/>tation</th><th class=\"text\">noise, last update</th>"
          "<th class=\"text\">quarantine</th></tr></thead>\n<tbody>\n",
          out);
    json_array_foreach(sites, i, site)
    {
        if (i < REPORT_TABLE_MAX)
            put_site(out, rounds, site);
    }
    fputs("</tbody></table></div>\n", out);
    put_dissimilarity(out, json_object_get(report, "dissimilarity"));
    fputs("<p class=\"quiet\">Means over the rounds; every round's figures "
          "are in report.json and in the audit log, and an audit computes them again.</p>\n"
          "</section>\n",
          out);
}
