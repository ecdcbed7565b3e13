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
    EDEN_NEAR_CELLS = 8, /* half of such a register */
    EDEN_LINES = 32,     /* two such registers */
    EDEN_LINES_PER_UNIT = 7,
};

#define EDEN_LINES_TOP 4.5F /* above the last threshold, in the last line */

/* A cell of the look-up grid. */
struct eden_cell {
    float cut;         /* the threshold that may lie in it */
    float under, over; /* values of the levels at most and above the cut */
    int below;         /* number of the level under it */
};

/* What the encoder needs. Grid cells are narrower than the distance of any two thresholds, so at
 * most one threshold lies in a cell: level(a) = below + (a > cut), of a's cell. */
struct eden_quantiser {
    unsigned levels;
    float level[EDEN_MAX_LEVELS];     /* rest zero */
    float threshold[EDEN_MAX_LEVELS]; /* threshold[i] between level i and i + 1; rest infinite */
    _Alignas(16) struct eden_cell cell[EDEN_CELLS];
    /* For at most 4 bits, cells around the multiples of a unit, so wide that cell k > 0 holds
     * threshold k - 1 and cell 0 none. With k the nearest integer to a * near_per_unit, at most
     * levels - 1: level(a) = k - (a <= near_cut[k]). */
    float near_per_unit;
    float near_cut[EDEN_NEAR_CELLS];
    /* For at most 4 bits, by floor(y * inverse * 4) in 5 bits two's complement, so that y's sign
     * picks the half: the code with its sign bit, and the cut of |y| * inverse * 4. */
    int coarse_code[2 * EDEN_COARSE_CELLS];
    float coarse_cut[2 * EDEN_COARSE_CELLS];
    float coarse_level[EDEN_COARSE_CELLS]; /* by code */
    /* For 8 bits, with b the smaller of a and EDEN_LINES_TOP: lines through the numbers of the
     * thresholds, so that n = offset + slope * b by the line floor(b * EDEN_LINES_PER_UNIT),
     * truncated, is the level or the one below: level(a) = n + (a > threshold[n]). */
    float line_offset[EDEN_LINES], line_slope[EDEN_LINES];
};

bool eden_bits_known(unsigned bits);

/* The 2^(bits-1) levels, ascending; bits in {1,2,3,4,8}. */
const float *eden_levels(unsigned bits);

void eden_quantiser_init(unsigned bits, struct eden_quantiser *ret);

#endif
