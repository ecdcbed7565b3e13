/* SPDX-License-Identifier: Apache-2.0 */
/* Builds the alias table (Walker 1977, Vose 1991) in integers: bin j has weight exp(-(j/32)^2 / 2),
 * as a fraction of their sum in units of 2^-128, so that the 512 columns of 2^119 are filled
 * exactly. With r = e^{-1/2048}: weight_j = r^{j^2}, weight_{j+1} = weight_j r^{2j+1}. Each of the
 * 512 steps loses less than 2^-126, so the table is within 2^-110 of the true weights in total
 * variation. */
#include "privacy/noise_table.h"

#include "privacy/wide.h"

#include <pthread.h>

static struct noise_table table;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Shares of 2^128; their sum modulo 2^128 is 0, that is, exactly 1. */
static void shares(wide share[NOISE_BINS])
{
    wide r = wide_exp_minus((wide)1 << 117); /* 1/2048 */
    wide r2 = wide_mul(r, r), step = r, weight = ~(wide)0, sum = 0;
    for (int j = 0; j < NOISE_BINS; j++) {
        share[j] = weight;
        sum += weight >> 6; /* the sum is about 40.6: in units of 64 it fits */
        weight = wide_mul(weight, step);
        step = wide_mul(step, r2);
    }
    wide inverse = wide_half_inverse(sum), total = 0; /* 32 / (weights' sum) */
    for (int j = 0; j < NOISE_BINS; j++) {
        share[j] = wide_mul(share[j], inverse) >> 5;
        total += share[j];
    }
    share[0] += -total; /* what rounding down left over */
}

static void build(void)
{
    const wide column = (wide)1 << 119;
    wide share[NOISE_BINS];
    int small[NOISE_BINS], large[NOISE_BINS], smalls = 0, larges = 0;
    shares(share);
    for (int j = 0; j < NOISE_BINS; j++) {
        if (share[j] < column)
            small[smalls++] = j;
        else
            large[larges++] = j;
    }
    while (smalls > 0 && larges > 0) {
        int s = small[--smalls], l = large[--larges];
        table.high[s] = (uint64_t)(share[s] >> 64);
        table.low[s] = (uint64_t)share[s];
        table.alias[s] = (uint16_t)l;
        share[l] -= column - share[s];
        if (share[l] < column)
            small[smalls++] = l;
        else
            large[larges++] = l;
    }
    while (larges > 0) { /* exactly full columns never use their alias */
        int l = large[--larges];
        table.high[l] = UINT64_C(1) << 55;
        table.alias[l] = (uint16_t)l;
    }
    for (int j = 0; j < NOISE_BINS; j++) {
        /* e^{-t} >= 1 - t >= 1 - (j + 1/2) / 1024, in units of 2^-32, less one. */
        table.sure[j] = (uint32_t)((UINT64_C(1) << 32) - (2 * (uint64_t)j + 1) * (1 << 21) - 1);
    }
}

const struct noise_table *noise_table_get(void)
{
    pthread_once(&once, build);
    return &table;
}
