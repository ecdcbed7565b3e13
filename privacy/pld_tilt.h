/* SPDX-License-Identifier: Apache-2.0 */
/* The exponential tilt that puts the interesting part of a composition in its middle. */
#ifndef CONSILIUM_PRIVACY_PLD_TILT_H
#define CONSILIUM_PRIVACY_PLD_TILT_H

#include "privacy/pld.h"

#include <stdbool.h>

/* A distribution and how often it is composed with itself. */
struct pld_part {
    struct pld *pld;
    double runs; /* whole number >= 1 */
};

/* What the composition will be asked: the epsilon at a delta, or the delta at an epsilon. */
struct pld_goal {
    bool at_delta;
    double value; /* ln delta, or epsilon */
    double cut;   /* tilted mass that may be left out at each end of the range */
};

struct pld_tilt {
    double theta;     /* > 0 */
    double log_total; /* sum runs K(theta), K = ln sum mass e^{theta loss} */
    double chernoff;  /* bound on the answer from theta alone: epsilon, or ln delta */
    double low, high; /* all but twice `cut` of the tilted mass of the sum lies between */
    double cut;       /* .. */
    double error;     /* estimate of how much the grid raises epsilon */
};

/* Finds theta by golden section on the summaries, then everything else on the full grids. */
void pld_tilt_find(struct pld_tilt *tilt, const struct pld_part *parts, size_t count,
                   const struct pld_goal *goal);

/* ln sum mass e^{theta loss} over the finite losses; -infinity when there are none. */
double pld_log_moment(const struct pld *pld, double theta);

/* mass e^{theta loss - shift} of points from .. from + n - 1 into out[n], n <= PLD_BLOCK. */
enum { PLD_BLOCK = 64 };
void pld_tilted(const struct pld *pld, double theta, double shift, size_t from, size_t n,
                double *out);

#endif
