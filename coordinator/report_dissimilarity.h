/* SPDX-License-Identifier: Apache-2.0 */
/* How much the sites of a study differed, measured from its rounds. */
#ifndef CONSILIUM_COORDINATOR_REPORT_DISSIMILARITY_H
#define CONSILIUM_COORDINATOR_REPORT_DISSIMILARITY_H

#include <jansson.h>

/* A new object from the report's rounds (each with "spread", "mean_norm" and perhaps "noise"):
 * "rounds" used, "g", "b", "b_most" = sqrt(n/f - 2) (null for f = 0), "holds" = b < b_most. null
 * with fewer than two rounds. n, f: sites and hostile ones of the plan. */
json_t *report_dissimilarity(const json_t *rounds, unsigned n, unsigned f);

#endif
