/* SPDX-License-Identifier: Apache-2.0 */
/* Integers that add up under masks. */
#include "proto/secure_sum.h"

#include "privacy/clip.h"
#include "privacy/mask.h"
#include "privacy/release_grid.h"
#include "proto/payload_secure.h"
#include "proto/plan_privacy.h"

#include <math.h>

double secure_weight(const struct plan *plan, uint64_t declared_patients)
{
    if (plan->privacy.mode != PRIVACY_NONE)
        return plan_lot(plan, declared_patients);
    return plan->aggregation.weights == WEIGHTS_EQUAL ? 1.0 : (double)declared_patients;
}

bool secure_quantise(const float *update, size_t d, double weight, uint64_t *values)
{
    for (size_t i = 0; i < d; i++) {
        double v = ldexp((double)update[i] * weight, SECURE_FRACTION_BITS);
        if (!(fabs(v) < ldexp(1.0, SECURE_VALUE_BITS)))
            return false;
        values[i] = (uint64_t)llrint(v);
    }
    return true;
}

struct result secure_mean(const struct plan *plan, const uint64_t *total, size_t d, double weights,
                          double *mean, struct why *why)
{
    double step = ldexp(1.0, -SECURE_FRACTION_BITS);
    if (plan->privacy.mode != PRIVACY_NONE) {
        struct release_grid grid;
        double share = plan_noise_share(plan, plan->privacy.noise_multiplier);
        if (release_grid_init(&grid, plan->privacy.clip_norm, share, d, CLIP_SLOT_ROWS_MAX) != 0)
            return failed(why, RESULT_REFUSED, "the plan's noise and clip norm have no grid");
        step = grid.step;
    }
    if (!(weights > 0.0))
        return failed(why, RESULT_REFUSED, "the sites of the sum have no weight");
    for (size_t i = 0; i < d; i++)
        mean[i] = step * (double)mask_centred(total[i], SECURE_MODULUS_BITS) / weights;
    return DONE;
}
