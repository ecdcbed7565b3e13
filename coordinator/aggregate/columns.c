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
    if (!is_trimmed(kind))
        return DONE;
    columns->drop = kind == AGG_MEDIAN ? (n - 1) / 2 : params->f;
    columns->trimmed = kernels->trimmed(n, columns->drop);
    if (columns->trimmed)
        return DONE;
    if (!network_build(n, columns->drop, n - columns->drop, false, &columns->network))
        return failed(why, RESULT_SYSTEM, "no memory for a network of %zu wires", n);
    return DONE;
}

void columns_free(struct columns *columns)
{
    network_free(&columns->network);
}

size_t columns_scratch(size_t n)
{
    size_t padded = n * KERNEL_SORT_COLUMNS;
    size_t column = n * (sizeof(double) + sizeof(struct keyed)) / sizeof(float);
    return padded + column + KERNEL_SORT_COLUMNS + 16;
}

/* Copies width columns of every row into tile [n][KERNEL_SORT_COLUMNS], the rest zero. */
static void fill_tile(size_t n, const float *const *x, size_t at, size_t width, float *tile)
{
    for (size_t i = 0; i < n; i++) {
        float *row = tile + i * KERNEL_SORT_COLUMNS;
        memcpy(row, x[i] + at, width * sizeof *row);
        memset(row + width, 0, (KERNEL_SORT_COLUMNS - width) * sizeof *row);
    }
}

static void run_network(const struct columns *c, const float *const *x, size_t count,
                        float *scratch, float *out)
{
    float *tile = scratch;
    float *mean = scratch + c->n * KERNEL_SORT_COLUMNS;
    for (size_t at = 0; at < count; at += KERNEL_SORT_COLUMNS) {
        size_t width = count - at < KERNEL_SORT_COLUMNS ? count - at : KERNEL_SORT_COLUMNS;
        fill_tile(c->n, x, at, width, tile);
        c->kernels->sort(&c->network, tile);
        c->kernels->average(c->n, c->drop, c->n - c->drop, tile, mean);
        memcpy(out + at, mean, width * sizeof *out);
    }
}

static void run_unrolled(const struct columns *c, const float *const *x, size_t count,
                         float *scratch, float *out)
{
    size_t whole = count / KERNEL_LANES * KERNEL_LANES;
    c->trimmed(x, whole, out);
    if (whole == count)
        return;
    const float *rows[KERNEL_TRIMMED_ROWS_MAX];
    float *mean = scratch + c->n * KERNEL_SORT_COLUMNS;
    fill_tile(c->n, x, whole, count - whole, scratch);
    for (size_t i = 0; i < c->n; i++)
        rows[i] = scratch + i * KERNEL_SORT_COLUMNS;
    c->trimmed(rows, KERNEL_LANES, mean);
    memcpy(out + whole, mean, (count - whole) * sizeof *out);
}

/* Column by column in double, for rules without a network. */
static void run_plain(const struct columns *c, const float *const *x, size_t count, float *scratch,
                      float *out)
{
    size_t n = c->taken ? c->taken_count : c->n;
    struct keyed *work = (struct keyed *)(void *)scratch;
    double *column = (double *)(void *)(work + n);
    for (size_t k = 0; k < count; k++) {
        for (size_t i = 0; i < n; i++)
            column[i] = (double)x[c->taken ? c->taken[i] : i][k];
        double value = c->taken ? plain_bulyan_column(n, n - 2 * c->params->f, column, work)
                                : plain_column(c->kind, c->params, n, column, c->weight, work);
        out[k] = (float)value;
    }
}

void columns_run(const struct columns *c, const float *const *x, size_t count, float *scratch,
                 float *out)
{
    if (c->trimmed)
        run_unrolled(c, x, count, scratch, out);
    else if (c->network.step)
        run_network(c, x, count, scratch, out);
    else
        run_plain(c, x, count, scratch, out);
}
