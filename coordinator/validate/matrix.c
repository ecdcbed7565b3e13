/* SPDX-License-Identifier: Apache-2.0 */
/* Additive fit by row and column means, repeated when cells are missing (Tukey's two-way table with
 * means), and flags by robust z. */
#include "coordinator/validate/matrix.h"

#include "linalg/stats/rank.h"
#include "proto/base/cleanup.h"

#include <math.h>

enum { SWEEPS = 1000 };
static const double SETTLED = 1e-14;
static const double MAD_TO_SD = 1.4826;
static const double FAR = 3.0;           /* robust z */
static const double SAME_RANKING = 1e-9; /* |d| of an update that moves no pair of patients */

/* Adds to offset[k] the mean of its line's residuals; returns the largest move. */
static double sweep_lines(size_t lines, size_t length, size_t line_step, size_t cell_step,
                          double *residual, double *offset)
{
    double moved = 0.0;
    for (size_t k = 0; k < lines; k++) {
        double sum = 0.0;
        double count = 0.0;
        for (size_t c = 0; c < length; c++) {
            double r = residual[k * line_step + c * cell_step];
            if (!isnan(r)) {
                sum += r;
                count += 1.0;
            }
        }
        double mean = sum / count;
        offset[k] += mean;
        moved = fmax(moved, fabs(mean));
        for (size_t c = 0; c < length; c++)
            residual[k * line_step + c * cell_step] -= mean;
    }
    return moved;
}

static bool every_line_has_a_number(size_t lines, size_t length, size_t line_step, size_t cell_step,
                                    const double *m)
{
    for (size_t k = 0; k < lines; k++) {
        bool any = false;
        for (size_t c = 0; c < length; c++)
            any = any || isfinite(m[k * line_step + c * cell_step]);
        if (!any)
            return false;
    }
    return true;
}

/* Moves the mean of the offsets into mu. */
static void centre(size_t n, double *offset, double *mu)
{
    double mean = 0.0;
    for (size_t k = 0; k < n; k++)
        mean += offset[k] / (double)n;
    for (size_t k = 0; k < n; k++)
        offset[k] -= mean;
    *mu += mean;
}

static void robust_rows(size_t rows, struct matrix_fit *fit)
{
    double scratch[MATRIX_SITES_MAX];
    for (size_t i = 0; i < rows; i++)
        scratch[i] = fit->row[i];
    double median = rank_median(rows, scratch);
    for (size_t i = 0; i < rows; i++)
        scratch[i] = fabs(fit->row[i] - median);
    double mad = MAD_TO_SD * rank_median(rows, scratch);
    fit->row_z_defined = mad > SETTLED;
    for (size_t i = 0; i < rows; i++)
        fit->row_z[i] = fit->row_z_defined ? (fit->row[i] - median) / mad : (double)NAN;
}

static void diagonal(size_t rows, size_t cols, double *residual, struct matrix_fit *fit)
{
    for (size_t i = 0; i < rows; i++)
        fit->diag_excess[i] = i < cols ? residual[i * cols + i] : (double)NAN;
    size_t count = 0;
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < cols; j++) {
            double r = residual[i * cols + j];
            if (i != j && !isnan(r))
                residual[count++] = fabs(r); /* count never passes the cell being read */
        }
    }
    fit->residual_spread = count ? MAD_TO_SD * rank_median(count, residual) : (double)NAN;
}

struct result matrix_fit(size_t rows, size_t cols, const double *m, struct matrix_fit *fit,
                         double *residual, struct why *why)
{
    if (rows == 0 || cols == 0 || rows > MATRIX_SITES_MAX || cols > MATRIX_SITES_MAX)
        return failed(why, RESULT_INPUT, "a cross-site matrix has 1 to %d rows and columns",
                      MATRIX_SITES_MAX);
    if (!every_line_has_a_number(rows, cols, cols, 1, m) ||
        !every_line_has_a_number(cols, rows, 1, cols, m))
        return failed(
            why, RESULT_INPUT,
            "a row or column of the cross-site matrix has no number: leave that site out");
    CLEANUP(free_pointer) double *r = calloc(rows * cols, sizeof *r);
    if (!r)
        return failed(why, RESULT_SYSTEM, "no memory for a %zu by %zu matrix", rows, cols);
    *fit = (struct matrix_fit){0};
    for (size_t k = 0; k < rows * cols; k++)
        r[k] = isfinite(m[k]) ? m[k] : (double)NAN;
    for (int s = 0; s < SWEEPS; s++) {
        double moved = sweep_lines(rows, cols, cols, 1, r, fit->row);
        moved = fmax(moved, sweep_lines(cols, rows, 1, cols, r, fit->col));
        if (moved < SETTLED)
            break;
    }
    centre(rows, fit->row, &fit->mu);
    centre(cols, fit->col, &fit->mu);
    for (size_t k = 0; residual && k < rows * cols; k++)
        residual[k] = r[k];
    robust_rows(rows, fit);
    diagonal(rows, cols, r, fit);
    return DONE;
}

/* Whether row i leaves every known ranking as it was. */
static bool changes_nothing(size_t cols, const double *d, const double *var_d)
{
    bool known = false;
    for (size_t j = 0; j < cols; j++) {
        if (isnan(d[j]) || isnan(var_d[j]))
            continue;
        known = true;
        if (fabs(d[j]) > SAME_RANKING || var_d[j] > SAME_RANKING * SAME_RANKING)
            return false;
    }
    return known;
}

void matrix_judge(size_t rows, size_t cols, const struct matrix_fit *fit, const double *d,
                  const double *var_d, struct matrix_flags *flags)
{
    for (size_t i = 0; i < rows; i++) {
        bool idle = d && var_d && changes_nothing(cols, d + i * cols, var_d + i * cols);
        bool bottom = fit->row_z_defined && fit->row_z[i] < -FAR;
        flags[i].free_rider = idle || bottom;
        flags[i].self_inflated =
            fit->residual_spread > 0.0 && fit->diag_excess[i] > FAR * fit->residual_spread;
    }
}

void matrix_leave_one_out(size_t rows, size_t cols, const double *full, const double *without,
                          double *out)
{
    for (size_t i = 0; i < rows; i++) {
        double sum = 0.0;
        double count = 0.0;
        for (size_t j = 0; j < cols; j++) {
            double gain = full[j] - without[i * cols + j];
            if (j != i && !isnan(gain)) {
                sum += gain;
                count += 1.0;
            }
        }
        out[i] = count > 0.0 ? sum / count : (double)NAN;
    }
}
