/* SPDX-License-Identifier: Apache-2.0 */
/* What the privacy noise says about the norm of an honest update (pure). It is known because with
 * privacy the local steps are linear in the noised gradients, with public weights: plain steps,
 * momentum, L2 and proximal terms. */
#ifndef CONSILIUM_COORDINATOR_COMBINE_NOISE_H
#define CONSILIUM_COORDINATOR_COMBINE_NOISE_H

#include "coordinator/server.h"
#include "privacy/noise_floor.h"
#include "proto/compress/codec.h"

/* Honest sites may see so many times the patients that they declare. */
#define NOISE_DECLARED_SLACK 2.0

struct noise_expected {
    bool known;
    const char *reason; /* not known: why not; a constant sentence */
    uint64_t d;         /* coordinates that carry noise */
    double fresh;       /* standard deviation, in one coordinate, of the last step's noise alone */
    double signal;      /* longest that an honest update is before its noise */
    double length;      /* root mean square of the noise alone */
    struct noise_window window; /* of the norm; outside with probability below 1e-6 */
};

/* noise_multiplier: plan_noise of the plan, 0 without privacy. server: before the round. declared:
 * the site's patients. RESULT_INPUT when the plan has no model. */
struct result noise_expect(const struct plan *plan, double noise_multiplier,
                           const struct server *server, uint64_t declared,
                           const struct codec_view *view, struct noise_expected *expected,
                           struct why *why) MUST_CHECK;

/* The verdict on one norm, and on all of the site's so far, this one included: the sum of |x|^2 /
 * fresh^2 has at least the law of chi-square with the sum of d - 1 degrees, whatever the signals.
 * *site is brought up to date. ret_low is the bound on that sum. */
enum noise_floor_verdict noise_judge(const struct noise_expected *expected, double norm,
                                     struct server_site *site, double *ret_low);

#endif
