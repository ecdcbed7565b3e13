/* SPDX-License-Identifier: Apache-2.0 */
/* Subgroups: which may be released, disparity against a reference group, adjustment for many tests.
 */
#ifndef CONSILIUM_LINALG_STATS_SUBGROUP_H
#define CONSILIUM_LINALG_STATS_SUBGROUP_H

#include "linalg/stats/status.h"

#include <stddef.h>

enum { SUBGROUPS_MAX = 4096 };

enum subgroup_fate {
    SUBGROUP_RELEASED,
    SUBGROUP_PRIMARY,       /* fewer than c positives or negatives */
    SUBGROUP_COMPLEMENTARY, /* else a suppressed group could be found by subtraction */
};

/* key is not owned; keys must differ. */
struct subgroup {
    const char *key;
    size_t n, n_pos;
    enum subgroup_fate fate;
};

/* Sets the fate of groups[k] for minimum cell c: while exactly one group is suppressed, or the
 * suppressed ones hold fewer than c patients together, the smallest remaining (ties: smallest key)
 * goes too. Returns how many are released. */
size_t subgroup_suppress(size_t k, struct subgroup *groups, size_t c);

/* Group against reference, two performances with variances. delta = |difference|, signed = ref -
 * group; ratio = group/ref with a log-scale interval; 95 %. */
struct disparity {
    double delta, ratio, delta_signed, se_delta;
    double ci_delta_signed[2];
    double ci_ratio[2];
};
void subgroup_disparity(double ref, double var_ref, double group, double var_group,
                        struct disparity *out);

/* Adjusted p-values into adjusted[k]: Holm (family-wise error) and Benjamini-Hochberg (false
 * discovery rate). k up to SUBGROUPS_MAX; false beyond it or on a p outside [0,1]. */
int adjust_holm(size_t k, const double *p, double *adjusted);
int adjust_bh(size_t k, const double *p, double *adjusted);

#endif
