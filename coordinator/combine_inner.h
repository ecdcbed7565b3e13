/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of combining only: the updates of a round as rows of the rule. */
#ifndef CONSILIUM_COORDINATOR_COMBINE_INNER_H
#define CONSILIUM_COORDINATOR_COMBINE_INNER_H

#include "coordinator/aggregate/aggregate.h"
#include "coordinator/combine.h"

/* The rows that enter the rule, and the gate's notes on every update. */
struct combine_rows {
    size_t n, d;
    struct codec_view *views; /* [n] */
    struct combine_site **of; /* [n] of the outcome */
    double *patients;         /* [n] */
    const struct combine_update **updates;
    struct server_site *sites; /* [n] evidence on the noise, to be kept when the round succeeds */
    struct codec_view *aside;  /* [n of the round]: d = 0 where the update is not set aside */
    double median_norm;        /* of the rows that enter */
    float *momentum;           /* [n][d] state to be kept, or NULL */
    float *values;             /* [n][d] the rows themselves, with momentum; else decoded anew */
};
void combine_rows_free(struct combine_rows *rows);

/* Opens the frame of an update: the plan's codec, d coordinates. RESULT_REFUSED with the reason. */
struct result combine_open_frame(const struct plan *plan, const struct payload_update *update,
                                 size_t d, struct codec_view *view, struct why *why) MUST_CHECK;

/* Norm of an opened frame; NaN or infinite where a coordinate is. */
double combine_norm(const struct codec_view *view);

/* The gate: fills rows, outcome->sites and outcome->refusals. */
struct result combine_admit(const struct combine_case *round, const struct server *server,
                            struct combine_rows *rows, struct combine_outcome *outcome,
                            struct why *why) MUST_CHECK;

/* The figures of all updates, from what the rule saw and made (explain, aggregate). */
struct result combine_describe(const struct combine_case *round, const struct combine_rows *rows,
                               bool nnm, struct agg_explain *explain,
                               struct combine_outcome *outcome, struct why *why) MUST_CHECK;

#endif
