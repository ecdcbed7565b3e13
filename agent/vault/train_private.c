/* SPDX-License-Identifier: Apache-2.0 */
/* The noised mean gradient: Poisson sample of patients, clipped sum on the grid, exact Gaussian
 * noise, divided by a public constant (Abadi et al. 2016, algorithm 1, by patients). */
#include "agent/vault/train_gradient.h"

#include "agent/vault/locked.h"
#include "privacy/noise.h"
#include "proto/plan_model.h"
#include "proto/plan_privacy.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

size_t private_gradient_patient_rows(const struct plan *plan)
{
    size_t most = plan->privacy.max_rows_per_patient;
    most = most < CLIP_PATIENT_ROWS_MAX ? most : CLIP_PATIENT_ROWS_MAX;
    return most > 0 ? most : 1;
}

static struct result check_constants(const struct plan *plan, const struct train_site *site,
                                     struct private_gradient *private, size_t parameters,
                                     struct why *why)
{
    const struct plan_privacy *p = &plan->privacy;
    if (site->declared_patients == 0)
        return failed(why, RESULT_INPUT,
                      "a study with privacy needs declared_patients in the site's mapping: a round "
                      "number that everybody may know, never the count of this file");
    if (release_grid_init(&private->grid, p->clip_norm, site->noise_multiplier, parameters,
                          CLIP_SLOT_ROWS_MAX) != 0)
        return failed(why, RESULT_INPUT,
                      "clip_norm %g with noise multiplier %g is outside what a release allows",
                      p->clip_norm, site->noise_multiplier);
    if (sampling_init(&private->sampling, p->sampling_rate) != 0)
        return failed(why, RESULT_INPUT, "sampling_rate %g is not in (0, 1]", p->sampling_rate);
    return DONE;
}

/* The next round's noise, in bounded memory: the thread refills it while the site waits. */
enum { POOL_LEAST = 4096, POOL_MOST = 1 << 20 };

static struct result start_pool(struct private_gradient *private, const struct plan *plan,
                                const struct train_site *site, struct why *why)
{
    if (!site->noise_ahead)
        return DONE;
    size_t steps = plan_steps_per_round(plan, (size_t)site->declared_patients);
    size_t n = private->model->parameters, capacity = POOL_MOST;
    if (steps < POOL_MOST / n)
        capacity = steps * n > POOL_LEAST ? steps * n : POOL_LEAST;
    private->pool = noise_pool_start(capacity);
    return private->pool ? DONE : failed(why, RESULT_SYSTEM, "cannot draw noise ahead");
}

struct result private_gradient_create(struct private_gradient *private, const struct plan *plan,
                                      const struct model *model, const struct dataset_part *part,
                                      const struct train_site *site, struct why *why)
{
    memset(private, 0, sizeof *private);
    private->model = model;
    TRY(check_constants(plan, site, private, model->parameters, why));
    struct clip_settings settings = {.grid = private->grid,
                                     .batch_rows = TRAIN_BATCH_ROWS,
                                     .patient_rows = private_gradient_patient_rows(plan)};
    private->lot = plan_lot(plan, site->declared_patients);
    private->patients = part->patients;
    private->chosen = calloc(part->patients + 1, sizeof *private->chosen);
    private->noise = calloc(model->parameters, sizeof *private->noise);
    enum clip_status clip = clip_create(&private->clip, model, &settings);
    if (clip != CLIP_OK || !private->chosen || !private->noise)
        return failed(why, clip == CLIP_BAD_SETTING ? RESULT_INPUT : RESULT_SYSTEM, "%s",
                      clip_status_text(clip == CLIP_OK ? CLIP_NO_MEMORY : clip));
    locked_keep(private->clip.work.block, model_work_bytes(model, TRAIN_BATCH_ROWS));
    rng_init_system(&private->rng);
    return start_pool(private, plan, site, why);
}

void private_gradient_free(struct private_gradient *private)
{
    noise_pool_stop(private->pool);
    private->pool = NULL;
    clip_free(&private->clip);
    sampling_wipe(&private->sampling);
    rng_wipe(&private->rng);
    if (private->chosen)
        sodium_memzero(private->chosen, private->patients * sizeof *private->chosen);
    if (private->noise)
        sodium_memzero(private->noise, private->model->parameters * sizeof *private->noise);
    free(private->chosen);
    free(private->noise);
    private->chosen = NULL;
    private->noise = NULL;
}

/* Chosen patients ascend, and patients stand slot by slot: one pass hands each slot its own. */
static enum clip_status sum_slots(struct private_gradient *private, const struct dataset_part *part,
                                  const double *parameters, size_t count)
{
    struct clip_rows rows = dataset_rows(part);
    size_t at = 0;
    clip_begin(&private->clip);
    for (size_t slot = 0; slot < part->slots; slot++) {
        size_t from = at;
        while (at < count && private->chosen[at] < part->slot_first[slot + 1])
            at++;
        enum clip_status status =
            clip_add(&private->clip, parameters, &rows, private->chosen + from, at - from);
        if (status != CLIP_OK)
            return status;
    }
    return CLIP_OK;
}

static struct result noised_sum(struct private_gradient *private, const struct dataset_part *part,
                                const double *parameters, struct why *why)
{
    size_t n = private->model->parameters;
    size_t count =
        sampling_draw(&private->sampling, private->step++, part->patients, private->chosen);
    enum clip_status status = sum_slots(private, part, parameters, count);
    if (status != CLIP_OK)
        return failed(why, RESULT_INPUT,
                      "%s; declared_patients is far below the patients of the file, or "
                      "max_rows_per_patient below their rows",
                      clip_status_text(status));
    if (private->pool)
        noise_pool_take(private->pool, private->noise, n);
    else
        noise_fill(&private->rng, private->noise, n);
    release_noise(private->clip.sum, private->noise, n);
    sodium_memzero(private->noise, n * sizeof *private->noise);
    return DONE;
}

struct result private_gradient_mean(struct private_gradient *private,
                                    const struct dataset_part *part, const double *parameters,
                                    double *gradient, struct why *why)
{
    TRY(noised_sum(private, part, parameters, why));
    release_values(&private->grid, private->clip.sum, private->lot, gradient,
                   private->model->parameters);
    return DONE;
}

struct result private_gradient_sum(struct private_gradient *private,
                                   const struct dataset_part *part, const double *parameters,
                                   int64_t *total, struct why *why)
{
    TRY(noised_sum(private, part, parameters, why));
    memcpy(total, private->clip.sum, private->model->parameters * sizeof *total);
    return DONE;
}
