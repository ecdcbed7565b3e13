/* SPDX-License-Identifier: Apache-2.0 */
/* A model as .npz and JSON: names, shapes, scaling of the inputs, label, sites. */
#include "coordinator/cli/model_files.h"

#include "coordinator/entry.h"
#include "proto/base/fs.h"
#include "proto/base/npz.h"
#include "proto/payload.h"
#include "proto/plan_model.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct exported {
    const struct plan *plan;
    struct model model;
    struct payload_model_set set;
    unsigned char hash[PLAN_HASH_BYTES];
};

/* One column of the encoded input: value = (x - centre) / spread, x being the feature's number, or
 * 1 where the condition holds and 0 elsewhere. */
static json_t *input(const char *feature, const char *condition, double centre, double spread)
{
    json_t *o = json_object();
    json_object_set_new(o, "feature", json_string_nocheck(feature));
    if (condition)
        json_object_set_new(o, "equals", json_string_nocheck(condition));
    json_object_set_new(o, "centre", json_real(centre));
    json_object_set_new(o, "spread", json_real(spread));
    return o;
}

static json_t *level_input(const struct plan_feature *f, unsigned level)
{
    double centre, spread;
    plan_level_scale(f, level, &centre, &spread);
    return input(f->name, f->levels[level].name, centre, spread);
}

static json_t *inputs_of(const struct plan *plan)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < plan->features_count; i++) {
        const struct plan_feature *f = &plan->features[i];
        switch (f->type) {
        case FEATURE_NUMBER:
            json_array_append_new(list, input(f->name, NULL, f->centre, f->spread));
            break;
        case FEATURE_CATEGORY:
            for (unsigned level = 1; level < f->levels_count; level++)
                json_array_append_new(list, level_input(f, level));
            break;
        case FEATURE_FLAG:
            json_array_append_new(list, level_input(f, 1));
            break;
        }
        if (f->indicator)
            json_array_append_new(list, input(f->name, "missing", 0, 1));
    }
    return list;
}

static json_t *names_of(const struct plan_level *levels, unsigned n)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < n; i++)
        json_array_append_new(list, json_string_nocheck(levels[i].name));
    return list;
}

static json_t *tensor_of(const struct model_tensor *tensor, const float *parameters)
{
    json_t *o = json_object(), *shape = json_array(), *values = json_array();
    json_object_set_new(o, "name", json_string_nocheck(tensor->name));
    if (tensor->rows > 1)
        json_array_append_new(shape, json_integer((json_int_t)tensor->rows));
    json_array_append_new(shape, json_integer((json_int_t)tensor->cols));
    for (size_t i = 0; i < tensor->rows * tensor->cols; i++)
        json_array_append_new(values, json_real((double)parameters[tensor->offset + i]));
    json_object_set_new(o, "shape", shape);
    json_object_set_new(o, "values", values);
    return o;
}

static json_t *describe(const struct exported *e)
{
    static const char *const KINDS[] = {[MODEL_LINEAR] = "linear",
                                        [MODEL_LOGISTIC] = "logistic",
                                        [MODEL_SOFTMAX] = "softmax",
                                        [MODEL_MLP] = "mlp",
                                        [MODEL_HAZARD] = "hazard"};
    const struct plan *plan = e->plan;
    char hash[HEX_HASH_BYTES];
    json_t *o = json_object(), *sites = json_array(), *tensors = json_array();
    json_object_set_new(o, "study", json_string_nocheck(plan->study));
    json_object_set_new(o, "title", json_string_nocheck(plan->title));
    hex_hash(hash, e->hash);
    json_object_set_new(o, "model_hash", json_string(hash));
    hex_hash(hash, plan->hash);
    json_object_set_new(o, "plan_hash", json_string(hash));
    json_object_set_new(o, "round", json_integer(e->set.round));
    json_object_set_new(o, "kind", json_string(KINDS[plan->model.kind]));
    if (plan->model.kind == MODEL_MLP)
        json_object_set_new(o, "activation",
                            json_string(plan->model.activation == ACTIVATION_RELU ? "relu"
                                                                                  : "tanh"));
    json_object_set_new(o, "site_intercept", json_boolean(plan->model.site_intercept));
    json_object_set_new(o, "label", json_string_nocheck(plan->label.column));
    if (plan->label.type == LABEL_REAL) {
        json_object_set_new(o, "label_centre", json_real(plan->label.centre));
        json_object_set_new(o, "label_spread", json_real(plan->label.spread));
    }
    json_object_set_new(o, "classes", names_of(plan->label.levels, plan->label.levels_count));
    json_object_set_new(o, "inputs", inputs_of(plan));
    for (unsigned i = 0; i < plan->sites_count; i++)
        json_array_append_new(sites, json_string_nocheck(plan->sites[i].name));
    json_object_set_new(o, "sites", sites);
    for (size_t i = 0; i < e->model.tensors; i++)
        json_array_append_new(tensors, tensor_of(&e->model.tensor[i], e->set.models[0].parameters));
    json_object_set_new(o, "tensors", tensors);
    return o;
}

static struct result write_npz(const struct exported *e, const char *base, struct why *why)
{
    struct npz_array arrays[MODEL_MAX_TENSORS];
    char path[FS_PATH_BYTES];
    for (size_t i = 0; i < e->model.tensors; i++) {
        const struct model_tensor *t = &e->model.tensor[i];
        arrays[i] = (struct npz_array){
            .dimensions = t->rows > 1 ? 2 : 1,
            .rows = t->rows,
            .columns = t->cols,
            .values = e->set.models[0].parameters + t->offset,
        };
        snprintf(arrays[i].name, sizeof arrays[i].name, "%s", t->name);
    }
    snprintf(path, sizeof path, "%s.npz", base);
    return npz_write(path, arrays, e->model.tensors, why);
}

static struct result write_json(const struct exported *e, const char *base, struct why *why)
{
    char path[FS_PATH_BYTES];
    json_t *o = describe(e);
    char *text = json_dumps(o, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    json_decref(o);
    if (!text)
        return failed(why, RESULT_SYSTEM, "out of memory");
    snprintf(path, sizeof path, "%s.json", base);
    struct result r = fs_write_atomic(path, text, strlen(text), 0644, why);
    free(text);
    return r;
}

static struct result read_model(struct exported *e, const unsigned char *payload, size_t n,
                                struct why *why)
{
    TRY(plan_build_model(e->plan, &e->model, why));
    TRY(payload_model_set_decode(&e->set, payload, n, why));
    crypto_generichash(e->hash, sizeof e->hash, payload, n, NULL, 0);
    if (e->set.models_count != 1 || e->set.parameters_count != e->model.parameters)
        return failed(why, RESULT_INPUT, "the model does not fit the study's plan");
    return DONE;
}

struct result model_files_write(const struct plan *plan, const unsigned char *payload, size_t n,
                                const char *base, unsigned char hash[PLAN_HASH_BYTES],
                                struct why *why)
{
    if (strlen(base) > FS_PATH_BYTES - 8)
        return failed(why, RESULT_INPUT, "the path of the model's files is too long");
    struct exported *e = calloc(1, sizeof *e);
    if (!e)
        return failed(why, RESULT_SYSTEM, "out of memory");
    e->plan = plan;
    struct result r = read_model(e, payload, n, why);
    memcpy(hash, e->hash, sizeof e->hash);
    if (ok(r))
        r = write_npz(e, base, why);
    if (ok(r))
        r = write_json(e, base, why);
    payload_model_set_free(&e->set);
    free(e);
    return r;
}
