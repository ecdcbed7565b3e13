/* SPDX-License-Identifier: Apache-2.0 */
/* Momentum per site at the coordinator. */
#include "coordinator/aggregate/momentum.h"

#include <math.h>

void momentum_step(struct momentum *momentum, double beta, const float *g, float *out)
{
    momentum->rounds++;
    double bias = 1.0 - pow(beta, (double)momentum->rounds);
    for (size_t c = 0; c < momentum->d; c++) {
        double m = beta * (double)momentum->state[c] + (1.0 - beta) * (double)g[c];
        momentum->state[c] = (float)m;
        out[c] = (float)(m / bias);
    }
}

double momentum_noise_factor(double beta)
{
    return sqrt((1.0 - beta) / (1.0 + beta));
}
