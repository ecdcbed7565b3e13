/* SPDX-License-Identifier: Apache-2.0 */
/* Rounds of local training and a weighted mean, then scores of the held-out patients. */
#include "tests/federation.h"

#include "agent/vault/train.h"
#include "linalg/stats/auroc.h"
#include "linalg/stats/calibration.h"
#include "privacy/accountant.h"
#include "proto/compress/codec.h"
#include "proto/plan_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct member {
    struct dataset dataset;
    struct mapping mapping;
    struct trainer *trainer;
    struct train_intercept intercept;
};

/* Held-out labels and scores of every fold, grown as they come. */
struct scores {
    size_t count, capacity;
    double *y, *z;
    unsigned char *site;
};

struct federation {
    struct plan *plan;
    struct model model;
    struct member member[FEDERATION_SITES_MAX];
    double *global, *velocity, *average, *mean;
    float *update;
    unsigned char *frame;
    size_t frame_bytes;
    struct codec codec;
    unsigned averaged;
};

static struct result load_member(struct federation *f, unsigned i, const char *folder, double noise,
                                 struct why *why)
{
    static const unsigned char key[DATASET_KEY_BYTES] = {9};
    struct member *m = &f->member[i];
    char path[1024];
    snprintf(path, sizeof path, "%s/%s.csv", folder, f->plan->sites[i].name);
    FILE *file = fopen(path, "r");
    if (!file)
        return failed(why, RESULT_SYSTEM, "%s: cannot be opened", path);
    struct result result = DONE;
    if (m->mapping.declared_patients == 0) {
        result = dataset_load(&m->dataset, f->plan, NULL, path, file, key, why);
        m->mapping.declared_patients = m->dataset.train.patients + m->dataset.holdout.patients;
        dataset_free(&m->dataset);
        rewind(file);
    }
    if (ok(result))
        result = dataset_load(&m->dataset, f->plan, &m->mapping, path, file, key, why);
    fclose(file);
    struct train_site site = {m->mapping.declared_patients, noise};
    memset(&m->intercept, 0, sizeof m->intercept);
    return ok(result) ? trainer_create(&m->trainer, f->plan, &m->dataset, &site, why) : result;
}

static void release_members(struct federation *f)
{
    for (unsigned i = 0; i < f->plan->sites_count; i++) {
        trainer_free(f->member[i].trainer);
        f->member[i].trainer = NULL;
        dataset_free(&f->member[i].dataset);
    }
}

/* What the coordinator would see of a site's update. */
static struct result compress(struct federation *f, unsigned number, unsigned i, struct why *why)
{
    static const unsigned char secret[CODEC_SEED_BYTES] = {3};
    unsigned char seed[CODEC_SEED_BYTES];
    size_t n = f->model.parameters, bytes;
    codec_seed(secret, number, f->plan->sites[i].name, seed);
    TRY(codec_encode(&f->codec, seed, n, f->update, f->frame, f->frame_bytes, &bytes, why));
    return codec_decode(f->frame, bytes, n, f->update, why);
}

static struct result one_round(struct federation *f, unsigned number, struct why *why)
{
    size_t n = f->model.parameters;
    double patients = 0.0;
    memset(f->mean, 0, n * sizeof *f->mean);
    for (unsigned i = 0; i < f->plan->sites_count; i++) {
        struct member *m = &f->member[i];
        double weight = (double)m->mapping.declared_patients;
        TRY(trainer_round(m->trainer, number, f->global, &m->intercept, &m->intercept, f->update,
                          why));
        TRY(compress(f, number, i, why));
        for (size_t k = 0; k < n; k++)
            f->mean[k] += weight * (double)f->update[k];
        patients += weight;
    }
    const struct plan_training *t = &f->plan->training;
    bool averaged = plan_averages(f->plan, number);
    f->averaged += averaged ? 1 : 0;
    for (size_t k = 0; k < n; k++) {
        f->velocity[k] = t->server_momentum * f->velocity[k] + f->mean[k] / patients;
        f->global[k] += t->server_learning_rate * f->velocity[k];
        f->average[k] += averaged ? f->global[k] : 0.0;
    }
    return DONE;
}

static bool push(struct scores *s, double y, double z, unsigned site)
{
    if (s->count == s->capacity) {
        size_t more = s->capacity ? 2 * s->capacity : 1024;
        double *grown_y = realloc(s->y, more * sizeof *grown_y);
        s->y = grown_y ? grown_y : s->y;
        double *grown_z = realloc(s->z, more * sizeof *grown_z);
        s->z = grown_z ? grown_z : s->z;
        unsigned char *grown_site = realloc(s->site, more);
        s->site = grown_site ? grown_site : s->site;
        if (!grown_y || !grown_z || !grown_site)
            return false;
        s->capacity = more;
    }
    s->y[s->count] = y;
    s->z[s->count] = z;
    s->site[s->count++] = (unsigned char)site;
    return true;
}

static struct result score_member(struct federation *f, unsigned i, const double *parameters,
                                  struct scores *s, struct why *why)
{
    const struct dataset_part *part = &f->member[i].dataset.holdout;
    struct model_work work;
    double *local = f->mean;
    if (model_work_create(&work, &f->model, 1) != MODEL_OK)
        return failed(why, RESULT_SYSTEM, "no memory");
    trainer_local_parameters(f->plan, &f->model, parameters, &f->member[i].intercept, local);
    bool kept = true;
    for (size_t r = 0; r < part->rows; r++) {
        memcpy(work.a[0], part->x + r * f->model.spec.inputs,
               f->model.spec.inputs * sizeof(double));
        model_forward(&f->model, local, 1, &work);
        kept = kept && push(s, part->y[r], work.z[0], i);
    }
    model_work_free(&work);
    return kept ? DONE : failed(why, RESULT_SYSTEM, "no memory");
}

static struct result one_fold(struct federation *f, const char *folder, double noise,
                              struct scores *s, struct why *why)
{
    size_t n = f->model.parameters;
    plan_start(f->plan, &f->model, f->global);
    memset(f->velocity, 0, n * sizeof *f->velocity);
    memset(f->average, 0, n * sizeof *f->average);
    f->averaged = 0;
    for (unsigned i = 0; i < f->plan->sites_count; i++)
        TRY(load_member(f, i, folder, noise, why));
    for (unsigned number = 1; number <= f->plan->training.rounds; number++)
        TRY(one_round(f, number, why));
    for (size_t k = 0; k < n; k++)
        f->average[k] = f->averaged ? f->average[k] / f->averaged : f->global[k];
    for (unsigned i = 0; i < f->plan->sites_count; i++)
        TRY(score_member(f, i, f->average, s, why));
    return DONE;
}

static void site_figures(const struct scores *s, unsigned site, double *y, double *z,
                         struct federation_site *out)
{
    struct auroc auroc;
    size_t n = 0, right = 0;
    for (size_t r = 0; r < s->count; r++)
        if (s->site[r] == site) {
            right += (s->z[r] > 0.0) == (s->y[r] == 1.0);
            y[n] = s->y[r];
            z[n++] = s->z[r];
        }
    auroc_delong(n, y, z, NULL, &auroc);
    *out = (struct federation_site){n, auroc.auc, (double)right / (double)n};
}

static struct result figures(const struct plan *plan, const struct scores *s,
                             struct federation_outcome *out, struct why *why)
{
    struct auroc auroc;
    struct calibration c;
    double *y = calloc(s->count + 1, sizeof *y), *p = calloc(s->count + 1, sizeof *p);
    if (!y || !p) {
        free(y);
        free(p);
        return failed(why, RESULT_SYSTEM, "no memory");
    }
    auroc_delong(s->count, s->y, s->z, NULL, &auroc);
    for (size_t r = 0; r < s->count; r++)
        p[r] = 1.0 / (1.0 + exp(-s->z[r]));
    calibration(s->count, s->y, p, &c);
    *out = (struct federation_outcome){s->count, plan->sites_count, auroc.auc,
                                       c.brier,  c.slope,           c.citl,
                                       {{0}}};
    for (unsigned i = 0; i < plan->sites_count; i++)
        site_figures(s, i, y, p, &out->site[i]);
    free(y);
    free(p);
    return DONE;
}

static struct result run(struct federation *f, const char *folder, const char *const *folds,
                         size_t count, double noise, struct scores *s, struct why *why)
{
    size_t n = f->model.parameters;
    f->global = calloc(n, sizeof *f->global);
    f->velocity = calloc(n, sizeof *f->velocity);
    f->average = calloc(n, sizeof *f->average);
    f->mean = calloc(n, sizeof *f->mean);
    f->update = calloc(n, sizeof *f->update);
    TRY(codec_parse(f->plan->compression, &f->codec, why));
    f->codec = codec_for(&f->codec, n);
    f->frame_bytes = (size_t)codec_frame_bytes(&f->codec, n);
    f->frame = calloc(1, f->frame_bytes);
    if (!f->frame || !f->global || !f->velocity || !f->average || !f->mean || !f->update)
        return failed(why, RESULT_SYSTEM, "no memory");
    struct result result = DONE;
    for (size_t k = 0; k < (count ? count : 1) && ok(result); k++) {
        if (count)
            snprintf(f->plan->validation.fold_value, PLAN_NAME_BYTES, "%s", folds[k]);
        result = one_fold(f, folder, noise, s, why);
        release_members(f);
    }
    return result;
}

struct result federation_run(struct plan *plan, const char *folder, const char *const *folds,
                             size_t count, double noise, struct federation_outcome *outcome,
                             struct why *why)
{
    struct scores s = {0};
    if (plan->sites_count > FEDERATION_SITES_MAX)
        return failed(why, RESULT_INPUT, "more than %d sites", FEDERATION_SITES_MAX);
    struct federation *f = calloc(1, sizeof *f);
    if (!f)
        return failed(why, RESULT_SYSTEM, "no memory");
    f->plan = plan;
    struct result result = plan_build_model(plan, &f->model, why);
    if (ok(result))
        result = run(f, folder, folds, count, noise, &s, why);
    if (ok(result))
        result = figures(plan, &s, outcome, why);
    free(f->global);
    free(f->velocity);
    free(f->average);
    free(f->mean);
    free(f->update);
    free(f->frame);
    free(f);
    free(s.y);
    free(s.z);
    free(s.site);
    return result;
}

struct result federation_noise(const struct plan *plan, double *ret_noise, struct why *why)
{
    struct privacy_event event = {.kind = EVENT_GAUSSIAN,
                                  .steps = plan->training.rounds * plan_steps_per_round(plan, 1),
                                  .q = plan->privacy.sampling_rate};
    struct event_list list = {.count = 1};
    list.events[0] = event;
    enum accountant_result status =
        accountant_calibrate(&list, plan->privacy.epsilon, plan->privacy.delta, NULL, ret_noise);
    return status == ACCOUNTANT_OK ? DONE
                                   : failed(why, RESULT_INPUT, "%s", accountant_text(status));
}
