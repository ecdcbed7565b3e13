/* SPDX-License-Identifier: Apache-2.0 */
/* Holdout epochs and drift to bytes and back, and the words for their states. */
#include "proto/payload_drift.h"

#include "proto/codec_field.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* The order on the wire; new ones go to the end. */
static const size_t VALUES[] = {
    offsetof(struct evaluation_drift_column, kl),
    offsetof(struct evaluation_drift_column, psi),
    offsetof(struct evaluation_drift_column, kl_p),
    offsetof(struct evaluation_drift_column, psi_p),
    offsetof(struct evaluation_drift_column, ks),
    offsetof(struct evaluation_drift_column, ks_p),
    offsetof(struct evaluation_drift_column, missing_z),
};

enum {
    VALUES_COUNT = sizeof VALUES / sizeof VALUES[0],
    VALUES_WIRE_MAX = 32, /* of later versions */
};

static double *value(struct evaluation_drift_column *column, size_t k)
{
    return (double *)(void *)((char *)column + VALUES[k]);
}

void evaluation_band(uint64_t patients, uint64_t *ret_low, uint64_t *ret_high)
{
    static const uint64_t FROM[] = {0, 1, 50, 100, 500, 1000, 5000, 10000};
    enum { COUNT = sizeof FROM / sizeof FROM[0] };
    size_t k = 0;
    while (k + 1 < COUNT && patients >= FROM[k + 1])
        k++;
    *ret_low = FROM[k];
    *ret_high = k + 1 < COUNT ? FROM[k + 1] - 1 : 0;
}

const char *evaluation_status_name(enum evaluation_status status)
{
    switch (status) {
    case EVALUATION_OK:
        return "ok";
    case EVALUATION_NO_LABELS:
        return "no labels";
    case EVALUATION_SINGLE_CLASS:
        return "only one class in the holdout";
    case EVALUATION_BELOW_MINIMUM_CELL:
        return "below the minimum cell";
    case EVALUATION_DEGENERATE_SCORES:
        return "degenerate scores";
    case EVALUATION_INVALID_INPUT:
        return "invalid input";
    case EVALUATION_REFUSED:
        return "refused by the site's policy";
    case EVALUATION_BUDGET_EXHAUSTED:
        return "the metrics budget is exhausted";
    case EVALUATION_SCHEMA_MISMATCH:
        return "the site's data do not fit the plan";
    case EVALUATION_TOO_CLOSE:
        return "the holdout is too close to an earlier one";
    case EVALUATION_NOTHING_NEW:
        return "no patient came after the epochs asked about";
    }
    return "unknown";
}

const char *evaluation_release_name(enum evaluation_release release)
{
    static const char *const NAMES[] = {"", "threshold", "histogram", "noised-histogram", "none"};
    return NAMES[release];
}

const char *evaluation_statistic_name(enum evaluation_statistic status)
{
    static const char *const NAMES[] = {"not told",
                                        "ok",
                                        "too few patients",
                                        "no reference",
                                        "no patient is new since the reference",
                                        "no values differ",
                                        "refused",
                                        "invalid values"};
    return NAMES[status];
}

void evaluation_drift_column_clear(struct evaluation_drift_column *column,
                                   enum evaluation_statistic status)
{
    column->status = status;
    for (size_t k = 0; k < VALUES_COUNT; k++)
        *value(column, k) = (double)NAN;
}

void evaluation_drift_clear(struct evaluation_drift *drift, enum evaluation_statistic status)
{
    *drift = (struct evaluation_drift){.status = status,
                                       .mmd2 = (double)NAN,
                                       .mmd_p = (double)NAN,
                                       .expected_auroc = (double)NAN};
    evaluation_drift_column_clear(&drift->score, status);
}

static void put_column(Cns__DriftColumn *out, const struct evaluation_drift_column *in,
                       double *values)
{
    struct evaluation_drift_column copy = *in;
    cns__drift_column__init(out);
    out->name = field_string(in->name);
    out->status = in->status;
    for (size_t k = 0; k < VALUES_COUNT; k++)
        values[k] = *value(&copy, k);
    out->n_values = VALUES_COUNT;
    out->values = values;
}

static void put_epoch(Cns__HoldoutEpoch *out, const struct evaluation_epoch *in)
{
    cns__holdout_epoch__init(out);
    out->number = in->number;
    out->date_ms = in->date_ms;
    out->reused = in->reused;
    out->low = in->low;
    out->high = in->high;
    out->first = in->first;
}

bool payload_drift_wire(struct payload_drift_wire *wire,
                        const struct payload_evaluation *evaluation)
{
    const struct evaluation_drift *in = &evaluation->drift;
    size_t n = in->columns_count;
    *wire = (struct payload_drift_wire){0};
    wire->columns = calloc(n + 1, sizeof *wire->columns);
    wire->pointers = calloc(n + 1, sizeof(Cns__DriftColumn *));
    wire->values = calloc((n + 1) * VALUES_COUNT, sizeof *wire->values);
    if (!wire->columns || !wire->pointers || !wire->values) {
        payload_drift_wire_free(wire);
        return false;
    }
    put_epoch(&wire->epoch, &evaluation->epoch);
    for (size_t i = 0; i < n; i++) {
        put_column(&wire->columns[i], &in->columns[i], wire->values + i * VALUES_COUNT);
        wire->pointers[i] = &wire->columns[i];
    }
    put_column(&wire->score, &in->score, wire->values + n * VALUES_COUNT);
    Cns__Drift *out = &wire->drift;
    cns__drift__init(out);
    out->status = in->status;
    out->of_training = in->of_training;
    out->reference_date_ms = in->reference_date_ms;
    out->reference_low = in->reference_low;
    out->reference_high = in->reference_high;
    out->current_low = in->current_low;
    out->current_high = in->current_high;
    out->score = &wire->score;
    out->mmd2 = in->mmd2;
    out->mmd_p = in->mmd_p;
    out->expected_auroc = in->expected_auroc;
    out->worst = field_string(in->worst);
    out->n_columns = n;
    out->columns = wire->pointers;
    return true;
}

size_t payload_drift_slack(const struct payload_drift_wire *wire)
{
    static char longest[PLAN_NAME_BYTES];
    memset(longest, 'x', sizeof longest - 1);
    Cns__HoldoutEpoch epoch = wire->epoch;
    epoch.number = epoch.first = UINT32_MAX;
    epoch.date_ms = epoch.low = epoch.high = UINT64_MAX;
    epoch.reused = true;
    Cns__Drift drift = wire->drift;
    drift.status = EVALUATION_STATISTIC_INVALID;
    drift.of_training = true;
    drift.reference_date_ms = UINT64_MAX;
    drift.reference_low = drift.reference_high = UINT64_MAX;
    drift.current_low = drift.current_high = UINT64_MAX;
    drift.mmd2 = drift.mmd_p = drift.expected_auroc = 1.0;
    drift.worst = longest;
    return cns__holdout_epoch__get_packed_size(&epoch) -
           cns__holdout_epoch__get_packed_size(&wire->epoch) + cns__drift__get_packed_size(&drift) -
           cns__drift__get_packed_size(&wire->drift);
}

void payload_drift_wire_free(struct payload_drift_wire *wire)
{
    free(wire->columns);
    free(wire->pointers);
    free(wire->values);
}

struct result payload_epoch_read(struct evaluation_epoch *to, const Cns__HoldoutEpoch *from,
                                 struct why *why)
{
    *to = (struct evaluation_epoch){0};
    if (!from)
        return DONE;
    if (from->number > EVALUATION_EPOCHS_MAX || from->first > EVALUATION_EPOCHS_MAX ||
        (from->high > 0 && from->high < from->low))
        return failed(why, RESULT_INPUT, "the holdout epoch of an evaluation is out of bounds");
    to->number = from->number;
    to->date_ms = from->date_ms;
    to->reused = from->reused;
    to->low = from->low;
    to->high = from->high;
    to->first = from->first;
    return DONE;
}

static struct result read_column(struct evaluation_drift_column *to, const Cns__DriftColumn *from,
                                 struct why *why)
{
    if (from->status > EVALUATION_STATISTIC_INVALID || from->n_values > VALUES_WIRE_MAX)
        return failed(why, RESULT_INPUT, "a drift column has status %u and %zu figures",
                      from->status, from->n_values);
    evaluation_drift_column_clear(to, (enum evaluation_statistic)from->status);
    for (size_t k = 0; k < VALUES_COUNT && k < from->n_values; k++)
        *value(to, k) = from->values[k];
    return field_text(to->name, sizeof to->name, from->name, "name", why);
}

static struct result read_columns(struct evaluation_drift *to, const Cns__Drift *from,
                                  struct why *why)
{
    if (from->n_columns > PLAN_FEATURES_MAX)
        return failed(why, RESULT_INPUT, "drift of %zu columns is out of bounds (0 to %d)",
                      from->n_columns, PLAN_FEATURES_MAX);
    if (from->n_columns == 0)
        return DONE;
    to->columns = calloc(from->n_columns, sizeof *to->columns);
    if (!to->columns)
        return failed(why, RESULT_SYSTEM, "out of memory for an evaluation");
    to->columns_count = (uint32_t)from->n_columns;
    for (size_t i = 0; i < from->n_columns; i++)
        TRY(read_column(&to->columns[i], from->columns[i], why));
    return DONE;
}

struct result payload_drift_read(struct evaluation_drift *to, const Cns__Drift *from,
                                 struct why *why)
{
    evaluation_drift_clear(to, EVALUATION_STATISTIC_UNTOLD);
    if (!from)
        return DONE;
    if (from->status > EVALUATION_STATISTIC_INVALID)
        return failed(why, RESULT_INPUT, "field 'status' of a drift is %u, not a status",
                      from->status);
    to->status = (enum evaluation_statistic)from->status;
    to->of_training = from->of_training;
    to->reference_date_ms = from->reference_date_ms;
    to->reference_low = from->reference_low;
    to->reference_high = from->reference_high;
    to->current_low = from->current_low;
    to->current_high = from->current_high;
    to->mmd2 = from->mmd2;
    to->mmd_p = from->mmd_p;
    to->expected_auroc = from->expected_auroc;
    TRY(field_text(to->worst, sizeof to->worst, from->worst, "worst", why));
    if (from->score)
        TRY(read_column(&to->score, from->score, why));
    return read_columns(to, from, why);
}
