/* SPDX-License-Identifier: Apache-2.0 */
/* Ghost norms: |g_p|^2 = sum_l sum_{r,s} (<a_r,a_s> + 1) <d_r,d_s>, by row norms for one row, by
 * pairs for few, by Gram matrices for several, or by the gradient itself where that is smaller.
 *
 * Rounding: a dot product of length n in double is off by at most gamma_n = n 2^-53 of the sum of
 * absolute terms (Higham, Accuracy and Stability, section 3.1), which the bound below adds back. */
#include "privacy/clip_norm.h"

#include "linalg/blas.h"

#include <math.h>
#include <sodium.h>
#include <stdlib.h>

enum { FEW_ROWS = 8 }; /* up to here pairs of rows are cheaper than small matrices */

double clip_square(size_t n, const double *x)
{
    double sum;
    clip_kernel_choose()->squares(1, n, x, &sum);
    return sum;
}

static bool gram_is_cheaper(const struct model_layer *layer, size_t rows)
{
    return rows * (layer->inputs + layer->outputs) <= layer->inputs * layer->outputs;
}

static size_t scratch_doubles(const struct model *model, size_t rows)
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

bool clip_norms_create(struct clip_norms *norms, const struct model *model, size_t capacity,
                       size_t patient_rows)
{
    *norms = (struct clip_norms){.kernel = clip_kernel_choose(), .capacity = capacity};
    norms->scratch_n = scratch_doubles(model, patient_rows);
    norms->rows = calloc(model->layers * capacity, sizeof(double));
    norms->a = calloc(capacity, sizeof(double));
    norms->d = calloc(capacity, sizeof(double));
    norms->scratch = calloc(norms->scratch_n, sizeof(double));
    return norms->rows && norms->a && norms->d && norms->scratch;
}

static void wipe(double *p, size_t n)
{
    if (p)
        sodium_memzero(p, n * sizeof *p);
    free(p);
}

void clip_norms_free(struct clip_norms *norms, const struct model *model)
{
    wipe(norms->rows, model->layers * norms->capacity);
    wipe(norms->a, norms->capacity);
    wipe(norms->d, norms->capacity);
    wipe(norms->scratch, norms->scratch_n);
    *norms = (struct clip_norms){0};
}

void clip_norms_rows(struct clip_norms *norms, const struct model *model,
                     const struct model_work *work, size_t rows, const double *square)
{
    for (size_t l = 0; l < model->layers; l++) {
        const struct model_layer *layer = &model->layer[l];
        const double *a = square;
        double *out = norms->rows + l * norms->capacity;
        if (l > 0) {
            norms->kernel->squares(rows, layer->inputs, work->a[l], norms->a);
            a = norms->a;
        }
        norms->kernel->squares(rows, layer->outputs, work->d[l], norms->d);
        for (size_t r = 0; r < rows; r++)
            out[r] = (a[r] + 1.0) * norms->d[r];
    }
}

static double row_square(const struct clip_norms *norms, const struct model *model, size_t row)
{
    double sum = 0.0;
    for (size_t l = 0; l < model->layers; l++)
        sum += norms->rows[l * norms->capacity + row];
    return sum;
}

static void cut_row(struct clip_norms *norms, const struct model *model, struct model_work *work,
                    size_t row, double limit)
{
    double square = row_square(norms, model, row);
    if (!(square > limit * limit) || !isfinite(square))
        return;
    double factor = limit / sqrt(square);
    for (size_t l = 0; l < model->layers; l++) {
        size_t n = model->layer[l].outputs;
        for (size_t j = 0; j < n; j++)
            work->d[l][row * n + j] *= factor;
        norms->rows[l * norms->capacity + row] *= factor * factor;
    }
}

/* Products of up to four neighbouring rows with one another: out = 01, 02, 03, 12, 13, 23. */
static void products_within(const struct clip_kernel *kernel, size_t n, const double *x,
                            size_t rows, double out[6])
{
    const double *const four[4] = {x, x + (rows > 1 ? n : 0), x + (rows > 2 ? 2 * n : 0),
                                   x + (rows > 3 ? 3 * n : 0)};
    kernel->four(n, four, out);
}

/* sum over r < s of one tile of up to four rows of (<a_r,a_s> + 1) <d_r,d_s>. */
static double tile_within(const struct clip_kernel *kernel, const struct model_layer *layer,
                          const double *a, const double *d, size_t rows)
{
    static const size_t LATER[6] = {1, 2, 3, 2, 3, 3}; /* the second row of each product */
    double aa[6], dd[6], sum = 0.0;
    products_within(kernel, layer->inputs, a, rows, aa);
    products_within(kernel, layer->outputs, d, rows, dd);
    for (size_t k = 0; k < 6; k++)
        if (LATER[k] < rows)
            sum += (aa[k] + 1.0) * dd[k];
    return sum;
}

/* The same between two rows of one tile and up to two of a later one. */
static double tile_between(const struct clip_kernel *kernel, const struct model_layer *layer,
                           const double *const a[4], const double *const d[4], size_t later)
{
    double aa[4], dd[4], sum = 0.0;
    kernel->cross(layer->inputs, a, a + 2, aa);
    kernel->cross(layer->outputs, d, d + 2, dd);
    for (size_t k = 0; k < 4; k++)
        if (k % 2 < later)
            sum += (aa[k] + 1.0) * dd[k];
    return sum;
}

/* sum over r != s of (<a_r,a_s> + 1) <d_r,d_s>, four rows at a time. */
static double layer_by_pairs(const struct clip_kernel *kernel, const struct model_layer *layer,
                             const double *a, const double *d, size_t rows)
{
    size_t in = layer->inputs, out = layer->outputs;
    double sum = 0.0;
    for (size_t r = 0; r < rows; r += 4)
        sum += tile_within(kernel, layer, a + r * in, d + r * out, rows - r < 4 ? rows - r : 4);
    for (size_t s = 4; s < rows; s += 2) {
        size_t next = s + 1 < rows ? s + 1 : s, last = s / 4 * 4;
        for (size_t r = 0; r < last; r += 2) {
            const double *const ra[4] = {a + r * in, a + (r + 1) * in, a + s * in, a + next * in};
            const double *const rd[4] = {d + r * out, d + (r + 1) * out, d + s * out,
                                         d + next * out};
            sum += tile_between(kernel, layer, ra, rd, rows - s < 2 ? 1 : 2);
        }
    }
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
    return (double)longest + (double)(rows * rows) + (double)model->layers + 24.0;
}

double clip_patient_norm(struct clip_norms *norms, const struct model *model,
                         struct model_work *work, size_t first, size_t rows, double row_limit)
{
    double sum = 0.0, sum_abs = 0.0, unit = 2.0 * longest_chain(model, rows) * 0x1p-53;
    if (rows == 1) {
        sum = row_square(norms, model, first);
        return (1.0 + unit) * sqrt(sum + unit * sum);
    }
    for (size_t r = 0; r < rows; r++)
        cut_row(norms, model, work, first + r, row_limit);
    for (size_t l = 0; l < model->layers; l++) {
        const struct model_layer *layer = &model->layer[l];
        const double *a = work->a[l] + first * layer->inputs;
        const double *d = work->d[l] + first * layer->outputs;
        const double *squares = norms->rows + l * norms->capacity + first;
        double absolute = 0.0, own = 0.0;
        for (size_t r = 0; r < rows; r++) {
            own += squares[r];
            absolute += sqrt(squares[r]);
        }
        sum_abs += absolute * absolute;
        if (rows <= FEW_ROWS)
            sum += own + layer_by_pairs(norms->kernel, layer, a, d, rows);
        else if (gram_is_cheaper(layer, rows))
            sum += layer_by_gram(layer, a, d, rows, norms->scratch);
        else
            sum += layer_direct(layer, a, d, rows, norms->scratch);
    }
    /* fmax would turn a NaN into 0. */
    return (1.0 + unit) * sqrt((sum < 0.0 ? 0.0 : sum) + unit * sum_abs);
}
