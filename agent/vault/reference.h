/* SPDX-License-Identifier: Apache-2.0 */
/* What a study's patients looked like when the site activated it: a sample of encoded rows that
 * stays in the vault and that later patients are compared to. */
#ifndef CONSILIUM_VAULT_REFERENCE_H
#define CONSILIUM_VAULT_REFERENCE_H

#include "agent/vault/dataset.h"
#include "agent/vault/epoch.h"

enum {
    REFERENCE_ROWS_MAX = 2000,      /* one row of each of so many patients */
    REFERENCE_VALUES_MAX = 1 << 21, /* rows times columns */
    REFERENCE_KNOWN_MAX = 1 << 22,  /* holdout patients that were there */
};

/* All arrays are owned; reference_free wipes them. */
struct reference {
    bool of_training;   /* sampled from the training patients, else from the holdout */
    uint64_t frozen_ms; /* when */
    uint64_t patients;  /* that were sampled from */
    size_t rows, inputs, missing_bytes;
    double *x;        /* [rows][inputs] to single precision */
    uint8_t *missing; /* [rows][missing_bytes] */
    uint64_t *known;  /* [known_n] ascending: holdout patients of that day */
    size_t known_n;
};

/* Samples the study's patients and keeps the sample in the book, once. With privacy the sample is
 * of the holdout: the training patients' epsilon leaves no room for other figures about them. */
struct result reference_freeze(struct epoch_book *book, uint64_t now_ms, const struct plan *plan,
                               const struct dataset *dataset, struct why *why) MUST_CHECK;

/* *ret_found false: none was frozen for this plan. On success the caller frees *reference. */
struct result reference_load(const struct epoch_book *book, const struct plan *plan,
                             struct reference *reference, bool *ret_found,
                             struct why *why) MUST_CHECK;
void reference_free(struct reference *reference);

#endif
