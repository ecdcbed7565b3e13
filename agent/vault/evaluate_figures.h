/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of one group from labels and scores, and the suppression of small groups. */
#ifndef CONSILIUM_VAULT_EVALUATE_FIGURES_H
#define CONSILIUM_VAULT_EVALUATE_FIGURES_H

#include "proto/payload.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Rows of one group, those of a patient side by side. */
struct figures_rows {
    size_t n;
    const double *y, *p;     /* [n] label in {0,1}; probability, or risk for figures_survival */
    const uint32_t *patient; /* [n] dense number, ascending from 0 */
    size_t patients;
};

/* Every number NaN, every count 0. The name is kept. */
void figures_clear(struct evaluation_figures *figures, enum evaluation_status status);

/* Fills figures from the rows. degenerate scores, a single class, and cells under min_cell patients
 * give the status instead. threshold in (0,1) adds the decisions. */
void figures_binary(struct evaluation_figures *figures, const struct figures_rows *rows,
                    double threshold, unsigned min_cell);

/* Adds Harrell's C of the risk p for events y at time [n]; nothing without a comparable pair. */
void figures_survival(struct evaluation_figures *figures, const struct figures_rows *rows,
                      const double *time);

/* The groups of one subgroup column: levels of them in figures, with patients[levels] each and
 * others in none of them. Suppresses more until the suppressed are at least two groups holding
 * min_cell patients together, or none is. */
void figures_suppress(struct evaluation_figures *figures, const size_t *patients, size_t levels,
                      size_t others, unsigned min_cell);

#endif
