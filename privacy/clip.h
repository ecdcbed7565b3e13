/* SPDX-License-Identifier: Apache-2.0 */
/* Sum over patients of clipped gradients, exact in integers, without per-patient gradients.
 *
 * With A^l the inputs of layer l, D^l the row-weighted deltas and R_p the rows of patient p:
 *   |g_p|^2 = sum_l sum_{r,s in R_p} (<a^l_r, a^l_s> + 1) <d^l_r, d^l_s>      (+1: the bias)
 *   c_p = min(1, C / |g_p|),   sum_p c_p g_p = A^l' diag(c) D^l,
 * so the deltas of one backward pass are scaled and multiplied once (Li et al. 2022, ghost norms;
 * Bu et al. 2023, book-keeping). A patient's gradient is the mean over the patient's rows.
 *
 * Patients come in slots (see clip_add). Each slot is summed in double and rounded to a grid; the
 * slots are added in int64, which is exact and free of order (privacy/release_grid.h). */
#ifndef CONSILIUM_PRIVACY_CLIP_H
#define CONSILIUM_PRIVACY_CLIP_H

#include "linalg/model.h"
#include "privacy/clip_norm.h"
#include "privacy/release_grid.h"

#include <stddef.h>
#include <stdint.h>

enum {
    CLIP_PATIENT_ROWS_MAX = 256,  /* rows of one patient that count */
    CLIP_BATCH_ROWS_MAX = 4096,   /* rows of one matrix product */
    CLIP_SLOT_ROWS_MAX = 1 << 14, /* rows of one slot: bounds the rounding of its double sum */
    CLIP_ROW_NORMS_MAX = 4,       /* a row of several is cut at this many clip norms first */
};

/* What clip_slots aims at, in the mean. */
enum { CLIP_SLOT_PATIENTS = 1024, CLIP_SLOT_ROWS = 4096 };

struct clip_settings {
    struct release_grid grid; /* clip norm and step, from release_grid_init with the model's
                                 parameters and CLIP_SLOT_ROWS_MAX */
    size_t batch_rows;        /* rows held at a time; patient_rows .. CLIP_BATCH_ROWS_MAX */
    size_t patient_rows;      /* most rows of one patient; 1 .. CLIP_PATIENT_ROWS_MAX */
};

/* Rows, borrowed from their owner; those of one patient stand together. */
struct clip_rows {
    const double *x;       /* [rows][inputs of the model] */
    const double *y;       /* [rows] */
    const double *weight;  /* [rows] class weights, or NULL for 1 */
    const double *square;  /* [rows] squared norms of the rows of x, or NULL: computed */
    const uint32_t *first; /* [patients + 1]: patient p has rows first[p] .. first[p+1]-1 */
};

enum clip_status {
    CLIP_OK = 0,
    CLIP_BAD_SETTING,
    CLIP_NO_MEMORY,
    CLIP_TOO_MANY_ROWS, /* of a patient, of a slot, or of all slots */
};

const char *clip_status_text(enum clip_status status);

/* One running sum and the room to form it; allocated once per study. */
struct clip {
    struct clip_settings settings;
    const struct model *model; /* borrowed */
    struct model_work work;
    double *y, *weight, *square; /* [batch_rows] */
    uint32_t *rows_of;           /* [batch_rows]: rows of each patient in the batch */
    struct clip_norms norms;
    double *slot; /* [parameters] */
    int64_t *sum; /* [parameters], multiples of the grid step */
    size_t batch_used, batch_patients;
    size_t slot_rows;
};

/* The model must outlive *clip. End with clip_free, which accepts a zeroed struct too. */
enum clip_status clip_create(struct clip *clip, const struct model *model,
                             const struct clip_settings *settings);

/* Wipes and frees. */
void clip_free(struct clip *clip);

/* Slots for about this many patients in a step, each of at most patient_rows rows. Both must be
 * public constants (declared number times sampling rate, cap of the plan), or one patient more
 * could move every other patient to another slot. */
size_t clip_slots(size_t patients, size_t patient_rows);

/* Starts a sum at zero. */
void clip_begin(struct clip *clip);

/* Adds the clipped gradients at parameters of one slot: the chosen patients (indices into
 * rows->first) of the slot, count of them, 0 allowed. All patients of a slot come in one call, so
 * that one patient more or less changes the rounding of one slot only. A patient whose gradient
 * has a NaN or an infinity, or who has no row, adds exactly zero. On failure the sum is undefined
 * until the next clip_begin. */
enum clip_status clip_add(struct clip *clip, const double *parameters, const struct clip_rows *rows,
                          const size_t *chosen, size_t count);

#endif
