/* SPDX-License-Identifier: Apache-2.0 */
/* A third, optional pass: norm of each row, its cosine and distance to the output. Rows are shared
 * out among the threads, so each row's sums run in one order. */
#include "coordinator/aggregate/passes.h"
#include "coordinator/aggregate/pool.h"
#include "coordinator/aggregate/reader.h"

#include <math.h>
#include <string.h>

struct explain_pass {
    const struct agg_means *means;
    const struct agg_source *source;
    const struct agg_points *points;
    const float *out;
    struct agg_explain *explain;
    size_t *bad;
};

struct row_sums {
    double own;      /* x.x */
    double inner;    /* x.out */
    double result;   /* out.out */
    double distance; /* |x - out|^2 */
};

static void add_block(size_t count, const float *x, const float *out, struct row_sums *sums)
{
    enum { LANES = 8 };
    struct row_sums lane[LANES] = {{0}};
    for (size_t c = 0; c < count; c++) {
        struct row_sums *s = &lane[c % LANES];
        double a = (double)x[c];
        double b = (double)out[c];
        s->own += a * a;
        s->inner += a * b;
        s->result += b * b;
        s->distance += (a - b) * (a - b);
    }
    for (int k = 0; k < LANES; k++) {
        sums->own += lane[k].own;
        sums->inner += lane[k].inner;
        sums->result += lane[k].result;
        sums->distance += lane[k].distance;
    }
}

static size_t run_row(const struct explain_pass *pass, struct reader *reader, bool *wanted,
                      size_t row)
{
    struct row_sums sums = {0};
    memset(wanted, 0, pass->source->n * sizeof *wanted);
    wanted[row] = true;
    for (size_t block = 0; block < reader_blocks(pass->source->d); block++) {
        size_t count = 0;
        size_t bad = reader_open(reader, block, wanted, &count);
        if (bad != SIZE_MAX)
            return bad;
        add_block(count, reader->at[row], pass->out + block * AGG_BLOCK, &sums);
    }
    struct agg_explain *e = pass->explain;
    e->norm[row] = sqrt(sums.own);
    e->distance[row] = sqrt(sums.distance);
    e->cosine[row] = sums.inner / (sqrt(sums.own) * sqrt(sums.result));
    return SIZE_MAX;
}

static void work(void *context, unsigned worker)
{
    struct explain_pass *pass = context;
    size_t first = 0;
    size_t past = 0;
    bool wanted[AGG_ROWS_MAX];
    struct reader reader;
    pool_part(pass->source->n, pass->means->threads, worker, &first, &past);
    bool enough = reader_init(&reader, pass->source, pass->points);
    pass->bad[worker] = enough ? SIZE_MAX : SIZE_MAX - 1;
    for (size_t row = first; row < past && pass->bad[worker] == SIZE_MAX; row++)
        pass->bad[worker] = run_row(pass, &reader, wanted, row);
    reader_free(&reader);
}

struct result agg_pass_explain(const struct agg_means *means, const struct agg_source *source,
                               const struct agg_points *points, const float *out,
                               struct agg_explain *explain, struct why *why)
{
    size_t bad[AGG_THREADS_MAX];
    struct explain_pass pass = {means, source, points, out, explain, bad};
    pool_run(means->threads, work, &pass);
    for (unsigned w = 0; w < means->threads; w++) {
        if (bad[w] == SIZE_MAX - 1)
            return failed(why, RESULT_SYSTEM, "no memory to explain %zu rows", source->n);
        if (bad[w] != SIZE_MAX)
            return failed(why, RESULT_INPUT, "row %zu does not decode", bad[w]);
    }
    return DONE;
}
