/* SPDX-License-Identifier: Apache-2.0 */
/* From masked updates and shares to the new global model. */
#include "coordinator/combine_secure.h"

#include "linalg/optim.h"
#include "proto/base/cleanup.h"
#include "proto/plan_model.h"
#include "proto/secure_sum.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct result combine_secure_check(const struct payload_update *update, size_t d, struct why *why)
{
    if (update->declared_patients == 0)
        return failed(why, RESULT_REFUSED, "the update claims no patients");
    if (update->frame_n != d * sizeof(uint64_t))
        return failed(why, RESULT_REFUSED,
                      "the masked update has %zu bytes, not those of %zu words", update->frame_n,
                      d);
    return DONE;
}

struct result combine_words_take(struct combine_words *words, const struct plan *plan,
                                 enum task_kind stage, uint32_t site, const unsigned char *payload,
                                 size_t n, struct why *why)
{
    struct secure_word word;
    struct payload_update update;
    bool again = (stage == TASK_KEYS && words->keys[site].parts) ||
                 (stage == TASK_SHARES && words->present[site]) ||
                 (stage == TASK_TRAIN && words->survives[site]) ||
                 (stage == TASK_REVEAL && words->reveals[site].parts);
    if (again)
        return failed(why, RESULT_INPUT, "'%s' is counted twice", plan->sites[site].name);
    if (stage == TASK_TRAIN) {
        TRY(payload_update_decode(&update, payload, n, why));
        words->updates[site] = update;
        words->survives[site] = true;
        return DONE;
    }
    TRY(secure_word_decode(&word, payload, n, stage, words->round, plan->sites_count, why));
    if (stage == TASK_KEYS)
        words->keys[site] = word;
    else if (stage == TASK_REVEAL)
        words->reveals[site] = word;
    else
        secure_word_free(&word);
    words->present[site] = words->present[site] || stage == TASK_SHARES;
    return DONE;
}

void combine_words_unreveal(struct combine_words *words)
{
    for (size_t i = 0; i < PLAN_SITES_MAX; i++)
        secure_word_free(&words->reveals[i]);
}

void combine_words_free(struct combine_words *words)
{
    for (size_t i = 0; i < PLAN_SITES_MAX; i++) {
        secure_word_free(&words->keys[i]);
        payload_update_free(&words->updates[i]);
        secure_word_free(&words->reveals[i]);
    }
    memset(words, 0, sizeof *words);
}

static void read_adverts(const struct combine_words *words, unsigned sites,
                         struct mask_advert *adverts)
{
    memset(adverts, 0, sites * sizeof *adverts);
    for (unsigned i = 0; i < sites; i++) {
        if (!words->keys[i].parts)
            continue;
        const unsigned char *parts = words->keys[i].parts;
        memcpy(adverts[i].mask_public, parts, MASK_KEY_BYTES);
        memcpy(adverts[i].box_public, parts + MASK_KEY_BYTES, MASK_KEY_BYTES);
        memcpy(adverts[i].commitment, parts + 2 * MASK_KEY_BYTES, MASK_KEY_BYTES);
    }
}

/* Adds the masked updates up, modulo 2^64, and their weights; notes who is in the sum. */
static double add_up(const struct plan *plan, const struct combine_words *words, size_t d,
                     uint64_t *total, struct combine_outcome *outcome)
{
    double weights = 0;
    for (unsigned i = 0; i < plan->sites_count; i++) {
        const struct payload_update *update = &words->updates[i];
        if (!words->survives[i])
            continue;
        for (size_t k = 0; k < d; k++) {
            uint64_t value;
            memcpy(&value, update->frame + k * sizeof value, sizeof value);
            total[k] += value;
        }
        double weight = secure_weight(plan, update->declared_patients);
        weights += weight;
        outcome->sites[outcome->sites_count++] = (struct combine_site){
            .site = i,
            .patients = (double)update->declared_patients,
            .score = anomaly_score_none(),
            .noise = {.reason = "only the sum of the updates is seen"},
        };
        outcome->sites[outcome->sites_count - 1].score.weight = weight;
    }
    outcome->rows = outcome->sites_count;
    outcome->spread = outcome->mean_norm = outcome->noise = (double)NAN;
    for (size_t i = 0; i < outcome->sites_count; i++)
        outcome->sites[i].score.weight /= weights;
    return weights;
}

static struct result open_sum(const struct plan *plan, const struct combine_words *words,
                              const struct secure_scope *scope, uint64_t *total, size_t d,
                              struct why *why)
{
    unsigned sites = plan->sites_count;
    struct mask_advert adverts[PLAN_SITES_MAX];
    const struct mask_reveal *answers[PLAN_SITES_MAX];
    CLEANUP(free_pointer)
    struct mask_reveal *reveals = calloc((size_t)sites * sites, sizeof *reveals);
    struct mask_opening opening = {.sites = sites,
                                   .threshold = plan->aggregation.secure_threshold,
                                   .round = secure_scope_number(scope),
                                   .adverts = adverts,
                                   .present = words->present,
                                   .survivors = words->survives,
                                   .reveals = answers};
    if (!reveals)
        return failed(why, RESULT_SYSTEM, "out of memory for the shares");
    read_adverts(words, sites, adverts);
    for (unsigned i = 0; i < sites; i++) {
        struct mask_reveal *mine = reveals + (size_t)i * sites;
        if (!words->reveals[i].parts)
            continue;
        if (!secure_reveals_get(words->reveals[i].parts, sites, mine))
            return failed(why, RESULT_REFUSED, "the shares of '%s' are malformed",
                          plan->sites[i].name);
        answers[opening.answers++] = mine;
    }
    enum mask_result r = mask_open(&opening, total, d, SECURE_MODULUS_BITS);
    if (r != MASK_OK)
        return failed(why, r == MASK_NO_MEMORY ? RESULT_SYSTEM : RESULT_REFUSED,
                      "the secure sum does not open: %s", mask_text(r));
    return DONE;
}

/* A mean gradient is one step of the plan's optimiser from the global model, taken here. */
static struct result take_step(const struct plan *plan, const struct server *server, double *mean,
                               struct why *why)
{
    struct model model;
    struct optim optim = {0};
    struct optim_settings settings = optim_defaults();
    TRY(plan_build_model(plan, &model, why));
    CLEANUP(free_pointer) double *w = malloc(server->d * sizeof *w);
    CLEANUP(free_pointer) double *anchor = malloc(server->d * sizeof *anchor);
    CLEANUP(free_pointer) double *prior = malloc(server->d * sizeof *prior);
    settings.rate = plan_learning_rate(plan, server->round + 1);
    settings.momentum = plan->training.momentum;
    settings.l2 = plan->training.l2;
    settings.proximal = plan->training.proximal;
    if (!w || !anchor || !prior || optim_create(&optim, &model, &settings) != OPTIM_OK)
        return failed(why, RESULT_SYSTEM, "out of memory for a step of %zu parameters", server->d);
    for (size_t i = 0; i < server->d; i++)
        w[i] = anchor[i] = (double)server->parameters[i];
    plan_prior(plan, &model, prior);
    optim.centre = prior;
    optim_step(&optim, w, mean, anchor);
    for (size_t i = 0; i < server->d; i++)
        mean[i] = w[i] - anchor[i];
    optim_free(&optim);
    return DONE;
}

static struct result check_updates(const struct plan *plan, const struct combine_words *words,
                                   size_t d, struct why *why)
{
    for (unsigned i = 0; i < plan->sites_count; i++)
        if (words->survives[i])
            TRY(combine_secure_check(&words->updates[i], d, why));
    return DONE;
}

struct result combine_secure(const struct plan *plan, struct server *server,
                             const struct combine_words *words, const struct secure_scope *scope,
                             struct combine_outcome *outcome, struct why *why)
{
    size_t d = server->d;
    memset(outcome, 0, sizeof *outcome);
    TRY(check_updates(plan, words, d, why));
    CLEANUP(free_pointer) uint64_t *total = calloc(d, sizeof *total);
    CLEANUP(free_pointer) double *mean = calloc(d, sizeof *mean);
    outcome->sites = calloc(plan->sites_count + 1, sizeof *outcome->sites);
    outcome->aggregate = calloc(d, sizeof *outcome->aggregate);
    if (!total || !mean || !outcome->sites || !outcome->aggregate)
        return failed(why, RESULT_SYSTEM, "out of memory for a sum of %zu parameters", d);
    double weights = add_up(plan, words, d, total, outcome);
    TRY(open_sum(plan, words, scope, total, d, why));
    TRY(secure_mean(plan, total, d, weights, mean, why));
    if (plan->privacy.mode != PRIVACY_NONE)
        TRY(take_step(plan, server, mean, why));
    for (size_t i = 0; i < d; i++)
        outcome->aggregate[i] = (float)mean[i];
    return server_apply(plan, server, outcome->aggregate, why);
}
