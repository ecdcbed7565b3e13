/* SPDX-License-Identifier: Apache-2.0 */
/* consilium watch: a study as it goes: a line per round with who answered, AUROC and epsilon. */
#include "coordinator/cli/cli.h"
#include "coordinator/cli/client.h"
#include "coordinator/cli/report_print.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WATCH_BAR = 24, WATCH_PAUSE_MS = 500 };

static const char USAGE[] =
    "usage: consilium watch STUDY [--as FOLDER] [--json]\n\n"
    "Follows the study until it is finished, stopped or paused. With --json one event a line.\n"
    "Exit code 0 when finished, 1 when stopped or paused.\n";

struct view {
    bool json, terminal;
    long long last;   /* entry seen */
    long long rounds; /* of the plan */
    double epsilon;   /* largest spent of any site */
    double auroc;     /* of the last evaluation */
    double score;     /* loss, where there is no AUROC */
    json_t *budgets;  /* owned: by site, [spent, granted] */
    json_t *absent;   /* owned: by site, why the open task has no result of it: one fixed word */
    bool over, finished;
    char line[256]; /* of the open task, drawn again on a terminal */
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static void clear_line(struct view *view)
{
    if (view->terminal && view->line[0])
        fputs("\r\033[K", stdout);
    view->line[0] = '\0';
}

static void print_names(const char *label, const json_t *names)
{
    size_t i;
    json_t *name;
    if (json_array_size(names) == 0)
        return;
    printf("  %s:", label);
    json_array_foreach(names, i, name) printf("%s %s", i ? "," : "", json_string_value(name));
}

/* Who gave no result in the round, each with the word that records and the report have for it. */
static void print_absent(const struct view *view)
{
    const char *site, *before = "  without: ";
    json_t *word;
    json_object_foreach(view->absent, site, word)
    {
        printf("%s%s (%s)", before, site, json_string_value(word));
        before = ", ";
    }
}

static void print_round(struct view *view, const json_t *event)
{
    long long number = json_integer_value(json_object_get(event, "round"));
    bool train = strcmp(text_of(event, "task_kind"), "train") == 0;
    if (!train)
        return;
    int filled = view->rounds > 0 ? (int)(number * WATCH_BAR / view->rounds) : 0;
    printf("round %3lld/%-3lld [", number, view->rounds);
    for (int i = 0; i < WATCH_BAR; i++)
        fputs(i < filled ? "#" : ".", stdout);
    printf("] %zu answered", json_array_size(json_object_get(event, "counted")));
    if (isfinite(view->auroc))
        printf("  AUROC %.4f", view->auroc);
    if (view->epsilon > 0)
        printf("  epsilon %.3f", view->epsilon);
    print_absent(view);
    print_names("set aside", json_object_get(event, "set_aside"));
    putchar('\n');
}

/* Sites that answered with a reason instead of figures. */
static void print_no_figures(const json_t *event)
{
    const char *site;
    json_t *reason;
    json_object_foreach(json_object_get(event, "no_figures"), site, reason)
        printf("        no figures of %s: %s\n", site, json_string_value(reason));
}

static void print_pooled(struct view *view, const json_t *event)
{
    const json_t *pooled = json_object_get(event, "pooled");
    const json_t *auroc = json_object_get(pooled, "auroc");
    view->auroc = json_is_number(auroc) ? json_number_value(auroc) : (double)NAN;
    printf("      evaluation of round %lld:", json_integer_value(json_object_get(event, "round")));
    static const struct {
        const char *key, *label;
    } FIGURES[] = {{"auroc", "AUROC"},
                   {"cindex", "C-index"},
                   {"brier", "Brier"},
                   {"accuracy", "accuracy"},
                   {"loss", "loss"}};
    for (size_t i = 0; i < sizeof FIGURES / sizeof FIGURES[0]; i++) {
        const json_t *figure = json_object_get(pooled, FIGURES[i].key);
        if (json_is_number(figure))
            printf("  %s %.4f", FIGURES[i].label, json_number_value(figure));
    }
    putchar('\n');
    print_no_figures(event);
}

/* Who was flagged in the round, with the numbers. */
static void print_flags(const json_t *event)
{
    size_t i;
    json_t *update;
    json_array_foreach(json_object_get(event, "updates"), i, update)
    {
        if (json_array_size(json_object_get(update, "flags")) > 0)
            printf("      %s flagged: %s (reputation %.2f)\n", text_of(update, "site"),
                   text_of(update, "reason"),
                   json_number_value(json_object_get(update, "reputation")));
    }
}

static bool is_any(const char *kind, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(kind, *list) == 0)
            return true;
    return false;
}

/* What a counted result says of its site's budget for the study. */
static void note_budget(struct view *view, const json_t *event, double spent)
{
    double granted = json_number_value(json_object_get(event, "epsilon_budget"));
    if (granted > 0 && text_of(event, "site")[0])
        json_object_set_new(view->budgets, text_of(event, "site"),
                            json_pack("[f, f]", spent, granted));
}

/* Keeps the word of a site without a result until it gives one or another task opens. */
static void note_absence(struct view *view, const char *kind, const json_t *event)
{
    const char *site = text_of(event, "site"), *word = text_of(event, "status");
    if (strcmp(kind, "task-opened") == 0)
        json_object_clear(view->absent);
    else if (strcmp(kind, "counted") == 0 || strcmp(kind, "set-aside") == 0)
        json_object_del(view->absent, site);
    else if (word[0] && site[0])
        json_object_set_new(view->absent, site, json_string(word));
}

static void print_budgets(const struct view *view)
{
    const char *site;
    json_t *pair;
    json_object_foreach(view->budgets, site, pair)
        budget_print(site, json_number_value(json_array_get(pair, 0)),
                     json_number_value(json_array_get(pair, 1)));
}

static void show(struct view *view, const json_t *event)
{
    static const char *const SITE_NEWS[] = {"allowed",  "asking",  "study-refused",
                                            "refused",  "missed",  "declined",
                                            "returned", "revoked", "quarantined",
                                            "released", NULL};
    static const char *const STUDY_NEWS[] = {"launched", "extended", "task-aborted", "paused",
                                             "resumed",  "stopped",  "finished",     NULL};
    const char *kind = text_of(event, "kind");
    double spent = json_number_value(json_object_get(event, "epsilon_spent"));
    view->epsilon = fmax(view->epsilon, spent);
    note_budget(view, event, spent);
    note_absence(view, kind, event);
    if (strcmp(kind, "task-completed") == 0) {
        print_round(view, event);
    } else if (strcmp(kind, "model") == 0) {
        print_flags(event);
    } else if (strcmp(kind, "pooled") == 0) {
        print_pooled(view, event);
    } else if (strcmp(kind, "gate") == 0) {
        printf("      gate: %s (consilium gate explain tells why)\n", text_of(event, "decision"));
    } else if (is_any(kind, SITE_NEWS)) {
        const char *word = text_of(event, "status"); /* the type, where it is an absence */
        printf("      %s %s%s%s\n", text_of(event, "site"), word[0] ? word : kind,
               text_of(event, "reason")[0] ? ": " : "", text_of(event, "reason"));
    } else if (is_any(kind, STUDY_NEWS)) {
        printf("study %s%s%s\n", kind, text_of(event, "reason")[0] ? ": " : "",
               text_of(event, "reason"));
    }
}

static void take_events(struct view *view, const struct client_reply *reply)
{
    json_t *root = json_loadb((const char *)reply->text, reply->text_n, 0, NULL);
    size_t i;
    json_t *event;
    if (json_array_size(json_object_get(root, "events")) > 0)
        clear_line(view);
    json_array_foreach(json_object_get(root, "events"), i, event)
    {
        if (view->json) {
            json_dumpf(event, stdout, JSON_COMPACT | JSON_REAL_PRECISION(17));
            putchar('\n');
        } else {
            show(view, event);
        }
    }
    json_int_t last = json_integer_value(json_object_get(root, "last"));
    view->last = last > view->last ? last : view->last;
    json_decref(root);
}

static void draw_open_task(struct view *view, const json_t *study)
{
    const json_t *task = json_object_get(study, "task");
    if (view->json || !view->terminal || !json_is_true(json_object_get(task, "open")))
        return;
    clear_line(view);
    snprintf(view->line, sizeof view->line, "%s round %lld: %lld answered, %lld expected",
             text_of(task, "kind"), json_integer_value(json_object_get(task, "round")),
             json_integer_value(json_object_get(task, "counted")),
             json_integer_value(json_object_get(task, "expected")));
    fputs(view->line, stdout);
}

static struct result take_status(struct view *view, struct client *client, const char *name,
                                 struct why *why)
{
    struct client_reply reply = {0};
    TRY(client_request(client, "status", name, -1, &reply, why));
    json_t *root = json_loadb((const char *)reply.text, reply.text_n, 0, NULL);
    const json_t *study = json_array_get(json_object_get(root, "studies"), 0);
    const char *phase = text_of(study, "phase");
    view->rounds = json_integer_value(json_object_get(study, "rounds"));
    view->finished = strcmp(phase, "finished") == 0;
    view->over = view->finished || strcmp(phase, "stopped") == 0 || strcmp(phase, "paused") == 0;
    draw_open_task(view, study);
    struct result r = study ? DONE : failed(why, RESULT_INPUT, "there is no study '%s'", name);
    json_decref(root);
    free(reply.text);
    return r;
}

static struct result take_all_events(struct view *view, struct client *client, const char *name,
                                     struct why *why)
{
    long long before;
    do {
        struct client_reply reply = {0};
        before = view->last;
        TRY(client_request(client, "events", name, view->last, &reply, why));
        take_events(view, &reply);
        free(reply.text);
    } while (view->last > before);
    fflush(stdout);
    return DONE;
}

static struct result follow(struct view *view, struct client *client, const char *name,
                            struct why *why)
{
    for (;;) {
        /* Status first: when it says "over", the events after it are the last ones. */
        TRY(take_status(view, client, name, why));
        bool over = view->over;
        TRY(take_all_events(view, client, name, why));
        if (over)
            return DONE;
        nanosleep(&(struct timespec){.tv_nsec = WATCH_PAUSE_MS * 1000000L}, NULL);
    }
}

int cmd_watch(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(USAGE, stdout);
        return CLI_OK;
    }
    struct view view = {.json = cli_take_flag(&argc, argv, "--json"),
                        .terminal = isatty(STDOUT_FILENO),
                        .auroc = (double)NAN};
    const char *folder = cli_take_option(&argc, argv, "--as");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 2)
        return cli_usage("watch takes one study; --help tells more");
    view.budgets = json_object();
    view.absent = json_object();
    struct client *client = NULL;
    struct why why;
    struct result r = client_open(folder, &client, &why);
    if (ok(r))
        r = follow(&view, client, argv[1], &why);
    clear_line(&view);
    if (!view.json)
        print_budgets(&view);
    json_decref(view.budgets);
    json_decref(view.absent);
    client_close(client);
    if (!ok(r))
        return cli_fail(r, &why);
    return view.finished ? CLI_OK : CLI_FAILED;
}
