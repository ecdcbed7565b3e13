/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of bounded memory, one reweighted product each; slots added on the grid. */
#include "privacy/clip.h"

#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

const char *clip_status_text(enum clip_status status)
{
    switch (status) {
    case CLIP_OK:
        return "clipped";
    case CLIP_BAD_SETTING:
        return "a clipping setting is out of its range";
    case CLIP_NO_MEMORY:
        return "there is not enough memory to clip gradients";
    case CLIP_TOO_MANY_ROWS:
        return "there are more rows or patients than clipping allows";
    }
    return "unknown clipping status";
}

static bool settings_valid(const struct clip_settings *s)
{
    if (!(s->grid.clip > 0.0) || !(s->grid.step > 0.0))
        return false;
    if (s->patient_rows == 0 || s->patient_rows > CLIP_PATIENT_ROWS_MAX)
        return false;
    return s->batch_rows >= s->patient_rows && s->batch_rows <= CLIP_BATCH_ROWS_MAX;
}

enum clip_status clip_create(struct clip *clip, const struct model *model,
                             const struct clip_settings *settings)
{
    memset(clip, 0, sizeof *clip);
    if (!settings_valid(settings))
        return CLIP_BAD_SETTING;
    clip->settings = *settings;
    clip->model = model;
    size_t rows = settings->batch_rows;
    clip->y = calloc(rows, sizeof *clip->y);
    clip->weight = calloc(rows, sizeof *clip->weight);
    clip->square = calloc(rows, sizeof *clip->square);
    clip->rows_of = calloc(rows, sizeof *clip->rows_of);
    clip->slot = calloc(model->parameters, sizeof *clip->slot);
    clip->sum = calloc(model->parameters, sizeof *clip->sum);
    bool whole = clip->y && clip->weight && clip->square && clip->rows_of && clip->slot &&
                 clip->sum && clip_norms_create(&clip->norms, model, rows, settings->patient_rows);
    if (!whole || model_work_create(&clip->work, model, rows) != MODEL_OK) {
        clip_free(clip);
        return CLIP_NO_MEMORY;
    }
    return CLIP_OK;
}

static void wipe(void *p, size_t bytes)
{
    if (p)
        sodium_memzero(p, bytes);
    free(p);
}

void clip_free(struct clip *clip)
{
    size_t rows = clip->settings.batch_rows * sizeof(double);
    if (clip->model) {
        if (clip->work.block)
            sodium_memzero(clip->work.block,
                           model_work_bytes(clip->model, clip->settings.batch_rows));
        clip_norms_free(&clip->norms, clip->model);
        wipe(clip->slot, clip->model->parameters * sizeof *clip->slot);
        wipe(clip->sum, clip->model->parameters * sizeof *clip->sum);
    }
    model_work_free(&clip->work);
    wipe(clip->y, rows);
    wipe(clip->weight, rows);
    wipe(clip->square, rows);
    free(clip->rows_of);
    memset(clip, 0, sizeof *clip);
}

size_t clip_slots(size_t patients, size_t patient_rows)
{
    size_t each = CLIP_SLOT_ROWS / (patient_rows > 0 ? patient_rows : 1);
    each = each < CLIP_SLOT_PATIENTS ? each : CLIP_SLOT_PATIENTS;
    return patients / (each > 0 ? each : 1) + 1;
}

void clip_begin(struct clip *clip)
{
    memset(clip->sum, 0, clip->model->parameters * sizeof *clip->sum);
}

/* Zero in deltas alone would not do: zero times NaN is NaN. */
static void erase_rows(struct clip *clip, size_t first, size_t rows)
{
    const struct model *model = clip->model;
    for (size_t l = 0; l < model->layers; l++) {
        size_t in = model->layer[l].inputs, out = model->layer[l].outputs;
        memset(clip->work.a[l] + first * in, 0, rows * in * sizeof(double));
        memset(clip->work.d[l] + first * out, 0, rows * out * sizeof(double));
    }
}

static void scale_rows(struct clip *clip, size_t first, size_t rows, double factor)
{
    const struct model *model = clip->model;
    for (size_t l = 0; l < model->layers; l++) {
        size_t out = model->layer[l].outputs;
        double *d = clip->work.d[l] + first * out;
        for (size_t i = 0; i < rows * out; i++)
            d[i] *= factor;
    }
}

static void clip_patient(struct clip *clip, size_t first, size_t rows)
{
    double limit = CLIP_ROW_NORMS_MAX * clip->settings.grid.clip;
    double norm = clip_patient_norm(&clip->norms, clip->model, &clip->work, first, rows, limit);
    if (!isfinite(norm))
        erase_rows(clip, first, rows);
    else if (norm > clip->settings.grid.clip)
        scale_rows(clip, first, rows, clip->settings.grid.clip / norm);
}

static void flush_batch(struct clip *clip, const double *parameters)
{
    if (clip->batch_used == 0)
        return;
    model_forward(clip->model, parameters, clip->batch_used, &clip->work);
    model_backward(clip->model, parameters, clip->batch_used, clip->y, clip->weight, &clip->work);
    clip_norms_rows(&clip->norms, clip->model, &clip->work, clip->batch_used, clip->square);
    size_t at = 0;
    for (size_t i = 0; i < clip->batch_patients; i++) {
        clip_patient(clip, at, clip->rows_of[i]);
        at += clip->rows_of[i];
    }
    model_gradient(clip->model, clip->batch_used, &clip->work, clip->slot);
    clip->batch_used = clip->batch_patients = 0;
}

static void copy_patient(struct clip *clip, const struct clip_rows *rows, size_t from, size_t count)
{
    size_t n = clip->model->spec.inputs, at = clip->batch_used;
    memcpy(clip->work.a[0] + at * n, rows->x + from * n, count * n * sizeof(double));
    for (size_t r = 0; r < count; r++) {
        clip->y[at + r] = rows->y[from + r];
        clip->weight[at + r] = (rows->weight ? rows->weight[from + r] : 1.0) / (double)count;
        clip->square[at + r] =
            rows->square ? rows->square[from + r] : clip_square(n, rows->x + (from + r) * n);
    }
    clip->rows_of[clip->batch_patients++] = (uint32_t)count;
    clip->batch_used += count;
}

enum clip_status clip_add(struct clip *clip, const double *parameters, const struct clip_rows *rows,
                          const size_t *chosen, size_t count)
{
    clip->batch_used = clip->batch_patients = clip->slot_rows = 0;
    if (count == 0)
        return CLIP_OK;
    memset(clip->slot, 0, clip->model->parameters * sizeof *clip->slot);
    for (size_t i = 0; i < count; i++) {
        size_t from = rows->first[chosen[i]], many = rows->first[chosen[i] + 1] - from;
        clip->slot_rows += many;
        if (many > clip->settings.patient_rows || clip->slot_rows > CLIP_SLOT_ROWS_MAX)
            return CLIP_TOO_MANY_ROWS;
        if (clip->batch_used + many > clip->settings.batch_rows)
            flush_batch(clip, parameters);
        if (many > 0)
            copy_patient(clip, rows, from, many);
    }
    flush_batch(clip, parameters);
    int whole = release_add(&clip->settings.grid, clip->slot, clip->sum, clip->model->parameters);
    return whole == 0 ? CLIP_OK : CLIP_TOO_MANY_ROWS;
}
