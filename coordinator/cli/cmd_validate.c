/* SPDX-License-Identifier: Apache-2.0 */
/* consilium validate: a finished study's model evaluated at its sites again, and what came of it.
 */
#include "coordinator/cli/cmd_validate.h"
#include "coordinator/cli/ask.h"
#include "coordinator/cli/cli.h"
#include "coordinator/cli/report_print.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WAIT_PAUSE_MS = 500, SITES_TEXT_MAX = 16384 };

static const char USAGE[] =
    "usage: consilium validate --model MODEL|--study STUDY [--sites A,B,...] [--wait]\n"
    "                          [--as FOLDER] [--json]\n"
    "       consilium validate --study STUDY --task NUMBER [--as FOLDER] [--json]\n"
    "       consilium validate --list [--study STUDY] [--as FOLDER] [--json]\n\n"
    "Asks the sites of a finished study for the model's figures on their present holdouts; "
    "nothing\n"
    "is trained. Your signed command stands in the audit log. Every site is in the result: with "
    "its\n"
    "figures, or with the reason why there are none.\n"
    "  --model MODEL   a hash, the beginning of one, or a study (its newest model)\n"
    "  --study STUDY   the study whose model is meant\n"
    "  --sites A,B     only these sites\n"
    "  --wait          until every site has answered or the plan's deadline has passed\n"
    "  --task NUMBER   shows what that run found\n"
    "  --list          all runs, newest first\n"
    "Exit code 0 when at least one site gave an AUROC, 1 when none did.\n";

static double figure(const json_t *o, const char *key)
{
    const json_t *value = json_object_get(o, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static void print_figure(const char *name, double value)
{
    if (isfinite(value))
        printf("  %s %.4f", name, value);
}

static void print_site(const json_t *site)
{
    printf("  %-16s AUROC %.4f", ask_text(site, "name"), figure(site, "auroc"));
    if (isfinite(figure(site, "auroc_low")))
        printf(" (%.3f to %.3f)", figure(site, "auroc_low"), figure(site, "auroc_high"));
    print_figure("accuracy", figure(site, "accuracy"));
    print_figure("slope", figure(site, "calibration_slope"));
    printf("  patients %s", ask_text(site, "n_band"));
    putchar('\n');
}

/* Drift and epoch, as the sites told them. */
static void print_drift(const json_t *site)
{
    printf("  %-16s holdout epoch %lld%s; drift %s", ask_text(site, "name"),
           json_integer_value(json_object_get(site, "epoch")),
           json_is_true(json_object_get(site, "reused")) ? " (judged on before)" : "",
           ask_text(site, "drift"));
    if (isfinite(figure(site, "kl")))
        printf(": KL %.3f of %s, p %.2g", figure(site, "kl"),
               ask_text(site, "kl_of")[0] ? ask_text(site, "kl_of") : "the score",
               figure(site, "kl_p"));
    putchar('\n');
}

static void print_strata(const json_t *site)
{
    const json_t *s = json_object_get(site, "strata");
    if (!isfinite(figure(s, "gap")))
        return;
    printf("  %-16s hidden strata: %.0f clusters tested, worst %s %.3f below the rest (%.3f to "
           "%.3f), %s patients, p %.2g\n",
           ask_text(site, "name"), figure(s, "tested"), ask_text(s, "of"), figure(s, "gap"),
           figure(s, "gap_low"), figure(s, "gap_high"), ask_text(s, "n_band"), figure(s, "p_holm"));
}

static void print_record(const json_t *record)
{
    size_t i;
    json_t *site;
    const json_t *summary = json_object_get(record, "summary");
    const json_t *hospital = json_object_get(record, "new_hospital");
    json_array_foreach(json_object_get(record, "sites"), i, site)
    {
        if (isfinite(figure(site, "auroc")))
            print_site(site);
    }
    json_array_foreach(json_object_get(record, "non_results"), i, site)
    {
        printf("  %-16s no figures: %s%s%s\n", ask_text(site, "name"), ask_text(site, "status"),
               ask_text(site, "reason")[0] ? ": " : "", ask_text(site, "reason"));
    }
    json_array_foreach(json_object_get(summary, "sites"), i, site) print_drift(site);
    json_array_foreach(json_object_get(record, "sites"), i, site)
        expected_print(ask_text(site, "name"), json_object_get(site, "drift"),
                       json_object_get(site, "auroc"));
    json_array_foreach(json_object_get(record, "sites"), i, site) print_strata(site);
    gaps_print(json_object_get(record, "disparity"));
    if (isfinite(figure(summary, "auroc")))
        printf("  %-16s AUROC %.4f (%.3f to %.3f), sites by patients, none above 40 %%\n", "pooled",
               figure(summary, "auroc"), figure(summary, "low"), figure(summary, "high"));
    const json_t *pooled = json_object_get(record, "pooled");
    if (isfinite(figure(pooled, "cindex")))
        printf("  %-16s C-index %.4f (%.3f to %.3f)\n", "pooled", figure(pooled, "cindex"),
               figure(pooled, "cindex_low"), figure(pooled, "cindex_high"));
    if (json_is_object(hospital))
        printf("  %-16s AUROC %.3f to %.3f to be expected (random effects), I2 %.0f %%\n",
               "a new hospital", figure(hospital, "prediction_low"),
               figure(hospital, "prediction_high"), figure(hospital, "i2_percent"));
}

static bool has_figures(const json_t *run)
{
    const json_t *summary = json_object_get(json_object_get(run, "record"), "summary");
    return isfinite(figure(summary, "auroc"));
}

static int show_run(const json_t *run, bool json)
{
    char time[ASK_TIME_BYTES];
    bool open = json_is_true(json_object_get(run, "open"));
    if (json) {
        json_dumpf(run, stdout, JSON_COMPACT | JSON_REAL_PRECISION(17));
        putchar('\n');
    } else {
        printf("study %s task %lld: model %.12s, %s%s, %s\n", ask_text(run, "study"),
               json_integer_value(json_object_get(run, "task")), ask_text(run, "model"),
               json_is_true(json_object_get(run, "look")) ? "a look of " : "asked for by ",
               ask_text(run, "by"),
               open ? "still open"
                    : ask_time(json_integer_value(json_object_get(run, "closed_ms")), time));
        print_record(json_object_get(run, "record"));
    }
    return open || has_figures(run) ? CLI_OK : CLI_FAILED;
}

static struct result ask_run(const char *folder, const char *study, json_int_t task,
                             json_t **ret_run, struct why *why)
{
    return ask_json(folder, "validations", json_pack("{s:s, s:I}", "study", study, "task", task),
                    ret_run, why);
}

int validate_wait(const char *folder, const char *study, long long task, enum validate_print print)
{
    struct why why;
    for (;;) {
        json_t *run = NULL;
        struct result r = ask_run(folder, study, task, &run, &why);
        if (!ok(r))
            return cli_fail(r, &why);
        if (!json_is_true(json_object_get(run, "open"))) {
            int code = print == VALIDATE_QUIET ? CLI_OK : show_run(run, print == VALIDATE_JSON);
            json_decref(run);
            return code;
        }
        json_decref(run);
        nanosleep(&(struct timespec){.tv_nsec = WAIT_PAUSE_MS * 1000000L}, NULL);
    }
}

static json_t *split_sites(const char *text)
{
    char copy[SITES_TEXT_MAX], *rest = NULL;
    json_t *list = json_array();
    snprintf(copy, sizeof copy, "%s", text);
    for (char *name = strtok_r(copy, ",", &rest); name; name = strtok_r(NULL, ",", &rest))
        json_array_append_new(list, json_string(name));
    return list;
}

static int run_now(const char *folder, const char *model, const char *study, const char *sites,
                   bool wait, bool json)
{
    json_t *arguments = json_object(), *opened = NULL;
    struct why why;
    if (model)
        json_object_set_new(arguments, "model", json_string(model));
    if (study)
        json_object_set_new(arguments, "study", json_string(study));
    if (sites)
        json_object_set_new(arguments, "sites", split_sites(sites));
    struct result r = ask_json(folder, "validate", arguments, &opened, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    int code = CLI_OK;
    if (wait) {
        code = validate_wait(folder, ask_text(opened, "study"),
                             json_integer_value(json_object_get(opened, "task")),
                             json ? VALIDATE_JSON : VALIDATE_WORDS);
    } else if (json) {
        json_dumpf(opened, stdout, JSON_COMPACT);
        putchar('\n');
    } else {
        printf("model %.12s is asked for at the sites of study '%s' (task %lld)\n",
               ask_text(opened, "model"), ask_text(opened, "study"),
               json_integer_value(json_object_get(opened, "task")));
    }
    json_decref(opened);
    return code;
}

static int list_runs(const char *folder, const char *study, bool json)
{
    size_t i;
    json_t *answer = NULL, *run, *arguments = json_object();
    char time[ASK_TIME_BYTES];
    struct why why;
    if (study)
        json_object_set_new(arguments, "study", json_string(study));
    struct result r = ask_json(folder, "validations", arguments, &answer, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    if (json) {
        json_dumpf(answer, stdout, JSON_COMPACT | JSON_REAL_PRECISION(17));
        putchar('\n');
    }
    json_array_foreach(json_object_get(answer, "validations"), i, run)
    {
        if (json)
            break;
        printf("%s  %-24s task %-4lld model %.12s  %s%s",
               ask_time(json_integer_value(json_object_get(run, "opened_ms")), time),
               ask_text(run, "study"), json_integer_value(json_object_get(run, "task")),
               ask_text(run, "model"), ask_text(run, "by"),
               json_is_true(json_object_get(run, "look")) ? " (look)" : "");
        if (isfinite(figure(run, "auroc")))
            printf("  AUROC %.4f (%.3f to %.3f)", figure(run, "auroc"), figure(run, "low"),
                   figure(run, "high"));
        puts(json_is_true(json_object_get(run, "open")) ? "  open" : "");
    }
    json_decref(answer);
    return CLI_OK;
}

static int show_task(const char *folder, const char *study, const char *task, bool json)
{
    char *end = NULL;
    long long number = strtoll(task, &end, 10);
    json_t *run = NULL;
    struct why why;
    if (!study || number <= 0 || *end)
        return cli_usage("--task takes a number, and --study its study");
    struct result r = ask_run(folder, study, number, &run, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    int code = show_run(run, json);
    json_decref(run);
    return code;
}

int cmd_validate(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(USAGE, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json"), wait = cli_take_flag(&argc, argv, "--wait");
    bool list = cli_take_flag(&argc, argv, "--list");
    const char *folder = cli_take_option(&argc, argv, "--as");
    const char *model = cli_take_option(&argc, argv, "--model");
    const char *study = cli_take_option(&argc, argv, "--study");
    const char *sites = cli_take_option(&argc, argv, "--sites");
    const char *task = cli_take_option(&argc, argv, "--task");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 1 || (!list && !model == !study) || (sites && strlen(sites) >= SITES_TEXT_MAX))
        return cli_usage("validate takes --model or --study; --help tells more");
    if (list)
        return list_runs(folder, study, json);
    if (task)
        return show_task(folder, study, task, json);
    return run_now(folder, model, study, sites, wait, json);
}
