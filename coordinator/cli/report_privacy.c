/* SPDX-License-Identifier: Apache-2.0 */
/* Picture: what each site's ledger granted the study, spent and left over time; and the privacy
 * statement as a table. */
#include "coordinator/cli/html.h"
#include "coordinator/cli/report_html.h"
#include "coordinator/cli/report_pictures.h"

#include <math.h>

enum {
    WIDTH = 920,
    LABEL_X = 8,
    LEFT = 190,
    RIGHT = 700,
    VALUE_X = 712,
    ROW = 46,      /* of one site */
    TALL = 34,     /* of its area */
    POINTS = 2000, /* of one site at most */
};

struct span {
    double first_ms, last_ms; /* of all sites */
    double widest;            /* the largest budget or spending of any site */
};

static const json_t *points_of(const json_t *site)
{
    return json_object_get(site, "spent");
}

static double part_of(const json_t *point, size_t k)
{
    const json_t *value = json_array_get(point, k);
    double v = json_is_number(value) ? json_number_value(value) : (double)NAN;
    return fabs(v) < 1e15 ? v : (double)NAN;
}

static bool find_span(const json_t *sites, struct span *s)
{
    *s = (struct span){.first_ms = HUGE_VAL, .last_ms = -HUGE_VAL};
    for (size_t i = 0; i < json_array_size(sites) && i < REPORT_SITES_MAX; i++) {
        const json_t *site = json_array_get(sites, i), *points = points_of(site);
        double budget = number_at(site, "epsilon_budget");
        s->widest = fmax(s->widest, budget < 1e6 ? budget : 0);
        for (size_t k = 0; k < json_array_size(points) && k < POINTS; k++) {
            const json_t *point = json_array_get(points, k);
            s->first_ms = fmin(s->first_ms, part_of(point, 0));
            s->last_ms = fmax(s->last_ms, part_of(point, 0));
            s->widest = fmax(s->widest, part_of(point, 1));
        }
    }
    return s->widest > 0 && s->widest < 1e6 && s->first_ms <= s->last_ms;
}

static double x_of(const struct span *s, double ms)
{
    double span = s->last_ms - s->first_ms;
    return span > 0 ? LEFT + (RIGHT - LEFT) * (ms - s->first_ms) / span : RIGHT;
}

/* The budget granted as an outline, what was spent of it as a staircase. */
static void draw_site(FILE *out, const struct span *s, const json_t *site, double top)
{
    const json_t *points = points_of(site);
    double bottom = top + TALL, budget = number_at(site, "epsilon_budget");
    budget = budget > 0 && budget < 1e6 ? budget : 0;
    fprintf(out, "<text class=\"strong\" x=\"%d\" y=\"%.1f\">", LABEL_X, bottom - TALL / 2.0 + 4);
    html_label(out, string_at(site, "name"), 24);
    fprintf(out,
            "</text>\n<rect x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%.1f\" fill=\"#eef1f5\" "
            "stroke=\"%s\"/>",
            LEFT, bottom - TALL * budget / s->widest, RIGHT - LEFT, TALL * budget / s->widest,
            REPORT_GREY);
    double spent = 0, x = LEFT;
    fprintf(out, "<path fill=\"%s\" fill-opacity=\"0.85\" d=\"M%d %.1f", REPORT_BLUE, LEFT, bottom);
    for (size_t k = 0; k < json_array_size(points) && k < POINTS; k++) {
        const json_t *point = json_array_get(points, k);
        if (isnan(part_of(point, 0)) || !(part_of(point, 1) >= spent))
            continue;
        x = fmax(x, x_of(s, part_of(point, 0)));
        spent = fmin(part_of(point, 1), s->widest);
        fprintf(out, "H%.1fV%.1f", x, bottom - TALL * spent / s->widest);
    }
    fprintf(out, "H%dV%.1fZ\"/>\n<text class=\"value\" x=\"%d\" y=\"%.1f\">", RIGHT, bottom,
            VALUE_X, bottom - TALL / 2.0 + 4);
    html_number(out, spent, 3);
    fputs(" spent, ", out);
    html_number(out, fmax(budget - spent, 0), 3);
    fputs(" left</text>\n", out);
}

void picture_spending(FILE *out, const json_t *report)
{
    const json_t *sites = json_object_get(report, "sites");
    struct span span;
    size_t n = json_array_size(sites);
    n = n < REPORT_SITES_MAX ? n : REPORT_SITES_MAX;
    if (!find_span(sites, &span))
        return;
    picture_open(out, "Privacy budget over time",
                 "Epsilon spent and left at each site, from the first result to the last", WIDTH,
                 (int)(16 + ROW * n));
    for (size_t i = 0; i < n; i++)
        draw_site(out, &span, json_array_get(sites, i), 8 + (double)(ROW * i));
    picture_close(out,
                  "From the first result to the last. Outlined: what the site's ledger granted "
                  "this study, charged whole before its first step. Filled: what the results "
                  "so far amount to. Between them: what is left of it.");
}

void table_statement(FILE *out, const json_t *report)
{
    json_t *statement = json_object_get(report, "privacy"), *value;
    const char *key;
    if (!json_is_object(statement))
        return;
    fputs("<section>\n<h2>Privacy statement</h2>\n<table>\n", out);
    json_object_foreach(statement, key, value)
    {
        fputs("<tr><th>", out);
        html_text(out, key);
        fputs("</th><td>", out);
        if (json_is_string(value))
            html_text(out, json_string_value(value));
        else if (json_is_number(value))
            fprintf(out, "%.8g", json_number_value(value));
        else if (json_is_object(value))
            fputs("see report.json", out);
        fputs("</td></tr>\n", out);
    }
    fputs("</table>\n</section>\n", out);
}
