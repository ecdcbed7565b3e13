/* SPDX-License-Identifier: Apache-2.0 */
/* consilium-agent policy: the bounds in force, and a first policy file to edit. */
#include "agent/cli/commands.h"
#include "agent/cli/site.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const char HELP[] =
    "usage: consilium-agent policy SITE-FOLDER [--write] [--json]\n"
    "\n"
    "Checks SITE-FOLDER/policy.yaml and prints the bounds that are in force, those left out with\n"
    "their safe defaults. --write makes a first file with the defaults and what they mean; it "
    "never\n"
    "overwrites one. A running site takes a changed file up within seconds.\n";

static const char TEMPLATE[] =
    "# What this hospital accepts. These bounds win over any plan.\n"
    "version: 1\n"
    "# ask: a human approves each study within the bounds; allow: within the bounds it just runs\n"
    "decision: ask\n"
    "# researchers: [anna, ben]      # who may launch; left out: any researcher of the consortium\n"
    "# features_refused: [postcode]  # plan features that never take part\n"
    "# refuse plans without differential privacy\n"
    "privacy_required: true\n"
    "# bounds on what a patient's presence can change (smaller is safer)\n"
    "epsilon_per_study: 1\n"
    "epsilon_per_year: 2\n"
    "epsilon_total: 10\n"
    "delta: 1.0e-6\n"
    "# fewest patients with which this site takes part\n"
    "min_patients: 50\n"
    "# figures of evaluations leave as: threshold (figures only), histogram (coarsened),\n"
    "# noised-histogram, or none\n"
    "metrics: threshold\n"
    "# metrics_noise: 5              # with noised-histogram: standard deviation added to each\n"
    "                                # count even where a private plan asks for less or none\n"
    "# no figure about fewer patients than this leaves\n"
    "min_cell: 11\n"
    "# a finished study's model evaluated again: as-study (allowed with the study), ask, refuse\n"
    "validation: as-study\n";

static const char *metrics_name(enum policy_metrics metrics)
{
    switch (metrics) {
    case METRICS_THRESHOLD:
        return "threshold";
    case METRICS_HISTOGRAM:
        return "histogram";
    case METRICS_NOISED_HISTOGRAM:
        return "noised-histogram";
    case METRICS_NONE:
        break;
    }
    return "none";
}

static const char *validation_name(enum policy_validation validation)
{
    switch (validation) {
    case VALIDATION_AS_STUDY:
        return "as-study";
    case VALIDATION_ASK:
        return "ask";
    case VALIDATION_REFUSE:
        break;
    }
    return "refuse";
}

static json_t *names_json(const struct plan_level *names, unsigned count)
{
    json_t *out = json_array();
    for (unsigned i = 0; i < count; i++)
        json_array_append_new(out, json_string(names[i].name));
    return out;
}

static void print_json(const struct policy *p)
{
    json_t *out =
        json_pack("{s:s, s:o, s:o, s:b, s:f, s:f, s:f, s:f, s:I, s:s, s:i, s:i}", "decision",
                  p->decision == DECISION_ALLOW ? "allow" : "ask", "researchers",
                  names_json(p->researchers, p->researchers_count), "features_refused",
                  names_json(p->features_refused, p->features_refused_count), "privacy_required",
                  p->privacy_required, "epsilon_per_study", p->epsilon_per_study,
                  "epsilon_per_year", p->epsilon_per_year, "epsilon_total", p->epsilon_total,
                  "delta", p->delta, "min_patients", (json_int_t)p->min_patients, "metrics",
                  metrics_name(p->metrics), "min_cell", (int)p->min_cell, "queries_per_epoch",
                  (int)p->queries_per_epoch);
    json_object_set_new(out, "metrics_noise", json_real(p->metrics_noise));
    json_object_set_new(out, "validation", json_string(validation_name(p->validation)));
    json_dumpf(out, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    putchar('\n');
    json_decref(out);
}

static void print_names(const char *title, const struct plan_level *names, unsigned count,
                        const char *none)
{
    printf("  %-20s", title);
    if (count == 0)
        printf("%s", none);
    for (unsigned i = 0; i < count; i++)
        printf("%s%s", i ? ", " : "", names[i].name);
    putchar('\n');
}

static void print_text(const struct policy *p)
{
    puts("this site's policy:");
    printf("  %-20s%s\n", "decision", p->decision == DECISION_ALLOW ? "allow" : "ask a human");
    print_names("researchers", p->researchers, p->researchers_count, "any of the consortium");
    print_names("features refused", p->features_refused, p->features_refused_count, "none");
    printf("  %-20s%s\n", "privacy", p->privacy_required ? "required" : "not required");
    printf("  %-20s%g a study, %g a year, %g for ever, delta %.1e\n", "epsilon",
           p->epsilon_per_study, p->epsilon_per_year, p->epsilon_total, p->delta);
    printf("  %-20s%llu\n", "fewest patients", (unsigned long long)p->min_patients);
    printf("  %-20s%s, no cell below %u\n", "figures leave as", metrics_name(p->metrics),
           p->min_cell);
    if (p->metrics == METRICS_NOISED_HISTOGRAM && p->metrics_noise > 0.0)
        printf("  %-20s%g on each count at least\n", "their noise", p->metrics_noise);
    if (p->queries_per_epoch > 0)
        printf("  %-20s%u on one epoch of the holdout\n", "evaluations", p->queries_per_epoch);
    printf("  %-20s%s\n", "after a study", validation_name(p->validation));
}

static struct result write_first(const struct folder *folder, struct why *why)
{
    if (fs_exists(folder->policy))
        return failed(why, RESULT_REFUSED, "%s is there already; edit it", folder->policy);
    return fs_write_atomic(folder->policy, TEMPLATE, strlen(TEMPLATE), 0644, why);
}

int cmd_policy(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(HELP, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    bool write_file = cli_take_flag(&argc, argv, "--write");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 2)
        return cli_usage("policy: name the site's folder; --help shows how");
    struct folder folder;
    struct policy policy = {0};
    struct why why;
    struct result r = fs_exists(argv[1])
                          ? folder_at(&folder, argv[1], NULL, &why)
                          : failed(&why, RESULT_INPUT, "%s: there is no such folder", argv[1]);
    if (ok(r) && write_file)
        r = write_first(&folder, &why);
    if (ok(r))
        r = folder_policy(&folder, &policy, &why);
    if (ok(r) && json)
        print_json(&policy);
    else if (ok(r))
        print_text(&policy);
    if (ok(r) && !json && !fs_exists(folder.policy))
        puts("There is no policy.yaml: these are the defaults; --write makes a first one.");
    policy_free(&policy);
    return ok(r) ? CLI_OK : cli_fail(r, &why);
}
