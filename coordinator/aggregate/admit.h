/* SPDX-License-Identifier: Apache-2.0 */
/* The gate before any rule (pure): which updates of a round may become rows, and with which n and f
 * the rule then runs. A single NaN breaks most rules, so nothing passes that was not measured. */
#ifndef CONSILIUM_AGGREGATE_ADMIT_H
#define CONSILIUM_AGGREGATE_ADMIT_H

#include "coordinator/aggregate/aggregate.h"

enum { ADMIT_HASH_BYTES = 32 };

/* What the round asks of an update. */
struct admit_policy {
    uint64_t round;
    unsigned char base[ADMIT_HASH_BYTES]; /* hash of the model that the round started from */
    size_t d;
    double norm_factor; /* without noise: times the median norm of the last accepted; 10 */
    double max_norm;    /* absolute limit on the norm; 0 = none */
    bool has_noise;
    double sigma;      /* standard deviation of the privacy noise in one coordinate */
    double signal;     /* largest norm an honest update has before its noise (the clip norm) */
    double codec_nmse; /* expected squared error of the codec relative to the update; 0 = exact */
};

/* What was measured of one update. */
struct admit_facts {
    uint64_t round;
    unsigned char base[ADMIT_HASH_BYTES];
    size_t d;
    bool repeated;       /* the site already has an update in this round */
    size_t first_bad;    /* coordinate that is not finite, or d */
    double squared_norm; /* of the decoded update */
};

enum admit_verdict {
    ADMIT_ACCEPTED,
    ADMIT_REPEATED, /* not a row: the first one stands */
    ADMIT_STALE,    /* another round or base model: as if it were missing */
    ADMIT_SHAPE,    /* from here on malformed: the site is taken for hostile */
    ADMIT_NOT_FINITE,
    ADMIT_NORM_HIGH,
    ADMIT_NORM_LOW,
};

/* Whether the verdict counts against f: a malformed row is a hostile one that showed itself. */
static inline bool admit_is_malformed(enum admit_verdict verdict)
{
    return verdict >= ADMIT_SHAPE;
}

/* The interval of squared norms that passes; high may be infinite, low 0. median_norm: of the
 * updates accepted in the last round, 0 when there was none. Without noise: up to (norm_factor
 * median)^2. With noise, |x|^2/sigma^2 of an honest site is noncentral chi-square with d degrees of
 * freedom and at most (signal/sigma)^2, which leaves
 *   d - 2 sqrt(18 d)   to   d + s + 2 sqrt(18 (d + 2s)) + 36,  s = (signal/sigma)^2,
 * with probability below 2e-8 (Laurent and Massart, Annals of Statistics 2000, lemma 1; Birge
 * 2001), times 1 + 1.25 codec_nmse above. A site that skipped its noise falls below it. */
void admit_window(const struct admit_policy *policy, double median_norm, double *low, double *high);

/* Judges one update; reason gets a sentence with the numbers unless accepted (NULL: none wanted).
 */
enum admit_verdict admit_judge(const struct admit_policy *policy, const struct admit_facts *facts,
                               double median_norm, struct why *reason);

/* Measures row `row` of a source: fills first_bad and squared_norm. RESULT_INPUT when it does not
 * decode. */
struct result admit_measure(const struct agg_source *source, size_t row, struct admit_facts *facts,
                            struct why *why) MUST_CHECK;

/* The n and f that the rule runs with, of `expected` sites and a bound f on the hostile ones:
 * malformed rows lower both, missing (or stale) ones lower n alone. RESULT_REFUSED when the rule's
 * own condition fails for what is left: the round is to be aborted and the model kept, never given
 * to another rule. */
struct result admit_close(const struct agg_rule *rule, size_t expected, size_t malformed,
                          size_t missing, size_t f, size_t *ret_n, size_t *ret_f,
                          struct why *why) MUST_CHECK;

#endif
