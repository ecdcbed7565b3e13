/* SPDX-License-Identifier: Apache-2.0 */
/* The length of a slot: work predicted from a measurement on made-up patients, doubled. */
#include "agent/vault/slot.h"

#include "agent/vault/drift.h"
#include "agent/vault/reference.h"
#include "agent/vault/train_gradient.h"
#include "linalg/stats/strata.h"
#include "privacy/clip_norm.h"
#include "proto/base/clock.h"
#include "proto/plan_model.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    TRIAL_ROWS = 2048,               /* of made-up patients at most */
    TRIAL_MULTIPLICATIONS = 1 << 25, /* rows times parameters of one trial at most */
    TRIALS = 5,
};

/* Around the steps themselves, generous on purpose: what they cost is public, their sum a slot. */
#define NS_SAMPLED 20.0      /* drawing whether one patient takes part */
#define NS_COORDINATE 150.0  /* optimiser, compression, sealing, hashing: per parameter */
#define NS_CELL 300.0        /* reading and encoding one cell of the file */
#define NS_SORTED_ROW 3000.0 /* ranking one row for one group's figures */
#define NS_FIXED 1e7         /* syncs of ledger, outbox and record */
#define NS_PERMUTED_ROW 1e5  /* a row of either side of the permutation test of drift */
#define NS_DRIFT_CELL 300.0  /* a value of either side, sorted and binned */
#define NS_CLUSTER_CELL 1e3  /* a value of a held-out patient, clustered */

static double mean_patients(const struct plan *plan, uint64_t declared)
{
    double held_out = plan->validation.holdout;
    held_out = held_out > 0.0 && held_out < 1.0 ? held_out : 0.0;
    return (double)declared * (1.0 - held_out);
}

static double patient_rows(const struct plan *plan)
{
    return (double)private_gradient_patient_rows(plan);
}

static uint64_t twice(double ns)
{
    double ms = ceil(2.0 * (ns + NS_FIXED) / 1e6 / SLOT_STEP_MS) * SLOT_STEP_MS;
    if (!(ms > SLOT_LEAST_MS))
        return SLOT_LEAST_MS;
    return ms < SLOT_MOST_MS ? (uint64_t)ms : SLOT_MOST_MS;
}

uint64_t slot_training_ms(const struct slot_speed *speed, const struct plan *plan,
                          uint64_t declared_patients)
{
    struct model model;
    double patients = mean_patients(plan, declared_patients);
    double steps = (double)plan_steps_per_round(plan, (size_t)declared_patients);
    double batch = patients * plan->privacy.sampling_rate;
    double step = speed->step_ns + batch * speed->patient_ns + patients * NS_SAMPLED;
    double parameters =
        ok(plan_build_model(plan, &model, NULL)) ? (double)model.parameters : MODEL_MAX_PARAMETERS;
    return twice(steps * step + parameters * NS_COORDINATE);
}

/* Drift and hidden strata of the first model, where the plan lets them be told. */
static double besides_figures(const struct plan *plan, double patients)
{
    double columns = (double)plan_inputs(plan), sides = fmin(patients, DRIFT_MMD_ROWS);
    if (plan->privacy.metrics_noise > 0.0 || plan->label.type == LABEL_REAL)
        return 0.0;
    sides += REFERENCE_ROWS_MAX;
    return sides * NS_PERMUTED_ROW + (patients + REFERENCE_ROWS_MAX) * columns * NS_DRIFT_CELL +
           fmin(patients, 4.0 * STRATA_ROWS_MAX) * columns * NS_CLUSTER_CELL;
}

uint64_t slot_evaluation_ms(const struct slot_speed *speed, const struct plan *plan,
                            uint64_t declared_patients, uint64_t models)
{
    double patients = (double)declared_patients - mean_patients(plan, declared_patients);
    double rows = patients * patient_rows(plan), groups = 2.0;
    for (unsigned i = 0; i < plan->subgroups_count; i++)
        groups += 1.0;
    if (plan->label.type == LABEL_CLASS)
        groups += (double)plan->label.levels_count;
    double row = speed->patient_ns + groups * NS_SORTED_ROW;
    return twice((double)models * rows * row + besides_figures(plan, patients));
}

uint64_t slot_loading_ms(const struct plan *plan, uint64_t declared_patients)
{
    double columns = (double)plan_inputs(plan) + (double)plan->subgroups_count + 4.0;
    return twice((double)declared_patients * patient_rows(plan) * columns * NS_CELL);
}

uint64_t slot_count(uint64_t started_ms, uint64_t now_ms, uint64_t slot_ms)
{
    uint64_t slot = slot_ms ? slot_ms : 1;
    return now_ms <= started_ms ? 1 : (now_ms - started_ms - 1) / slot + 1;
}

uint64_t slot_wait(uint64_t started_ms, uint64_t slot_ms)
{
    uint64_t count = slot_count(started_ms, clock_monotonic_ms() + 1, slot_ms);
    uint64_t until = started_ms + count * slot_ms;
    const struct timespec at = {.tv_sec = (time_t)(until / 1000),
                                .tv_nsec = (long)(until % 1000) * 1000000L};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
    return count;
}

/* ---- the measurement ---- */

struct trial {
    struct dataset_part part;
    double *parameters, *gradient;
};

static void trial_free(struct trial *t)
{
    free(t->part.x);
    free(t->part.y);
    free(t->part.square);
    free(t->part.first);
    free(t->part.slot_first);
    free(t->parameters);
    free(t->gradient);
}

/* Patients that nobody is: values spread over [-1, 1], labels in turn. */
static bool trial_make(struct trial *t, const struct model *model, size_t patients, size_t rows)
{
    size_t n = model->spec.inputs, all = patients * rows;
    double classes = model->spec.outputs > 1 ? (double)model->spec.outputs : 2.0;
    *t = (struct trial){.part = {.patients = patients, .rows = all, .slots = 1}};
    t->part.x = calloc(all * n + 1, sizeof(double));
    t->part.y = calloc(all + 1, sizeof(double));
    t->part.square = calloc(all + 1, sizeof(double));
    t->part.first = calloc(patients + 1, sizeof *t->part.first);
    t->part.slot_first = calloc(2, sizeof *t->part.slot_first);
    t->parameters = calloc(model->parameters, sizeof(double));
    t->gradient = calloc(model->parameters, sizeof(double));
    if (!t->part.x || !t->part.y || !t->part.square || !t->part.first || !t->part.slot_first ||
        !t->parameters || !t->gradient)
        return false;
    for (size_t i = 0; i < all * n; i++)
        t->part.x[i] = (double)(i * 37 % 201) / 100.0 - 1.0;
    for (size_t r = 0; r < all; r++) {
        t->part.y[r] = fmod((double)r, classes);
        t->part.square[r] = clip_square(n, t->part.x + r * n);
    }
    for (size_t p = 0; p <= patients; p++)
        t->part.first[p] = (uint32_t)(p * rows);
    model_initial(model, 1, t->parameters);
    return true;
}

static double elapsed_ns(const struct timespec *from)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - from->tv_sec) * 1e9 + (double)(now.tv_nsec - from->tv_nsec);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median of a few steps on the first patients of the trial. */
static struct result usual_step(struct private_gradient *private, struct trial *t, size_t patients,
                                double *ret_ns, struct why *why)
{
    struct dataset_part part = t->part;
    part.patients = patients;
    part.slot_first[1] = (uint32_t)patients;
    double ns[TRIALS];
    for (int i = 0; i < TRIALS; i++) {
        struct timespec from;
        clock_gettime(CLOCK_MONOTONIC, &from);
        TRY(private_gradient_mean(private, &part, t->parameters, t->gradient, why));
        ns[i] = elapsed_ns(&from);
    }
    qsort(ns, TRIALS, sizeof *ns, ascending);
    *ret_ns = ns[TRIALS / 2];
    return DONE;
}

static struct result measure(struct slot_speed *speed, struct private_gradient *private,
                             struct trial *t, struct why *why)
{
    size_t many = t->part.patients;
    double few_ns = 0.0, many_ns = 0.0;
    TRY(usual_step(private, t, 1, &few_ns, why));
    TRY(usual_step(private, t, many, &many_ns, why));
    speed->step_ns = few_ns;
    speed->patient_ns = many > 1 ? fmax(many_ns - few_ns, 0.0) / (double)(many - 1) : few_ns;
    return DONE;
}

struct result slot_measure(struct slot_speed *ret_speed, const struct plan *plan,
                           uint64_t declared_patients, double noise, struct why *why)
{
    struct plan all = *plan; /* borrowed parts; every made-up patient takes part */
    const struct train_site site = {.declared_patients = declared_patients,
                                    .noise_multiplier = noise};
    struct model model;
    struct trial trial = {0};
    struct private_gradient private = {0};
    size_t rows = private_gradient_patient_rows(plan), most = TRIAL_ROWS;
    *ret_speed = (struct slot_speed){0};
    all.privacy.sampling_rate = 1.0;
    TRY(plan_build_model(plan, &model, why));
    if (most > TRIAL_MULTIPLICATIONS / model.parameters)
        most = TRIAL_MULTIPLICATIONS / model.parameters;
    size_t patients = most / rows > 2 ? most / rows : 2;
    struct result r = DONE;
    if (!trial_make(&trial, &model, patients, rows))
        r = failed(why, RESULT_SYSTEM, "no memory to measure a step");
    if (ok(r))
        r = private_gradient_create(&private, &all, &model, &trial.part, &site, why);
    if (ok(r))
        r = measure(ret_speed, &private, &trial, why);
    private_gradient_free(&private);
    trial_free(&trial);
    return r;
}
