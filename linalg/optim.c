/* SPDX-License-Identifier: Apache-2.0 */
/* SGD with heavy-ball momentum; Adam (Kingma and Ba 2015, algorithm 1); the proximal term of
 * FedProx (Li et al. 2020, equation 2). */
#include "linalg/optim.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct optim_settings optim_defaults(void)
{
    return (struct optim_settings){
        .kind = OPTIM_SGD, .rate = 0.1, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};
}

static bool in_unit(double x)
{
    return x >= 0.0 && x < 1.0;
}

static bool finite_from(double x, double least)
{
    return isfinite(x) && x >= least;
}

static bool settings_valid(const struct optim_settings *s)
{
    if (!finite_from(s->rate, 0.0) || s->rate == 0.0)
        return false;
    if (!finite_from(s->l2, 0.0) || !finite_from(s->proximal, 0.0))
        return false;
    switch (s->kind) {
    case OPTIM_SGD:
        return in_unit(s->momentum);
    case OPTIM_ADAM:
        return in_unit(s->beta1) && in_unit(s->beta2) && finite_from(s->epsilon, 0.0) &&
               s->epsilon > 0.0;
    }
    return false;
}

enum optim_status optim_create(struct optim *optim, const struct model *model,
                               const struct optim_settings *settings)
{
    memset(optim, 0, sizeof *optim);
    if (!settings_valid(settings))
        return OPTIM_BAD_SETTING;
    optim->settings = *settings;
    optim->model = model;
    optim->first = calloc(model->parameters, sizeof *optim->first);
    if (settings->kind == OPTIM_ADAM)
        optim->second = calloc(model->parameters, sizeof *optim->second);
    if (!optim->first || (settings->kind == OPTIM_ADAM && !optim->second)) {
        optim_free(optim);
        return OPTIM_NO_MEMORY;
    }
    return OPTIM_OK;
}

void optim_free(struct optim *optim)
{
    free(optim->first);
    free(optim->second);
    memset(optim, 0, sizeof *optim);
}

void optim_reset(struct optim *optim)
{
    size_t bytes = optim->model->parameters * sizeof *optim->first;
    memset(optim->first, 0, bytes);
    if (optim->second)
        memset(optim->second, 0, bytes);
    optim->steps = 0;
}

static void add_penalties(const struct optim *optim, const double *w, double *gradient,
                          const double *anchor)
{
    const struct model *model = optim->model;
    double l2 = optim->settings.l2, mu = optim->settings.proximal;
    for (size_t t = 0; t < model->tensors && l2 > 0.0; t++) {
        const struct model_tensor *tensor = &model->tensor[t];
        size_t end = tensor->offset + tensor->rows * tensor->cols;
        for (size_t i = tensor->offset; i < end && tensor->penalised; i++)
            gradient[i] += l2 * (optim->centre ? w[i] - optim->centre[i] : w[i]);
    }
    for (size_t i = 0; i < model->parameters && mu > 0.0; i++)
        gradient[i] += mu * (w[i] - anchor[i]);
}

static void step_sgd(struct optim *optim, double *w, const double *gradient)
{
    const struct optim_settings *s = &optim->settings;
    for (size_t i = 0; i < optim->model->parameters; i++) {
        optim->first[i] = s->momentum * optim->first[i] + gradient[i];
        w[i] -= s->rate * optim->first[i];
    }
}

static void step_adam(struct optim *optim, double *w, const double *gradient)
{
    const struct optim_settings *s = &optim->settings;
    double steps = (double)optim->steps;
    double unbias1 = 1.0 - pow(s->beta1, steps), unbias2 = 1.0 - pow(s->beta2, steps);
    for (size_t i = 0; i < optim->model->parameters; i++) {
        double g = gradient[i];
        optim->first[i] = s->beta1 * optim->first[i] + (1.0 - s->beta1) * g;
        optim->second[i] = s->beta2 * optim->second[i] + (1.0 - s->beta2) * g * g;
        double mean = optim->first[i] / unbias1, square = optim->second[i] / unbias2;
        w[i] -= s->rate * mean / (sqrt(square) + s->epsilon);
    }
}

void optim_step(struct optim *optim, double *w, double *gradient, const double *anchor)
{
    add_penalties(optim, w, gradient, anchor);
    optim->steps++;
    switch (optim->settings.kind) {
    case OPTIM_SGD:
        step_sgd(optim, w, gradient);
        return;
    case OPTIM_ADAM:
        step_adam(optim, w, gradient);
        return;
    }
}
