/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of `consilium stats` over sites and over time: pooling, sequential bounds, cross-site
 * matrix. */
#include "coordinator/cli/stats_input.h"
#include "coordinator/validate/matrix.h"
#include "linalg/stats/pool.h"
#include "linalg/stats/sequential.h"
#include "proto/base/cleanup.h"

#include <math.h>
#include <string.h>

static json_t *pool_json(const struct pool *p, const char *method)
{
    json_t *o = json_pack("{s:I, s:s}", "k", (json_int_t)p->k, "method", method);
    if (p->status != STAT_OK)
        json_object_set_new(o, "status", json_string(stat_status_name(p->status)));
    if (isnan(p->mu))
        return o;
    json_object_set_new(o, "mu", stats_json(p->mu));
    json_object_set_new(o, "se_wald", stats_json(p->se_wald));
    json_object_set_new(o, "ci_wald", stats_json_pair(p->ci_wald));
    if (p->status == STAT_SINGLE_SITE)
        return o;
    const struct {
        const char *key;
        double value;
    } fields[] = {
        {"mu_fixed", p->mu_fixed}, {"se_fixed", p->se_fixed}, {"Q", p->q},
        {"Q_p", p->q_p},           {"tau2", p->tau2},         {"I2_percent", p->i2_percent},
        {"hksj_q", p->hksj_q},     {"se_hksj", p->se_hksj},   {"se_mhksj", p->se_mhksj},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        json_object_set_new(o, fields[i].key, stats_json(fields[i].value));
    json_object_set_new(o, "Q_df", json_integer((json_int_t)p->k - 1));
    json_object_set_new(o, "ci_hksj", stats_json_pair(p->ci_hksj));
    json_object_set_new(o, "ci_mhksj", stats_json_pair(p->ci_mhksj));
    if (p->k > 2) {
        json_object_set_new(o, "pi_mhksj", stats_json_pair(p->pi_mhksj));
        json_object_set_new(o, "pi_wald_riley", stats_json_pair(p->pi_wald));
    }
    return o;
}

struct result stats_pooling(const struct stats_job *job, json_t **got, struct why *why)
{
    CLEANUP(stats_table_free) struct stats_table table = {0};
    CLEANUP(free_pointer) double *y = NULL;
    CLEANUP(free_pointer) double *v = NULL;
    double level;
    TRY(stats_real(job->inputs, "level", 0.95, &level, why));
    TRY(stats_table_read(job, "file", &table, why));
    TRY(stats_table_column(&table, "y", &y, why));
    TRY(stats_table_column(&table, "v", &v, why));
    struct pool dl;
    struct pool reml;
    pool_random(table.rows, y, v, POOL_DL, level, &dl);
    pool_random(table.rows, y, v, POOL_REML, level, &reml);
    *got = json_pack("{s:o, s:o}", "DL", pool_json(&dl, "DL"), "REML", pool_json(&reml, "REML"));
    return DONE;
}

struct result stats_group_sequential(const struct stats_job *job, json_t **got, struct why *why)
{
    CLEANUP(free_pointer) double *times = NULL;
    size_t k;
    double alpha;
    double phi;
    TRY(stats_reals(job->inputs, "times", &times, &k, why));
    TRY(stats_real(job->inputs, "alpha_one_sided", 0.025, &alpha, why));
    TRY(stats_real(job->inputs, "phi", 1.0, &phi, why));
    const char *name = stats_text(job->inputs, "spending", "obf");
    enum spending spending = SPEND_OBF;
    if (strcmp(name, "pocock") == 0)
        spending = SPEND_POCOCK;
    else if (strcmp(name, "power") == 0)
        spending = SPEND_POWER;
    else if (strcmp(name, "obf") != 0)
        return failed(why, RESULT_INPUT, "spending is obf, pocock or power, not '%.40s'", name);
    if (k > SEQUENTIAL_LOOKS_MAX)
        return failed(why, RESULT_INPUT, "at most %d looks", SEQUENTIAL_LOOKS_MAX);
    double bounds[SEQUENTIAL_LOOKS_MAX];
    double spent[SEQUENTIAL_LOOKS_MAX];
    enum stat_status status = sequential_bounds(k, times, alpha, spending, phi, 0.0, bounds);
    if (status != STAT_OK)
        return failed(why, RESULT_INPUT,
                      "times must ascend above 0, alpha lie in (0,1), phi above 0 (%s)",
                      stat_status_name(status));
    for (size_t i = 0; i < k; i++)
        spent[i] = spending_at(times[i], alpha, spending, phi);
    *got = json_pack("{s:o, s:o}", "bounds", stats_json_reals(k, bounds), "cum_spend",
                     stats_json_reals(k, spent));
    return DONE;
}

struct result stats_eprocess(const struct stats_job *job, json_t **got, struct why *why)
{
    CLEANUP(stats_table_free) struct stats_table table = {0};
    CLEANUP(free_pointer) double *x = NULL;
    CLEANUP(free_pointer) double *path = NULL;
    char where[STATS_WHERE_BYTES];
    double m0;
    double lambda_max;
    TRY(stats_real(job->inputs, "m0", 0.85, &m0, why));
    TRY(stats_real(job->inputs, "lam_max", 0.9, &lambda_max, why));
    TRY(stats_table_read(job, "file", &table, why));
    TRY(stats_table_column(&table, "x", &x, why));
    struct eprocess e;
    if (!eprocess_init(&e, m0, lambda_max))
        return failed(why, RESULT_INPUT, "m0 and lam_max must lie between 0 and 1");
    path = calloc(table.rows + 1, sizeof *path);
    if (!path)
        return failed(why, RESULT_SYSTEM, "no memory for %zu rows", table.rows);
    json_t *first = NULL;
    for (size_t i = 0; i < table.rows; i++) {
        if (!eprocess_push(&e, x[i])) {
            json_decref(first);
            return failed(why, RESULT_INPUT, "%s: x lies between 0 and 1",
                          stats_table_where(&table, i, where));
        }
        path[i] = e.log_e;
        if (!first && e.log_e >= log(20.0))
            first = json_integer((json_int_t)i + 1);
    }
    json_t *at = json_array();
    const json_t *wanted = json_object_get(job->inputs, "at");
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        double when = json_number_value(json_array_get(wanted, i));
        bool known = when >= 1.0 && when <= (double)table.rows;
        json_array_append_new(at, known ? stats_json(path[(size_t)when - 1]) : json_null());
    }
    *got = json_pack("{s:o, s:o, s:o, s:o}", "log_e_at", at, "log_e", stats_json(e.log_e),
                     "first_cross_alpha05", first ? first : json_null(), "max_log_e",
                     table.rows ? stats_json(e.max_log_e) : json_null());
    return DONE;
}

/* inputs.matrix as rows of numbers, or the CSV file. */
static struct result read_matrix(const struct stats_job *job, double **m, size_t *rows,
                                 size_t *cols, struct why *why)
{
    const json_t *array = json_object_get(job->inputs, "matrix");
    if (!array) {
        CLEANUP(stats_table_free) struct stats_table table = {0};
        TRY(stats_table_read(job, "file", &table, why));
        *rows = table.rows;
        *cols = table.cols;
        return stats_table_matrix(&table, m, why);
    }
    *rows = json_array_size(array);
    *cols = json_array_size(json_array_get(array, 0));
    if (*rows == 0 || *cols == 0 || *rows > MATRIX_SITES_MAX || *cols > MATRIX_SITES_MAX)
        return failed(why, RESULT_INPUT, "the matrix needs 1 to %d rows and columns",
                      MATRIX_SITES_MAX);
    *m = calloc(*rows * *cols, sizeof **m);
    if (!*m)
        return failed(why, RESULT_SYSTEM, "no memory for the matrix");
    for (size_t i = 0; i < *rows; i++) {
        const json_t *row = json_array_get(array, i);
        if (json_array_size(row) != *cols)
            return failed(why, RESULT_INPUT, "row %zu of the matrix has another length", i + 1);
        for (size_t j = 0; j < *cols; j++) {
            const json_t *cell = json_array_get(row, j);
            (*m)[i * *cols + j] = NAN;
            if (!json_is_null(cell) && !stats_number(cell, &(*m)[i * *cols + j]))
                return failed(why, RESULT_INPUT, "cell (%zu,%zu) is no number", i + 1, j + 1);
        }
    }
    return DONE;
}

static json_t *flags_json(size_t rows, const struct matrix_flags *flags)
{
    json_t *array = json_array();
    for (size_t i = 0; i < rows; i++)
        json_array_append_new(array, json_pack("{s:b, s:b}", "free_rider", flags[i].free_rider,
                                               "self_inflated", flags[i].self_inflated));
    return array;
}

struct result stats_matrix(const struct stats_job *job, json_t **got, struct why *why)
{
    CLEANUP(free_pointer) double *m = NULL;
    CLEANUP(free_pointer) double *residual = NULL;
    size_t rows = 0;
    size_t cols = 0;
    TRY(read_matrix(job, &m, &rows, &cols, why));
    residual = calloc(rows * cols + 1, sizeof *residual);
    if (!residual)
        return failed(why, RESULT_SYSTEM, "no memory for the residuals");
    struct matrix_fit fit;
    struct matrix_flags flags[MATRIX_SITES_MAX];
    TRY(matrix_fit(rows, cols, m, &fit, residual, why));
    matrix_judge(rows, cols, &fit, NULL, NULL, flags);
    json_t *resid = json_array();
    for (size_t i = 0; i < rows; i++)
        json_array_append_new(resid, stats_json_reals(cols, residual + i * cols));
    size_t diagonal = rows < cols ? rows : cols;
    *got = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "mu", stats_json(fit.mu), "row",
                     stats_json_reals(rows, fit.row), "col", stats_json_reals(cols, fit.col),
                     "resid", resid, "row_robust_z",
                     fit.row_z_defined ? stats_json_reals(rows, fit.row_z) : json_null(),
                     "diag_excess", stats_json_reals(diagonal, fit.diag_excess), "flags",
                     flags_json(rows, flags));
    return DONE;
}
