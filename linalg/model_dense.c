/* SPDX-License-Identifier: Apache-2.0 */
/* Forward and backward passes of dense layers, as one matrix product per layer and direction:
 *   Z^l = A^l W^l + b^l,  A^(l+1) = f(Z^l),  D^(l-1) = (D^l W^l') * f'(Z^(l-1)),  G^l = A^l' D^l
 * (Goodfellow, Bengio, Courville, Deep Learning, algorithm 6.4). Rows never mix before G. */
#include "linalg/blas.h"
#include "linalg/model.h"
#include "linalg/model_output.h"

#include <math.h>

static void add_bias(size_t rows, size_t n, const double *restrict bias, double *restrict z)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < n; j++)
            z[r * n + j] += bias[j];
}

static void add_columns(size_t rows, size_t n, const double *restrict d, double *restrict bias)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < n; j++)
            bias[j] += d[r * n + j];
}

/* A NaN stays NaN under both, so that its row is seen to be broken. */
static void activate(enum model_activation activation, size_t count, double *z)
{
    if (activation == MODEL_TANH) {
        for (size_t i = 0; i < count; i++)
            z[i] = tanh(z[i]);
        return;
    }
    for (size_t i = 0; i < count; i++)
        z[i] = z[i] < 0.0 ? 0.0 : z[i];
}

/* d *= f'(z), read off the activated value. */
static void times_slope(enum model_activation activation, size_t count, const double *active,
                        double *d)
{
    if (activation == MODEL_TANH) {
        for (size_t i = 0; i < count; i++)
            d[i] *= 1.0 - active[i] * active[i];
        return;
    }
    for (size_t i = 0; i < count; i++)
        d[i] = active[i] > 0.0 ? d[i] : 0.0;
}

void model_forward(const struct model *model, const double *parameters, size_t rows,
                   struct model_work *work)
{
    for (size_t l = 0; l < model->layers; l++) {
        const struct model_layer *layer = &model->layer[l];
        bool last = l + 1 == model->layers;
        double *z = last ? work->z : work->a[l + 1];
        blas_multiply(rows, layer->outputs, layer->inputs, work->a[l], parameters + layer->weight,
                      0.0, z);
        add_bias(rows, layer->outputs, parameters + layer->bias, z);
        if (!last)
            activate(model->spec.activation, rows * layer->outputs, z);
    }
    size_t n = model->spec.outputs;
    for (size_t r = 0; r < rows; r++)
        model->head->score(n, work->z + r * n, work->score + r * n);
}

double model_backward(const struct model *model, const double *parameters, size_t rows,
                      const double *y, const double *weight, struct model_work *work)
{
    size_t n = model->spec.outputs, last = model->layers - 1;
    double loss = 0.0;
    for (size_t r = 0; r < rows; r++) {
        double *delta = work->d[last] + r * n;
        double w = weight ? weight[r] : 1.0;
        loss += w * model->head->loss(n, work->z + r * n, work->score + r * n, y[r], delta);
        for (size_t k = 0; k < n; k++)
            delta[k] *= w;
    }
    for (size_t l = last; l > 0; l--) {
        const struct model_layer *layer = &model->layer[l];
        blas_multiply_bt(rows, layer->inputs, layer->outputs, work->d[l],
                         parameters + layer->weight, 0.0, work->d[l - 1]);
        times_slope(model->spec.activation, rows * layer->inputs, work->a[l], work->d[l - 1]);
    }
    return loss;
}

void model_gradient(const struct model *model, size_t rows, const struct model_work *work,
                    double *gradient)
{
    for (size_t l = 0; l < model->layers; l++) {
        const struct model_layer *layer = &model->layer[l];
        blas_multiply_at(layer->inputs, layer->outputs, rows, work->a[l], work->d[l], 1.0,
                         gradient + layer->weight);
        add_columns(rows, layer->outputs, work->d[l], gradient + layer->bias);
    }
}
