/* SPDX-License-Identifier: Apache-2.0 */
/* consilium simulate: a whole study in this process, without broker, enrolment and daemons. */
#include "coordinator/cli/cli.h"
#include "coordinator/cli/model_files.h"
#include "coordinator/cli/report_print.h"
#include "coordinator/cli/simulate_attack.h"
#include "proto/base/cleanup.h"
#include "proto/base/fs.h"
#include "proto/base/log.h"

#include <ctype.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char USAGE[] =
    "usage: consilium simulate --plan FILE --data DIR [--attack NAME [--hostile SITE]] [--rounds "
    "N]\n"
    "                          [--out DIR] [--json]\n\n"
    "Runs the plan's study in this process, by the same code as the daemons: sites train, clip,\n"
    "noise, compress and sign; the coordinator admits, aggregates and evaluates. Without privacy "
    "the\n"
    "model is the one of a real run on the same data and the same holdout keys, bit for bit.\n"
    "  --plan FILE      the study's plan\n"
    "  --data DIR       DIR/SITE.csv for every site of the plan, with DIR/mapping.yaml where "
    "their\n"
    "                   columns differ from the plan's; or DIR/SITE/, a folder of consilium-agent\n"
    "  --rounds N       instead of the plan's rounds\n"
    "  --attack NAME    one site is hostile; --attack list prints the gallery\n"
    "  --hostile SITE   which one (default: the plan's last)\n"
    "  --out DIR        writes report.json, report.html, model.npz and model.json there\n"
    "  --json           prints the report\n";

enum { ROUNDS_TEXT = 32 };

struct simulate {
    const char *plan_path, *data, *out, *attack_name, *hostile, *rounds;
    bool json;
    char *text; /* of the plan */
    size_t n;
    struct plan plan;
    struct attack *attack;
};

/* The number behind the one "rounds:" key of a plan's text, or NULL. */
static const char *find_rounds(const char *text)
{
    for (const char *at = strstr(text, "rounds:"); at; at = strstr(at + 1, "rounds:")) {
        char before = at == text ? '\n' : at[-1];
        if (before != ' ' && before != '\n' && before != '{' && before != ',')
            continue;
        at += strlen("rounds:");
        at += strspn(at, " ");
        if (isdigit((unsigned char)*at))
            return at;
    }
    return NULL;
}

/* The plan with other rounds is another plan: its text is changed, and its hash with it. */
static struct result set_rounds(struct simulate *s, struct why *why)
{
    char *end = NULL;
    unsigned long rounds = strtoul(s->rounds, &end, 10);
    const char *at = find_rounds(s->text);
    if (!isdigit((unsigned char)s->rounds[0]) || *end || rounds < 1 || rounds > PLAN_ROUNDS_MAX)
        return failed(why, RESULT_INPUT, "--rounds is a number from 1 to %d", PLAN_ROUNDS_MAX);
    if (!at)
        return failed(why, RESULT_INPUT, "%s: found no line 'rounds: N' to replace", s->plan_path);
    size_t head = (size_t)(at - s->text), old = strspn(at, "0123456789");
    char *text = malloc(s->n + ROUNDS_TEXT);
    if (!text)
        return failed(why, RESULT_SYSTEM, "out of memory");
    int n = snprintf(text, s->n + ROUNDS_TEXT, "%.*s%lu%s", (int)head, s->text, rounds, at + old);
    free(s->text);
    s->text = text;
    s->n = (size_t)n;
    plan_free(&s->plan);
    return plan_parse(&s->plan, s->plan_path, s->text, s->n, why);
}

static struct result read_options(struct simulate *s, struct why *why)
{
    TRY(plan_load(&s->plan, s->plan_path, &s->text, &s->n, why));
    if (s->rounds)
        TRY(set_rounds(s, why));
    if (!s->attack_name && s->hostile)
        return failed(why, RESULT_INPUT, "--hostile needs --attack NAME");
    if (!s->attack_name)
        return DONE;
    if (!s->hostile)
        s->hostile = s->plan.sites[s->plan.sites_count - 1].name;
    bool known = false;
    for (unsigned i = 0; i < s->plan.sites_count; i++)
        known = known || strcmp(s->plan.sites[i].name, s->hostile) == 0;
    if (!known)
        return failed(why, RESULT_INPUT, "'%s' is not a site of the plan", s->hostile);
    return attack_create(s->attack_name, s->hostile, s->plan.aggregation.site_momentum, &s->attack,
                         why);
}

/* The report, and what was simulated. *ret_text is owned by the caller (free). */
static struct result complete_report(const struct simulate *s, struct simulation *simulation,
                                     json_t **ret_report, char **ret_text, struct why *why)
{
    CLEANUP(free_pointer) char *text = NULL;
    TRY(simulation_report(simulation, &text, why));
    json_t *report = json_loads(text, 0, NULL), *how = json_object();
    if (!report)
        return failed(why, RESULT_SYSTEM, "the report is no JSON");
    if (s->attack) {
        json_object_set_new(how, "attack", json_string(s->attack_name));
        json_object_set_new(how, "hostile", json_string(s->hostile));
    }
    json_object_set_new(report, "simulation", how);
    *ret_text = json_dumps(report, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    *ret_report = report;
    return *ret_text ? DONE : failed(why, RESULT_SYSTEM, "out of memory");
}

static struct result write_out(const struct simulate *s, struct simulation *simulation,
                               const char *text, const json_t *report, struct why *why)
{
    struct store_bytes payload = {0};
    unsigned char hash[PLAN_HASH_BYTES];
    char base[FS_PATH_BYTES];
    TRY(fs_join(base, s->out, "model", why));
    TRY(report_write(s->out, text, strlen(text), report, why));
    TRY(simulation_model(simulation, &payload, why));
    struct result r = model_files_write(&s->plan, payload.bytes, payload.n, base, hash, why);
    free(payload.bytes);
    return r;
}

static struct result show(const struct simulate *s, struct simulation *simulation,
                          bool *ret_finished, struct why *why)
{
    CLEANUP(free_pointer) char *text = NULL;
    json_t *report = NULL;
    struct result r = complete_report(s, simulation, &report, &text, why);
    if (ok(r) && s->out)
        r = write_out(s, simulation, text, report, why);
    if (ok(r) && s->json)
        puts(text);
    else if (ok(r))
        report_print(report);
    const char *phase = json_string_value(json_object_get(report, "phase"));
    *ret_finished = phase && strcmp(phase, "finished") == 0;
    json_decref(report);
    return r;
}

static struct result simulate(struct simulate *s, bool *ret_finished, struct why *why)
{
    struct simulation *simulation = NULL;
    TRY(read_options(s, why));
    struct simulation_options options = {
        .sites = &local_site_operations,
        .plan = &s->plan,
        .plan_text = s->text,
        .plan_n = s->n,
        .folder = s->data,
    };
    if (s->attack) {
        options.hostile = (struct simulation_hostile){
            .site = s->hostile,
            .poison = attack_kind(s->attack)->poison,
            .declares = attack_kind(s->attack)->declares,
        };
        options.tamper = attack_tamper;
        options.context = s->attack;
    }
    struct result r = simulation_open(&options, &simulation, why);
    if (ok(r))
        r = simulation_run(simulation, why);
    if (ok(r))
        r = show(s, simulation, ret_finished, why);
    simulation_close(simulation);
    return r;
}

static int list_attacks(bool json)
{
    json_t *list = json_array();
    for (const struct attack_kind *kind = attack_kinds(); kind->name; kind++) {
        if (!json)
            printf("%-16s %s\n", kind->name, kind->summary);
        json_t *o = json_object();
        json_object_set_new(o, "name", json_string(kind->name));
        json_object_set_new(o, "summary", json_string(kind->summary));
        json_array_append_new(list, o);
    }
    if (json) {
        json_dumpf(list, stdout, JSON_COMPACT);
        putchar('\n');
    }
    json_decref(list);
    return CLI_OK;
}

int cmd_simulate(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(USAGE, stdout);
        return CLI_OK;
    }
    struct simulate s = {
        .json = cli_take_flag(&argc, argv, "--json"),
        .plan_path = cli_take_option(&argc, argv, "--plan"),
        .data = cli_take_option(&argc, argv, "--data"),
        .out = cli_take_option(&argc, argv, "--out"),
        .attack_name = cli_take_option(&argc, argv, "--attack"),
        .hostile = cli_take_option(&argc, argv, "--hostile"),
        .rounds = cli_take_option(&argc, argv, "--rounds"),
    };
    if (s.attack_name && strcmp(s.attack_name, "list") == 0)
        return list_attacks(s.json);
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 1 || !s.plan_path || !s.data)
        return cli_usage("simulate takes --plan FILE and --data DIR; --help tells more");
    log_start("consilium", LOG_LEVEL_WARNING);
    struct why why;
    bool finished = false;
    if (sodium_init() < 0)
        return cli_usage("libsodium does not start");
    struct result r = simulate(&s, &finished, &why);
    attack_free(s.attack);
    plan_free(&s.plan);
    free(s.text);
    if (!ok(r))
        return cli_fail(r, &why);
    return finished ? CLI_OK : CLI_FAILED;
}
