/* SPDX-License-Identifier: Apache-2.0 */
/* consilium privacy check FILE.csv: every row of a table of reference values, value against range.
 *
 * Accountant tables have the columns row, query (eps, delta or sigma), segments, delta, epsilon,
 * adjacency, accept_lo, accept_hi, and perhaps truth_est; audit tables m, r, v, delta, beta, eps_lb
 * and perhaps eps_lb_fdp. Other columns are passed over; lines that start with # are comments. */
#include "coordinator/cli/cmd_privacy.h"

#include "privacy/accountant.h"
#include "privacy/audit_bound.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MAX = 64, LINE_MAX_BYTES = 16384, ROWS_MAX = 100000 };
static const double AUDIT_TOLERANCE = 1e-4;

struct table {
    char header[LINE_MAX_BYTES], line[LINE_MAX_BYTES];
    char *name[COLUMNS_MAX], *cell[COLUMNS_MAX];
    size_t names, cells;
    bool json;
    size_t rows, missed;
};

/* Splits at commas outside quotes, in place. */
static size_t split(char *line, char **cell)
{
    size_t n = 0;
    line[strcspn(line, "\r\n")] = '\0';
    while (n < COLUMNS_MAX) {
        bool quoted = *line == '"';
        cell[n++] = line + quoted;
        char *stop = quoted ? strchr(line + 1, '"') : NULL;
        if (stop)
            *stop++ = '\0';
        char *comma = strchr(stop ? stop : line, ',');
        if (!comma)
            break;
        *comma = '\0';
        line = comma + 1;
    }
    return n;
}

/* The cell under a column name, "" when there is none. */
static const char *cell(const struct table *t, const char *name)
{
    for (size_t i = 0; i < t->names && i < t->cells; i++) {
        if (strcmp(t->name[i], name) == 0)
            return t->cell[i];
    }
    return "";
}

static double number(const struct table *t, const char *name)
{
    const char *text = cell(t, name);
    char *end;
    double v = strtod(text, &end);
    return end == text || *end != '\0' ? (double)NAN : v;
}

/* Prints a row's name as a JSON string; what could end the string becomes '_'. */
static void print_name(const char *id)
{
    putchar('"');
    for (; *id; id++)
        putchar(*id < ' ' || *id == '"' || *id == '\\' || *id > '~' ? '_' : *id);
    putchar('"');
}

static void report(struct table *t, const char *id, const char *what, double value, double low,
                   double high, const char *remark)
{
    bool good = value >= low && value <= high && remark[0] == '\0';
    t->missed += !good;
    if (t->json) {
        printf("%s{\"row\": ", t->rows ? ",\n " : "[");
        print_name(id);
        printf(", ");
        print_json_number("value", value, ", ");
        print_json_number("low", low, ", ");
        print_json_number("high", high, ", ");
        printf("\"pass\": %s}", good ? "true" : "false");
    } else {
        printf("%-4s %-6s %.12g in [%.12g, %.12g]  %s%s%s\n", good ? "ok" : "MISS", id, value, low,
               high, what, remark[0] ? "  " : "", remark);
    }
    t->rows++;
}

/* The value a row asks for; remark says what else is wrong. */
static double row_value(const struct table *t, const char **remark)
{
    static struct event_list events;
    struct accountant_options options = {0};
    struct accountant_bound b = {.upper = (double)NAN};
    char error[EVENT_ERROR_MAX];
    const char *query = cell(t, "query");
    double noise = 0, truth = number(t, "truth_est");
    enum accountant_result rc = ACCOUNTANT_BAD_INPUT;
    if (strcmp(cell(t, "adjacency"), "REPLACE_ONE") == 0)
        options.adjacency = ADJACENCY_REPLACE;
    if (event_list_parse(&events, cell(t, "segments"), error) != 0) {
        *remark = "events that cannot be read";
        return (double)NAN;
    }
    if (strcmp(query, "eps") == 0)
        rc = accountant_epsilon(&events, number(t, "delta"), &options, &b);
    else if (strcmp(query, "delta") == 0)
        rc = accountant_delta(&events, number(t, "epsilon"), &options, &b);
    else if (strcmp(query, "sigma") == 0)
        rc = accountant_calibrate(&events, number(t, "epsilon"), number(t, "delta"), &options,
                                  &noise);
    else
        *remark = "a query other than eps, delta or sigma";
    if (rc != ACCOUNTANT_OK) {
        *remark = accountant_text(rc);
        return (double)NAN;
    }
    if (noise > 0)
        return noise;
    if (b.lower > b.upper || b.upper > b.renyi + 1e-9)
        *remark = "lower <= upper <= Renyi does not hold";
    if (b.lower > truth + 1e-8 * fabs(truth))
        *remark = "the lower bound exceeds the table's estimate";
    return b.upper;
}

static void accountant_row(struct table *t)
{
    const char *remark = "";
    double value = row_value(t, &remark);
    report(t, cell(t, "row"), cell(t, "segments"), value, number(t, "accept_lo"),
           number(t, "accept_hi"), remark);
}

/* A count; anything else becomes 0 or a number past every limit. */
static uint64_t count(const struct table *t, const char *name)
{
    return (uint64_t)fmin(fmax(0, number(t, name)), 1e15);
}

static void audit_row(struct table *t)
{
    const struct audit_result a = {.canaries = count(t, "m"),
                                   .guesses = count(t, "r"),
                                   .right = count(t, "v"),
                                   .delta = number(t, "delta"),
                                   .beta = number(t, "beta")};
    double got = 0, want = number(t, "eps_lb");
    const char *remark = audit_bound_one_run(&a, &got) == 0 ? "" : "numbers that make no sense";
    char id[64];
    snprintf(id, sizeof id, "%.12s/%.12s/%.12s", cell(t, "m"), cell(t, "r"), cell(t, "v"));
    report(t, id, "one run", got, want - AUDIT_TOLERANCE, want + AUDIT_TOLERANCE, remark);
    want = number(t, "eps_lb_fdp");
    if (isnan(want))
        return;
    remark = audit_bound_gaussian(&a, &got) == 0 ? "" : "numbers that make no sense";
    report(t, id, "one run, Gaussian", got, want - AUDIT_TOLERANCE, want + AUDIT_TOLERANCE, remark);
}

static bool has(const struct table *t, const char *name)
{
    for (size_t i = 0; i < t->names; i++) {
        if (strcmp(t->name[i], name) == 0)
            return true;
    }
    return false;
}

static struct result run(struct table *t, FILE *file, struct why *why)
{
    bool audit = false;
    while (fgets(t->line, sizeof t->line, file)) {
        if (!strchr(t->line, '\n') && !feof(file))
            return failed(why, RESULT_INPUT, "a line has more than %d bytes", LINE_MAX_BYTES - 2);
        if (t->line[0] == '#' || t->line[strspn(t->line, " \t\r\n")] == '\0')
            continue;
        if (t->names == 0) {
            memcpy(t->header, t->line, sizeof t->header);
            t->names = split(t->header, t->name);
            audit = has(t, "m") && has(t, "r") && has(t, "v") && has(t, "eps_lb");
            if (!audit && !(has(t, "query") && has(t, "segments") && has(t, "accept_lo")))
                return failed(why, RESULT_INPUT,
                              "the first line names the columns of neither an "
                              "accountant nor an audit table");
            continue;
        }
        if (t->rows >= ROWS_MAX)
            return failed(why, RESULT_INPUT, "more than %d rows", ROWS_MAX);
        t->cells = split(t->line, t->cell);
        (audit ? audit_row : accountant_row)(t);
        fflush(stdout);
    }
    if (t->rows == 0)
        return failed(why, RESULT_INPUT, "no rows");
    return DONE;
}

int cmd_privacy_check(int argc, char **argv)
{
    static struct table table;
    struct why why = {0};
    if (cli_take_flag(&argc, argv, "--help") || cli_take_flag(&argc, argv, "-h")) {
        puts("usage: consilium privacy check FILE.csv [--json]\n\nRuns every row of a table of "
             "reference values (accountant or audit) and prints the value\nagainst its accepted "
             "range. Exits 1 when any row misses.");
        return CLI_OK;
    }
    table.json = cli_take_flag(&argc, argv, "--json");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 2)
        return cli_usage("privacy check takes one FILE.csv");
    FILE *file = fopen(argv[1], "r");
    if (!file)
        return cli_usage("cannot open %s", argv[1]);
    struct result rc = run(&table, file, &why);
    fclose(file);
    if (table.json && table.rows > 0)
        puts("]");
    if (!ok(rc))
        return cli_fail(rc, &why);
    if (!table.json)
        printf("%zu values, %zu outside their range\n", table.rows, table.missed);
    return table.missed > 0 ? CLI_FAILED : CLI_OK;
}
