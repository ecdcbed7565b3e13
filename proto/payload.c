/* SPDX-License-Identifier: Apache-2.0 */
/* Model sets and updates to bytes and back. Floats travel as little-endian IEEE single. */
#include "proto/payload.h"

#include "proto/codec_field.h"
#include "proto/schema/consilium.pb-c.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "parameters are copied as they lie");

/* Unpacked structs cost little beyond the bytes themselves, save for many small ones. */
static size_t memory_budget(size_t n)
{
    return 8 * n + (1 << 20);
}

struct result payload_model_set_encode(const struct payload_model_set *set,
                                       unsigned char **ret_bytes, size_t *ret_n, struct why *why)
{
    if (set->models_count == 0 || set->models_count > PAYLOAD_MODELS_MAX ||
        set->parameters_count > PAYLOAD_PARAMETERS_MAX)
        return failed(why, RESULT_INPUT, "a set of %zu models of %zu parameters is out of bounds",
                      set->models_count, set->parameters_count);
    Cns__Model *models = calloc(set->models_count, sizeof *models);
    Cns__Model **pointers = calloc(set->models_count, sizeof(Cns__Model *));
    struct result r = DONE;
    if (models && pointers) {
        Cns__ModelSet m;
        cns__model_set__init(&m);
        for (size_t i = 0; i < set->models_count; i++) {
            cns__model__init(&models[i]);
            models[i].name = field_string(set->models[i].name);
            models[i].round = set->models[i].round;
            models[i].parameters =
                field_view(set->models[i].parameters, set->parameters_count * sizeof(float));
            pointers[i] = &models[i];
        }
        m.round = set->round;
        m.parameters_count = set->parameters_count;
        m.n_models = set->models_count;
        m.models = pointers;
        *ret_n = cns__model_set__get_packed_size(&m);
        *ret_bytes = malloc(*ret_n + 1);
        if (*ret_bytes)
            cns__model_set__pack(&m, *ret_bytes);
        else
            r = failed(why, RESULT_SYSTEM, "out of memory for a model");
    } else {
        r = failed(why, RESULT_SYSTEM, "out of memory for a model");
    }
    free(models);
    free(pointers);
    return r;
}

static struct result read_model(struct payload_model *to, size_t parameters, const Cns__Model *from,
                                struct why *why)
{
    TRY(field_text(to->name, sizeof to->name, from->name, "name", why));
    to->round = from->round;
    if (from->parameters.len != parameters * sizeof(float))
        return failed(why, RESULT_INPUT, "model '%s' has %zu bytes, not those of %zu parameters",
                      to->name, from->parameters.len, parameters);
    to->parameters = malloc(from->parameters.len + 1);
    if (!to->parameters)
        return failed(why, RESULT_SYSTEM, "out of memory for a model of %zu parameters",
                      parameters);
    if (parameters > 0)
        memcpy(to->parameters, from->parameters.data, from->parameters.len);
    for (size_t i = 0; i < parameters; i++) {
        if (!isfinite(to->parameters[i]))
            return failed(why, RESULT_INPUT, "parameter %zu of model '%s' is not finite", i,
                          to->name);
    }
    return DONE;
}

static struct result read_model_set(struct payload_model_set *set, const Cns__ModelSet *from,
                                    struct why *why)
{
    if (from->n_models == 0 || from->n_models > PAYLOAD_MODELS_MAX)
        return failed(why, RESULT_INPUT, "a set of %zu models is out of bounds (1 to %d)",
                      from->n_models, PAYLOAD_MODELS_MAX);
    if (from->parameters_count > PAYLOAD_PARAMETERS_MAX)
        return failed(why, RESULT_INPUT, "a model of %llu parameters is larger than %d",
                      (unsigned long long)from->parameters_count, PAYLOAD_PARAMETERS_MAX);
    set->round = from->round;
    set->parameters_count = (size_t)from->parameters_count;
    set->models = calloc(from->n_models, sizeof *set->models);
    if (!set->models)
        return failed(why, RESULT_SYSTEM, "out of memory for %zu models", from->n_models);
    set->models_count = from->n_models;
    for (size_t i = 0; i < from->n_models; i++)
        TRY(read_model(&set->models[i], set->parameters_count, from->models[i], why));
    return DONE;
}

struct result payload_model_set_decode(struct payload_model_set *set, const unsigned char *bytes,
                                       size_t n, struct why *why)
{
    memset(set, 0, sizeof *set);
    struct field_budget budget;
    field_budget_start(&budget, memory_budget(n));
    Cns__ModelSet *m = cns__model_set__unpack(&budget.allocator, n, bytes);
    if (!m)
        return failed(why, RESULT_INPUT, "the model is malformed or truncated");
    struct result r = read_model_set(set, m, why);
    cns__model_set__free_unpacked(m, &budget.allocator);
    if (!ok(r))
        payload_model_set_free(set);
    return r;
}

void payload_model_set_free(struct payload_model_set *set)
{
    for (size_t i = 0; i < set->models_count; i++)
        free(set->models[i].parameters);
    free(set->models);
    memset(set, 0, sizeof *set);
}

struct result payload_update_encode(const struct payload_update *update, unsigned char **ret_bytes,
                                    size_t *ret_n, struct why *why)
{
    Cns__Update m;
    cns__update__init(&m);
    m.round = update->round;
    m.declared_patients = update->declared_patients;
    m.epsilon_spent = update->epsilon_spent;
    m.epsilon_budget = update->epsilon_budget;
    m.seconds = update->seconds;
    m.peak_memory_kb = update->peak_memory_kb;
    m.frame = field_view(update->frame, update->frame_n);
    *ret_n = cns__update__get_packed_size(&m);
    *ret_bytes = malloc(*ret_n + 1);
    if (!*ret_bytes)
        return failed(why, RESULT_SYSTEM, "out of memory for an update");
    cns__update__pack(&m, *ret_bytes);
    return DONE;
}

static bool non_negative(double v)
{
    return isfinite(v) && v >= 0.0;
}

struct result payload_update_decode(struct payload_update *update, const unsigned char *bytes,
                                    size_t n, struct why *why)
{
    memset(update, 0, sizeof *update);
    struct field_budget budget;
    field_budget_start(&budget, memory_budget(n));
    Cns__Update *m = cns__update__unpack(&budget.allocator, n, bytes);
    if (!m)
        return failed(why, RESULT_INPUT, "the update is malformed or truncated");
    struct result r = DONE;
    if (!non_negative(m->epsilon_spent) || !non_negative(m->epsilon_budget) ||
        !non_negative(m->seconds)) {
        r = failed(why, RESULT_INPUT,
                   "the update's epsilon or seconds are not numbers of at least 0");
    } else {
        update->round = m->round;
        update->declared_patients = m->declared_patients;
        update->epsilon_spent = m->epsilon_spent;
        update->epsilon_budget = m->epsilon_budget;
        update->seconds = m->seconds;
        update->peak_memory_kb = m->peak_memory_kb;
        update->frame_n = m->frame.len;
        update->frame = malloc(m->frame.len + 1);
        if (!update->frame)
            r = failed(why, RESULT_SYSTEM, "out of memory for an update of %zu bytes",
                       m->frame.len);
        else if (m->frame.len > 0)
            memcpy(update->frame, m->frame.data, m->frame.len);
    }
    cns__update__free_unpacked(m, &budget.allocator);
    return r;
}

void payload_update_free(struct payload_update *update)
{
    free(update->frame);
    memset(update, 0, sizeof *update);
}
