/* SPDX-License-Identifier: Apache-2.0 */
/* A finished model's evaluation at all sites: what is kept of it, with a typed non-result for each
 * site that gave no figures (pure). The daemon computes it, an auditor's replay computes it again.
 */
#ifndef CONSILIUM_COORDINATOR_VALIDATION_H
#define CONSILIUM_COORDINATOR_VALIDATION_H

#include "coordinator/pooling.h"

#include <jansson.h>

/* Share that one site has at most in the pooled AUROC, and how far a claimed variance may lie from
 * Newcombe's (validation.md B3). */
#define VALIDATION_SHARE_MAX 0.4
#define VALIDATION_VARIANCE_FACTOR 4.0

struct validation_case {
    const struct study *study; /* its task tells who answered, and why not */
    const struct plan *plan;
    const struct pooling_input *inputs; /* [n] in ascending order of sites */
    size_t n;
    const unsigned char *model; /* [PLAN_HASH_BYTES] */
};

/* New reference: AUROC with its variance, and Brier score and C-index with theirs, pooled by capped
 * counts; the labels that this is worth; accuracy, the largest gap in
 * accuracy between a subgroup and its reference group, and the sites' own figures. It follows from
 * plan and evaluations alone. NULL without memory. */
json_t *validation_summary(const struct plan *plan, const struct study *study,
                           const struct pooling_input *inputs, size_t n);

/* What the audit log keeps: model, task, "summary", the claim about a new hospital ("new_hospital",
 * random effects), and "non_results" of the sites that gave no figures. Compact JSON (free). */
struct result validation_text(const struct validation_case *in, char **ret_text,
                              struct why *why) MUST_CHECK;

/* The same with every site's and subgroup's figures, for people (free). */
struct result validation_full(const struct validation_case *in, const char *text, char **ret_text,
                              struct why *why) MUST_CHECK;

#endif
