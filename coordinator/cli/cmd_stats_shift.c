/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of `consilium stats` that compare two samples, and the generator they are replayed with. */
#include "coordinator/cli/stats_input.h"
#include "linalg/stats/drift.h"
#include "linalg/stats/mmd.h"
#include "linalg/stats/permutation.h"
#include "linalg/stats/prng.h"
#include "proto/base/cleanup.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static struct result read_x(const struct stats_job *job, const char *key, size_t *n, double **x,
                            struct why *why)
{
    CLEANUP(stats_table_free) struct stats_table table = {0};
    TRY(stats_table_read(job, key, &table, why));
    *n = table.rows;
    return stats_table_column(&table, "x", x, why);
}

static json_t *counts_json(size_t n, const double *counts)
{
    json_t *array = json_array();
    for (size_t k = 0; k < n; k++)
        json_array_append_new(array, json_integer((json_int_t)counts[k]));
    return array;
}

static void add_divergences(json_t *o, const struct drift *d)
{
    const struct {
        const char *key;
        double value;
    } fields[] = {
        {"smoothing", d->smoothing},
        {"kl_test_ref", d->kl_test_ref},
        {"kl_ref_test", d->kl_ref_test},
        {"psi", d->psi},
        {"js", d->js},
        {"psi_null_mean", d->psi_null_mean},
        {"psi_crit95", d->psi_crit95},
        {"psi_p", d->psi_p},
        {"kl_null_mean", d->kl_null_mean},
        {"kl_crit95", d->kl_crit95},
        {"kl_p", d->kl_p},
    };
    json_object_set_new(o, "B", json_integer((json_int_t)d->bins));
    json_object_set_new(o, "n_test", json_integer((json_int_t)d->n_test));
    json_object_set_new(o, "n_ref", json_integer((json_int_t)d->n_ref));
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        json_object_set_new(o, fields[i].key, stats_json(fields[i].value));
}

struct result stats_drift(const struct stats_job *job, json_t **got, struct why *why)
{
    CLEANUP(free_pointer) double *ref = NULL;
    CLEANUP(free_pointer) double *cur = NULL;
    size_t n = 0;
    size_t m = 0;
    uint64_t bins;
    double smoothing;
    TRY(stats_whole(job->inputs, "bins", 10, &bins, why));
    TRY(stats_real(job->inputs, "smoothing", DRIFT_SMOOTHING, &smoothing, why));
    TRY(read_x(job, "file_ref", &n, &ref, why));
    TRY(read_x(job, "file_cur", &m, &cur, why));
    if (bins == 0 || bins > DRIFT_BINS_MAX)
        return failed(why, RESULT_INPUT, "bins must be 1..%d", DRIFT_BINS_MAX);
    double edges[DRIFT_BINS_MAX];
    double c_ref[DRIFT_BINS_MAX];
    double c_cur[DRIFT_BINS_MAX];
    size_t count;
    struct drift d = {0};
    struct ks ks = {.d = NAN, .p = NAN};
    enum stat_status status = drift_edges(n, ref, bins, edges, &count);
    if (status == STAT_OK)
        status = drift_counts(n, ref, count, edges, c_ref);
    if (status == STAT_OK)
        status = drift_counts(m, cur, count, edges, c_cur);
    if (status == STAT_OK)
        status = drift_compare(count + 1, c_cur, c_ref, smoothing, &d);
    *got = json_pack("{s:s}", "status", stat_status_name(status));
    if (status != STAT_OK)
        return DONE;
    json_object_set_new(*got, "edges", stats_json_reals(count, edges));
    json_object_set_new(*got, "c_ref", counts_json(count + 1, c_ref));
    json_object_set_new(*got, "c_cur", counts_json(count + 1, c_cur));
    add_divergences(*got, &d);
    ks_two_sample(n, ref, m, cur, &ks);
    json_object_set_new(*got, "ks",
                        json_pack("{s:o, s:I, s:I, s:o}", "D", stats_json(ks.d), "n", (json_int_t)n,
                                  "m", (json_int_t)m, "p_asymptotic", stats_json(ks.p)));
    return DONE;
}

static struct result mmd_plan(const struct stats_job *job, struct mmd_plan *plan, struct why *why)
{
    uint64_t features;
    uint64_t permutations;
    TRY(stats_whole(job->inputs, "D", 256, &features, why));
    TRY(stats_whole(job->inputs, "n_perm", 999, &permutations, why));
    TRY(stats_whole(job->inputs, "seed_w", 1, &plan->seed_features, why));
    TRY(stats_whole(job->inputs, "seed_perm", 2, &plan->seed_permutation, why));
    plan->features = features;
    plan->permutations = permutations;
    return DONE;
}

struct result stats_mmd(const struct stats_job *job, json_t **got, struct why *why)
{
    enum { EXACT_PAIRS_MAX = 400000000 };
    CLEANUP(stats_table_free) struct stats_table ref = {0};
    CLEANUP(stats_table_free) struct stats_table cur = {0};
    CLEANUP(free_pointer) double *x = NULL;
    CLEANUP(free_pointer) double *y = NULL;
    struct mmd_plan plan = {0};
    TRY(mmd_plan(job, &plan, why));
    TRY(stats_table_read(job, "file_ref", &ref, why));
    TRY(stats_table_read(job, "file_cur", &cur, why));
    if (ref.cols != cur.cols)
        return failed(why, RESULT_INPUT, "the two files have %zu and %zu columns", ref.cols,
                      cur.cols);
    TRY(stats_table_matrix(&ref, &x, why));
    TRY(stats_table_matrix(&cur, &y, why));
    struct mmd m;
    mmd_test(ref.rows, x, cur.rows, y, ref.cols, &plan, &m);
    *got = json_pack("{s:s, s:o}", "status", stat_status_name(m.status), "sigma",
                     stats_json_or_null(m.sigma));
    if (m.status != STAT_OK)
        return DONE;
    size_t rows = ref.rows + cur.rows;
    if (rows <= EXACT_PAIRS_MAX / rows) {
        double biased;
        double unbiased;
        mmd_exact(ref.rows, x, cur.rows, y, ref.cols, m.sigma, &biased, &unbiased);
        json_object_set_new(*got, "mmd2_biased", stats_json(biased));
        json_object_set_new(*got, "mmd2_unbiased", stats_json(unbiased));
    }
    json_object_set_new(*got, "rff",
                        json_pack("{s:I, s:o, s:o, s:I, s:I, s:o}", "D", (json_int_t)plan.features,
                                  "sigma", stats_json(m.sigma), "mmd2_rff", stats_json(m.mmd2),
                                  "n_perm", (json_int_t)m.permutations, "n_ge", (json_int_t)m.n_ge,
                                  "p", stats_json(m.p)));
    return DONE;
}

/* Splits column x by column g: 0 first, everything else second. */
static struct result two_samples(const struct stats_table *table, double **x, size_t *n, size_t *m,
                                 struct why *why)
{
    CLEANUP(free_pointer) double *g = NULL;
    CLEANUP(free_pointer) double *all = NULL;
    TRY(stats_table_column(table, "g", &g, why));
    TRY(stats_table_column(table, "x", &all, why));
    *x = calloc(table->rows ? table->rows : 1, sizeof **x);
    if (!*x)
        return failed(why, RESULT_SYSTEM, "no memory for %zu rows", table->rows);
    *n = 0;
    *m = 0;
    for (size_t i = 0; i < table->rows; i++)
        *n += g[i] == 0.0;
    size_t first = 0;
    for (size_t i = 0; i < table->rows; i++)
        (*x)[g[i] == 0.0 ? first++ : *n + (*m)++] = all[i];
    return DONE;
}

static void add_draws(json_t *o, const struct permutation *p)
{
    json_object_set_new(o, "n_perm", json_integer((json_int_t)p->n_total));
    json_object_set_new(o, "n_ge", json_integer((json_int_t)p->n_ge));
    json_object_set_new(o, "p", stats_json_or_null(p->p));
}

static struct result means(const struct stats_table *table, size_t draws, uint64_t seed,
                           json_t **got, struct why *why)
{
    CLEANUP(free_pointer) double *x = NULL;
    size_t n = 0;
    size_t m = 0;
    TRY(two_samples(table, &x, &n, &m, why));
    struct permutation exact;
    struct permutation drawn;
    permutation_mean_exact(n, x, m, x + n, &exact);
    permutation_mean_drawn(n, x, m, x + n, draws, seed, &drawn);
    json_t *all = json_pack("{s:s}", "status", stat_status_name(exact.status));
    if (exact.status == STAT_OK) {
        json_object_set_new(all, "stat", stats_json(exact.statistic));
        json_object_set_new(all, "n_total", json_integer((json_int_t)exact.n_total));
        json_object_set_new(all, "n_ge", json_integer((json_int_t)exact.n_ge));
        json_object_set_new(all, "p", stats_json(exact.p));
    }
    json_t *mc = json_pack("{s:s}", "status", stat_status_name(drawn.status));
    if (drawn.status == STAT_OK)
        add_draws(mc, &drawn);
    *got = json_pack("{s:o, s:o}", "exact", all, "mc", mc);
    return DONE;
}

struct result stats_permutation(const struct stats_job *job, json_t **got, struct why *why)
{
    CLEANUP(stats_table_free) struct stats_table table = {0};
    uint64_t draws;
    uint64_t seed;
    TRY(stats_whole(job->inputs, "n_perm", 999, &draws, why));
    TRY(stats_whole(job->inputs, "seed", 1, &seed, why));
    TRY(stats_table_read(job, "file", &table, why));
    if (stats_table_find(&table, "g") >= 0)
        return means(&table, draws, seed, got, why);
    CLEANUP(free_pointer) double *y = NULL;
    CLEANUP(free_pointer) double *s1 = NULL;
    CLEANUP(free_pointer) double *s2 = NULL;
    TRY(stats_table_column(&table, "y", &y, why));
    TRY(stats_table_column(&table, "s1", &s1, why));
    TRY(stats_table_column(&table, "s2", &s2, why));
    struct permutation p;
    permutation_paired_auroc(table.rows, y, s1, s2, NULL, draws, seed, &p);
    *got = json_pack("{s:s}", "status", stat_status_name(p.status));
    if (p.status == STAT_OK) {
        json_object_set_new(*got, "d", stats_json(p.statistic));
        add_draws(*got, &p);
    }
    return DONE;
}

struct result stats_prng(const struct stats_job *job, json_t **got, struct why *why)
{
    enum { WORDS = 8, DICE = 12, UNIFORMS = 4, NORMALS = 6, CARDS = 10 };
    uint64_t seed;
    TRY(stats_whole(job->inputs, "seed", 1, &seed, why));
    struct prng fresh;
    prng_seed(&fresh, seed);
    json_t *words = json_array();
    json_t *dice = json_array();
    json_t *uniforms = json_array();
    json_t *cards = json_array();
    struct prng prng = fresh;
    for (int i = 0; i < WORDS; i++) {
        char text[24];
        snprintf(text, sizeof text, "%llu", (unsigned long long)prng_next(&prng));
        json_array_append_new(words, json_string(text));
    }
    prng = fresh;
    for (int i = 0; i < DICE; i++)
        json_array_append_new(dice, json_integer((json_int_t)prng_bounded(&prng, 10)));
    prng = fresh;
    for (int i = 0; i < UNIFORMS; i++)
        json_array_append_new(uniforms, json_real(prng_u01(&prng)));
    double normals[NORMALS];
    prng = fresh;
    prng_normals(&prng, NORMALS, normals);
    uint32_t deck[CARDS];
    for (uint32_t i = 0; i < CARDS; i++)
        deck[i] = i;
    prng = fresh;
    prng_shuffle(&prng, CARDS, deck);
    for (int i = 0; i < CARDS; i++)
        json_array_append_new(cards, json_integer(deck[i]));
    *got = json_pack("{s:o, s:o, s:o, s:o, s:o}", "u64", words, "bounded10", dice, "u01", uniforms,
                     "normals", stats_json_reals(NORMALS, normals), "shuffle10", cards);
    return DONE;
}
