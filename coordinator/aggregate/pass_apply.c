/* SPDX-License-Identifier: Apache-2.0 */
/* Second pass: one linear combination, or mixing fused with a column rule, tile by tile. */
#include "coordinator/aggregate/columns.h"
#include "coordinator/aggregate/passes.h"
#include "coordinator/aggregate/pool.h"
#include "coordinator/aggregate/reader.h"
#include "proto/base/cleanup.h"

#include <stdlib.h>
#include <string.h>

enum {
    TILE_COLUMNS = KERNEL_SORT_COLUMNS, /* columns that are mixed and ruled on together */
    STAGED_ROWS =
        40, /* from here on rows are copied before they are mixed: too many streams to prefetch */
};

struct apply_pass {
    const struct agg_means *means;
    const struct agg_source *source;
    const struct agg_points *points;
    const struct agg_decision *decision;
    struct columns columns;
    bool *wanted;  /* [n] rows that take part */
    double *coef;  /* [used] LINEAR: weights of the points that take part */
    size_t *point; /* [used] and which they are */
    size_t used;
    float *mix; /* [padded rows][inputs] in float32 */
    float *out;
    size_t *bad;
};

struct apply_tile {
    float *staged;  /* [KERNEL_TILE / TILE_COLUMNS][inputs][TILE_COLUMNS] */
    float *mixed;   /* [padded rows][TILE_COLUMNS] */
    float *scratch; /* columns_scratch */
    const float **x;
};

static size_t padded_rows(size_t rows)
{
    return (rows + KERNEL_ROWS - 1) / KERNEL_ROWS * KERNEL_ROWS;
}

static bool new_tile(const struct apply_pass *pass, struct apply_tile *tile)
{
    size_t inputs = pass->decision->inputs;
    size_t rows = padded_rows(pass->decision->rows);
    size_t staged = inputs * KERNEL_TILE;
    size_t mixed = rows * TILE_COLUMNS;
    size_t floats = staged + mixed + columns_scratch(pass->decision->rows);
    void *memory = NULL;
    tile->x = calloc(inputs, sizeof *tile->x);
    if (!tile->x || posix_memalign(&memory, 64, floats * sizeof(float)) != 0)
        return false;
    memset(memory, 0, floats * sizeof(float));
    tile->staged = memory;
    tile->mixed = tile->staged + staged;
    tile->scratch = tile->mixed + mixed;
    return true;
}

static void free_tile(struct apply_tile *tile)
{
    free(tile->staged);
    free(tile->x);
}

/* Copies columns at.. of every input, row by row, into tiles of TILE_COLUMNS columns; zeros fill up
 * the last one. */
static void stage(const struct apply_pass *pass, const struct reader *reader, size_t at,
                  size_t count, struct apply_tile *tile)
{
    size_t inputs = pass->decision->inputs;
    for (size_t i = 0; i < inputs; i++) {
        const float *from = reader->at[i] + at;
        float *to = tile->staged + i * TILE_COLUMNS;
        size_t c = 0;
        for (; c + TILE_COLUMNS <= count; c += TILE_COLUMNS) {
            memcpy(to, from + c, TILE_COLUMNS * sizeof *to);
            to += inputs * TILE_COLUMNS;
        }
        if (c == count)
            continue;
        memcpy(to, from + c, (count - c) * sizeof *to);
        memset(to + count - c, 0, (TILE_COLUMNS - (count - c)) * sizeof *to);
    }
}

static void apply_linear(const struct apply_pass *pass, const struct reader *reader, size_t at,
                         size_t count, struct apply_tile *tile, float *out)
{
    for (size_t k = 0; k < pass->used; k++)
        tile->x[k] = reader->at[pass->point[k]] + at;
    pass->means->kernels->combine(pass->used, pass->coef, tile->x, count, out);
}

/* Mixes one tile of columns and hands it to the column rule or to the output. */
static void apply_mixed(const struct apply_pass *pass, const struct reader *reader, size_t at,
                        size_t count, struct apply_tile *tile, float *out)
{
    size_t inputs = pass->decision->inputs;
    size_t rows = pass->decision->rows;
    bool staged = count % TILE_COLUMNS != 0 || inputs >= STAGED_ROWS;
    if (staged)
        stage(pass, reader, at, count, tile);
    for (size_t c = 0; c < count; c += TILE_COLUMNS) {
        size_t width = count - c < TILE_COLUMNS ? count - c : TILE_COLUMNS;
        for (size_t i = 0; i < inputs; i++)
            tile->x[i] =
                staged ? tile->staged + c * inputs + i * TILE_COLUMNS : reader->at[i] + at + c;
        pass->means->kernels->mix(padded_rows(rows), inputs, pass->mix, tile->x, TILE_COLUMNS,
                                  TILE_COLUMNS, tile->mixed);
        if (pass->decision->shape == AGG_SHAPE_COLUMNS) {
            columns_run_tile(&pass->columns, tile->mixed, width, tile->scratch, out + c);
            continue;
        }
        for (size_t i = 0; i < rows; i++)
            memcpy(out + i * pass->source->d + c, tile->mixed + i * TILE_COLUMNS,
                   width * sizeof *out);
    }
}

static void apply_columns(const struct apply_pass *pass, const struct reader *reader, size_t at,
                          size_t count, struct apply_tile *tile, float *out)
{
    for (size_t i = 0; i < pass->decision->inputs; i++)
        tile->x[i] = reader->at[i] + at;
    columns_run(&pass->columns, tile->x, count, tile->scratch, out);
}

static size_t run_blocks(const struct apply_pass *pass, struct reader *reader,
                         struct apply_tile *tile, size_t first, size_t past)
{
    for (size_t block = first; block < past; block++) {
        size_t count = 0;
        size_t bad = reader_open(reader, block, pass->wanted, &count);
        if (bad != SIZE_MAX)
            return bad;
        float *out = pass->out + block * AGG_BLOCK;
        if (pass->decision->shape == AGG_SHAPE_LINEAR) {
            apply_linear(pass, reader, 0, count, tile, out);
            continue;
        }
        for (size_t at = 0; at < count; at += KERNEL_TILE) {
            size_t width = count - at < KERNEL_TILE ? count - at : KERNEL_TILE;
            if (pass->mix)
                apply_mixed(pass, reader, at, width, tile, out + at);
            else
                apply_columns(pass, reader, at, width, tile, out + at);
        }
    }
    return SIZE_MAX;
}

static void work(void *context, unsigned worker)
{
    struct apply_pass *pass = context;
    size_t first = 0;
    size_t past = 0;
    pool_part(reader_blocks(pass->source->d), pass->means->threads, worker, &first, &past);
    struct reader reader;
    struct apply_tile tile = {0};
    bool enough = reader_init(&reader, pass->source, pass->points) && new_tile(pass, &tile);
    pass->bad[worker] = enough ? run_blocks(pass, &reader, &tile, first, past) : SIZE_MAX - 1;
    free_tile(&tile);
    reader_free(&reader);
}

/* Which rows are read at all, and the weights in the form that the kernels take. */
static struct result prepare(struct apply_pass *pass, struct why *why)
{
    const struct agg_decision *d = pass->decision;
    size_t n = d->n;
    pass->wanted = calloc(n, sizeof *pass->wanted);
    pass->coef = calloc(d->inputs, sizeof *pass->coef);
    pass->point = calloc(d->inputs, sizeof *pass->point);
    pass->mix = d->mix ? calloc(padded_rows(d->rows) * d->inputs, sizeof *pass->mix) : NULL;
    if (!pass->wanted || !pass->coef || !pass->point || (d->mix && !pass->mix))
        return failed(why, RESULT_SYSTEM, "no memory for the weights of %zu rows", n);
    for (size_t i = 0; i < d->inputs; i++) {
        bool used = d->shape != AGG_SHAPE_LINEAR || d->coef[i] != 0.0;
        if (i < n)
            pass->wanted[i] = used;
        if (d->shape == AGG_SHAPE_LINEAR && used) {
            pass->coef[pass->used] = d->coef[i];
            pass->point[pass->used++] = i;
        }
    }
    for (size_t i = 0; d->mix && i < d->rows * d->inputs; i++)
        pass->mix[i] = (float)d->mix[i];
    return DONE;
}

struct result agg_pass_apply(const struct agg_means *means, const struct agg_rule *rule,
                             const struct agg_source *source, const struct agg_points *points,
                             const struct agg_decision *decision, float *out, struct why *why)
{
    size_t bad[AGG_THREADS_MAX];
    struct apply_pass pass = {.means = means,
                              .source = source,
                              .points = points,
                              .decision = decision,
                              .out = out,
                              .bad = bad};
    struct result r = prepare(&pass, why);
    if (ok(r) && decision->shape == AGG_SHAPE_COLUMNS)
        r = columns_init(&pass.columns, means->kernels, decision->kind, &rule->params,
                         decision->rows, decision->weight, decision->taken, decision->taken_count,
                         why);
    size_t worst = SIZE_MAX;
    if (ok(r)) {
        pool_run(means->threads, work, &pass);
        for (unsigned w = 0; w < means->threads; w++)
            worst = bad[w] < worst ? bad[w] : worst;
    }
    columns_free(&pass.columns);
    free(pass.wanted);
    free(pass.coef);
    free(pass.point);
    free(pass.mix);
    if (worst == SIZE_MAX)
        return r;
    if (worst == SIZE_MAX - 1)
        return failed(why, RESULT_SYSTEM, "no memory for tiles of %zu rows", source->n);
    return failed(why, RESULT_INPUT, "row %zu does not decode", worst);
}
