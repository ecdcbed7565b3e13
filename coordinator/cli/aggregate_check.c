/* SPDX-License-Identifier: Apache-2.0 */
/* Checks every case of a reference manifest: rule, parameters, input rows, expected output. */
#include "coordinator/aggregate/finite.h"
#include "coordinator/cli/aggregate_cli.h"
#include "coordinator/cli/cli.h"
#include "proto/base/cleanup.h"
#include "proto/base/fs.h"

#include "proto/base/json.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

enum {
    MANIFEST_BYTES_MAX = 64 << 20,
    VECTOR_BYTES_MAX = 1 << 30,
    CASE_ROWS_MAX = AGG_ROWS_MAX,
    CASE_COORDINATES_MAX = 1 << 24,
};

/* One case: its finite rows, in order, and the expected numbers. */
struct check_case {
    const char *id;
    size_t n; /* finite rows */
    size_t d;
    double *in;
    const double *rows[CASE_ROWS_MAX];
    double *expected;
    size_t expected_count;
};

struct tally {
    size_t passed;
    size_t failed;
    json_t *lines; /* NULL when printing text */
};

static void close_case(struct check_case *c)
{
    free(c->in);
    free(c->expected);
}

static struct result read_numbers(const char *folder, const json_t *name, double **values,
                                  size_t *count, struct why *why)
{
    char path[FS_PATH_BYTES];
    if (!json_is_string(name))
        return failed(why, RESULT_INPUT, "a case does not name its files");
    TRY(fs_join(path, folder, json_string_value(name), why));
    char *bytes = NULL;
    size_t length = 0;
    TRY(fs_read(path, VECTOR_BYTES_MAX, &bytes, &length, why));
    *values = (double *)(void *)bytes;
    *count = length / sizeof **values;
    return DONE;
}

static struct result read_rows(const json_t *entry, struct check_case *c, size_t count,
                               struct why *why)
{
    json_int_t n = json_integer_value(json_object_get(entry, "n"));
    json_int_t d = json_integer_value(json_object_get(entry, "d"));
    if (n < 1 || n > CASE_ROWS_MAX || d < 1 || d > CASE_COORDINATES_MAX ||
        (size_t)n * (size_t)d != count)
        return failed(why, RESULT_INPUT, "%s: n x d does not fit its input file", c->id);
    c->d = (size_t)d;
    const json_t *finite = json_object_get(entry, "finite_rows");
    for (size_t i = 0; i < (size_t)n; i++) {
        const double *row = c->in + i * c->d;
        if (finite_first_bad_f64(c->d, row) < c->d)
            continue;
        json_int_t want = json_integer_value(json_array_get(finite, c->n));
        if (finite && want != (json_int_t)i)
            return failed(why, RESULT_INPUT, "%s: row %zu is finite but not in finite_rows", c->id,
                          i);
        c->rows[c->n++] = row;
    }
    if (finite && json_array_size(finite) != c->n)
        return failed(why, RESULT_INPUT, "%s: finite_rows names a row that is not", c->id);
    return DONE;
}

/* z0, v0, g0 by name: "zero", "mean", "row 0 of X", "g0 = row 0 of X". */
static struct result set_named(struct agg_rule *rule, const char *name, const char *text,
                               struct why *why)
{
    const char *row = strstr(text, "row ");
    if (!row)
        return agg_rule_set(rule, name, text, why);
    char point[32];
    snprintf(point, sizeof point, "row:%lu", strtoul(row + 4, NULL, 10));
    return agg_rule_set(rule, name, point, why);
}

static struct result set_list(struct agg_rule *rule, const char *name, const json_t *list,
                              struct why *why)
{
    size_t count = json_array_size(list);
    CLEANUP(free_pointer) double *values = calloc(count + 1, sizeof *values);
    if (!values)
        return failed(why, RESULT_SYSTEM, "no memory for %s", name);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, i);
        if (!json_is_number(item))
            return failed(why, RESULT_INPUT, "entry %zu of %s is not a number", i, name);
        values[i] = json_number_value(item);
    }
    return agg_rule_set_numbers(rule, name, count, values, why);
}

static struct result set_param(struct agg_rule *rule, const char *name, const json_t *value,
                               struct why *why)
{
    if (json_is_null(value) || json_is_boolean(value))
        return DONE; /* notes for readers, such as matches_flower */
    if (strcmp(name, "g0_rule") == 0)
        return set_named(rule, "g0", json_string_value(value), why);
    if (strcmp(name, "iters") == 0 && json_number_value(value) == 1.0)
        return DONE;
    if (json_is_string(value))
        return set_named(rule, name, json_string_value(value), why);
    if (json_is_array(value))
        return set_list(rule, name, value, why);
    double number = json_number_value(value);
    return agg_rule_set_numbers(rule, name, 1, &number, why);
}

/* Runs one output of a case; error gets the largest difference and at the coordinate. */
static struct result run_output(const struct check_case *c, const char *name, const json_t *params,
                                size_t count, double *got, struct why *why)
{
    struct agg_rule rule;
    memset(&rule, 0, sizeof rule);
    const char *key = NULL;
    json_t *value = NULL;
    bool truncation = strcmp(name, "trunc_weights") == 0 || strcmp(name, "trunc-weights") == 0;
    struct result r = agg_rule_parse(truncation ? "mean" : name, &rule, why);
    void *at = json_object_iter((json_t *)(uintptr_t)params);
    for (; ok(r) && at; at = json_object_iter_next((json_t *)(uintptr_t)params, at)) {
        key = json_object_iter_key(at);
        value = json_object_iter_value(at);
        r = set_param(&rule, key, value, why);
    }
    if (ok(r) && truncation) {
        if (rule.params.w_length == count)
            agg_truncate_weights(count, rule.params.w, rule.params.f, rule.params.alpha, got);
        else
            r = failed(why, RESULT_INPUT, "w does not have the %zu entries expected", count);
    } else if (ok(r)) {
        r = agg_rule_check(&rule, c->n, c->d, why);
        if (ok(r) && agg_rule_output_rows(&rule, c->n) * c->d != count)
            r = failed(why, RESULT_INPUT, "%zu numbers expected, the rule gives %zu", count,
                       agg_rule_output_rows(&rule, c->n) * c->d);
        if (ok(r))
            r = agg_run_f64(&rule, c->n, c->d, c->rows, got, NULL, why);
    }
    agg_rule_free(&rule);
    return r;
}

static void report(struct tally *tally, const char *id, const char *rule, double tolerance,
                   double got, double expected, double error, bool pass, const char *sentence)
{
    tally->passed += pass;
    tally->failed += !pass;
    if (tally->lines) {
        json_array_append_new(tally->lines,
                              json_pack("{s:s,s:s,s:o,s:o,s:o,s:o,s:b,s:s}", "case", id, "rule",
                                        rule, "got", number_or_null(got), "expected",
                                        number_or_null(expected), "error", number_or_null(error),
                                        "tolerance", number_or_null(tolerance), "pass", pass, "why",
                                        sentence));
        return;
    }
    printf("%-24s %-28s got %.17g expected %.17g error %.3g tolerance %.3g %s%s%s\n", id, rule, got,
           expected, error, tolerance, pass ? "pass" : "FAIL", *sentence ? ": " : "", sentence);
}

static void check_output(const struct check_case *c, const json_t *output, struct tally *tally)
{
    const char *name = json_string_value(json_object_get(output, "rule"));
    json_int_t offset = json_integer_value(json_object_get(output, "offset"));
    json_int_t length = json_integer_value(json_object_get(output, "len"));
    const json_t *tol = json_object_get(output, "tol");
    double tolerance = json_is_number(tol) ? json_number_value(tol) : (double)NAN;
    struct why why = {""};
    if (!(tolerance >= 0.0)) {
        report(tally, c->id, name ? name : "?", tolerance, (double)NAN, (double)NAN, (double)NAN,
               false, "the entry has no tolerance tol");
        return;
    }
    if (!name || offset < 0 || length < 1 || (size_t)length > c->expected_count ||
        (size_t)offset > c->expected_count - (size_t)length) {
        report(tally, c->id, name ? name : "?", tolerance, (double)NAN, (double)NAN, (double)NAN,
               false, "the entry does not fit its output file");
        return;
    }
    size_t count = (size_t)length;
    const double *expected = c->expected + offset;
    CLEANUP(free_pointer) double *got = calloc(count, sizeof *got);
    struct result r = got ? run_output(c, name, json_object_get(output, "params"), count, got, &why)
                          : failed(&why, RESULT_SYSTEM, "no memory for %zu numbers", count);
    if (!ok(r)) {
        report(tally, c->id, name, tolerance, (double)NAN, expected[0], (double)NAN, false,
               why.text);
        return;
    }
    double size = 0.0;
    double worst = -1.0;
    size_t at = 0;
    /* What is not a number is the worst there is, and stays it. */
    for (size_t i = 0; i < count; i++) {
        double error = fabs(got[i] - expected[i]);
        size = fmax(size, fabs(expected[i]));
        if (!isnan(worst) && !(error <= worst)) {
            worst = error;
            at = i;
        }
    }
    report(tally, c->id, name, tolerance, got[at], expected[at], worst,
           worst <= tolerance * (1.0 + size), "");
}

static struct result check_entry(const char *folder, const json_t *entry, struct check_case *c,
                                 struct tally *tally, struct why *why)
{
    const char *id = json_string_value(json_object_get(entry, "id"));
    c->id = id ? id : "?";
    size_t in_count = 0;
    TRY(read_numbers(folder, json_object_get(entry, "in"), &c->in, &in_count, why));
    TRY(read_numbers(folder, json_object_get(entry, "out"), &c->expected, &c->expected_count, why));
    TRY(read_rows(entry, c, in_count, why));
    const json_t *effective = json_object_get(entry, "f_effective");
    json_int_t f = json_integer_value(json_object_get(entry, "f"));
    json_int_t rejected = (json_int_t)(in_count / c->d - c->n);
    if (effective && json_integer_value(effective) != (f > rejected ? f - rejected : 0))
        return failed(why, RESULT_INPUT, "%s: f_effective is not max(0, f - rejected rows)", c->id);
    const json_t *outputs = json_object_get(entry, "outputs");
    if (json_array_size(outputs) == 0)
        return failed(why, RESULT_INPUT, "%s has no outputs", c->id);
    for (size_t i = 0; i < json_array_size(outputs); i++)
        check_output(c, json_array_get(outputs, i), tally);
    return DONE;
}

static struct result check_manifest(const char *path, struct tally *tally, struct why *why)
{
    CLEANUP(free_pointer) char *text = NULL;
    size_t length = 0;
    TRY(fs_read(path, MANIFEST_BYTES_MAX, &text, &length, why));
    json_error_t error;
    json_t *manifest = json_loadb(text, length, 0, &error);
    const json_t *cases = json_object_get(manifest, "cases");
    if (!json_is_array(cases)) {
        json_decref(manifest);
        return failed(why, RESULT_INPUT, "%s is not a manifest with cases: %s", path, error.text);
    }
    if (json_array_size(cases) == 0) {
        json_decref(manifest);
        return failed(why, RESULT_INPUT, "%s has no case", path);
    }
    char folder[FS_PATH_BYTES] = ".";
    const char *slash = strrchr(path, '/');
    if (slash && (size_t)(slash - path) < sizeof folder)
        snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    struct result r = DONE;
    for (size_t i = 0; ok(r) && i < json_array_size(cases); i++) {
        struct check_case *c = calloc(1, sizeof *c);
        r = c ? check_entry(folder, json_array_get(cases, i), c, tally, why)
              : failed(why, RESULT_SYSTEM, "no memory for a case");
        if (c)
            close_case(c);
        if (c && !ok(r) && r.code == RESULT_INPUT) {
            const char *id = json_string_value(json_object_get(json_array_get(cases, i), "id"));
            report(tally, id ? id : "?", "all of the case", (double)NAN, (double)NAN, (double)NAN,
                   (double)NAN, false, why->text);
            r = DONE;
        }
        free(c);
    }
    json_decref(manifest);
    return r;
}

int aggregate_check(const char *manifest, bool json)
{
    struct tally tally = {0, 0, json ? json_array() : NULL};
    struct why why = {""};
    struct result r = check_manifest(manifest, &tally, &why);
    if (json) {
        json_t *all = json_pack("{s:I,s:I,s:o}", "passed", (json_int_t)tally.passed, "failed",
                                (json_int_t)tally.failed, "outputs", tally.lines);
        json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
        putchar('\n');
        json_decref(all);
    } else {
        printf("%zu passed, %zu failed\n", tally.passed, tally.failed);
    }
    if (!ok(r))
        return cli_fail(r, &why);
    return tally.failed || !tally.passed ? CLI_FAILED : CLI_OK;
}
