/* SPDX-License-Identifier: Apache-2.0 */
/* consilium plan check: is the plan sound, and what will it cost. */
#include "coordinator/cli/cli.h"
#include "coordinator/forecast.h"

#include "proto/base/json.h"

#include <jansson.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_PATIENTS 500

static const char HELP[] =
    "usage: consilium plan check PLAN.yaml [--patients N] [--json]\n"
    "\n"
    "Checks a plan and prints what it will cost: epsilon per site over the whole study, bytes per\n"
    "round and site, memory, and what will not hold.\n"
    "  --patients N   patients of the smallest site that will take part (default 500)\n";

static void print_bytes(const char *name, uint64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1000.0 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1000.0;
        unit++;
    }
    printf("  %-34s %.*f %s\n", name, unit == 0 ? 0 : 1, value, units[unit]);
}

static void print_secure(const struct plan *plan, const struct forecast *f)
{
    const struct plan_aggregation *a = &plan->aggregation;
    unsigned n = plan->sites_count, t = a->secure_threshold, c = a->secure_colluders;
    printf("  %-34s %u of %u sites open a sum; %u may drop out in a round\n", "secure aggregation",
           t, n, n - t);
    printf("  %-34s the coordinator, whatever it does, with any %u of the sites\n",
           "  no single update is seen by", c);
    if (plan->privacy.mode == PRIVACY_PATIENT)
        printf("  %-34s %.4f = %.4f / sqrt(%u - %u); epsilon is that of the sum, at delta %.1g of "
               "which %.1g for rounding\n",
               "  noise multiplier of one site", f->noise_share, f->cost.noise_multiplier, t, c,
               plan->privacy.delta, f->noise_delta);
    if (plan->privacy.mode == PRIVACY_PATIENT)
        printf("  %-34s if more than %u sites tell the coordinator what they know, or it invents\n"
               "  %-34s sites: keys of other sites are vouched for by the coordinator's roster\n",
               "  epsilon does not hold", c, "");
}

static void print_text(const struct plan *plan, const struct forecast *f, uint64_t patients)
{
    const struct plan_privacy *p = &plan->privacy;
    char hash[2 * PLAN_HASH_BYTES + 1];
    sodium_bin2hex(hash, sizeof hash, plan->hash, sizeof plan->hash);
    printf("study %s, %u sites, %u rounds\n", plan->study, plan->sites_count,
           plan->training.rounds);
    printf("  %-34s %.16s\n", "plan hash", hash);
    printf("  %-34s %zu inputs, %zu parameters, %zu of them sent\n", "model", f->inputs,
           f->parameters, f->shared_parameters);
    printf("  %-34s %s, f = %u of %u\n", "aggregation", plan->aggregation.rule,
           plan->aggregation.byzantine, plan->sites_count);
    if (plan->aggregation.secure)
        print_secure(plan, f);
    if (isfinite(f->kappa) && plan->aggregation.byzantine > 0)
        printf("  %-34s kappa %.3g (no rule below %.3g), sites' dissimilarity B below %.3g\n",
               "what is proved for the rule", f->kappa, f->kappa_floor, f->dissimilarity_most);
    if (p->mode == PRIVACY_PATIENT) {
        printf("  %-34s %.4f (at least %.4f; Renyi %.4f) at delta %.1g\n",
               "epsilon per site, whole study", f->cost.bound.upper, f->cost.bound.lower,
               f->cost.bound.renyi, p->delta);
        printf("  %-34s %.4f, clip norm %g, rate %g, %llu steps\n", "noise multiplier",
               f->cost.noise_multiplier, p->clip_norm, p->sampling_rate,
               (unsigned long long)f->cost.steps);
        printf("  %-34s %.2g at a site of %llu patients\n", "noise to signal of an update",
               f->noise_to_signal, (unsigned long long)patients);
        if (f->hidden_shift > 0.0)
            printf("  %-34s %.2g of the mean gradient in each round\n",
                   "hostile sites can hide in the noise", f->hidden_shift);
    } else {
        printf("  %-34s none\n", "privacy");
    }
    print_bytes("one update", f->update_bytes);
    print_bytes("per round and site, both ways", f->round_bytes_per_site);
    print_bytes("per site, whole study", f->study_bytes_per_site);
    print_bytes("memory at such a site", f->site_memory_bytes);
    print_bytes("memory at the coordinator", f->coordinator_memory_bytes);
    for (size_t i = 0; i < f->warnings_count; i++)
        printf("  warning: %s\n", f->warnings[i].text);
    puts("The plan is sound. A site's own policy may still ask a human or refuse.");
}

static int print_json(const struct plan *plan, const struct forecast *f, uint64_t patients)
{
    char hash[2 * PLAN_HASH_BYTES + 1];
    sodium_bin2hex(hash, sizeof hash, plan->hash, sizeof plan->hash);
    json_t *warnings = json_array();
    for (size_t i = 0; i < f->warnings_count; i++)
        json_array_append_new(warnings, json_string(f->warnings[i].text));
    json_t *out =
        json_pack("{s:s, s:s, s:i, s:i, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:I, s:I, "
                  "s:I, s:I, s:I, "
                  "s:I, s:f, s:f, s:o}",
                  "study", plan->study, "plan_hash", hash, "sites", (int)plan->sites_count,
                  "rounds", (int)plan->training.rounds, "inputs", (json_int_t)f->inputs,
                  "parameters", (json_int_t)f->parameters, "parameters_sent",
                  (json_int_t)f->shared_parameters, "patients", (json_int_t)patients,
                  "epsilon_per_site", f->cost.bound.upper, "epsilon_lower", f->cost.bound.lower,
                  "epsilon_rdp", f->cost.noise_multiplier > 0.0 ? f->cost.bound.renyi : 0.0,
                  "delta", plan->privacy.delta, "noise_multiplier", f->cost.noise_multiplier,
                  "steps", (json_int_t)f->cost.steps, "bytes_per_update",
                  (json_int_t)f->update_bytes, "bytes_per_round_and_site",
                  (json_int_t)f->round_bytes_per_site, "bytes_per_site",
                  (json_int_t)f->study_bytes_per_site, "site_memory_bytes",
                  (json_int_t)f->site_memory_bytes, "coordinator_memory_bytes",
                  (json_int_t)f->coordinator_memory_bytes, "noise_to_signal", f->noise_to_signal,
                  "patients_needed_for_robustness", f->patients_needed, "warnings", warnings);
    if (!out)
        return CLI_SYSTEM;
    if (plan->aggregation.secure)
        json_object_set_new(out, "secure",
                            json_pack("{s:i, s:i, s:i, s:f, s:f, s:b}", "threshold",
                                      (int)plan->aggregation.secure_threshold, "drop_outs",
                                      (int)(plan->sites_count - plan->aggregation.secure_threshold),
                                      "colluders", (int)plan->aggregation.secure_colluders,
                                      "noise_share", f->noise_share, "noise_delta", f->noise_delta,
                                      "robustness_claimed", 0));
    json_object_set_new(out, "hidden_shift", json_real(f->hidden_shift));
    json_object_set_new(out, "kappa", number_or_null(f->kappa));
    json_object_set_new(out, "dissimilarity_most",
                        isfinite(f->dissimilarity_most) ? json_real(f->dissimilarity_most)
                                                        : json_null());
    json_dumpf(out, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    putchar('\n');
    json_decref(out);
    return CLI_OK;
}

static int check(int argc, char **argv)
{
    struct plan plan;
    struct forecast *forecast = calloc(1, sizeof *forecast);
    struct why why;
    bool json = cli_take_flag(&argc, argv, "--json");
    bool help = cli_take_flag(&argc, argv, "--help");
    const char *count = cli_take_option(&argc, argv, "--patients");
    char *end = NULL;
    long long patients = count ? strtoll(count, &end, 10) : DEFAULT_PATIENTS;
    if (help) {
        fputs(HELP, stdout);
        free(forecast);
        return CLI_OK;
    }
    if (cli_odd_option(argc, argv)) {
        free(forecast);
        return CLI_USAGE;
    }
    if (argc != 2 || patients < 1 || patients > 1000000000 || (count && *end != '\0') ||
        !forecast) {
        fputs(HELP, stderr);
        free(forecast);
        return CLI_USAGE;
    }
    struct result r = plan_load(&plan, argv[1], NULL, NULL, &why);
    int code = CLI_OK;
    if (ok(r)) {
        r = forecast_plan(&plan, (uint64_t)patients, forecast, &why);
        if (ok(r))
            code = json ? print_json(&plan, forecast, (uint64_t)patients)
                        : (print_text(&plan, forecast, (uint64_t)patients), CLI_OK);
        if (!ok(r))
            r = failed_in(&why, r, "%s", argv[1]);
        plan_free(&plan);
    }
    free(forecast);
    return ok(r) ? code : cli_fail(r, &why);
}

int cmd_plan(int argc, char **argv)
{
    static const struct cli_entry TABLE[] = {
        {"check", check, "check a plan and print what it will cost"},
        {NULL, NULL, NULL},
    };
    return cli_dispatch(TABLE, "consilium plan check PLAN.yaml", argc, argv);
}
