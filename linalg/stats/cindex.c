/* SPDX-License-Identifier: Apache-2.0 */
/* Harrell's C with two sweeps over time and a Fenwick tree over risk ranks: one sweep counts, for
 * each event, the later rows with lower or equal risk; the other, for each row, the earlier events
 * with higher or equal risk. Together they give each row's share, hence the jackknife variance
 * sum_i ((concordant_i - C pairs_i)/pairs)^2. */
#include "linalg/stats/cindex.h"

#include "linalg/stats/rank.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* Counts by risk rank 1..n. */
struct fenwick {
    size_t n;
    uint32_t *count; /* [n+1] */
    size_t total;
};

static void fenwick_add(struct fenwick *f, size_t rank)
{
    f->total++;
    for (size_t i = rank; i <= f->n; i += i & -i)
        f->count[i]++;
}

static double fenwick_below(const struct fenwick *f, size_t rank)
{
    double sum = 0.0;
    for (size_t i = rank; i > 0; i -= i & -i)
        sum += (double)f->count[i];
    return sum;
}

struct sweep {
    size_t n;
    const double *event;
    struct rank_item *by_time;
    uint32_t *rank;     /* [n] dense rank of risk from 1 */
    double *concordant; /* [n] share of each row, ties one half */
    double *pairs;      /* [n] comparable pairs of each row */
    struct fenwick tree;
};

static void clear_tree(struct sweep *s)
{
    for (size_t i = 0; i <= s->n; i++)
        s->tree.count[i] = 0;
    s->tree.total = 0;
}

/* Rows in the tree with lower risk, plus half of those with the same. */
static double lower_or_half(const struct fenwick *tree, size_t rank)
{
    double below = fenwick_below(tree, rank - 1);
    double up_to = fenwick_below(tree, rank);
    return below + 0.5 * (up_to - below);
}

/* Latest first: each event against the rows that outlive it. */
static void sweep_events(struct sweep *s)
{
    clear_tree(s);
    for (size_t end = s->n; end > 0;) {
        size_t first = end - 1;
        while (first > 0 && s->by_time[first - 1].key == s->by_time[first].key)
            first--;
        for (int events = 0; events < 2; events++) {
            for (size_t i = first; i < end; i++) {
                uint32_t row = s->by_time[i].row;
                if (events == 0 && s->event[row] == 0.0)
                    fenwick_add(&s->tree, s->rank[row]);
                if (events == 0 || s->event[row] == 0.0)
                    continue;
                s->concordant[row] += lower_or_half(&s->tree, s->rank[row]);
                s->pairs[row] += (double)s->tree.total;
            }
        }
        for (size_t i = first; i < end; i++) {
            uint32_t row = s->by_time[i].row;
            if (s->event[row] == 1.0)
                fenwick_add(&s->tree, s->rank[row]);
        }
        end = first;
    }
}

/* Earliest first: each row against the events it outlived. */
static void sweep_survivors(struct sweep *s)
{
    clear_tree(s);
    for (size_t first = 0; first < s->n;) {
        size_t end = first;
        while (end < s->n && s->by_time[end].key == s->by_time[first].key)
            end++;
        for (int censored = 0; censored < 2; censored++) {
            for (size_t i = first; i < end; i++) {
                uint32_t row = s->by_time[i].row;
                if ((s->event[row] == 0.0) != (censored == 1))
                    continue;
                double seen = (double)s->tree.total;
                s->concordant[row] += seen - lower_or_half(&s->tree, s->rank[row]);
                s->pairs[row] += seen;
            }
            for (size_t i = first; censored == 0 && i < end; i++) {
                uint32_t row = s->by_time[i].row;
                if (s->event[row] == 1.0)
                    fenwick_add(&s->tree, s->rank[row]);
            }
        }
        first = end;
    }
}

static void dense_ranks(size_t n, const struct rank_item *by_risk, uint32_t *rank)
{
    uint32_t current = 0;
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || by_risk[i].key != by_risk[i - 1].key)
            current++;
        rank[by_risk[i].row] = current;
    }
}

/* Squares of the shares, those of one patient's rows added up before. */
static bool jackknife(const struct sweep *s, const uint32_t *patient, size_t patients,
                      struct cindex *out)
{
    double *sum = calloc(patients ? patients : 1, sizeof *sum), square = 0.0;
    bool whole = sum != NULL;
    for (size_t i = 0; whole && i < s->n; i++) {
        double share = (s->concordant[i] - out->c * s->pairs[i]) / out->pairs;
        if (!patient)
            square += share * share;
        else if (patient[i] < patients)
            sum[patient[i]] += share;
        else
            whole = false;
    }
    for (size_t p = 0; whole && patient && p < patients; p++)
        square += sum[p] * sum[p];
    free(sum);
    out->var = square;
    return whole;
}

static void finish(const struct sweep *s, const uint32_t *patient, size_t patients,
                   struct cindex *out)
{
    double concordant = 0.0;
    double twice_pairs = 0.0;
    for (size_t i = 0; i < s->n; i++) {
        concordant += s->concordant[i];
        twice_pairs += s->pairs[i];
    }
    out->pairs = twice_pairs / 2.0;
    if (twice_pairs == 0.0) {
        out->status = STAT_DEGENERATE;
        return;
    }
    out->c = concordant / twice_pairs;
    if (jackknife(s, patient, patients, out))
        out->status = STAT_OK;
    else
        out->var = (double)NAN;
}

enum stat_status cindex_harrell(size_t n, const double *time, const double *event,
                                const double *risk, const uint32_t *patient, size_t patients,
                                struct cindex *out)
{
    *out = (struct cindex){.n = n, .c = NAN, .var = NAN};
    if (n == 0)
        return out->status = STAT_EMPTY;
    if (n >= RANK_ROWS_MAX)
        return out->status = STAT_TOO_LARGE;
    for (size_t i = 0; i < n; i++) {
        bool plain = isfinite(time[i]) && isfinite(risk[i]);
        if (!plain || !(event[i] == 0.0 || event[i] == 1.0))
            return out->status = STAT_INVALID_INPUT;
        out->events += event[i] == 1.0;
    }
    struct sweep s = {.n = n, .event = event};
    struct rank_item *by_risk = rank_order(n, risk);
    s.by_time = rank_order(n, time);
    s.rank = calloc(n, sizeof *s.rank);
    s.concordant = calloc(n, 2 * sizeof *s.concordant);
    s.tree = (struct fenwick){.n = n, .count = calloc(n + 1, sizeof(uint32_t))};
    out->status = STAT_NO_MEMORY;
    if (by_risk && s.by_time && s.rank && s.concordant && s.tree.count) {
        s.pairs = s.concordant + n;
        dense_ranks(n, by_risk, s.rank);
        sweep_events(&s);
        sweep_survivors(&s);
        finish(&s, patient, patients, out);
    }
    free(by_risk);
    free(s.by_time);
    free(s.rank);
    free(s.concordant);
    free(s.tree.count);
    return out->status;
}
