/* SPDX-License-Identifier: Apache-2.0 */
/* Encoding: number (v - centre) / spread; category one column per level but the first; flag 0 or
 * 1; then, where the plan asks, one column that marks the missing. */
#include "agent/vault/dataset_encode.h"

#include "proto/plan_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *encode_reason_text(enum encode_reason reason)
{
    switch (reason) {
    case ENCODE_OK:
        return "is fine";
    case ENCODE_MISSING:
        return "is missing and the plan has no rule to fill it";
    case ENCODE_NOT_A_NUMBER:
        return "is not a number with a decimal point; a word for what is missing, such as NA, "
               "belongs under missing in the mapping";
    case ENCODE_OUT_OF_RANGE:
        return "is outside the plan's plausible range; check the unit, or set factor in the "
               "mapping";
    case ENCODE_UNKNOWN_CODE:
        return "has a code that the plan does not list; add it to codes in the mapping";
    case ENCODE_TOO_LONG:
        return "is longer than 256 bytes";
    case ENCODE_REASONS:
        break;
    }
    return "is refused";
}

static const struct mapping_column *mapped(const struct mapping *mapping, const char *name)
{
    for (unsigned i = 0; mapping && i < mapping->columns_count; i++)
        if (strcmp(mapping->columns[i].plan, name) == 0)
            return &mapping->columns[i];
    return NULL;
}

static struct result bind_one(struct encode_source *source, const struct mapping *mapping,
                              const char *name, const struct csv *header, struct why *why)
{
    source->name = name;
    source->mapping = mapped(mapping, name);
    bool renamed = source->mapping && source->mapping->column[0];
    const char *column = renamed ? source->mapping->column : name;
    unsigned found = 0;
    for (unsigned i = 0; i < header->fields; i++)
        if (strcmp(csv_field(header, i), column) == 0) {
            source->field = i;
            found++;
        }
    if (found == 1)
        return DONE;
    if (found > 1)
        return failed(why, RESULT_INPUT, "%s, line 1: the column \"%s\" stands there %u times",
                      header->name, column, found);
    if (header->fields == 1)
        return failed(why, RESULT_INPUT,
                      "%s, line 1: there is no column \"%s\", only one column in all; fields must "
                      "be separated by commas",
                      header->name, column);
    return failed(why, RESULT_INPUT,
                  "%s, line 1: there is no column \"%s\"; if it has another name here, give it in "
                  "the mapping",
                  header->name, column);
}

size_t encode_columns(const struct plan_feature *feature)
{
    size_t columns = feature->type == FEATURE_CATEGORY ? feature->levels_count - 1 : 1;
    return columns + (feature->indicator ? 1 : 0);
}

struct result encoder_bind(struct encoder *encoder, const struct plan *plan,
                           const struct mapping *mapping, const struct csv *header, struct why *why)
{
    memset(encoder, 0, sizeof *encoder);
    encoder->plan = plan;
    encoder->mapping = mapping;
    encoder->folds = plan->validation.fold_column[0] != 0;
    TRY(bind_one(&encoder->id, mapping, plan->patient_id, header, why));
    TRY(bind_one(&encoder->label, mapping, plan->label.column, header, why));
    if (plan->label.time[0])
        TRY(bind_one(&encoder->time, mapping, plan->label.time, header, why));
    if (encoder->folds)
        TRY(bind_one(&encoder->fold, mapping, plan->validation.fold_column, header, why));
    for (unsigned i = 0; i < plan->subgroups_count; i++)
        TRY(bind_one(&encoder->subgroup[i], mapping, plan->subgroups[i].column, header, why));
    for (unsigned i = 0; i < plan->features_count; i++) {
        TRY(bind_one(&encoder->feature[i], mapping, plan->features[i].name, header, why));
        encoder->inputs += encode_columns(&plan->features[i]);
    }
    return DONE;
}

/* The cell in the plan's coding: codes translated, NULL when it means "missing". */
static const char *translated(const struct encoder *encoder, const struct encode_source *source,
                              const struct csv *record)
{
    const char *text = csv_field(record, source->field);
    const struct mapping *mapping = encoder->mapping;
    if (!*text)
        return NULL;
    for (unsigned i = 0; mapping && i < mapping->missing_count; i++)
        if (strcmp(text, mapping->missing[i].name) == 0)
            return NULL;
    for (unsigned i = 0; source->mapping && i < source->mapping->codes_count; i++)
        if (strcmp(text, source->mapping->codes[i].from) == 0) {
            const char *to = source->mapping->codes[i].to;
            return *to ? to : NULL;
        }
    return text;
}

/* Decimal only: strtod alone would take hexadecimal, "inf" and "nan". */
static bool parse_number(const char *text, double *ret_value)
{
    if (!*text || strspn(text, "0123456789+-.eE") != strlen(text))
        return false;
    char *end;
    double value = strtod(text, &end);
    if (*end || !isfinite(value))
        return false;
    *ret_value = value;
    return true;
}

static enum encode_reason level_of(const char *text, const struct plan_level *levels,
                                   unsigned count, unsigned *ret_level)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(text, levels[i].name) == 0) {
            *ret_level = i;
            return ENCODE_OK;
        }
    return ENCODE_UNKNOWN_CODE;
}

/* A number of the site in the plan's unit, within [low, high]. */
static enum encode_reason number_of(const struct encode_source *source, const char *text,
                                    double low, double high, double *ret_value)
{
    double value;
    if (!parse_number(text, &value))
        return ENCODE_NOT_A_NUMBER;
    if (source->mapping)
        value = source->mapping->factor * value + source->mapping->offset;
    if (!(value >= low && value <= high))
        return ENCODE_OUT_OF_RANGE;
    *ret_value = value;
    return ENCODE_OK;
}

/* A 0/1 column of level k, scaled by the share that the plan expects. */
static double scaled_column(const struct plan_feature *feature, unsigned k, bool here)
{
    double centre, spread;
    plan_level_scale(feature, k, &centre, &spread);
    return ((here ? 1.0 : 0.0) - centre) / spread;
}

static void put_level(const struct plan_feature *feature, unsigned level, double *x)
{
    for (unsigned k = 1; k < feature->levels_count; k++)
        x[k - 1] = scaled_column(feature, k, k == level);
}

/* The centre encodes to 0, which without shares is the first level of a category or flag. */
static enum encode_reason fill_missing(const struct plan_feature *feature, double *x)
{
    unsigned level = 0;
    double value = 0.0;
    switch (feature->missing) {
    case MISSING_REFUSE:
        return ENCODE_MISSING;
    case MISSING_CENTRE:
        return ENCODE_OK;
    case MISSING_VALUE:
        break;
    }
    if (feature->type != FEATURE_NUMBER) {
        enum encode_reason reason =
            level_of(feature->missing_value, feature->levels, feature->levels_count, &level);
        if (reason == ENCODE_OK)
            put_level(feature, level, x);
        return reason;
    }
    if (!parse_number(feature->missing_value, &value))
        return ENCODE_NOT_A_NUMBER;
    x[0] = (value - feature->centre) / feature->spread;
    return ENCODE_OK;
}

/* x is zeroed. */
static enum encode_reason encode_feature(struct encoder *encoder, unsigned i,
                                         const struct csv *record, double *x, uint8_t *missing)
{
    const struct plan_feature *feature = &encoder->plan->features[i];
    const struct encode_source *source = &encoder->feature[i];
    const char *text = translated(encoder, source, record);
    if (!text) {
        encoder->missing[i]++;
        missing[i / 8] |= (uint8_t)(1u << i % 8);
        if (feature->indicator)
            x[encode_columns(feature) - 1] = 1.0;
        return fill_missing(feature, x);
    }
    if (feature->type == FEATURE_NUMBER) {
        double value = 0.0;
        enum encode_reason reason = number_of(source, text, feature->low, feature->high, &value);
        if (reason == ENCODE_OK)
            x[0] = (value - feature->centre) / feature->spread;
        return reason;
    }
    unsigned level = 0;
    enum encode_reason reason = level_of(text, feature->levels, feature->levels_count, &level);
    if (reason == ENCODE_OK)
        put_level(feature, level, x);
    return reason;
}

static enum encode_reason encode_label(const struct encoder *encoder, const struct csv *record,
                                       double *ret_y)
{
    const struct plan_label *label = &encoder->plan->label;
    const char *text = translated(encoder, &encoder->label, record);
    if (!text)
        return ENCODE_MISSING;
    if (label->type == LABEL_REAL) {
        double value = 0.0;
        enum encode_reason reason =
            number_of(&encoder->label, text, label->low, label->high, &value);
        *ret_y = (value - label->centre) / label->spread;
        return reason;
    }
    unsigned level = 0;
    enum encode_reason reason = level_of(text, label->levels, label->levels_count, &level);
    *ret_y = (double)level;
    return reason;
}

static enum encode_reason encode_time(const struct encoder *encoder, const struct csv *record,
                                      struct encode_outcome *outcome)
{
    const struct plan *plan = encoder->plan;
    const char *text = translated(encoder, &encoder->time, record);
    double value = 0.0;
    if (!text)
        return ENCODE_MISSING;
    enum encode_reason reason = number_of(&encoder->time, text, 0.0, ENCODE_TIME_MAX, &value);
    if (reason == ENCODE_OK && !(value > 0.0))
        reason = ENCODE_OUT_OF_RANGE;
    value /= plan->label.horizon > 0.0 ? plan->label.horizon : 1.0;
    outcome->time = outcome->y > 0.0 ? value : -value;
    if (plan->model.kind == MODEL_HAZARD)
        outcome->y = outcome->time;
    return reason;
}

static enum encode_reason encode_id(const struct encoder *encoder, const struct csv *record,
                                    const char **ret_id)
{
    *ret_id = translated(encoder, &encoder->id, record);
    if (!*ret_id)
        return ENCODE_MISSING;
    return strlen(*ret_id) > ENCODE_ID_BYTES ? ENCODE_TOO_LONG : ENCODE_OK;
}

static uint8_t group_of(const struct encoder *encoder, unsigned i, const struct csv *record)
{
    const struct plan_subgroup *subgroup = &encoder->plan->subgroups[i];
    const char *text = translated(encoder, &encoder->subgroup[i], record);
    unsigned level = 0;
    if (!text || level_of(text, subgroup->levels, subgroup->levels_count, &level) != ENCODE_OK)
        return ENCODE_NO_GROUP;
    return (uint8_t)level;
}

enum encode_reason encoder_record(struct encoder *encoder, const struct csv *record, double *x,
                                  struct encode_outcome *ret_outcome, uint8_t *groups,
                                  uint8_t *missing, bool *ret_fold, const char **ret_id,
                                  const struct encode_source **ret_source)
{
    const struct plan *plan = encoder->plan;
    *ret_source = &encoder->id;
    enum encode_reason reason = encode_id(encoder, record, ret_id);
    if (reason != ENCODE_OK)
        return reason;
    *ret_source = &encoder->label;
    *ret_outcome = (struct encode_outcome){0};
    reason = encode_label(encoder, record, &ret_outcome->y);
    if (reason == ENCODE_OK && plan->label.time[0]) {
        *ret_source = &encoder->time;
        reason = encode_time(encoder, record, ret_outcome);
    }
    memset(x, 0, encoder->inputs * sizeof *x);
    memset(missing, 0, encode_missing_bytes(plan));
    for (unsigned i = 0; i < plan->features_count && reason == ENCODE_OK; i++) {
        *ret_source = &encoder->feature[i];
        reason = encode_feature(encoder, i, record, x, missing);
        x += encode_columns(&plan->features[i]);
    }
    for (unsigned i = 0; i < plan->subgroups_count && reason == ENCODE_OK; i++)
        groups[i] = group_of(encoder, i, record);
    const char *fold = encoder->folds ? translated(encoder, &encoder->fold, record) : NULL;
    *ret_fold = fold && strcmp(fold, plan->validation.fold_value) == 0;
    return reason;
}

size_t encode_missing_bytes(const struct plan *plan)
{
    return (plan->features_count + 7) / 8;
}

unsigned encode_level(const struct plan_feature *feature, const double *x)
{
    for (unsigned k = 1; k < feature->levels_count; k++)
        if (x[k - 1] > 0.5 * (scaled_column(feature, k, true) + scaled_column(feature, k, false)))
            return k;
    return 0;
}
