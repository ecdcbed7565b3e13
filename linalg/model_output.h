/* SPDX-License-Identifier: Apache-2.0 */
/* Output heads: what a model makes of its last linear predictor, and the loss that goes with it. */
#ifndef CONSILIUM_LINALG_MODEL_OUTPUT_H
#define CONSILIUM_LINALG_MODEL_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

struct model_head {
    const char *name;
    bool (*outputs_fit)(size_t outputs);
    /* score[n] from z[n] of one row. */
    void (*score)(size_t n, const double *z, double *score);
    /* Loss of one row with label y; delta[n] = dLoss/dz. */
    double (*loss)(size_t n, const double *z, const double *score, double y, double *delta);
};

extern const struct model_head model_head_linear, model_head_logistic, model_head_softmax,
    model_head_hazard;

#endif
