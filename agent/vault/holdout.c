/* SPDX-License-Identifier: Apache-2.0 */
/* The loaded holdout between the book of epochs and the evaluator. */
#include "agent/vault/holdout.h"

#include "agent/vault/drift.h"
#include "agent/vault/epoch_newer.h"
#include "agent/vault/reference.h"
#include "agent/vault/room.h"
#include "proto/base/cleanup.h"
#include "proto/base/clock.h"
#include "proto/base/log.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MS UINT64_C(86400000)

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The holdout's patients, ascending; owned by the caller. */
static uint64_t *sorted_patients(const struct dataset_part *part)
{
    uint64_t *out = malloc((part->patients + 1) * sizeof *out);
    if (!out)
        return NULL;
    memcpy(out, part->patient, part->patients * sizeof *out);
    if (part->patients > 1)
        qsort(out, part->patients, sizeof *out, by_value);
    return out;
}

static bool budget_holds(const struct vault *vault, const struct epoch_choice *choice,
                         const struct holdout_query *q)
{
    const struct epoch *epoch =
        choice->fate == EPOCH_KNOWN ? &vault->book.epochs[choice->index] : NULL;
    unsigned queries = vault->policy.queries_per_epoch;
    if (queries == 0 || (epoch && epoch_charged_for(epoch, q->study, q->task)))
        return true;
    return (epoch ? epoch->models : 0) + q->models <= queries;
}

static void tell(const struct epoch *epoch, const struct holdout_query *q, size_t patients,
                 struct evaluation_epoch *out)
{
    out->number = epoch->number;
    out->date_ms = epoch->begun_ms / DAY_MS * DAY_MS;
    out->reused = epoch->tasks > (epoch_charged_for(epoch, q->study, q->task) ? 1u : 0u);
    out->first = q->after > 0 ? q->after + 1 : 0;
    evaluation_band(patients, &out->low, &out->high);
}

/* Who is judged on: all of the chosen epoch, or its newer patients. */
struct judged {
    const uint64_t *patients;
    size_t n;
    uint64_t *own; /* owned, where it is not the choice's list */
};

static struct result pick(struct vault *vault, const struct epoch_choice *choice,
                          const struct holdout_query *q, struct judged *judged,
                          enum evaluation_status *ret_status, struct why *why)
{
    enum newer_fate fate;
    *judged = (struct judged){.patients = choice->kept, .n = choice->kept_n};
    if (q->after == 0)
        return DONE;
    TRY(epoch_newer(&vault->book, vault->room->plan.label.column, choice, q->after,
                    room_min_cell(vault), &judged->own, &judged->n, &fate, why));
    judged->patients = judged->own;
    switch (fate) {
    case NEWER_SOME:
        break;
    case NEWER_NONE:
        *ret_status = EVALUATION_NOTHING_NEW;
        break;
    case NEWER_FEW:
        *ret_status = EVALUATION_BELOW_MINIMUM_CELL;
        break;
    case NEWER_TOO_CLOSE:
        *ret_status = EVALUATION_TOO_CLOSE;
        break;
    }
    return DONE;
}

static struct result enter(struct vault *vault, const struct epoch_choice *choice,
                           const struct holdout_query *q, const struct judged *judged,
                           struct evaluation_epoch *ret_epoch, struct why *why)
{
    struct room *room = vault->room;
    size_t index;
    TRY(epoch_charge(&vault->book, room->plan.label.column, choice, clock_unix_ms(), q->study,
                     q->task, q->models, &index, why));
    if (choice->waiting + choice->left_out > 0)
        log_info("%s: %zu new patients of the holdout wait for more, %zu are left out: an epoch "
                 "differs from the others by no fewer than %u",
                 q->study, choice->waiting, choice->left_out, room_min_cell(vault));
    dataset_keep_holdout(&room->data, judged->patients, judged->n);
    tell(&vault->book.epochs[index], q, judged->n, ret_epoch);
    return DONE;
}

static struct result choose(struct vault *vault, const uint64_t *patients,
                            const struct holdout_query *q, struct evaluation_epoch *ret_epoch,
                            enum evaluation_status *ret_status, struct why *why)
{
    struct room *room = vault->room;
    struct epoch_choice choice;
    struct judged judged = {0};
    TRY(epoch_choose(&vault->book, room->plan.label.column, patients, room->data.holdout.patients,
                     room_min_cell(vault), &choice, why));
    struct result r = DONE;
    if (choice.fate == EPOCH_TOO_CLOSE)
        *ret_status = EVALUATION_TOO_CLOSE;
    else
        r = pick(vault, &choice, q, &judged, ret_status, why);
    if (ok(r) && *ret_status == EVALUATION_OK && !budget_holds(vault, &choice, q))
        *ret_status = EVALUATION_BUDGET_EXHAUSTED;
    if (ok(r) && *ret_status == EVALUATION_OK)
        r = enter(vault, &choice, q, &judged, ret_epoch, why);
    free(judged.own);
    free(choice.kept);
    return r;
}

struct result holdout_enter(struct vault *vault, const struct holdout_query *query,
                            struct evaluation_epoch *ret_epoch, enum evaluation_status *ret_status,
                            struct why *why)
{
    struct room *room = vault->room;
    *ret_epoch = (struct evaluation_epoch){0};
    *ret_status = room->loaded ? EVALUATION_OK : EVALUATION_SCHEMA_MISMATCH;
    if (!room->loaded)
        return DONE;
    if (room->data.holdout.patients == 0) {
        if (query->after > 0)
            *ret_status = EVALUATION_NOTHING_NEW;
        return DONE;
    }
    CLEANUP(free_pointer) uint64_t *patients = sorted_patients(&room->data.holdout);
    if (!patients)
        return failed(why, RESULT_SYSTEM, "no memory to evaluate");
    return choose(vault, patients, query, ret_epoch, ret_status, why);
}

/* Figures that are noised or kept back leave nothing to tell about drift and strata. */
static bool tells_more(const struct vault *vault)
{
    bool figures =
        vault->policy.metrics == METRICS_THRESHOLD || vault->policy.metrics == METRICS_HISTOGRAM;
    return figures && vault->room->plan.privacy.metrics_noise <= 0.0;
}

struct result holdout_freeze(struct vault *vault, struct why *why)
{
    struct room *room = vault->room;
    if (!room->loaded || room->plan.privacy.metrics_noise > 0.0)
        return DONE;
    return reference_freeze(&vault->book, clock_unix_ms(), &room->plan, &room->data, why);
}

static bool known(const struct reference *reference, uint64_t patient)
{
    return reference->known_n > 0 && bsearch(&patient, reference->known, reference->known_n,
                                             sizeof patient, by_value) != NULL;
}

/* Rows to compare, copied: the patients that came after the reference, or, where these are few and
 * the reference is another part of the patients, all of the holdout. */
struct current {
    size_t rows;
    double *x, *score;
    uint8_t *missing;
};

static void current_free(struct current *c, size_t inputs)
{
    if (c->x)
        sodium_memzero(c->x, c->rows * inputs * sizeof *c->x);
    free(c->x);
    free(c->score);
    free(c->missing);
}

static bool gather(const struct dataset *data, const struct reference *reference, struct current *c)
{
    const struct dataset_part *part = &data->holdout;
    size_t inputs = data->inputs, bytes = data->missing_bytes, fresh = 0;
    for (size_t i = 0; i < part->patients; i++)
        fresh += !known(reference, part->patient[i]);
    bool all = reference->of_training && fresh < DRIFT_ROWS_MIN;
    c->x = calloc(part->rows * inputs + 1, sizeof *c->x);
    c->missing = calloc(part->rows * bytes + 1, 1);
    c->score = calloc(part->rows + 1, sizeof *c->score);
    if (!c->x || !c->missing || !c->score)
        return false;
    for (size_t i = 0; i < part->patients; i++) {
        if (!all && known(reference, part->patient[i]))
            continue;
        size_t r = part->first[i]; /* one row stands for each patient, as in the reference */
        memcpy(c->x + c->rows * inputs, part->x + r * inputs, inputs * sizeof *c->x);
        memcpy(c->missing + c->rows * bytes, part->missing + r * bytes, bytes);
        c->rows++;
    }
    return true;
}

static struct result compare(struct vault *vault, struct evaluator *evaluator,
                             const double *parameters, bool scores,
                             const struct reference *reference, struct current *c,
                             struct evaluation_drift *drift, struct why *why)
{
    const struct room *room = vault->room;
    CLEANUP(free_pointer) double *before = calloc(reference->rows + 1, sizeof *before);
    if (!before || !gather(&room->data, reference, c))
        return failed(why, RESULT_SYSTEM, "no memory for the drift of a study");
    if (c->rows == 0) {
        evaluation_drift_clear(drift, EVALUATION_STATISTIC_NOTHING_NEW);
        return DONE;
    }
    if (scores) {
        evaluator_scores(evaluator, parameters, reference->rows, reference->x, before);
        evaluator_scores(evaluator, parameters, c->rows, c->x, c->score);
    }
    const struct drift_side then = {reference->rows, reference->x, reference->missing,
                                    scores ? before : NULL};
    const struct drift_side now = {c->rows, c->x, c->missing, scores ? c->score : NULL};
    return drift_fill(drift, &room->plan, &then, &now, room_min_cell(vault), why);
}

/* A row for each column whatever there is to say, so that the size of the message says nothing. */
static bool every_column(const struct plan *plan, struct evaluation_drift *drift)
{
    if (drift->columns_count > 0)
        return true;
    drift->columns = calloc(plan->features_count, sizeof *drift->columns);
    if (!drift->columns)
        return false;
    drift->columns_count = plan->features_count;
    for (unsigned i = 0; i < plan->features_count; i++) {
        evaluation_drift_column_clear(&drift->columns[i], drift->status);
        memcpy(drift->columns[i].name, plan->features[i].name, sizeof drift->columns[i].name);
    }
    return true;
}

struct result holdout_drift(struct vault *vault, struct evaluator *evaluator,
                            const double *parameters, enum evaluation_status figures,
                            struct evaluation_drift *drift, struct why *why)
{
    const struct room *room = vault->room;
    struct reference reference;
    bool found;
    evaluation_drift_clear(drift, EVALUATION_STATISTIC_REFUSED);
    if (!tells_more(vault))
        return DONE;
    TRY(reference_load(&vault->book, &room->plan, &reference, &found, why));
    if (!found || reference.inputs != room->data.inputs ||
        reference.missing_bytes != room->data.missing_bytes) {
        reference_free(&reference);
        evaluation_drift_clear(drift, EVALUATION_STATISTIC_NO_REFERENCE);
        return every_column(&room->plan, drift)
                   ? DONE
                   : failed(why, RESULT_SYSTEM, "no memory for the drift of a study");
    }
    struct current current = {0};
    struct result r = compare(vault, evaluator, parameters, figures == EVALUATION_OK, &reference,
                              &current, drift, why);
    drift->of_training = reference.of_training;
    drift->reference_date_ms = reference.frozen_ms / DAY_MS * DAY_MS;
    evaluation_band(reference.patients, &drift->reference_low, &drift->reference_high);
    evaluation_band(current.rows, &drift->current_low, &drift->current_high);
    current_free(&current, room->data.inputs);
    reference_free(&reference);
    if (ok(r) && !every_column(&room->plan, drift))
        return failed(why, RESULT_SYSTEM, "no memory for the drift of a study");
    return r;
}

struct result holdout_strata(struct vault *vault, struct evaluator *evaluator,
                             enum evaluation_status figures, struct evaluation_strata *strata,
                             struct why *why)
{
    evaluation_strata_clear(strata, EVALUATION_STATISTIC_REFUSED);
    if (!tells_more(vault) || figures != EVALUATION_OK ||
        vault->room->plan.label.type == LABEL_REAL)
        return DONE;
    return evaluator_strata(evaluator, room_min_cell(vault), strata, why);
}
