/* SPDX-License-Identifier: Apache-2.0 */
/* Cells of one site's record, through its mapping, to the plan's columns. */
#ifndef CONSILIUM_VAULT_DATASET_ENCODE_H
#define CONSILIUM_VAULT_DATASET_ENCODE_H

#include "agent/vault/dataset_csv.h"
#include "proto/base/result.h"
#include "proto/mapping.h"
#include "proto/plan.h"

#include <stdint.h>

/* Why a record was not used; the first reason found counts. */
enum encode_reason {
    ENCODE_OK = 0,
    ENCODE_MISSING,      /* empty where the plan refuses missing values */
    ENCODE_NOT_A_NUMBER, /* not a decimal number */
    ENCODE_OUT_OF_RANGE, /* outside the plan's plausible range */
    ENCODE_UNKNOWN_CODE, /* not a level of the plan, not a code of the mapping */
    ENCODE_TOO_LONG,     /* a patient id over ENCODE_ID_BYTES */
    ENCODE_REASONS,
};

enum { ENCODE_ID_BYTES = 256 };
#define ENCODE_TIME_MAX 1e9     /* of a follow-up, in the plan's unit */
enum { ENCODE_NO_GROUP = 255 }; /* a subgroup cell that is empty or no level of the plan */

/* A phrase for a person: "is not a number". */
const char *encode_reason_text(enum encode_reason reason);

/* Where a plan column stands in the file, and how the site writes it. */
struct encode_source {
    const char *name;                     /* the plan's */
    unsigned field;                       /* in the record */
    const struct mapping_column *mapping; /* NULL: the site uses the plan's form */
};

/* All pointers are into the plan and the mapping, which must outlive the encoder. */
struct encoder {
    const struct plan *plan;
    const struct mapping *mapping;       /* NULL: none */
    size_t inputs;                       /* columns that the features encode to */
    uint64_t missing[PLAN_FEATURES_MAX]; /* counts of missing cells, by feature */
    bool folds;                          /* the plan names a fold column */
    struct encode_source id, label, time, fold;
    struct encode_source subgroup[PLAN_SUBGROUPS_MAX];
    struct encode_source feature[PLAN_FEATURES_MAX];
};

/* Finds every plan column in the header, which is the current record of csv. Fails when a column
 * is absent or stands there twice, naming it. */
struct result encoder_bind(struct encoder *encoder, const struct plan *plan,
                           const struct mapping *mapping, const struct csv *header,
                           struct why *why) MUST_CHECK;

/* One row's outcome: the label, and where the plan has a follow-up time that in units of its
 * horizon (or of the column), negative without an event; a hazard's label is that too. */
struct encode_outcome {
    double y, time;
};

/* One record. x [inputs], *ret_outcome, groups [plan->subgroups_count], missing (a bit per feature,
 * low bits first; encode_missing_bytes of them) and *ret_id (into the record) are set when the
 * result is ENCODE_OK; otherwise *ret_source is the column at fault. */
enum encode_reason encoder_record(struct encoder *encoder, const struct csv *record, double *x,
                                  struct encode_outcome *ret_outcome, uint8_t *groups,
                                  uint8_t *missing, bool *ret_fold, const char **ret_id,
                                  const struct encode_source **ret_source);

size_t encode_missing_bytes(const struct plan *plan);

/* Columns that one feature encodes to. */
size_t encode_columns(const struct plan_feature *feature);

/* The level (category or flag) that encoded columns x stand for. */
unsigned encode_level(const struct plan_feature *feature, const double *x);

#endif
