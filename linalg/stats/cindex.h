/* SPDX-License-Identifier: Apache-2.0 */
/* Harrell's C-index of a risk score for right-censored times, with its infinitesimal jackknife
 * variance. */
#ifndef CONSILIUM_LINALG_STATS_CINDEX_H
#define CONSILIUM_LINALG_STATS_CINDEX_H

#include "linalg/stats/status.h"

#include <stddef.h>
#include <stdint.h>

struct cindex {
    enum stat_status status;
    size_t n, events;
    double c;
    double pairs; /* comparable pairs */
    double var;
};

/* time[n], event[n] in {0,1}, risk[n] (higher = earlier event). A pair is comparable when the
 * earlier time is an event (at equal times: an event against a censored row); ties in risk count
 * one half. patient[n] below patients: rows repeat within patients and the variance is over these;
 * NULL: each row is one. OK; INVALID_INPUT; EMPTY (no rows); DEGENERATE (no comparable pair: c is
 * NaN); NO_MEMORY. O(n log n). */
enum stat_status cindex_harrell(size_t n, const double *time, const double *event,
                                const double *risk, const uint32_t *patient, size_t patients,
                                struct cindex *out);

#endif
