/* SPDX-License-Identifier: Apache-2.0 */
/* The fast engine: against its plain twin, and bit for bit under any number of threads, any
 * kernels, any split into shards, rows in memory or decoded tile by tile. */
#include "coordinator/aggregate/passes.h"
#include "coordinator/aggregate/run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t seed = 88172645463325252u;

static double uniform(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (double)(seed >> 11) / 9007199254740992.0;
}

static double gaussian(void)
{
    return sqrt(-2.0 * log(1.0 - uniform())) * cos(6.283185307179586 * uniform());
}

/* n rows of d coordinates around a common drift, the first f of them shifted. */
struct sample {
    size_t n;
    size_t d;
    float *x;
    const float **rows;
    double *wide;
    const double **wide_rows;
};

static struct sample make(size_t n, size_t d, size_t f)
{
    struct sample s = {n,
                       d,
                       calloc(n * d, sizeof(float)),
                       calloc(n, sizeof(float *)),
                       calloc(n * d, sizeof(double)),
                       calloc(n, sizeof(double *))};
    for (size_t i = 0; i < n; i++) {
        s.rows[i] = s.x + i * d;
        s.wide_rows[i] = s.wide + i * d;
        for (size_t c = 0; c < d; c++) {
            double value = gaussian() + 0.3 * sin((double)c) + (i < f ? 1.5 : 0.0);
            s.x[i * d + c] = (float)(value * (1.0 + 0.05 * (double)i));
            s.wide[i * d + c] = (double)s.x[i * d + c];
        }
    }
    return s;
}

static void drop(struct sample *s)
{
    free(s->x);
    free(s->rows);
    free(s->wide);
    free(s->wide_rows);
}

static struct agg_rule rule_of(const char *expression, size_t f, size_t n)
{
    struct agg_rule rule;
    struct why why = {""};
    double numbers[AGG_ROWS_MAX];
    assert_true(ok(agg_rule_parse(expression, &rule, &why)));
    agg_rule_set_f(&rule, f);
    for (size_t i = 0; i < n; i++)
        numbers[i] = (double)(i * 7 % n);
    if (strstr(expression, "bucketing")) {
        /* i*7 mod n permutes unless 7 divides n. */
        assert_true(n % 7 != 0);
        assert_true(ok(agg_rule_set(&rule, "s", "2", &why)));
        assert_true(ok(agg_rule_set_numbers(&rule, "perm", n, numbers, &why)));
    }
    for (size_t i = 0; i < n; i++)
        numbers[i] = 50.0 + (double)(i * 13 % 31);
    if (strstr(expression, "weighted")) {
        assert_true(ok(agg_rule_set_numbers(&rule, "w", n, numbers, &why)));
        assert_true(ok(agg_rule_set(&rule, "trim_mass", "100", &why)));
    }
    assert_true(ok(agg_rule_set(&rule, "c", "10", &why)));
    assert_true(ok(agg_rule_set(&rule, "g0", "row:0", &why)));
    return rule;
}

static const char *const RULES[] = {
    "mean",
    "weighted-mean",
    "median",
    "trimmed-mean",
    "meamed",
    "weighted-median",
    "weighted-trimmed-mean",
    "krum",
    "krum-nf1",
    "multikrum",
    "multikrum-nf1",
    "bulyan",
    "geomedian",
    "geomedian-smoothed",
    "geomedian-converged",
    "weighted-geomedian-smoothed",
    "centered-clipping",
    "mda",
    "caf-exact",
    "monna",
    "dnc-full",
    "fltrust",
    "nnm",
    "bucketing",
    "arc",
    "clip",
    "nnm+trimmed-mean",
    "nnm+median",
    "nnm+geomedian",
    "arc+nnm+trimmed-mean",
    "arc+nnm+fltrust",
    "bucketing+geomedian",
    "bucketing+trimmed-mean",
    "clip+bucketing+median",
    "nnm+caf",
};
enum { RULE_COUNT = sizeof RULES / sizeof RULES[0] };

static void run_fast(const struct agg_rule *rule, const struct sample *s,
                     const struct kernels *kernels, unsigned threads, float *out)
{
    struct why why = {""};
    struct agg_means means = {kernels, threads};
    struct agg_source source = {.n = s->n, .d = s->d, .rows = s->rows};
    struct result r = agg_run_with(&means, rule, &source, out, NULL, &why);
    if (!ok(r))
        fail_msg("%s", why.text);
}

/* Largest difference, relative to 1 + the largest value. */
static double gap(size_t count, const float *got, const double *want)
{
    double worst = 0.0;
    double size = 0.0;
    for (size_t i = 0; i < count; i++) {
        worst = fmax(worst, fabs((double)got[i] - want[i]));
        size = fmax(size, fabs(want[i]));
    }
    return worst / (1.0 + size);
}

static void twins_agree(size_t n, size_t d, size_t f)
{
    struct sample s = make(n, d, f);
    float *fast = calloc(n * d, sizeof *fast);
    double *plain = calloc(n * d, sizeof *plain);
    for (size_t k = 0; k < RULE_COUNT; k++) {
        struct why why = {""};
        struct agg_rule rule = rule_of(RULES[k], f, n);
        if (ok(agg_rule_check(&rule, n, d, &why))) {
            size_t count = agg_rule_output_rows(&rule, n) * d;
            run_fast(&rule, &s, kernels_best(), 2, fast);
            assert_true(ok(agg_run_f64(&rule, n, d, s.wide_rows, plain, NULL, &why)));
            double error = gap(count, fast, plain);
            if (!(error < 2e-6))
                fail_msg("%s n=%zu d=%zu f=%zu: %g", RULES[k], n, d, f, error);
        }
        agg_rule_free(&rule);
    }
    free(fast);
    free(plain);
    drop(&s);
}

static void fast_is_the_plain_rule(void **state)
{
    (void)state;
    twins_agree(5, 7, 1);
    twins_agree(8, 1, 2);
    twins_agree(11, 4097, 2);
    twins_agree(20, 5000, 4);
    twins_agree(33, 2500, 6);
    twins_agree(50, 2049, 10);
    twins_agree(65, 1500, 13);
}

/* A bad row at 1e6, first in order so that it takes part in the reference, hides nothing. */
static void far_rows_do_not_blur_near_ones(void **state)
{
    (void)state;
    struct sample s = make(20, 9000, 0);
    for (size_t i = 0; i < 20; i += 4)
        for (size_t c = 0; c < s.d; c++)
            s.wide[i * s.d + c] = (double)(s.x[i * s.d + c] = 1e6f + (float)(i + c % 3));
    float fast[9000];
    double plain[9000];
    static const char *const SOME[] = {"nnm+trimmed-mean", "krum", "caf", "geomedian", "mda"};
    for (size_t k = 0; k < 5; k++) {
        struct why why = {""};
        struct agg_rule rule = rule_of(SOME[k], 5, 20);
        run_fast(&rule, &s, kernels_best(), 2, fast);
        assert_true(ok(agg_run_f64(&rule, 20, s.d, s.wide_rows, plain, NULL, &why)));
        assert_true(gap(s.d, fast, plain) < 2e-6);
        agg_rule_free(&rule);
    }
    drop(&s);
}

/* One row whose squares overflow float32, and rows whose squares vanish in it. */
static void extreme_sizes_are_redone_in_double(void **state)
{
    (void)state;
    static const char *const SOME[] = {
        "geomedian-converged", "centered-clipping", "geomedian", "nnm+trimmed-mean", "caf", "krum"};
    float fast[4096];
    double plain[4096];
    for (int tiny = 0; tiny < 2; tiny++) {
        struct sample s = make(33, 4096, 0);
        for (size_t at = 0; at < 33 * s.d; at++)
            if (tiny || at / s.d == 3)
                s.wide[at] = (double)(s.x[at] = tiny ? s.x[at] * 1e-25f : 1e30f);
        for (size_t k = tiny ? 3 : 0; k < 6; k++) {
            struct why why = {""};
            struct agg_rule rule = rule_of(SOME[k], 5, 33);
            run_fast(&rule, &s, kernels_best(), 2, fast);
            assert_true(ok(agg_run_f64(&rule, 33, s.d, s.wide_rows, plain, NULL, &why)));
            for (size_t c = 0; tiny && c < s.d; c++) {
                fast[c] *= 1e25f;
                plain[c] *= 1e25;
            }
            double error = gap(s.d, fast, plain);
            if (!(error < 2e-6))
                fail_msg("%s, %s rows: %g", SOME[k], tiny ? "tiny" : "huge", error);
            agg_rule_free(&rule);
        }
        drop(&s);
    }
}

static void threads_and_kernels_change_nothing(void **state)
{
    (void)state;
    static const size_t SIZES[][3] = {{11, 13000, 2}, {20, 4501, 4}, {37, 4103, 7}, {69, 1099, 13}};
    for (size_t size = 0; size < 4; size++) {
        size_t n = SIZES[size][0];
        size_t d = SIZES[size][1];
        struct sample s = make(n, d, SIZES[size][2]);
        float *want = calloc(n * d, sizeof *want);
        float *got = calloc(n * d, sizeof *got);
        for (size_t k = 0; k < RULE_COUNT; k++) {
            struct agg_rule rule = rule_of(RULES[k], SIZES[size][2], n);
            size_t count = agg_rule_output_rows(&rule, n) * d;
            run_fast(&rule, &s, kernels_best(), 1, want);
            static const unsigned THREADS[] = {2, 3, 7};
            for (size_t t = 0; t < 3; t++) {
                run_fast(&rule, &s, kernels_best(), THREADS[t], got);
                assert_memory_equal(got, want, count * sizeof *got);
            }
            for (const struct kernels *const *kernels = kernels_here(); *kernels; kernels++) {
                run_fast(&rule, &s, *kernels, 2, got);
                if (memcmp(got, want, count * sizeof *got) != 0)
                    fail_msg("%s differs with %s", RULES[k], (*kernels)->name);
            }
            agg_rule_free(&rule);
        }
        free(want);
        free(got);
        drop(&s);
    }
}

static bool decode_row(void *context, size_t row, size_t first, size_t count, float *out)
{
    const struct sample *s = context;
    if (!s->rows[row])
        return false;
    memcpy(out, s->rows[row] + first, count * sizeof *out);
    return true;
}

static void decoded_rows_are_the_same(void **state)
{
    (void)state;
    struct sample s = make(20, 9001, 4);
    float want[9001];
    float got[9001];
    struct agg_rule rule = rule_of("arc+nnm+trimmed-mean", 4, 20);
    run_fast(&rule, &s, kernels_best(), 1, want);
    struct why why = {""};
    struct agg_source source = {.n = 20, .d = 9001, .decode = decode_row, .context = &s};
    assert_true(ok(agg_run(&rule, &source, 3, got, NULL, &why)));
    assert_memory_equal(got, want, sizeof got);
    s.rows[6] = NULL;
    assert_int_equal(agg_run(&rule, &source, 3, got, NULL, &why).code, RESULT_INPUT);
    assert_non_null(strstr(why.text, "row 6"));
    agg_rule_free(&rule);
    drop(&s);
}

/* W workers hold blocks of coordinates; one sum of n x n products travels, in any grouping. */
static void run_sharded(const struct agg_rule *rule, const struct sample *s, size_t shards,
                        float *out)
{
    struct why why = {""};
    struct agg_means means = {kernels_best(), 2};
    struct agg_points points = agg_points_needed(rule, s->n);
    size_t m = agg_points_count(&points);
    size_t blocks = (s->d + AGG_BLOCK - 1) / AGG_BLOCK;
    bool wide = agg_gram_is_small(&points, s->d);
    const float **rows = calloc(s->n * shards, sizeof *rows);
    struct agg_source *source = calloc(shards, sizeof *source);
    struct gram *part = calloc(shards, sizeof *part);
    double *full = calloc(m * m, sizeof *full);
    for (size_t w = 0; w < shards; w++) {
        size_t first = blocks * w / shards * AGG_BLOCK;
        size_t past = w + 1 == shards ? s->d : blocks * (w + 1) / shards * AGG_BLOCK;
        source[w] = (struct agg_source){.n = s->n,
                                        .d = past - first,
                                        .offset = first,
                                        .rows = rows + w * s->n};
        for (size_t i = 0; i < s->n; i++)
            rows[w * s->n + i] = s->rows[i] + first;
        assert_true(ok(agg_pass_gram(&means, &source[w], &points, wide, &part[w], &why)));
    }
    /* Neighbours meet in an order of their own: the last two first. */
    for (size_t w = shards - 1; w > 0; w--)
        assert_true(gram_join(&part[w - 1], &part[w]));
    gram_total(&part[0], full);
    assert_true(agg_gram_is_sound(&points, full));
    struct agg_decision decision;
    assert_true(ok(agg_decide(rule, &points, full, &decision, NULL, &why)));
    for (size_t w = 0; w < shards; w++)
        assert_true(ok(agg_pass_apply(&means, rule, &source[w], &points, &decision,
                                      out + source[w].offset, &why)));
    for (size_t w = 0; w < shards; w++)
        gram_free(&part[w]);
    agg_decision_free(&decision);
    free(rows);
    free(source);
    free(part);
    free(full);
}

static void shards_change_nothing(void **state)
{
    (void)state;
    struct sample s = make(12, 9 * AGG_BLOCK + 77, 2);
    float *want = calloc(s.d, sizeof *want);
    float *got = calloc(s.d, sizeof *got);
    for (size_t k = 0; k < RULE_COUNT; k++) {
        struct agg_rule rule = rule_of(RULES[k], 2, 12);
        if (agg_rule_output_rows(&rule, 12) == 1) {
            run_fast(&rule, &s, kernels_best(), 1, want);
            for (size_t shards = 1; shards <= 10; shards += 3) {
                run_sharded(&rule, &s, shards, got);
                if (memcmp(got, want, s.d * sizeof *got) != 0)
                    fail_msg("%s differs in %zu shards", RULES[k], shards);
            }
        }
        agg_rule_free(&rule);
    }
    free(want);
    free(got);
    drop(&s);
}

static void explained(void **state)
{
    (void)state;
    struct sample s = make(9, 20000, 2);
    float out[20000];
    double plain[20000];
    struct why why = {""};
    struct agg_explain a;
    struct agg_explain b;
    struct agg_source source = {.n = 9, .d = s.d, .rows = s.rows};
    static const char *const SOME[] = {"nnm+trimmed-mean", "caf", "multikrum", "median"};
    for (size_t k = 0; k < 4; k++) {
        struct agg_rule rule = rule_of(SOME[k], 2, 9);
        assert_true(ok(agg_run(&rule, &source, 2, out, &a, &why)));
        assert_true(ok(agg_run_f64(&rule, 9, s.d, s.wide_rows, plain, &b, &why)));
        for (size_t i = 0; i < 9; i++) {
            assert_true(fabs(a.norm[i] - b.norm[i]) < 1e-5 * b.norm[i]);
            assert_true(fabs(a.cosine[i] - b.cosine[i]) < 1e-5);
            assert_true(fabs(a.distance[i] - b.distance[i]) < 1e-5 * b.norm[i]);
            assert_true(a.inclusions[i] == b.inclusions[i]);
            assert_true(isnan(b.weight[i]) ? isnan(a.weight[i])
                                           : fabs(a.weight[i] - b.weight[i]) < 1e-5);
            assert_true(isnan(b.caf_weight[i]) ? isnan(a.caf_weight[i])
                                               : fabs(a.caf_weight[i] - b.caf_weight[i]) < 1e-4);
            for (size_t j = 0; j < 9; j++)
                assert_true(fabs(a.squared_distance[i * 9 + j] - b.squared_distance[i * 9 + j]) <
                            1e-5 * b.norm[i] * b.norm[j]);
        }
        agg_explain_free(&a);
        agg_explain_free(&b);
        agg_rule_free(&rule);
    }
    drop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_is_the_plain_rule),
        cmocka_unit_test(far_rows_do_not_blur_near_ones),
        cmocka_unit_test(extreme_sizes_are_redone_in_double),
        cmocka_unit_test(threads_and_kernels_change_nothing),
        cmocka_unit_test(decoded_rows_are_the_same),
        cmocka_unit_test(shards_change_nothing),
        cmocka_unit_test(explained),
    };
    return cmocka_run_group_tests_name("aggregate_fast", tests, NULL, NULL);
}
