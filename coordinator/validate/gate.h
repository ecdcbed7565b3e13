/* SPDX-License-Identifier: Apache-2.0 */
/* The promotion gate: ten rules in a fixed order over the sites' messages, with one of three
 * outcomes and a record that says, rule by rule, why. Pure: same inputs, same record, bit for bit.
 */
#ifndef CONSILIUM_COORDINATOR_VALIDATE_GATE_H
#define CONSILIUM_COORDINATOR_VALIDATE_GATE_H

#include "coordinator/validate/transport.h"
#include "linalg/stats/pool.h"
#include "proto/base/result.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GATE_SITES_MAX = POOL_SITES_MAX, GATE_GROUPS_MAX = 256, GATE_WORDS = 640, GATE_RULES = 10 };

enum gate_decision { GATE_PROMOTE, GATE_HOLD, GATE_REJECT };

/* "PROMOTE", "HOLD", "REJECT". */
const char *gate_decision_name(enum gate_decision decision);

/* Thresholds, part of the signed policy. Performances and differences are AUROCs. */
struct gate_policy {
    size_t min_cell;         /* fewest positives, and negatives, at a site that counts: 11 */
    double var_ratio_max;    /* claimed variance within 1/this .. this times Newcombe's: 4 */
    size_t quorum_min;       /* 3 */
    double quorum_frac;      /* 2/3 */
    double weight_cap;       /* most one site may weigh: .4 */
    double alpha;            /* one-sided: .05 */
    double ni_margin;        /* non-inferiority margin: .02 */
    bool superiority;        /* rule 3 asks for a gain beyond chance instead: off */
    double site_margin;      /* harm at one site: .05 */
    double site_catastrophe; /* drop at one site that a human must look at: .10 */
    double auc_floor;        /* lower bound of the pooled AUROC: .75 */

    bool calibration_used;       /* rule 6 */
    double ece_excess_max;       /* pooled ECE above its value under perfect calibration: .05 */
    double slope_min, slope_max; /* pooled calibration slope: .8, 1.25 */

    bool fairness_used;  /* rule 7 */
    double group_margin; /* .05 */
    bool group_shown;    /* every group must be shown non-inferior, not only not harmed */

    bool drift_used;       /* rule 8 */
    double drift_veto_max; /* largest share of used sites whose drift vetoes: .34 */
    double drift_kl_max;   /* a column drifts above this KL divergence, beyond chance: .3 */

    unsigned signatures_needed; /* rule 10: 2 for `promoted`; 0 leaves the rule out */
};

/* The defaults named above, rules 6 to 8 off. */
struct gate_policy gate_policy_default(void);

/* One site's message. id and status are not owned; status is "ok" or the reason of a non-result.
 * Fields of rules 6 and 8 are NaN or false when the site did not report them. */
struct gate_site {
    const char *id;
    const char *status;
    size_t n_pos, n_neg;
    double auc, var_auc;
    double d, var_d; /* candidate less incumbent on the same patients */
    double ece, ece_null;
    double slope, slope_se;
    double spiegelhalter_z;
    double rows_per_patient;   /* judged, on average; NaN = one */
    double cindex, cindex_var; /* with a follow-up time only; no rule asks about it */
    bool drift_reported, drift_veto;
};

/* A subgroup pooled over sites; key not owned. */
struct gate_group {
    const char *key;
    double d, var_d;
};

/* What was checked before any number is looked at (rule 1). detail, if not NULL, names what failed.
 */
struct gate_integrity {
    bool signatures_ok, hashes_ok, in_scope;
    const char *detail;
};

/* The alpha ledger's answer (rule 9); policy names it: fixed, reset, bac, babr. by_bound: the gate
 * itself tests the pooled difference at this alpha (fixed, reset); otherwise approved says what the
 * ledger decided. */
struct gate_ledger {
    bool used;
    bool by_bound;
    bool approved;
    int64_t alpha; /* micro-units given to this candidate */
    const char *policy;
    const char *detail; /* may be NULL */
};

struct gate_input {
    struct gate_policy policy;
    bool first; /* no incumbent: differences are not looked at, the absolute rules decide */
    const struct gate_integrity *integrity; /* NULL: checked by the caller's own means */
    size_t n_sites;
    const struct gate_site *sites;
    size_t n_groups;
    const struct gate_group *groups;
    const struct gate_ledger *ledger; /* NULL: rule off */
    unsigned signatures;              /* valid human signatures so far */
};

enum gate_outcome {
    GATE_RULE_PASS,
    GATE_RULE_HOLD,
    GATE_RULE_REJECT,
    GATE_RULE_OFF,
    GATE_RULE_PENDING
};

/* reason is the stable word of a failed rule ("quorum", "pooled_inferior", ...), "" otherwise;
 * also_holds a second finding that would hold by itself (a large drop beside harm), or NULL. */
struct gate_rule {
    int number;
    const char *name;
    enum gate_outcome outcome;
    const char *reason;
    const char *also_holds;
    char words[GATE_WORDS];
};

/* What became of one site. reason is not owned: a constant, or the site's own status. */
struct gate_site_verdict {
    bool used;
    const char *reason; /* why not used, else NULL */
    double weight;      /* 0 when not used or before the quorum */
    bool harm, large_drop;
};

/* Numbers are NaN when the gate stopped before them. */
struct gate_record {
    enum gate_decision decision;
    size_t n_sites, n_used, quorum_needed;
    bool quorum;
    double d_pooled, se_pooled, d_lower, d_upper;
    double auc_pooled, auc_lower;
    double cindex_pooled, cindex_se; /* informative; NaN without a follow-up time */
    double power;                    /* to show non-inferiority if the models were equal */
    double
        patients_more;  /* factor on the patients for a power of .8; at most 1 when there already */
    double detectable;  /* true difference told from none with a power of .8 */
    struct pool random; /* differences, DerSimonian-Laird over the used sites */
    struct transport transport; /* the candidate's AUROC at a new hospital, over the used sites */
    struct gate_rule rule[GATE_RULES];
};

/* Decides. verdicts[n_sites] belongs to the caller. INPUT on more than GATE_SITES_MAX sites or
 * GATE_GROUPS_MAX groups or an impossible policy; SYSTEM without memory. */
struct result gate_decide(const struct gate_input *input, struct gate_record *record,
                          struct gate_site_verdict *verdicts, struct why *why) MUST_CHECK;

/* Why a site's numbers cannot be used, or NULL: the test of rule 2. */
const char *gate_unusable(const struct gate_policy *policy, const struct gate_site *site,
                          bool first);

/* Sites that rule 2 asks for out of n. */
size_t gate_quorum(const struct gate_policy *policy, size_t n_sites);

/* Reasons of the rules that reject, then of those that hold, in order: pointers into constants.
 * Returns how many; reasons must hold 2 * GATE_RULES. */
size_t gate_reasons(const struct gate_record *record, const char **reasons);

#endif
