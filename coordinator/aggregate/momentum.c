/* SPDX-License-Identifier: Apache-2.0 */
/* Momentum per site at the coordinator. */
#include "coordinator/aggregate/momentum.h"

#include <math.h>

/* By multiplications alone, so that every machine gets the same bits. */
static double whole_power(double base, uint64_t exponent)
{
    double power = 1.0;
    for (double square = base; exponent > 0; exponent >>= 1, square *= square)
        if (exponent & 1)
            power *= square;
    return power;
}

void momentum_step(struct momentum *momentum, double beta, const float *g, float *out)
{
    momentum->rounds++;
    double bias = 1.0 - whole_power(beta, momentum->rounds);
    for (size_t c = 0; c < momentum->d; c++) {
        double m = beta * (double)momentum->state[c] + (1.0 - beta) * (double)g[c];
        momentum->state[c] = (float)m;
        out[c] = (float)(m / bias);
    }
}

void momentum_reach(const struct momentum *momentum, double beta, const float *row, float *out)
{
    double bias = 1.0 - whole_power(beta, momentum->rounds + 1);
    for (size_t c = 0; c < momentum->d; c++)
        out[c] =
            (float)(((double)row[c] * bias - beta * (double)momentum->state[c]) / (1.0 - beta));
}

double momentum_noise_factor(double beta)
{
    return sqrt((1.0 - beta) / (1.0 + beta));
}
