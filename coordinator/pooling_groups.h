/* SPDX-License-Identifier: Apache-2.0 */
/* What follows from released figures alone: gaps between subgroups, and figures of summed score
 * histograms. Both are post-processing: nothing of a patient is in them that was not sent. */
#ifndef CONSILIUM_COORDINATOR_POOLING_GROUPS_H
#define CONSILIUM_COORDINATOR_POOLING_GROUPS_H

#include "coordinator/pooling.h"

#include <jansson.h>

/* Each subgroup's AUROC against the first level of its column: gap, ratio, p, p by Holm over all
 * groups compared, intervals at 95 % together (Bonferroni over the comparisons), and the worst
 * group. At each site, and over the sites by rows. An object with "pooled" and "sites". */
json_t *pooling_disparity(const struct study *study, const struct pooling_input *inputs, size_t n);

/* The sum of the sites' histograms: AUROC with the bound of its binning, Newcombe's variance and
 * interval, O:E, ECE with its null value, slope. noise: noised ones are among them. null without
 * histograms of the same bins. */
json_t *pooling_histogram(const struct pooling_input *inputs, size_t n);

/* Sites whose everybody has no figures, and sites without a report: an object of words by name
 * (evaluation_status_name, study_absence). */
json_t *pooling_absent(const struct study *study, const struct pooling_input *inputs, size_t n);

#endif
