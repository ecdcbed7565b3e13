/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of a study: everything that is fixed before the first patient is read. */
#ifndef CONSILIUM_PLAN_H
#define CONSILIUM_PLAN_H

#include "proto/base/result.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PLAN_BYTES_MAX = 49152, /* a plan file */
    PLAN_NAME_BYTES = 64,   /* names of studies, sites, columns, levels, with the closing zero */
    PLAN_TEXT_BYTES = 256,  /* title, purpose */
    PLAN_HASH_BYTES = 32,   /* BLAKE2b-256 of the file's bytes */
    PLAN_FEATURES_MAX = 512,
    PLAN_LEVELS_MAX = 64,
    PLAN_SITES_MAX = 256,
    PLAN_LAYERS_MAX = 8,
    PLAN_LAYER_UNITS_MAX = 4096,
    PLAN_SUBGROUPS_MAX = 16,
    PLAN_ROUNDS_MAX = 10000,
};

#define PLAN_SHARE_MIN 0.05

enum plan_feature_type { FEATURE_NUMBER, FEATURE_CATEGORY, FEATURE_FLAG };

/* What stands for a missing value: nothing (the row is refused), the feature's public centre, or a
 * stated constant (a number, or a level's name for a category). */
enum plan_missing { MISSING_REFUSE, MISSING_CENTRE, MISSING_VALUE };

struct plan_level {
    char name[PLAN_NAME_BYTES];
};

/* A numeric feature x becomes (x - centre) / spread; both are public constants of the plan, by
 * default the middle and a quarter of the width of its range. A category becomes one column per
 * level but the reference (its first level); a flag becomes 0 or 1 by levels {no, yes}. Where the
 * plan gives shares, such a column v becomes (v - p) / sqrt(p (1 - p)) with p its level's share,
 * kept in [PLAN_SHARE_MIN, 1 - PLAN_SHARE_MIN] for the root, and a missing value filled by its
 * centre becomes 0: steps with few rounds or much noise need columns of like size.
 * A prior is what is known of the coefficients before the data, say from a published score: one for
 * each of the feature's columns as scaled above, none for its indicator. Training starts there
 * and the l2 penalty draws there instead of to 0. */
struct plan_feature {
    char name[PLAN_NAME_BYTES];
    enum plan_feature_type type;
    char unit[PLAN_NAME_BYTES];
    double low, high; /* plausible range, inclusive; numbers only */
    double centre, spread;
    struct plan_level *levels; /* categories: all; flags: {no, yes}, by default "0", "1" */
    unsigned levels_count;
    double *shares; /* categories, flags: public guess of each level's share, or none; see below */
    unsigned shares_count;
    double *prior; /* public guesses of the coefficients, or none; linear and logistic models */
    unsigned prior_count;
    enum plan_missing missing;
    char missing_value[PLAN_NAME_BYTES]; /* with MISSING_VALUE */
    bool indicator;                      /* add a 0/1 column that marks the missing */
};

enum plan_label_type { LABEL_BINARY, LABEL_CLASS, LABEL_REAL };

struct plan_label {
    char column[PLAN_NAME_BYTES];
    enum plan_label_type type;
    struct plan_level *levels; /* binary: {negative, positive}; class: all; real: none */
    unsigned levels_count;
    double low, high; /* real only: plausible range */
    double centre, spread;
    char time[PLAN_NAME_BYTES]; /* binary: column of the follow-up time, above 0; empty = none */
    double horizon;             /* hazard: time within which the model tells the risk; else 0 */
};

struct plan_subgroup {
    char column[PLAN_NAME_BYTES];
    struct plan_level *levels; /* the first is the reference group */
    unsigned levels_count;
};

enum plan_model_kind { MODEL_LINEAR, MODEL_LOGISTIC, MODEL_SOFTMAX, MODEL_MLP, MODEL_HAZARD };
enum plan_activation { ACTIVATION_RELU, ACTIVATION_TANH };

struct plan_model {
    enum plan_model_kind kind;
    unsigned *hidden; /* units per hidden layer; MLP only */
    unsigned hidden_count;
    enum plan_activation activation;
    bool site_intercept; /* the intercept is fitted and kept at each site, never sent */
};

enum plan_optimiser { OPTIMISER_SGD, OPTIMISER_ADAM };

struct plan_training {
    unsigned rounds;
    unsigned epochs; /* passes over the patients per round; 0 when steps is given */
    unsigned steps;  /* gradient steps per round; 0 when epochs is given */
    unsigned batch;  /* patients a step; 0 = all of them. With privacy: see sampling_rate */
    enum plan_optimiser optimiser;
    double learning_rate;
    double learning_rate_end; /* reached at the last round on a cosine; 0 = constant */
    double momentum;
    double l2;             /* penalty l2/2 |w - prior|^2 on weights, never on intercepts */
    double proximal;       /* FedProx mu; 0 = FedAvg */
    double *class_weights; /* one per class, or none */
    unsigned class_weights_count;
    double server_learning_rate; /* factor on the aggregated update; default 1 */
    double server_momentum;      /* momentum on aggregated updates at the coordinator */
    double average_from; /* iterate averaging from this fraction of the rounds on; 1 = off */
    uint64_t seed;
};

enum plan_privacy_mode { PRIVACY_NONE, PRIVACY_PATIENT };

struct plan_privacy {
    enum plan_privacy_mode mode;
    double epsilon; /* per site, over the whole study, training only */
    double delta;
    double clip_norm;
    double sampling_rate;    /* Poisson rate of patients per step; 1 = full batch */
    double noise_multiplier; /* 0 = calibrated from epsilon */
    double metrics_noise;    /* standard deviation added to each count of an evaluation; 0 = none */
    unsigned max_rows_per_patient;
    unsigned max_sites_per_patient; /* a printed assumption */
};

enum plan_weights { WEIGHTS_PATIENTS, WEIGHTS_EQUAL };

/* What the coordinator does with an update whose norm is not that of privacy noise. */
enum plan_noise_floor { NOISE_REFUSE, NOISE_FLAG, NOISE_OFF };

/* Flags that count towards quarantine: those that honest sites do not raise again and again, or
 * any. */
enum plan_quarantine_on { QUARANTINE_EVIDENCE, QUARANTINE_ANY };

struct plan_aggregation {
    char rule[PLAN_NAME_BYTES]; /* "weighted-mean", "nnm+trimmed-mean", ... */
    unsigned byzantine;         /* f: hostile sites that the rule must withstand */
    enum plan_weights weights;
    double max_share;  /* the f largest weights hold at most this share; default 0.3 with f > 0 */
    unsigned quorum;   /* updates without which a round is not closed */
    double deadline_s; /* from the opening of the round */
    double max_norm;   /* updates above are refused; 0 = ten times the last median */
    /* Secure aggregation: the coordinator sees only the sum (privacy/mask.h). */
    bool secure;
    unsigned secure_threshold; /* sites whose answers open a sum; default floor(2n/3) + 1 */
    unsigned secure_colluders; /* sites that may tell the coordinator all they know; default 1 */
    enum plan_noise_floor noise_floor;
    double site_momentum; /* per site at the coordinator, before the rule; 0 = none */
    unsigned quarantine;  /* flagged rounds that set a site's updates aside; 0 = never */
    enum plan_quarantine_on quarantine_on;
    unsigned bucket_size;   /* sites averaged into one row by bucketing; 0 = not given */
    double dissimilarity_b; /* B of (G, B)-dissimilarity as the consortium guesses it; 0 = none */
};

struct plan_validation {
    unsigned every; /* rounds between evaluations; the last round always is one */
    double holdout; /* fraction of patients, by keyed hash of the patient id */
    char fold_column[PLAN_NAME_BYTES]; /* instead: rows whose fold_column equals fold_value */
    char fold_value[PLAN_NAME_BYTES];
    double threshold; /* alert at this predicted risk */
    unsigned min_cell;
    bool matrix;   /* every site's local model at every site's holdout */
    double margin; /* non-inferiority margin of the gate, in AUROC */
};

struct plan_site {
    char name[PLAN_NAME_BYTES];
};

struct plan {
    unsigned version; /* of the plan's format: 1 */
    char study[PLAN_NAME_BYTES];
    char title[PLAN_TEXT_BYTES];
    char purpose[PLAN_TEXT_BYTES];
    struct plan_site *sites;
    unsigned sites_count;
    char patient_id[PLAN_NAME_BYTES]; /* column */
    struct plan_label label;
    struct plan_feature *features;
    unsigned features_count;
    struct plan_subgroup *subgroups;
    unsigned subgroups_count;
    struct plan_model model;
    struct plan_training training;
    struct plan_privacy privacy;
    char compression[PLAN_NAME_BYTES]; /* "none", "eden-4", ... */
    struct plan_aggregation aggregation;
    struct plan_validation validation;
    unsigned char hash[PLAN_HASH_BYTES];
};

/* Parses and checks a plan of n bytes. name is used in messages ("plan.yaml"). On success *plan
 * owns its memory until plan_free; on failure *plan is empty. Errors: RESULT_INPUT with a sentence
 * that names file, line, key and remedy. */
struct result plan_parse(struct plan *plan, const char *name, const char *text, size_t n,
                         struct why *why) MUST_CHECK;

/* Reads the file (at most PLAN_BYTES_MAX) and parses it. When ret_text is not NULL, *ret_text is
 * the file's bytes (owned by the caller, free) and *ret_n their number. */
struct result plan_load(struct plan *plan, const char *path, char **ret_text, size_t *ret_n,
                        struct why *why) MUST_CHECK;

void plan_free(struct plan *plan);

/* Columns of one feature, without its indicator. */
unsigned plan_feature_columns(const struct plan_feature *feature);

/* Columns that the features encode to (one-hot and indicators included, without intercept). */
size_t plan_inputs(const struct plan *plan);

/* Outputs of the model: 1 for linear, logistic and hazard, classes for softmax; an MLP by its
 * label. */
size_t plan_outputs(const struct plan *plan);

/* Gradient steps that one site takes in one round over patients patients. */
size_t plan_steps_per_round(const struct plan *plan, size_t patients);

#endif
