/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of aggregation rules: name, needs, bound on f, guarantee and its source. */
#ifndef CONSILIUM_AGGREGATE_RULES_H
#define CONSILIUM_AGGREGATE_RULES_H

#include "proto/base/result.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum agg_kind {
    AGG_MEAN,
    AGG_WEIGHTED_MEAN,
    AGG_MEDIAN,
    AGG_TRIMMED_MEAN,
    AGG_MEAMED,
    AGG_WEIGHTED_MEDIAN,
    AGG_WEIGHTED_TRIMMED_MEAN,
    AGG_KRUM,
    AGG_KRUM_NF1,
    AGG_MULTIKRUM,
    AGG_MULTIKRUM_NF1,
    AGG_BULYAN,
    AGG_GEOMEDIAN,
    AGG_GEOMEDIAN_SMOOTHED,
    AGG_GEOMEDIAN_CONVERGED,
    AGG_WEIGHTED_GEOMEDIAN_SMOOTHED,
    AGG_CENTERED_CLIPPING,
    AGG_MDA,
    AGG_SMEA,
    AGG_CAF,
    AGG_MONNA,
    AGG_DNC_FULL,
    AGG_FLTRUST,
    AGG_NNM,
    AGG_BUCKETING,
    AGG_ARC,
    AGG_CLIP,
    AGG_ATTACK_ALIE,
    AGG_ATTACK_IPM,
    AGG_ATTACK_SIGNFLIP,
    AGG_KINDS
};

/* What a rule is. A pre-aggregation maps n rows to n' rows and may stand before any other. */
enum agg_role {
    AGG_ROLE_RULE,
    AGG_ROLE_PRE,
    AGG_ROLE_ATTACK /* what an attacker sends, given the honest rows: for tests and simulations */
};

/* What a rule reads of the rows. */
enum agg_needs {
    AGG_NEEDS_COLUMNS = 1, /* all n values of one coordinate at a time */
    AGG_NEEDS_GRAM = 2,    /* the n x n matrix of inner products, then one linear combination */
};

/* The bound on f that the rule's definition needs. */
enum agg_bound {
    AGG_BOUND_NONE,     /* n >= 1 */
    AGG_BOUND_BELOW_N,  /* f < n */
    AGG_BOUND_HALF,     /* 2f < n */
    AGG_BOUND_KRUM,     /* 2f + 2 < n */
    AGG_BOUND_BULYAN,   /* n >= 4f + 3 */
    AGG_BOUND_BUCKETS,  /* 2f < ceil(n/s) */
    AGG_BOUND_SUBSETS,  /* 2f < n <= AGG_SMEA_ROWS_MAX */
    AGG_BOUND_TWO_ROWS, /* n >= 2 */
};

enum {
    AGG_ROWS_MAX = 2048,    /* rows of one aggregation; beyond it, groups (group.h) */
    AGG_STAGES_MAX = 4,     /* pre-aggregations and the rule */
    AGG_SMEA_ROWS_MAX = 16, /* the exact search is exponential */
    AGG_NAME_BYTES = 128,
};

struct agg_descriptor {
    enum agg_kind kind;
    const char *name; /* lower case, hyphens */
    enum agg_role role;
    unsigned needs; /* enum agg_needs, or-ed */
    int passes;     /* reads of the data in the fast engine */
    bool uses_f;    /* f must be given */
    enum agg_bound bound;
    const char *params;    /* names it reads, space separated */
    const char *guarantee; /* one sentence; what is proved, or that nothing is */
    const char *source;
};

/* The table, AGG_KINDS entries, indexed by kind. */
extern const struct agg_descriptor AGG_RULES[AGG_KINDS];

/* Looks a name up, hyphens and underscores alike, and the synonyms "caf" and "smea". NULL if none.
 * length bytes of name are read. */
const struct agg_descriptor *agg_find(const char *name, size_t length);

/* The bound in words, for example "2f < n". */
const char *agg_bound_text(enum agg_bound bound);

/* Whether one rule is defined for n rows of which f may be hostile; s is the bucket size (bucketing
 * only, 1 otherwise). RESULT_REFUSED with a sentence that names rule, n, f and the bound. */
struct result agg_descriptor_check(const struct agg_descriptor *rule, size_t n, size_t f, size_t s,
                                   struct why *why) MUST_CHECK;

/* Lower bound f/(n-2f) on the robustness coefficient kappa of any rule; infinite when 2f >= n.
 * Allouah et al., "Fixing by mixing", AISTATS 2023. */
double agg_kappa_floor(size_t n, size_t f);

/* Published upper bound on kappa for the composition with the given pre-aggregation (nnm or not);
 * infinite when no bound is known for this rule or 2f >= n. Same source. */
double agg_kappa_bound(enum agg_kind rule, bool after_nnm, size_t n, size_t f);

#endif
