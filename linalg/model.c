/* SPDX-License-Identifier: Apache-2.0 */
/* A model's shape: limits, named tensors, starting parameters, room for a batch. */
#include "linalg/model.h"

#include "linalg/model_output.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *model_status_text(enum model_status status)
{
    switch (status) {
    case MODEL_OK:
        return "the model is well formed";
    case MODEL_BAD_SHAPE:
        return "the model has a layer with no unit or with too many units";
    case MODEL_TOO_LARGE:
        return "the model has more parameters than the limit";
    case MODEL_NO_MEMORY:
        return "there is not enough memory for the model";
    }
    return "unknown model status";
}

static const struct model_head *head_of(enum model_output output)
{
    switch (output) {
    case OUTPUT_LINEAR:
        return &model_head_linear;
    case OUTPUT_LOGISTIC:
        return &model_head_logistic;
    case OUTPUT_SOFTMAX:
        return &model_head_softmax;
    case OUTPUT_HAZARD:
        return &model_head_hazard;
    }
    return NULL;
}

static void add_tensor(struct model *model, size_t layer, const char *part, size_t rows,
                       size_t cols)
{
    struct model_tensor *t = &model->tensor[model->tensors++];
    snprintf(t->name, sizeof t->name, "layer%zu.%s", layer + 1, part);
    t->rows = rows;
    t->cols = cols;
    t->offset = model->parameters;
    t->penalised = strcmp(part, "weight") == 0;
    model->parameters += rows * cols;
}

static bool shape_fits(const struct model_spec *spec, const struct model_head *head)
{
    if (!head || !head->outputs_fit(spec->outputs))
        return false;
    if (spec->inputs == 0 || spec->inputs > MODEL_MAX_INPUTS)
        return false;
    if (spec->hidden_count > MODEL_MAX_HIDDEN)
        return false;
    for (size_t i = 0; i < spec->hidden_count; i++)
        if (spec->hidden[i] == 0 || spec->hidden[i] > MODEL_MAX_UNITS)
            return false;
    return true;
}

enum model_status model_build(struct model *model, const struct model_spec *spec)
{
    const struct model_head *head = head_of(spec->output);
    if (!shape_fits(spec, head))
        return MODEL_BAD_SHAPE;
    memset(model, 0, sizeof *model);
    model->spec = *spec;
    model->head = head;
    model->layers = spec->hidden_count + 1;
    size_t inputs = spec->inputs;
    for (size_t l = 0; l < model->layers; l++) {
        size_t outputs = l < spec->hidden_count ? spec->hidden[l] : spec->outputs;
        model->layer[l] = (struct model_layer){.inputs = inputs, .outputs = outputs};
        model->layer[l].weight = model->parameters;
        add_tensor(model, l, "weight", inputs, outputs);
        model->layer[l].bias = model->parameters;
        add_tensor(model, l, "bias", 1, outputs);
        inputs = outputs;
    }
    model->intercept_offset = model->layer[model->layers - 1].bias;
    model->intercepts = spec->outputs;
    return model->parameters > MODEL_MAX_PARAMETERS ? MODEL_TOO_LARGE : MODEL_OK;
}

/* SplitMix64 (Steele, Lea, Flood 2014): enough for starting weights, which are public. */
static double next_uniform(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (double)((x ^ (x >> 31)) >> 11) * 0x1p-53;
}

void model_initial(const struct model *model, uint64_t seed, double *parameters)
{
    memset(parameters, 0, model->parameters * sizeof *parameters);
    for (size_t l = 0; l < model->layers && model->layers > 1; l++) {
        const struct model_layer *layer = &model->layer[l];
        bool relu = l + 1 < model->layers && model->spec.activation == MODEL_RELU;
        double fan = (double)layer->inputs + (relu ? 0.0 : (double)layer->outputs);
        double bound = sqrt(6.0 / fan);
        for (size_t i = 0; i < layer->inputs * layer->outputs; i++)
            parameters[layer->weight + i] = bound * (2.0 * next_uniform(&seed) - 1.0);
    }
}

/* Doubles per row: every layer's inputs and deltas, then z and score. */
static size_t row_doubles(const struct model *model)
{
    size_t count = 2 * model->spec.outputs;
    for (size_t l = 0; l < model->layers; l++)
        count += model->layer[l].inputs + model->layer[l].outputs;
    return count;
}

size_t model_work_bytes(const struct model *model, size_t capacity)
{
    return row_doubles(model) * capacity * sizeof(double);
}

enum model_status model_work_create(struct model_work *work, const struct model *model,
                                    size_t capacity)
{
    memset(work, 0, sizeof *work);
    if (capacity == 0 || capacity > MODEL_MAX_ROWS)
        return MODEL_BAD_SHAPE;
    double *at = calloc(row_doubles(model) * capacity, sizeof *at);
    if (!at)
        return MODEL_NO_MEMORY;
    work->capacity = capacity;
    work->block = at;
    for (size_t l = 0; l < model->layers; l++) {
        work->a[l] = at;
        at += capacity * model->layer[l].inputs;
        work->d[l] = at;
        at += capacity * model->layer[l].outputs;
    }
    work->z = at;
    work->score = at + capacity * model->spec.outputs;
    return MODEL_OK;
}

void model_work_free(struct model_work *work)
{
    free(work->block);
    memset(work, 0, sizeof *work);
}
