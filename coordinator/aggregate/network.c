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

/* Where comparators are appended; with step NULL they are only counted. */
struct appending {
    size_t count;
    struct comparator *step;
};

static void append(struct appending *to, size_t low, size_t high)
{
    if (to->step)
        to->step[to->count] = (struct comparator){(uint16_t)low, (uint16_t)high, COMPARATOR_BOTH};
    to->count++;
}

/* Merge exchange of wires first..first+n-1. */
static void sort_group(struct appending *to, size_t first, size_t n)
{
    struct comparator *step = to->step ? to->step + to->count : NULL;
    size_t count = merge_exchange(n, step);
    for (size_t k = 0; step && k < count; k++) {
        step[k].low = (uint16_t)(step[k].low + first);
        step[k].high = (uint16_t)(step[k].high + first);
    }
    to->count += count;
}

/* Two sorted runs of wires, first..middle-1 and middle..past-1, and what stands around them so that
 * both are 2^k wires wide: minus infinity below, plus infinity above, which never move. */
struct runs {
    struct appending *to;
    size_t first;
    size_t past;
    size_t below; /* wires of minus infinity before first */
};

/* Merges the sorted halves of every stride-th of `width` wires from number `at` of the runs on. */
static void odd_even_merge(const struct runs *runs, size_t at, size_t width, size_t stride)
{
    size_t step = 2 * stride;
    bool pair = step >= width;
    if (!pair) {
        odd_even_merge(runs, at, width, step);
        odd_even_merge(runs, at + stride, width, step);
    }
    size_t end = pair ? at + stride : at + width - stride;
    for (size_t low = pair ? at : at + stride; low < end; low += step) {
        if (low >= runs->below && low + stride < runs->below + runs->past - runs->first)
            append(runs->to, runs->first + low - runs->below,
                   runs->first + low + stride - runs->below);
    }
}

static void merge(struct appending *to, size_t first, size_t middle, size_t past)
{
    size_t width = 1;
    while (width < middle - first || width < past - middle)
        width *= 2;
    struct runs runs = {to, first, past, width - (middle - first)};
    odd_even_merge(&runs, 0, 2 * width, 1);
}

static size_t wire_of(size_t place, size_t half, size_t past)
{
    return place < half ? place : half + past - 1 - place;
}

/* Leaves the values of ranks f..n-f-1 of two sorted runs a = 0..half-1 and b = half..n-1 on wires
 * f..n-f-1. The n-f lowest values are those of a's first half-f wires, of b's first n-half-f, and
 * the lower of each pair of a's last f and b's last f, first against last. Strung together, a
 * upwards and b downwards, they rise and then fall, so that the n-2f highest are neighbours, one
 * for each remainder of the place divided by n-2f: the highest of its kind, found by folding. */
static void select_middle(struct appending *to, size_t n, size_t half, size_t f)
{
    size_t past = n - f;
    size_t span = n - 2 * f;
    for (size_t t = 0; t < f; t++)
        append(to, half - f + t, n - 1 - t);
    while (2 * span < past)
        span *= 2;
    for (size_t first = 0; span >= n - 2 * f; span /= 2) {
        for (size_t place = first; place + span < past; place++)
            append(to, wire_of(place, half, past), wire_of(place + span, half, past));
        first = past - span;
    }
}

static size_t half_of(size_t n)
{
    return (n + 1) / 2;
}

/* Halves, until they fit groups, whose sorts are appended. */
static void sort_groups_of(struct network *network, struct appending *to, size_t first, size_t n)
{
    if (n > NETWORK_GROUP) {
        sort_groups_of(network, to, first, half_of(n));
        sort_groups_of(network, to, first + half_of(n), n - half_of(n));
        return;
    }
    network->group[network->groups++] = (uint16_t)first;
    sort_group(to, first, n);
}

/* The groups of first..first+n-1 merged into one run. */
static void merge_groups(struct appending *to, size_t first, size_t n)
{
    if (n <= NETWORK_GROUP)
        return;
    size_t middle = first + half_of(n);
    merge_groups(to, first, half_of(n));
    merge_groups(to, middle, n - half_of(n));
    merge(to, first, middle, first + n);
}

/* Appends the whole network; its two halves are groups of their own where only the middle ranks
 * are wanted. */
static void append_grouped(struct network *network, bool halves, struct appending *to)
{
    size_t n = network->n;
    size_t half = half_of(n);
    network->groups = 0;
    if (halves) {
        sort_groups_of(network, to, 0, half);
        sort_groups_of(network, to, half, n - half);
    } else {
        sort_groups_of(network, to, 0, n);
    }
    network->group[network->groups] = (uint16_t)n;
    network->grouped = to->count;
    if (halves) {
        merge_groups(to, 0, half);
        merge_groups(to, half, n - half);
        select_middle(to, n, half, network->first);
    } else {
        merge_groups(to, 0, n);
    }
}

/* Allocates and fills the steps; halves as in append_grouped. */
static bool build_grouped(bool halves, struct network *network)
{
    struct appending to = {0, NULL};
    append_grouped(network, halves, &to);
    network->count = to.count;
    network->step = calloc(to.count + 1, sizeof *network->step);
    if (!network->step)
        return false;
    to = (struct appending){0, network->step};
    append_grouped(network, halves, &to);
    return true;
}

static bool start(size_t n, size_t first, size_t past, struct network *network)
{
    *network = (struct network){.n = n, .first = first, .past = past};
    return n <= NETWORK_WIRES_MAX && first < past && past <= n;
}

/* Minima and maxima. */
static size_t operations(const struct network *network)
{
    size_t sum = 0;
    for (size_t k = 0; k < network->count; k++)
        sum += network->step[k].kind == COMPARATOR_BOTH ? 2 : 1;
    return sum;
}

bool network_build(size_t n, size_t first, size_t past, bool sorted, struct network *network)
{
    if (!start(n, first, past, network))
        return false;
    network->count = merge_exchange(n, NULL);
    network->step = calloc(network->count + 1, sizeof *network->step);
    if (!network->step)
        return false;
    merge_exchange(n, network->step);
    prune(network, sorted);
    if (sorted || past != n - first || n < 2)
        return true;
    struct network other;
    if (!start(n, first, past, &other) || !build_grouped(true, &other)) {
        network_free(network);
        return false;
    }
    other.grouped = other.groups = 0;
    prune(&other, sorted);
    bool leaner = operations(&other) < operations(network);
    network_free(leaner ? network : &other);
    if (leaner)
        *network = other;
    return true;
}

bool network_build_grouped(size_t n, size_t first, size_t past, bool sorted,
                           struct network *network)
{
    if (!start(n, first, past, network) ||
        !build_grouped(!sorted && n > 1 && past == n - first, network))
        return false;
    prune(network, sorted);
    return true;
}

void network_free(struct network *network)
{
    free(network->step);
    memset(network, 0, sizeof *network);
}
