/* SPDX-License-Identifier: Apache-2.0 */
/* consilium aggregate: a rule over the rows of an array, in double when the array is. */
#include "coordinator/aggregate/aggregate.h"
#include "coordinator/aggregate/finite.h"
#include "coordinator/cli/aggregate_cli.h"
#include "coordinator/cli/cli.h"
#include "proto/base/cleanup.h"
#include "proto/base/fs.h"
#include "proto/base/npy.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const char HELP[] =
    "usage: consilium aggregate --rule NAME [--f F] --in X.npy --out y.npy\n"
    "       consilium aggregate --list\n"
    "       consilium aggregate --check MANIFEST.json\n"
    "\n"
    "Aggregates the rows of X, float32 or float64 [n][d]. Rows with a number that is not finite\n"
    "are rejected first: n and f fall by one for each.\n"
    "\n"
    "  --rule NAME      a rule or a composition: trimmed-mean, nnm+trimmed-mean, ...\n"
    "  --f F            rows that may be hostile\n"
    "  --weights FILE   one weight per row: text, or a .npy vector\n"
    "  --param K=V      a parameter of the rule, as often as needed; lists with commas,\n"
    "                   points as zero, mean, medoid, majority, row:K, a list or\n"
    "                   @FILE.npy\n"
    "  --in X.npy       the rows\n"
    "  --out Y.npy      the result\n"
    "  --threads N      workers (2); the result does not depend on it\n"
    "  --explain        norm, weight, distances and nearest neighbours of each row\n"
    "  --list           the table of rules\n"
    "  --check FILE     run every case of a reference manifest\n"
    "  --json           print JSON\n";

enum { WEIGHTS_BYTES_MAX = 1 << 20 };

/* A note for readers that stands among the parameters of a reference manifest. */
#define MANIFEST_NOTES "matches_flower"

enum { PARAMS_MAX = 32, PARAM_NAME_BYTES = 32 };

/* Parameters that were set already: none may be given twice, whichever option gave it. */
struct given {
    char name[PARAMS_MAX][PARAM_NAME_BYTES];
    size_t count;
};

struct request {
    struct agg_rule rule;
    struct npy in;
    struct given given;
    const char *weights; /* the file, or NULL */
    const char *out;
    unsigned threads;
    bool explain;
    bool json;
    bool truncate; /* --rule trunc-weights: the weights themselves are the result */
};

static void free_request(struct request *q)
{
    agg_rule_free(&q->rule);
    npy_close(&q->in);
}

/* Sets a parameter from a vector in a .npy file. */
static struct result set_from_npy(struct agg_rule *rule, const char *name, const char *path,
                                  struct why *why)
{
    struct npy file;
    TRY(npy_open(path, &file, why));
    size_t count = file.rows * file.columns;
    struct result r = DONE;
    if (file.f64) {
        r = agg_rule_set_numbers(rule, name, count, file.f64, why);
    } else {
        CLEANUP(free_pointer) double *wide = calloc(count + 1, sizeof *wide);
        for (size_t i = 0; wide && i < count; i++)
            wide[i] = (double)file.f32[i];
        r = wide ? agg_rule_set_numbers(rule, name, count, wide, why)
                 : failed(why, RESULT_SYSTEM, "no memory for %zu numbers", count);
    }
    npy_close(&file);
    return ok(r) ? r : failed_in(why, r, "%s", path);
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text);
    size_t tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static struct result set_weights(struct agg_rule *rule, const char *path, struct why *why)
{
    if (ends_with(path, ".npy"))
        return set_from_npy(rule, "w", path, why);
    CLEANUP(free_pointer) char *text = NULL;
    TRY(fs_read(path, WEIGHTS_BYTES_MAX, &text, NULL, why));
    for (char *c = text; *c; c++)
        if (*c == '\n' || *c == '\r' || *c == '\t')
            *c = ',';
    struct result r = agg_rule_set(rule, "w", text, why);
    return ok(r) ? r : failed_in(why, r, "%s", path);
}

/* Whether the words of a list hold the parameter; the manifest writes _ where a shell user may
 * write -. */
static bool lists(const char *words, const char *name)
{
    for (const char *at = words; *at; at += strspn(at, " ")) {
        size_t length = strcspn(at, " ");
        size_t same = 0;
        while (same < length && (name[same] == at[same] || (name[same] == '-' && at[same] == '_')))
            same++;
        if (same == length && name[same] == '\0')
            return true;
        at += length;
    }
    return false;
}

/* Says so when no stage of the rule reads the parameter. Weights and their bound also weigh the
 * rows that a rule by distances keeps; f is every rule's. */
static void remark_unused(const struct agg_rule *rule, const char *name)
{
    bool used = strcmp(name, "f") == 0;
    for (int i = 0; i < rule->stages && !used; i++) {
        const struct agg_descriptor *stage = &AGG_RULES[rule->stage[i]];
        used = lists(stage->params, name) ||
               ((stage->needs & AGG_NEEDS_GRAM) && lists("w alpha", name));
    }
    char text[AGG_NAME_BYTES];
    agg_rule_name(rule, text, sizeof text);
    if (!used)
        fprintf(stderr, "consilium: %s does not use the parameter %s; --list shows those it has\n",
                text, name);
}

static struct result once(struct given *given, const char *name, struct why *why)
{
    char plain[PARAM_NAME_BYTES];
    snprintf(plain, sizeof plain, "%s", name);
    for (char *c = plain; *c; c++)
        *c = *c == '-' ? '_' : *c;
    for (size_t i = 0; i < given->count; i++)
        if (strcmp(given->name[i], plain) == 0)
            return failed(why, RESULT_INPUT, "the parameter %s is given twice", plain);
    if (given->count == PARAMS_MAX)
        return failed(why, RESULT_INPUT, "more than %d parameters are given", PARAMS_MAX);
    memcpy(given->name[given->count++], plain, sizeof plain);
    return DONE;
}

static struct result set_params(struct request *q, int *argc, char **argv, struct why *why)
{
    struct agg_rule *rule = &q->rule;
    for (;;) {
        const char *pair = cli_take_option(argc, argv, "--param");
        if (!pair)
            return DONE;
        char name[PARAM_NAME_BYTES];
        size_t length = strcspn(pair, "=");
        if (pair[length] != '=' || length == 0 || length >= sizeof name)
            return failed(why, RESULT_INPUT, "--param takes NAME=VALUE, not '%.40s'", pair);
        memcpy(name, pair, length);
        name[length] = '\0';
        const char *value = pair + length + 1;
        if (lists(MANIFEST_NOTES, name))
            continue;
        if (lists("g0_rule", name)) /* the manifest's word for a g0 that has a name */
            memcpy(name, "g0", sizeof "g0");
        TRY(once(&q->given, name, why));
        if (lists("iters", name)) {
            if (strcmp(value, "1") != 0)
                return failed(why, RESULT_INPUT, "iters is 1: dnc-full is not drawn again");
            continue;
        }
        if (value[0] == '@')
            TRY(set_from_npy(rule, name, value + 1, why));
        else
            TRY(agg_rule_set(rule, name, value, why));
        if (!q->truncate)
            remark_unused(rule, name);
    }
}

/* Rejects rows that are not finite, says so, and lists the rows that stay. */
static struct result reject_rows(struct request *q, size_t *row_of, size_t *n, struct why *why)
{
    bool rejected[AGG_ROWS_MAX] = {false};
    size_t d = q->in.columns;
    *n = 0;
    if (q->in.rows > AGG_ROWS_MAX)
        return failed(why, RESULT_REFUSED, "at most %d rows, not %zu", AGG_ROWS_MAX, q->in.rows);
    for (size_t i = 0; i < q->in.rows; i++) {
        size_t bad = q->in.f32 ? finite_first_bad_f32(d, q->in.f32 + i * d)
                               : finite_first_bad_f64(d, q->in.f64 + i * d);
        rejected[i] = bad < d;
        if (rejected[i])
            fprintf(stderr, "consilium: row %zu rejected: coordinate %zu is not finite\n", i, bad);
        else
            row_of[(*n)++] = i;
    }
    return agg_rule_reject_rows(&q->rule, q->in.rows, rejected, why);
}

static struct result run_f32(const struct request *q, size_t n, const size_t *row_of, void *out,
                             struct agg_explain *explain, struct why *why)
{
    const float *rows[AGG_ROWS_MAX];
    for (size_t i = 0; i < n; i++)
        rows[i] = q->in.f32 + row_of[i] * q->in.columns;
    struct agg_source source = {.n = n, .d = q->in.columns, .rows = rows};
    return agg_run(&q->rule, &source, q->threads, out, explain, why);
}

static struct result run_f64(const struct request *q, size_t n, const size_t *row_of, void *out,
                             struct agg_explain *explain, struct why *why)
{
    const double *rows[AGG_ROWS_MAX];
    for (size_t i = 0; i < n; i++)
        rows[i] = q->in.f64 + row_of[i] * q->in.columns;
    return agg_run_f64(&q->rule, n, q->in.columns, rows, out, explain, why);
}

static void print_done(const struct request *q, size_t n, size_t out_rows)
{
    char name[AGG_NAME_BYTES];
    agg_rule_name(&q->rule, name, sizeof name);
    if (!q->json)
        printf("%s: n = %zu, f = %zu, d = %zu, %s: wrote %zu x %zu to %s\n", name, n,
               q->rule.params.f, q->in.columns, q->in.f32 ? "float32" : "float64", out_rows,
               q->in.columns, q->out);
    else if (!q->explain)
        printf("{\"rule\": \"%s\", \"n\": %zu, \"f\": %zu, \"d\": %zu, \"rows\": %zu}\n", name, n,
               q->rule.params.f, q->in.columns, out_rows);
}

static struct result run(struct request *q, struct why *why)
{
    size_t row_of[AGG_ROWS_MAX];
    size_t n = 0;
    size_t d = q->in.columns;
    TRY(reject_rows(q, row_of, &n, why));
    TRY(agg_rule_check(&q->rule, n, d, why));
    size_t out_rows = agg_rule_output_rows(&q->rule, n);
    size_t element = q->in.f32 ? sizeof(float) : sizeof(double);
    CLEANUP(free_pointer) void *out = calloc(out_rows * d + 1, element);
    if (!out)
        return failed(why, RESULT_SYSTEM, "no memory for the result");
    struct agg_explain explain;
    memset(&explain, 0, sizeof explain);
    struct agg_explain *wanted = q->explain ? &explain : NULL;
    TRY(q->in.f32 ? run_f32(q, n, row_of, out, wanted, why)
                  : run_f64(q, n, row_of, out, wanted, why));
    int last = q->rule.stage[q->rule.stages - 1];
    int dimensions = AGG_RULES[last].role == AGG_ROLE_PRE ? 2 : 1;
    struct result r = npy_write(q->out, dimensions, out_rows, d, element, out, why);
    if (ok(r)) {
        print_done(q, n, out_rows);
        if (q->explain)
            aggregate_print_explain(&explain, row_of, q->json);
    }
    agg_explain_free(&explain);
    return r;
}

static struct result write_truncated(const struct request *q, struct why *why)
{
    const struct agg_params *p = &q->rule.params;
    double out[AGG_ROWS_MAX];
    if (!p->w || !(p->alpha > 0.0))
        return failed(why, RESULT_INPUT, "trunc-weights needs --weights, --f and --param alpha=A");
    agg_truncate_weights(p->w_length, p->w, p->f, p->alpha, out);
    return npy_write(q->out, 1, 1, p->w_length, sizeof *out, out, why);
}

static struct result odd(const char *argument, struct why *why)
{
    return failed(why, RESULT_INPUT,
                  "'%.60s' is not an option, is given twice or lacks its value; --help lists them",
                  argument);
}

static struct result read_request(struct request *q, int *argc, char **argv, struct why *why)
{
    const char *name = cli_take_option(argc, argv, "--rule");
    const char *f = cli_take_option(argc, argv, "--f");
    const char *in = cli_take_option(argc, argv, "--in");
    const char *threads = cli_take_option(argc, argv, "--threads");
    q->weights = cli_take_option(argc, argv, "--weights");
    q->out = cli_take_option(argc, argv, "--out");
    q->explain = cli_take_flag(argc, argv, "--explain");
    if (*argc > 1 && strcmp(argv[1], "--param") != 0)
        return odd(argv[1], why);
    if (!name || !q->out)
        return failed(why, RESULT_INPUT, "%s is needed; --help explains",
                      !name ? "--rule NAME" : "--out Y.npy");
    q->truncate = strcmp(name, "trunc-weights") == 0 || strcmp(name, "trunc_weights") == 0;
    TRY(agg_rule_parse(q->truncate ? "mean" : name, &q->rule, why));
    if (f) {
        TRY(once(&q->given, "f", why));
        TRY(agg_rule_set(&q->rule, "f", f, why));
    }
    if (q->weights) {
        TRY(once(&q->given, "w", why));
        if (!q->truncate)
            remark_unused(&q->rule, "w");
        TRY(set_weights(&q->rule, q->weights, why));
    }
    TRY(set_params(q, argc, argv, why));
    char *end = NULL;
    unsigned long count = threads ? strtoul(threads, &end, 10) : 0;
    if (threads && (end == threads || *end != '\0' || count < 1 || count > AGG_THREADS_MAX))
        return failed(why, RESULT_INPUT, "--threads is a number from 1 to %d", AGG_THREADS_MAX);
    q->threads = (unsigned)count;
    if (*argc > 1)
        return odd(argv[1], why);
    if (q->truncate)
        return DONE;
    if (!in)
        return failed(why, RESULT_INPUT, "--in X.npy is needed; --help explains");
    TRY(npy_open(in, &q->in, why));
    if (q->in.columns == 0 || q->in.rows == 0)
        return failed(why, RESULT_INPUT, "%s is empty", in);
    if (q->weights && q->rule.params.w_length != q->in.rows)
        return failed(why, RESULT_INPUT, "%s has %zu weights for the %zu rows of %s", q->weights,
                      q->rule.params.w_length, q->in.rows, in);
    return DONE;
}

int cmd_aggregate(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(HELP, stdout);
        return CLI_OK;
    }
    if (argc < 2) {
        fputs(HELP, stderr);
        return CLI_USAGE;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    if (cli_take_flag(&argc, argv, "--list"))
        return argc > 1 ? cli_usage("--list takes no argument '%s'", argv[1])
                        : aggregate_list(json);
    const char *manifest = cli_take_option(&argc, argv, "--check");
    if (manifest)
        return argc > 1 ? cli_usage("--check takes no argument '%s'", argv[1])
                        : aggregate_check(manifest, json);
    struct request q;
    memset(&q, 0, sizeof q);
    q.json = json;
    struct why why = {""};
    struct result r = read_request(&q, &argc, argv, &why);
    if (ok(r))
        r = q.truncate ? write_truncated(&q, &why) : run(&q, &why);
    free_request(&q);
    return ok(r) ? CLI_OK : cli_fail(r, &why);
}
