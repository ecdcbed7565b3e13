/* SPDX-License-Identifier: Apache-2.0 */
/* From the counted updates of a round to the new global model (pure): the daemon computes it, and
 * an auditor's replay computes it again, bit for bit. */
#ifndef CONSILIUM_COORDINATOR_COMBINE_H
#define CONSILIUM_COORDINATOR_COMBINE_H

#include "coordinator/server.h"
#include "coordinator/study.h"

struct combine_update {
    uint32_t site; /* index in the study; updates are given in ascending order */
    unsigned char digest[PLAN_HASH_BYTES];
    struct payload_update update;
};

/* What the aggregation saw of one update. NaN where the rule does not define a figure. */
struct combine_site {
    uint32_t site;
    double patients;
    double norm;
    double cosine; /* to the aggregate */
    double weight; /* share in the aggregate */
};

struct combine_outcome {
    size_t refusals_count;
    struct study_refusal *refusals; /* [refusals_count], owned */
    size_t sites_count;
    struct combine_site *sites; /* [sites_count] of those that entered, owned */
    size_t hostile;             /* f that the rule was run with */
    float *aggregate;           /* [d], owned */
};

/* Refuses updates that do not decode or are too large (outcome->refusals), runs the plan's rule
 * over the others and applies the result to *server. Errors leave *server as it was: RESULT_REFUSED
 * when the rule's own condition fails for what is left; never a fall-back to another rule. The
 * outcome is to be freed after success and failure. */
struct result combine_round(const struct plan *plan, struct server *server,
                            const struct combine_update *updates, size_t n,
                            struct combine_outcome *outcome, struct why *why) MUST_CHECK;

void combine_outcome_free(struct combine_outcome *outcome);

/* Whether an update on its own may be counted: decodes with the plan's codec, has the model's
 * size, is finite. RESULT_REFUSED with a sentence for the site. */
struct result combine_check(const struct plan *plan, const struct payload_update *update, size_t d,
                            struct why *why) MUST_CHECK;

/* The models of the last evaluation of a plan with a matrix: the candidate, each site's local model
 * (the model of the round's start plus its own update), and "without-<site>" aggregates. start is
 * the server before the round, after the one behind it. *ret_bytes owned by the caller. */
struct result combine_matrix(const struct plan *plan, const struct server *start,
                             const struct server *after, const struct combine_update *updates,
                             size_t n, unsigned char **ret_bytes, size_t *ret_n,
                             unsigned char hash[PLAN_HASH_BYTES], struct why *why) MUST_CHECK;

#endif
