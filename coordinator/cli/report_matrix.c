/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures: every model at every site, and calibration. */
#include "coordinator/cli/html.h"
#include "coordinator/cli/report_html.h"
#include "coordinator/cli/report_pictures.h"

#include <math.h>
#include <string.h>

enum { WIDTH = 920, CELL_H = 34, LABELS = 216, HEAD = 116 };

static double cell_at(const json_t *rows, size_t model, size_t site)
{
    const json_t *cell = json_array_get(json_array_get(rows, model), site);
    return json_is_number(cell) ? json_number_value(cell) : (double)NAN;
}

static const char *name_at(const json_t *names, size_t i)
{
    const char *name = json_string_value(json_array_get(names, i));
    return name ? name : "";
}

/* White to dark blue, evenly in lightness; share in [0, 1]. */
static void put_colour(FILE *out, double share)
{
    static const double stops[4][3] = {{247, 251, 255},
                                       {158, 202, 225},
                                       {49, 130, 189},
                                       {8, 48, 107}};
    double place = fmin(fmax(share, 0), 1) * 3;
    int i = place >= 3 ? 2 : (int)place;
    double t = place - i;
    fprintf(out, "#%02x%02x%02x", (unsigned)(stops[i][0] + t * (stops[i + 1][0] - stops[i][0])),
            (unsigned)(stops[i][1] + t * (stops[i + 1][1] - stops[i][1])),
            (unsigned)(stops[i][2] + t * (stops[i + 1][2] - stops[i][2])));
}

struct matrix {
    const json_t *models, *sites, *rows;
    size_t m, n;
    double low, high, width; /* of the colours; of a cell */
};

static bool read_matrix(const json_t *report, struct matrix *a)
{
    const json_t *o = json_object_get(report, "matrix");
    *a = (struct matrix){.models = json_object_get(o, "models"),
                         .sites = json_object_get(o, "sites"),
                         .rows = json_object_get(o, "auroc"),
                         .low = HUGE_VAL,
                         .high = -HUGE_VAL};
    a->m = json_array_size(a->models);
    a->n = json_array_size(a->sites);
    a->m = a->m < REPORT_MATRIX_MAX ? a->m : REPORT_MATRIX_MAX;
    a->n = a->n < REPORT_MATRIX_MAX ? a->n : REPORT_MATRIX_MAX;
    for (size_t i = 0; i < a->m; i++)
        for (size_t j = 0; j < a->n; j++) {
            double v = cell_at(a->rows, i, j);
            a->low = v < a->low ? v : a->low;
            a->high = v > a->high ? v : a->high;
        }
    if (a->n)
        a->width = fmin(96, (WIDTH - LABELS - 10.0) / (double)a->n);
    return a->low <= a->high;
}

static void draw_cell(FILE *out, const struct matrix *a, size_t i, size_t j)
{
    double x = LABELS + a->width * (double)j, y = HEAD + CELL_H * (double)i;
    double v = cell_at(a->rows, i, j);
    double share = a->high > a->low ? (v - a->low) / (a->high - a->low) : 0.5;
    bool own = !strcmp(name_at(a->models, i), name_at(a->sites, j));
    fprintf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" stroke=\"#fff\" fill=\"",
            x, y, a->width, CELL_H);
    if (isfinite(v))
        put_colour(out, share);
    else
        fputs("#e3e7ec", out);
    fputs("\"/>", out);
    if (own)
        fprintf(out,
                "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"none\" "
                "stroke=\"%s\" stroke-width=\"2.5\"/>",
                x + 2, y + 2, a->width - 4, CELL_H - 4, REPORT_ORANGE);
    fprintf(out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" fill=\"%s\">",
            a->width < 44 ? "tiny" : "cell", x + a->width / 2, y + CELL_H / 2.0 + 4.5,
            share > 0.64 ? "#fff" : REPORT_INK);
    html_number(out, v, a->width < 44 ? 2 : 3);
    fputs("</text>\n", out);
}

static void draw_names(FILE *out, const struct matrix *a)
{
    for (size_t i = 0; i < a->m; i++) {
        fprintf(out, "<text class=\"strong\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", LABELS - 10,
                HEAD + CELL_H * ((double)i + 0.5) + 4.5);
        html_label(out, name_at(a->models, i), 22);
        fputs("</text>\n", out);
    }
    for (size_t j = 0; j < a->n; j++) {
        double x = LABELS + a->width * ((double)j + 0.5);
        fprintf(out,
                "<text class=\"strong\" x=\"%.1f\" y=\"%d\" transform=\"rotate(-35 %.1f %d)\">", x,
                HEAD - 10, x, HEAD - 10);
        html_label(out, name_at(a->sites, j), 16);
        fputs("</text>\n", out);
    }
}

void picture_matrix(FILE *out, const json_t *report)
{
    struct matrix a;
    if (!read_matrix(report, &a))
        return;
    picture_open(out, "Every model at every site",
                 "Heat map of the AUROC of each model (row) on each site's holdout (column)", WIDTH,
                 (int)(HEAD + CELL_H * a.m) + 10);
    for (size_t i = 0; i < a.m; i++)
        for (size_t j = 0; j < a.n; j++)
            draw_cell(out, &a, i, j);
    draw_names(out, &a);
    picture_close(out, "Rows: models; columns: the patients they are tried on, AUROC. Framed: a "
                       "site's own model at home. A model that travels well is dark all along its "
                       "row.");
}

enum { SIDE = 380, ORIGIN_X = 70, ORIGIN_Y = 400, KEY_X = 500 };

static double plot_x(double risk)
{
    return ORIGIN_X + SIDE * risk;
}

static double plot_y(double risk)
{
    return ORIGIN_Y - SIDE * risk;
}

static void draw_square(FILE *out)
{
    for (int i = 0; i <= 5; i++) {
        double v = i / 5.0;
        fprintf(out,
                "<line class=\"rule\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>"
                "<line class=\"rule\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>"
                "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.1f</text>"
                "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.1f</text>\n",
                plot_x(v), plot_y(0), plot_x(v), plot_y(1), plot_x(0), plot_y(v), plot_x(1),
                plot_y(v), plot_x(v), plot_y(0) + 17, v, plot_x(0) - 8, plot_y(v) + 4, v);
    }
    fprintf(out,
            "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
            "stroke-dasharray=\"5 5\"/>"
            "<text class=\"axis\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">predicted risk</text>"
            "<text class=\"axis\" x=\"%.1f\" y=\"%.1f\">observed risk</text>\n",
            plot_x(0), plot_y(0), plot_x(1), plot_y(1), REPORT_GREY, plot_x(1), plot_y(0) + 36,
            plot_x(0), plot_y(1) - 10);
}

/* logit(observed) = intercept + slope logit(predicted), over predicted 1 % to 99 %. */
static void draw_curve(FILE *out, double intercept, double slope, const char *colour, double width)
{
    fprintf(out, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"%.1f\" d=\"", colour, width);
    for (int i = 1; i <= 99; i++) {
        double p = i / 100.0, logit = intercept + slope * log(p / (1 - p));
        fprintf(out, "%c%.1f %.1f", i == 1 ? 'M' : 'L', plot_x(p), plot_y(1 / (1 + exp(-logit))));
    }
    fputs("\"/>\n", out);
}

static bool has_curve(const json_t *o)
{
    return fabs(number_at(o, "calibration_slope")) < 1e3 &&
           fabs(number_at(o, "calibration_intercept")) < 1e3;
}

static void draw_key(FILE *out, int line, const char *name, const json_t *o, const char *colour)
{
    int y = 60 + 24 * line;
    fprintf(out,
            "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" stroke=\"%s\" stroke-width=\"3\"/>"
            "<text class=\"value\" x=\"%d\" y=\"%d\">",
            KEY_X, y - 4, KEY_X + 26, y - 4, colour, KEY_X + 36, y);
    html_label(out, name, 22);
    fputs(": slope ", out);
    html_number(out, number_at(o, "calibration_slope"), 2);
    fputs(", intercept ", out);
    html_number(out, number_at(o, "calibration_intercept"), 2);
    fputs("</text>\n", out);
}

static size_t draw_bins(FILE *out, const json_t *bins)
{
    size_t i, n = 0;
    const json_t *bin;
    json_array_foreach(bins, i, bin)
    {
        double x = number_at(bin, "predicted"), y = number_at(bin, "observed");
        if (i >= REPORT_ROUNDS_MAX || !(x >= 0 && x <= 1 && y >= 0 && y <= 1))
            continue;
        double low = number_at(bin, "low"), high = number_at(bin, "high");
        if (low >= 0 && high <= 1)
            fprintf(out,
                    "<path d=\"M%.1f %.1fV%.1fm-4 0h8m-4 0V%.1fm-4 0h8\" fill=\"none\" "
                    "stroke=\"%s\" stroke-width=\"1.6\"/>",
                    plot_x(x), plot_y(high), plot_y(low), plot_y(high), REPORT_INK);
        fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"%s\"/>\n", plot_x(x),
                plot_y(y), REPORT_INK);
        n++;
    }
    return n;
}

void picture_calibration(FILE *out, const json_t *report)
{
    static const char *const colours[] = {REPORT_SKY, REPORT_ORANGE, REPORT_GREEN, REPORT_RED,
                                          "#CC79A7"};
    enum { COLOURS = sizeof colours / sizeof colours[0], KEYS = 14 };
    const json_t *pooled = json_object_get(report, "pooled"), *site;
    const json_t *bins = json_object_get(report, "calibration");
    size_t i;
    int line = 0;
    if (!has_curve(pooled) && !json_array_size(bins))
        return;
    picture_open(out, "Are its probabilities right?",
                 "Calibration curve: observed against predicted risk", WIDTH, 446);
    draw_square(out);
    json_array_foreach(json_object_get(report, "sites"), i, site)
    {
        if (!has_curve(site) || line == KEYS)
            continue;
        const char *colour = colours[(size_t)line % COLOURS];
        draw_curve(out, number_at(site, "calibration_intercept"),
                   number_at(site, "calibration_slope"), colour, 1.8);
        draw_key(out, ++line, string_at(site, "name"), site, colour);
    }
    if (has_curve(pooled)) {
        draw_curve(out, number_at(pooled, "calibration_intercept"),
                   number_at(pooled, "calibration_slope"), REPORT_BLUE, 3.5);
        draw_key(out, 0, "All sites", pooled, REPORT_BLUE);
    }
    draw_bins(out, bins);
    picture_close(out, "On the dashed line, of the patients given a risk of 20 % one in five has "
                       "the outcome. A slope under 1 is overconfident, over 1 is timid. Curves: "
                       "logistic recalibration; dots: observed shares in bins of all sites' "
                       "patients, with 95 % intervals.");
}
