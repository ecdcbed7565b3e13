/* SPDX-License-Identifier: Apache-2.0 */
/* Tiles of columns through an unrolled network, a table-driven one, or, for the rules that have
 * none, column by column in double. */
#include "coordinator/aggregate/columns.h"

#include "coordinator/aggregate/order.h"
#include "coordinator/aggregate/plain.h"

#include <string.h>

static bool is_trimmed(enum agg_kind kind)
{
    return kind == AGG_MEDIAN || kind == AGG_TRIMMED_MEAN;
}

/* Mean of the values nearest to the median, of all rows or of bulyan's. */
static bool is_around(enum agg_kind kind)
{
    return kind == AGG_MEAMED || kind == AGG_BULYAN;
}

static bool is_weighted(enum agg_kind kind)
{
    return kind == AGG_WEIGHTED_MEDIAN || kind == AGG_WEIGHTED_TRIMMED_MEAN;
}

struct result columns_init(struct columns *columns, const struct kernels *kernels,
                           enum agg_kind kind, const struct agg_params *params, size_t n,
                           const double *weight, const uint32_t *taken, size_t taken_count,
                           struct why *why)
{
    memset(columns, 0, sizeof *columns);
    *columns = (struct columns){.kernels = kernels,
                                .params = params,
                                .weight = weight,
                                .kind = kind,
                                .n = n,
                                .taken = taken,
                                .taken_count = taken_count};
    if (is_around(kind)) {
        size_t wires = kind == AGG_BULYAN ? taken_count : n;
        if (!network_build_grouped(wires, 0, wires, true, &columns->network))
            return failed(why, RESULT_SYSTEM, "no memory for a network of %zu wires", wires);
        return DONE;
    }
    if (is_weighted(kind) && !network_build_grouped(n, 0, n, true, &columns->network))
        return failed(why, RESULT_SYSTEM, "no memory for a network of %zu wires", n);
    if (!is_trimmed(kind))
        return DONE;
    columns->drop = kind == AGG_MEDIAN ? (n - 1) / 2 : params->f;
    columns->trimmed = kernels->trimmed(n, columns->drop);
    if (columns->trimmed)
        return DONE;
    bool grouped = n > KERNEL_TRIMMED_ROWS_MAX;
    size_t past = n - columns->drop;
    if (!(grouped ? network_build_grouped(n, columns->drop, past, false, &columns->network)
                  : network_build(n, columns->drop, past, false, &columns->network)))
        return failed(why, RESULT_SYSTEM, "no memory for a network of %zu wires", n);
    return DONE;
}

void columns_free(struct columns *columns)
{
    network_free(&columns->network);
}

/* Columns that are sorted together: as many as the cache next to the processor takes. */
static size_t run_length(size_t n)
{
    enum { FLOATS = 128 * 1024 };
    size_t columns = FLOATS / n / KERNEL_SORT_COLUMNS * KERNEL_SORT_COLUMNS;
    return columns < KERNEL_SORT_COLUMNS ? KERNEL_SORT_COLUMNS
           : columns > KERNEL_TILE       ? KERNEL_TILE
                                         : columns;
}

size_t columns_scratch(size_t n)
{
    size_t last = n * KERNEL_SORT_COLUMNS;
    size_t column = n * (sizeof(double) + sizeof(struct keyed)) / sizeof(float);
    return run_length(n) * n + last + column + KERNEL_SORT_COLUMNS + KERNEL_LANES;
}

/* Copies the last width columns of every row into tile [n][KERNEL_SORT_COLUMNS], the rest zero. */
static void fill_tile(size_t n, const float *const *x, size_t at, size_t width, float *tile)
{
    for (size_t i = 0; i < n; i++) {
        float *row = tile + i * KERNEL_SORT_COLUMNS;
        memcpy(row, x[i] + at, width * sizeof *row);
        memset(row + width, 0, (KERNEL_SORT_COLUMNS - width) * sizeof *row);
    }
}

/* Column by column in double, for rules without a network; row i of column k is x[i][k]. */
static void run_plain(const struct columns *c, const float *const *x, size_t count, float *scratch,
                      float *out)
{
    size_t n = c->n;
    struct keyed *work = (struct keyed *)(void *)scratch;
    double *column = (double *)(void *)(work + n);
    for (size_t k = 0; k < count; k++) {
        for (size_t i = 0; i < n; i++)
            column[i] = (double)x[i][k];
        out[k] = (float)plain_column(c->kind, c->params, n, column, c->weight, work);
    }
}

/* Bulyan's definition breaks ties by the order in which rows were taken, so a column with a tie is
 * done again from the rows. */
static void settle_ties(const struct columns *c, const float *const *x, const bool *tied,
                        float *scratch, float *out)
{
    size_t theta = c->taken_count;
    struct keyed *work = (struct keyed *)(void *)scratch;
    double *column = (double *)(void *)(work + theta);
    for (size_t k = 0; k < KERNEL_SORT_COLUMNS; k++) {
        if (!tied[k])
            continue;
        for (size_t i = 0; i < theta; i++)
            column[i] = (double)x[c->taken[i]][k];
        out[k] = (float)plain_bulyan_column(theta, theta - 2 * c->params->f, column, work);
    }
}

static void run_around(const struct columns *c, const float *const *x, float *tile, float *mean)
{
    bool tied[KERNEL_SORT_COLUMNS];
    size_t f = c->params->f;
    if (c->kind == AGG_MEAMED) {
        c->kernels->sort_groups(&c->network, x, KERNEL_SORT_COLUMNS, tile);
        c->kernels->sort_rest(&c->network, tile);
        c->kernels->around(c->n, c->n - f, tile, mean, tied);
        return;
    }
    const float *chosen[AGG_ROWS_MAX];
    for (size_t i = 0; i < c->taken_count; i++)
        chosen[i] = x[c->taken[i]];
    c->kernels->sort_groups(&c->network, chosen, KERNEL_SORT_COLUMNS, tile);
    c->kernels->sort_rest(&c->network, tile);
    c->kernels->around(c->taken_count, c->taken_count - 2 * f, tile, mean, tied);
    settle_ties(c, x, tied, tile + c->taken_count * KERNEL_SORT_COLUMNS, mean);
}

static void run_weighted(const struct columns *c, const float *const *x, float *tile, float *out)
{
    const float *rows[AGG_ROWS_MAX];
    double *keys = (double *)(void *)tile;
    for (size_t at = 0; at < KERNEL_SORT_COLUMNS; at += KERNEL_KEYED_COLUMNS) {
        for (size_t i = 0; i < c->n; i++)
            rows[i] = x[i] + at;
        c->kernels->sort_keyed(&c->network, rows, keys);
        if (c->kind == AGG_WEIGHTED_MEDIAN)
            c->kernels->weighted_middle(c->n, keys, c->weight, out + at);
        else
            c->kernels->weighted_trimmed(c->n, keys, c->weight, c->params->trim_mass, out + at);
    }
}

/* count columns, a multiple of KERNEL_SORT_COLUMNS and at most run_length, of the rows x into out.
 */
static void run_network(const struct columns *c, const float *const *x, size_t count, float *tiles,
                        float *out)
{
    c->kernels->sort_groups(&c->network, x, count, tiles);
    for (size_t at = 0; at < count; at += KERNEL_SORT_COLUMNS) {
        float *tile = tiles + at * c->n;
        c->kernels->sort_rest(&c->network, tile);
        c->kernels->average(c->drop, c->n - c->drop, tile, out + at);
    }
}

/* KERNEL_SORT_COLUMNS columns of the rows x into out. */
static void run_whole(const struct columns *c, const float *const *x, float *tile, float *out)
{
    if (is_around(c->kind))
        run_around(c, x, tile, out);
    else if (is_weighted(c->kind))
        run_weighted(c, x, tile, out);
    else if (c->network.step)
        run_network(c, x, KERNEL_SORT_COLUMNS, tile, out);
    else if (c->trimmed)
        c->trimmed(x, KERNEL_SORT_COLUMNS, out);
    else
        run_plain(c, x, KERNEL_SORT_COLUMNS, tile, out);
}

void columns_run_tile(const struct columns *c, const float *rows, size_t width, float *scratch,
                      float *out)
{
    float whole[KERNEL_SORT_COLUMNS];
    const float *x[AGG_ROWS_MAX];
    for (size_t i = 0; i < c->n; i++)
        x[i] = rows + i * KERNEL_SORT_COLUMNS;
    run_whole(c, x, scratch, whole);
    memcpy(out, whole, width * sizeof *out);
}

/* The columns that fill whole tiles; returns how many. */
static size_t run_tiles(const struct columns *c, const float *const *x, size_t count,
                        float *scratch, float *out)
{
    const float *rows[AGG_ROWS_MAX];
    bool network = !is_around(c->kind) && !is_weighted(c->kind);
    size_t past = count / KERNEL_SORT_COLUMNS * KERNEL_SORT_COLUMNS;
    size_t length = network ? run_length(c->n) : KERNEL_SORT_COLUMNS;
    for (size_t at = 0; at < past; at += length) {
        for (size_t i = 0; i < c->n; i++)
            rows[i] = x[i] + at;
        if (network)
            run_network(c, rows, past - at < length ? past - at : length, scratch, out + at);
        else
            run_whole(c, rows, scratch, out + at);
    }
    return past;
}

void columns_run(const struct columns *c, const float *const *x, size_t count, float *scratch,
                 float *out)
{
    size_t at = 0;
    if (c->trimmed) {
        at = count / KERNEL_LANES * KERNEL_LANES;
        c->trimmed(x, at, out);
    } else if (c->network.step) {
        at = run_tiles(c, x, count, scratch, out);
    } else {
        run_plain(c, x, count, scratch, out);
        return;
    }
    if (at == count)
        return;
    float *rest = scratch + c->n * KERNEL_SORT_COLUMNS;
    fill_tile(c->n, x, at, count - at, scratch);
    columns_run_tile(c, scratch, count - at, rest, out + at);
}
