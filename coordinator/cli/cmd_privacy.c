/* SPDX-License-Identifier: Apache-2.0 */
/* consilium privacy: what a list of events costs, and what an audit run refutes. */
#include "coordinator/cli/cmd_privacy.h"

#include "privacy/accountant.h"
#include "privacy/audit_bound.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_entry COMMANDS[] = {
    {"epsilon", cmd_privacy_epsilon, "epsilon of a list of events at a delta"},
    {"delta", cmd_privacy_delta, "delta of a list of events at an epsilon"},
    {"calibrate", cmd_privacy_calibrate, "least noise multiplier for an epsilon and delta"},
    {"bound", cmd_privacy_bound, "epsilon refuted by one audit run with canaries"},
    {"check", cmd_privacy_check, "run a table of reference values"},
    {"statement", cmd_privacy_statement, "what a plan promises each patient"},
    {"ledger", cmd_privacy_ledger, "what sites have spent on a study"},
    {"audit-run", cmd_privacy_audit_run, "attack a plan's mechanism with canaries"},
    {NULL, NULL, NULL},
};

int cmd_privacy(int argc, char **argv)
{
    return cli_dispatch(COMMANDS, "consilium privacy COMMAND [ARGUMENT ...]   (each takes --help)",
                        argc, argv);
}

static const char EVENTS_HELP[] =
    "\nEVENTS is a list joined by '|' of\n"
    "  g:q:sigma:T          T Gaussian steps, Poisson sampling rate q (1: every patient)\n"
    "  lap:b:T              T Laplace releases of scale b\n"
    "  ed:epsilon:delta:T   T mechanisms known only by (epsilon, delta)\n"
    "  trunc:N:q:B:sigma:T  Gaussian steps on N patients with batches cut at B\n"
    "Noise is per unit of one patient's influence. --adjacency replace exchanges a patient\n"
    "instead of adding or removing one. --grid WIDTH fixes the grid of the computation.\n";

struct result take_number(int *argc, char **argv, const char *name, bool required, double *ret,
                          struct why *why)
{
    const char *text = cli_take_option(argc, argv, name);
    if (!text)
        return required ? failed(why, RESULT_INPUT, "%s NUMBER is missing", name) : DONE;
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(v))
        return failed(why, RESULT_INPUT, "%s takes a number, not '%.40s'", name, text);
    *ret = v;
    return DONE;
}

struct result refuse_rest(int argc, char **argv, struct why *why)
{
    if (argc > 1)
        return failed(why, RESULT_INPUT, "what is '%.60s'? --help lists the arguments", argv[1]);
    return DONE;
}

void print_json_number(const char *name, double value, const char *after)
{
    if (isfinite(value))
        printf("\"%s\": %.17g%s", name, value, after);
    else
        printf("\"%s\": null%s", name, after);
}

/* The options that every accountant command takes. */
struct request {
    struct event_list events;
    struct accountant_options options;
    double epsilon, delta;
    double epsilon_min; /* above this, for calibration */
    bool has_epsilon, has_delta;
    bool json;
};

static struct result take_adjacency(int *argc, char **argv, enum privacy_adjacency *ret,
                                    struct why *why)
{
    const char *text = cli_take_option(argc, argv, "--adjacency");
    *ret = ADJACENCY_ADD_REMOVE;
    if (!text || strcmp(text, "add-remove") == 0)
        return DONE;
    if (strcmp(text, "replace") != 0)
        return failed(why, RESULT_INPUT, "--adjacency is add-remove or replace, not '%.40s'", text);
    *ret = ADJACENCY_REPLACE;
    return DONE;
}

static struct result take_request(int *argc, char **argv, struct request *r, bool epsilon,
                                  bool delta, struct why *why)
{
    char error[EVENT_ERROR_MAX];
    *r = (struct request){.json = cli_take_flag(argc, argv, "--json"),
                          .has_epsilon = epsilon,
                          .has_delta = delta,
                          .epsilon_min = epsilon && delta ? DBL_MIN : 0};
    TRY(take_adjacency(argc, argv, &r->options.adjacency, why));
    TRY(take_number(argc, argv, "--grid", false, &r->options.grid, why));
    if (epsilon)
        TRY(take_number(argc, argv, "--epsilon", true, &r->epsilon, why));
    if (delta)
        TRY(take_number(argc, argv, "--delta", true, &r->delta, why));
    const char *events = cli_take_option(argc, argv, "--events");
    if (!events)
        return failed(why, RESULT_INPUT, "--events LIST is missing");
    TRY(refuse_rest(*argc, argv, why));
    if (event_list_parse(&r->events, events, error) != 0)
        return failed(why, RESULT_INPUT, "%s", error);
    return DONE;
}

static struct result translate(enum accountant_result rc, const struct request *r, struct why *why)
{
    char error[EVENT_ERROR_MAX];
    switch (rc) {
    case ACCOUNTANT_OK:
        return DONE;
    case ACCOUNTANT_BAD_INPUT:
        if (r->has_delta && !(r->delta >= ACCOUNTANT_DELTA_MIN && r->delta < 1))
            return failed(why, RESULT_INPUT, "--delta lies in [%g, 1), not %g",
                          ACCOUNTANT_DELTA_MIN, r->delta);
        if (r->has_epsilon && !(r->epsilon >= r->epsilon_min && r->epsilon <= 1e9))
            return failed(why, RESULT_INPUT, "--epsilon is %s and at most 1e9, not %g",
                          r->epsilon_min > 0 ? "above 0" : "not negative", r->epsilon);
        if (event_list_check(&r->events, error) != 0)
            return failed(why, RESULT_INPUT, "%s", error);
        return failed(why, RESULT_INPUT, "--grid lies in [1e-9, %g], not %g", ACCOUNTANT_GRID_MAX,
                      r->options.grid);
    case ACCOUNTANT_UNREACHABLE:
    case ACCOUNTANT_TOO_LARGE:
        return failed(why, RESULT_REFUSED, "%s", accountant_text(rc));
    case ACCOUNTANT_NO_MEMORY:
        break;
    }
    return failed(why, RESULT_SYSTEM, "%s", accountant_text(rc));
}

static bool wants_help(int argc, char **argv, const char *usage)
{
    if (!cli_take_flag(&argc, argv, "--help") && !cli_take_flag(&argc, argv, "-h"))
        return false;
    printf("usage: consilium privacy %s\n%s", usage, EVENTS_HELP);
    return true;
}

static void print_bound(const char *what, const struct request *r, const struct accountant_bound *b)
{
    if (r->json) {
        printf("{");
        char name[32];
        snprintf(name, sizeof name, "%s_upper", what);
        print_json_number(name, b->upper, ", ");
        snprintf(name, sizeof name, "%s_lower", what);
        print_json_number(name, b->lower, ", ");
        snprintf(name, sizeof name, "%s_rdp", what);
        print_json_number(name, b->renyi, ", ");
        print_json_number("grid", b->grid, "}\n");
        return;
    }
    const char *adjacency = r->options.adjacency == ADJACENCY_REPLACE ? "one patient replaced"
                                                                      : "one patient more or "
                                                                        "less";
    printf("%s <= %.9g   (proven at least %.9g; %s)\n", what, b->upper, b->lower, adjacency);
    if (isfinite(b->renyi))
        printf("Renyi cross-check: %.9g\n", b->renyi);
    if (b->grid > 0)
        printf("grid: %.3g\n", b->grid);
}

int cmd_privacy_epsilon(int argc, char **argv)
{
    struct why why = {0};
    struct request r;
    struct accountant_bound bound;
    if (wants_help(argc, argv,
                   "epsilon --events EVENTS --delta D [--adjacency add-remove|replace] [--grid "
                   "WIDTH] [--json]"))
        return CLI_OK;
    struct result rc = take_request(&argc, argv, &r, false, true, &why);
    if (ok(rc))
        rc = translate(accountant_epsilon(&r.events, r.delta, &r.options, &bound), &r, &why);
    if (!ok(rc))
        return cli_fail(rc, &why);
    print_bound("epsilon", &r, &bound);
    return CLI_OK;
}

int cmd_privacy_delta(int argc, char **argv)
{
    struct why why = {0};
    struct request r;
    struct accountant_bound bound;
    if (wants_help(argc, argv,
                   "delta --events EVENTS --epsilon E [--adjacency add-remove|replace] [--grid "
                   "WIDTH] [--json]"))
        return CLI_OK;
    struct result rc = take_request(&argc, argv, &r, true, false, &why);
    if (ok(rc))
        rc = translate(accountant_delta(&r.events, r.epsilon, &r.options, &bound), &r, &why);
    if (!ok(rc))
        return cli_fail(rc, &why);
    print_bound("delta", &r, &bound);
    return CLI_OK;
}

static bool has_unknown(const struct event_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->events[i].kind != EVENT_EPSILON_DELTA && list->events[i].noise == 0)
            return true;
    return false;
}

int cmd_privacy_calibrate(int argc, char **argv)
{
    struct why why = {0};
    struct request r;
    double noise = 0;
    if (wants_help(argc, argv,
                   "calibrate --events 'g:q:?:T' --epsilon E --delta D [--adjacency "
                   "add-remove|replace] [--grid WIDTH] [--json]\n"
                   "Every '?' stands for the noise multiplier that is sought."))
        return CLI_OK;
    struct result rc = take_request(&argc, argv, &r, true, true, &why);
    if (ok(rc) && !has_unknown(&r.events))
        rc = failed(&why, RESULT_INPUT, "no event has ? for its noise: nothing is sought");
    if (ok(rc))
        rc = translate(accountant_calibrate(&r.events, r.epsilon, r.delta, &r.options, &noise), &r,
                       &why);
    if (!ok(rc))
        return cli_fail(rc, &why);
    printf(r.json ? "{\"noise_multiplier\": %.17g}\n" : "noise multiplier %.9g\n", noise);
    return CLI_OK;
}

static struct result take_audit(int *argc, char **argv, struct audit_result *a, struct why *why)
{
    double m = 0, g = 0, v = 0;
    a->beta = 0.05;
    TRY(take_number(argc, argv, "--canaries", true, &m, why));
    TRY(take_number(argc, argv, "--guesses", true, &g, why));
    TRY(take_number(argc, argv, "--right", true, &v, why));
    TRY(take_number(argc, argv, "--delta", true, &a->delta, why));
    TRY(take_number(argc, argv, "--beta", false, &a->beta, why));
    TRY(refuse_rest(*argc, argv, why));
    if (!(v >= 0 && v <= g && g <= m && m <= (double)AUDIT_CANARIES_MAX && floor(v) == v &&
          floor(g) == g && floor(m) == m))
        return failed(why, RESULT_INPUT, "whole numbers with right <= guesses <= canaries <= 1e7");
    a->canaries = (uint64_t)m;
    a->guesses = (uint64_t)g;
    a->right = (uint64_t)v;
    return DONE;
}

int cmd_privacy_bound(int argc, char **argv)
{
    struct why why = {0};
    struct audit_result a = {0};
    double plain, gaussian = NAN;
    if (cli_take_flag(&argc, argv, "--help") || cli_take_flag(&argc, argv, "-h")) {
        puts("usage: consilium privacy bound --canaries M --guesses R --right V --delta D [--beta "
             "B] [--json]\n\nM canaries, each in the data with probability 1/2; R guesses, V of "
             "them right; confidence 1 - B (B = 0.05).");
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    struct result rc = take_audit(&argc, argv, &a, &why);
    if (ok(rc) && audit_bound_one_run(&a, &plain) != 0)
        rc = failed(&why, RESULT_INPUT, "canaries at least 1, delta in [0, 1), beta in (0, 1)");
    if (!ok(rc))
        return cli_fail(rc, &why);
    if (audit_bound_gaussian(&a, &gaussian) != 0)
        gaussian = NAN;
    if (json) {
        printf("{");
        print_json_number("epsilon_lower_bound", plain, ", ");
        print_json_number("epsilon_lower_bound_gaussian", gaussian, "}\n");
        return CLI_OK;
    }
    printf("epsilon >= %.6f with confidence %g\n", plain, 1 - a.beta);
    if (isfinite(gaussian))
        printf("epsilon >= %.6f if the mechanism is Gaussian\n", gaussian);
    return CLI_OK;
}
