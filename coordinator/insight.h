/* SPDX-License-Identifier: Apache-2.0 */
/* What one evaluation tells beyond its pooled figures, as JSON (pure): the claim about a new
 * hospital, groups over all sites, calibration in bins, and who contributes to the model. */
#ifndef CONSILIUM_COORDINATOR_INSIGHT_H
#define CONSILIUM_COORDINATOR_INSIGHT_H

#include "coordinator/pooling.h"

#include <jansson.h>

/* Patients that a bin of the calibration curve holds at least; neighbours are put together. */
enum { INSIGHT_CELL = 11 };

/* New references; NULL where there is nothing to tell. */

/* As transport_json over the sites that have an AUROC. */
json_t *insight_transport(const struct pooling_input *inputs, size_t n);

/* The same of the C-index ("auc" is C); NULL without a follow-up time. */
json_t *insight_cindex(const struct pooling_input *inputs, size_t n);

/* [{"group", "sites", "auroc", "low", "high"}]: the first model's, weighted by patients. */
json_t *insight_groups(const struct pooling_input *inputs, size_t n);

/* [{"predicted", "observed", "low", "high"}] from the sites' score histograms, with Wilson's 95 %
 * interval; "noised": true is added to bins of noised histograms. */
json_t *insight_calibration(const struct pooling_input *inputs, size_t n);

/* {"mu", "spread", "sites": [{"site", "contribution", "z", "ease", "own_excess", "leave_one_out",
 * "free_rider", "self_inflated"}]} of the local models and the aggregates without one site. */
json_t *insight_matrix(const struct study *study, const struct pooling_input *inputs, size_t n);

#endif
