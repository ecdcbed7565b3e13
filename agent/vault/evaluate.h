/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of models on a site's holdout, by subgroup, small cells suppressed. */
#ifndef CONSILIUM_VAULT_EVALUATE_H
#define CONSILIUM_VAULT_EVALUATE_H

#include "agent/vault/dataset.h"
#include "linalg/model.h"
#include "proto/base/result.h"
#include "proto/payload.h"
#include "proto/plan.h"

enum {
    EVALUATE_BINS = 32,          /* of the score histogram, equal width on [0, 1] */
    EVALUATE_DISTINCT_MIN = 20,  /* fewer distinct scores could point at single patients */
    EVALUATE_DISTINCT_ROWS = 40, /* ... where the holdout has at least this many rows */
};

struct evaluator;

/* plan and dataset must outlive *ret_evaluator, which the caller ends with evaluator_free. Errors:
 * RESULT_INPUT when the plan asks for more groups than an evaluation can hold or the data does not
 * fit the model, RESULT_SYSTEM without memory. */
struct result evaluator_create(struct evaluator **ret_evaluator, const struct plan *plan,
                               const struct dataset *dataset, struct why *why) MUST_CHECK;
void evaluator_free(struct evaluator *evaluator);

/* Scores the holdout with parameters [of the plan's model] and fills *out, which is empty before
 * and owns its groups afterwards. The first model evaluated is the one that later ones are compared
 * to.
 *
 * groups[0] is everybody; then, for a label of classes, one group "label=class" per class against
 * the rest; then one per subgroup level. For classes, everybody's positives are those of any class
 * but the first, scored by 1 - P(first class), and accuracy is that of the likeliest class. A real
 * label has a loss only. calibration_intercept is the one with the slope held at 1. Where the plan
 * names a follow-up time there is Harrell's C of the linear predictor; with a horizon, positives
 * are events before it, and rows whose follow-up ended before it without one are in no other
 * figure.
 *
 * All rows of a patient are judged: estimates are those of rows; variances, counts and cells those
 * of patients (shares at the threshold count each patient as one), where positives are patients
 * with a positive row and negatives those with a negative one; histograms and drift take the first
 * row of each patient. Groups with a positive or negative count under the plan's min_cell are
 * suppressed, and further ones until no suppressed count can be told from the others. With
 * metrics_noise in the plan all this gives way to one noised histogram (evaluate_noise.h): one
 * Gaussian event of that multiplier per call, to be charged beforehand; a real label is then
 * refused. What cannot be computed is NaN and says why in its status; only memory fails the call.
 */
struct result evaluator_run(struct evaluator *evaluator, const char *name, const double *parameters,
                            struct evaluation_model *out, struct why *why) MUST_CHECK;

/* Hidden strata of the model that was just run, over the first rows of the patients whose outcome
 * is known: which half a patient is in and where clusters start follow from the site's key. cell:
 * the least patients of a cluster. RESULT_SYSTEM without memory. */
struct result evaluator_strata(struct evaluator *evaluator, unsigned cell,
                               struct evaluation_strata *out, struct why *why) MUST_CHECK;

/* The probability (a class: of any but the first; a real label: the value) that parameters give to
 * each of x[rows][inputs], into score[rows]. */
void evaluator_scores(struct evaluator *evaluator, const double *parameters, size_t rows,
                      const double *x, double *score);

#endif
