/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of n x n products over blocks of coordinates, in a tree that block numbers alone fix.
 *
 * The sum over blocks [0, B) is the balanced binary tree over the numbers 0..B-1, whoever adds
 * which part: threads and shards each sum a run of neighbouring blocks, keep the complete subtrees
 * of it, and join runs in order. So the bits do not depend on how the work was split. */
#ifndef CONSILIUM_AGGREGATE_GRAM_H
#define CONSILIUM_AGGREGATE_GRAM_H

#include <stdbool.h>
#include <stddef.h>

enum { GRAM_NODES_MAX = 80 }; /* two for each level of a tree over 2^30 blocks, and some */

/* A complete subtree: blocks index 2^level ... (index+1) 2^level - 1. */
struct gram_node {
    unsigned level;
    size_t index;
    double *packed; /* [n(n+1)/2], row by row, lower triangle */
};

/* The subtrees of a run of neighbouring blocks, in order. */
struct gram {
    size_t n;
    size_t first; /* blocks first..past-1 */
    size_t past;
    size_t count;
    struct gram_node node[GRAM_NODES_MAX];
    double *spare; /* one freed matrix, to be used again */
};

/* An empty run of n x n matrices that starts at block first. */
void gram_init(struct gram *gram, size_t n, size_t first);
void gram_free(struct gram *gram);

/* Zeroed room for the next block's sums, or NULL; gram_add takes it back as block number past. */
double *gram_room(struct gram *gram);
void gram_add(struct gram *gram, double *packed);

/* Appends a run that starts where this one ends and empties it. False when they do not meet. */
bool gram_join(struct gram *gram, struct gram *next);

/* The whole sum as a full symmetric matrix [n][n]; the run must start at block 0 and not be empty.
 * The run is used up. */
void gram_total(struct gram *gram, double *full);

#endif
