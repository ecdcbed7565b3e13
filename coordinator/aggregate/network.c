/* SPDX-License-Identifier: Apache-2.0 */
/* Batcher's merge exchange (Knuth, The Art of Computer Programming, 5.2.2, algorithm M) or his
 * odd-even merge sort, then pruned from its end: every wire ends as dropped low, kept, or dropped
 * high. A comparator between two wires of one fate changes nothing that is read; one of which a
 * side is dropped keeps half. */
#include "coordinator/aggregate/network.h"

#include <stdlib.h>
#include <string.h>

/* Appends when step is not NULL; returns the number of comparators. */
static size_t merge_exchange(size_t n, struct comparator *step)
{
    size_t count = 0;
    size_t top = 1;
    while (top < n)
        top *= 2;
    for (size_t p = top / 2; p > 0; p /= 2) {
        size_t q = top / 2;
        size_t r = 0;
        size_t d = p;
        for (;;) {
            for (size_t i = 0; i + d < n; i++) {
                if ((i & p) != r)
                    continue;
                if (step)
                    step[count] =
                        (struct comparator){(uint16_t)i, (uint16_t)(i + d), COMPARATOR_BOTH};
                count++;
            }
            if (q == p)
                break;
            d = q - p;
            q /= 2;
            r = p;
        }
    }
    return count;
}

/* The fate of a wire's value from some point on. */
enum fate { FATE_LOW, FATE_KEPT, FATE_HIGH, FATE_COMPARED };

/* Drops comparators from the last down to number grouped. */
static void prune(struct network *network, bool sorted)
{
    enum { DROPPED = 0xffff };
    enum fate of[NETWORK_WIRES_MAX];
    for (size_t i = 0; i < network->n; i++)
        of[i] = i < network->first ? FATE_LOW : i < network->past ? FATE_KEPT : FATE_HIGH;
    for (size_t k = network->count; k-- > network->grouped;) {
        struct comparator *c = &network->step[k];
        enum fate low = of[c->low];
        enum fate high = of[c->high];
        bool same = low == high && low != FATE_COMPARED && (low != FATE_KEPT || !sorted);
        if (same) {
            c->kind = DROPPED;
            continue;
        }
        bool low_read = low == FATE_KEPT || low == FATE_COMPARED;
        bool high_read = high == FATE_KEPT || high == FATE_COMPARED;
        c->kind = low_read && high_read ? COMPARATOR_BOTH
                  : low_read            ? COMPARATOR_MIN
                                        : COMPARATOR_MAX;
        of[c->low] = of[c->high] = FATE_COMPARED;
    }
    size_t kept = 0;
    for (size_t k = 0; k < network->count; k++)
        if (network->step[k].kind != DROPPED)
            network->step[kept++] = network->step[k];
    network->count = kept;
}

bool network_build(size_t n, size_t first, size_t past, bool sorted, struct network *network)
{
    memset(network, 0, sizeof *network);
    if (n > NETWORK_WIRES_MAX || first >= past || past > n)
        return false;
    network->n = n;
    network->first = first;
    network->past = past;
    network->count = merge_exchange(n, NULL);
    network->step = calloc(network->count + 1, sizeof *network->step);
    if (!network->step)
        return false;
    merge_exchange(n, network->step);
    prune(network, sorted);
    return true;
}

/* Where comparators are appended; with step NULL they are only counted. Wires from n on stand for
 * plus infinity, which never moves. */
struct appending {
    size_t n;
    size_t count;
    struct comparator *step;
};

static void append(struct appending *to, size_t low, size_t high)
{
    if (high >= to->n)
        return;
    if (to->step)
        to->step[to->count] = (struct comparator){(uint16_t)low, (uint16_t)high, COMPARATOR_BOTH};
    to->count++;
}

/* Merges the sorted halves of every stride-th wire of first..first+width-1; powers of two. */
static void odd_even_merge(struct appending *to, size_t first, size_t width, size_t stride)
{
    size_t step = 2 * stride;
    if (step >= width) {
        append(to, first, first + stride);
        return;
    }
    odd_even_merge(to, first, width, step);
    odd_even_merge(to, first + stride, width, step);
    for (size_t i = first + stride; i + stride < first + width; i += step)
        append(to, i, i + stride);
}

/* Groups first, then merges of ever wider neighbours. */
static size_t grouped_sort(struct appending *to)
{
    size_t grouped = 0;
    for (size_t width = 2; width / 2 < to->n; width *= 2) {
        for (size_t first = 0; first < to->n; first += width)
            odd_even_merge(to, first, width, 1);
        if (width == NETWORK_GROUP || (width < NETWORK_GROUP && width >= to->n))
            grouped = to->count;
    }
    return grouped;
}

bool network_build_grouped(size_t n, size_t first, size_t past, bool sorted,
                           struct network *network)
{
    memset(network, 0, sizeof *network);
    if (n > NETWORK_WIRES_MAX || first >= past || past > n)
        return false;
    struct appending to = {n, 0, NULL};
    grouped_sort(&to);
    network->n = n;
    network->first = first;
    network->past = past;
    network->count = to.count;
    network->step = calloc(to.count + 1, sizeof *network->step);
    if (!network->step)
        return false;
    to = (struct appending){n, 0, network->step};
    network->grouped = grouped_sort(&to);
    prune(network, sorted);
    return true;
}

void network_free(struct network *network)
{
    free(network->step);
    memset(network, 0, sizeof *network);
}
