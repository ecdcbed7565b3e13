/* SPDX-License-Identifier: Apache-2.0 */
/* What stands inside sealed objects: models, updates, evaluations. Encoded and decoded by
 * proto/payload.c with every limit checked. */
#ifndef CONSILIUM_PAYLOAD_H
#define CONSILIUM_PAYLOAD_H

#include "proto/message.h"

enum {
    PAYLOAD_MODELS_MAX = PLAN_SITES_MAX + 1,
    PAYLOAD_PARAMETERS_MAX = 1 << 27, /* floats of one model */
    EVALUATION_GROUPS_MAX = 128,
    EVALUATION_BINS_MAX = 64,
};

/* A set of models of the same shape: one (the candidate), or several for the cross-site matrix. */
struct payload_model {
    char name[PLAN_NAME_BYTES]; /* "global", or the site whose local model it is */
    float *parameters;          /* [parameters_count], owned by the set */
    uint32_t round;             /* of its own study, where that is another one; 0 = the set's */
};

struct payload_model_set {
    uint32_t round;
    size_t parameters_count;
    size_t models_count;
    struct payload_model *models;
};

struct payload_update {
    uint32_t round;
    uint64_t declared_patients; /* public constant of the site */
    double epsilon_spent;       /* by the site's ledger on this study, after this update */
    double epsilon_budget;
    double seconds;          /* of local computing */
    uint64_t peak_memory_kb; /* agent and vault together */
    unsigned char *frame;    /* codec frame (proto/compress/codec.h), owned */
    size_t frame_n;
};

/* Why there are no figures. */
enum evaluation_status {
    EVALUATION_OK = 1,
    EVALUATION_NO_LABELS,
    EVALUATION_SINGLE_CLASS,
    EVALUATION_BELOW_MINIMUM_CELL,
    EVALUATION_DEGENERATE_SCORES,
    EVALUATION_INVALID_INPUT,
    EVALUATION_REFUSED,
    EVALUATION_BUDGET_EXHAUSTED,
    EVALUATION_SCHEMA_MISMATCH, /* the site's data do not fit the plan any more */
    EVALUATION_TOO_CLOSE,       /* the holdout differs from an earlier one by fewer than a cell */
    EVALUATION_NOTHING_NEW,     /* asked about newer epochs only, and there is none */
};

/* Figures of one model on one group of a site's holdout. NaN = not available. */
struct evaluation_figures {
    enum evaluation_status status;
    char group[2 * PLAN_NAME_BYTES]; /* "" = everybody, else "column=level" */
    /* Patients with a positive row and with a negative one, some with both; 0 when suppressed; for
     * a real label: all in negatives. */
    uint64_t positives, negatives;
    double auroc, auroc_variance, auroc_low, auroc_high;
    double brier, brier_variance;
    double calibration_slope, calibration_slope_se;
    double calibration_intercept, calibration_intercept_se;
    double observed_expected;
    double accuracy, sensitivity, specificity; /* at the plan's threshold */
    double loss;
    double ece, ece_null; /* binned calibration error; its value under perfect calibration */
    double spiegelhalter_z;
    double ipa; /* 1 - brier / (prevalence (1 - prevalence)) */
    /* Paired difference in AUROC to the same group of the first model of the set. */
    double difference, difference_variance;
    double ppv, alert_rate;         /* at the plan's threshold */
    double sensitivity_fixed;       /* at the smallest threshold of specificity .9 */
    double macro_auroc;             /* plain mean of one class against the rest; classes only */
    double difference_p;            /* permutation p of the difference; small groups only */
    double cindex, cindex_variance; /* Harrell's C; plans with a follow-up time only */
    double rows_per_patient;        /* that were judged, on average */
};

/* In which form the figures left the site. */
enum evaluation_release {
    EVALUATION_RELEASE_UNTOLD,
    EVALUATION_RELEASE_THRESHOLD,        /* rounded figures, small cells suppressed */
    EVALUATION_RELEASE_HISTOGRAM,        /* and a score histogram by class */
    EVALUATION_RELEASE_NOISED_HISTOGRAM, /* that with noise, and nothing else */
    EVALUATION_RELEASE_NONE,             /* statuses only */
};

/* The holdout that was judged on. Patients move into it once and stay. */
struct evaluation_epoch {
    uint32_t number;    /* from 1 at this site for this label; 0 = not told */
    uint64_t date_ms;   /* midnight (UTC) of the day on which it was first judged on */
    bool reused;        /* a static holdout: the very same patients were judged on before */
    uint64_t low, high; /* its patients in a band, inclusive; high 0 = open end */
    uint32_t first;     /* oldest epoch whose patients are among them; 0 = the first: all of it */
};

/* Why a statistic beside the figures (drift of a column, hidden strata) is there or not. */
enum evaluation_statistic {
    EVALUATION_STATISTIC_UNTOLD,
    EVALUATION_STATISTIC_OK,
    EVALUATION_STATISTIC_FEW,          /* too few patients to compare, cluster or test */
    EVALUATION_STATISTIC_NO_REFERENCE, /* none was frozen for the study */
    EVALUATION_STATISTIC_NOTHING_NEW,  /* the reference's own patients: nobody came since */
    EVALUATION_STATISTIC_CONSTANT,     /* one value: no bins, nothing to cluster by */
    EVALUATION_STATISTIC_REFUSED, /* by policy, or the plan noises all figures, or there are none */
    EVALUATION_STATISTIC_INVALID, /* non-finite values */
};

/* One column of the plan, or the first model's score (its name is empty): now against the
 * reference. NaN = not available. */
struct evaluation_drift_column {
    char name[PLAN_NAME_BYTES];
    enum evaluation_statistic status;
    double kl, psi;     /* nats; KL of now from the reference */
    double kl_p, psi_p; /* of no drift */
    double ks, ks_p;    /* numbers and the score only */
    double missing_z;   /* of two shares of missing cells; features only */
};

/* Label-free drift since the study was activated. */
struct evaluation_drift {
    enum evaluation_statistic status;
    bool of_training;           /* the reference: training patients, else the first holdout */
    uint64_t reference_date_ms; /* midnight (UTC) of the day it was frozen; 0 = none */
    uint64_t reference_low, reference_high; /* patients in bands, as above */
    uint64_t current_low, current_high;
    struct evaluation_drift_column score;
    double mmd2, mmd_p;          /* over all inputs, random features, seeded permutations */
    double expected_auroc;       /* of the first model, without labels, were it calibrated */
    char worst[PLAN_NAME_BYTES]; /* column with the largest KL; empty = none */
    uint32_t columns_count;
    struct evaluation_drift_column *columns; /* owned by the evaluation */
};

enum { EVALUATION_CLUSTERS_MAX = 64 };

/* Hidden strata: the cluster of patients that the first model serves worst, at the plan's
 * threshold. NaN = not available. */
struct evaluation_strata {
    enum evaluation_statistic status;
    unsigned clusters[2]; /* of negatives and of positives */
    unsigned tested;
    bool of_positives; /* the gap is one of sensitivity, else of specificity */
    /* Share right in the rest of the class less that in the cluster; interval for all tested
     * clusters together, p by Holm. */
    double gap, gap_low, gap_high, p;
    uint64_t low, high; /* patients of the cluster that were tested, in a band */
};

struct evaluation_model {
    char name[PLAN_NAME_BYTES];
    uint32_t groups_count;
    struct evaluation_figures *groups; /* [0] is everybody; owned by the evaluation */
    /* Score histogram on equal-width bins of [0, 1]; empty when the policy keeps it. */
    uint32_t bins_count;
    double positives[EVALUATION_BINS_MAX], negatives[EVALUATION_BINS_MAX];
    /* Paired difference to the first model of the set; NaN for the first. */
    double difference, difference_variance;
};

struct payload_evaluation {
    uint32_t round;
    uint32_t models_count;
    struct evaluation_model *models; /* owned */
    double metrics_epsilon;          /* charged for this release, 0 = none */
    double metrics_noise; /* standard deviation of what was added to each count, 0 = none */
    enum evaluation_release release;
    struct evaluation_epoch epoch;
    struct evaluation_drift drift;
    struct evaluation_strata strata;
};

/* The band that a number of patients falls into: <50, 50-99, ... */
void evaluation_band(uint64_t patients, uint64_t *ret_low, uint64_t *ret_high);

const char *evaluation_status_name(enum evaluation_status status);
const char *evaluation_release_name(enum evaluation_release release);
const char *evaluation_statistic_name(enum evaluation_statistic status);

/* Every number NaN, that status. */
void evaluation_strata_clear(struct evaluation_strata *strata, enum evaluation_statistic status);

/* Every number NaN, no columns, that status. */
void evaluation_drift_clear(struct evaluation_drift *drift, enum evaluation_statistic status);
void evaluation_drift_column_clear(struct evaluation_drift_column *column,
                                   enum evaluation_statistic status);

/* Encoders allocate *ret_bytes (owned by the caller, free). Decoders allocate into the struct
 * (freed by its _free) and refuse anything beyond the named limits, non-finite parameters, or
 * trailing bytes with RESULT_INPUT. */
struct result payload_model_set_encode(const struct payload_model_set *set,
                                       unsigned char **ret_bytes, size_t *ret_n,
                                       struct why *why) MUST_CHECK;
struct result payload_model_set_decode(struct payload_model_set *set, const unsigned char *bytes,
                                       size_t n, struct why *why) MUST_CHECK;
void payload_model_set_free(struct payload_model_set *set);

struct result payload_update_encode(const struct payload_update *update, unsigned char **ret_bytes,
                                    size_t *ret_n, struct why *why) MUST_CHECK;
struct result payload_update_decode(struct payload_update *update, const unsigned char *bytes,
                                    size_t n, struct why *why) MUST_CHECK;
void payload_update_free(struct payload_update *update);

struct result payload_evaluation_encode(const struct payload_evaluation *evaluation,
                                        unsigned char **ret_bytes, size_t *ret_n,
                                        struct why *why) MUST_CHECK;
struct result payload_evaluation_decode(struct payload_evaluation *evaluation,
                                        const unsigned char *bytes, size_t n,
                                        struct why *why) MUST_CHECK;
void payload_evaluation_free(struct payload_evaluation *evaluation);

#endif
