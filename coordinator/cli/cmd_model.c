/* SPDX-License-Identifier: Apache-2.0 */
/* consilium model export: a study's model as .npz and JSON, with everything needed to apply it. */
#include "coordinator/cli/cli.h"
#include "coordinator/cli/client.h"
#include "coordinator/entry.h"
#include "proto/base/fs.h"
#include "proto/base/npz.h"
#include "proto/payload.h"
#include "proto/plan_model.h"

#include <jansson.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char USAGE[] =
    "usage: consilium model export STUDY --out BASE [--as FOLDER] [--json]\n\n"
    "Writes the study's best model to BASE.npz (NumPy) and BASE.json: parameters with names and\n"
    "shapes, the inputs with their scaling, the label, the sites that took part.\n"
    "  --out BASE    path without ending\n"
    "  --as FOLDER   who asks (default: $CONSILIUM_IDENTITY)\n";

struct exported {
    struct plan plan;
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
    double share = level < f->shares_count ? f->shares[level] : 0;
    double spread = sqrt(share * (1 - share));
    bool scaled = share > 0 && share < 1;
    return input(f->name, f->levels[level].name, scaled ? share : 0, scaled ? spread : 1);
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
                                        [MODEL_MLP] = "mlp"};
    const struct plan *plan = &e->plan;
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

static struct result fetch(struct client *client, const char *study, struct exported *e,
                           struct why *why)
{
    struct client_reply reply = {0};
    TRY(client_request(client, "plan", study, -1, &reply, why));
    struct result r = plan_parse(&e->plan, "plan", (const char *)reply.text, reply.text_n, why);
    free(reply.text);
    TRY(r);
    TRY(plan_build_model(&e->plan, &e->model, why));
    TRY(client_request(client, "model", study, -1, &reply, why));
    r = payload_model_set_decode(&e->set, reply.text, reply.text_n, why);
    crypto_generichash(e->hash, sizeof e->hash, reply.text, reply.text_n, NULL, 0);
    free(reply.text);
    if (ok(r) && (e->set.models_count != 1 || e->set.parameters_count != e->model.parameters))
        r = failed(why, RESULT_INPUT, "the model does not fit the study's plan");
    return r;
}

static struct result export_model(const char *study, const char *folder, const char *base,
                                  struct exported *e, struct why *why)
{
    struct client *client = NULL;
    if (strlen(base) > FS_PATH_BYTES - 8)
        return failed(why, RESULT_INPUT, "the path of --out is too long");
    struct result r = client_open(folder, &client, why);
    if (ok(r))
        r = fetch(client, study, e, why);
    client_close(client);
    if (ok(r))
        r = write_npz(e, base, why);
    return ok(r) ? write_json(e, base, why) : r;
}

int cmd_model(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(USAGE, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *folder = cli_take_option(&argc, argv, "--as");
    const char *base = cli_take_option(&argc, argv, "--out");
    if (argc != 3 || strcmp(argv[1], "export") != 0 || !base)
        return cli_usage("model export takes one study and --out BASE; --help tells more");
    struct exported *e = calloc(1, sizeof *e);
    struct why why;
    if (!e)
        return cli_fail(failed(&why, RESULT_SYSTEM, "out of memory"), &why);
    struct result r = export_model(argv[2], folder, base, e, &why);
    if (ok(r)) {
        char hash[HEX_HASH_BYTES];
        hex_hash(hash, e->hash);
        printf(json ? "{\"study\":\"%s\",\"model_hash\":\"%s\",\"base\":\"%s\"}\n"
                    : "%s: model %s is in %s.npz and .json\n",
               argv[2], hash, base);
    }
    payload_model_set_free(&e->set);
    plan_free(&e->plan);
    free(e);
    return ok(r) ? CLI_OK : cli_fail(r, &why);
}
