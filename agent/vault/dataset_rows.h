/* SPDX-License-Identifier: Apache-2.0 */
/* Encoded rows as they are read, before they are ordered and split. */
#ifndef CONSILIUM_VAULT_DATASET_ROWS_H
#define CONSILIUM_VAULT_DATASET_ROWS_H

#include "proto/base/result.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ROWS_PATIENT_BYTES = 16 };

/* Who and where one row is; derived from the keyed hash of the patient's id. */
struct row_key {
    unsigned char patient[ROWS_PATIENT_BYTES];
    uint64_t holdout; /* uniform; below fraction * 2^64 is held out */
    uint32_t slot;
    uint32_t index; /* of the row in the arrays below */
    bool fold;      /* the row is in the plan's fold */
};

struct rows {
    size_t inputs, groups, missing_bytes;
    size_t count, capacity;
    double *x;           /* [capacity][inputs] */
    bool timed;          /* the plan names a follow-up time */
    double *y;           /* [capacity] */
    double *time;        /* [capacity] if timed */
    uint8_t *group;      /* [capacity][groups] */
    uint8_t *missing;    /* [capacity][missing_bytes] */
    struct row_key *key; /* [capacity] */
};

/* Makes room for one row more; the row at count may then be filled and count raised. */
struct result rows_reserve(struct rows *rows, const char *name, struct why *why) MUST_CHECK;

/* Fills key from the patient's id. slots >= 1. */
void rows_hash_patient(struct row_key *key, const unsigned char *secret, const char *id,
                       size_t slots);

/* Orders keys by slot, patient, and the row's own bytes: independent of the file's order. */
void rows_sort(struct rows *rows);

/* Moves keep of the count keys of one patient to the front, chosen by keyed hash of their rank. */
void rows_choose(struct row_key *keys, size_t count, size_t keep, const unsigned char *secret);

/* Keyed BLAKE2b-256 over all rows in sorted order. */
void rows_fingerprint(const struct rows *rows, const unsigned char *secret, unsigned char out[32]);

/* Wipes and frees. */
void rows_free(struct rows *rows);

#endif
