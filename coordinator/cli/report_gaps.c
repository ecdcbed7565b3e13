/* SPDX-License-Identifier: Apache-2.0 */
/* Two tables of the report: each group's AUROC against the reference group of its column, and the
 * AUROC that each site would have by its scores alone, were they calibrated. */
#include "coordinator/cli/html.h"
#include "coordinator/cli/report_pictures.h"

#include <math.h>
#include <stdbool.h>

static double part(const json_t *o, const char *key, size_t at)
{
    const json_t *value = json_array_get(json_object_get(o, key), at);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static void put_gaps(FILE *out, const char *where, const json_t *gaps)
{
    size_t i;
    json_t *gap;
    json_array_foreach(json_object_get(gaps, "groups"), i, gap)
    {
        fputs("<tr><td class=\"text\">", out);
        html_text(out, where);
        fputs("</td><td class=\"text\">", out);
        html_text(out, string_at(gap, "group"));
        fputs("</td><td class=\"text\">", out);
        html_text(out, string_at(gap, "reference"));
        fputs("</td><td>", out);
        html_interval(out, number_at(gap, "gap"), part(gap, "gap_interval", 0),
                      part(gap, "gap_interval", 1));
        fputs("</td><td>", out);
        html_interval(out, number_at(gap, "ratio"), part(gap, "ratio_interval", 0),
                      part(gap, "ratio_interval", 1));
        fputs("</td><td>", out);
        html_number(out, number_at(gap, "p_holm"), 3);
        fputs("</td></tr>\n", out);
    }
}

void section_gaps(FILE *out, const json_t *report)
{
    size_t i;
    const json_t *disparity = json_object_get(report, "disparity"), *site;
    const json_t *pooled = json_object_get(disparity, "pooled");
    const json_t *worst = json_object_get(pooled, "worst");
    if (json_array_size(json_object_get(pooled, "groups")) == 0)
        return;
    fputs("<section>\n<h2>How far groups lie apart</h2>\n<table>\n<thead><tr><th "
          "class=\"text\">where</th><th class=\"text\">group</th><th class=\"text\">against</th>"
          "<th>AUROC lower by</th><th>ratio</th><th>p (Holm)</th></tr></thead>\n<tbody>\n",
          out);
    put_gaps(out, "all sites, pooled", pooled);
    json_array_foreach(json_object_get(disparity, "sites"), i, site)
        put_gaps(out, string_at(site, "name"), site);
    fputs("</tbody></table>\n<p class=\"quiet\">The reference is the first group of its column in "
          "the "
          "plan. Intervals hold 95 % together over all groups of a row's place; p is adjusted for "
          "their number.",
          out);
    if (json_is_object(worst)) {
        fputs(" The group with the lowest AUROC over all sites: ", out);
        html_text(out, string_at(worst, "group"));
        fputs(", ", out);
        html_number(out, number_at(worst, "auroc"), 3);
        fputs(".", out);
    }
    fputs("</p>\n</section>\n", out);
}

static bool any_expected(const json_t *sites)
{
    for (size_t i = 0; i < json_array_size(sites); i++) {
        const json_t *drift = json_object_get(json_array_get(sites, i), "drift");
        if (isfinite(number_at(drift, "expected_auroc")))
            return true;
    }
    return false;
}

void section_expected(FILE *out, const json_t *report)
{
    size_t i;
    const json_t *site, *sites = json_object_get(report, "sites");
    if (!any_expected(sites))
        return;
    fputs("<section>\n<h2>What the scores alone promise</h2>\n<table>\n<thead><tr><th "
          "class=\"text\">site</th><th>AUROC expected without labels</th><th>AUROC measured</th>"
          "</tr></thead>\n<tbody>\n",
          out);
    json_array_foreach(sites, i, site)
    {
        double expected = number_at(json_object_get(site, "drift"), "expected_auroc");
        if (!isfinite(expected))
            continue;
        fputs("<tr><td class=\"text\">", out);
        html_text(out, string_at(site, "name"));
        fputs("</td><td>", out);
        html_number(out, expected, 3);
        fputs("</td><td>", out);
        html_interval(out, number_at(site, "auroc"), number_at(site, "auroc_low"),
                      number_at(site, "auroc_high"));
        fputs("</td></tr>\n", out);
    }
    fputs("</tbody></table>\n<p class=\"quiet\">The expected AUROC follows from the spread of the "
          "scores and holds only where the model is calibrated: far above the measured one it says "
          "overconfidence, and where labels are late it is all there is.</p>\n</section>\n",
          out);
}
