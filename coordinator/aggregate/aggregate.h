/* SPDX-License-Identifier: Apache-2.0 */
/* Robust aggregation: a rule expression, its parameters, and running it over the rows of a round.
 *
 * Rows are the sites' updates (deltas), one per site, in ascending site id: every tie goes to the
 * lowest row, so the order of arrival cannot matter. Rows must be finite: the admission gate
 * (admit.h) sees to it. Results are bitwise identical for any number of threads. */
#ifndef CONSILIUM_AGGREGATE_H
#define CONSILIUM_AGGREGATE_H

#include "coordinator/aggregate/rules.h"
#include "proto/base/result.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    AGG_COORDINATES_MAX = 1 << 30,
    AGG_THREADS_MAX = 64,
    AGG_ITERATIONS_MAX = 100000, /* T and L */
};

/* A point in R^d given as a parameter: v0, z0, g0. */
struct agg_point {
    enum agg_point_kind {
        AGG_POINT_DEFAULT, /* what the rule takes when nothing is said */
        AGG_POINT_ZERO,
        AGG_POINT_MEAN,     /* mean of the rows */
        AGG_POINT_MEDOID,   /* the row with the smallest sum of distances to the others */
        AGG_POINT_MAJORITY, /* mean of the floor(n/2)+1 rows nearest to the medoid, itself among
                               them */
        AGG_POINT_ROW,      /* one of the rows */
        AGG_POINT_GIVEN
    } kind;
    size_t row;
    double *values; /* owned by the rule, length elements; AGG_POINT_GIVEN only */
    size_t length;
};

/* Every parameter of every rule; a zero or negative value where noted means "not given". */
struct agg_params {
    bool has_f;
    size_t f;          /* rows that may be hostile */
    size_t m;          /* multikrum: rows kept; 0 = n-f */
    size_t neighbours; /* krum family; 0 = the convention of the rule */
    bool has_iterations;
    size_t iterations; /* T of geomedian, L of centered clipping */
    bool has_nu;
    double nu; /* geomedian smoothing; not given = scale-free, or 0.1 for the smoothed one */
    bool has_tau;
    double tau;       /* clipping radius, not given = median distance to v0; attack strength */
    double c;         /* clip norm; 0 = not given */
    double trim_mass; /* weighted trimmed mean, in the unit of w */
    bool has_trim_mass;
    double alpha; /* largest share of f rows after truncating w; 0 = not given, no truncation */
    bool has_filter_frac;
    double filter_frac; /* dnc; not given = 1 */
    size_t s;           /* bucket size; 0 = not given */
    size_t idx;         /* monna's pivot */
    uint32_t *perm;     /* bucketing permutation, owned, perm_length entries; NULL = not given */
    size_t perm_length;
    double *w; /* weights, owned, w_length entries, each finite and >= 0; NULL = all equal.
                  Selection ignores them; kept rows are averaged with them; buckets lose them */
    size_t w_length;
    struct agg_point z0, v0, g0;
};

/* A parsed expression: up to three pre-aggregations and a last stage, applied left to right. */
struct agg_rule {
    int stages;
    enum agg_kind stage[AGG_STAGES_MAX];
    struct agg_params params;
};

/* Parses "nnm+trimmed-mean" and the like into rule, which need not be initialised; parameters are
 * all "not given". RESULT_INPUT with a sentence for an unknown name or a wrong composition.
 * agg_rule_free releases what later agg_rule_set calls allocate. */
struct result agg_rule_parse(const char *expression, struct agg_rule *rule,
                             struct why *why) MUST_CHECK;
void agg_rule_free(struct agg_rule *rule);

/* The same for the rounds of a study: what gives more than one row, or is an attack, is refused. */
struct result agg_rule_parse_study(const char *expression, struct agg_rule *rule,
                                   struct why *why) MUST_CHECK;

/* Sets the parameter called name (f, m, neighbours, T, L, nu, tau, c, trim_mass, alpha, s, idx,
 * filter_frac, perm, w, z0, v0, g0; hyphens and underscores alike) from text: a number, a list
 * separated by commas, or for points "zero", "mean", "medoid", "majority", "row:K" or a list.
 * RESULT_INPUT when unknown, malformed or out of bounds. */
struct result agg_rule_set(struct agg_rule *rule, const char *name, const char *text,
                           struct why *why) MUST_CHECK;

/* The same from numbers already at hand; count 1 for scalars. Values are copied. */
struct result agg_rule_set_numbers(struct agg_rule *rule, const char *name, size_t count,
                                   const double *values, struct why *why) MUST_CHECK;

/* f, the number of rows that may be hostile. */
void agg_rule_set_f(struct agg_rule *rule, size_t f);

/* Fits the rule to n rows of which some were rejected as malformed: f <- max(0, f-k); weights and
 * permutation lose those rows, pivots are renumbered. RESULT_REFUSED when the rule leans on a
 * rejected row (idx, row:K), and then the rule is spoilt. Rows that are merely missing or late do
 * not lower f: do not count them in k. */
struct result agg_rule_reject_rows(struct agg_rule *rule, size_t n, const bool *rejected,
                                   struct why *why) MUST_CHECK;

/* Whether the rule, with its parameters, is defined for n rows of d coordinates; RESULT_REFUSED
 * with a sentence otherwise. Never falls back to another rule. d = 0 skips the checks of points. */
struct result agg_rule_check(const struct agg_rule *rule, size_t n, size_t d,
                             struct why *why) MUST_CHECK;

/* Rows of the output for n input rows: 1 unless the last stage is a pre-aggregation. */
size_t agg_rule_output_rows(const struct agg_rule *rule, size_t n);

/* Writes the canonical expression, "arc+nnm+krum-nf1", cut at size. */
void agg_rule_name(const struct agg_rule *rule, char *text, size_t size);

/* The rows of one round as the fast engine reads them. Either rows (pointers to d floats each) or
 * decode, which writes coordinates [first, first+count) of one row and returns false when the
 * payload does not decode; first is a multiple of AGG_BLOCK and count at most AGG_BLOCK. decode is
 * called from several threads at once, never for the same row and block twice at the same time. */
enum { AGG_BLOCK = 4096 };
struct agg_source {
    size_t n;
    size_t d;
    size_t offset; /* of these d coordinates in the whole vector, a multiple of AGG_BLOCK: for a
                      shard; 0 otherwise */
    const float *const *rows;
    bool (*decode)(void *context, size_t row, size_t first, size_t count, float *out);
    void *context;
};

/* What the aggregation saw, for audit and anomaly records. Arrays are owned; agg_explain_free.
 * An entry that the rule does not define is NaN (or SIZE_MAX for counts). */
struct agg_explain {
    size_t n;
    double *squared_distance; /* [n][n]; all 0 when no stage needs it and none was asked for */
    double *norm;             /* [n] */
    double *cosine;           /* [n] to the (first row of the) output */
    double *distance;         /* [n] to the (first row of the) output */
    double *weight;           /* [n] share of the row in the output; NaN when it varies by column */
    double *score;            /* [n] Krum score */
    double *clip_factor;      /* [n] */
    double *caf_weight;       /* [n] c_i at the mean that was kept */
    size_t *inclusions;       /* [n] neighbourhoods (NNM) or subsets that took the row */
};
void agg_explain_free(struct agg_explain *explain);

/* Runs the rule over float32 rows. out receives agg_rule_output_rows(rule, n) x d floats. threads 0
 * means 2. explain may be NULL; otherwise it is filled (allocated here) and costs one more pass.
 * RESULT_REFUSED when the rule's condition fails, RESULT_INPUT for a payload that does not decode,
 * RESULT_SYSTEM for memory. On failure out holds nothing of use. */
struct result agg_run(const struct agg_rule *rule, const struct agg_source *source,
                      unsigned threads, float *out, struct agg_explain *explain,
                      struct why *why) MUST_CHECK;

/* The plain twin in double, one thread: the definitions, row by row. rows: n pointers to d doubles;
 * out: agg_rule_output_rows(rule, n) x d doubles. */
struct result agg_run_f64(const struct agg_rule *rule, size_t n, size_t d,
                          const double *const *rows, double *out, struct agg_explain *explain,
                          struct why *why) MUST_CHECK;

/* w_i = min(w_i, U) with the largest U for which the f largest weights hold at most alpha of the
 * total. Portnoy et al., arXiv 2012.05795. out may be w. */
void agg_truncate_weights(size_t n, const double *w, size_t f, double alpha, double *out);

#endif
