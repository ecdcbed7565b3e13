/* SPDX-License-Identifier: Apache-2.0 */
/* Ghost norms: |g_p|^2 = sum_l sum_{r,s} (<a_r,a_s> + 1) <d_r,d_s>, by row norms for one row, by
 * pairs for few, by Gram matrices for several, or by the gradient itself where that is smaller.
 *
 * Rounding: a dot product of length n in double is off by at most gamma_n = n 2^-53 of the sum of
 * absolute terms (Higham, Accuracy and Stability, section 3.1), which the bound below adds back. */
#include "privacy/clip_norm.h"

#include "linalg/blas.h"

#include <math.h>
#include <string.h>

enum {
    LONG_ROW = 48, /* from here on the library's kernel is worth its call */
    FEW_ROWS = 8,  /* up to here pairs of rows are cheaper than small matrices */
};

/* Eight running sums, so that the compiler may keep them in vector registers. */
static double dot(size_t n, const double *x, const double *y)
{
    double s[8] = {0};
    size_t i = 0;
    if (n >= LONG_ROW)
        return blas_dot(n, x, y);
    for (; i + 8 <= n; i += 8)
        for (size_t k = 0; k < 8; k++)
            s[k] += x[i + k] * y[i + k];
    for (; i < n; i++)
        s[0] += x[i] * y[i];
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

double clip_square(size_t n, const double *x)
{
    return dot(n, x, x);
}

static bool gram_is_cheaper(const struct model_layer *layer, size_t rows)
{
    return rows * (layer->inputs + layer->outputs) <= layer->inputs * layer->outputs;
}

size_t clip_norm_scratch(const struct model *model, size_t rows)
{
    size_t most = 2 * rows * rows;
    for (size_t l = 0; l < model->layers; l++) {
        const struct model_layer *layer = &model->layer[l];
        size_t weights = layer->inputs * layer->outputs;
        if (!gram_is_cheaper(layer, rows) && weights > most)
            most = weights;
    }
    return most + rows;
}

/* (|a_r|^2 + 1) |d_r|^2 of one row and layer. */
static double row_square(const struct model *model, const struct model_work *work, size_t l,
                         size_t row, double input_square)
{
    const struct model_layer *layer = &model->layer[l];
    double a = l == 0 ? input_square : clip_square(layer->inputs, work->a[l] + row * layer->inputs);
    return (a + 1.0) * clip_square(layer->outputs, work->d[l] + row * layer->outputs);
}

static double whole_row_square(const struct model *model, const struct model_work *work, size_t row,
                               double input_square)
{
    double sum = 0.0;
    for (size_t l = 0; l < model->layers; l++)
        sum += row_square(model, work, l, row, input_square);
    return sum;
}

static void cut_row(const struct model *model, struct model_work *work, size_t row, double square,
                    double limit)
{
    if (!(square > limit * limit) || !isfinite(square))
        return;
    double factor = limit / sqrt(square);
    for (size_t l = 0; l < model->layers; l++) {
        size_t n = model->layer[l].outputs;
        for (size_t j = 0; j < n; j++)
            work->d[l][row * n + j] *= factor;
    }
}

/* sum over r != s of (<a_r,a_s> + 1) <d_r,d_s>. */
static double layer_by_pairs(const struct model_layer *layer, const double *a, const double *d,
                             size_t rows)
{
    double sum = 0.0;
    for (size_t r = 1; r < rows; r++)
        for (size_t s = 0; s < r; s++)
            sum += (dot(layer->inputs, a + r * layer->inputs, a + s * layer->inputs) + 1.0) *
                   dot(layer->outputs, d + r * layer->outputs, d + s * layer->outputs);
    return 2.0 * sum;
}

/* sum_{r,s} (<a_r,a_s> + 1) <d_r,d_s> by two small products. */
static double layer_by_gram(const struct model_layer *layer, const double *a, const double *d,
                            size_t rows, double *scratch)
{
    double *aa = scratch, *dd = scratch + rows * rows, sum = 0.0;
    blas_multiply_bt(rows, rows, layer->inputs, a, a, 0.0, aa);
    blas_multiply_bt(rows, rows, layer->outputs, d, d, 0.0, dd);
    for (size_t i = 0; i < rows * rows; i++)
        sum += (aa[i] + 1.0) * dd[i];
    return sum;
}

/* The same as |A'D|^2 + |column sums of D|^2. */
static double layer_direct(const struct model_layer *layer, const double *a, const double *d,
                           size_t rows, double *scratch)
{
    blas_multiply_at(layer->inputs, layer->outputs, rows, a, d, 0.0, scratch);
    double sum = clip_square(layer->inputs * layer->outputs, scratch);
    for (size_t j = 0; j < layer->outputs; j++) {
        double bias = 0.0;
        for (size_t r = 0; r < rows; r++)
            bias += d[r * layer->outputs + j];
        sum += bias * bias;
    }
    return sum;
}

/* Length of the longest chain of roundings that one term of the sum passes through. */
static double longest_chain(const struct model *model, size_t rows)
{
    size_t longest = 0;
    for (size_t l = 0; l < model->layers; l++) {
        const struct model_layer *layer = &model->layer[l];
        size_t n = layer->inputs * layer->outputs + layer->inputs + layer->outputs;
        longest = n > longest ? n : longest;
    }
    return (double)longest + (double)(rows * rows) + (double)model->layers + 16.0;
}

double clip_patient_norm(const struct model *model, struct model_work *work, size_t first,
                         size_t rows, const double *square, double row_limit, double *scratch)
{
    double sum = 0.0, sum_abs = 0.0, unit = 2.0 * longest_chain(model, rows) * 0x1p-53;
    if (rows == 1) {
        sum = sum_abs = whole_row_square(model, work, first, square[0]);
        return (1.0 + unit) * sqrt(sum + unit * sum_abs);
    }
    for (size_t r = 0; r < rows; r++)
        cut_row(model, work, first + r, whole_row_square(model, work, first + r, square[r]),
                row_limit);
    for (size_t l = 0; l < model->layers; l++) {
        const struct model_layer *layer = &model->layer[l];
        const double *a = work->a[l] + first * layer->inputs;
        const double *d = work->d[l] + first * layer->outputs;
        double norms = 0.0, own = 0.0;
        for (size_t r = 0; r < rows; r++) {
            double row = row_square(model, work, l, first + r, square[r]);
            own += row;
            norms += sqrt(row);
        }
        sum_abs += norms * norms;
        if (rows <= FEW_ROWS)
            sum += own + layer_by_pairs(layer, a, d, rows);
        else if (gram_is_cheaper(layer, rows))
            sum += layer_by_gram(layer, a, d, rows, scratch);
        else
            sum += layer_direct(layer, a, d, rows, scratch);
    }
    /* fmax would turn a NaN into 0. */
    return (1.0 + unit) * sqrt((sum < 0.0 ? 0.0 : sum) + unit * sum_abs);
}
