/* SPDX-License-Identifier: Apache-2.0 */
/* Picture: discrimination, loss and participation by round. */
#include "coordinator/cli/html.h"
#include "coordinator/cli/report_html.h"
#include "coordinator/cli/report_pictures.h"

#include <math.h>

enum { WIDTH = 920, LEFT = 64, RIGHT = 900, STRIP = 34 };

void picture_open(FILE *out, const char *heading, const char *title, int width, int height)
{
    fprintf(out,
            "<figure>\n<h2>%s</h2>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" "
            "xmlns=\"http://www.w3.org/2000/svg\">\n<title>%s</title>\n",
            heading, width, height, title);
}

void picture_close(FILE *out, const char *caption)
{
    fprintf(out, "</svg>\n<figcaption>%s</figcaption>\n</figure>\n", caption);
}

/* Where a panel maps its values. */
struct panel {
    double top, bottom, low, high;
    double first, last; /* rounds */
};

static double x_of(const struct panel *p, double round)
{
    double span = p->last - p->first;
    return span > 0 ? LEFT + (RIGHT - LEFT - 10) * (round - p->first) / span + 5
                    : (LEFT + RIGHT) / 2.0;
}

static double y_of(const struct panel *p, double value)
{
    return p->bottom - (p->bottom - p->top) * (value - p->low) / (p->high - p->low);
}

/* Round number of line i: its own, or its place. */
static double round_of(const json_t *line, size_t i)
{
    double round = number_at(line, "round");
    return isfinite(round) && fabs(round) < 1e9 ? round : (double)i + 1;
}

static size_t drawn(const json_t *rounds)
{
    size_t n = json_array_size(rounds);
    return n < REPORT_ROUNDS_MAX ? n : REPORT_ROUNDS_MAX;
}

/* The range of one key over the rounds, a little widened; false where no round has it. */
static bool range_of(const json_t *rounds, const char *key, struct panel *p)
{
    double low = HUGE_VAL, high = -HUGE_VAL;
    p->first = HUGE_VAL;
    p->last = -HUGE_VAL;
    for (size_t i = 0; i < drawn(rounds); i++) {
        const json_t *line = json_array_get(rounds, i);
        double value = number_at(line, key);
        p->first = fmin(p->first, round_of(line, i));
        p->last = fmax(p->last, round_of(line, i));
        if (fabs(value) < 1e9) {
            low = fmin(low, value);
            high = fmax(high, value);
        }
    }
    if (low > high)
        return false;
    double margin = fmax(0.08 * (high - low), 0.004);
    p->low = low - margin;
    p->high = high + margin;
    return true;
}

static void draw_grid(FILE *out, const struct panel *p, const char *name)
{
    double step = html_tick_step(p->high - p->low, 4);
    int decimals = step < 0.01 ? 3 : step < 1 ? 2 : 0;
    for (double v = ceil(p->low / step) * step; v <= p->high; v += step)
        fprintf(out,
                "<line class=\"rule\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>"
                "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.*f</text>\n",
                LEFT, y_of(p, v), RIGHT, y_of(p, v), LEFT - 8, y_of(p, v) + 4, decimals, v);
    fprintf(out, "<text class=\"axis\" x=\"%d\" y=\"%.1f\">%s</text>\n", LEFT, p->top - 8, name);
}

/* One line through the rounds that have the key, a dot each while there are few. */
static void draw_line(FILE *out, const struct panel *p, const json_t *rounds, const char *key,
                      const char *colour)
{
    bool begun = false;
    fprintf(out,
            "<path fill=\"none\" stroke=\"%s\" stroke-width=\"2.5\" "
            "stroke-linejoin=\"round\" d=\"",
            colour);
    for (size_t i = 0; i < drawn(rounds); i++) {
        const json_t *line = json_array_get(rounds, i);
        double value = number_at(line, key);
        if (fabs(value) < 1e9) {
            fprintf(out, "%c%.1f %.1f", begun ? 'L' : 'M', x_of(p, round_of(line, i)),
                    y_of(p, value));
            begun = true;
        }
    }
    fputs("\"/>\n", out);
    for (size_t i = 0; drawn(rounds) <= 80 && i < drawn(rounds); i++) {
        const json_t *line = json_array_get(rounds, i);
        double value = number_at(line, key);
        if (fabs(value) < 1e9)
            fprintf(out,
                    "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\">"
                    "<title>round %.0f: %.4f</title></circle>\n",
                    x_of(p, round_of(line, i)), y_of(p, value), colour, round_of(line, i), value);
    }
}

/* Stacked bars: sites that counted, sites that did not; an aborted round is marked. */
static void draw_participation(FILE *out, const struct panel *p, const json_t *rounds)
{
    size_t n = drawn(rounds), most = 1;
    for (size_t i = 0; i < n; i++) {
        const json_t *line = json_array_get(rounds, i);
        size_t all = json_array_size(json_object_get(line, "counted")) +
                     json_array_size(json_object_get(line, "refused"));
        most = all > most ? all : most;
    }
    double slot = fmin(26, 0.7 * (RIGHT - LEFT) / (double)(n ? n : 1));
    for (size_t i = 0; i < n; i++) {
        const json_t *line = json_array_get(rounds, i);
        size_t counted = json_array_size(json_object_get(line, "counted"));
        size_t others = json_array_size(json_object_get(line, "refused"));
        bool aborted = json_is_false(json_object_get(line, "completed"));
        double x = x_of(p, round_of(line, i)) - slot / 2;
        double green = STRIP * (double)counted / (double)most;
        double red = STRIP * (double)others / (double)most;
        fprintf(out,
                "<g><title>round %.0f: %zu counted, %zu did not%s</title>"
                "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>"
                "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/></g>\n",
                round_of(line, i), counted, others, aborted ? "; the round was aborted" : "", x,
                p->bottom - green, slot, green, aborted ? REPORT_RULE : REPORT_GREEN, x,
                p->bottom - green - red, slot, red, REPORT_RED);
    }
    fprintf(out, "<text class=\"axis\" x=\"%d\" y=\"%.1f\">sites: ", LEFT, p->top - 8);
    fprintf(
        out,
        "<tspan fill=\"%s\">&#9632;</tspan> counted <tspan fill=\"%s\">&#9632;</tspan> refused, "
        "declined or missed</text>\n",
        REPORT_GREEN, REPORT_RED);
}

static void draw_rounds_axis(FILE *out, const struct panel *p)
{
    double step = fmax(1, html_tick_step(p->last - p->first, 12));
    for (double r = ceil(p->first / step) * step; r <= p->last; r += step)
        fprintf(out,
                "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.0f</text>\n",
                x_of(p, r), p->bottom + 17, r);
    fprintf(out, "<text class=\"axis\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">round</text>\n",
            RIGHT, p->bottom + 34);
}

void picture_rounds(FILE *out, const json_t *report)
{
    const json_t *rounds = json_object_get(report, "rounds");
    struct panel p = {0};
    if (!drawn(rounds))
        return;
    bool has_auroc = range_of(rounds, "auroc", &p), has_loss = range_of(rounds, "loss", &p);
    double top = 24;
    int height = (has_auroc ? 236 : 0) + (has_loss ? 136 : 0) + STRIP + 76;
    picture_open(out, "Round by round",
                 "Line of the validation AUROC and loss, and bars of the sites that counted", WIDTH,
                 height);
    if (has_auroc && range_of(rounds, "auroc", &p)) {
        p.top = top;
        p.bottom = top + 200;
        draw_grid(out, &p, "AUROC, pooled over the sites' holdouts");
        draw_line(out, &p, rounds, "auroc", REPORT_BLUE);
        top += 236;
    }
    if (has_loss && range_of(rounds, "loss", &p)) {
        p.top = top;
        p.bottom = top + 100;
        draw_grid(out, &p, "loss");
        draw_line(out, &p, rounds, "loss", REPORT_ORANGE);
        top += 136;
    }
    p.top = top;
    p.bottom = top + STRIP;
    draw_participation(out, &p, rounds);
    draw_rounds_axis(out, &p);
    picture_close(out, "The model is evaluated at each site on patients it was not trained on; "
                       "rounds without an evaluation have no dot.");
}
