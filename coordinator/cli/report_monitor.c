/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures: what became of the model after its study: AUROC and drift over time, findings,
 * incidents. */
#include "coordinator/cli/html.h"
#include "coordinator/cli/report_html.h"
#include "coordinator/cli/report_pictures.h"
#include "coordinator/entry.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { WIDTH = 920, LEFT = 64, RIGHT = 900, TOP = 20, HEIGHT = 300, BOTTOM = 240, SHOWN = 60 };

/* The runs that are drawn: the last SHOWN that ended. */
struct runs {
    const json_t *list;
    size_t first, n;
};

static struct runs runs_of(const json_t *report)
{
    const json_t *list = json_object_get(report, "validations");
    size_t n = json_array_size(list);
    return (struct runs){list, n > SHOWN ? n - SHOWN : 0, n > SHOWN ? SHOWN : n};
}

static const json_t *summary_at(const struct runs *runs, size_t i)
{
    return json_object_get(json_array_get(runs->list, runs->first + i), "summary");
}

static double x_of(const struct runs *runs, size_t i)
{
    return runs->n > 1 ? LEFT + 20 + (RIGHT - LEFT - 40) * (double)i / (double)(runs->n - 1)
                       : (LEFT + RIGHT) / 2.0;
}

struct scale {
    double low, high;
};

static double y_of(const struct scale *s, double value)
{
    double share = (value - s->low) / (s->high - s->low);
    return BOTTOM - (BOTTOM - TOP) * fmin(fmax(share, 0.0), 1.0);
}

static void draw_day(FILE *out, const struct runs *runs, size_t i)
{
    const json_t *run = json_array_get(runs->list, runs->first + i);
    time_t seconds = (time_t)(json_integer_value(json_object_get(run, "closed_ms")) / 1000);
    struct tm parts = {0};
    char day[16] = "", clock[16] = "";
    if (gmtime_r(&seconds, &parts)) {
        strftime(day, sizeof day, "%Y-%m-%d", &parts);
        strftime(clock, sizeof clock, "%H:%M", &parts);
    }
    fprintf(out,
            "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n"
            "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
            x_of(runs, i), BOTTOM + 18, day, x_of(runs, i), BOTTOM + 33, clock);
}

static void draw_axes(FILE *out, const struct runs *runs, const struct scale *scale)
{
    double step = html_tick_step(scale->high - scale->low, 5);
    size_t every = runs->n > 8 ? (runs->n + 7) / 8 : 1;
    for (double v = ceil(scale->low / step) * step; v <= scale->high + 1e-9; v += step) {
        fprintf(out, "<line class=\"rule\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>\n", LEFT,
                RIGHT, y_of(scale, v), y_of(scale, v));
        fprintf(out, "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", LEFT - 8,
                y_of(scale, v) + 4);
        html_number(out, v, step < 0.1 ? 2 : 1);
        fputs("</text>\n", out);
    }
    for (size_t i = 0; i < runs->n; i += every)
        draw_day(out, runs, i);
}

static void draw_limit(FILE *out, const struct scale *scale, double value, const char *name,
                       const char *colour)
{
    if (!(value > scale->low && value < scale->high))
        return;
    fprintf(out,
            "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
            "stroke-dasharray=\"6 4\"/>\n<text class=\"small\" x=\"%d\" y=\"%.1f\" "
            "text-anchor=\"end\">%s</text>\n",
            LEFT, RIGHT, y_of(scale, value), y_of(scale, value), colour, RIGHT,
            y_of(scale, value) - 4, name);
}

static const json_t *site_in(const json_t *summary, const char *name)
{
    return entry_named(json_object_get(summary, "sites"), "name", name);
}

/* One site's figure as a line, broken where the site gave none. */
static void draw_site(FILE *out, const struct runs *runs, const struct scale *scale,
                      const char *name, const char *key, const char *colour)
{
    bool pen = false;
    size_t last = runs->n;
    fputs("<path fill=\"none\" stroke-width=\"1.6\" opacity=\".85\" d=\"", out);
    for (size_t i = 0; i < runs->n; i++) {
        double value = number_at(site_in(summary_at(runs, i), name), key);
        if (isfinite(value)) {
            fprintf(out, "%c%.1f %.1f", pen ? 'L' : 'M', x_of(runs, i), y_of(scale, value));
            last = i;
        }
        pen = isfinite(value);
    }
    fprintf(out, "\" stroke=\"%s\"/>\n", colour);
    for (size_t i = 0; i < runs->n; i++) {
        double value = number_at(site_in(summary_at(runs, i), name), key);
        if (isfinite(value))
            fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", x_of(runs, i),
                    y_of(scale, value), colour);
    }
    if (last == runs->n)
        return;
    double value = number_at(site_in(summary_at(runs, last), name), key);
    fprintf(out, "<text class=\"small\" x=\"%.1f\" y=\"%.1f\">", x_of(runs, last) + 6,
            y_of(scale, value) + 4);
    html_label(out, name, 12);
    fputs("</text>\n", out);
}

/* Every site of any run, in the order of their first appearance. */
static size_t site_names(const struct runs *runs, const char **names, size_t most)
{
    size_t n = 0, k;
    json_t *site;
    for (size_t i = 0; i < runs->n; i++) {
        json_array_foreach(json_object_get(summary_at(runs, i), "sites"), k, site)
        {
            size_t at = 0;
            while (at < n && strcmp(names[at], string_at(site, "name")) != 0)
                at++;
            if (at == n && n < most)
                names[n++] = string_at(site, "name");
        }
    }
    return n;
}

enum { SITES_DRAWN = 12 };

static void draw_sites(FILE *out, const struct runs *runs, const struct scale *scale,
                       const char *key)
{
    static const char *const COLOURS[] = {REPORT_SKY, REPORT_ORANGE, REPORT_GREEN, REPORT_RED,
                                          REPORT_GREY};
    const char *names[SITES_DRAWN];
    size_t n = site_names(runs, names, SITES_DRAWN);
    for (size_t i = 0; i < n; i++)
        draw_site(out, runs, scale, names[i], key,
                  COLOURS[i % (sizeof COLOURS / sizeof COLOURS[0])]);
}

static void draw_pooled(FILE *out, const struct runs *runs, const struct scale *scale)
{
    fprintf(out, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"2.6\" d=\"", REPORT_BLUE);
    bool pen = false;
    for (size_t i = 0; i < runs->n; i++) {
        double value = number_at(summary_at(runs, i), "auroc");
        if (isfinite(value))
            fprintf(out, "%c%.1f %.1f", pen ? 'L' : 'M', x_of(runs, i), y_of(scale, value));
        pen = isfinite(value);
    }
    fputs("\"/>\n", out);
    for (size_t i = 0; i < runs->n; i++) {
        const json_t *s = summary_at(runs, i);
        double x = x_of(runs, i), low = number_at(s, "low"), high = number_at(s, "high");
        if (!isfinite(number_at(s, "auroc")))
            continue;
        if (isfinite(low) && isfinite(high))
            fprintf(out,
                    "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
                    "stroke-width=\"2\"/>\n",
                    x, x, y_of(scale, low), y_of(scale, high), REPORT_BLUE);
        fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"%s\"/>\n", x,
                y_of(scale, number_at(s, "auroc")), REPORT_BLUE);
    }
}

static void widen(struct scale *scale, double value)
{
    if (!isfinite(value))
        return;
    scale->low = fmin(scale->low, value);
    scale->high = fmax(scale->high, value);
}

static void picture_auroc(FILE *out, const json_t *report, const struct runs *runs)
{
    struct scale scale = {HUGE_VAL, -HUGE_VAL};
    const json_t *terms =
        json_object_get(json_array_get(json_object_get(report, "monitors"), 0), "terms");
    const json_t *policy = json_object_get(terms, "policy");
    double base = number_at(json_object_get(terms, "baseline"), "auroc");
    size_t k;
    json_t *site;
    for (size_t i = 0; i < runs->n; i++) {
        widen(&scale, number_at(summary_at(runs, i), "low"));
        widen(&scale, number_at(summary_at(runs, i), "high"));
        json_array_foreach(json_object_get(summary_at(runs, i), "sites"), k, site)
            widen(&scale, number_at(site, "auroc"));
    }
    widen(&scale, base);
    if (!(scale.low <= scale.high))
        return;
    scale.low = fmax(0.0, scale.low - 0.03);
    scale.high = fmin(1.0, scale.high + 0.03);
    picture_open(out, "AUROC after the study", "AUROC at each validation and look", WIDTH, HEIGHT);
    draw_axes(out, runs, &scale);
    draw_limit(out, &scale, base, "baseline", REPORT_INK);
    draw_limit(out, &scale, base * (1.0 - number_at(policy, "auroc_drop_investigate")),
               "investigate", REPORT_ORANGE);
    draw_limit(out, &scale, base * (1.0 - number_at(policy, "auroc_drop_suspend")), "suspend",
               REPORT_RED);
    draw_sites(out, runs, &scale, "auroc");
    draw_pooled(out, runs, &scale);
    picture_close(out, "Thick: all sites together, with the 95 % interval; thin: each site. A line "
                       "below a threshold suspends nothing unless its bound is passed too.");
}

static void picture_drift(FILE *out, const json_t *report, const struct runs *runs)
{
    struct scale scale = {0.0, -HUGE_VAL};
    const json_t *monitor = json_array_get(json_object_get(report, "monitors"), 0);
    double limit =
        number_at(json_object_get(json_object_get(monitor, "terms"), "policy"), "kl_max");
    size_t k;
    json_t *site;
    bool any = false;
    for (size_t i = 0; i < runs->n; i++) {
        json_array_foreach(json_object_get(summary_at(runs, i), "sites"), k, site)
        {
            any = any || isfinite(number_at(site, "kl"));
            widen(&scale, number_at(site, "kl"));
        }
    }
    if (!any)
        return;
    widen(&scale, isfinite(limit) ? limit : 0.3);
    scale.high *= 1.1;
    picture_open(out, "Drift after the study", "Largest divergence of each site at each look",
                 WIDTH, HEIGHT);
    draw_axes(out, runs, &scale);
    draw_limit(out, &scale, isfinite(limit) ? limit : 0.3, "investigate", REPORT_ORANGE);
    draw_sites(out, runs, &scale, "kl");
    picture_close(out, "The largest Kullback-Leibler divergence (nats) of the score or any feature "
                       "from the reference that was frozen with the study, by site; no labels are "
                       "needed for it.");
}

static void put_finding(FILE *out, const json_t *look, const json_t *finding)
{
    fprintf(out, "<tr><td>%lld</td><td class=\"text\">",
            (long long)json_integer_value(json_object_get(look, "look")));
    html_text(out, string_at(finding, "scope"));
    fputs("</td><td class=\"text\">", out);
    html_text(out, string_at(finding, "rule"));
    fputs("</td><td class=\"text\">", out);
    html_text(out, string_at(finding, "severity"));
    fputs("</td><td class=\"why\">", out);
    html_text(out, string_at(finding, "words"));
    fputs("</td></tr>\n", out);
}

static void put_findings(FILE *out, const json_t *monitor)
{
    size_t i, k, shown = 0;
    json_t *look, *finding;
    json_array_foreach(json_object_get(monitor, "looks"), i, look)
    {
        json_array_foreach(json_object_get(look, "findings"), k, finding)
        {
            if (strcmp(string_at(finding, "severity"), "fine") == 0 || shown >= REPORT_REFUSALS_MAX)
                continue;
            if (shown++ == 0)
                fputs("<div class=\"wide\"><table>\n<thead><tr><th>look</th><th class=\"text\">"
                      "where</th><th class=\"text\">rule</th><th class=\"text\">severity</th>"
                      "<th class=\"text\">why</th></tr></thead>\n<tbody>\n",
                      out);
            put_finding(out, look, finding);
        }
    }
    fputs(shown ? "</tbody></table></div>\n" : "<p>No look has found anything.</p>\n", out);
}

static void put_monitor(FILE *out, const json_t *monitor)
{
    const json_t *terms = json_object_get(monitor, "terms");
    fprintf(out, "<p>Model <code>%.12s</code>: ", string_at(monitor, "model"));
    html_text(out, string_at(monitor, "status"));
    fprintf(out, ", %lld of %lld looks, owner ",
            (long long)json_integer_value(
                json_object_get(json_object_get(monitor, "progress"), "look")),
            (long long)json_integer_value(
                json_object_get(json_object_get(terms, "policy"), "looks")));
    html_text(out, string_at(terms, "owner"));
    fputs(".</p>\n", out);
    put_findings(out, monitor);
}

static void put_incident(FILE *out, const json_t *incident)
{
    fputs("<p><b>Incident ", out);
    html_text(out, string_at(incident, "incident"));
    fputs("</b>, ", out);
    html_text(out, string_at(incident, "severity"));
    fputs(": ", out);
    html_text(out, string_at(incident, "text"));
    if (string_at(incident, "overdue")[0]) {
        fputs(" <b>Overdue: ", out);
        html_text(out, string_at(incident, "overdue"));
        fputs(".</b>", out);
    }
    fputs("</p>\n", out);
}

void table_monitor(FILE *out, const json_t *report)
{
    const json_t *monitors = json_object_get(report, "monitors");
    const json_t *incidents = json_object_get(report, "incidents");
    size_t i;
    json_t *one;
    if (!json_array_size(monitors) && !json_array_size(incidents))
        return;
    fputs("<section>\n<h2>Monitoring</h2>\n", out);
    json_array_foreach(monitors, i, one) put_monitor(out, one);
    json_array_foreach(incidents, i, one) put_incident(out, one);
    fputs("</section>\n", out);
}

void picture_monitor(FILE *out, const json_t *report)
{
    struct runs runs = runs_of(report);
    if (runs.n == 0)
        return;
    picture_auroc(out, report, &runs);
    picture_drift(out, report, &runs);
}
