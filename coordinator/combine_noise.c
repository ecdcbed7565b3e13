/* SPDX-License-Identifier: Apache-2.0 */
/* Expected noise of an update. One local step is v <- m v + g + l2 w + mu (w - w0), w <- w - rate v
 * with g = (clipped sum + noise) / lot, the noise sigma C in each coordinate. So the update is
 * sum_k h_k g_(T+1-k), h_k the response after k steps to one impulse, plus (l2 sum_k h_k) (w0 - c),
 * c the prior.
 *
 * With one step the signal does not know the noise: norm^2 is s^2 times noncentral chi-square. With
 * more, gradients react to earlier noise, and only what holds against any reaction is used: above,
 * the norms add; below, the last step's noise is fresh, and so is its part orthogonal to the rest.
 * Unbiased codecs add their own error: eden lengthens by sqrt(1 + NMSE), randk by sqrt(d/k). */
#include "coordinator/combine_noise.h"

#include "proto/base/cleanup.h"
#include "proto/plan_model.h"
#include "proto/plan_privacy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What T steps make of a unit impulse in each of them. */
struct response {
    double square; /* sum h_k^2 */
    double length; /* sum |h_k| */
    double sum;    /* sum h_k */
};

static struct response respond(const struct plan *plan, double rate, double l2, size_t steps)
{
    struct response r = {0};
    double momentum = plan->training.momentum, pull = l2 + plan->training.proximal;
    double v = 0, w = 0;
    for (size_t k = 1; k <= steps; k++) {
        v = momentum * v + (k == 1 ? 1.0 : 0.0) + pull * w;
        w -= rate * v;
        r.square += w * w;
        r.length += fabs(w);
        r.sum += w;
    }
    return r;
}

/* Distance of the weights that the penalty pulls at from where it pulls them, the plan's prior. */
static struct result pulled_norm(const struct plan *plan, const struct model *model, const float *w,
                                 double *ret_norm, struct why *why)
{
    double sum = 0;
    CLEANUP(free_pointer) double *centre = calloc(model->parameters, sizeof *centre);
    if (!centre)
        return failed(why, RESULT_SYSTEM, "out of memory for the prior");
    plan_prior(plan, model, centre);
    for (size_t t = 0; t < model->tensors; t++) {
        const struct model_tensor *tensor = &model->tensor[t];
        for (size_t i = tensor->offset;
             tensor->penalised && i < tensor->offset + tensor->rows * tensor->cols; i++)
            sum += ((double)w[i] - centre[i]) * ((double)w[i] - centre[i]);
    }
    *ret_norm = sqrt(sum);
    return DONE;
}

/* How a codec changes norms: low and high are factors, keep the share of coordinates it sends. */
struct codec_effect {
    double low, high, keep;
};

static struct codec_effect effect_of(const struct codec_view *view)
{
    const struct codec *codec = &view->codec;
    /* Of a padded block, only the error within d coordinates is decoded. */
    double full = (double)view->d / (double)(view->blocks * CODEC_BLOCK);
    static const double EDEN_NMSE[] = {[1] = .5708, [2] = .1331, [3] = .0358, [4] = .0096};
    double nmse = 0;
    switch (codec->id) {
    case CODEC_RAW32:
        return (struct codec_effect){1 - 1e-6, 1 + 1e-6, 1};
    case CODEC_BF16:
        return (struct codec_effect){1 - 1.0 / 256, 1 + 1.0 / 256, 1};
    case CODEC_INT8B:
        return (struct codec_effect){0.98, 1.02, 1};
    case CODEC_EDEN:
        nmse = codec->bits <= 4 ? EDEN_NMSE[codec->bits] : 0;
        return (struct codec_effect){sqrt(1 + 0.8 * nmse * full), sqrt(1 + 1.25 * nmse) * 1.001, 1};
    case CODEC_RANDK_SHARED:
        return (struct codec_effect){0.95 / codec->keep, 1.05 / codec->keep, codec->keep};
    case CODEC_TOPK_EF:
        break;
    }
    return (struct codec_effect){0, 0, 0};
}

static const char *untested(const struct plan *plan, const struct codec_view *view, double lot)
{
    if (plan->privacy.mode == PRIVACY_NONE)
        return "the study has no privacy noise";
    if (plan->aggregation.noise_floor == NOISE_OFF)
        return "the plan switches the test off";
    if (plan->training.optimiser != OPTIMISER_SGD)
        return "the optimiser is not linear in the noised gradients";
    if (view->codec.id == CODEC_TOPK_EF)
        return "the codec keeps the largest coordinates only";
    return lot > 0 ? NULL : "the site declares no patients";
}

static int fill_window(struct noise_expected *e, double all, double signal, size_t steps)
{
    struct noise_window fresh, whole;
    if (noise_window_init(&fresh, e->d, e->fresh, 0) != 0 ||
        noise_window_init(&whole, e->d, all, steps == 1 ? signal : 0) != 0)
        return -1;
    e->window.low = fmax(fresh.low, steps == 1 ? 0 : whole.low - signal);
    e->window.high = whole.high + (steps == 1 ? 0 : signal);
    return 0;
}

struct result noise_expect(const struct plan *plan, double noise_multiplier,
                           const struct server *server, uint64_t declared,
                           const struct codec_view *view, struct noise_expected *e, struct why *why)
{
    struct model model;
    double lot = plan_lot(plan, declared), rate = plan_learning_rate(plan, server->round + 1);
    size_t steps = plan_steps_per_round(plan, (size_t)declared);
    memset(e, 0, sizeof *e);
    e->reason = untested(plan, view, lot);
    if (e->reason)
        return DONE;
    TRY(plan_build_model(plan, &model, why));
    struct response weights = respond(plan, rate, plan->training.l2, steps);
    struct response biases = respond(plan, rate, 0, steps);
    struct codec_effect codec = effect_of(view);
    double noise = noise_multiplier * plan->privacy.clip_norm / lot;
    double gradient = plan->privacy.clip_norm * NOISE_DECLARED_SLACK * (1 + 6 / sqrt(lot));
    double all = noise * sqrt(fmax(weights.square, biases.square));
    double pulled = 0;
    TRY(pulled_norm(plan, &model, server->parameters, &pulled, why));
    double base = fabs(plan->training.l2 * weights.sum) * pulled;
    e->signal = gradient * fmax(weights.length, biases.length) + base;
    e->fresh = noise * rate;
    e->d = model.parameters - (plan->model.site_intercept ? model.intercepts : 0);
    e->length = all * sqrt((double)e->d);
    if (codec.keep < 1) /* of each block, rounded, and perhaps all intercepts among them */
        e->d = (uint64_t)fmax(1, floor(codec.keep * (double)e->d) -
                                     (double)(view->blocks + model.intercepts));
    if (fill_window(e, all, e->signal, steps) != 0 || !isfinite(e->window.high)) {
        e->reason = "the plan's noise is outside what can be tested";
        return DONE;
    }
    e->window.low *= codec.low;
    e->window.high *= codec.high;
    e->fresh *= codec.low;
    e->signal *= codec.high;
    e->length *= (codec.low + codec.high) / 2 * sqrt(codec.keep);
    e->known = true;
    return DONE;
}

enum noise_floor_verdict noise_judge(const struct noise_expected *e, double norm,
                                     struct server_site *site, double *ret_low)
{
    struct noise_window so_far;
    enum noise_floor_verdict verdict = noise_floor_test(&e->window, norm);
    site->noise_sum += norm / e->fresh * (norm / e->fresh);
    site->noise_degrees += e->d - 1;
    *ret_low = 0;
    if (noise_window_init(&so_far, site->noise_degrees + 1, 1, 0) == 0)
        *ret_low = so_far.low * so_far.low;
    if (verdict == NOISE_FLOOR_OK && site->noise_sum < *ret_low)
        verdict = NOISE_FLOOR_TOO_LITTLE;
    return verdict;
}
