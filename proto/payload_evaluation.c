/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluations to bytes and back; the figures travel as an ordered list of doubles. */
#include "proto/payload.h"

#include "proto/codec_field.h"
#include "proto/payload_drift.h"
#include "proto/payload_strata.h"
#include "proto/schema/consilium.pb-c.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* The order of the figures on the wire. New ones go to the end: a peer of another version ignores
 * what it does not know and finds NaN where it knows more. */
static const size_t FIGURES[] = {
    offsetof(struct evaluation_figures, auroc),
    offsetof(struct evaluation_figures, auroc_variance),
    offsetof(struct evaluation_figures, auroc_low),
    offsetof(struct evaluation_figures, auroc_high),
    offsetof(struct evaluation_figures, brier),
    offsetof(struct evaluation_figures, brier_variance),
    offsetof(struct evaluation_figures, calibration_slope),
    offsetof(struct evaluation_figures, calibration_slope_se),
    offsetof(struct evaluation_figures, calibration_intercept),
    offsetof(struct evaluation_figures, calibration_intercept_se),
    offsetof(struct evaluation_figures, observed_expected),
    offsetof(struct evaluation_figures, accuracy),
    offsetof(struct evaluation_figures, sensitivity),
    offsetof(struct evaluation_figures, specificity),
    offsetof(struct evaluation_figures, loss),
    offsetof(struct evaluation_figures, ece),
    offsetof(struct evaluation_figures, ece_null),
    offsetof(struct evaluation_figures, spiegelhalter_z),
    offsetof(struct evaluation_figures, ipa),
    offsetof(struct evaluation_figures, difference),
    offsetof(struct evaluation_figures, difference_variance),
    offsetof(struct evaluation_figures, ppv),
    offsetof(struct evaluation_figures, alert_rate),
    offsetof(struct evaluation_figures, sensitivity_fixed),
    offsetof(struct evaluation_figures, macro_auroc),
    offsetof(struct evaluation_figures, difference_p),
    offsetof(struct evaluation_figures, cindex),
    offsetof(struct evaluation_figures, cindex_variance),
    offsetof(struct evaluation_figures, rows_per_patient),
};

enum {
    FIGURES_COUNT = sizeof FIGURES / sizeof FIGURES[0],
    FIGURES_WIRE_MAX = 64, /* of later versions */
};

static double *figure(struct evaluation_figures *figures, size_t k)
{
    return (double *)(void *)((char *)figures + FIGURES[k]);
}

/* Everything that one encoded evaluation points to. */
struct arena {
    Cns__ModelEvaluation *models;
    Cns__ModelEvaluation **model_pointers;
    Cns__Figures *groups;
    Cns__Figures **group_pointers;
    double *values;
};

static void arena_free(struct arena *a)
{
    free(a->models);
    free(a->model_pointers);
    free(a->groups);
    free(a->group_pointers);
    free(a->values);
}

static bool arena_alloc(struct arena *a, size_t models, size_t groups)
{
    a->models = calloc(models + 1, sizeof *a->models);
    a->model_pointers = calloc(models + 1, sizeof(Cns__ModelEvaluation *));
    a->groups = calloc(groups + 1, sizeof *a->groups);
    a->group_pointers = calloc(groups + 1, sizeof(Cns__Figures *));
    a->values = calloc((groups + 1) * FIGURES_COUNT, sizeof *a->values);
    return a->models && a->model_pointers && a->groups && a->group_pointers && a->values;
}

static void fill_groups(struct arena *a, size_t first, const struct evaluation_model *model)
{
    for (size_t g = 0; g < model->groups_count; g++) {
        struct evaluation_figures in = model->groups[g];
        Cns__Figures *out = &a->groups[first + g];
        double *values = &a->values[(first + g) * FIGURES_COUNT];
        cns__figures__init(out);
        out->status = in.status;
        out->group = field_string(model->groups[g].group);
        out->positives = in.positives;
        out->negatives = in.negatives;
        for (size_t k = 0; k < FIGURES_COUNT; k++)
            values[k] = *figure(&in, k);
        out->n_values = FIGURES_COUNT;
        out->values = values;
        a->group_pointers[first + g] = out;
    }
}

static double *borrow(const double *values)
{
    double *view;
    memcpy(&view, &values, sizeof view);
    return view;
}

/* Varints grow by so much at most: per group, per model. */
enum { GROUP_SLACK = 32, MODEL_SLACK = 32 };

/* So much padding at least that its own length takes the same bytes on the wire for all counts. */
static size_t padding_least(size_t models, size_t groups)
{
    size_t most = models * MODEL_SLACK + groups * GROUP_SLACK;
    return most + 128 < 1 << 14 ? 128 : 1 << 14;
}

/* Zeros that bring the message to one size for all counts and figures of the same form: the size
 * with the longest numbers, which are tried on and taken off again. */
static size_t padding_of(Cns__Evaluation *m, struct arena *a, const struct payload_evaluation *from)
{
    size_t actual = cns__evaluation__get_packed_size(m), at = 0;
    for (size_t i = 0; i < from->models_count; i++) {
        a->models[i].difference = a->models[i].difference_variance = 1.0;
        for (size_t g = 0; g < from->models[i].groups_count; g++, at++) {
            a->groups[at].status = EVALUATION_OK;
            a->groups[at].positives = a->groups[at].negatives = UINT64_MAX;
        }
    }
    size_t longest = cns__evaluation__get_packed_size(m);
    at = 0;
    for (size_t i = 0; i < from->models_count; i++) {
        a->models[i].difference = from->models[i].difference;
        a->models[i].difference_variance = from->models[i].difference_variance;
        for (size_t g = 0; g < from->models[i].groups_count; g++, at++) {
            a->groups[at].status = from->models[i].groups[g].status;
            a->groups[at].positives = from->models[i].groups[g].positives;
            a->groups[at].negatives = from->models[i].groups[g].negatives;
        }
    }
    return longest - actual;
}

struct result payload_evaluation_encode(const struct payload_evaluation *evaluation,
                                        unsigned char **ret_bytes, size_t *ret_n, struct why *why)
{
    size_t groups = 0;
    for (size_t i = 0; i < evaluation->models_count; i++)
        groups += evaluation->models[i].groups_count;
    struct arena a = {0};
    if (!arena_alloc(&a, evaluation->models_count, groups)) {
        arena_free(&a);
        return failed(why, RESULT_SYSTEM, "out of memory for an evaluation");
    }
    size_t first = 0;
    for (size_t i = 0; i < evaluation->models_count; i++) {
        const struct evaluation_model *in = &evaluation->models[i];
        Cns__ModelEvaluation *out = &a.models[i];
        cns__model_evaluation__init(out);
        out->name = field_string(in->name);
        fill_groups(&a, first, in);
        out->n_groups = in->groups_count;
        out->groups = &a.group_pointers[first];
        out->n_positives = out->n_negatives = in->bins_count;
        out->positives = borrow(in->positives);
        out->negatives = borrow(in->negatives);
        out->difference = in->difference;
        out->difference_variance = in->difference_variance;
        a.model_pointers[i] = out;
        first += in->groups_count;
    }
    Cns__Evaluation m;
    cns__evaluation__init(&m);
    m.round = evaluation->round;
    m.n_models = evaluation->models_count;
    m.models = a.model_pointers;
    m.metrics_epsilon = evaluation->metrics_epsilon;
    m.release = evaluation->release;
    m.metrics_noise = evaluation->metrics_noise;
    struct payload_drift_wire wire;
    if (!payload_drift_wire(&wire, evaluation)) {
        arena_free(&a);
        return failed(why, RESULT_SYSTEM, "out of memory for an evaluation");
    }
    double strata[STRATA_VALUES];
    payload_strata_write(&evaluation->strata, strata);
    m.n_strata = STRATA_VALUES;
    m.strata = strata;
    m.epoch = &wire.epoch;
    m.drift = &wire.drift;
    m.padding.len = padding_least(evaluation->models_count, groups) +
                    padding_of(&m, &a, evaluation) + payload_drift_slack(&wire);
    m.padding.data = calloc(1, m.padding.len);
    *ret_n = cns__evaluation__get_packed_size(&m);
    *ret_bytes = m.padding.data ? malloc(*ret_n + 1) : NULL;
    if (*ret_bytes)
        cns__evaluation__pack(&m, *ret_bytes);
    payload_drift_wire_free(&wire);
    free(m.padding.data);
    arena_free(&a);
    return *ret_bytes ? DONE : failed(why, RESULT_SYSTEM, "out of memory for an evaluation");
}

static struct result read_figures(struct evaluation_figures *to, const Cns__Figures *from,
                                  struct why *why)
{
    if (from->status < EVALUATION_OK || from->status > EVALUATION_NOTHING_NEW)
        return failed(why, RESULT_INPUT, "field 'status' is %u, not a status", from->status);
    if (from->n_values > FIGURES_WIRE_MAX)
        return failed(why, RESULT_INPUT, "an evaluation lists %zu figures, more than %d",
                      from->n_values, FIGURES_WIRE_MAX);
    to->status = (enum evaluation_status)from->status;
    to->positives = from->positives;
    to->negatives = from->negatives;
    for (size_t k = 0; k < FIGURES_COUNT; k++)
        *figure(to, k) = k < from->n_values ? from->values[k] : (double)NAN;
    return field_text(to->group, sizeof to->group, from->group, "group", why);
}

static struct result read_bins(struct evaluation_model *to, const Cns__ModelEvaluation *from,
                               struct why *why)
{
    if (from->n_positives > EVALUATION_BINS_MAX || from->n_positives != from->n_negatives)
        return failed(why, RESULT_INPUT, "a histogram of %zu and %zu bins is out of bounds",
                      from->n_positives, from->n_negatives);
    to->bins_count = (uint32_t)from->n_positives;
    for (size_t b = 0; b < from->n_positives; b++) {
        if (!isfinite(from->positives[b]) || !isfinite(from->negatives[b]))
            return failed(why, RESULT_INPUT, "bin %zu of a histogram is not finite", b);
        to->positives[b] = from->positives[b];
        to->negatives[b] = from->negatives[b];
    }
    return DONE;
}

static struct result read_evaluation_model(struct evaluation_model *to,
                                           const Cns__ModelEvaluation *from, struct why *why)
{
    TRY(field_text(to->name, sizeof to->name, from->name, "name", why));
    if (from->n_groups == 0 || from->n_groups > EVALUATION_GROUPS_MAX)
        return failed(why, RESULT_INPUT, "an evaluation of %zu groups is out of bounds (1 to %d)",
                      from->n_groups, EVALUATION_GROUPS_MAX);
    to->groups = calloc(from->n_groups, sizeof *to->groups);
    if (!to->groups)
        return failed(why, RESULT_SYSTEM, "out of memory for an evaluation");
    to->groups_count = (uint32_t)from->n_groups;
    for (size_t g = 0; g < from->n_groups; g++)
        TRY(read_figures(&to->groups[g], from->groups[g], why));
    to->difference = from->difference;
    to->difference_variance = from->difference_variance;
    return read_bins(to, from, why);
}

static struct result read_evaluation(struct payload_evaluation *to, const Cns__Evaluation *from,
                                     struct why *why)
{
    if (from->n_models == 0 || from->n_models > PAYLOAD_MODELS_MAX)
        return failed(why, RESULT_INPUT, "an evaluation of %zu models is out of bounds (1 to %d)",
                      from->n_models, PAYLOAD_MODELS_MAX);
    if (!isfinite(from->metrics_epsilon) || from->metrics_epsilon < 0.0)
        return failed(why, RESULT_INPUT, "field 'metrics_epsilon' is not a number of at least 0");
    to->round = from->round;
    to->metrics_epsilon = from->metrics_epsilon;
    to->models = calloc(from->n_models, sizeof *to->models);
    if (!to->models)
        return failed(why, RESULT_SYSTEM, "out of memory for an evaluation");
    to->models_count = (uint32_t)from->n_models;
    for (size_t i = 0; i < from->n_models; i++)
        TRY(read_evaluation_model(&to->models[i], from->models[i], why));
    if (from->release > EVALUATION_RELEASE_NONE)
        return failed(why, RESULT_INPUT, "field 'release' is %u, not a form of release",
                      from->release);
    to->release = (enum evaluation_release)from->release;
    if (!isfinite(from->metrics_noise) || from->metrics_noise < 0.0)
        return failed(why, RESULT_INPUT, "field 'metrics_noise' is not a number of at least 0");
    to->metrics_noise = from->metrics_noise;
    TRY(payload_epoch_read(&to->epoch, from->epoch, why));
    TRY(payload_strata_read(&to->strata, from->strata, from->n_strata, why));
    return payload_drift_read(&to->drift, from->drift, why);
}

struct result payload_evaluation_decode(struct payload_evaluation *evaluation,
                                        const unsigned char *bytes, size_t n, struct why *why)
{
    memset(evaluation, 0, sizeof *evaluation);
    struct field_budget budget;
    field_budget_start(&budget, 16 * n + (1 << 20));
    Cns__Evaluation *m = cns__evaluation__unpack(&budget.allocator, n, bytes);
    if (!m)
        return failed(why, RESULT_INPUT, "the evaluation is malformed or truncated");
    struct result r = read_evaluation(evaluation, m, why);
    cns__evaluation__free_unpacked(m, &budget.allocator);
    if (!ok(r))
        payload_evaluation_free(evaluation);
    return r;
}

void payload_evaluation_free(struct payload_evaluation *evaluation)
{
    for (size_t i = 0; i < evaluation->models_count; i++)
        free(evaluation->models[i].groups);
    free(evaluation->models);
    free(evaluation->drift.columns);
    memset(evaluation, 0, sizeof *evaluation);
}
