/* SPDX-License-Identifier: Apache-2.0 */
/* Two tables of the report: Harrell's C by site where the study follows patients over time, and the
 * hidden strata that the sites found. */
#include "coordinator/cli/html.h"
#include "coordinator/cli/report_pictures.h"

#include <math.h>
#include <string.h>

static void put_cell(FILE *out, double value, double low, double high)
{
    fputs("<td>", out);
    html_interval(out, value, low, high);
    fputs("</td>", out);
}

static void put_name(FILE *out, const char *name)
{
    fputs("<tr><td class=\"text\">", out);
    html_text(out, name);
    fputs("</td>", out);
}

static void put_cindex(FILE *out, const json_t *o, const char *name)
{
    if (!isfinite(number_at(o, "cindex")))
        return;
    put_name(out, name);
    put_cell(out, number_at(o, "cindex"), number_at(o, "cindex_low"), number_at(o, "cindex_high"));
    fputs("</tr>\n", out);
}

static double end_of(const json_t *o, const char *key, size_t at)
{
    const json_t *value = json_array_get(json_object_get(o, key), at);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

void section_survival(FILE *out, const json_t *report)
{
    const json_t *pooled = json_object_get(report, "pooled"), *site;
    const json_t *effects = json_object_get(json_object_get(report, "cindex_transport"), "reml");
    size_t i;
    if (!isfinite(number_at(pooled, "cindex")))
        return;
    fputs("<section>\n<h2>How well it tells who fares worse sooner</h2>\n<table>\n<thead><tr>"
          "<th class=\"text\">site</th><th>C-index (95 % interval)</th></tr></thead>\n<tbody>\n",
          out);
    put_cindex(out, pooled, "all sites, pooled");
    json_array_foreach(json_object_get(report, "sites"), i, site)
        put_cindex(out, site, string_at(site, "name"));
    if (isfinite(number_at(effects, "auc"))) {
        put_name(out, "a new hospital, mean of random effects");
        put_cell(out, number_at(effects, "auc"), end_of(effects, "ci", 0),
                 end_of(effects, "ci", 1));
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table>\n<p class=\"quiet\">Harrell's C over the whole follow-up: of two "
          "patients of whom one certainly had the event first, how often the model put that one at "
          "the higher risk; a half is chance. The gate has no rule on it.</p>\n</section>\n",
          out);
}

static void put_stratum(FILE *out, const json_t *site)
{
    const json_t *s = json_object_get(site, "strata");
    put_name(out, string_at(site, "name"));
    if (strcmp(string_at(s, "status"), "ok") != 0) {
        fputs("<td class=\"text\" colspan=\"5\">", out);
        html_text(out, string_at(s, "status"));
        fputs("</td></tr>\n", out);
        return;
    }
    fprintf(out, "<td>%.0f and %.0f, %.0f tested</td><td class=\"text\">",
            number_at(s, "clusters_negative"), number_at(s, "clusters_positive"),
            number_at(s, "tested"));
    html_text(out, string_at(s, "of"));
    fputs("</td>", out);
    put_cell(out, number_at(s, "gap"), number_at(s, "gap_low"), number_at(s, "gap_high"));
    fputs("<td>", out);
    html_text(out, string_at(s, "n_band"));
    fputs("</td><td>", out);
    html_number(out, number_at(s, "p_holm"), 3);
    fputs("</td></tr>\n", out);
}

void section_strata(FILE *out, const json_t *report)
{
    const json_t *site;
    size_t i, told = 0;
    json_array_foreach(json_object_get(report, "sites"), i, site) told +=
        json_is_object(json_object_get(site, "strata"));
    if (told == 0)
        return;
    fputs("<section>\n<h2>Patients it may serve worse than others</h2>\n<div class=\"wide\"><table>"
          "\n<thead><tr><th class=\"text\">site</th><th>clusters without and with the outcome</th>"
          "<th class=\"text\">worst in</th><th>less than the rest by (95 % interval)</th>"
          "<th>patients</th><th>p (Holm)</th></tr></thead>\n<tbody>\n",
          out);
    json_array_foreach(json_object_get(report, "sites"), i, site)
    {
        if (json_is_object(json_object_get(site, "strata")))
            put_stratum(out, site);
    }
    fputs(
        "</tbody></table></div>\n<p class=\"quiet\">Each site clusters one half of its holdout "
        "by the features alone, for patients with and without the outcome, and compares the share "
        "decided rightly at the plan's threshold in each cluster of the other half with the rest. "
        "Only the worst cluster's gap leaves the site. It decides nothing: it says where to look."
        "</p>\n</section>\n",
        out);
}
