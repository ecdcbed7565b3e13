/* SPDX-License-Identifier: Apache-2.0 */
/* The plan's keys as a libcyaml schema: which stand where, of which type, and which may be left
 * out. */
#include "proto/plan_schema.h"

#define OPT CYAML_FLAG_OPTIONAL
#define REQ CYAML_FLAG_DEFAULT
#define STRICT (CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT)
#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* A list of texts as array of struct plan_level; the member's _count holds their number. */
#define FIELD_LEVELS(key_, flags_, structure_, member_, max_)                                      \
    CYAML_FIELD_SEQUENCE_COUNT(key_, (flags_) | CYAML_FLAG_POINTER, structure_, member_,           \
                               member_##_count, &plan_level_schema, 0, max_)

/* [low, high] into two doubles that lie side by side. */
#define FIELD_RANGE(key_, structure_, low_)                                                        \
    {                                                                                              \
        .key = key_, .data_offset = offsetof(structure_, low_), .value = {                         \
            CYAML_VALUE_SEQUENCE_FIXED(OPT, double, &NUMBER, 2)                                    \
        }                                                                                          \
    }

const cyaml_schema_value_t plan_level_schema = {
    CYAML_VALUE_STRING(REQ, struct plan_level, 0, PLAN_NAME_BYTES - 1)};
static const cyaml_schema_value_t NUMBER = {CYAML_VALUE_FLOAT(REQ, double)};
static const cyaml_schema_value_t COUNTING = {CYAML_VALUE_UINT(REQ, unsigned)};

static const cyaml_strval_t FEATURE_TYPES[] = {{"number", FEATURE_NUMBER},
                                               {"category", FEATURE_CATEGORY},
                                               {"flag", FEATURE_FLAG}};
static const cyaml_strval_t MISSINGS[] = {{"refuse", MISSING_REFUSE},
                                          {"centre", MISSING_CENTRE},
                                          {"value", MISSING_VALUE}};
static const cyaml_strval_t LABEL_TYPES[] = {{"binary", LABEL_BINARY},
                                             {"class", LABEL_CLASS},
                                             {"real", LABEL_REAL}};
static const cyaml_strval_t MODEL_KINDS[] = {{"linear", MODEL_LINEAR},
                                             {"logistic", MODEL_LOGISTIC},
                                             {"softmax", MODEL_SOFTMAX},
                                             {"mlp", MODEL_MLP},
                                             {"hazard", MODEL_HAZARD}};
static const cyaml_strval_t ACTIVATIONS[] = {{"relu", ACTIVATION_RELU}, {"tanh", ACTIVATION_TANH}};
static const cyaml_strval_t OPTIMISERS[] = {{"sgd", OPTIMISER_SGD}, {"adam", OPTIMISER_ADAM}};
static const cyaml_strval_t MODES[] = {{"none", PRIVACY_NONE}, {"patient", PRIVACY_PATIENT}};
static const cyaml_strval_t NOISE_FLOORS[] = {{"refuse", NOISE_REFUSE},
                                              {"flag", NOISE_FLAG},
                                              {"off", NOISE_OFF}};
static const cyaml_strval_t QUARANTINES[] = {{"evidence", QUARANTINE_EVIDENCE},
                                             {"any", QUARANTINE_ANY}};
static const cyaml_strval_t WEIGHTS[] = {{"patients", WEIGHTS_PATIENTS}, {"equal", WEIGHTS_EQUAL}};

static const cyaml_schema_field_t FEATURE[] = {
    CYAML_FIELD_STRING("name", REQ, struct plan_feature, name, 1),
    CYAML_FIELD_ENUM("type", CYAML_FLAG_STRICT, struct plan_feature, type, FEATURE_TYPES,
                     COUNT(FEATURE_TYPES)),
    CYAML_FIELD_STRING("unit", OPT, struct plan_feature, unit, 0),
    FIELD_RANGE("range", struct plan_feature, low),
    CYAML_FIELD_FLOAT("centre", OPT, struct plan_feature, centre),
    CYAML_FIELD_FLOAT("spread", OPT, struct plan_feature, spread),
    FIELD_LEVELS("levels", OPT, struct plan_feature, levels, PLAN_LEVELS_MAX),
    CYAML_FIELD_SEQUENCE("shares", OPT | CYAML_FLAG_POINTER, struct plan_feature, shares, &NUMBER,
                         0, PLAN_LEVELS_MAX),
    CYAML_FIELD_SEQUENCE("prior", OPT | CYAML_FLAG_POINTER, struct plan_feature, prior, &NUMBER, 0,
                         PLAN_LEVELS_MAX),
    CYAML_FIELD_ENUM("missing", STRICT, struct plan_feature, missing, MISSINGS, COUNT(MISSINGS)),
    CYAML_FIELD_STRING("missing_value", OPT, struct plan_feature, missing_value, 0),
    CYAML_FIELD_BOOL("indicator", OPT, struct plan_feature, indicator),
    CYAML_FIELD_END};
static const cyaml_schema_value_t FEATURE_VALUE = {
    CYAML_VALUE_MAPPING(REQ, struct plan_feature, FEATURE)};

static const cyaml_schema_field_t LABEL[] = {
    CYAML_FIELD_STRING("column", REQ, struct plan_label, column, 1),
    CYAML_FIELD_ENUM("type", CYAML_FLAG_STRICT, struct plan_label, type, LABEL_TYPES,
                     COUNT(LABEL_TYPES)),
    FIELD_LEVELS("levels", OPT, struct plan_label, levels, PLAN_LEVELS_MAX),
    FIELD_RANGE("range", struct plan_label, low),
    CYAML_FIELD_FLOAT("centre", OPT, struct plan_label, centre),
    CYAML_FIELD_FLOAT("spread", OPT, struct plan_label, spread),
    CYAML_FIELD_STRING("time", OPT, struct plan_label, time, 0),
    CYAML_FIELD_FLOAT("horizon", OPT, struct plan_label, horizon),
    CYAML_FIELD_END};

static const cyaml_schema_field_t SUBGROUP[] = {
    CYAML_FIELD_STRING("column", REQ, struct plan_subgroup, column, 1),
    FIELD_LEVELS("levels", REQ, struct plan_subgroup, levels, PLAN_LEVELS_MAX), CYAML_FIELD_END};
static const cyaml_schema_value_t SUBGROUP_VALUE = {
    CYAML_VALUE_MAPPING(REQ, struct plan_subgroup, SUBGROUP)};

static const cyaml_schema_field_t MODEL[] = {
    CYAML_FIELD_ENUM("kind", CYAML_FLAG_STRICT, struct plan_model, kind, MODEL_KINDS,
                     COUNT(MODEL_KINDS)),
    CYAML_FIELD_SEQUENCE("hidden", OPT | CYAML_FLAG_POINTER, struct plan_model, hidden, &COUNTING,
                         0, PLAN_LAYERS_MAX),
    CYAML_FIELD_ENUM("activation", STRICT, struct plan_model, activation, ACTIVATIONS,
                     COUNT(ACTIVATIONS)),
    CYAML_FIELD_BOOL("site_intercept", OPT, struct plan_model, site_intercept), CYAML_FIELD_END};

static const cyaml_schema_field_t TRAINING[] = {
    CYAML_FIELD_UINT("rounds", REQ, struct plan_training, rounds),
    CYAML_FIELD_UINT("epochs", OPT, struct plan_training, epochs),
    CYAML_FIELD_UINT("steps", OPT, struct plan_training, steps),
    CYAML_FIELD_UINT("batch", OPT, struct plan_training, batch),
    CYAML_FIELD_ENUM("optimiser", STRICT, struct plan_training, optimiser, OPTIMISERS,
                     COUNT(OPTIMISERS)),
    CYAML_FIELD_FLOAT("learning_rate", REQ, struct plan_training, learning_rate),
    CYAML_FIELD_FLOAT("learning_rate_end", OPT, struct plan_training, learning_rate_end),
    CYAML_FIELD_FLOAT("momentum", OPT, struct plan_training, momentum),
    CYAML_FIELD_FLOAT("l2", OPT, struct plan_training, l2),
    CYAML_FIELD_FLOAT("proximal", OPT, struct plan_training, proximal),
    CYAML_FIELD_SEQUENCE("class_weights", OPT | CYAML_FLAG_POINTER, struct plan_training,
                         class_weights, &NUMBER, 0, PLAN_LEVELS_MAX),
    CYAML_FIELD_FLOAT("server_learning_rate", OPT, struct plan_training, server_learning_rate),
    CYAML_FIELD_FLOAT("server_momentum", OPT, struct plan_training, server_momentum),
    CYAML_FIELD_FLOAT("average_from", OPT, struct plan_training, average_from),
    CYAML_FIELD_UINT("seed", OPT, struct plan_training, seed),
    CYAML_FIELD_END};

static const cyaml_schema_field_t PRIVACY[] = {
    CYAML_FIELD_ENUM("mode", CYAML_FLAG_STRICT, struct plan_privacy, mode, MODES, COUNT(MODES)),
    CYAML_FIELD_FLOAT("epsilon", OPT, struct plan_privacy, epsilon),
    CYAML_FIELD_FLOAT("delta", OPT, struct plan_privacy, delta),
    CYAML_FIELD_FLOAT("clip_norm", OPT, struct plan_privacy, clip_norm),
    CYAML_FIELD_FLOAT("sampling_rate", OPT, struct plan_privacy, sampling_rate),
    CYAML_FIELD_FLOAT("noise_multiplier", OPT, struct plan_privacy, noise_multiplier),
    CYAML_FIELD_FLOAT("metrics_noise", OPT, struct plan_privacy, metrics_noise),
    CYAML_FIELD_UINT("max_rows_per_patient", OPT, struct plan_privacy, max_rows_per_patient),
    CYAML_FIELD_UINT("max_sites_per_patient", OPT, struct plan_privacy, max_sites_per_patient),
    CYAML_FIELD_END};

static const cyaml_schema_field_t AGGREGATION[] = {
    CYAML_FIELD_STRING("rule", REQ, struct plan_aggregation, rule, 1),
    CYAML_FIELD_UINT("byzantine", OPT, struct plan_aggregation, byzantine),
    CYAML_FIELD_ENUM("weights", STRICT, struct plan_aggregation, weights, WEIGHTS, COUNT(WEIGHTS)),
    CYAML_FIELD_FLOAT("max_share", OPT, struct plan_aggregation, max_share),
    CYAML_FIELD_UINT("quorum", OPT, struct plan_aggregation, quorum),
    CYAML_FIELD_FLOAT("deadline_s", OPT, struct plan_aggregation, deadline_s),
    CYAML_FIELD_FLOAT("max_norm", OPT, struct plan_aggregation, max_norm),
    CYAML_FIELD_BOOL("secure", OPT, struct plan_aggregation, secure),
    CYAML_FIELD_UINT("secure_threshold", OPT, struct plan_aggregation, secure_threshold),
    CYAML_FIELD_UINT("secure_colluders", OPT, struct plan_aggregation, secure_colluders),
    CYAML_FIELD_ENUM("noise_floor", STRICT, struct plan_aggregation, noise_floor, NOISE_FLOORS,
                     COUNT(NOISE_FLOORS)),
    CYAML_FIELD_FLOAT("site_momentum", OPT, struct plan_aggregation, site_momentum),
    CYAML_FIELD_UINT("quarantine", OPT, struct plan_aggregation, quarantine),
    CYAML_FIELD_ENUM("quarantine_on", STRICT, struct plan_aggregation, quarantine_on, QUARANTINES,
                     COUNT(QUARANTINES)),
    CYAML_FIELD_UINT("bucket_size", OPT, struct plan_aggregation, bucket_size),
    CYAML_FIELD_FLOAT("dissimilarity_b", OPT, struct plan_aggregation, dissimilarity_b),
    CYAML_FIELD_END};

static const cyaml_schema_field_t VALIDATION[] = {
    CYAML_FIELD_UINT("every", OPT, struct plan_validation, every),
    CYAML_FIELD_FLOAT("holdout", OPT, struct plan_validation, holdout),
    CYAML_FIELD_STRING("fold_column", OPT, struct plan_validation, fold_column, 0),
    CYAML_FIELD_STRING("fold_value", OPT, struct plan_validation, fold_value, 0),
    CYAML_FIELD_FLOAT("threshold", OPT, struct plan_validation, threshold),
    CYAML_FIELD_UINT("min_cell", OPT, struct plan_validation, min_cell),
    CYAML_FIELD_BOOL("matrix", OPT, struct plan_validation, matrix),
    CYAML_FIELD_FLOAT("margin", OPT, struct plan_validation, margin),
    CYAML_FIELD_END};

static const cyaml_schema_value_t SITE = {
    CYAML_VALUE_STRING(REQ, struct plan_site, 1, PLAN_NAME_BYTES - 1)};

static const cyaml_schema_field_t PLAN[] = {
    CYAML_FIELD_UINT("version", REQ, struct plan, version),
    CYAML_FIELD_STRING("study", REQ, struct plan, study, 1),
    CYAML_FIELD_STRING("title", OPT, struct plan, title, 0),
    CYAML_FIELD_STRING("purpose", OPT, struct plan, purpose, 0),
    CYAML_FIELD_SEQUENCE("sites", CYAML_FLAG_POINTER, struct plan, sites, &SITE, 1, PLAN_SITES_MAX),
    CYAML_FIELD_STRING("patient_id", REQ, struct plan, patient_id, 1),
    CYAML_FIELD_MAPPING("label", REQ, struct plan, label, LABEL),
    CYAML_FIELD_SEQUENCE("features", CYAML_FLAG_POINTER, struct plan, features, &FEATURE_VALUE, 1,
                         PLAN_FEATURES_MAX),
    CYAML_FIELD_SEQUENCE("subgroups", OPT | CYAML_FLAG_POINTER, struct plan, subgroups,
                         &SUBGROUP_VALUE, 0, PLAN_SUBGROUPS_MAX),
    CYAML_FIELD_MAPPING("model", REQ, struct plan, model, MODEL),
    CYAML_FIELD_MAPPING("training", REQ, struct plan, training, TRAINING),
    CYAML_FIELD_MAPPING("privacy", REQ, struct plan, privacy, PRIVACY),
    CYAML_FIELD_STRING("compression", OPT, struct plan, compression, 0),
    CYAML_FIELD_MAPPING("aggregation", REQ, struct plan, aggregation, AGGREGATION),
    CYAML_FIELD_MAPPING("validation", OPT, struct plan, validation, VALIDATION),
    CYAML_FIELD_END};

const cyaml_schema_value_t plan_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct plan, PLAN)};
