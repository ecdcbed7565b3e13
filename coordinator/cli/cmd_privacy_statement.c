/* SPDX-License-Identifier: Apache-2.0 */
/* consilium privacy statement and ledger: what a plan promises each patient, and what sites have
 * spent. */
#include "coordinator/cli/client.h"
#include "coordinator/cli/cmd_privacy.h"
#include "coordinator/forecast.h"
#include "privacy/clip.h"
#include "privacy/release_grid.h"

#include <jansson.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

/* The statement's lines, in order, as JSON keys and values; NULL without memory. */
static json_t *statement(const struct plan *plan, const struct forecast *f,
                         const struct release_grid *grid, uint64_t patients)
{
    const struct plan_privacy *p = &plan->privacy;
    struct event_list *events = calloc(1, sizeof *events);
    char text[2 * EVENT_TEXT_MAX] = "";
    char hash[2 * PLAN_HASH_BYTES + 1];
    struct why why;
    if (!events)
        return NULL;
    if (ok(plan_events(plan, patients, grid->effective_noise, events, &why)))
        (void)event_list_text(events, text, sizeof text);
    free(events);
    sodium_bin2hex(hash, sizeof hash, plan->hash, sizeof plan->hash);
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:i, s:s, s:f, s:f, s:f, s:f, s:f, s:I, s:i, s:f, s:f, s:f, s:f, "
        "s:f, "
        "s:s, s:s, s:s, s:s, s:s}",
        "study", plan->study, "plan_hash", hash, "unit",
        "patient: all rows of one patient at one site", "adjacency", "add or remove one patient",
        "max_sites_per_patient", (int)p->max_sites_per_patient, "against",
        "the coordinator, every other site and the world together: each site adds all of its noise",
        "sampling_rate", p->sampling_rate, "noise_multiplier", f->cost.noise_multiplier,
        "effective_noise", grid->effective_noise, "rounding_slack", grid->slack, "clip_norm",
        p->clip_norm, "steps", (json_int_t)f->cost.steps, "max_rows_per_patient",
        (int)p->max_rows_per_patient, "delta", p->delta, "epsilon_upper", f->cost.bound.upper,
        "epsilon_lower", f->cost.bound.lower, "epsilon_renyi", f->cost.bound.renyi, "grid",
        f->cost.bound.grid, "events", text, "accountant",
        "privacy loss distributions, connect-the-dots; Renyi cross-check; "
        "consilium " CONSILIUM_VERSION,
        "across_plans", "Renyi filter at one fixed order in each site's ledger", "uncharged",
        "declared patients, sizes, deadlines: constants of the plan or of the hospital's choice",
        "not_covered",
        p->metrics_noise > 0.0
            ? "a patient seen at more sites than stated; facts true of a whole site"
            : "a patient seen at more sites than stated; facts true of a whole site; evaluations "
              "in "
              "threshold mode, which are bounded by the site's policy but not private");
}

static void print_statement(const json_t *s)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)s, key, value)
    {
        if (json_is_string(value))
            printf("%-22s %s\n", key, json_string_value(value));
        else if (json_is_integer(value))
            printf("%-22s %lld\n", key, (long long)json_integer_value(value));
        else
            printf("%-22s %.8g\n", key, json_real_value(value));
    }
}

static struct result state(const char *path, double patients, bool json, struct why *why)
{
    struct plan plan;
    TRY(plan_load(&plan, path, NULL, NULL, why));
    struct forecast *f = calloc(1, sizeof *f);
    struct release_grid grid;
    struct result r = f ? forecast_plan(&plan, (uint64_t)patients, f, why)
                        : failed(why, RESULT_SYSTEM, "out of memory");
    if (ok(r) && plan.privacy.mode == PRIVACY_NONE)
        r = failed(why, RESULT_INPUT, "%s promises patients nothing: privacy mode is none", path);
    if (ok(r) && release_grid_init(&grid, plan.privacy.clip_norm, f->cost.noise_multiplier,
                                   f->parameters, CLIP_SLOT_ROWS_MAX) != 0)
        r = failed(why, RESULT_INPUT, "the plan's clip norm or noise is out of range");
    json_t *s = ok(r) ? statement(&plan, f, &grid, (uint64_t)patients) : NULL;
    if (ok(r) && !s)
        r = failed(why, RESULT_SYSTEM, "out of memory");
    if (ok(r) && json) {
        json_dumpf(s, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
        putchar('\n');
    } else if (ok(r)) {
        print_statement(s);
    }
    json_decref(s);
    free(f);
    plan_free(&plan);
    return r;
}

int cmd_privacy_statement(int argc, char **argv)
{
    struct why why = {0};
    double patients = 500.0;
    if (cli_take_flag(&argc, argv, "--help") || cli_take_flag(&argc, argv, "-h")) {
        puts(
            "usage: consilium privacy statement PLAN.yaml [--patients N] [--json]\n\nWhat the plan "
            "promises each patient at each site, and what it does not cover.");
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    struct result r = take_number(&argc, argv, "--patients", false, &patients, &why);
    if (ok(r) && (argc != 2 || !(patients >= 1.0 && patients <= 1e9)))
        return cli_usage("privacy statement needs one plan; --help tells more");
    if (ok(r))
        r = state(argv[1], patients, json, &why);
    return ok(r) ? CLI_OK : cli_fail(r, &why);
}

static void print_ledger(const json_t *report, bool json)
{
    json_t *sites = json_object_get(report, "sites"), *site;
    size_t i;
    if (json) {
        json_dumpf(sites, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
        putchar('\n');
        return;
    }
    printf("%-24s %10s %10s %10s %10s\n", "site", "spent", "left", "budget", "delta");
    json_array_foreach(sites, i, site)
    {
        double spent = json_number_value(json_object_get(site, "epsilon_spent"));
        double budget = json_number_value(json_object_get(site, "epsilon_budget"));
        printf("%-24s %10.4f %10.4f %10.4f %10.1g\n",
               json_string_value(json_object_get(site, "name")), spent, fmax(0.0, budget - spent),
               budget, json_number_value(json_object_get(site, "delta")));
    }
}

int cmd_privacy_ledger(int argc, char **argv)
{
    struct why why = {0};
    if (cli_take_flag(&argc, argv, "--help") || cli_take_flag(&argc, argv, "-h")) {
        puts("usage: consilium privacy ledger STUDY [--as FOLDER] [--json]\n\nWhat each site has "
             "spent of what it granted the study. A hospital's whole ledger, over all\nstudies and "
             "years, is its own: consilium-agent budget.");
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *folder = cli_take_option(&argc, argv, "--as");
    if (argc != 2)
        return cli_usage("privacy ledger needs one study; --help tells more");
    struct client *client = NULL;
    struct client_reply reply = {0};
    struct result r = client_open(folder, &client, &why);
    if (ok(r))
        r = client_request(client, "report", argv[1], -1, &reply, &why);
    client_close(client);
    json_t *report =
        ok(r) ? json_loadb((const char *)reply.text, reply.text_n, JSON_REJECT_DUPLICATES, NULL)
              : NULL;
    if (ok(r) && !report)
        r = failed(&why, RESULT_SYSTEM, "the coordinator's report cannot be read");
    if (ok(r))
        print_ledger(report, json);
    json_decref(report);
    free(reply.text);
    return ok(r) ? CLI_OK : cli_fail(r, &why);
}
