/* SPDX-License-Identifier: Apache-2.0 */
/* Sections of the report: what the gate decided and why, the claim about a new hospital, and who
 * contributes to the model. */
#include "coordinator/cli/html.h"
#include "coordinator/cli/report_html.h"
#include "coordinator/cli/report_pictures.h"

#include <math.h>
#include <string.h>

static void put_words(FILE *out, const char *class, const char *text)
{
    fprintf(out, "<td class=\"%s\">", class);
    html_text(out, text);
    fputs("</td>", out);
}

/* A mark beside the word: nobody needs the colour to tell them apart. */
static const char *mark_of(const char *outcome)
{
    static const struct {
        const char *outcome, *mark;
    } MARKS[] = {{"pass", "&#10003; pass"},
                 {"hold", "&#9208; hold"},
                 {"reject", "&#10007; reject"},
                 {"pending", "&#8230; pending"},
                 {"off", "&#8211; off"}};
    for (size_t i = 0; i < sizeof MARKS / sizeof *MARKS; i++)
        if (strcmp(outcome, MARKS[i].outcome) == 0)
            return MARKS[i].mark;
    return "";
}

static void put_rules(FILE *out, const json_t *rules)
{
    size_t i;
    const json_t *rule;
    fputs("<div class=\"wide\"><table>\n<thead><tr><th>rule</th><th class=\"text\">what</th>"
          "<th class=\"text\">outcome</th><th class=\"text\">with which numbers</th></tr></thead>\n"
          "<tbody>\n",
          out);
    json_array_foreach(rules, i, rule)
    {
        if (i >= REPORT_TABLE_MAX)
            break;
        fputs("<tr><td>", out);
        html_number(out, number_at(rule, "rule"), 0);
        fputs("</td>", out);
        put_words(out, "text", string_at(rule, "name"));
        fprintf(out, "<td class=\"text\">%s</td>", mark_of(string_at(rule, "outcome")));
        put_words(out, "why", string_at(rule, "words"));
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
}

void section_gate(FILE *out, const json_t *report)
{
    const json_t *gate = json_object_get(report, "gate");
    const char *decision = string_at(gate, "decision");
    if (!decision[0])
        return;
    fputs("<section>\n<h2>What the gate decided: ", out);
    html_text(out, decision);
    fputs("</h2>\n<p class=\"quiet\">Candidate ", out);
    html_label(out, string_at(gate, "candidate"), 12);
    if (string_at(gate, "incumbent")[0]) {
        fputs(" against the model in use, ", out);
        html_label(out, string_at(gate, "incumbent"), 12);
    } else {
        fputs("; no model of this kind is in use", out);
    }
    fputs(". A PROMOTE is a proposal: people sign before anything comes into use.</p>\n", out);
    put_rules(out, json_object_get(gate, "rules"));
    fputs("</section>\n", out);
}

static void put_range(FILE *out, const json_t *pair)
{
    const json_t *low = json_array_get(pair, 0), *high = json_array_get(pair, 1);
    fputs("<td>", out);
    html_number(out, json_is_number(low) ? json_number_value(low) : (double)NAN, 3);
    fputs(" to ", out);
    html_number(out, json_is_number(high) ? json_number_value(high) : (double)NAN, 3);
    fputs("</td>", out);
}

static void put_method(FILE *out, const json_t *o, const char *name)
{
    fprintf(out, "<tr><td class=\"text\">%s</td><td>", name);
    html_number(out, number_at(o, "auc"), 3);
    fputs("</td>", out);
    put_range(out, json_object_get(o, "ci"));
    put_range(out, json_object_get(o, "pi"));
    fputs("<td>", out);
    html_number(out, number_at(o, "tau2"), 4);
    fputs("</td><td>", out);
    html_number(out, number_at(o, "i2_percent"), 0);
    fputs(" %</td></tr>\n", out);
}

void section_transport(FILE *out, const json_t *report)
{
    const json_t *t = json_object_get(report, "transport");
    if (!json_is_object(json_object_get(t, "dl")))
        return;
    fputs("<section>\n<h2>What a new hospital may expect</h2>\n<div class=\"wide\"><table>\n<thead>"
          "<tr><th class=\"text\">variance between sites by</th><th>AUROC, mean</th>"
          "<th>95 % interval<br/>of the mean</th><th>95 % prediction<br/>for a new hospital</th>"
          "<th>&#964;&#178;</th><th>I&#178;</th></tr></thead>\n<tbody>\n",
          out);
    put_method(out, json_object_get(t, "dl"), "DerSimonian and Laird");
    put_method(out, json_object_get(t, "reml"), "REML");
    fputs(
        "</tbody></table></div>\n<p class=\"quiet\">Random effects on the logit of the AUROC over ",
        out);
    html_number(out, number_at(t, "k"), 0);
    fputs(
        " sites, intervals by Hartung, Knapp, Sidik and Jonkman, never narrower than without "
        "heterogeneity. The prediction needs three sites. These say nothing about the gate, which "
        "asks about the member sites only.</p>\n</section>\n",
        out);
}

static void put_contribution(FILE *out, const json_t *site)
{
    bool idle = json_is_true(json_object_get(site, "free_rider"));
    bool inflated = json_is_true(json_object_get(site, "self_inflated"));
    static const char *const KEYS[] = {"contribution", "z", "ease", "own_excess", "leave_one_out"};
    fputs("<tr>", out);
    put_words(out, "text", string_at(site, "site"));
    for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++) {
        fputs("<td>", out);
        html_number(out, number_at(site, KEYS[i]), strcmp(KEYS[i], "z") == 0 ? 1 : 4);
        fputs("</td>", out);
    }
    fprintf(out, "<td class=\"text\">%s%s%s</td></tr>\n", idle ? "&#9888; free rider?" : "",
            idle && inflated ? "<br/>" : "",
            inflated ? "&#9888; better at home than elsewhere" : "");
}

void section_contributions(FILE *out, const json_t *report)
{
    size_t i;
    const json_t *site, *fit = json_object_get(json_object_get(report, "matrix"), "fit");
    const json_t *sites = json_object_get(fit, "sites");
    if (!json_array_size(sites))
        return;
    fputs(
        "<section>\n<h2>Who contributes</h2>\n<div class=\"wide\"><table>\n<thead><tr>"
        "<th class=\"text\">site</th><th>its model's<br/>contribution</th><th>robust z</th>"
        "<th>ease of<br/>its patients</th><th>excess<br/>at home</th>"
        "<th>gain by its<br/>update elsewhere</th><th class=\"text\">to look at</th></tr></thead>\n"
        "<tbody>\n",
        out);
    json_array_foreach(sites, i, site)
    {
        if (i < REPORT_TABLE_MAX)
            put_contribution(out, site);
    }
    fputs(
        "</tbody></table></div>\n<p class=\"quiet\">AUROC of every site's model at every site, "
        "fitted as a sum of the model's contribution and the ease of the site's patients. A "
        "flag is a question, not a verdict: an update that changes no ranking anywhere, or a model "
        "far below the others; or a model far better at home than the sum says.</p>\n</section>\n",
        out);
}
