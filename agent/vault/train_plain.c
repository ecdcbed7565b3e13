/* SPDX-License-Identifier: Apache-2.0 */
/* The plain mean gradient of a batch of patients, summed over pieces of bounded memory. */
#include "agent/vault/train_gradient.h"

#include <sodium.h>
#include <string.h>

enum model_status plain_gradient_create(struct plain_gradient *plain, const struct model *model)
{
    plain->model = model;
    return model_work_create(&plain->work, model, TRAIN_BATCH_ROWS);
}

void plain_gradient_free(struct plain_gradient *plain)
{
    if (plain->work.block)
        sodium_memzero(plain->work.block, model_work_bytes(plain->model, TRAIN_BATCH_ROWS));
    model_work_free(&plain->work);
}

static void add_piece(struct plain_gradient *plain, const double *parameters, size_t rows,
                      double *gradient)
{
    model_forward(plain->model, parameters, rows, &plain->work);
    model_backward(plain->model, parameters, rows, plain->y, plain->weight, &plain->work);
    model_gradient(plain->model, rows, &plain->work, gradient);
}

void plain_gradient_mean(struct plain_gradient *plain, const struct dataset_part *part,
                         const double *parameters, const size_t *chosen, size_t count,
                         double *gradient)
{
    size_t n = plain->model->spec.inputs, used = 0;
    memset(gradient, 0, plain->model->parameters * sizeof *gradient);
    for (size_t i = 0; i < count; i++) {
        size_t from = part->first[chosen[i]], to = part->first[chosen[i] + 1];
        double share = 1.0 / ((double)(to - from) * (double)count);
        for (size_t r = from; r < to; r++) {
            memcpy(plain->work.a[0] + used * n, part->x + r * n, n * sizeof(double));
            plain->y[used] = part->y[r];
            plain->weight[used] = share * (part->weight ? part->weight[r] : 1.0);
            if (++used == TRAIN_BATCH_ROWS) {
                add_piece(plain, parameters, used, gradient);
                used = 0;
            }
        }
    }
    if (used > 0)
        add_piece(plain, parameters, used, gradient);
}
