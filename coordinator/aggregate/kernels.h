/* SPDX-License-Identifier: Apache-2.0 */
/* The inner loops of the fast engine, one table per kind of processor, chosen at run time.
 *
 * Every table gives the same bits: sums are in a fixed order over 16 lanes whatever the width of
 * the registers, products are fused where the text says so, minima and maxima are exact. */
#ifndef CONSILIUM_AGGREGATE_KERNELS_H
#define CONSILIUM_AGGREGATE_KERNELS_H

#include "coordinator/aggregate/network.h"

#include <stddef.h>

enum {
    KERNEL_LANES = 16,           /* counts of columns are padded to a multiple of it */
    KERNEL_ROWS = 4,             /* rows of tiles and mixes are padded to a multiple of it */
    KERNEL_TILE = 1024,          /* columns of one float32 accumulation */
    KERNEL_SORT_COLUMNS = 64,    /* columns that run through a table-driven network together */
    KERNEL_KEYED_COLUMNS = 32,   /* the same of keys in double */
    KERNEL_KEY_BITS = 12,        /* of a key's row */
    KERNEL_TRIMMED_ROWS_MAX = 32 /* unrolled networks up to here */
};

/* out[c] = mean of the values of ranks f..n-f-1 of x[0..n-1][c]; count a multiple of 16. */
typedef void kernel_trimmed(const float *const *x, size_t count, float *out);

/* Sorts count columns of rows x[0..m-1], a multiple of KERNEL_SORT_COLUMNS, into tiles
 * [m][KERNEL_SORT_COLUMNS] that lie `stride` floats apart; x may be one tile's rows. */
typedef void kernel_group(const float *const *x, size_t count, size_t stride, float *tile);

/* Sorts the columns of keys [m][KERNEL_KEYED_COLUMNS] in place. */
typedef void kernel_keyed_group(double *keys);

struct kernels {
    const char *name;

    /* out = x - reference, count a multiple of 16. */
    void (*centre)(size_t count, const float *x, const float *reference, float *out);

    /* packed[i(i+1)/2 + j] += sum over columns of tile[i] tile[j], j <= i < rows: float32 fused
     * sums in each of 16 lanes, then double. tile is [rows][stride], count <= KERNEL_TILE a
     * multiple of 16. soon: NULL, or where the next tile of each row lies in memory, KERNEL_TILE
     * floats each, to be fetched meanwhile. */
    void (*products)(size_t rows, size_t stride, size_t count, const float *tile,
                     const float *const *soon, double *packed);

    /* The same from rows that were not centred, wholly in double: the products are exact, so this
     * stands where float32 sums would drown small distances. */
    void (*products_wide)(size_t rows, size_t stride, size_t count, const float *tile,
                          double *packed);

    /* out[o][c] = sum_i weights[o][i] x[i][c], fused, i ascending; out_rows a multiple of
     * KERNEL_ROWS, weights [out_rows][in_rows], out [out_rows][out_stride], count a multiple of 64
     * that the rows of x can be read to. */
    void (*mix)(size_t out_rows, size_t in_rows, const float *weights, const float *const *x,
                size_t count, size_t out_stride, float *out);

    /* out[c] = (float) sum_i coef[i] x[i][c], in double, i ascending, product rounded before the
     * sum. Any count. */
    void (*combine)(size_t rows, const double *coef, const float *const *x, size_t count,
                    float *out);

    /* Runs count columns of rows x[0..n-1], a multiple of KERNEL_SORT_COLUMNS, through the
     * comparators of the groups into tiles [count / KERNEL_SORT_COLUMNS][n][KERNEL_SORT_COLUMNS]; x
     * may be one tile's rows. One group after the other: a memory follows some 30 rows at once. */
    void (*sort_groups)(const struct network *network, const float *const *x, size_t count,
                        float *tiles);

    /* Runs one such tile through the comparators that come after the groups. */
    void (*sort_rest)(const struct network *network, float *tile);

    /* Sorts KERNEL_KEYED_COLUMNS columns by (value, row) into keys [n][KERNEL_KEYED_COLUMNS]. A key
     * is the value in double, whose lowest KERNEL_KEY_BITS, zero in any float, hold the row,
     * complemented in a negative one; so keys are compared as numbers. Every step must be
     * COMPARATOR_BOTH. */
    void (*sort_keyed)(const struct network *network, const float *const *x, double *keys);

    /* From sorted keys: out[c] = value at half of the weight; the mean of two neighbours where half
     * falls between them. weight [n] in the order of rows. */
    void (*weighted_middle)(size_t n, const double *keys, const double *weight, float *out);

    /* Mean weighted by what is left after mass is taken from each end. */
    void (*weighted_trimmed)(size_t n, const double *keys, const double *weight, double mass,
                             float *out);

    /* out[c] = mean of rows first..past-1 of that tile: a sum of balanced runs in float32, in the
     * order of the unrolled networks. */
    void (*average)(size_t first, size_t past, const float *tile, float *out);

    /* On a sorted tile of n rows: out[c] = mean of the keep values nearest to the median of column
     * c, in double, an equally near pair deciding for the lower; tied[c] tells whether one did. */
    void (*around)(size_t n, size_t keep, const float *tile, float *out, bool *tied);

    /* Unrolled network for n <= KERNEL_TRIMMED_ROWS_MAX rows, f >= 1; NULL where there is none, and
     * then sort_groups, sort_rest and average give the same bits. */
    kernel_trimmed *(*trimmed)(size_t n, size_t f);
};

/* The fastest table of this machine. */
const struct kernels *kernels_best(void);

/* Every table that runs here, closed by NULL, slowest first: for tests. */
const struct kernels *const *kernels_here(void);

#endif
