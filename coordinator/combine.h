/* SPDX-License-Identifier: Apache-2.0 */
/* From the counted updates of a round to the new global model (pure): the daemon computes it, and
 * an auditor's replay computes it again, bit for bit. */
#ifndef CONSILIUM_COORDINATOR_COMBINE_H
#define CONSILIUM_COORDINATOR_COMBINE_H

#include "coordinator/aggregate/anomaly.h"
#include "coordinator/combine_noise.h"
#include "coordinator/server.h"
#include "coordinator/study.h"

#include <jansson.h>

struct combine_update {
    uint32_t site; /* index in the study; updates are given in ascending order */
    bool aside;    /* of a quarantined site: judged and recorded, but no row of the rule */
    unsigned char digest[PLAN_HASH_BYTES];
    unsigned char base[PLAN_HASH_BYTES]; /* hash of the model that it starts from, as signed */
    struct payload_update update;
};

/* One round as it lies before the rule. */
struct combine_case {
    const struct plan *plan;
    double noise_multiplier;   /* combine_noise_multiplier of the plan */
    const unsigned char *base; /* [PLAN_HASH_BYTES] hash of the round's model */
    const struct combine_update *updates;
    size_t n;
    size_t malformed; /* updates of other sites that were refused when they arrived */
    unsigned threads; /* any number gives the same bits; 0 = 2 */
};

enum combine_fate {
    COMBINE_COUNTED,
    COMBINE_REFUSED, /* at the gate; the sentence says why */
    COMBINE_ASIDE,   /* its site is quarantined */
};

/* What the aggregation saw of one update. NaN where the rule does not define a figure. */
struct combine_site {
    uint32_t site;
    enum combine_fate fate;
    double patients;
    struct anomaly_score score; /* norm: as it was sent; norm_ratio: over the expected length */
    struct noise_expected noise;
    enum noise_floor_verdict noise_verdict; /* where noise.known */
    double noise_sum, noise_low;            /* evidence so far and its bound, where noise.known */
    char sentence[MESSAGE_REASON_BYTES];    /* why it was refused, else what it is flagged for */
};

struct combine_outcome {
    size_t refusals_count;
    struct study_refusal *refusals; /* [refusals_count], owned */
    size_t sites_count;
    struct combine_site *sites; /* [sites_count], ascending, owned */
    size_t rows;                /* n that the rule was run with */
    size_t hostile;             /* f that the rule was run with */
    double spread, mean_norm;   /* of the rows: root mean square distance to their mean; its norm */
    double noise;               /* root mean square privacy noise in a row; NaN = not known */
    float *aggregate;           /* [d], owned */
};

/* The gate (refused updates become outcome->refusals), the plan's rule over the others, and its
 * result applied to *server. Malformed updates lower n and f; missing ones and those set aside
 * lower n alone. Errors leave *server as it was: RESULT_REFUSED when the rule's own condition fails
 * for what is left; never a fall-back to another rule. The outcome is to be freed after success and
 * failure. */
struct result combine_round(const struct combine_case *round, struct server *server,
                            struct combine_outcome *outcome, struct why *why) MUST_CHECK;

void combine_outcome_free(struct combine_outcome *outcome);

/* The plan's noise multiplier for a round's case: 0 without privacy. Takes up to a second, and is
 * the same for the whole study. */
struct result combine_noise_multiplier(const struct plan *plan, double *ret_noise,
                                       struct why *why) MUST_CHECK;

/* The figures of a round as its record: *ret_record is a new object with "withstands", "rows" and
 * "updates". study: before the round; the sites' conduct is told as it is after it. Equal rounds
 * give equal objects. */
struct result combine_record(const struct study *study, const struct combine_outcome *outcome,
                             json_t **ret_record, struct why *why) MUST_CHECK;

/* The marks of a round for STUDY_EVENT_AGGREGATED: *ret_marks [*ret_count] owned by the caller,
 * sentences borrowed from the outcome. */
struct result combine_marks(const struct combine_outcome *outcome, struct study_mark **ret_marks,
                            size_t *ret_count, struct why *why) MUST_CHECK;

/* Whether an update on its own may be counted: decodes with the plan's codec, has the model's
 * size, is finite. RESULT_REFUSED with a sentence for the site. */
struct result combine_check(const struct plan *plan, const struct payload_update *update, size_t d,
                            struct why *why) MUST_CHECK;

/* The models of the last evaluation of a plan with a matrix: the candidate, each site's local model
 * (the model of the round's start plus its own update), and "without-<site>" aggregates. start is
 * the server before the round, after the one behind it. *ret_bytes owned by the caller. */
struct result combine_matrix(const struct combine_case *round, const struct server *start,
                             const struct server *after, unsigned char **ret_bytes, size_t *ret_n,
                             unsigned char hash[PLAN_HASH_BYTES], struct why *why) MUST_CHECK;

#endif
