/* SPDX-License-Identifier: Apache-2.0 */
/* Automatic algorithm change protocol: the alpha ledger that lets a model be replaced again and
 * again with a bounded number of bad approvals. Pure: batches in, decisions out. */
#ifndef CONSILIUM_COORDINATOR_VALIDATE_AACP_H
#define CONSILIUM_COORDINATOR_VALIDATE_AACP_H

#include "proto/base/result.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    AACP_MODELS_MAX = 1024,
    AACP_LOOKS_MAX = 64, /* looks at one candidate; twice max_wait must not exceed it */
    AACP_ENDPOINTS_MAX = 2,
    AACP_BOUNDS_CACHE = 256,
};

/* Alpha is counted in millionths. */
#define AACP_MICRO INT64_C(1000000)

enum aacp_kind {
    AACP_BAC,  /* bad approvals in a window: alpha/(window + wait) each */
    AACP_BABR, /* and benchmark ratio: alpha is earned back by beating the benchmark */
};

/* How BABR divides the alpha that is left. Sums of doubles fall on either side of a thousandth with
 * the order of summation; exact integers do not. */
enum aacp_arithmetic {
    AACP_EXACT,     /* integers: the default of a gate */
    AACP_PUBLISHED, /* doubles in the order of the authors' program: to replay published decisions
                     */
};

struct aacp_policy {
    enum aacp_kind kind;
    enum aacp_arithmetic arithmetic;
    int64_t alpha_total; /* micro */
    int64_t alpha_cap;   /* micro, most one model may get; BABR only */
    int64_t use_factor;  /* micro: 1000000 is 1 */
    int64_t denom_min;   /* micro */
    unsigned window;     /* W > 0 */
    unsigned max_wait;   /* Delta: looks before a candidate is dead; > 0 */
    double margin;       /* eps: a difference above -eps is not worse */
    unsigned endpoints;  /* 1 or 2 */
    unsigned horizon;    /* batches in all, or 0 for open-ended */
};

/* One group-sequential boundary: looks bounds. */
struct aacp_bounds {
    unsigned looks;
    double bound[AACP_LOOKS_MAX];
};

/* alpha[j], what model j was given on submission; bench_alpha likewise (BABR). history[k] is the
 * model approved after decision k, the decision made at batch k+1; benchmark[k] likewise. */
struct aacp {
    struct aacp_policy policy;
    unsigned t; /* batches processed; models 0..t have been submitted */
    unsigned decisions;
    unsigned history[AACP_MODELS_MAX];
    unsigned benchmark[AACP_MODELS_MAX];
    bool benchmark_new[AACP_MODELS_MAX];
    int64_t alpha[AACP_MODELS_MAX];
    int64_t bench_alpha[AACP_MODELS_MAX];
    uint16_t bounds_of[AACP_MODELS_MAX]; /* index into boundary */
    uint16_t bench_bounds_of[AACP_MODELS_MAX];
    size_t boundaries;
    struct aacp_boundary {
        int64_t alpha;
        struct aacp_bounds bounds;
    } boundary[AACP_BOUNDS_CACHE];
};

/* Estimated performance of model j less that of i on the batches after j's submission, and its
 * standard error, per endpoint. False when the comparison is not known, which fails the candidate.
 */
typedef bool aacp_compare(void *context, unsigned j, unsigned i, double *difference, double *se);

struct aacp_step {
    unsigned t;
    unsigned approved;
    bool newly_approved;
    unsigned benchmark;
    bool benchmark_moved;
};

/* Model 0 approved, nothing tested. INPUT on an impossible policy. */
struct result aacp_init(struct aacp *a, const struct aacp_policy *policy,
                        struct why *why) MUST_CHECK;

/* Processes the next batch: decides, then submits model t. INPUT past AACP_MODELS_MAX; on failure
 * nothing has changed. */
struct result aacp_step(struct aacp *a, aacp_compare *compare, void *context,
                        struct aacp_step *step, struct why *why) MUST_CHECK;

/* Boundary of model j for approval (bench false) or for the benchmark. */
const struct aacp_bounds *aacp_bounds_of(const struct aacp *a, unsigned j, bool bench);

/* Alpha for the next submission after the decision of batch j, in micro: exposed for the forecast
 * that the console shows. */
int64_t aacp_next_alpha(const struct aacp *a, unsigned j, bool bench);

#endif
