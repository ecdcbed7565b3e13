/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of the rows for one thread. */
#include "coordinator/aggregate/reader.h"

#include <stdlib.h>
#include <string.h>

/* Rows start at cache lines, as decoders like, and not a power of two apart, or the columns that
 * are worked on together would share few places in the cache. */
enum { ROW_STRIDE = AGG_BLOCK + 80 };

static float *new_rows(size_t n)
{
    void *rows = NULL;
    if (posix_memalign(&rows, 64, n * ROW_STRIDE * sizeof(float)) != 0)
        return NULL;
    memset(rows, 0, n * ROW_STRIDE * sizeof(float));
    return rows;
}

bool reader_init(struct reader *reader, const struct agg_source *source,
                 const struct agg_points *points)
{
    memset(reader, 0, sizeof *reader);
    reader->source = source;
    reader->points = points;
    if (!source->rows)
        reader->decoded = new_rows(source->n);
    reader->extra = calloc(AGG_BLOCK, sizeof(float));
    reader->zeros = calloc(AGG_BLOCK, sizeof(float));
    reader->at = calloc(agg_points_count(points), sizeof *reader->at);
    return (source->rows || reader->decoded) && reader->extra && reader->zeros && reader->at;
}

void reader_free(struct reader *reader)
{
    free(reader->decoded);
    free(reader->extra);
    free(reader->zeros);
    free(reader->at);
    memset(reader, 0, sizeof *reader);
}

size_t reader_open(struct reader *reader, size_t block, const bool *wanted, size_t *count)
{
    const struct agg_source *source = reader->source;
    const struct agg_points *points = reader->points;
    size_t first = block * AGG_BLOCK;
    *count = source->d - first < AGG_BLOCK ? source->d - first : AGG_BLOCK;
    for (size_t i = 0; i < source->n; i++) {
        if (wanted && !wanted[i]) {
            reader->at[i] = reader->zeros;
            continue;
        }
        if (source->rows) {
            reader->at[i] = source->rows[i] + first;
            continue;
        }
        float *to = reader->decoded + i * ROW_STRIDE;
        if (!source->decode(source->context, i, first, *count, to))
            return i;
        reader->at[i] = to;
    }
    if (points->extra) {
        for (size_t c = 0; c < *count; c++)
            reader->extra[c] = (float)points->given[source->offset + first + c];
        reader->at[source->n] = reader->extra;
    }
    if (points->origin)
        reader->at[source->n + points->extra] = reader->zeros;
    return SIZE_MAX;
}
