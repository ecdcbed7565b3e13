/* SPDX-License-Identifier: Apache-2.0 */
/* Training and evaluation of one task, from the opened model to the release. */
#include "agent/vault/work.h"

#include "agent/bytes.h"
#include "agent/vault/cost.h"
#include "agent/vault/evaluate.h"
#include "agent/vault/evaluate_figures.h"
#include "agent/vault/holdout.h"
#include "agent/vault/release.h"
#include "agent/vault/room.h"
#include "agent/vault/secure.h"
#include "agent/vault/speak.h"
#include "agent/vault/train.h"
#include "proto/base/cleanup.h"
#include "proto/base/clock.h"
#include "proto/compress/codec.h"
#include "proto/plan_model.h"
#include "proto/plan_privacy.h"
#include "proto/secure_sum.h"

#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* In steps, so that it tells nothing of the size of the patients' file. */
static uint64_t peak_memory_kb(const struct vault *vault)
{
    struct rusage usage = {0};
    getrusage(RUSAGE_SELF, &usage);
    return speak_memory_kb((uint64_t)usage.ru_maxrss + vault->agent_peak_kb);
}

/* The site's own intercepts, as the ledger keeps them: rounds, count, current, sum. */
static void intercept_write(struct bytes_out *out, const struct train_intercept *intercept,
                            size_t count)
{
    bytes_out_u32(out, intercept->rounds);
    bytes_out_u32(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        bytes_out_double(out, intercept->current[i]);
        bytes_out_double(out, intercept->sum[i]);
    }
}

static struct result intercept_read(struct vault *vault, const struct ledger_study *study,
                                    struct train_intercept *intercept, struct why *why)
{
    unsigned char bytes[LEDGER_LOCAL_MAX];
    memset(intercept, 0, sizeof *intercept);
    if (study->local_n == 0)
        return DONE;
    TRY(ledger_local(&vault->ledger, study, bytes, why));
    struct bytes_in in = {.at = bytes, .left = study->local_n};
    intercept->rounds = bytes_in_u32(&in);
    uint32_t count = bytes_in_u32(&in);
    for (uint32_t i = 0; i < count && i < MODEL_MAX_CLASSES; i++) {
        intercept->current[i] = bytes_in_double(&in);
        intercept->sum[i] = bytes_in_double(&in);
    }
    sodium_memzero(bytes, sizeof bytes);
    if (in.bad || in.left > 0)
        return failed(why, RESULT_SYSTEM, "the site's own intercepts in the ledger are malformed");
    return DONE;
}

/* The set's model at i as doubles; owned by the caller (free). NULL: no memory. */
static double *parameters_of(const struct payload_model_set *models, size_t i)
{
    size_t n = models->parameters_count;
    double *out = malloc((n ? n : 1) * sizeof *out);
    for (size_t k = 0; out && k < n; k++)
        out[k] = (double)models->models[i].parameters[k];
    return out;
}

/* Trainer of the loaded study, made at its first round. */
static struct result room_trainer(struct vault *vault, const struct ledger_study *study,
                                  struct why *why)
{
    struct room *room = vault->room;
    if (room->trainer)
        return DONE;
    const struct train_site site = {
        .declared_patients = vault->mapping.declared_patients,
        .noise_multiplier = plan_noise_share(&room->plan, study->charge.noise_multiplier),
        .noise_ahead = vault->on_time,
    };
    return trainer_create(&room->trainer, &room->plan, &room->data, &site, why);
}

static struct result encode_frame(const struct vault *vault, const struct message_task *order,
                                  const float *update, size_t d, struct payload_update *payload,
                                  struct why *why)
{
    struct codec codec;
    unsigned char seed[CODEC_SEED_BYTES];
    TRY(codec_parse(vault->room->plan.compression, &codec, why));
    codec = codec_for(&codec, d);
    const char *site = codec.id == CODEC_RANDK_SHARED ? NULL : vault->keys.site;
    codec_seed(order->seed, order->round, site, seed);
    size_t capacity = (size_t)codec_frame_bytes(&codec, d);
    payload->frame = malloc(capacity);
    if (!payload->frame)
        return failed(why, RESULT_SYSTEM, "no memory for an update of %zu bytes", capacity);
    struct feedback *feedback = &vault->room->feedback;
    if (codec.id != CODEC_TOPK_EF)
        return codec_encode(&codec, seed, d, update, payload->frame, capacity, &payload->frame_n,
                            why);
    if (!feedback->residual)
        TRY(feedback_init(feedback, d, why));
    return feedback_encode(feedback, &codec, seed, update, payload->frame, capacity,
                           &payload->frame_n, why);
}

/* A site's input to a secure sum, masked: its noised sum over patients, or its weighted update. */
static struct result secure_frame(struct vault *vault, const struct ledger_study *study,
                                  const int64_t *total, const float *update, size_t d,
                                  struct payload_update *payload, struct why *why)
{
    const struct plan *plan = &vault->room->plan;
    uint64_t *values = malloc(d * sizeof *values);
    payload->frame = (unsigned char *)values;
    payload->frame_n = d * sizeof *values;
    if (!values)
        return failed(why, RESULT_SYSTEM, "no memory for an update of %zu bytes", payload->frame_n);
    if (total)
        memcpy(values, total, d * sizeof *values);
    else if (!secure_quantise(update, d, secure_weight(plan, payload->declared_patients), values))
        return failed(why, RESULT_INPUT, "the update is too large for a secure sum");
    return secure_mask(vault, study, values, d, why);
}

/* Patients that count in the site's weight: the declared ones, else (without privacy only) those
 * that are there. */
static uint64_t weight_patients(const struct vault *vault)
{
    uint64_t declared = vault->mapping.declared_patients;
    return declared ? declared : vault->room->data.train.patients;
}

/* How long a private batch took may tell how large it was: whole slots are told, or seconds. */
static uint64_t told_ms(const struct vault *vault, uint64_t started_ms)
{
    const struct room *room = vault->room;
    uint64_t now_ms = clock_monotonic_ms();
    uint64_t slot_ms = room->plan.privacy.mode == PRIVACY_NONE ? 1 : 1000;
    if (room_on_time(vault))
        slot_ms = slot_training_ms(&room->speed, &room->plan, vault->mapping.declared_patients);
    return slot_count(started_ms, now_ms, slot_ms) * slot_ms;
}

struct result work_train(struct vault *vault, const struct ledger_study *study, uint32_t task,
                         const struct message_task *order, const struct payload_model_set *models,
                         unsigned char **ret_cipher, size_t *ret_n, struct why *why)
{
    struct room *room = vault->room;
    uint64_t started_ms = clock_monotonic_ms();
    TRY(room_trainer(vault, study, why));
    const struct model *model = trainer_model(room->trainer);
    if (models->models_count < 1 || models->parameters_count != model->parameters)
        return failed(why, RESULT_INPUT, "the model has %zu parameters, the plan's has %zu",
                      models->parameters_count, model->parameters);
    CLEANUP(free_pointer) double *global = parameters_of(models, 0);
    CLEANUP(free_pointer) float *update = calloc(model->parameters, sizeof *update);
    CLEANUP(free_pointer) struct train_intercept *own = malloc(sizeof *own);
    if (!global || !update || !own)
        return failed(why, RESULT_SYSTEM, "no memory for a model of %zu parameters",
                      model->parameters);
    TRY(intercept_read(vault, study, own, why));
    const struct plan *plan = &room->plan;
    bool secure = plan->aggregation.secure, sum = secure && plan->privacy.mode != PRIVACY_NONE;
    CLEANUP(free_pointer) int64_t *total = sum ? malloc(model->parameters * sizeof *total) : NULL;
    if (sum && !total)
        return failed(why, RESULT_SYSTEM, "no memory for a sum of %zu", model->parameters);
    if (sum)
        TRY(trainer_sum(room->trainer, global, total, why));
    else
        TRY(trainer_round(room->trainer, order->round, global, own, own, update, why));
    vault_tamper(update, model->parameters);

    struct payload_update payload = {
        .round = order->round,
        .declared_patients = weight_patients(vault),
        .epsilon_spent = cost_so_far(plan, study, secure ? order->round : study->trained + 1,
                                     vault->mapping.declared_patients),
        .epsilon_budget = study->charge.epsilon,
        .peak_memory_kb = peak_memory_kb(vault),
    };
    struct bytes_out local = {0};
    if (room->plan.model.site_intercept)
        intercept_write(&local, own, model->intercepts);
    struct result r =
        secure ? secure_frame(vault, study, total, update, model->parameters, &payload, why)
               : encode_frame(vault, order, update, model->parameters, &payload, why);
    payload.seconds = (double)told_ms(vault, started_ms) / 1000.0;
    struct release_local keep = {.bytes = local.bytes, .n = local.n};
    if (ok(r))
        r = release_update(vault, study, task, order, &payload, &keep, ret_cipher, ret_n, why);
    payload_update_free(&payload);
    if (local.bytes)
        sodium_memzero(local.bytes, local.n);
    free(local.bytes);
    return r;
}

static struct result evaluate_all(struct vault *vault, const struct ledger_study *study,
                                  const struct payload_model_set *models,
                                  struct payload_evaluation *out, struct why *why)
{
    const struct plan *plan = &vault->room->plan;
    struct model model;
    TRY(plan_build_model(plan, &model, why));
    if (models->parameters_count != model.parameters)
        return failed(why, RESULT_INPUT, "the models have %zu parameters, the plan's has %zu",
                      models->parameters_count, model.parameters);
    CLEANUP(free_pointer) struct train_intercept *own = malloc(sizeof *own);
    CLEANUP(free_pointer) double *local = malloc(model.parameters * sizeof *local);
    if (!own || !local)
        return failed(why, RESULT_SYSTEM, "no memory to evaluate");
    TRY(intercept_read(vault, study, own, why));
    struct evaluator *evaluator = NULL;
    TRY(evaluator_create(&evaluator, plan, &vault->room->data, why));
    struct result r = DONE;
    for (size_t i = 0; ok(r) && i < models->models_count; i++) {
        CLEANUP(free_pointer) double *global = parameters_of(models, i);
        if (!global) {
            r = failed(why, RESULT_SYSTEM, "no memory to evaluate");
            break;
        }
        trainer_local_parameters(plan, &model, global, own, local);
        r = evaluator_run(evaluator, models->models[i].name, local, &out->models[i], why);
        out->models_count = (uint32_t)i + 1;
        if (ok(r) && i == 0)
            r = holdout_strata(vault, evaluator, out->models[0].groups[0].status, &out->strata,
                               why);
        if (ok(r) && i == 0)
            r = holdout_drift(vault, evaluator, local, out->models[0].groups[0].status, &out->drift,
                              why);
    }
    evaluator_free(evaluator);
    return r;
}

/* Why there are no figures, instead of silence. */
static struct result evaluate_none(const struct payload_model_set *models,
                                   enum evaluation_status status, struct payload_evaluation *out,
                                   struct why *why)
{
    for (size_t i = 0; i < models->models_count; i++) {
        struct evaluation_model *m = &out->models[i];
        out->models_count = (uint32_t)i + 1;
        snprintf(m->name, sizeof m->name, "%s", models->models[i].name);
        m->difference = m->difference_variance = (double)NAN;
        m->groups = calloc(1, sizeof *m->groups);
        if (!m->groups)
            return failed(why, RESULT_SYSTEM, "no memory to evaluate");
        m->groups_count = 1;
        figures_clear(&m->groups[0], status);
    }
    return DONE;
}

struct result work_evaluate(struct vault *vault, const struct ledger_study *study, uint32_t task,
                            const struct message_task *order,
                            const struct payload_model_set *models, unsigned char **ret_cipher,
                            size_t *ret_n, struct why *why)
{
    struct payload_evaluation evaluation = {.round = order->round,
                                            .metrics_noise =
                                                vault->room->plan.privacy.metrics_noise};
    evaluation.models =
        calloc(models->models_count ? models->models_count : 1, sizeof *evaluation.models);
    if (!evaluation.models)
        return failed(why, RESULT_SYSTEM, "no memory to evaluate");
    enum evaluation_status status;
    const struct holdout_query query = {.study = study->name,
                                        .task = task,
                                        .models = (uint32_t)models->models_count,
                                        .after = order->epochs_after};
    struct result r = holdout_enter(vault, &query, &evaluation.epoch, &status, why);
    evaluation_drift_clear(&evaluation.drift, EVALUATION_STATISTIC_REFUSED);
    evaluation_strata_clear(&evaluation.strata, EVALUATION_STATISTIC_REFUSED);
    if (ok(r) && status == EVALUATION_OK)
        r = evaluate_all(vault, study, models, &evaluation, why);
    else if (ok(r))
        r = evaluate_none(models, status, &evaluation, why);
    if (ok(r) && status == EVALUATION_OK)
        evaluation.metrics_epsilon = cost_of_figures(&vault->room->plan, models->models_count);
    if (ok(r))
        r = release_evaluation(vault, study, task, order, &evaluation, ret_cipher, ret_n, why);
    payload_evaluation_free(&evaluation);
    if (order->epochs_after > 0)
        room_forget(vault);
    return r;
}
