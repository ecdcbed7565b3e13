/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of aggregation rules; plan check, documentation and command line read it. */
#include "coordinator/aggregate/rules.h"

#include <math.h>
#include <string.h>

#define ALLOUAH "Allouah et al., AISTATS 2023"

#define RULE(KIND, NAME, ROLE, NEEDS, PASSES, USES_F, BOUND, PARAMS, GUARANTEE, SOURCE)            \
    [AGG_##KIND] = {AGG_##KIND,        NAME,   AGG_ROLE_##ROLE, NEEDS, PASSES, USES_F,             \
                    AGG_BOUND_##BOUND, PARAMS, GUARANTEE,       SOURCE}

const struct agg_descriptor AGG_RULES[AGG_KINDS] = {
    RULE(MEAN, "mean", RULE, 0, 1, false, NONE, "", "none: one hostile row moves it anywhere", "-"),
    RULE(WEIGHTED_MEAN, "weighted-mean", RULE, 0, 1, false, NONE, "w alpha",
         "none: one hostile row or weight moves it anywhere", "McMahan et al., AISTATS 2017"),
    RULE(MEDIAN, "median", RULE, AGG_NEEDS_COLUMNS, 1, false, NONE, "",
         "kappa <= 4(1+f/(n-2f))^2; breaks under strong privacy noise",
         "Yin et al., ICML 2018; " ALLOUAH),
    RULE(TRIMMED_MEAN, "trimmed-mean", RULE, AGG_NEEDS_COLUMNS, 1, true, HALF, "f",
         "kappa <= 6f/(n-2f)*(1+f/(n-2f)); alone it breaks under strong privacy noise",
         "Yin et al., ICML 2018; " ALLOUAH),
    RULE(MEAMED, "meamed", RULE, AGG_NEEDS_COLUMNS, 1, true, HALF, "f",
         "bounded per coordinate; no (f,kappa) constant known", "Xie et al., arXiv 1802.10116"),
    RULE(WEIGHTED_MEDIAN, "weighted-median", RULE, AGG_NEEDS_COLUMNS, 1, false, NONE, "w alpha",
         "holds while hostile rows carry less than half of the truncated weight",
         "Portnoy et al., arXiv 2012.05795"),
    RULE(WEIGHTED_TRIMMED_MEAN, "weighted-trimmed-mean", RULE, AGG_NEEDS_COLUMNS, 1, false, NONE,
         "w trim_mass alpha", "holds while hostile rows carry at most trim_mass of the weight",
         "Portnoy et al., arXiv 2012.05795"),
    RULE(KRUM, "krum", RULE, AGG_NEEDS_GRAM, 2, true, KRUM, "f neighbours",
         "kappa <= 6(1+f/(n-2f)); n-f-2 neighbours; breaks under strong privacy noise",
         "Blanchard et al., NeurIPS 2017; " ALLOUAH),
    RULE(KRUM_NF1, "krum-nf1", RULE, AGG_NEEDS_GRAM, 2, true, HALF, "f neighbours",
         "kappa <= 6(1+f/(n-2f)); n-f-1 neighbours; breaks under strong privacy noise", ALLOUAH),
    RULE(MULTIKRUM, "multikrum", RULE, AGG_NEEDS_GRAM, 2, true, KRUM, "f m neighbours",
         "robust (proved 2026); n-f-2 neighbours; m defaults to n-f",
         "Blanchard et al., NeurIPS 2017; arXiv 2602.03899"),
    RULE(MULTIKRUM_NF1, "multikrum-nf1", RULE, AGG_NEEDS_GRAM, 2, true, HALF, "f m neighbours",
         "robust (proved 2026); n-f-1 neighbours; m defaults to n-f",
         "Blanchard et al., NeurIPS 2017; arXiv 2602.03899"),
    RULE(BULYAN, "bulyan", RULE, AGG_NEEDS_GRAM | AGG_NEEDS_COLUMNS, 2, true, BULYAN, "f",
         "each coordinate near honest ones; breaks under strong privacy noise",
         "El Mhamdi et al., ICML 2018"),
    RULE(GEOMEDIAN, "geomedian", RULE, AGG_NEEDS_GRAM, 2, false, NONE, "w nu T z0 alpha",
         "kappa <= 4(1+f/(n-2f))^2; smoothed with a scale-free nu, from the rows around the medoid",
         "Pillutla et al., IEEE TSP 2022; " ALLOUAH),
    RULE(GEOMEDIAN_SMOOTHED, "geomedian-smoothed", RULE, AGG_NEEDS_GRAM, 2, false, NONE, "nu T z0",
         "as geomedian while nu is far below the distances; the plain mean when above them",
         "Pillutla et al., IEEE TSP 2022"),
    RULE(GEOMEDIAN_CONVERGED, "geomedian-converged", RULE, AGG_NEEDS_GRAM, 2, false, NONE, "w",
         "kappa <= 4(1+f/(n-2f))^2", "Weiszfeld 1937; " ALLOUAH),
    RULE(WEIGHTED_GEOMEDIAN_SMOOTHED, "weighted-geomedian-smoothed", RULE, AGG_NEEDS_GRAM, 2, false,
         NONE, "w nu T z0 alpha", "holds while hostile rows carry less than half of the weight",
         "Pillutla et al., IEEE TSP 2022"),
    RULE(CENTERED_CLIPPING, "centered-clipping", RULE, AGG_NEEDS_GRAM, 2, false, NONE, "tau L v0",
         "error proportional to f/n with momentum and a tuned tau; f/n below about 0.1 proved",
         "Karimireddy et al., ICML 2021"),
    RULE(MDA, "mda", RULE, AGG_NEEDS_GRAM, 2, true, HALF, "f",
         "robust; the subset of smallest diameter, found exactly", "El-Mhamdi et al., PODC 2020"),
    RULE(SMEA, "smea-exact", RULE, AGG_NEEDS_GRAM, 2, true, SUBSETS, "f",
         "best in spectral norm; exponential, for reference",
         "Allouah et al., ICML 2023, arXiv 2302.04787"),
    RULE(CAF, "caf-exact", RULE, AGG_NEEDS_GRAM, 2, true, HALF, "f",
         "robust in spectral norm without a bound on the covariance; at most n rounds",
         "ICML 2025, arXiv 2505.01874"),
    RULE(MONNA, "monna", RULE, AGG_NEEDS_GRAM, 2, true, HALF, "f idx",
         "only with a trusted pivot row idx", "Farhadkhani et al., ICML 2023"),
    RULE(DNC_FULL, "dnc-full", RULE, AGG_NEEDS_GRAM, 2, true, HALF, "f filter_frac",
         "heuristic: drops the largest projections on the first singular vector",
         "Shejwalkar and Houmansadr, NDSS 2021"),
    RULE(FLTRUST, "fltrust", RULE, AGG_NEEDS_GRAM, 2, false, NONE, "g0",
         "rests on a trusted root update g0", "Cao et al., NDSS 2021"),
    RULE(NNM, "nnm", PRE, AGG_NEEDS_GRAM, 2, true, BELOW_N, "f",
         "kappa of the rule after it becomes at most 8f/(n-f)*(kappa+1)", ALLOUAH),
    RULE(BUCKETING, "bucketing", PRE, 0, 1, false, BUCKETS, "s perm",
         "lowers heterogeneity by s; f hostile rows fill at most f of ceil(n/s) buckets",
         "Karimireddy et al., ICLR 2022"),
    RULE(ARC, "arc", PRE, AGG_NEEDS_GRAM, 2, true, BELOW_N, "f",
         "keeps (f,kappa) and bounds the largest norms; hurts under privacy noise",
         "Allouah et al., ICLR 2025"),
    RULE(CLIP, "clip", PRE, AGG_NEEDS_GRAM, 2, false, NONE, "c",
         "none by itself: every norm at most c", "-"),
    RULE(ATTACK_ALIE, "attack-alie", ATTACK, AGG_NEEDS_COLUMNS, 1, false, TWO_ROWS, "tau",
         "not a rule: mean + tau*std of the given honest rows", "Baruch et al., NeurIPS 2019"),
    RULE(ATTACK_IPM, "attack-ipm", ATTACK, AGG_NEEDS_COLUMNS, 1, false, NONE, "tau",
         "not a rule: -tau times the mean of the given honest rows", "Xie et al., UAI 2019"),
    RULE(ATTACK_SIGNFLIP, "attack-signflip", ATTACK, AGG_NEEDS_COLUMNS, 1, false, NONE, "",
         "not a rule: minus the mean of the given honest rows", "Allen-Zhu et al., ICLR 2021"),
};

/* Equal when hyphens and underscores are taken as one. */
static bool same_name(const char *table_name, const char *given, size_t length)
{
    if (strlen(table_name) != length)
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = given[i] == '_' ? '-' : given[i];
        if (c != table_name[i])
            return false;
    }
    return true;
}

const struct agg_descriptor *agg_find(const char *name, size_t length)
{
    static const struct {
        const char *name;
        enum agg_kind kind;
    } SYNONYMS[] = {
        {"caf", AGG_CAF},
        {"smea", AGG_SMEA},
        {"multi-krum", AGG_MULTIKRUM},
        {"multi-krum-nf1", AGG_MULTIKRUM_NF1},
        {"weighted-geomedian", AGG_WEIGHTED_GEOMEDIAN_SMOOTHED},
    };
    for (size_t i = 0; i < AGG_KINDS; i++)
        if (same_name(AGG_RULES[i].name, name, length))
            return &AGG_RULES[i];
    for (size_t i = 0; i < sizeof SYNONYMS / sizeof SYNONYMS[0]; i++)
        if (same_name(SYNONYMS[i].name, name, length))
            return &AGG_RULES[SYNONYMS[i].kind];
    return NULL;
}

const char *agg_bound_text(enum agg_bound bound)
{
    switch (bound) {
    case AGG_BOUND_NONE:
        return "n >= 1";
    case AGG_BOUND_BELOW_N:
        return "f < n";
    case AGG_BOUND_HALF:
        return "2f < n";
    case AGG_BOUND_KRUM:
        return "2f+2 < n";
    case AGG_BOUND_BULYAN:
        return "n >= 4f+3";
    case AGG_BOUND_BUCKETS:
        return "2f < ceil(n/s)";
    case AGG_BOUND_SUBSETS:
        return "2f < n <= 16";
    case AGG_BOUND_TWO_ROWS:
        return "n >= 2";
    }
    return "?";
}

static bool bound_holds(enum agg_bound bound, size_t n, size_t f, size_t s)
{
    switch (bound) {
    case AGG_BOUND_NONE:
        return n >= 1;
    case AGG_BOUND_BELOW_N:
        return f < n;
    case AGG_BOUND_HALF:
        return 2 * f < n;
    case AGG_BOUND_KRUM:
        return 2 * f + 2 < n;
    case AGG_BOUND_BULYAN:
        return n >= 4 * f + 3;
    case AGG_BOUND_BUCKETS:
        return s >= 1 && 2 * f < (n + s - 1) / s;
    case AGG_BOUND_SUBSETS:
        return 2 * f < n && n <= AGG_SMEA_ROWS_MAX;
    case AGG_BOUND_TWO_ROWS:
        return n >= 2;
    }
    return false;
}

struct result agg_descriptor_check(const struct agg_descriptor *rule, size_t n, size_t f, size_t s,
                                   struct why *why)
{
    if (n == 0)
        return failed(why, RESULT_REFUSED, "rule '%s' has no row to work on", rule->name);
    if (n > AGG_ROWS_MAX)
        return failed(why, RESULT_REFUSED,
                      "rule '%s' takes at most %d rows at once, not %zu: use groups", rule->name,
                      AGG_ROWS_MAX, n);
    if (f >= AGG_ROWS_MAX || !bound_holds(rule->bound, n, f, s))
        return failed(why, RESULT_REFUSED, "rule '%s' needs %s, but n = %zu and f = %zu",
                      rule->name, agg_bound_text(rule->bound), n, f);
    return DONE;
}

double agg_kappa_floor(size_t n, size_t f)
{
    if (2 * f >= n)
        return INFINITY;
    return (double)f / (double)(n - 2 * f);
}

double agg_kappa_bound(enum agg_kind rule, bool after_nnm, size_t n, size_t f)
{
    if (2 * f >= n)
        return INFINITY;
    double ratio = agg_kappa_floor(n, f);
    double kappa = INFINITY;
    if (rule == AGG_TRIMMED_MEAN)
        kappa = 6.0 * ratio * (1.0 + ratio);
    else if (rule == AGG_KRUM || rule == AGG_KRUM_NF1)
        kappa = 6.0 * (1.0 + ratio);
    else if (rule == AGG_MEDIAN || rule == AGG_GEOMEDIAN || rule == AGG_GEOMEDIAN_CONVERGED)
        kappa = 4.0 * (1.0 + ratio) * (1.0 + ratio);
    if (after_nnm && isfinite(kappa))
        kappa = 8.0 * (double)f / (double)(n - f) * (kappa + 1.0);
    return kappa;
}
