/* SPDX-License-Identifier: Apache-2.0 */
/* The local steps of a round: FedAvg (McMahan et al. 2017, algorithm 1) and FedProx (Li et al.
 * 2020), with the intercept kept at the site when the plan asks. */
#include "agent/vault/train.h"

#include "agent/vault/train_gradient.h"
#include "linalg/optim.h"
#include "privacy/rng.h"
#include "proto/plan_model.h"

#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct trainer {
    const struct plan *plan;
    const struct dataset_part *part;
    struct model model;
    struct optim optim;
    struct plain_gradient plain;     /* without privacy */
    struct private_gradient private; /* with it */
    size_t *order;                   /* [patients]: shuffled for batches */
    double *w, *anchor, *gradient;   /* [parameters] */
    double *prior;                   /* [parameters] */
};

static struct optim_settings optimiser_of(const struct plan *plan)
{
    struct optim_settings s = optim_defaults();
    s.kind = plan->training.optimiser == OPTIMISER_ADAM ? OPTIM_ADAM : OPTIM_SGD;
    s.rate = plan->training.learning_rate;
    s.momentum = plan->training.momentum;
    s.l2 = plan->training.l2;
    s.proximal = plan->training.proximal;
    return s;
}

static struct result check_fit(const struct trainer *t, const struct dataset *dataset,
                               struct why *why)
{
    if (dataset->inputs != t->model.spec.inputs)
        return failed(why, RESULT_INPUT, "the data has %zu columns where the model has %zu inputs",
                      dataset->inputs, t->model.spec.inputs);
    if (dataset->train.patients == 0)
        return failed(why, RESULT_INPUT, "there is no patient to train on");
    return DONE;
}

static bool is_private(const struct trainer *t)
{
    return t->plan->privacy.mode == PRIVACY_PATIENT;
}

static struct result allocate(struct trainer *t, const struct train_site *site, struct why *why)
{
    size_t n = t->model.parameters;
    struct optim_settings settings = optimiser_of(t->plan);
    t->order = calloc(t->part->patients, sizeof *t->order);
    t->w = calloc(n, sizeof *t->w);
    t->anchor = calloc(n, sizeof *t->anchor);
    t->gradient = calloc(n, sizeof *t->gradient);
    t->prior = calloc(n, sizeof *t->prior);
    enum optim_status optim = optim_create(&t->optim, &t->model, &settings);
    if (optim == OPTIM_BAD_SETTING)
        return failed(why, RESULT_INPUT,
                      "a setting of the plan's training section is out of range");
    bool whole = t->order && t->w && t->anchor && t->gradient && t->prior && optim == OPTIM_OK;
    if (whole) {
        plan_prior(t->plan, &t->model, t->prior);
        t->optim.centre = t->prior;
    }
    if (whole && is_private(t))
        return private_gradient_create(&t->private, t->plan, &t->model, t->part, site, why);
    if (!whole || plain_gradient_create(&t->plain, &t->model) != MODEL_OK)
        return failed(why, RESULT_SYSTEM, "not enough memory to train %zu parameters", n);
    return DONE;
}

struct result trainer_create(struct trainer **ret_trainer, const struct plan *plan,
                             const struct dataset *dataset, const struct train_site *site,
                             struct why *why)
{
    *ret_trainer = NULL;
    struct trainer *t = calloc(1, sizeof *t);
    if (!t)
        return failed(why, RESULT_SYSTEM, "not enough memory to train");
    t->plan = plan;
    t->part = &dataset->train;
    struct result result = plan_build_model(plan, &t->model, why);
    if (ok(result))
        result = check_fit(t, dataset, why);
    if (ok(result))
        result = allocate(t, site, why);
    if (ok(result))
        *ret_trainer = t;
    else
        trainer_free(t);
    return result;
}

static void wipe(double *p, size_t n)
{
    if (p)
        sodium_memzero(p, n * sizeof *p);
    free(p);
}

void trainer_free(struct trainer *t)
{
    if (!t)
        return;
    plain_gradient_free(&t->plain);
    private_gradient_free(&t->private);
    optim_free(&t->optim);
    free(t->order);
    free(t->prior);
    wipe(t->w, t->model.parameters);
    wipe(t->anchor, t->model.parameters);
    wipe(t->gradient, t->model.parameters);
    free(t);
}

const struct model *trainer_model(const struct trainer *t)
{
    return &t->model;
}

/* Batches are public in kind: their order follows from the plan's seed and the round alone. */
static void seed_stream(const struct plan *plan, unsigned round_number, struct rng *rng)
{
    unsigned char key[RNG_KEY_BYTES] = {0};
    memcpy(key, &plan->training.seed, sizeof plan->training.seed);
    rng_init_seeded(rng, key, round_number);
}

static void shuffle(struct rng *rng, size_t *order, size_t n)
{
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)rng_below(rng, i);
        size_t held = order[i - 1];
        order[i - 1] = order[j];
        order[j] = held;
    }
}

static void plain_steps(struct trainer *t, unsigned round_number)
{
    struct rng rng;
    size_t patients = t->part->patients, batch = t->plan->training.batch, at = patients;
    size_t steps = plan_steps_per_round(t->plan, patients);
    if (batch == 0 || batch > patients)
        batch = patients;
    seed_stream(t->plan, round_number, &rng);
    for (size_t step = 0; step < steps; step++) {
        if (at >= patients) {
            shuffle(&rng, t->order, patients);
            at = 0;
        }
        size_t count = patients - at < batch ? patients - at : batch;
        plain_gradient_mean(&t->plain, t->part, t->w, t->order + at, count, t->gradient);
        optim_step(&t->optim, t->w, t->gradient, t->anchor);
        at += count;
    }
}

static struct result private_steps(struct trainer *t, struct why *why)
{
    size_t steps = plan_steps_per_round(t->plan, t->part->patients);
    for (size_t step = 0; step < steps; step++) {
        TRY(private_gradient_mean(&t->private, t->part, t->w, t->gradient, why));
        optim_step(&t->optim, t->w, t->gradient, t->anchor);
    }
    return DONE;
}

/* The update goes out as float; a parameter that is not one means divergence. */
static bool all_floats(size_t n, const double *w)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(w[i]) || !isfinite((float)w[i]))
            return false;
    return true;
}

static void keep_intercept(const struct trainer *t, unsigned round_number,
                           const struct train_intercept *before, struct train_intercept *after)
{
    struct train_intercept state = *before;
    bool averaged = plan_averages(t->plan, round_number);
    for (size_t k = 0; k < t->model.intercepts; k++) {
        state.current[k] = t->w[t->model.intercept_offset + k];
        state.sum[k] += averaged ? state.current[k] : 0.0;
    }
    state.rounds += averaged ? 1 : 0;
    *after = state;
}

struct result trainer_round(struct trainer *t, unsigned round_number, const double *global,
                            const struct train_intercept *before, struct train_intercept *after,
                            float *update, struct why *why)
{
    const struct model *model = &t->model;
    bool keep = t->plan->model.site_intercept;
    memcpy(t->w, global, model->parameters * sizeof *t->w);
    if (keep)
        memcpy(t->w + model->intercept_offset, before->current, model->intercepts * sizeof *t->w);
    memcpy(t->anchor, t->w, model->parameters * sizeof *t->w);
    optim_reset(&t->optim);
    t->optim.settings.rate = plan_learning_rate(t->plan, round_number);
    if (is_private(t))
        TRY(private_steps(t, why));
    else
        plain_steps(t, round_number);
    if (!all_floats(model->parameters, t->w))
        return failed(why, RESULT_INPUT,
                      "training diverged in round %u; a smaller learning_rate is needed",
                      round_number);
    for (size_t i = 0; i < model->parameters; i++)
        update[i] = (float)(t->w[i] - global[i]);
    if (keep) {
        memset(update + model->intercept_offset, 0, model->intercepts * sizeof *update);
        keep_intercept(t, round_number, before, after);
    } else {
        *after = *before;
    }
    return DONE;
}

struct result trainer_sum(struct trainer *t, const double *global, int64_t *total, struct why *why)
{
    memcpy(t->w, global, t->model.parameters * sizeof *t->w);
    return private_gradient_sum(&t->private, t->part, t->w, total, why);
}

void trainer_local_parameters(const struct plan *plan, const struct model *model,
                              const double *global, const struct train_intercept *intercept,
                              double *parameters)
{
    memcpy(parameters, global, model->parameters * sizeof *parameters);
    if (!plan->model.site_intercept)
        return;
    for (size_t k = 0; k < model->intercepts; k++)
        parameters[model->intercept_offset + k] =
            intercept->rounds > 0 ? intercept->sum[k] / (double)intercept->rounds
                                  : intercept->current[k];
}
