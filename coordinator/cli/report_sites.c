/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures: AUROC by site and subgroup, and the privacy budget of each site. */
#include "coordinator/cli/html.h"
#include "coordinator/cli/report_html.h"
#include "coordinator/cli/report_pictures.h"

#include <math.h>
#include <string.h>

enum { WIDTH = 920, LABEL_X = 8, PLOT_LEFT = 260, PLOT_RIGHT = 640, VALUE_X = 660, ROW = 24 };

struct row {
    const char *label, *band;
    double auroc, low, high;
    int depth; /* 0 pooled, 1 site, 2 within it, 3 a prediction */
};

struct forest {
    struct row rows[REPORT_FOREST_MAX];
    size_t count, left_out;
    double low, high; /* of the axis */
    double dashed;    /* the line of no effect */
    const char *unit; /* under the axis */
};

static void add_row(struct forest *f, struct row row)
{
    if (f->count == REPORT_FOREST_MAX) {
        f->left_out++;
        return;
    }
    f->rows[f->count++] = row;
    double low = isfinite(row.low) ? row.low : row.auroc;
    double high = isfinite(row.high) ? row.high : row.auroc;
    if (isfinite(row.auroc)) {
        f->low = fmin(f->low, low);
        f->high = fmax(f->high, high);
    }
}

static void add_subgroups(struct forest *f, const json_t *subgroups, const char *site)
{
    size_t i;
    const json_t *group;
    json_array_foreach(subgroups, i, group)
    {
        if (!strcmp(string_at(group, "site"), site))
            add_row(f, (struct row){.label = string_at(group, "group"),
                                    .band = string_at(group, "n_band"),
                                    .auroc = number_at(group, "auroc"),
                                    .low = number_at(group, "low"),
                                    .high = number_at(group, "high"),
                                    .depth = 2});
    }
}

static struct row row_of(const json_t *object, const char *label, int depth)
{
    return (struct row){.label = label,
                        .band = string_at(object, "n_band"),
                        .auroc = number_at(object, "auroc"),
                        .low = number_at(object, "auroc_low"),
                        .high = number_at(object, "auroc_high"),
                        .depth = depth};
}

static void open_auroc(struct forest *f)
{
    f->low = f->dashed = 0.5;
    f->high = 0.6;
    f->unit = "AUROC, 95% interval";
}

static void close_auroc(struct forest *f)
{
    f->low = fmax(0, floor(f->low * 20) / 20);
    f->high = fmin(1, ceil(f->high * 20) / 20);
}

/* Mean and prediction interval of the random effects. */
static void add_prediction(struct forest *f, const json_t *o)
{
    const json_t *pi = json_object_get(o, "pi");
    const json_t *low = json_array_get(pi, 0), *high = json_array_get(pi, 1);
    if (isfinite(number_at(o, "auc")) && json_is_number(low) && json_is_number(high))
        add_row(f, (struct row){.label = "A new hospital, predicted",
                                .band = "",
                                .auroc = number_at(o, "auc"),
                                .low = json_number_value(low),
                                .high = json_number_value(high),
                                .depth = 3});
}

static void collect(struct forest *f, const json_t *report)
{
    const json_t *pooled = json_object_get(report, "pooled");
    const json_t *subgroups = json_object_get(report, "subgroups"), *site;
    size_t i;
    open_auroc(f);
    if (isfinite(number_at(pooled, "auroc")))
        add_row(f, row_of(pooled, "All sites, pooled", 0));
    add_prediction(f, json_object_get(json_object_get(report, "transport"), "dl"));
    json_array_foreach(json_object_get(report, "sites"), i, site)
    {
        add_row(f, row_of(site, string_at(site, "name"), 1));
        add_subgroups(f, subgroups, string_at(site, "name"));
    }
    close_auroc(f);
}

static double x_of(const struct forest *f, double auroc)
{
    double held = fmin(fmax(auroc, f->low), f->high);
    return PLOT_LEFT + (PLOT_RIGHT - PLOT_LEFT) * (held - f->low) / (f->high - f->low);
}

static void draw_axis(FILE *out, const struct forest *f, double bottom)
{
    double step = html_tick_step(f->high - f->low, 6);
    for (double v = ceil(f->low / step - 1e-9) * step; v <= f->high + 1e-9; v += step)
        fprintf(out,
                "<line class=\"rule\" x1=\"%.1f\" y1=\"14\" x2=\"%.1f\" y2=\"%.1f\"/>"
                "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.2f</text>\n",
                x_of(f, v), x_of(f, v), bottom, x_of(f, v), bottom + 16, v);
    fprintf(out,
            "<line x1=\"%.1f\" y1=\"14\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
            "stroke-dasharray=\"4 4\"/>\n",
            x_of(f, f->dashed), x_of(f, f->dashed), bottom, REPORT_GREY);
    fprintf(out, "<text class=\"axis\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
            PLOT_RIGHT, bottom + 34, f->unit);
}

static void draw_mark(FILE *out, const struct forest *f, const struct row *r, double y)
{
    double x = x_of(f, r->auroc), size = r->depth == 2 ? 3.5 : 5;
    const char *colour = r->depth == 2 ? REPORT_SKY : r->depth == 3 ? REPORT_ORANGE : REPORT_BLUE;
    if (isfinite(r->low) && isfinite(r->high))
        fprintf(out,
                "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
                "stroke-width=\"2\"%s/>",
                x_of(f, r->low), y, x_of(f, r->high), y, colour,
                r->depth == 3 ? " stroke-dasharray=\"6 3\"" : "");
    if (r->depth == 3)
        fprintf(out,
                "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"#fff\" stroke=\"%s\" "
                "stroke-width=\"2\"/>\n",
                x, y, colour);
    else if (r->depth == 0)
        fprintf(out, "<path d=\"M%.1f %.1fl8 -7l8 7l-8 7z\" fill=\"%s\"/>\n", x - 8, y, REPORT_INK);
    else
        fprintf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n",
                x - size, y - size, 2 * size, 2 * size, colour);
}

static void draw_row(FILE *out, const struct forest *f, const struct row *r, double y)
{
    fprintf(out, "<text class=\"%s\" x=\"%d\" y=\"%.1f\">", r->depth == 2 ? "small" : "strong",
            LABEL_X + (r->depth == 2 ? 18 : 0), y + 4);
    html_label(out, r->label, r->depth == 2 ? 28 : 30);
    fputs("</text>\n", out);
    if (isfinite(r->auroc))
        draw_mark(out, f, r, y);
    fprintf(out, "<text class=\"%s\" x=\"%d\" y=\"%.1f\">", r->depth == 2 ? "small" : "value",
            VALUE_X, y + 4);
    if (isfinite(r->auroc))
        html_interval(out, r->auroc, r->low, r->high);
    else
        fputs("not shown", out);
    if (r->band[0]) {
        fputs("; n ", out);
        html_label(out, r->band, 14);
    }
    fputs("</text>\n", out);
}

static void draw_forest(FILE *out, const struct forest *f, const char *heading, const char *title,
                        const char *caption)
{
    double bottom = 14 + ROW * (double)f->count;
    picture_open(out, heading, title, WIDTH, (int)bottom + 44);
    draw_axis(out, f, bottom);
    for (size_t i = 0; i < f->count; i++)
        draw_row(out, f, &f->rows[i], 14 + ROW * ((double)i + 0.5));
    picture_close(out, f->left_out ? "The first rows only; the report.json file holds all of them."
                                   : caption);
}

void picture_forest(FILE *out, const json_t *report)
{
    struct forest f = {0};
    collect(&f, report);
    if (f.count)
        draw_forest(out, &f, "How well it tells patients apart, by site and group",
                    "Forest plot of the AUROC with 95% intervals, by site and subgroup",
                    "Half (dashed) is chance. Groups too small to be shown safely are not shown; n "
                    "is given as a band. Open circle: what a hospital that has not taken part may "
                    "expect, nineteen times in twenty.");
}

/* Each group over all sites, then at each of them. */
void picture_groups(FILE *out, const json_t *report)
{
    struct forest f = {0};
    size_t i, k;
    const json_t *group, *part;
    const json_t *groups = json_object_get(report, "groups");
    open_auroc(&f);
    json_array_foreach(groups, i, group)
    {
        add_row(&f, (struct row){.label = string_at(group, "group"),
                                 .band = "",
                                 .auroc = number_at(group, "auroc"),
                                 .low = number_at(group, "low"),
                                 .high = number_at(group, "high")});
        json_array_foreach(json_object_get(report, "subgroups"), k, part)
        {
            if (strcmp(string_at(part, "group"), string_at(group, "group")) == 0)
                add_row(&f, (struct row){.label = string_at(part, "site"),
                                         .band = string_at(part, "n_band"),
                                         .auroc = number_at(part, "auroc"),
                                         .low = number_at(part, "low"),
                                         .high = number_at(part, "high"),
                                         .depth = 2});
        }
    }
    close_auroc(&f);
    if (f.count)
        draw_forest(
            out, &f, "The same for everybody? By group over all sites",
            "Forest plot of the AUROC with 95% intervals, by subgroup and within it by site",
            "Diamonds: a group over all sites that could show it, weighted by patients; "
            "squares: the group at one site.");
}

void picture_slopes(FILE *out, const json_t *report)
{
    struct forest f = {.low = 0.8,
                       .high = 1.2,
                       .dashed = 1,
                       .unit = "calibration slope, 95% interval"};
    size_t i;
    const json_t *site;
    json_array_foreach(json_object_get(report, "sites"), i, site)
    {
        struct row row = {.label = string_at(site, "name"),
                          .band = string_at(site, "n_band"),
                          .auroc = number_at(site, "calibration_slope"),
                          .low = number_at(site, "calibration_slope_low"),
                          .high = number_at(site, "calibration_slope_high"),
                          .depth = 1};
        if (fabs(row.auroc) < 10 && fabs(row.low) < 20 && fabs(row.high) < 20)
            add_row(&f, row);
    }
    f.low = floor(f.low * 5) / 5;
    f.high = ceil(f.high * 5) / 5;
    if (f.count)
        draw_forest(out, &f, "Overconfident or timid? Calibration slope by site",
                    "Forest plot of the calibration slope with 95% intervals, by site",
                    "One (dashed) is right; under it the model is overconfident, over it timid.");
}

/* A site's budget as a bar: spent, left; over it in red. */
static void draw_budget(FILE *out, const json_t *site, double y, double widest)
{
    double spent = number_at(site, "epsilon_spent"), budget = number_at(site, "epsilon_budget");
    double scale = (PLOT_RIGHT - PLOT_LEFT) / widest;
    spent = spent > 0 ? fmin(spent, widest) : 0;
    budget = budget > 0 ? fmin(budget, widest) : 0;
    fprintf(out, "<text class=\"strong\" x=\"%d\" y=\"%.1f\">", LABEL_X, y + 4);
    html_label(out, string_at(site, "name"), 30);
    fprintf(out,
            "</text>\n<rect x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"14\" fill=\"#eef1f5\" "
            "stroke=\"%s\"/>",
            PLOT_LEFT, y - 7, budget * scale, REPORT_GREY);
    fprintf(out, "<rect x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"14\" fill=\"%s\"/>\n",
            PLOT_LEFT, y - 7, spent * scale, spent > budget ? REPORT_RED : REPORT_BLUE);
    fprintf(out, "<text class=\"value\" x=\"%d\" y=\"%.1f\">", VALUE_X, y + 4);
    html_number(out, number_at(site, "epsilon_spent"), 3);
    fputs(" of ", out);
    html_number(out, number_at(site, "epsilon_budget"), 2);
    fputs("</text>\n", out);
}

void picture_budget(FILE *out, const json_t *report)
{
    const json_t *sites = json_object_get(report, "sites"), *site;
    size_t i, n = json_array_size(sites);
    double widest = 0;
    n = n < REPORT_SITES_MAX ? n : REPORT_SITES_MAX;
    for (i = 0; i < n; i++) {
        site = json_array_get(sites, i);
        double spent = number_at(site, "epsilon_spent"), budget = number_at(site, "epsilon_budget");
        widest = fmax(widest, fmax(spent < 1e9 ? spent : 0, budget < 1e9 ? budget : 0));
    }
    if (!(widest > 0))
        return;
    picture_open(out, "Privacy budget", "Bars of the epsilon spent and left at each site", WIDTH,
                 (int)(20 + ROW * n));
    for (i = 0; i < n; i++)
        draw_budget(out, json_array_get(sites, i), 8 + ROW * ((double)i + 0.5), widest);
    picture_close(out, "Filled: epsilon spent by this study; outlined: what the site allowed it. "
                       "Each patient's whole record is protected at this epsilon and the delta of "
                       "the table.");
}
