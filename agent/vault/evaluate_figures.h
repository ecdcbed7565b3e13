/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of one group from labels and scores, and the suppression of small groups. */
#ifndef CONSILIUM_VAULT_EVALUATE_FIGURES_H
#define CONSILIUM_VAULT_EVALUATE_FIGURES_H

#include "proto/payload.h"

#include <stdbool.h>
#include <stddef.h>

/* Every number NaN, every count 0. The name is kept. */
void figures_clear(struct evaluation_figures *figures, enum evaluation_status status);

/* Fills figures from n rows of labels y in {0,1} and probabilities p. degenerate scores, a single
 * class, and cells under min_cell give the status instead. threshold in (0,1) adds the decisions.
 */
void figures_binary(struct evaluation_figures *figures, size_t n, const double *y, const double *p,
                    double threshold, unsigned min_cell);

/* The groups of one subgroup column: levels of them in figures, with rows[levels] patients each and
 * others in none of them. Suppresses more until the suppressed are at least two groups holding
 * min_cell patients together, or none is. */
void figures_suppress(struct evaluation_figures *figures, const size_t *rows, size_t levels,
                      size_t others, unsigned min_cell);

#endif
