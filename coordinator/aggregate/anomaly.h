/* SPDX-License-Identifier: Apache-2.0 */
/* What each update looked like to the aggregation, round by round (pure): figures, flags with their
 * numbers, a running reputation of the site, quarantine after the policy's count. Flags are for
 * people and for quarantine; they never change the round they are raised in. */
#ifndef CONSILIUM_AGGREGATE_ANOMALY_H
#define CONSILIUM_AGGREGATE_ANOMALY_H

#include "coordinator/aggregate/aggregate.h"

/* Why an update was flagged; or-ed. */
enum anomaly_flag {
    ANOMALY_NORM = 1,      /* far from the median norm */
    ANOMALY_COSINE = 2,    /* points away from the aggregate */
    ANOMALY_NEIGHBOUR = 4, /* hardly anybody's neighbour */
    ANOMALY_CAF = 8,       /* down-weighted as the source of spread */
    ANOMALY_CLIPPED = 16,  /* cut down by the clipping stage */
    ANOMALY_REJECTED = 32, /* malformed at the gate */
    ANOMALY_NOISE = 64,    /* its norm is not that of the privacy noise */
};

/* The flags that honest sites with other patients do not raise round after round; the others are
 * said of them, too: pointing away from the aggregate, being few others' neighbour. */
enum {
    ANOMALY_EVIDENCE = ANOMALY_NORM | ANOMALY_REJECTED | ANOMALY_NOISE,
    ANOMALY_ANY = 127,
};

/* "norm", "cosine", ...: the name of one flag; NULL for none. */
const char *anomaly_flag_name(unsigned flag);

struct anomaly_policy {
    double norm_ratio;  /* flag a norm above this times the median or below 1/this of it */
    double cosine;      /* flag a cosine below this */
    double inclusion;   /* flag a share of neighbourhoods below this */
    double caf_weight;  /* flag a weight below this */
    double clip_factor; /* flag a factor below this */
    double decay;       /* of the reputation; 0.9 keeps about ten rounds */
    unsigned counting;  /* flags that make a round a flagged one for reputation and quarantine */
    unsigned
        quarantine_at; /* flagged rounds, not forgiven since, that lead to quarantine; 0 never */
};

/* norm 3x, cosine -0.2, inclusion 0.25, CAF weight 0.1, clip factor 0.33, decay 0.9, quarantine
 * off, ANOMALY_EVIDENCE counts. */
struct anomaly_policy anomaly_default(void);

/* The figures of one update; NaN where the rule does not define one. */
struct anomaly_score {
    double norm;
    double norm_ratio; /* to the median of the round */
    double cosine;     /* to the aggregate */
    double inclusion; /* share of the neighbourhoods (NNM) or of the selection that took it, 0..1 */
    double caf_weight;
    double clip_factor;
    double weight; /* in the aggregate */
    unsigned flags;
};

/* No figure and no flag. */
struct anomaly_score anomaly_score_none(void);

/* The flags of one update's figures; a figure that is NaN raises none. */
unsigned anomaly_flags(const struct anomaly_policy *policy, const struct anomaly_score *score);

/* Figures and flags of every row; nnm: whether inclusions count neighbourhoods out of n. */
void anomaly_score_round(const struct anomaly_policy *policy, const struct agg_explain *explain,
                         bool nnm, struct anomaly_score *scores);

/* A site's history. Start from anomaly_site_new(). */
struct anomaly_site {
    double reputation; /* 1: never flagged; falls towards 0 */
    uint64_t rounds;
    uint64_t flagged; /* all flagged rounds */
    unsigned open;    /* flagged rounds that count towards quarantine */
    bool quarantined;
};
struct anomaly_site anomaly_site_new(void);

/* After one round: one without a flag that counts is a good one, which forgives one open flag.
 * Returns true when this round led to quarantine. */
bool anomaly_site_step(const struct anomaly_policy *policy, struct anomaly_site *site,
                       unsigned flags);

/* An operator's decision: quarantine ends and open flags are forgiven; the history stays. */
void anomaly_site_release(struct anomaly_site *site);

/* The flags and their numbers as one sentence, "norm 8.1 times the median; cosine -0.62"; empty
 * when there is none. */
void anomaly_sentence(const struct anomaly_score *score, char *text, size_t size);

#endif
