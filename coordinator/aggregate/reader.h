/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of the rows, wherever they are: in memory, or decoded one block at a time. */
#ifndef CONSILIUM_AGGREGATE_READER_H
#define CONSILIUM_AGGREGATE_READER_H

#include "coordinator/aggregate/aggregate.h"
#include "coordinator/aggregate/decide.h"

/* One thread's view of one block. Points are the rows, then the extra point, then the origin. */
struct reader {
    const struct agg_source *source;
    const struct agg_points *points;
    float *decoded;   /* [n][AGG_BLOCK] when the rows are not in memory, else NULL */
    float *extra;     /* [AGG_BLOCK], the extra point in float32 */
    float *zeros;     /* [AGG_BLOCK] */
    const float **at; /* [n + extra + origin]: the block's coordinates of each point */
};

/* Allocates; reader_free, also after failure. False when memory is short. */
bool reader_init(struct reader *reader, const struct agg_source *source,
                 const struct agg_points *points);
void reader_free(struct reader *reader);

/* Points at[] to block number block, of *count coordinates. wanted: NULL, or [n], rows to skip
 * where false. Returns the row that does not decode, or SIZE_MAX when all is well. */
size_t reader_open(struct reader *reader, size_t block, const bool *wanted, size_t *count);

static inline size_t reader_blocks(size_t d)
{
    return (d + AGG_BLOCK - 1) / AGG_BLOCK;
}

#endif
