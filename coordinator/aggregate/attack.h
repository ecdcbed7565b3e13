/* SPDX-License-Identifier: Apache-2.0 */
/* The gallery of attacks, for simulations and tests: what hostile sites send, knowing what every
 * honest site sends. Attacks on the data (label flip, backdoor) change training instead; here they
 * have a name and no forged update. */
#ifndef CONSILIUM_AGGREGATE_ATTACK_H
#define CONSILIUM_AGGREGATE_ATTACK_H

#include "privacy/rng.h"
#include "proto/base/result.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum attack_method {
    ATTACK_NONE,
    ATTACK_SIGN_FLIP,       /* -strength times the honest mean; 1 */
    ATTACK_SCALE,           /* the same, just within a norm gate of ten medians; 9 */
    ATTACK_GAUSSIAN,        /* noise of strength honest standard deviations; 10 */
    ATTACK_ALIE,            /* mean - z std; strength is z; 1.5; 0 derives it from n and f */
    ATTACK_ALIE_NOISE,      /* ALIE plus honest noise, so that copies differ; 0.5 */
    ATTACK_IPM,             /* -strength times the mean; 0.5 (also called fall of empires) */
    ATTACK_IPM_NOISE,       /* IPM plus honest noise; 0.5 */
    ATTACK_MIMIC,           /* a copy of the honest row that stands out most */
    ATTACK_MIN_MAX,         /* mean - g std, g largest with no distance above the honest diameter */
    ATTACK_MIN_SUM,         /* the same with sums of squared distances */
    ATTACK_FREE_RIDER,      /* zeros */
    ATTACK_REPLAY,          /* an earlier update of its own, word for word: the first */
    ATTACK_STALE,           /* the same: of strength rounds ago; 5 */
    ATTACK_ONE_COORDINATE,  /* honest but for one coordinate of strength mean norms; 9 */
    ATTACK_NAN,             /* one coordinate not a number */
    ATTACK_INFINITE,        /* one coordinate infinite */
    ATTACK_HUGE,            /* every coordinate strength; 1e30 */
    ATTACK_SLOW_DRIFT,      /* own update plus strength of its norm in one fixed direction; 0.1 */
    ATTACK_INFLATED_WEIGHT, /* scale, claiming strength times the patients; 1000 */
    ATTACK_LABEL_FLIP,      /* data: labels turned round */
    ATTACK_BACKDOOR,        /* data: a trigger and a target label */
    ATTACK_METHODS
};

struct attack_line {
    enum attack_method method;
    const char *name; /* "sign-flip" */
    double strength;  /* by default */
    bool on_data;     /* changes the site's data, not the update */
    const char *summary;
};
extern const struct attack_line ATTACK_GALLERY[ATTACK_METHODS];

/* A line of the gallery at some strength. */
struct attack_choice {
    enum attack_method method;
    double strength;
};

/* "alie", "alie:1.5", "Sign flip", "foe". RESULT_INPUT with the names when unknown. */
struct result attack_parse(const char *text, struct attack_choice *choice,
                           struct why *why) MUST_CHECK;

/* What the attackers of one round know. Rows have d coordinates. */
struct attack_view {
    size_t n; /* all sites */
    size_t f; /* hostile ones */
    size_t d;
    size_t honest_count;        /* > 0 */
    const float *const *honest; /* what the rule sees of the honest sites in this round */
    const float *own;           /* what this site would send if it were honest */
    const float *own_before;    /* replay, stale: what it sent then, or NULL */
    double noise; /* of honest updates in a coordinate; 0: their own standard deviation instead */
};

/* Writes what a hostile site sends to out[d], which may be own. Attacks on the data and ATTACK_NONE
 * give own. rng drives the Gaussian noise. False when memory is short. */
bool attack_forge(const struct attack_choice *choice, const struct attack_view *view,
                  struct rng *rng, float *out);

/* Whether the attack measures how far the honest are apart: then, where the rule sees momentum of
 * updates, it reckons with that instead. */
bool attack_measures(const struct attack_choice *choice);

/* What the site's claimed patients are multiplied by. */
double attack_weight_factor(const struct attack_choice *choice);

#endif
