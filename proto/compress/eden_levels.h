/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lloyd-Max quantiser of |N(0,1)|: levels c_i, thresholds t_i = (c_{i-1} + c_i)/2,
 * c_i = E[X | t_i < X < t_{i+1}] (Lloyd 1982; Max 1960). The table is checked in so that every
 * machine decodes the same floats; a test recomputes it.
 */
#ifndef CONSILIUM_COMPRESS_EDEN_LEVELS_H
#define CONSILIUM_COMPRESS_EDEN_LEVELS_H

#include <stdbool.h>

enum {
    EDEN_MAX_LEVELS = 128, /* of one sign, at 8 bits */
    EDEN_CELLS = 384,      /* of the look-up grid */
    EDEN_CELLS_PER_UNIT = 64,
    EDEN_COARSE_CELLS = 16, /* one vector register; enough up to 4 bits */
    EDEN_COARSE_PER_UNIT = 4,
};

/* What the encoder needs. Grid cells are narrower than the distance of any two thresholds, so at
 * most one threshold lies in a cell: level(a) = below[cell] + (a > cut[cell]). */
struct eden_quantiser {
    unsigned levels;
    float level[EDEN_MAX_LEVELS];     /* rest zero */
    float threshold[EDEN_MAX_LEVELS]; /* threshold[i] between level i and i + 1; rest infinite */
    float cut[EDEN_CELLS];
    int below[EDEN_CELLS];
    /* For at most 4 bits, by floor(y * inverse * 4) in 5 bits two's complement, so that y's sign
     * picks the half: the code with its sign bit, and the cut of |y| * inverse * 4. */
    int coarse_code[2 * EDEN_COARSE_CELLS];
    float coarse_cut[2 * EDEN_COARSE_CELLS];
    float coarse_level[EDEN_COARSE_CELLS]; /* by code */
};

bool eden_bits_known(unsigned bits);

/* The 2^(bits-1) levels, ascending; bits in {1,2,3,4,8}. */
const float *eden_levels(unsigned bits);

void eden_quantiser_init(unsigned bits, struct eden_quantiser *ret);

#endif
