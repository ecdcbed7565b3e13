/* SPDX-License-Identifier: Apache-2.0 */
/* First pass: products of all points, tile by tile. The reference that a tile is centred by is the
 * coordinate-wise median of a few rows: inside the hull of the rows unless most of those few are
 * hostile, and then the sums are redone in double. Any reference gives the same distances. */
#include "coordinator/aggregate/columns.h"
#include "coordinator/aggregate/passes.h"
#include "coordinator/aggregate/pool.h"
#include "coordinator/aggregate/reader.h"
#include "proto/base/cleanup.h"

#include <stdlib.h>
#include <string.h>

enum {
    REFERENCE_ROWS = 5,
    STRIDE = KERNEL_TILE + 16, /* rows a power of two apart would share cache sets */
};

struct gram_pass {
    const struct agg_means *means;
    const struct agg_source *source;
    const struct agg_points *points;
    bool wide;
    struct columns reference; /* median of REFERENCE_ROWS rows, or fewer */
    struct gram *part;        /* one for each worker */
    size_t *bad;              /* row that does not decode; SIZE_MAX none, SIZE_MAX - 1 no memory */
};

/* One worker's tile: all points over KERNEL_TILE columns, zeros beyond the last column. */
struct gram_tile {
    float *value;     /* [points][STRIDE] */
    float *reference; /* [KERNEL_TILE] */
    float *scratch;
    float *row;         /* [KERNEL_TILE], one row padded */
    const float **soon; /* [points] where the next tile lies, when it is in memory */
};

static bool new_tile(struct gram_tile *tile, size_t count)
{
    size_t scratch = columns_scratch(REFERENCE_ROWS);
    void *memory = NULL;
    size_t floats = count * STRIDE + 2 * KERNEL_TILE + scratch;
    tile->soon = calloc(count, sizeof *tile->soon);
    if (!tile->soon || posix_memalign(&memory, 64, floats * sizeof(float)) != 0)
        return false;
    memset(memory, 0, floats * sizeof(float));
    tile->value = memory;
    tile->reference = tile->value + count * STRIDE;
    tile->row = tile->reference + KERNEL_TILE;
    tile->scratch = tile->row + KERNEL_TILE;
    return true;
}

static void find_reference(const struct gram_pass *pass, const struct reader *reader, size_t at,
                           size_t count, struct gram_tile *tile)
{
    const float *rows[REFERENCE_ROWS];
    size_t n = pass->source->n;
    size_t chosen = pass->reference.n;
    for (size_t k = 0; k < chosen; k++)
        rows[k] = reader->at[k * n / chosen] + at;
    columns_run(&pass->reference, rows, count, tile->scratch, tile->reference);
}

/* Where the tile after this one lies, for the kernels to fetch; NULL when it is not in memory. */
static const float *const *next_tile(const struct gram_pass *pass, const struct reader *reader,
                                     size_t block, size_t at, struct gram_tile *tile)
{
    size_t points = agg_points_count(pass->points);
    if (!pass->source->rows || block * AGG_BLOCK + at + 2 * KERNEL_TILE > pass->source->d)
        return NULL;
    for (size_t i = 0; i < points; i++)
        tile->soon[i] = i < pass->source->n ? reader->at[i] + at + KERNEL_TILE : tile->value;
    return tile->soon;
}

/* Columns at..at+count-1 of every point into the tile, and their products into packed. */
static void add_tile(const struct gram_pass *pass, const struct reader *reader, size_t at,
                     size_t count, struct gram_tile *tile, const float *const *soon, double *packed)
{
    const struct kernels *kernels = pass->means->kernels;
    size_t points = agg_points_count(pass->points);
    size_t padded = (count + KERNEL_LANES - 1) / KERNEL_LANES * KERNEL_LANES;
    if (!pass->wide) {
        find_reference(pass, reader, at, count, tile);
        memset(tile->reference + count, 0, (padded - count) * sizeof(float));
    }
    for (size_t i = 0; i < points; i++) {
        const float *x = reader->at[i] + at;
        float *to = tile->value + i * STRIDE;
        if (padded != count) {
            memcpy(tile->row, x, count * sizeof(float));
            memset(tile->row + count, 0, (padded - count) * sizeof(float));
            x = tile->row;
        }
        if (pass->wide)
            memcpy(to, x, padded * sizeof(float));
        else
            kernels->centre(padded, x, tile->reference, to);
    }
    if (pass->wide)
        kernels->products_wide(points, STRIDE, padded, tile->value, packed);
    else
        kernels->products(points, STRIDE, padded, tile->value, soon, packed);
}

static size_t run_blocks(const struct gram_pass *pass, struct reader *reader,
                         struct gram_tile *tile, struct gram *part, size_t first, size_t past)
{
    for (size_t block = first; block < past; block++) {
        size_t count = 0;
        size_t bad = reader_open(reader, block, NULL, &count);
        if (bad != SIZE_MAX)
            return bad;
        double *packed = gram_room(part);
        if (!packed)
            return SIZE_MAX - 1;
        for (size_t at = 0; at < count; at += KERNEL_TILE)
            add_tile(pass, reader, at, count - at < KERNEL_TILE ? count - at : KERNEL_TILE, tile,
                     next_tile(pass, reader, block, at, tile), packed);
        gram_add(part, packed);
    }
    return SIZE_MAX;
}

static void work(void *context, unsigned worker)
{
    struct gram_pass *pass = context;
    size_t first = 0;
    size_t past = 0;
    pool_part(reader_blocks(pass->source->d), pass->means->threads, worker, &first, &past);
    gram_init(&pass->part[worker], agg_points_count(pass->points),
              pass->source->offset / AGG_BLOCK + first);
    struct reader reader;
    struct gram_tile tile = {0};
    bool enough = reader_init(&reader, pass->source, pass->points) &&
                  new_tile(&tile, agg_points_count(pass->points));
    pass->bad[worker] =
        enough ? run_blocks(pass, &reader, &tile, &pass->part[worker], first, past) : SIZE_MAX - 1;
    free(tile.value);
    free(tile.soon);
    reader_free(&reader);
}

struct result agg_pass_gram(const struct agg_means *means, const struct agg_source *source,
                            const struct agg_points *points, bool wide, struct gram *gram,
                            struct why *why)
{
    static const struct agg_params NONE;
    size_t bad[AGG_THREADS_MAX];
    CLEANUP(free_pointer) struct gram *part = calloc(means->threads, sizeof *part);
    gram_init(gram, agg_points_count(points), source->offset / AGG_BLOCK);
    if (!part)
        return failed(why, RESULT_SYSTEM, "no memory for the products of %zu rows", source->n);
    struct gram_pass pass = {means, source, points, wide, {0}, part, bad};
    size_t chosen = source->n < REFERENCE_ROWS ? source->n : REFERENCE_ROWS;
    TRY(columns_init(&pass.reference, means->kernels, AGG_MEDIAN, &NONE, chosen, NULL, NULL, 0,
                     why));
    pool_run(means->threads, work, &pass);
    columns_free(&pass.reference);
    size_t worst = SIZE_MAX;
    for (unsigned w = 0; w < means->threads; w++) {
        worst = bad[w] < worst ? bad[w] : worst;
        gram_join(gram, &part[w]);
        gram_free(&part[w]);
    }
    if (worst == SIZE_MAX)
        return DONE;
    gram_free(gram);
    if (worst == SIZE_MAX - 1)
        return failed(why, RESULT_SYSTEM, "no memory for the products of %zu rows", source->n);
    return failed(why, RESULT_INPUT, "row %zu does not decode", worst);
}
