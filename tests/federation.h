/* SPDX-License-Identifier: Apache-2.0 */
/* A federation in one process, without link or robust rule: the plain weighted mean of what the
 * vault's own training returns, through the plan's codec. For tests and benches of learning alone.
 */
#ifndef CONSILIUM_TESTS_FEDERATION_H
#define CONSILIUM_TESTS_FEDERATION_H

#include "proto/base/result.h"
#include "proto/plan.h"

#include <stddef.h>

enum { FEDERATION_SITES_MAX = 16 };

struct federation_site {
    size_t patients; /* held out, over all folds */
    double auroc, accuracy;
};

/* Figures of the held-out patients of all folds and sites together. */
struct federation_outcome {
    size_t patients, sites;
    double auroc, brier, slope, intercept;
    struct federation_site site[FEDERATION_SITES_MAX];
};

/* Runs the plan once for each value of its fold column in folds[count] (count 0: once, with the
 * plan's own holdout), on folder/SITE.csv; every site declares the patients of its file. noise is
 * the multiplier of private plans. */
struct result federation_run(struct plan *plan, const char *folder, const char *const *folds,
                             size_t count, double noise, struct federation_outcome *outcome,
                             struct why *why) MUST_CHECK;

/* The least noise multiplier for the plan's epsilon over the whole study. */
struct result federation_noise(const struct plan *plan, double *ret_noise,
                               struct why *why) MUST_CHECK;

#endif
