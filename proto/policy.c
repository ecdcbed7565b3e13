/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a site's policy, and judging a plan by it. */
#include "proto/policy.h"

#include "proto/plan_schema.h"

#include <stdlib.h>
#include <string.h>

#define OPT CYAML_FLAG_OPTIONAL
#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const cyaml_strval_t DECISIONS[] = {{"ask", DECISION_ASK}, {"allow", DECISION_ALLOW}};
static const cyaml_strval_t METRICS[] = {{"threshold", METRICS_THRESHOLD},
                                         {"histogram", METRICS_HISTOGRAM},
                                         {"noised-histogram", METRICS_NOISED_HISTOGRAM},
                                         {"none", METRICS_NONE}};

static const cyaml_strval_t VALIDATIONS[] = {{"as-study", VALIDATION_AS_STUDY},
                                             {"ask", VALIDATION_ASK},
                                             {"refuse", VALIDATION_REFUSE}};

/* What a file may leave out comes as NULL, so that the default is kept; all owned by libcyaml. */
struct policy_file {
    unsigned version;
    int *decision;
    struct plan_level *researchers, *features_refused;
    unsigned researchers_count, features_refused_count;
    bool *privacy_required, *noise_shares;
    double *epsilon_per_study, *epsilon_per_year, *epsilon_total, *delta;
    uint64_t *min_patients;
    int *metrics;
    double *metrics_noise;
    unsigned *min_cell, *queries_per_epoch;
    int *validation;
};

static const cyaml_schema_field_t POLICY[] = {
    CYAML_FIELD_UINT("version", CYAML_FLAG_DEFAULT, struct policy_file, version),
    CYAML_FIELD_ENUM_PTR("decision", OPT | CYAML_FLAG_STRICT, struct policy_file, decision,
                         DECISIONS, COUNT(DECISIONS)),
    CYAML_FIELD_SEQUENCE("researchers", OPT | CYAML_FLAG_POINTER, struct policy_file, researchers,
                         &plan_level_schema, 0, POLICY_NAMES_MAX),
    CYAML_FIELD_SEQUENCE("features_refused", OPT | CYAML_FLAG_POINTER, struct policy_file,
                         features_refused, &plan_level_schema, 0, POLICY_NAMES_MAX),
    CYAML_FIELD_BOOL_PTR("privacy_required", OPT, struct policy_file, privacy_required),
    CYAML_FIELD_BOOL_PTR("noise_shares", OPT, struct policy_file, noise_shares),
    CYAML_FIELD_FLOAT_PTR("epsilon_per_study", OPT, struct policy_file, epsilon_per_study),
    CYAML_FIELD_FLOAT_PTR("epsilon_per_year", OPT, struct policy_file, epsilon_per_year),
    CYAML_FIELD_FLOAT_PTR("epsilon_total", OPT, struct policy_file, epsilon_total),
    CYAML_FIELD_FLOAT_PTR("delta", OPT, struct policy_file, delta),
    CYAML_FIELD_UINT_PTR("min_patients", OPT, struct policy_file, min_patients),
    CYAML_FIELD_ENUM_PTR("metrics", OPT | CYAML_FLAG_STRICT, struct policy_file, metrics, METRICS,
                         COUNT(METRICS)),
    CYAML_FIELD_FLOAT_PTR("metrics_noise", OPT, struct policy_file, metrics_noise),
    CYAML_FIELD_UINT_PTR("min_cell", OPT, struct policy_file, min_cell),
    CYAML_FIELD_UINT_PTR("queries_per_epoch", OPT, struct policy_file, queries_per_epoch),
    CYAML_FIELD_ENUM_PTR("validation", OPT | CYAML_FLAG_STRICT, struct policy_file, validation,
                         VALIDATIONS, COUNT(VALIDATIONS)),
    CYAML_FIELD_END};
static const cyaml_schema_value_t SCHEMA = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct policy_file, POLICY)};

void policy_default(struct policy *policy)
{
    *policy = (struct policy){
        .version = 1,
        .decision = DECISION_ASK,
        .privacy_required = true,
        .epsilon_per_study = 1.0,
        .epsilon_per_year = 2.0,
        .epsilon_total = 10.0,
        .delta = 1e-6,
        .min_patients = 50,
        .metrics = METRICS_THRESHOLD,
        .min_cell = 11,
        .queries_per_epoch = 100,
    };
}

#define OVERRIDE(member)                                                                           \
    do {                                                                                           \
        if (file->member)                                                                          \
            policy->member = *file->member;                                                        \
    } while (0)

static void apply(struct policy *policy, struct policy_file *file)
{
    policy_default(policy);
    policy->version = file->version;
    if (file->decision)
        policy->decision = (enum policy_decision) * file->decision;
    if (file->metrics)
        policy->metrics = (enum policy_metrics) * file->metrics;
    if (file->validation)
        policy->validation = (enum policy_validation) * file->validation;
    OVERRIDE(privacy_required);
    OVERRIDE(noise_shares);
    OVERRIDE(epsilon_per_study);
    OVERRIDE(epsilon_per_year);
    OVERRIDE(epsilon_total);
    OVERRIDE(delta);
    OVERRIDE(min_patients);
    OVERRIDE(metrics_noise);
    OVERRIDE(min_cell);
    OVERRIDE(queries_per_epoch);
    policy->researchers = file->researchers;
    policy->researchers_count = file->researchers_count;
    policy->features_refused = file->features_refused;
    policy->features_refused_count = file->features_refused_count;
    file->researchers = file->features_refused = NULL; /* they belong to the policy now */
    file->researchers_count = file->features_refused_count = 0;
}

static struct result check(const struct policy *p, const struct conf_source *source,
                           struct why *why)
{
    if (p->version != 1)
        return conf_wrong(source, why, "version", "%u is not known: this release reads version 1",
                          p->version);
    const struct {
        const char *path;
        double value, low, high;
    } bounds[] = {
        {"epsilon_per_study", p->epsilon_per_study, 0, 1000},
        {"epsilon_per_year", p->epsilon_per_year, 0, 1000},
        {"epsilon_total", p->epsilon_total, 0, 10000},
        {"delta", p->delta, 1e-20, 1e-2},
        {"metrics_noise", p->metrics_noise, 0, 1e6},
        {"min_cell", p->min_cell, 1, 1000},
        {"queries_per_epoch", p->queries_per_epoch, 0, 1000000},
    };
    for (size_t i = 0; i < COUNT(bounds); i++) {
        if (!(bounds[i].value >= bounds[i].low && bounds[i].value <= bounds[i].high))
            return conf_wrong(source, why, bounds[i].path, "%g is outside %g to %g",
                              bounds[i].value, bounds[i].low, bounds[i].high);
    }
    return DONE;
}

struct result policy_parse(struct policy *policy, const char *name, const char *text, size_t n,
                           struct why *why)
{
    memset(policy, 0, sizeof *policy);
    if (n > POLICY_BYTES_MAX)
        return failed(why, RESULT_INPUT, "%s: %zu bytes are more than the %d of a policy", name, n,
                      POLICY_BYTES_MAX);
    struct conf_source source = {name, text, n};
    void *data = NULL;
    TRY(conf_load(&source, &SCHEMA, &data, why));
    apply(policy, data);
    conf_free(&SCHEMA, data);
    struct result r = check(policy, &source, why);
    if (!ok(r))
        policy_free(policy);
    return r;
}

void policy_free(struct policy *policy)
{
    free(policy->researchers);
    free(policy->features_refused);
    memset(policy, 0, sizeof *policy);
}

void policy_apply(const struct policy *policy, struct plan *plan)
{
    struct plan_privacy *p = &plan->privacy;
    if (policy->metrics == METRICS_NOISED_HISTOGRAM && p->mode == PRIVACY_PATIENT &&
        p->metrics_noise < policy->metrics_noise)
        p->metrics_noise = policy->metrics_noise;
}

static bool listed(const struct plan_level *names, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(names[i].name, name) == 0)
            return true;
    }
    return false;
}

struct result policy_check(const struct policy *policy, const struct plan *plan,
                           const char *researcher, uint64_t patients, double epsilon,
                           struct why *why)
{
    if (policy->researchers_count > 0 &&
        !listed(policy->researchers, policy->researchers_count, researcher))
        return failed(why, RESULT_REFUSED,
                      "this site's policy does not let researcher '%s' launch studies here",
                      researcher);
    for (unsigned i = 0; i < plan->features_count; i++) {
        if (listed(policy->features_refused, policy->features_refused_count,
                   plan->features[i].name))
            return failed(why, RESULT_REFUSED,
                          "this site's policy never lets feature '%s' take part: leave it out",
                          plan->features[i].name);
    }
    if (policy->privacy_required && plan->privacy.mode == PRIVACY_NONE)
        return failed(why, RESULT_REFUSED,
                      "this site's policy requires differential privacy: set 'privacy: {mode: "
                      "patient, epsilon: %g}'",
                      policy->epsilon_per_study);
    if (plan->privacy.mode == PRIVACY_PATIENT && plan->aggregation.secure && !policy->noise_shares)
        return failed(
            why, RESULT_REFUSED,
            "this site's policy wants the whole noise of a study added at the site; with "
            "'noise_shares: true' it would accept a share of it under secure aggregation");
    if (plan->privacy.mode == PRIVACY_PATIENT && epsilon > policy->epsilon_per_study)
        return failed(why, RESULT_REFUSED,
                      "this site's policy allows epsilon %g for one study, the plan costs %.4g",
                      policy->epsilon_per_study, epsilon);
    if (patients < policy->min_patients)
        return failed(
            why, RESULT_REFUSED,
            "this site has fewer patients for this plan than the %llu its policy asks for",
            (unsigned long long)policy->min_patients);
    return DONE;
}
