/* SPDX-License-Identifier: Apache-2.0 */
/* Alias table of the Gaussian sampler's bins. */
#ifndef CONSILIUM_PRIVACY_NOISE_TABLE_H
#define CONSILIUM_PRIVACY_NOISE_TABLE_H

#include <stdint.h>

enum { NOISE_BINS = 512, NOISE_BIN_BITS = 9 };

/* Bin j covers |z| in [j/32, (j+1)/32). Column c of the table yields bin c when a 119-bit uniform
 * integer is below its threshold, else its alias. */
struct noise_table {
    uint64_t high[NOISE_BINS];  /* leading 55 bits of the threshold */
    uint64_t low[NOISE_BINS];   /* trailing 64 bits */
    uint16_t alias[NOISE_BINS]; /* .. */
    uint32_t sure[NOISE_BINS];  /* a 32-bit uniform below this accepts without looking further */
};

/* The table, built on first use from integers alone. */
const struct noise_table *noise_table_get(void);

#endif
