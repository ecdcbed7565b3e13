/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes and schedules that follow from a plan. */
#include "proto/plan_model.h"

#include <math.h>
#include <string.h>

unsigned plan_feature_columns(const struct plan_feature *feature)
{
    return feature->type == FEATURE_CATEGORY ? feature->levels_count - 1 : 1;
}

size_t plan_inputs(const struct plan *plan)
{
    size_t inputs = 0;
    for (unsigned i = 0; i < plan->features_count; i++)
        inputs += plan_feature_columns(&plan->features[i]) + (plan->features[i].indicator ? 1 : 0);
    return inputs;
}

/* One coefficient for each column. */
static bool is_regression(const struct plan *plan)
{
    return plan->model.kind != MODEL_SOFTMAX && plan->model.kind != MODEL_MLP;
}

static enum model_output output_of(const struct plan *plan)
{
    switch (plan->model.kind) {
    case MODEL_LINEAR:
        return OUTPUT_LINEAR;
    case MODEL_LOGISTIC:
        return OUTPUT_LOGISTIC;
    case MODEL_SOFTMAX:
        return OUTPUT_SOFTMAX;
    case MODEL_HAZARD:
        return OUTPUT_HAZARD;
    case MODEL_MLP:
        break;
    }
    switch (plan->label.type) {
    case LABEL_BINARY:
        return OUTPUT_LOGISTIC;
    case LABEL_CLASS:
        return OUTPUT_SOFTMAX;
    case LABEL_REAL:
        break;
    }
    return OUTPUT_LINEAR;
}

size_t plan_outputs(const struct plan *plan)
{
    return output_of(plan) == OUTPUT_SOFTMAX ? plan->label.levels_count : 1;
}

/* An epoch is as many steps as visit every patient once, on average where they are sampled. */
static size_t steps_per_epoch(const struct plan *plan, size_t patients)
{
    if (plan->privacy.mode == PRIVACY_PATIENT) {
        double steps = ceil(1.0 / plan->privacy.sampling_rate);
        return steps >= 1.0 && steps < 1e9 ? (size_t)steps : 1;
    }
    size_t batch = plan->training.batch;
    if (batch == 0 || patients == 0)
        return 1;
    return (patients + batch - 1) / batch;
}

size_t plan_steps_per_round(const struct plan *plan, size_t patients)
{
    if (plan->training.steps > 0)
        return plan->training.steps;
    return plan->training.epochs * steps_per_epoch(plan, patients);
}

struct result plan_build_model(const struct plan *plan, struct model *model, struct why *why)
{
    struct model_spec spec = {
        .output = output_of(plan),
        .activation = plan->model.activation == ACTIVATION_TANH ? MODEL_TANH : MODEL_RELU,
        .inputs = plan_inputs(plan),
        .outputs = plan_outputs(plan),
    };
    unsigned hidden = plan->model.kind == MODEL_MLP ? plan->model.hidden_count : 0;
    if (hidden > MODEL_MAX_HIDDEN)
        return failed(why, RESULT_INPUT, "the model has %u hidden layers; at most %d are allowed",
                      hidden, MODEL_MAX_HIDDEN);
    spec.hidden_count = hidden;
    for (unsigned i = 0; i < hidden; i++)
        spec.hidden[i] = plan->model.hidden[i];
    enum model_status status = model_build(model, &spec);
    if (status != MODEL_OK)
        return failed(why, RESULT_INPUT, "%s (%zu inputs, %u hidden layers, %zu outputs)",
                      model_status_text(status), spec.inputs, hidden, spec.outputs);
    return DONE;
}

void plan_level_scale(const struct plan_feature *feature, unsigned level, double *centre,
                      double *spread)
{
    *centre = 0.0;
    *spread = 1.0;
    if (level >= feature->shares_count)
        return;
    double p = feature->shares[level], kept = fmin(fmax(p, PLAN_SHARE_MIN), 1.0 - PLAN_SHARE_MIN);
    *centre = p;
    *spread = sqrt(kept * (1.0 - kept));
}

void plan_prior(const struct plan *plan, const struct model *model, double *parameters)
{
    memset(parameters, 0, model->parameters * sizeof *parameters);
    if (!is_regression(plan))
        return;
    size_t column = model->layer[0].weight;
    for (unsigned i = 0; i < plan->features_count; i++) {
        const struct plan_feature *feature = &plan->features[i];
        unsigned columns = plan_feature_columns(feature);
        for (unsigned k = 0; k < feature->prior_count && k < columns; k++)
            parameters[column + k] = feature->prior[k];
        column += columns + (feature->indicator ? 1 : 0);
    }
}

void plan_start(const struct plan *plan, const struct model *model, double *parameters)
{
    if (is_regression(plan))
        plan_prior(plan, model, parameters);
    else
        model_initial(model, plan->training.seed, parameters);
}

double plan_learning_rate(const struct plan *plan, unsigned round_number)
{
    const struct plan_training *t = &plan->training;
    if (t->learning_rate_end <= 0.0 || t->rounds < 2)
        return t->learning_rate;
    double done = (double)(round_number - 1) / (double)(t->rounds - 1);
    done = done < 0.0 ? 0.0 : done > 1.0 ? 1.0 : done;
    double share = 0.5 * (1.0 + cos(acos(-1.0) * done));
    return t->learning_rate_end + (t->learning_rate - t->learning_rate_end) * share;
}

bool plan_averages(const struct plan *plan, unsigned round_number)
{
    return (double)(round_number - 1) >=
           plan->training.average_from * (double)plan->training.rounds;
}
