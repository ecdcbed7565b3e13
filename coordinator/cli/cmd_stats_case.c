/* SPDX-License-Identifier: Apache-2.0 */
/* Reference cases: runs each, compares the answer with what is expected, and shows both. */
#include "coordinator/cli/cmd_stats.h"
#include "coordinator/cli/stats_input.h"
#include "proto/base/cleanup.h"
#include "proto/base/fs.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PLACE_BYTES = 256, DEPTH_MAX = 32 };

/* One comparison of two trees. The place is the path inside, "single.auc". */
struct comparison {
    double tolerance;
    double worst; /* largest difference of numbers that passed */
    size_t values;
    json_t *differences; /* array of sentences */
};

static void differ(struct comparison *c, const char *place, const char *what)
{
    json_array_append_new(c->differences, json_sprintf("%s: %s", *place ? place : "answer", what));
}

static void compare(struct comparison *c, const json_t *got, const json_t *want, const char *place,
                    int depth);

static void compare_object(struct comparison *c, const json_t *got, const json_t *want,
                           const char *place, int depth)
{
    const char *key;
    json_t *value;
    json_t *iterable = (json_t *)(uintptr_t)want; /* json_object_foreach takes no const */
    json_object_foreach(iterable, key, value)
    {
        char inner[PLACE_BYTES];
        snprintf(inner, sizeof inner, "%.200s%s%.50s", place, *place ? "." : "", key);
        const json_t *found = json_object_get(got, key);
        if (found)
            compare(c, found, value, inner, depth + 1);
        else
            differ(c, inner, "missing");
    }
}

static void compare_array(struct comparison *c, const json_t *got, const json_t *want,
                          const char *place, int depth)
{
    if (json_array_size(got) != json_array_size(want)) {
        differ(c, place, "another length");
        return;
    }
    for (size_t i = 0; i < json_array_size(want); i++) {
        char inner[PLACE_BYTES];
        snprintf(inner, sizeof inner, "%.200s[%zu]", place, i);
        compare(c, json_array_get(got, i), json_array_get(want, i), inner, depth + 1);
    }
}

static void compare_numbers(struct comparison *c, const json_t *got, const json_t *want,
                            const char *place)
{
    bool counts = json_is_integer(got) && json_is_integer(want);
    double gap = fabs(json_number_value(got) - json_number_value(want));
    bool same = counts ? json_integer_value(got) == json_integer_value(want) : gap <= c->tolerance;
    if (same) {
        c->worst = fmax(c->worst, gap);
        return;
    }
    char what[128];
    snprintf(what, sizeof what, "got %.17g, expected %.17g", json_number_value(got),
             json_number_value(want));
    differ(c, place, what);
}

static void compare(struct comparison *c, const json_t *got, const json_t *want, const char *place,
                    int depth)
{
    if (depth > DEPTH_MAX) {
        differ(c, place, "nested too deep");
    } else if (json_is_number(want) && json_is_number(got)) {
        c->values++;
        compare_numbers(c, got, want, place);
    } else if (json_typeof(want) != json_typeof(got)) {
        differ(c, place, "another type");
    } else if (json_is_object(want)) {
        compare_object(c, got, want, place, depth);
    } else if (json_is_array(want)) {
        compare_array(c, got, want, place, depth);
    } else {
        c->values++;
        if (!json_equal(got, want))
            differ(c, place, "another value");
    }
}

static void print_tree(const char *label, const json_t *tree)
{
    printf("  %-9s ", label);
    json_dumpf(tree, stdout, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
    putchar('\n');
}

static void print_case(const char *kind, const char *name, const json_t *got, const json_t *want,
                       const struct comparison *c)
{
    size_t failures = json_array_size(c->differences);
    printf("%s %s/%s: %zu values, largest difference %.3g, tolerance %.3g\n",
           failures ? "FAIL" : "pass", kind, name, c->values, c->worst, c->tolerance);
    print_tree("got", got);
    if (want)
        print_tree("expected", want);
    for (size_t i = 0; i < failures; i++)
        printf("  differs   %s\n", json_string_value(json_array_get(c->differences, i)));
}

/* Runs one case. A statistic that cannot be computed is an answer {"error": ...}, and fails. */
static void run_case(const struct stats_kind *kind, const char *folder, const json_t *item,
                     json_t *json, size_t *passed, size_t *failing)
{
    const char *name = json_string_value(json_object_get(item, "case"));
    const json_t *want = json_object_get(item, "expected");
    struct comparison c = {.tolerance = 1e-10, .differences = json_array()};
    stats_number(json_object_get(item, "abs_tol"), &c.tolerance);
    struct stats_job job = {.inputs = json_object_get(item, "inputs"),
                            .folder = folder,
                            .asked = want};
    json_t *got = NULL;
    struct why why;
    struct result r = kind->run(&job, &got, &why);
    if (!ok(r))
        got = json_pack("{s:s}", "error", why.text);
    if (want)
        compare(&c, got, want, "", 0);
    else
        differ(&c, "", "the case expects nothing");
    bool good = ok(r) && want && json_array_size(c.differences) == 0;
    *(good ? passed : failing) += 1;
    name = name ? name : "unnamed";
    if (json)
        json_array_append_new(json,
                              json_pack("{s:s, s:s, s:b, s:O, s:O?, s:O, s:f, s:f}", "kind",
                                        kind->case_name, "case", name, "pass", good, "got", got,
                                        "expected", want, "differences", c.differences, "abs_tol",
                                        c.tolerance, "largest_difference", c.worst));
    else
        print_case(kind->case_name, name, got, want, &c);
    json_decref(got);
    json_decref(c.differences);
}

static struct result folder_of(const char *path, char folder[FS_PATH_BYTES], struct why *why)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 1;
    if (length >= FS_PATH_BYTES)
        return failed(why, RESULT_INPUT, "the path is too long");
    snprintf(folder, FS_PATH_BYTES, "%.*s", (int)length, slash ? path : ".");
    return DONE;
}

/* An index: {"auroc.json": ["case", ...], ...}; runs every file it names. */
static struct result run_index(json_t *index, const char *folder, json_t *json, size_t *passed,
                               size_t *failing, struct why *why)
{
    const char *key;
    json_t *value;
    json_object_foreach(index, key, value)
    {
        char path[FS_PATH_BYTES];
        if (!json_is_array(value) || strcmp(key, "index.json") == 0 || strchr(key, '/'))
            return failed(
                why, RESULT_INPUT,
                "'%s' is no list of cases: neither a case file nor an index of case files", key);
        TRY(fs_join(path, folder, key, why));
        TRY(stats_run_cases(path, json, passed, failing, why));
    }
    return DONE;
}

static void free_json(json_t **root)
{
    json_decref(*root);
}

struct result stats_run_cases(const char *path, json_t *json, size_t *passed, size_t *failing,
                              struct why *why)
{
    CLEANUP(free_pointer) char *text = NULL;
    char folder[FS_PATH_BYTES];
    size_t n;
    TRY(folder_of(path, folder, why));
    TRY(fs_read(path, STATS_CASE_BYTES, &text, &n, why));
    json_error_t error;
    CLEANUP(free_json) json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return failed(why, RESULT_INPUT, "%s: line %d: %s", path, error.line, error.text);
    const char *kind_name = json_string_value(json_object_get(root, "kind"));
    if (!kind_name && json_is_object(root)) {
        struct result r = run_index(root, folder, json, passed, failing, why);
        return ok(r) ? r : failed_in(why, r, "%s", path);
    }
    const struct stats_kind *kind = kind_name ? stats_kind_of_case(kind_name) : NULL;
    const json_t *cases = json_object_get(root, "cases");
    if (!kind || !json_is_array(cases))
        return failed(why, RESULT_INPUT, "%s: no known \"kind\" with an array of \"cases\"", path);
    for (size_t i = 0; i < json_array_size(cases); i++)
        run_case(kind, folder, json_array_get(cases, i), json, passed, failing);
    return DONE;
}
