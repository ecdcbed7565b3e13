/* SPDX-License-Identifier: Apache-2.0 */
/* consilium stats: any single statistic from a file, so that a figure can be checked by hand. */
#include "coordinator/cli/cmd_stats.h"

#include "coordinator/cli/stats_input.h"
#include "proto/base/cleanup.h"
#include "proto/base/fs.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

const struct stats_kind STATS_KINDS[] = {
    {"auroc", "auroc", stats_auroc, "file", "margin ni_alpha=0.05",
     "y,s1[,s2]: AUROC, DeLong variance, intervals; with s2 also paired"},
    {"auroc-paired", "auroc_paired", stats_auroc_paired, "file", "margin=0.02 ni_alpha=0.05",
     "y,s1,s2: candidate s1 against incumbent s2, non-inferiority"},
    {"auroc-unpaired", "auroc_unpaired", stats_auroc_unpaired, "file_prod,file_base", "",
     "two files y,s1: production against baseline"},
    {"calibration", "calibration", stats_calibration, "file", "bins=10 threshold=0.5 clip=1e-6",
     "y,p: Brier, slope, O:E, ECE, metrics at the threshold"},
    {"drift", "drift", stats_drift, "file_ref,file_cur", "bins=10 smoothing=0.5",
     "two files x: KL, PSI, JS, KS against the reference"},
    {"mmd", "mmd", stats_mmd, "file_ref,file_cur", "D=256 n_perm=999 seed_w=1 seed_perm=2",
     "two files of numeric columns: MMD with a permutation test"},
    {"permutation", "permutation", stats_permutation, "file", "n_perm=999 seed=1",
     "g,x: difference of means; y,s1,s2: paired AUROC"},
    {"pool", "pooling", stats_pooling, "file", "level=0.95 scale",
     "y,v: fixed and random effects, prediction interval"},
    {"group-sequential", "group_sequential", stats_group_sequential, "",
     "times alpha_one_sided=0.025 spending=obf phi=1", "Lan-DeMets bounds; --times .2,.4,...,1"},
    {"eprocess", "eprocess", stats_eprocess, "file", "m0=0.85 lam_max=0.9 at",
     "x in [0,1]: e-process against mean >= m0"},
    {"subgroup", "subgroup", stats_subgroup, "file", "min_cell=11 threshold=0.5 reference_group",
     "y,p,g: metrics and disparity by group, suppressed below the cell"},
    {"suppression", "suppression", stats_suppression, "file", "min_cell=11",
     "g,n,n_pos: which groups may be released"},
    {"matrix", "cross_matrix", stats_matrix, "file", "note",
     "numbers, one row per model: additive fit"},
    {"hist-auc", "hist_auc", stats_hist_auc, "file", "bins=64", "y,p: AUROC from a histogram"},
    {"conformal", "conformal", stats_conformal, "file", "alphas score",
     "y,p: split-conformal quantiles; --alphas .1,.05"},
    {"cindex", "cindex", stats_cindex, "file", "", "time,event,risk: Harrell's C"},
    {"aacp", "aacp", stats_aacp, "file",
     "policy=BAC alpha_total=0.2 window=15 max_wait=5 ni_margin=0.05 alpha_cap=0.05 use_factor=1 "
     "denom_min=1 endpoints=1 horizon spending arithmetic=published",
     "t,j,i,d0,se0[,d1,se1]: approvals under an alpha ledger"},
    {"gate", "gate", stats_gate, "file", "", "JSON {policy, sites}: the promotion gate"},
    {"merkle", "merkle", stats_merkle, "file", "",
     "JSON {leaves_hex, inclusion, consistency}: RFC 6962 roots and proofs"},
    {"hash-chain", "hash_chain", stats_hash_chain, "file", "genesis",
     "JSON {leaves_hex, genesis}: chain heads"},
    {"prng", "prng", stats_prng, "", "seed=1", "the replayable generator's first numbers"},
    {NULL, NULL, NULL, NULL, NULL, NULL},
};

const struct stats_kind *stats_kind_of_case(const char *case_name)
{
    for (const struct stats_kind *k = STATS_KINDS; k->name; k++) {
        if (strcmp(k->case_name, case_name) == 0 || strcmp(k->name, case_name) == 0)
            return k;
    }
    return NULL;
}

static int print_help(FILE *out)
{
    fprintf(out, "usage: consilium stats KIND FILE... [--OPTION VALUE ...]\n"
                 "       consilium stats --case FILE.json... [--json]\n\n"
                 "KIND reads CSV files with a header line and prints JSON. A FILE ending in .json\n"
                 "holds the inputs as an object instead. --case runs every reference case of a\n"
                 "file and exits 1 if any fails. Kinds, their columns and options:\n\n");
    for (const struct stats_kind *k = STATS_KINDS; k->name; k++) {
        fprintf(out, "  %-17s %s\n", k->name, k->summary);
        if (*k->options)
            fprintf(out, "  %-17s   options: %s\n", "", k->options);
    }
    return out == stdout ? CLI_OK : CLI_USAGE;
}

/* A command-line value: a number, a comma-separated list of numbers, or text. */
static json_t *value_of(const char *text)
{
    if (!strchr(text, ',')) {
        json_t *number = json_loads(text, JSON_DECODE_ANY, NULL);
        if (json_is_number(number))
            return number;
        json_decref(number);
        /* Whole numbers past 63 bits, such as seeds, stay text: a double would change them. */
        if (text[strspn(text, "0123456789")] == '\0')
            return json_string(text);
        char *end;
        double real = strtod(text, &end);
        return end != text && *end == '\0' ? stats_json(real) : json_string(text);
    }
    json_t *list = json_array();
    for (const char *at = text; list; at++) {
        char *end;
        double real = strtod(at, &end);
        if (end == at || (*end != ',' && *end != '\0')) {
            json_decref(list);
            return json_string(text);
        }
        json_array_append_new(list, stats_json(real));
        at = end;
        if (*at == '\0')
            break;
    }
    return list;
}

/* Walks "name=default name ..."; takes each option from the command line into inputs. */
static struct result take_options(const struct stats_kind *kind, int *argc, char **argv,
                                  json_t *inputs, struct why *why)
{
    const char *at = kind->options;
    while (*at) {
        size_t length = strcspn(at, " ");
        size_t name_length = strcspn(at, "= ");
        char option[64] = "--";
        char fallback[64] = "";
        snprintf(option + 2, sizeof option - 2, "%.*s", (int)name_length, at);
        if (name_length < length)
            snprintf(fallback, sizeof fallback, "%.*s", (int)(length - name_length - 1),
                     at + name_length + 1);
        char key[64];
        snprintf(key, sizeof key, "%s", option + 2);
        for (char *c = option + 2; *c; c++)
            *c = *c == '_' ? '-' : *c;
        const char *given = cli_take_option(argc, argv, option);
        bool known = json_object_get(inputs, key) != NULL;
        if (given && json_object_set_new(inputs, key, value_of(given)) != 0)
            return failed(why, RESULT_SYSTEM, "no memory for the options");
        if (!given && !known && *fallback &&
            json_object_set_new(inputs, key, value_of(fallback)) != 0)
            return failed(why, RESULT_SYSTEM, "no memory for the options");
        at += length;
        at += strspn(at, " ");
    }
    return DONE;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text);
    size_t k = strlen(end);
    return n >= k && strcmp(text + n - k, end) == 0;
}

/* The folder of a path, as new text; NULL when it names none. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? strndup(path, (size_t)(slash - path) + (slash == path)) : NULL;
}

/* Inputs from a JSON file: the object itself, or its "inputs". */
static struct result inputs_from_json(const char *path, json_t **inputs, struct why *why)
{
    CLEANUP(free_pointer) char *text = NULL;
    size_t n;
    TRY(fs_read(path, STATS_CASE_BYTES, &text, &n, why));
    json_error_t error;
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    json_t *inner = json_object_get(root, "inputs");
    *inputs = json_incref(inner ? inner : root);
    json_decref(root);
    if (json_is_object(*inputs))
        return DONE;
    bool parsed = *inputs != NULL;
    json_decref(*inputs);
    *inputs = NULL;
    if (parsed)
        return failed(why, RESULT_INPUT,
                      "%s: an object of inputs is needed, such as {\"file\": \"x.csv\"}", path);
    return failed(why, RESULT_INPUT, "%s line %d is not JSON: %s", path, error.line, error.text);
}

/* Gives the remaining arguments to the kind's file inputs, in order. */
static struct result take_files(const struct stats_kind *kind, int argc, char **argv,
                                json_t *inputs, struct why *why)
{
    const char *at = kind->files;
    int next = 1;
    for (; *at && next < argc; next++) {
        size_t length = strcspn(at, ",");
        char key[32];
        snprintf(key, sizeof key, "%.*s", (int)length, at);
        if (json_object_set_new(inputs, key, json_string(argv[next])) != 0)
            return failed(why, RESULT_INPUT, "%s: the file name is not UTF-8", argv[next]);
        at += length + (at[length] == ',');
    }
    if (next < argc)
        return failed(why, RESULT_INPUT, "stats %s does not take '%s'; --help lists its options",
                      kind->name, argv[next]);
    return DONE;
}

static struct result run_kind(const struct stats_kind *kind, int argc, char **argv, json_t **got,
                              struct why *why)
{
    json_t *inputs = NULL;
    CLEANUP(free_pointer) char *folder = NULL;
    struct result r = DONE;
    if (argc > 1 && ends_with(argv[1], ".json")) {
        folder = folder_of(argv[1]);
        r = inputs_from_json(argv[1], &inputs, why);
        for (int i = 1; i < argc; i++)
            argv[i] = argv[i + 1];
        argc--;
    }
    if (ok(r) && !inputs)
        inputs = json_object();
    if (ok(r))
        r = take_options(kind, &argc, argv, inputs, why);
    if (ok(r))
        r = take_files(kind, argc, argv, inputs, why);
    struct stats_job job = {.inputs = inputs, .folder = folder};
    if (ok(r))
        r = kind->run(&job, got, why);
    json_decref(inputs);
    return r;
}

static int run_case_files(int argc, char **argv, bool as_json)
{
    if (argc < 2)
        return cli_usage("stats --case needs a FILE.json; --help shows the form");
    json_t *json = as_json ? json_array() : NULL;
    size_t passed = 0;
    size_t failing = 0;
    struct why why;
    for (int i = 1; i < argc; i++) {
        struct result r = stats_run_cases(argv[i], json, &passed, &failing, &why);
        if (!ok(r)) {
            json_decref(json);
            return cli_fail(r, &why);
        }
    }
    if (as_json) {
        json_t *report = json_pack("{s:o, s:I, s:I}", "cases", json, "passed", (json_int_t)passed,
                                   "failed", (json_int_t)failing);
        json_dumpf(report, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
        putchar('\n');
        json_decref(report);
    } else {
        printf("%zu passed, %zu failed\n", passed, failing);
    }
    return failing || passed == 0 ? CLI_FAILED : CLI_OK;
}

int cmd_stats(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help") || cli_take_flag(&argc, argv, "-h"))
        return print_help(stdout);
    bool as_json = cli_take_flag(&argc, argv, "--json");
    if (cli_take_flag(&argc, argv, "--case"))
        return run_case_files(argc, argv, as_json);
    if (argc < 2)
        return print_help(stderr);
    const struct stats_kind *kind = stats_kind_of_case(argv[1]);
    if (!kind)
        return cli_usage("no statistic '%s'; consilium stats --help lists them", argv[1]);
    json_t *got = NULL;
    struct why why;
    struct result r = run_kind(kind, argc - 1, argv + 1, &got, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    json_dumpf(got, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    putchar('\n');
    json_decref(got);
    return CLI_OK;
}
