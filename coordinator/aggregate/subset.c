/* SPDX-License-Identifier: Apache-2.0 */
/* Exact subset searches. Minimum diameter: bisection over distances and a vertex cover of size f
 * found by branching on a vertex of largest degree, at most 1.47^f branches. */
#include "coordinator/aggregate/subset.h"

#include "coordinator/aggregate/eigen.h"
#include "coordinator/aggregate/rules.h"
#include "proto/base/cleanup.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_BITS = 64, WORDS_MAX = AGG_ROWS_MAX / WORD_BITS };

struct vertex_set {
    uint64_t word[WORDS_MAX];
};

struct conflict_graph {
    size_t n;
    size_t words;
    struct vertex_set *conflicts; /* [n]: rows too far from row i */
    size_t nodes;                 /* branches taken so far */
};

static bool holds(const struct vertex_set *set, size_t i)
{
    return set->word[i / WORD_BITS] >> (i % WORD_BITS) & 1;
}

static void drop(struct vertex_set *set, size_t i)
{
    set->word[i / WORD_BITS] &= ~(UINT64_C(1) << (i % WORD_BITS));
}

static void add(struct vertex_set *set, size_t i)
{
    set->word[i / WORD_BITS] |= UINT64_C(1) << (i % WORD_BITS);
}

static size_t degree(const struct conflict_graph *g, const struct vertex_set *active, size_t v)
{
    size_t count = 0;
    for (size_t k = 0; k < g->words; k++)
        count += (size_t)__builtin_popcountll(g->conflicts[v].word[k] & active->word[k]);
    return count;
}

static void drop_neighbours(const struct conflict_graph *g, struct vertex_set *active, size_t v)
{
    for (size_t k = 0; k < g->words; k++)
        active->word[k] &= ~g->conflicts[v].word[k];
}

static size_t any_neighbour(const struct conflict_graph *g, const struct vertex_set *active,
                            size_t v)
{
    for (size_t k = 0; k < g->words; k++) {
        uint64_t both = g->conflicts[v].word[k] & active->word[k];
        if (both)
            return k * WORD_BITS + (size_t)__builtin_ctzll(both);
    }
    return v;
}

/* Whether at most budget of the active vertices touch every conflict among them. active is used
 * up. A conflict path's end is settled without branching, and on a cycle any vertex may go. */
static bool coverable(struct conflict_graph *g, struct vertex_set *active, size_t budget)
{
    for (;;) {
        if (g->nodes++ > SUBSET_NODES_MAX)
            return false;
        size_t most = 0;
        size_t most_at = 0;
        size_t leaf = g->n;
        size_t ends = 0;
        for (size_t v = 0; v < g->n; v++) {
            if (!holds(active, v))
                continue;
            size_t d = degree(g, active, v);
            if (d > most) {
                most = d;
                most_at = v;
            }
            if (d == 1 && leaf == g->n)
                leaf = v;
            if (d == 0)
                drop(active, v);
            ends += d;
        }
        if (most == 0)
            return true;
        if (ends / 2 > budget * most)
            return false;
        if (leaf < g->n) {
            drop(active, any_neighbour(g, active, leaf));
            budget--;
            continue;
        }
        if (most > budget || most == 2) {
            drop(active, most_at);
            budget--;
            continue;
        }
        struct vertex_set without = *active;
        drop(&without, most_at);
        if (coverable(g, &without, budget - 1))
            return true;
        drop_neighbours(g, active, most_at);
        drop(active, most_at);
        budget -= most;
    }
}

static void build_conflicts(struct conflict_graph *g, const double *squared, double t)
{
    size_t n = g->n;
    memset(g->conflicts, 0, n * sizeof *g->conflicts);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            if (i != j && !(squared[i * n + j] <= t))
                add(&g->conflicts[i], j);
}

static struct vertex_set everyone(size_t n)
{
    struct vertex_set all = {{0}};
    for (size_t i = 0; i < n; i++)
        add(&all, i);
    return all;
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Keeps the lowest rows that still leave a cover within the budget. */
static void keep_first(struct conflict_graph *g, size_t f, bool *kept)
{
    struct vertex_set active = everyone(g->n);
    size_t removed = 0;
    size_t stay = 0;
    memset(kept, 0, g->n * sizeof *kept);
    for (size_t i = 0; i < g->n && stay < g->n - f; i++) {
        if (!holds(&active, i))
            continue;
        size_t cost = degree(g, &active, i);
        bool fits = removed + cost <= f;
        if (fits) {
            struct vertex_set rest = active;
            drop_neighbours(g, &rest, i);
            drop(&rest, i);
            fits = coverable(g, &rest, f - removed - cost);
        }
        drop(&active, i);
        if (fits) {
            drop_neighbours(g, &active, i);
            removed += cost;
            kept[i] = true;
            stay++;
        } else {
            removed++;
        }
    }
}

struct result subset_smallest_diameter(size_t n, const double *squared, size_t f, bool *kept,
                                       struct why *why)
{
    if (n > AGG_ROWS_MAX || f >= n)
        return failed(why, RESULT_REFUSED, "mda needs f < n <= %d", AGG_ROWS_MAX);
    size_t pairs = n * (n - 1) / 2;
    CLEANUP(free_pointer) double *sorted = malloc((pairs + 1) * sizeof *sorted);
    CLEANUP(free_pointer) struct vertex_set *sets = calloc(n, sizeof *sets);
    if (!sorted || !sets)
        return failed(why, RESULT_SYSTEM, "no memory for the distances of %zu rows", n);
    size_t count = 0;
    sorted[count++] = 0.0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            sorted[count++] = squared[i * n + j];
    qsort(sorted, count, sizeof *sorted, compare_doubles);
    struct conflict_graph g = {n, (n + WORD_BITS - 1) / WORD_BITS, sets, 0};
    size_t low = 0;
    size_t high = count - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        build_conflicts(&g, squared, sorted[middle]);
        struct vertex_set active = everyone(n);
        if (coverable(&g, &active, f))
            high = middle;
        else
            low = middle + 1;
    }
    build_conflicts(&g, squared, sorted[high]);
    keep_first(&g, f, kept);
    if (g.nodes > SUBSET_NODES_MAX)
        return failed(why, RESULT_REFUSED, "mda needs more than %d branches for n = %zu, f = %zu",
                      SUBSET_NODES_MAX, n, f);
    return DONE;
}

/* Scatter matrix of the chosen rows around their mean, from distances: -1/2 J D J. */
static void centred_scatter(size_t n, const double *squared, size_t m, const size_t *chosen,
                            double *scatter)
{
    double row_mean[AGG_SMEA_ROWS_MAX] = {0};
    double mean = 0.0;
    for (size_t a = 0; a < m; a++) {
        for (size_t b = 0; b < m; b++)
            row_mean[a] += squared[chosen[a] * n + chosen[b]];
        row_mean[a] /= (double)m;
        mean += row_mean[a];
    }
    mean /= (double)m;
    for (size_t a = 0; a < m; a++)
        for (size_t b = 0; b < m; b++)
            scatter[a * m + b] =
                -0.5 * (squared[chosen[a] * n + chosen[b]] - row_mean[a] - row_mean[b] + mean);
}

/* Next m-subset of 0..n-1 in lexicographic order; false after the last. */
static bool next_subset(size_t n, size_t m, size_t *chosen)
{
    for (size_t k = m; k-- > 0;) {
        if (chosen[k] < n - m + k) {
            chosen[k]++;
            for (size_t j = k + 1; j < m; j++)
                chosen[j] = chosen[j - 1] + 1;
            return true;
        }
    }
    return false;
}

struct result subset_smallest_spread(size_t n, const double *squared, size_t f, bool *kept,
                                     struct why *why)
{
    if (n > AGG_SMEA_ROWS_MAX || f >= n)
        return failed(why, RESULT_REFUSED, "smea needs f < n <= %d", AGG_SMEA_ROWS_MAX);
    size_t m = n - f;
    size_t chosen[AGG_SMEA_ROWS_MAX] = {0};
    double scatter[AGG_SMEA_ROWS_MAX * AGG_SMEA_ROWS_MAX];
    for (size_t k = 0; k < m; k++)
        chosen[k] = k;
    double best = INFINITY;
    memset(kept, 0, n * sizeof *kept);
    do {
        double top = 0.0;
        centred_scatter(n, squared, m, chosen, scatter);
        if (!eigen_top(m, scatter, &top, NULL))
            return failed(why, RESULT_SYSTEM, "no memory for an eigenvalue");
        if (top < best * (1.0 - 1e-12)) {
            best = top;
            memset(kept, 0, n * sizeof *kept);
            for (size_t k = 0; k < m; k++)
                kept[chosen[k]] = true;
        }
    } while (next_subset(n, m, chosen));
    return DONE;
}
