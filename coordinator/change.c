/* SPDX-License-Identifier: Apache-2.0 */
/* Two plans side by side, field by field; and the definition of a holdout as one hash. */
#include "coordinator/change.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static bool same_levels(const struct plan_level *a, unsigned n, const struct plan_level *b,
                        unsigned m)
{
    for (unsigned i = 0; n == m && i < n; i++)
        if (strcmp(a[i].name, b[i].name) != 0)
            return false;
    return n == m;
}

static bool same_reals(const double *a, unsigned n, const double *b, unsigned m)
{
    for (unsigned i = 0; n == m && i < n; i++)
        if (a[i] != b[i])
            return false;
    return n == m;
}

static bool same_feature(const struct plan_feature *a, const struct plan_feature *b)
{
    return strcmp(a->name, b->name) == 0 && a->type == b->type && strcmp(a->unit, b->unit) == 0 &&
           a->low == b->low && a->high == b->high && a->centre == b->centre &&
           a->spread == b->spread && a->missing == b->missing &&
           strcmp(a->missing_value, b->missing_value) == 0 && a->indicator == b->indicator &&
           same_levels(a->levels, a->levels_count, b->levels, b->levels_count) &&
           same_reals(a->shares, a->shares_count, b->shares, b->shares_count);
}

static bool same_features(const struct plan *a, const struct plan *b)
{
    for (unsigned i = 0; a->features_count == b->features_count && i < a->features_count; i++)
        if (!same_feature(&a->features[i], &b->features[i]))
            return false;
    return a->features_count == b->features_count;
}

static bool same_architecture(const struct plan_model *a, const struct plan_model *b)
{
    for (unsigned i = 0; a->hidden_count == b->hidden_count && i < a->hidden_count; i++)
        if (a->hidden[i] != b->hidden[i])
            return false;
    return a->hidden_count == b->hidden_count && a->kind == b->kind &&
           a->activation == b->activation && a->site_intercept == b->site_intercept;
}

static bool same_training(const struct plan_training *a, const struct plan_training *b)
{
    return a->rounds == b->rounds && a->epochs == b->epochs && a->steps == b->steps &&
           a->batch == b->batch && a->optimiser == b->optimiser &&
           a->learning_rate == b->learning_rate && a->learning_rate_end == b->learning_rate_end &&
           a->momentum == b->momentum && a->l2 == b->l2 && a->proximal == b->proximal &&
           same_reals(a->class_weights, a->class_weights_count, b->class_weights,
                      b->class_weights_count) &&
           a->server_learning_rate == b->server_learning_rate &&
           a->server_momentum == b->server_momentum && a->average_from == b->average_from;
}

static bool same_privacy(const struct plan_privacy *a, const struct plan_privacy *b)
{
    return a->mode == b->mode && a->epsilon == b->epsilon && a->delta == b->delta &&
           a->clip_norm == b->clip_norm && a->sampling_rate == b->sampling_rate &&
           a->noise_multiplier == b->noise_multiplier &&
           a->max_rows_per_patient == b->max_rows_per_patient;
}

static bool same_aggregation(const struct plan *a, const struct plan *b)
{
    return strcmp(a->aggregation.rule, b->aggregation.rule) == 0 &&
           a->aggregation.byzantine == b->aggregation.byzantine &&
           a->aggregation.weights == b->aggregation.weights &&
           a->aggregation.max_share == b->aggregation.max_share &&
           strcmp(a->compression, b->compression) == 0;
}

static bool has_site(const struct plan *plan, const char *name)
{
    for (unsigned i = 0; i < plan->sites_count; i++)
        if (strcmp(plan->sites[i].name, name) == 0)
            return true;
    return false;
}

static bool new_site(const struct plan *before, const struct plan *after)
{
    for (unsigned i = 0; i < after->sites_count; i++)
        if (!has_site(before, after->sites[i].name))
            return true;
    return false;
}

/* The outcome and what its prediction is for. */
static bool same_use(const struct plan *a, const struct plan *b)
{
    return strcmp(a->label.column, b->label.column) == 0 && a->label.type == b->label.type &&
           same_levels(a->label.levels, a->label.levels_count, b->label.levels,
                       b->label.levels_count) &&
           strcmp(a->purpose, b->purpose) == 0;
}

unsigned change_classes(const struct plan *before, const struct plan *after)
{
    unsigned changes = PCCP_RETRAIN;
    if (before->validation.threshold != after->validation.threshold)
        changes |= PCCP_THRESHOLD;
    if (new_site(before, after))
        changes |= PCCP_NEW_SITE;
    if (!same_training(&before->training, &after->training) ||
        !same_privacy(&before->privacy, &after->privacy) || !same_aggregation(before, after))
        changes |= PCCP_HYPERPARAMETERS;
    if (!same_features(before, after))
        changes |= PCCP_FEATURES;
    if (!same_architecture(&before->model, &after->model))
        changes |= PCCP_ARCHITECTURE;
    if (!same_use(before, after))
        changes |= PCCP_INTENDED_USE;
    return changes;
}

static void add_text(crypto_hash_sha256_state *state, const char *text)
{
    crypto_hash_sha256_update(state, (const unsigned char *)text, strlen(text) + 1);
}

void change_test_set(const struct plan *plan, char out[PCCP_HASH_TEXT])
{
    static const char DOMAIN[] = "consilium test set 1";
    unsigned char hash[crypto_hash_sha256_BYTES];
    char number[64];
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    add_text(&state, DOMAIN);
    for (unsigned i = 0; i < plan->sites_count; i++)
        add_text(&state, plan->sites[i].name);
    add_text(&state, plan->label.column);
    for (unsigned i = 0; i < plan->label.levels_count; i++)
        add_text(&state, plan->label.levels[i].name);
    snprintf(number, sizeof number, "%.17g %u", plan->validation.holdout,
             plan->validation.min_cell);
    add_text(&state, number);
    add_text(&state, plan->validation.fold_column);
    add_text(&state, plan->validation.fold_value);
    for (unsigned g = 0; g < plan->subgroups_count; g++) {
        add_text(&state, plan->subgroups[g].column);
        for (unsigned i = 0; i < plan->subgroups[g].levels_count; i++)
            add_text(&state, plan->subgroups[g].levels[i].name);
    }
    crypto_hash_sha256_final(&state, hash);
    sodium_bin2hex(out, PCCP_HASH_TEXT, hash, sizeof hash);
}
