/* SPDX-License-Identifier: Apache-2.0 */
/* The model set of the cross-site matrix: candidate, local models, leave-one-out aggregates. */
#include "coordinator/combine.h"
#include "proto/base/cleanup.h"
#include "proto/compress/codec.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct result add_model(struct payload_model_set *set, const char *prefix, const char *name,
                               struct why *why)
{
    struct payload_model *model = &set->models[set->models_count];
    model->parameters = calloc(set->parameters_count, sizeof *model->parameters);
    if (!model->parameters)
        return failed(why, RESULT_SYSTEM, "out of memory for the matrix of models");
    /* A long site name is cut: the order of the set identifies the model. */
    int n = snprintf(model->name, sizeof model->name, "%s", prefix);
    snprintf(model->name + n, sizeof model->name - (size_t)n, "%s", name);
    set->models_count++;
    return DONE;
}

static struct result add_local(const struct plan *plan, const struct server *start,
                               const struct combine_update *update, struct payload_model_set *set,
                               struct why *why)
{
    TRY(add_model(set, "", plan->sites[update->site].name, why));
    float *local = set->models[set->models_count - 1].parameters;
    TRY(codec_decode(update->update.frame, update->update.frame_n, start->d, local, why));
    for (size_t i = 0; i < start->d; i++)
        local[i] += start->parameters[i];
    return DONE;
}

/* Skipped when the rule cannot do without the site. */
static struct result add_without(const struct combine_case *round, const struct server *start,
                                 size_t left_out, struct payload_model_set *set, struct why *why)
{
    size_t n = round->n;
    CLEANUP(free_pointer) struct combine_update *others = malloc(n * sizeof *others);
    CLEANUP(server_free) struct server server = {0};
    struct combine_outcome outcome;
    if (!others)
        return failed(why, RESULT_SYSTEM, "out of memory for the matrix of models");
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (i != left_out)
            others[count++] = round->updates[i];
    TRY(server_copy(&server, start, why));
    struct combine_case without = *round;
    without.updates = others;
    without.n = count;
    struct result r = combine_round(&without, &server, &outcome, why);
    combine_outcome_free(&outcome);
    if (r.code == RESULT_REFUSED)
        return DONE;
    TRY(r);
    TRY(add_model(set, "without-", round->plan->sites[round->updates[left_out].site].name, why));
    memcpy(set->models[set->models_count - 1].parameters, server.parameters,
           server.d * sizeof(float));
    return DONE;
}

static struct result fill(const struct combine_case *round, const struct server *start,
                          const struct server *after, size_t n, struct payload_model_set *set,
                          struct why *why)
{
    TRY(add_model(set, "", "global", why));
    server_candidate(after, set->models[0].parameters);
    for (size_t i = 0; i < n; i++)
        TRY(add_local(round->plan, start, &round->updates[i], set, why));
    for (size_t i = 0; i < n && n > 2 && 2 * n + 1 <= PAYLOAD_MODELS_MAX; i++)
        TRY(add_without(round, start, i, set, why));
    return DONE;
}

struct result combine_matrix(const struct combine_case *round, const struct server *start,
                             const struct server *after, unsigned char **ret_bytes, size_t *ret_n,
                             unsigned char hash[PLAN_HASH_BYTES], struct why *why)
{
    size_t n = round->n;
    struct payload_model_set set = {.round = after->round, .parameters_count = after->d};
    if (n + 1 > PAYLOAD_MODELS_MAX)
        n = PAYLOAD_MODELS_MAX - 1;
    set.models = calloc(2 * n + 1, sizeof *set.models);
    if (!set.models)
        return failed(why, RESULT_SYSTEM, "out of memory for the matrix of models");
    struct result r = fill(round, start, after, n, &set, why);
    if (ok(r))
        r = payload_model_set_encode(&set, ret_bytes, ret_n, why);
    if (ok(r))
        crypto_generichash(hash, PLAN_HASH_BYTES, *ret_bytes, *ret_n, NULL, 0);
    payload_model_set_free(&set);
    return r;
}
