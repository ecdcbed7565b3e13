/* SPDX-License-Identifier: Apache-2.0 */
/* Hidden strata: clusters of patients, found without looking at the model's errors, that the model
 * serves worse than the rest of their class. */
#ifndef CONSILIUM_LINALG_STATS_STRATA_H
#define CONSILIUM_LINALG_STATS_STRATA_H

#include "linalg/stats/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STRATA_CLUSTERS_MAX = 8,
    STRATA_ROWS_MAX = 2000,      /* of a class that are clustered; all are tested */
    STRATA_SILHOUETTE_ROWS = 400 /* of these that the number of clusters is chosen by */
};

/* One row a patient. half[n]: 0 are clustered, 1 are tested. */
struct strata_input {
    size_t n, d;
    const double *x;            /* [n][d] */
    const unsigned char *y;     /* [n] 0 or 1 */
    const unsigned char *right; /* [n] whether the model decides rightly */
    const unsigned char *half;  /* [n] */
    size_t cell;                /* least patients of a cluster, and of the rest of its class */
    uint64_t seed;
};

/* The cluster with the largest gap = share right in the rest of its class less that in the cluster:
 * of sensitivity for positives, of specificity for negatives. Interval by Newcombe's hybrid score
 * method at 95 % for all tested clusters together (Bonferroni); p two-sided, by Holm. */
struct strata {
    enum stat_status status;
    size_t clusters[2];   /* of negatives and of positives; 0: too few to cluster */
    double silhouette[2]; /* of the clustering chosen */
    size_t tested;        /* clusters with a cell of tested patients, and the rest with one */
    bool worst_positive;
    size_t worst_n; /* patients of it that were tested */
    double gap, low, high, p;
};

/* Columns are standardised on the first half; k-means with k-means++ (Arthur and Vassilvitskii
 * 2007) and k from 2 to STRATA_CLUSTERS_MAX by the best mean silhouette (Rousseeuw 1987), by class.
 * The same input gives the same result. OK; EMPTY (no cluster can be tested); DEGENERATE (no column
 * varies); INVALID_INPUT (not finite); NO_MEMORY. */
enum stat_status strata_find(const struct strata_input *in, struct strata *out);

#endif
