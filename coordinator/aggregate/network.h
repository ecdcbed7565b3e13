/* SPDX-License-Identifier: Apache-2.0 */
/* Selection networks: Batcher's merge exchange for any n, pruned to the order statistics wanted. */
#ifndef CONSILIUM_AGGREGATE_NETWORK_H
#define CONSILIUM_AGGREGATE_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NETWORK_WIRES_MAX = 4096,
    NETWORK_GROUP = 32, /* wires of a group, at most */
    NETWORK_GROUPS_MAX = 256
};

/* What one comparator computes on two wires; low lies above high in a few. */
enum comparator_kind {
    COMPARATOR_BOTH, /* low <- min, high <- max */
    COMPARATOR_MIN,  /* low <- min; high is not read again */
    COMPARATOR_MAX   /* high <- max; low is not read again */
};

struct comparator {
    uint16_t low;
    uint16_t high;
    uint16_t kind; /* enum comparator_kind */
};

/* After it has run, wires first..past-1 hold the values of ranks first..past-1 (ascending, from 0);
 * in order when sorted, else in some order that depends on n, first and past alone. */
struct network {
    size_t n;
    size_t first;
    size_t past;
    size_t count;
    size_t grouped; /* the first steps, which sort each group of neighbouring wires; or 0 */
    size_t groups;
    uint16_t group[NETWORK_GROUPS_MAX + 1]; /* where each begins, at last n */
    struct comparator *step;
};

/* Builds the network; 0 <= first < past <= n <= NETWORK_WIRES_MAX. With sorted false comparators
 * between wires of the same fate are left out too. False when memory is short. network_free. */
bool network_build(size_t n, size_t first, size_t past, bool sorted, struct network *network);

/* The same in halves of halves: groups of at most NETWORK_GROUP neighbouring wires are sorted first
 * (step[0..grouped-1], which other code may do in registers instead), then merged; where as many
 * values are dropped at both ends and sorted is false, the last two runs are not merged, their
 * middle is selected in 2 first half comparators. */
bool network_build_grouped(size_t n, size_t first, size_t past, bool sorted,
                           struct network *network);
void network_free(struct network *network);

#endif
