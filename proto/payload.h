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
};

/* Figures of one model on one group of a site's holdout. NaN = not available. */
struct evaluation_figures {
    enum evaluation_status status;
    char group[2 * PLAN_NAME_BYTES]; /* "" = everybody, else "column=level" */
    uint64_t positives, negatives;   /* 0 when suppressed; for a real label: rows in negatives */
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
};

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
