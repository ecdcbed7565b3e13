/* SPDX-License-Identifier: Apache-2.0 */
/* consilium-agent budget: what the site's patients have paid, and what is left. */
#include "agent/cli/commands.h"
#include "agent/cli/site.h"
#include "agent/vault/cost.h"
#include "proto/base/clock.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const char HELP[] =
    "usage: consilium-agent budget SITE-FOLDER [--json]\n"
    "\n"
    "Prints the privacy budget of the site's patients: what each study was charged, what is spent\n"
    "over all of them, and what is left.\n";

#define YEAR_MS (UINT64_C(365) * 24 * 3600 * 1000)

struct spent {
    struct cost_spent ever, year;
};

static struct result add_up(const struct site *site, struct spent *spent, struct why *why)
{
    uint64_t now_ms = clock_unix_ms();
    TRY(cost_spent(&site->ledger, &site->policy, site->policy.epsilon_total, 0, &spent->ever, why));
    return cost_spent(&site->ledger, &site->policy, site->policy.epsilon_per_year, now_ms - YEAR_MS,
                      &spent->year, why);
}

static void print_spent(const char *span, const struct cost_spent *spent, double epsilon)
{
    printf("  %-10s %5.1f %% of epsilon %g is used", span, 100.0 * spent->share, epsilon);
    if (spent->added > 0.0)
        printf("; the studies add up to %.4f, together %.4f had all been fixed in advance",
               spent->added, spent->in_advance);
    putchar('\n');
}

static void print_text(const struct site *site, const struct spent *spent)
{
    const struct policy *p = &site->policy;
    printf("%-24s %-9s %-17s %8s %8s %7s %7s %10s\n", "study", "standing", "decided", "epsilon",
           "delta", "trained", "judged", "bytes out");
    for (size_t i = 0; i < site->ledger.studies_count; i++) {
        const struct ledger_study *s = &site->ledger.studies[i];
        char when[24] = "";
        if (s->decided_ms)
            site_time(s->decided_ms, when);
        printf("%-24s %-9s %-17s %8.4f %8.1e %7u %7u %10llu\n", s->name,
               ledger_standing_name(s->standing), when, s->charge.epsilon, s->charge.delta,
               s->trained, s->evaluated, (unsigned long long)s->bytes_released);
    }
    printf(
        "\nthe budget's filter, sound however later plans depend on earlier models (delta %.1e):\n",
        p->delta);
    print_spent("for ever", &spent->ever, p->epsilon_total);
    print_spent("in a year", &spent->year, p->epsilon_per_year);
    printf("  %-10s at most epsilon %g\n", "a study", p->epsilon_per_study);
}

static void print_json(const struct site *site, const struct spent *spent)
{
    const struct policy *p = &site->policy;
    json_t *studies = json_array();
    for (size_t i = 0; i < site->ledger.studies_count; i++) {
        const struct ledger_study *s = &site->ledger.studies[i];
        json_array_append_new(
            studies, json_pack("{s:s, s:s, s:s, s:s, s:I, s:f, s:f, s:f, s:s, s:i, s:i, s:I}",
                               "study", s->name, "researcher", s->researcher, "standing",
                               ledger_standing_name(s->standing), "reason", s->reason, "decided_ms",
                               (json_int_t)s->decided_ms, "epsilon", s->charge.epsilon, "delta",
                               s->charge.delta, "noise_multiplier", s->charge.noise_multiplier,
                               "events", s->charge.events, "trained", (int)s->trained, "evaluated",
                               (int)s->evaluated, "bytes_released", (json_int_t)s->bytes_released));
    }
    json_t *out =
        json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:o}", "epsilon_added",
                  spent->ever.added, "share_used", spent->ever.share, "epsilon_total",
                  p->epsilon_total, "epsilon_added_year", spent->year.added, "share_used_year",
                  spent->year.share, "epsilon_per_year", p->epsilon_per_year, "epsilon_per_study",
                  p->epsilon_per_study, "delta", p->delta, "studies", studies);
    json_dumpf(out, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    putchar('\n');
    json_decref(out);
}

int cmd_budget(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(HELP, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 2)
        return cli_usage("budget: name the site's folder; --help shows how");
    struct site site = {0};
    struct spent spent = {0};
    struct why why;
    struct result r = site_open(&site, argv[1], NULL, &why);
    if (ok(r))
        r = add_up(&site, &spent, &why);
    if (ok(r) && json)
        print_json(&site, &spent);
    else if (ok(r))
        print_text(&site, &spent);
    site_close(&site);
    return ok(r) ? CLI_OK : cli_fail(r, &why);
}
