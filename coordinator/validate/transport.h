/* SPDX-License-Identifier: Apache-2.0 */
/* The claim about a hospital that has not taken part: random effects over the sites' AUROCs on the
 * logit scale. */
#ifndef CONSILIUM_COORDINATOR_VALIDATE_TRANSPORT_H
#define CONSILIUM_COORDINATOR_VALIDATE_TRANSPORT_H

#include "linalg/stats/pool.h"

#include <jansson.h>

/* Both estimates of the variance between sites; k counts the sites with an AUROC inside (0, 1) and
 * a positive variance. status of each as pool_random. */
struct transport {
    size_t k;
    struct pool dl, reml;
};

/* y_k = logit AUC_k, v_k = var_k / (AUC_k (1 - AUC_k))^2; sites without are passed over. */
void transport_pool(size_t n, const double *auc, const double *var, struct transport *out);

/* {"k", "dl": {"auc", "ci": [low, high], "pi": [low, high] or null, "tau2", "i2_percent"}, "reml":
 * {...}} on the AUROC scale, intervals by modified Hartung-Knapp; NULL for fewer than two sites. */
json_t *transport_json(const struct transport *transport);

#endif
