/* SPDX-License-Identifier: Apache-2.0 */
/* AUROC of several classes: one against the rest, and their macro average. */
#ifndef CONSILIUM_LINALG_STATS_MULTICLASS_H
#define CONSILIUM_LINALG_STATS_MULTICLASS_H

#include "linalg/stats/auroc.h"

enum { MULTICLASS_MAX = 1024 };

struct multiclass {
    enum stat_status status;
    size_t classes_defined; /* classes with members and others: what the averages are over */
    double macro;           /* plain mean of the one-against-rest AUROCs; NaN if none */
    double weighted;        /* weighted by class size */
};

/* label[n] whole numbers in [0, classes), score[n][classes] row-major; per_class[classes] belongs
 * to the caller. OK; INVALID_INPUT (also classes outside 2..MULTICLASS_MAX); SINGLE_CLASS when no
 * class is defined; NO_MEMORY. */
enum stat_status multiclass_auroc(size_t n, size_t classes, const double *label,
                                  const double *score, struct auroc *per_class,
                                  struct multiclass *out);

#endif
