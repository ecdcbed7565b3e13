/* SPDX-License-Identifier: Apache-2.0 */
/* One site's patients for one study: encoded, split by patient, ordered, fingerprinted. */
#ifndef CONSILIUM_VAULT_DATASET_H
#define CONSILIUM_VAULT_DATASET_H

#include "agent/vault/dataset_encode.h"
#include "privacy/clip.h"
#include "proto/base/result.h"
#include "proto/mapping.h"
#include "proto/plan.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    DATASET_KEY_BYTES = 32,
    DATASET_FINGERPRINT_BYTES = 32,
    DATASET_ROWS_MAX = 1 << 22,
    DATASET_VALUES_MAX = 1 << 27, /* rows times columns: 1 GiB of doubles */
    DATASET_REFUSALS_MAX = 64,    /* kinds of refusal that are told apart */
};

/* Patients of one side of the split. Rows of one patient stand together; patients are in the order
 * of their keyed hash, slot by slot, whatever the order of the file. In the holdout a patient's
 * first row is chosen by keyed hash. */
struct dataset_part {
    size_t patients, rows;
    double *x;            /* [rows][inputs] */
    double *y;            /* [rows] value, 0/1, class, or a hazard's signed follow-up */
    double *time;         /* [rows] follow-up, negative without an event, or NULL: encode_outcome */
    double *weight;       /* [rows] class weights, or NULL when the plan has none */
    double *square;       /* [rows] squared norms of the rows of x */
    uint8_t *groups;      /* [rows][subgroups] level, or ENCODE_NO_GROUP; NULL without subgroups */
    uint32_t *first;      /* [patients + 1] first row of each patient */
    uint32_t *slot_first; /* [slots + 1] first patient of each slot */
    size_t slots;
    uint64_t *patient; /* [patients] of the keyed hash of the id; in no order */
    uint8_t *missing;  /* [rows][missing_bytes] a bit per plan feature: the cell is empty */
};

/* Rows refused for one reason in one plan column. */
struct dataset_refusal {
    const char *column; /* points into the plan */
    enum encode_reason reason;
    uint64_t rows;
    uint64_t first_line; /* in the file, for the site's eyes only */
};

/* What was read. Counts are for the site's own screen; none of it may leave uncharged. */
struct dataset_counts {
    uint64_t rows_read, rows_refused;
    uint64_t rows_over_cap; /* beyond the rows a patient may have */
    struct dataset_refusal refusal[DATASET_REFUSALS_MAX];
    unsigned refusals;
    uint64_t missing[PLAN_FEATURES_MAX]; /* empty cells, by feature */
};

struct dataset {
    size_t inputs;        /* encoded columns */
    size_t subgroups;     /* as many as the plan's */
    size_t missing_bytes; /* of a row's missing bits */
    struct dataset_part train, holdout;
    struct dataset_counts counts;
    uint64_t seed; /* of the site's key and the plan: nobody else can foresee what is drawn by it */
    unsigned char fingerprint[DATASET_FINGERPRINT_BYTES]; /* keyed BLAKE2b of the encoded rows */
};

/* Reads the file, encodes it by plan and mapping (NULL: the file is in the plan's form), and splits
 * it by patient: a patient is held out when the keyed hash of the id falls below the plan's holdout
 * fraction, or, where the plan names a fold column, when one of the patient's rows has the fold's
 * value. Of a patient's rows at most max_rows_per_patient are kept, or CLIP_PATIENT_ROWS_MAX
 * without privacy, chosen by keyed hash. key is the site's own and secret: the same key gives the
 * same split in every study. name stands for the file in messages. On success the caller owns
 * *dataset (dataset_free), and plan must outlive it; on failure *dataset is empty. Errors:
 * RESULT_INPUT with file, line, column and remedy, never a cell's value; RESULT_SYSTEM when memory
 * or the file fails. */
struct result dataset_load(struct dataset *dataset, const struct plan *plan,
                           const struct mapping *mapping, const char *name, FILE *file,
                           const unsigned char key[DATASET_KEY_BYTES], struct why *why) MUST_CHECK;

/* Wipes and frees; accepts a zeroed struct. */
void dataset_free(struct dataset *dataset);

/* Leaves in the holdout only the patients [n] (ascending keyed hashes) that are given. */
void dataset_keep_holdout(struct dataset *dataset, const uint64_t *patients, size_t n);

/* Whether feature i of the plan was missing in that row. */
bool dataset_missing(const uint8_t *row, unsigned i);

/* The rows of a part as the clipping takes them; borrowed from the dataset. */
struct clip_rows dataset_rows(const struct dataset_part *part);

/* Sentences for the site's own eyes about a file that is read but hardly meant so: rows refused,
 * one label only, a number that looks like another unit. Returns how many. */
enum { DATASET_REMARKS = 3, DATASET_REMARK_BYTES = 384 };
size_t dataset_remarks(const struct dataset *dataset, const struct plan *plan,
                       char remark[DATASET_REMARKS][DATASET_REMARK_BYTES]);

#endif
