/* SPDX-License-Identifier: Apache-2.0 */
/* What a plan with secure aggregation may say. Nobody but the sites sees single updates, so nothing
 * that judges, trims or compresses single updates goes with it. */
#include "proto/plan_check.h"

#include "privacy/mask.h"

#include <string.h>

/* With 2 t > n + c no two lists of survivors can both find t sites that never contradict
 * themselves; with t - c > 1 a sum never holds the input of a single honest site. */
static struct result check_threshold(const struct plan *plan, const struct conf_source *s,
                                     struct why *why)
{
    unsigned n = plan->sites_count;
    unsigned t = plan->aggregation.secure_threshold, c = plan->aggregation.secure_colluders;
    if (n < MASK_SITES_MIN || n > MASK_SITES_MAX)
        return conf_wrong(s, why, "aggregation/secure", "needs %d to %d sites, the plan has %u",
                          MASK_SITES_MIN, MASK_SITES_MAX, n);
    if (t > n)
        return conf_wrong(s, why, "aggregation/secure_threshold", "%u is more than the %u sites", t,
                          n);
    if (c >= n || 2 * t <= n + c || t < c + 2)
        return conf_wrong(s, why, "aggregation/secure_threshold",
                          "%u of %u sites with %u that collude: a coordinator could open a single "
                          "site's update; twice the threshold must be above sites + colluders, so "
                          "use %u or more",
                          t, n, c, (n + c) / 2 + 1 > c + 2 ? (n + c) / 2 + 1 : c + 2);
    if (plan->aggregation.quorum < t)
        return conf_wrong(s, why, "aggregation/quorum",
                          "%u is below the secure threshold of %u, without which no sum opens",
                          plan->aggregation.quorum, t);
    return DONE;
}

static struct result check_rule(const struct plan *plan, const struct conf_source *s,
                                struct why *why)
{
    const struct plan_aggregation *a = &plan->aggregation;
    if (strcmp(a->rule, "weighted-mean") != 0 && strcmp(a->rule, "mean") != 0)
        return conf_wrong(s, why, "aggregation/rule",
                          "'%s' looks at single updates, which secure aggregation hides: use "
                          "weighted-mean, or leave 'secure' out",
                          a->rule);
    if (a->byzantine > 0)
        return conf_wrong(s, why, "aggregation/byzantine",
                          "secure aggregation withstands no hostile site: its updates cannot be "
                          "seen; set 0, or leave 'secure' out");
    if (a->max_norm > 0)
        return conf_wrong(s, why, "aggregation/max_norm",
                          "norms of single updates are hidden by secure aggregation: leave it out");
    if (strcmp(a->rule, "mean") == 0 && a->weights != WEIGHTS_EQUAL)
        return conf_wrong(s, why, "aggregation/weights", "a plain mean has equal weights");
    if (plan->validation.matrix)
        return conf_wrong(s, why, "validation/matrix",
                          "sites' own models are hidden by secure aggregation: leave it out");
    if (strcmp(plan->compression, "none") != 0)
        return conf_wrong(s, why, "compression",
                          "'%s' does not add up under masks: secure aggregation needs 'none'",
                          plan->compression);
    return DONE;
}

/* The epsilon is that of the sum. A site's own steps between two sums would rest on its own share
 * of the noise alone, so there is one step a round, and nothing learnt stays at the site. */
static struct result check_noise(const struct plan *plan, const struct conf_source *s,
                                 struct why *why)
{
    if (plan->privacy.mode == PRIVACY_NONE)
        return DONE;
    if (plan->training.steps != 1)
        return conf_wrong(s, why, "training/steps",
                          "noise shared by the sites protects sums only, not a site's own steps: "
                          "secure aggregation with privacy takes 'steps: 1' a round");
    if (plan->model.site_intercept)
        return conf_wrong(s, why, "model/site_intercept",
                          "an intercept kept at a site is protected by its own share of the noise "
                          "only: leave it out of a private secure study");
    if (plan->aggregation.weights != WEIGHTS_PATIENTS ||
        strcmp(plan->aggregation.rule, "weighted-mean") != 0)
        return conf_wrong(s, why, "aggregation/weights",
                          "a sum of clipped patients weighs by patients: use rule weighted-mean "
                          "and weights patients");
    if (!(plan->privacy.noise_multiplier > 0.0))
        return conf_wrong(s, why, "privacy/noise_multiplier",
                          "all sites round to one grid, which follows from it: state it. "
                          "'consilium privacy calibrate --events g:%g:?:%u --epsilon %g --delta "
                          "%g' finds it",
                          plan->privacy.sampling_rate, plan->training.rounds, plan->privacy.epsilon,
                          plan->privacy.delta);
    return DONE;
}

struct result plan_check_secure(const struct plan *plan, const struct conf_source *source,
                                struct why *why)
{
    if (!plan->aggregation.secure) {
        if (plan->aggregation.secure_threshold > 0 || plan->aggregation.secure_colluders > 0)
            return conf_wrong(source, why, "aggregation/secure_threshold",
                              "has no effect without 'secure: true'");
        return DONE;
    }
    TRY(check_threshold(plan, source, why));
    TRY(check_rule(plan, source, why));
    return check_noise(plan, source, why);
}
