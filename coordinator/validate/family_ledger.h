/* SPDX-License-Identifier: Apache-2.0 */
/* The alpha ledger of one family of models over its whole life: which candidates were judged, what
 * alpha each got, which models were in use, and what every look saw. Pure.
 *
 * fixed, reset: a candidate is tested once, against the model in use, at its own alpha.
 * bac, babr: a candidate is submitted at its first judgement and looked at later, only on holdout
 * epochs that began after it was submitted, at most max_wait times; it must then be not worse than
 * every model that was ever in use and every one submitted between the model in use at its
 * submission and the one in use now (Feng, Emerson and Simon 2021, in the form of aacp.h). Looks of
 * unequal information: Lan and DeMets with the fractions that were reached. */
#ifndef CONSILIUM_COORDINATOR_VALIDATE_FAMILY_LEDGER_H
#define CONSILIUM_COORDINATOR_VALIDATE_FAMILY_LEDGER_H

#include "coordinator/validate/alpha_ledger.h"

#include <jansson.h>

enum {
    LEDGER_MODELS_MAX = 128,
    LEDGER_LOOKS_MAX = 8,
    LEDGER_COMPARATORS_MAX = 16,
    LEDGER_SITES_MAX = 256,
    LEDGER_HASH_BYTES = 32,
    LEDGER_NAME_BYTES = 64,
    LEDGER_DETAIL_BYTES = 240,
    LEDGER_TEXT_MAX = 4 << 20,
};

struct ledger_policy {
    bool used;
    enum alpha_policy kind;
    int64_t alpha_total; /* micro */
    int64_t alpha_cap;   /* micro, most one candidate gets; babr */
    int64_t use_factor;  /* micro: 1000000 is 1; babr */
    unsigned window;     /* bac, babr */
    unsigned max_wait;   /* looks before a candidate is dead, 1..LEDGER_LOOKS_MAX; bac, babr */
};

/* Off; the numbers are those of the published program for kind (alpha .05 for fixed and reset, .2
 * over a window of 15 and 4 looks for bac and babr). */
struct ledger_policy ledger_policy_default(enum alpha_policy kind);

/* INPUT on numbers that no ledger can keep. */
struct result ledger_policy_check(const struct ledger_policy *policy, struct why *why) MUST_CHECK;

/* One look: the information 1/variance of each comparison. */
struct ledger_look {
    unsigned count;
    unsigned against[LEDGER_COMPARATORS_MAX]; /* indices of models */
    double information[LEDGER_COMPARATORS_MAX];
};

struct ledger_model {
    unsigned char hash[LEDGER_HASH_BYTES];
    int64_t alpha, bench_alpha; /* micro; 0 for a model that came into use outside this ledger */
    unsigned in_use_then, bench_then; /* indices at its submission */
    bool in_use_once;
    bool beats_benchmark; /* it will be the benchmark if it comes into use */
    bool bench_new;       /* the benchmark had moved between the submission before and this one */
    unsigned looks;
    struct ledger_look look[LEDGER_LOOKS_MAX];
    uint64_t epoch[LEDGER_SITES_MAX]; /* each site's holdout epoch at its submission; 0 = none */
};

/* Zeroed: a family that was never judged. Sites are known by their place in `site`. */
struct family_ledger {
    struct ledger_policy policy;
    int64_t spent;          /* micro, since the start or the last reset */
    unsigned tries;         /* fixed, reset: judged since then */
    unsigned sites, models; /* models in the order in which they were submitted or came into use */
    unsigned in_use, benchmark;
    char site[LEDGER_SITES_MAX][LEDGER_NAME_BYTES];
    struct ledger_model model[LEDGER_MODELS_MAX];
};

/* A site that reported, and the epochs of the patients behind its figures. */
struct ledger_report {
    const char *site;
    uint64_t epoch_first, epoch; /* oldest and newest; 0 = the site keeps no epochs */
};

struct ledger_event {
    const unsigned char *candidate; /* [LEDGER_HASH_BYTES] */
    const unsigned char *incumbent; /* [LEDGER_HASH_BYTES] */
    size_t n_reports;
    const struct ledger_report *reports;
    size_t quorum; /* sites that a look needs */
    double margin;
    /* Pooled difference candidate less that model over the reports named in use[n_reports], and its
     * standard error; false when they were not compared. */
    bool (*compare)(void *context, const unsigned char *model, const bool *use, double *d,
                    double *se);
    void *context;
};

/* What rule 9 is told. rule.policy and rule.detail point into this struct or to constants. */
struct ledger_answer {
    struct gate_ledger rule;
    unsigned index; /* the candidate's place, bac and babr */
    bool submitted, looked, static_holdout;
    char detail[LEDGER_DETAIL_BYTES];
};

/* Judges and moves the ledger. A policy other than the ledger's begins a new one. INPUT when the
 * ledger is full; the ledger is then unchanged. */
struct result family_ledger_judge(struct family_ledger *ledger, const struct ledger_policy *policy,
                                  const struct ledger_event *event, struct ledger_answer *answer,
                                  struct why *why) MUST_CHECK;

/* The models that a candidate (which may not have been submitted yet) has to be compared with, as
 * indices; besides the one in use. incumbent as in the event. */
size_t family_ledger_comparators(const struct family_ledger *ledger, const unsigned char *candidate,
                                 const unsigned char *incumbent,
                                 unsigned against[LEDGER_COMPARATORS_MAX]);

/* Whether a later look at the candidate may be taken, and its index: RESULT_REFUSED when the policy
 * decides at once or is not the ledger's, when the candidate was not submitted, came into use, or
 * has no look left. */
struct result family_ledger_may_look(const struct family_ledger *ledger,
                                     const struct ledger_policy *policy,
                                     const unsigned char *candidate, unsigned *ret_index,
                                     struct why *why) MUST_CHECK;

/* The site's holdout epoch when that model was submitted; 0 = it told none. */
uint64_t family_ledger_epoch(const struct family_ledger *ledger, unsigned index, const char *site);

/* Alpha that the next candidate would get, micro. */
int64_t family_ledger_next(const struct family_ledger *ledger, const struct ledger_policy *policy);

/* The same ledger gives the same text (free), byte for byte; doubles in full precision. */
struct result family_ledger_text(const struct family_ledger *ledger, char **text,
                                 struct why *why) MUST_CHECK;
struct result family_ledger_read(const char *text, size_t n, struct family_ledger *ledger,
                                 struct why *why) MUST_CHECK;

/* {"policy": "bac", "alpha_micro", "cap_micro", "factor_micro", "window", "wait"}: unknown keys are
 * INPUT. New reference, and back. */
json_t *ledger_policy_json(const struct ledger_policy *policy);
struct result ledger_policy_parse(const json_t *o, struct ledger_policy *policy,
                                  struct why *why) MUST_CHECK;

#endif
